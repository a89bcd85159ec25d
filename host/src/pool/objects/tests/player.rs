//! Those who work on objects in a test: each a party of its own, a thread of this process or a process of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::any::{Answer, Given};
use super::process::Process;
use super::races;
use super::stage::Stage;

/// Nothing that a test waits for takes this long, however busy the machine is.
pub(super) const WATCHDOG: Duration = Duration::from_secs(120);

/// What a player is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// One operation on one object.
    Step { object: String, operation: String, given: Vec<Json> },
    /// A function of [`races::PARTS`]: many operations, without a word to anyone in between.
    Part { name: String, given: Vec<Json> },
}

impl Task {
    pub(super) fn step(object: &str, operation: &str, given: &[Json]) -> Self {
        Self::Step { object: object.into(), operation: operation.into(), given: given.to_vec() }
    }

    pub(super) fn part(name: &str, given: &[Json]) -> Self {
        Self::Part { name: name.into(), given: given.to_vec() }
    }

    /// Does it, on this thread; a panic is an answer, too.
    pub(super) fn perform(&self, stage: &Stage) -> Answer {
        let performed = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Step { object, operation, given } => stage.perform(object, operation, given),
            Self::Part { name, given } => Ok(races::part(name)(stage, &mut Given::new(given))),
        }));
        performed.unwrap_or_else(|_| Err(format!("a panic in {self:?}")))
    }
}

/// Somebody who does one task after the other.
pub(super) trait Player {
    /// Sets it to a task, and does not wait.
    fn begin(&mut self, task: Task);

    /// Waits until the task is done, and answers what it came to.
    ///
    /// # Panics
    ///
    /// When that takes longer than [`WATCHDOG`].
    fn end(&mut self) -> Answer;

    /// Dies of SIGKILL and is buried, if it can.
    fn die(&mut self) {
        panic!("a thread cannot die alone");
    }

    /// Does a task.
    fn perform(&mut self, task: Task) -> Answer {
        self.begin(task);
        self.end()
    }
}

/// Where players come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Company {
    /// All are threads of this process.
    Threads,
    /// The first, the third and so on are threads of this process, the others are processes.
    Processes,
}

impl Company {
    /// So many players on one stage.
    pub(super) fn players(self, stage: &Arc<Stage>, count: usize) -> Vec<Box<dyn Player>> {
        let player = |index: usize| -> Box<dyn Player> {
            match self {
                Self::Processes if index % 2 == 1 => Box::new(Process::start(stage)),
                _ => Box::new(Thread::start(stage)),
            }
        };
        (0..count).map(player).collect()
    }
}

/// A thread of this process.
pub(super) struct Thread {
    tasks: Option<Sender<Task>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(stage: &Arc<Stage>) -> Self {
        let ((tasks, to_do), (answer, answers)) = (channel::<Task>(), channel());
        let stage = Arc::clone(stage);
        let thread = std::thread::spawn(move || {
            for task in to_do {
                if answer.send(task.perform(&stage)).is_err() {
                    break;
                }
            }
        });
        Self { tasks: Some(tasks), answers, thread: Some(thread) }
    }
}

impl Player for Thread {
    fn begin(&mut self, task: Task) {
        let tasks = self.tasks.as_ref().expect("there is a sender until the end");
        tasks.send(task).expect("the thread catches panics");
    }

    fn end(&mut self) -> Answer {
        self.answers.recv_timeout(WATCHDOG).expect("an answer in time")
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.tasks = None;
        // A thread that hangs is the failed test's; waiting for it would hide the reason.
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            thread.join().expect("it catches panics");
        }
    }
}

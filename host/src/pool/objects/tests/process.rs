//! A second process of host code: this test executable, started again, with the objects' descriptors in its hands.
//!
//! It is to this process what a worker is to a supervisor: it is told its numbers as a party and its grants over a
//! control socket, maps the objects at addresses of its own, does what it is told, and is buried when the kernel has
//! proved it dead.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::{Entry, parties};
use super::any::Answer;
use super::player::{Player, Task, WATCHDOG};
use super::stage::Stage;
use crate::channel::control::{Control, ControlError, Grant};
use crate::shm::object::Party;
use crate::shm::object::ground::Rights;

/// Says to this executable that it is to be the second process.
const MARK: &str = "WASMPOOL_TEST_PROCESS";

/// The test that it runs as such, and nothing but that.
const TEST: &str = "pool::objects::tests::process::the_second_process";

/// Numbers for a process: one for its thread, one for itself as the user of pipes, one for somebody whom it buries.
const PARTIES: usize = 3;

/// First frame; with a descriptor for each grant.
#[derive(Serialize, Deserialize)]
struct Cast {
    supervisor: u32,
    parties: Vec<Party>,
    grants: Vec<Grant>,
}

/// A process of its own.
pub(super) struct Process {
    control: Control,
    child: Child,
    parties: Vec<Party>,
    objects: Vec<(Arc<Entry>, Rights)>,
    is_buried: bool,
}

impl Process {
    /// Starts one that may do everything with all objects of a stage.
    pub(super) fn start(stage: &Stage) -> Self {
        Self::start_with(stage.entries().into_iter().map(|entry| (entry, Rights::ReadWrite)).collect())
    }

    /// Starts one that is granted these objects.
    ///
    /// It dies with the thread that calls this, at the latest.
    pub(super) fn start_with(objects: Vec<(Arc<Entry>, Rights)>) -> Self {
        let (control, theirs) = Control::pair().expect("a socket pair");
        let executable = std::env::current_exe().expect("the path of this executable");
        let child = Command::new(executable)
            .args([TEST, "--exact", "--ignored", "--nocapture"])
            .env(MARK, "1")
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let parties: Vec<Party> = (0..PARTIES).map(|_| parties::take().expect("a number")).collect();
        for (entry, _) in objects.iter().filter(|(_, rights)| *rights == Rights::ReadWrite) {
            parties.iter().for_each(|party| entry.holders.admit(*party));
        }
        let grant = |(entry, rights): &(Arc<Entry>, Rights)| Grant {
            name: entry.name.clone(),
            spec: entry.spec.clone(),
            rights: *rights,
        };
        let cast = Cast {
            supervisor: std::process::id(),
            parties: parties.clone(),
            grants: objects.iter().map(grant).collect(),
        };
        let descriptors = objects.iter().map(|(entry, rights)| entry.descriptor(*rights));
        let descriptors: Vec<_> = descriptors.collect::<io::Result<_>>().expect("descriptors");
        control.send(&cast, &descriptors).expect("it can be sent");
        let mut process = Self { control, child, parties, objects, is_buried: false };
        process.end().expect("it has all objects");
        process
    }

    /// Its number as the holder of locks.
    pub(super) fn party(&self) -> Party {
        self.parties[0]
    }

    /// Whether it is still at its task.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.control.receive::<Answer>(Duration::ZERO), Err(ControlError::TimedOut(_)))
    }

    /// Stops it, and waits until it stands still.
    pub(super) fn stop(&self) {
        let id = self.pid();
        rustix::process::kill_process(id, Signal::STOP).expect("it can be stopped");
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        rustix::process::waitid(WaitId::Pid(id), options).expect("it stops");
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        rustix::process::kill_process(self.pid(), Signal::CONT).expect("it can go on");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Kills it and waits for the kernel's proof, without taking from it what it holds.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Takes everything from it that it held, as the supervisor does when a worker is proved dead.
    pub(super) fn bury(&mut self) {
        let objects = self.objects.drain(..).filter(|(_, rights)| *rights == Rights::ReadWrite);
        let objects: Vec<Arc<Entry>> = objects.map(|(entry, _)| entry).collect();
        for party in &self.parties {
            objects.iter().for_each(|entry| entry.object.bury(*party));
            objects.iter().for_each(|entry| entry.holders.strike_off(*party));
        }
        self.parties.drain(..).for_each(parties::give_back);
        self.is_buried = true;
    }
}

impl Player for Process {
    fn begin(&mut self, task: Task) {
        self.control.send(&task, &[]).expect("it listens");
    }

    fn end(&mut self) -> Answer {
        self.control.receive(WATCHDOG).expect("an answer in time")
    }

    fn die(&mut self) {
        self.kill();
        self.bury();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_buried {
            self.die();
        }
    }
}

#[test]
#[ignore = "other tests start it, as their second process"]
fn the_second_process() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    let socket = io::stdin().as_fd().try_clone_to_owned().expect("the control socket");
    let control = Control::from_descriptor(socket);
    let signal = Some(Signal::KILL);
    rustix::process::set_parent_process_death_signal(signal).expect("a signal at the parent's death");
    let (cast, descriptors) = control.receive_with_descriptors::<Cast>(Some(WATCHDOG)).expect("the cast");
    crate::process::reentry::check_parent(cast.supervisor);
    parties::confine_to(&cast.parties);
    let stage = Stage::from_grants(cast.grants, descriptors);
    control.send(&Answer::Ok(Json::Null), &[]).expect("somebody listens");
    loop {
        let task: Task = match control.receive_with_descriptors(None) {
            Ok((task, _)) => task,
            Err(ControlError::Closed) => return,
            Err(error) => panic!("no task: {error}"),
        };
        match control.send(&task.perform(&stage), &[]) {
            Ok(()) => {}
            Err(ControlError::Closed) => return,
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

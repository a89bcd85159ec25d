//! Runs the stories of `expectations.txt` and `between.txt`.
//!
//! The first are told to one party, then to two in turn: what operations answer does not depend on who asks. Only
//! what belongs to the holder of a lock stays with one of the two, first with the one, then with the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::any::{Answer, Any};
use super::player::{Company, Player, Task, Thread, WATCHDOG};
use super::stage::{Stage, arguments};
use crate::shm::object::ground::header;

const EXPECTATIONS: &str = include_str!("expectations.txt");
const BETWEEN: &str = include_str!("between.txt");

/// One story: lines that make its objects, and lines that say what happens.
struct Story {
    objects: Vec<&'static str>,
    steps: Vec<&'static str>,
}

/// The stories of a text without its comments.
fn stories(text: &'static str) -> impl Iterator<Item = Story> {
    text.split("\n\n").filter_map(|story| {
        let lines = story.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let (objects, steps): (Vec<_>, Vec<_>) = lines.partition(|line| line.contains(" = "));
        (!steps.is_empty()).then_some(Story { objects, steps })
    })
}

impl Story {
    /// Kind of its first object.
    fn kind(&self) -> &str {
        self.objects.first().and_then(|line| line.split(' ').nth(2)).expect("a kind")
    }
}

/// What a line expects: ` -> JSON` or ` ! KIND` behind what is done.
fn split_expected(line: &str) -> (&str, Answer) {
    if let Some((done, json)) = line.split_once("-> ") {
        return (done.trim_end(), Ok(serde_json::from_str(json).expect("JSON")));
    }
    let (done, kind) = line.split_once("! ").expect("an expectation");
    (done.trim_end(), Err(kind.to_owned()))
}

/// `NAME OPERATION JSON...`
fn task(step: &str) -> Task {
    let (object, operation) = step.split_once(' ').expect("a name and an operation");
    let (operation, given) = operation.split_once(' ').unwrap_or((operation, ""));
    Task::step(object, operation, &arguments(given))
}

/// Whether it matters to an operation who has done the ones before.
fn is_personal(any: &Any, task: &Task) -> bool {
    let Task::Step { operation, .. } = task else { return false };
    let has_holder = matches!(any, Any::Value(_) | Any::Lock(_) | Any::RLock(_) | Any::Condition(_));
    let is_about_holding = !matches!(
        operation.as_str(),
        "get" | "set" | "swap" | "compare_exchange" | "update_double" | "is_locked"
    );
    has_holder && is_about_holding && !operation.starts_with("fetch_")
}

/// Tells a story to players who take turns; what is personal falls to the first.
fn tell(story: &Story, stage: &Stage, players: &mut [Box<dyn Player>]) {
    for (turn, line) in story.steps.iter().enumerate() {
        let (step, expected) = split_expected(line);
        let task = task(step);
        let object = step.split(' ').next().expect("a name");
        let player = if is_personal(&stage.any(object), &task) { 0 } else { turn % players.len() };
        let answer = players[player].perform(task);
        assert_eq!(answer, expected, "{line}, by player {player} of {}", players.len());
    }
}

/// Tells all stories whose first object is of one of these kinds.
fn tell_stories_about(kinds: &[&str]) {
    let mut told = 0;
    for story in stories(EXPECTATIONS).filter(|story| kinds.contains(&story.kind())) {
        let objects = || Stage::with(story.objects.iter().copied());
        let stage = objects();
        tell(&story, &stage, &mut [Box::new(Thread::start(&stage))]);
        for company in [Company::Threads, Company::Processes] {
            for first in 0..2 {
                let stage = objects();
                let mut players = company.players(&stage, 2);
                players.rotate_left(first);
                tell(&story, &stage, &mut players);
            }
        }
        told += 1;
    }
    assert!(told > 0, "there are stories about {kinds:?}");
}

#[test]
fn values_and_arrays_answer_as_expected() {
    tell_stories_about(&["value", "array"]);
}

#[test]
fn locks_answer_as_expected() {
    tell_stories_about(&["lock", "rlock"]);
}

#[test]
fn semaphores_answer_as_expected() {
    tell_stories_about(&["semaphore", "bounded_semaphore"]);
}

#[test]
fn conditions_events_and_barriers_answer_as_expected() {
    tell_stories_about(&["condition", "event", "barrier"]);
}

#[test]
fn queues_answer_as_expected() {
    tell_stories_about(&["queue", "joinable_queue"]);
}

#[test]
fn pipes_answer_as_expected() {
    tell_stories_about(&["pipe", "one_way_pipe"]);
}

#[test]
fn lists_dictionaries_and_namespaces_answer_as_expected() {
    tell_stories_about(&["list", "dict", "namespace"]);
}

/// Tells a story in which each line says who does it.
fn tell_between(story: &Story, company: Company) {
    let stage = Stage::with(story.objects.iter().copied());
    let mut players = company.players(&stage, 2);
    for line in &story.steps {
        let (who, done) = line.split_once(' ').expect("who does it");
        let player = &mut players[["a", "b"].iter().position(|name| *name == who).expect("a or b")];
        if done == "dies" {
            player.die();
        } else if let Some(step) = done.strip_suffix(" ...") {
            let object = step.split(' ').next().expect("a name");
            // Who has slept before leaves a flag behind; who still sleeps puts it up again.
            stage.any(object).entry().object.ground().ring_all();
            player.begin(task(step));
            await_sleeper(&stage, object);
        } else {
            let (step, expected) = split_expected(done);
            let answer = if step.is_empty() { player.end() } else { player.perform(task(step)) };
            assert_eq!(answer, expected, "{line}, among {company:?} in\n{}", story.steps.join("\n"));
        }
    }
}

/// Waits until somebody sleeps on an object, or is about to.
fn await_sleeper(stage: &Stage, object: &str) {
    let entry = Arc::clone(stage.any(object).entry());
    let started = Instant::now();
    while !has_sleeper(&entry) {
        assert!(started.elapsed() < WATCHDOG, "nobody waits for {object}");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Whether a bell's flag or the lock's word says that somebody may be asleep.
fn has_sleeper(entry: &super::super::Entry) -> bool {
    use crate::shm::object::Object;
    use std::sync::atomic::Ordering::Relaxed;
    let ground = entry.object.ground();
    let mut bells = vec![header::BELL_A, header::BELL_B];
    if matches!(entry.object, Object::Queue(_)) {
        // Of those who join.
        bells.push(header::BYTES);
    }
    let rests_on_bell = bells.into_iter().any(|bell| ground.word32(bell + 4).load(Relaxed) != 0);
    let has_lock = matches!(entry.object, Object::Lock(_) | Object::Cells(_) | Object::Condition(_));
    rests_on_bell || has_lock && ground.word32(header::LOCK).load(Relaxed) & (1 << 31) != 0
}

#[test]
fn two_threads_see_of_each_other_what_is_expected() {
    // Threads do not die without their process, and have their handles in common.
    let is_of_processes = |step: &str| step.ends_with(" dies") || step.contains(" drop ");
    let stories = stories(BETWEEN).filter(|story| !story.steps.iter().any(|step| is_of_processes(step)));
    stories.for_each(|story| tell_between(&story, Company::Threads));
}

#[test]
fn two_processes_see_of_each_other_what_is_expected() {
    stories(BETWEEN).for_each(|story| tell_between(&story, Company::Processes));
}

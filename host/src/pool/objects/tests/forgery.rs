//! Words that name a holder who is none: the supervisor sees through them where it can know, and robs nobody.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::super::*;
use super::player::{Player, Task, Thread};
use super::process::Process;
use super::stage::Stage;
use crate::shm::object::PARTIES_MAX;
use crate::shm::object::census::{Census, Held};
use crate::shm::object::ground::header;

/// Half of what a holder who may be stopped inside is waited for.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Writes a holder into a word of an object, as somebody could who was granted it.
fn forge(stage: &Stage, object: &str, offset: usize, holder: Party) {
    stage.any(object).entry().object.ground().word32(offset).store(holder.number() as u32, Relaxed);
}

/// Does a step that is to fail because the object is spoilt, long before a stopped holder would be given up.
fn is_spoilt(stage: &Stage, object: &str, operation: &str, given: &[Json]) {
    let began = Instant::now();
    assert_eq!(stage.perform(object, operation, given), Err("Poisoned".into()), "{object} {operation}");
    assert!(began.elapsed() < AT_ONCE, "{object} {operation} took {:?}", began.elapsed());
}

/// A number that nobody goes by, for the time being.
fn nobody() -> Party {
    Party::new(PARTIES_MAX - 1).expect("a number")
}

#[test]
fn a_mutex_of_nobody_spoils_its_object_at_once() {
    let stage = Stage::with(["q = queue 4", "l = list", "d = dict", "s = semaphore 1", "p = pipe"]);
    let number = [json!(1)];
    for (object, operation, given) in [
        ("q", "put", &number[..]),
        ("l", "push", &number),
        ("d", "clear", &[]),
        ("p.0", "send", &number),
        ("s", "acquire_kept", &[]),
    ] {
        forge(&stage, object, header::MUTEX, nobody());
        is_spoilt(&stage, object, operation, given);
    }
}

#[test]
fn a_lock_of_nobody_spoils_its_object_at_once() {
    let stage = Stage::with(["l = lock", "r = rlock", "c = condition", "v = value 0"]);
    for object in ["l", "r", "c", "v"] {
        forge(&stage, object, header::LOCK, nobody());
        is_spoilt(&stage, object, "acquire", &[]);
    }
}

#[test]
fn a_mutex_of_a_thread_that_is_elsewhere_spoils_its_object_at_once() {
    let stage = Stage::with(["q = queue 4", "own = list"]);
    let (tell, told) = channel();
    let (stay, until) = channel::<()>();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            tell.send(parties::of_this_thread().expect("a number")).expect("somebody listens");
            // Alive, and nowhere near the queue.
            let _ = until.recv();
        });
        forge(&stage, "q", header::MUTEX, told.recv().expect("it tells"));
        is_spoilt(&stage, "q", "put", &[json!(1)]);
        drop(stay);
    });
    forge(&stage, "own", header::MUTEX, parties::of_this_thread().expect("a number"));
    is_spoilt(&stage, "own", "push", &[json!(1)]);
}

#[test]
fn a_worker_is_believed_about_its_own_objects_and_no_others() {
    let stage = Stage::with(["granted = queue 4", "apart = queue 4", "shown = queue 4"]);
    let entry = |name: &str| Arc::clone(stage.any(name).entry());
    let granted = vec![(entry("granted"), Rights::ReadWrite), (entry("shown"), Rights::Read)];
    let mut process = Process::start_with(granted);
    let party = process.party();
    for held in [Held::Mutex, Held::Lock] {
        assert_eq!(entry("granted").holders.absent(party, held), None, "it may be stopped inside");
        assert!(entry("apart").holders.absent(party, held).is_some());
        assert!(entry("shown").holders.absent(party, held).is_some());
    }
    for object in ["apart", "shown"] {
        forge(&stage, object, header::MUTEX, party);
        is_spoilt(&stage, object, "put", &[json!(1)]);
    }
    process.die();
    assert!(entry("granted").holders.absent(party, Held::Mutex).is_some(), "it was buried");
}

#[test]
fn a_stopped_holder_is_waited_for_and_not_robbed() {
    let stage = Stage::with(["l = lock"]);
    let mut process = Process::start(&stage);
    assert_eq!(process.perform(Task::step("l", "acquire", &[])), Ok(Json::Null));
    process.stop();
    assert_eq!(stage.perform("l", "acquire_for", &[json!(300)]), Ok(json!(false)));
    let mut waiting = Thread::start(&stage);
    waiting.begin(Task::step("l", "lock", &[]));
    process.go_on();
    assert_eq!(process.perform(Task::step("l", "is_locked", &[])), Ok(json!(true)));
    assert_eq!(process.perform(Task::step("l", "release", &[])), Ok(Json::Null));
    assert_eq!(waiting.end(), Ok(json!({ "owner_died": false })));
}

#[test]
fn who_comes_and_goes_is_never_taken_for_a_lie() {
    const RECORDS: usize = 1500;
    let stage = Stage::with(["l = list 2000"]);
    let numbers: Vec<Json> = (0..RECORDS).map(|number| json!(number)).collect();
    stage.perform("l", "extend", &[json!(numbers)]).expect("there is room");
    let mut process = Process::start(&stage);
    process.begin(Task::part("insert in front", &[json!(100)]));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..25 {
                    // A thread for each: its number is soon another's. Inside, it copies a table; others fall asleep.
                    let insert = || stage.perform("l", "insert", &[json!(0), json!("in front")]);
                    std::thread::scope(|threads| threads.spawn(insert).join()).unwrap().expect("not spoilt");
                }
            });
        }
    });
    process.end().expect("not spoilt");
    assert_eq!(stage.perform("l", "len", &[]), Ok(json!(RECORDS + 200)));
}

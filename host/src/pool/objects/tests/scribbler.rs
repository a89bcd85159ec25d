//! A process that writes garbage all over the object that it was granted, for ever, while this one works on it.
//!
//! Whatever it writes, each operation here comes to a value or an error, in time; and what the other process was not
//! granted, or may only read, stays as it is.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::super::Entry;
use super::any::{Answer, Given};
use super::kinds::{Kind, of_each_kind};
use super::player::{Player, Task, Thread};
use super::process::Process;
use super::random::{Random, SEED_VARIABLE, seed};
use super::stage::{Stage, arguments};
use crate::shm::object::PARTIES_MAX;
use crate::shm::object::ground::Rights;
use crate::shm::region::{Region, Writer};

/// How long each kind of object is scribbled on.
const TIME_MS: u64 = 1500;

/// Longest wait that an operation below is given.
const DEADLINE: Duration = Duration::from_millis(5);

/// Longest that an operation may take beyond its deadline: ten seconds because somebody seems to be inside, ten more
/// because records seem to change without a pause, and all that a busy machine adds.
const RECOVERY_MAX: Duration = Duration::from_secs(40);

/// Longest that an operation may take once the scribbler is buried: half of what a stopped holder is waited for.
const LEFT_MAX: Duration = Duration::from_secs(5);

/// Threads that work on the object.
const THREADS: usize = 3;

of_each_kind!(survives_scribbling);

/// Lets a process scribble on an object while threads work on it, and on objects that it must not write to.
fn survives_scribbling(kind: &Kind) {
    let seed = seed();
    let stage = Stage::with([kind.made, "apart = value 0", "shown = value 0"]);
    let is_granted = |entry: &Arc<Entry>| entry.name != "apart";
    let rights = |entry: &Entry| if entry.name == "shown" { Rights::Read } else { Rights::ReadWrite };
    let granted = stage.entries().into_iter().filter(is_granted);
    let mut scribbler =
        Process::start_with(granted.map(|entry| (Arc::clone(&entry), rights(&entry))).collect());
    let refused = scribbler.perform(Task::part("try to write", &[json!("shown")]));
    assert_eq!(refused, Ok(Json::Null));
    let name = objects_of(&stage).swap_remove(0);
    scribbler.begin(Task::part("scribble", &[json!(name), json!(seed)]));

    let mut counters = [Thread::start(&stage), Thread::start(&stage)];
    for (counter, name) in counters.iter_mut().zip(["apart", "shown"]) {
        counter.begin(Task::part("count in time", &[json!(name)]));
    }
    let mut workers: Vec<Thread> = (0..THREADS).map(|_| Thread::start(&stage)).collect();
    for (worker, thread) in workers.iter_mut().zip(1..) {
        let own_seed = seed.wrapping_add(thread);
        worker.begin(Task::part("work", &[json!(kind.steps()), json!(own_seed), json!(TIME_MS)]));
    }
    let seen: Vec<Json> = workers
        .iter_mut()
        .map(|worker| worker.end().unwrap_or_else(|failure| panic!("{failure}: {SEED_VARIABLE}={seed}")))
        .collect();
    for (counter, name) in counters.iter_mut().zip(["apart", "shown"]) {
        let counted = counter.end().expect("nothing is in its way");
        assert_eq!(stage.perform(name, "get", &[]), Ok(counted), "{name} counts exactly");
    }
    drop((workers, counters));
    assert!(scribbler.is_busy(), "it scribbles until it is killed");
    scribbler.die();
    // An error is as good as a value.
    let _ = work_on_what_is_left(&stage, &kind.steps());
    for object in stage.entries() {
        stage.perform(&object.name, "drop", &[]).expect("it can be dropped");
    }
    // Both happen, or one of the two sides did nothing.
    for outcome in ["a value", "Poisoned"] {
        assert!(seen.iter().any(|seen| seen.get(outcome).is_some()), "no {outcome}: {seen:?}");
    }
}

/// Does each step once, with nobody else there any more: whatever the last words of the dead were, none is waited for.
pub(super) fn work_on_what_is_left(stage: &Stage, steps: &str) -> Vec<Answer> {
    let names = objects_of(stage);
    let all = names.iter().flat_map(|name| steps.split("; ").map(move |step| (name, step)));
    let timed = |(name, step): (&String, &str)| {
        let began = Instant::now();
        let answer = perform(stage, name, step);
        assert!(began.elapsed() < LEFT_MAX, "{name} {step} took {:?}", began.elapsed());
        answer
    };
    all.map(timed).collect()
}

/// Names of the objects that are scribbled on: both ends of a pipe are.
pub(super) fn objects_of(stage: &Stage) -> Vec<String> {
    let names = stage.entries().into_iter().map(|entry| entry.name.clone());
    names.filter(|name| name.starts_with("it")).collect()
}

pub(super) fn perform(stage: &Stage, object: &str, step: &str) -> Answer {
    let (operation, given) = step.split_once(' ').unwrap_or((step, ""));
    stage.perform(object, operation, &arguments(given))
}

/// Does random steps for so long, and answers how many came to what.
pub(super) fn work(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (steps, mut random) = (given.text(), Random(given.json().as_u64().expect("a seed")));
    let (steps, time) = (steps.split("; ").collect::<Vec<_>>(), Duration::from_millis(given.size() as u64));
    let (names, started) = (objects_of(stage), Instant::now());
    let mut came_to = BTreeMap::<String, u64>::new();
    while started.elapsed() < time {
        let step = steps[random.below(steps.len())];
        let began = Instant::now();
        let answer = perform(stage, &names[random.below(names.len())], step);
        let took = began.elapsed();
        assert!(took < DEADLINE + RECOVERY_MAX, "{step} took {took:?}");
        *came_to.entry(answer.err().unwrap_or_else(|| "a value".into())).or_default() += 1;
    }
    // Whoever was notified waits for the lock without a limit.
    names.iter().for_each(|name| drop(perform(stage, name, "end_call")));
    json!(came_to)
}

/// Counts until the time is over, and answers how far.
pub(super) fn count_in_time(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (name, started, mut count) = (given.text(), Instant::now(), 0);
    while started.elapsed() < Duration::from_millis(TIME_MS) {
        assert_eq!(stage.perform(&name, "fetch_add", &[json!(1)]), Ok(json!(count)), "{name}");
        count += 1;
    }
    json!(count)
}

/// Tries all ways to write to an object that may only be read.
pub(super) fn try_to_write(stage: &Stage, given: &mut Given<'_>) -> Json {
    let any = stage.any(&given.text());
    let Entry { region, file, .. } = &**any.entry();
    assert!(!region.is_writable());
    let mapped = Region::map(file.as_fd(), region.len(), Writer::Worker);
    assert!(mapped.is_err(), "it was mapped for writing");
    assert!(rustix::io::pwrite(file, &[7; 8], 0).is_err(), "it was written to");
    assert!(rustix::fs::ftruncate(file, 0).is_err(), "it was cut off");
    assert_eq!(any.perform("set", &mut Given::new(&[json!(1)])), Err("ReadOnly".into()));
    Json::Null
}

/// Writes garbage of all sorts all over an object, until the process is killed.
pub(super) fn scribble(stage: &Stage, given: &mut Given<'_>) -> Json {
    let any = stage.any(&given.text());
    let region = &any.entry().region;
    let words = region.words(0, region.len() / size_of::<u64>());
    let mut random = Random(given.json().as_u64().expect("a seed"));
    let mut earlier = vec![look(words); STATES];
    let mut used = Vec::new();
    loop {
        if random.below(20) == 0 {
            // From something sound, the others get somewhere; if it stayed sound, it is worth remembering.
            restore(words, &earlier[random.below(STATES)]);
            std::thread::sleep(GOOD_TIME);
            let state = look(words);
            if state[0] >> 32 == 0 {
                used = (0..state.len()).filter(|index| state[*index] != 0).collect();
                earlier[1 + random.below(STATES - 1)] = state;
            }
        }
        let start = match random.below(4) {
            0 => random.below(HEAD_WORDS),
            1 => random.below(words.len()),
            // Where something lies that somebody will believe.
            _ if !used.is_empty() => used[random.below(used.len())],
            _ => 0,
        };
        scribble_once(words, start, &earlier[random.below(STATES)], &mut random);
        match random.below(8) {
            // Where there are fewer cores than players, they get to see it only now.
            0 => std::thread::sleep(Duration::from_micros(50)),
            _ => (0..random.below(2000)).for_each(|_| std::hint::spin_loop()),
        }
    }
}

/// Earlier states that a scribbler remembers; the first is that of a new object.
const STATES: usize = 4;

/// How long the others are left alone now and then.
const GOOD_TIME: Duration = Duration::from_millis(1);

/// Words of the header and of what follows it: where every object has what matters most.
const HEAD_WORDS: usize = 64;

fn look(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Relaxed)).collect()
}

fn restore(words: &[AtomicU64], state: &[u64]) {
    words.iter().zip(state).for_each(|(word, state)| word.store(*state, Relaxed));
}

fn scribble_once(words: &[AtomicU64], start: usize, earlier: &[u64], random: &mut Random) {
    let count = 1 + random.below(16);
    let span = &words[start..(start + count).min(words.len())];
    match random.below(9) {
        0 => span.iter().for_each(|word| word.store(random.next(), Relaxed)),
        1 => span.iter().for_each(|word| word.store(u64::MAX, Relaxed)),
        2 => span.iter().for_each(|word| word.store(0, Relaxed)),
        // Counts, lengths, phases, places, and holders who may be alive.
        3 => words[start].store(random.below(PARTIES_MAX + 2) as u64, Relaxed),
        4 => words[start].store((random.below(40) as u64) << 32 | random.below(200) as u64, Relaxed),
        // Bits that come and go.
        5 => _ = words[start].fetch_xor(1 << random.below(64), Relaxed),
        // What means something elsewhere.
        6 => words[start].store(words[random.below(words.len())].load(Relaxed), Relaxed),
        // What was true once, of one word or of all: not even poison lasts.
        7 => words[start].store(earlier[start], Relaxed),
        _ => restore(words, earlier),
    }
}

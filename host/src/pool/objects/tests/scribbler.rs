//! A process that writes garbage all over the object that it was granted, for ever, while this one works on it.
//!
//! Whatever it writes, each operation here comes to a value or an error, in time; and what the other process was not
//! granted, or may only read, stays as it is.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::super::Entry;
use super::any::{Answer, Given};
use super::player::{Player, Task, Thread};
use super::process::Process;
use super::stage::{Stage, arguments};
use crate::shm::object::PARTIES_MAX;
use crate::shm::object::ground::Rights;
use crate::shm::region::{Region, Writer};

/// How long each kind of object is scribbled on.
const TIME: Duration = Duration::from_millis(1500);

/// Longest wait that an operation below is given.
const DEADLINE: Duration = Duration::from_millis(5);

/// Longest that an operation may take beyond its deadline: ten seconds because somebody seems to be inside, ten more
/// because records seem to change without a pause, and all that a busy machine adds.
const RECOVERY_MAX: Duration = Duration::from_secs(40);

/// Longest that an operation may take once the scribbler is buried: half of what a stopped holder is waited for.
const LEFT_MAX: Duration = Duration::from_secs(5);

/// Threads that work on the object.
const THREADS: usize = 3;

/// What every object has to bear: the end of a call, and the burying of somebody who died.
const OF_ALL: &str = "end_call; bury";

/// What is done with an object's lock.
const OF_LOCKS: &str = "acquire_for 5; try_acquire; release; release";

/// Makes a test for each kind of object, with what is done to it.
macro_rules! scribbled {
    ($($name:ident: $made:literal, $($steps:expr),+;)+) => {$(
        #[test]
        fn $name() {
            survives($made, &[OF_ALL, $($steps),+]);
        }
    )+};
}
scribbled! {
    a_scribbled_value: "it = value 5", OF_LOCKS,
        "get; set 3; swap 4; fetch_add 1; fetch_sub 2; fetch_min 3; fetch_max 9; fetch_and 7; fetch_or 8",
        "fetch_xor 1; compare_exchange 1 2; update_double";
    a_scribbled_array: "it = array [1, 2, 3, 4]",
        "len; get 3; get 4; set 0 1; fetch_add 2 0.5; read 0 4; write 1 [2, 3]; fill 0 4 9; to_vec";
    a_scribbled_lock: "it = lock", OF_LOCKS, "is_locked";
    a_scribbled_rlock: "it = rlock", OF_LOCKS, "is_locked";
    a_scribbled_semaphore: "it = semaphore 3",
        "available; try_acquire_kept; acquire_for_kept 5; release 1; release 3";
    a_scribbled_bounded_semaphore: "it = bounded_semaphore 3",
        "available; try_acquire_kept; acquire_for_kept 5; release 1; release 3";
    a_scribbled_condition: "it = condition", OF_LOCKS, "wait_for 5; notify 1; notify_all";
    a_scribbled_event: "it = event", "set; clear; is_set; wait_for 5";
    a_scribbled_barrier: "it = barrier 2",
        "wait_for 5; wait_for 5; abort; reset; reset; n_waiting; is_broken";
    a_scribbled_queue: "it = queue 4",
        "try_put 1; put_for \"text\" 5; try_get; get_for 5; take_in_hand 5; len; is_empty; is_full; close";
    a_scribbled_joinable_queue: "it = joinable_queue 4",
        "put_for [1, 2] 5; get_for 5; take_in_hand 5; task_done; join_for 5; len";
    a_scribbled_reporting_queue: "it = reporting_queue 4",
        "put_for 7 5; get_for 5; take_in_hand 5; take_reported; len";
    a_scribbled_pipe: "it = pipe", "send_for {\"a\": 1} 5; send_for 2 5; recv_for 5; poll 5";
    a_scribbled_list: "it = list",
        "len; get 0; get -1; set 0 [1]; push \"more\"; insert 1 2; extend [1, 2, 3]; pop; pop_at 0",
        "remove_at -1; clear; to_vec; slice 1 3; touch 0";
    a_scribbled_dict: "it = dict",
        "len; get 1; insert 1 2; insert \"b\" [3]; remove 1; pop \"b\"; contains_key 1; set_default 3 4; touch 1",
        "extend [[1, 2], [3, 4]]; keys; values; items; clear";
    a_scribbled_namespace: "it = namespace",
        "len; get \"x\"; set \"x\" 1; set \"y\" [2]; delete \"x\"; contains \"y\"; clear";
}

/// Lets a process scribble on an object while threads work on it, and on objects that it must not write to.
fn survives(made: &str, steps: &[&str]) {
    let seed = seed();
    let stage = Stage::with([made, "apart = value 0", "shown = value 0"]);
    let is_granted = |entry: &Arc<Entry>| entry.name != "apart";
    let rights = |entry: &Entry| if entry.name == "shown" { Rights::Read } else { Rights::ReadWrite };
    let granted = stage.entries().into_iter().filter(is_granted);
    let mut scribbler = Process::start_with(granted.map(|entry| (Arc::clone(&entry), rights(&entry))).collect());
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
        worker.begin(Task::part("work", &[json!(steps.join("; ")), json!(own_seed)]));
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
    assert!(scribbler.is_alive(), "it scribbles until it is killed");
    scribbler.die();
    work_on_what_is_left(&stage, &steps.join("; "));
    for object in stage.entries() {
        stage.perform(&object.name, "drop", &[]).expect("it can be dropped");
    }
    assert!(seen.iter().all(|seen| seen["done"].as_u64() > Some(0)), "{seen:?}");
}

/// Does each step once: whatever the last words of the scribbler were, nobody waits for it any more.
fn work_on_what_is_left(stage: &Stage, steps: &str) {
    for (name, step) in objects_of(stage).iter().flat_map(|name| steps.split("; ").map(move |step| (name, step))) {
        let began = Instant::now();
        // An error is as good as a value.
        let _ = perform(stage, name, step);
        assert!(began.elapsed() < LEFT_MAX, "{name} {step} took {:?}", began.elapsed());
    }
}

/// Names of the objects that are scribbled on: both ends of a pipe are.
fn objects_of(stage: &Stage) -> Vec<String> {
    let names = stage.entries().into_iter().map(|entry| entry.name.clone());
    names.filter(|name| name.starts_with("it")).collect()
}

fn perform(stage: &Stage, object: &str, step: &str) -> Answer {
    let (operation, given) = step.split_once(' ').unwrap_or((step, ""));
    stage.perform(object, operation, &arguments(given))
}

/// Does random steps until the time is over.
pub(super) fn work(stage: &Stage, given: &mut Given<'_>) -> Json {
    let steps = given.text();
    let steps: Vec<&str> = steps.split("; ").collect();
    let mut random = Random(given.json().as_u64().expect("a seed"));
    let names = objects_of(stage);
    let (started, mut slowest, mut done, mut answered) = (Instant::now(), Duration::ZERO, 0_u64, 0_u64);
    while started.elapsed() < TIME {
        let step = steps[random.below(steps.len())];
        let began = Instant::now();
        let answer = perform(stage, &names[random.below(names.len())], step);
        let took = began.elapsed();
        assert!(took < DEADLINE + RECOVERY_MAX, "{step} took {took:?}");
        slowest = slowest.max(took);
        done += 1;
        answered += u64::from(answer.is_ok());
    }
    json!({ "done": done, "answered": answered, "slowest_ms": slowest.as_millis() as u64 })
}

/// Counts until the time is over, and answers how far.
pub(super) fn count_in_time(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (name, started, mut count) = (given.text(), Instant::now(), 0);
    while started.elapsed() < TIME {
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
    loop {
        if random.below(100) == 0 {
            // From the first state, the others get somewhere before it is noted.
            restore(words, &earlier[0]);
            pause(20_000);
            earlier[1 + random.below(STATES - 1)] = look(words);
        }
        scribble_once(words, &earlier[random.below(STATES)], &mut random);
        pause(random.below(2000));
    }
}

/// Earlier states that a scribbler remembers; the first is that of a new object.
const STATES: usize = 4;

/// Words of the header and of what follows it: where every object has what matters most.
const HEAD_WORDS: usize = 64;

fn look(words: &[AtomicU64]) -> Vec<u64> {
    words.iter().map(|word| word.load(Relaxed)).collect()
}

fn restore(words: &[AtomicU64], state: &[u64]) {
    words.iter().zip(state).for_each(|(word, state)| word.store(*state, Relaxed));
}

fn pause(turns: usize) {
    (0..turns).for_each(|_| std::hint::spin_loop());
}

fn scribble_once(words: &[AtomicU64], earlier: &[u64], random: &mut Random) {
    let within = if random.below(2) == 0 { HEAD_WORDS } else { words.len() };
    let start = random.below(within);
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

/// A small generator (SplitMix64, Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Repeats what a run has written, though not when.
const SEED_VARIABLE: &str = "WASMPOOL_TEST_SEED";

fn seed() -> u64 {
    let given = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
    })
}

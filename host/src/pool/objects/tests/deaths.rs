//! A process that is killed at any instant of any operation, as the kernel kills: nothing is spoilt, nobody hangs.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::any::Given;
use super::kinds::{Kind, of_each_kind};
use super::player::{Player, Task, Thread, WATCHDOG};
use super::process::Process;
use super::random::{Random, SEED_VARIABLE, seed};
use super::scribbler::{objects_of, perform, work_on_what_is_left};
use super::stage::Stage;

/// Deaths of each kind of object.
const DEATHS: usize = 8;

/// Most operations before a death.
const STEPS_MAX: usize = 300;

of_each_kind!(survives_deaths);

/// Kills process after process while it works on an object, and this one does, too.
fn survives_deaths(kind: &Kind) {
    let seed = seed();
    let mut random = Random(seed);
    let stage = Stage::with([kind.made, "progress = value 0"]);
    let mut survivor = Thread::start(&stage);
    for death in 0..DEATHS {
        let mut doomed = Process::start(&stage);
        let steps = json!(kind.steps());
        doomed.begin(Task::part("work to death", &[steps.clone(), json!(random.next())]));
        survivor.begin(Task::part("work", &[steps, json!(random.next()), json!(20)]));
        await_progress(&stage, random.below(STEPS_MAX));
        doomed.die();
        let came_to = survivor.end().unwrap_or_else(|failure| panic!("{failure}: {SEED_VARIABLE}={seed}"));
        assert_eq!(came_to.get("Poisoned"), None, "death {death}: {SEED_VARIABLE}={seed}");
    }
    drop(survivor);
    let left = work_on_what_is_left(&stage, &kind.steps());
    assert!(!left.contains(&Err("Poisoned".into())), "{left:?}: {SEED_VARIABLE}={seed}");
}

/// Waits until the process has done so many steps, all counted from now.
fn await_progress(stage: &Stage, steps: usize) {
    let progress = || perform(stage, "progress", "get").expect("a number").as_i64().expect("a number");
    let (first, started) = (progress(), Instant::now());
    while progress() < first + steps as i64 {
        assert!(started.elapsed() < WATCHDOG, "it does nothing");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Does random steps and says so after each, until the process is killed.
pub(super) fn work_to_death(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (steps, mut random) = (given.text(), Random(given.json().as_u64().expect("a seed")));
    let (steps, names) = (steps.split("; ").collect::<Vec<_>>(), objects_of(stage));
    loop {
        // A failure is one of the things that can come of it.
        let _ = perform(stage, &names[random.below(names.len())], steps[random.below(steps.len())]);
        perform(stage, "progress", "fetch_add 1").expect("nothing is in its way");
    }
}

//! Workers that lie: each loses its own calls and nothing else.
//!
//! Every lie is told by one of a pool's first two workers. Calls that the liar was not given have exact results, and
//! so do the calls of another module in the same pool afterwards; what may become of the liar's own calls is said in
//! a table.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmpool::lies::Lie;
use wasmpool::{Builder, Error, ErrorKind, Exit, Failure, FailureKind, Outcome, Pool};
use wasmpool_tests::stage::Stage;
use wasmpool_tests::watchdog::{SetWhenDropped, Watchdog, wait_until};
use wasmpool_tests::{builder, directory_of_programs, tasks_path};

wasmpool::test_support!();

/// Cubes a number after some tens of microseconds.
const CUBE: &str = r#"(module (func (export "cube") (param $n i64) (result i64)
  (local $turns i64)
  (local.set $turns (i64.const 20000))
  (loop $again
    (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
    (br_if $again (i64.ne (local.get $turns) (i64.const 0))))
  (i64.mul (local.get $n) (i64.mul (local.get $n) (local.get $n)))))"#;

/// Calls of a round.
const CALLS: i64 = 300;

/// Rounds in which a lie has to have been told.
const ROUNDS_MAX: i64 = 200;

/// Longest time of a call where a worker stalls. Honest calls take microseconds.
const CALL_TIME_MAX: Duration = Duration::from_secs(2);

/// How calls are entered, which is how results travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Numbers, in the batch driver.
    Batch,
    /// Numbers, one by one.
    Each,
    /// Values, in the guest's own loop.
    Pull,
}

use Way::{Batch, Each, Pull};

/// What becomes of the calls that a liar was given.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// They are run again: all results are exact.
    Healed,
    /// Some of them, at least one, fail so; the others are exact.
    Fail(FailureKind),
    /// Some of them, at least one, have wrong results; the others are exact.
    Wrong,
    /// Anything, as long as each has one outcome.
    Any,
}

use Fate::{Any, Fail, Healed, Wrong};

const BAD_RESULT: Fate = Fail(FailureKind::BadResult);
const FAILED: Fate = Fail(FailureKind::Failed);
const TIMED_OUT: Fate = Fail(FailureKind::TimedOut);

/// A lie, how its calls travel, in which chunk it is told, and what comes of that.
type Row = (Lie, Way, u32, Fate);

fn check_all(rows: &[Row]) {
    for (lie, way, chunk, fate) in rows {
        let stage = Stage::set(*lie, |script| script.chunk = *chunk);
        check(&stage, *way, *fate, 3);
    }
}

/// A pool of two workers, of which one may lie.
fn pool_of(stage: &Stage, change: impl FnOnce(Builder) -> Builder) -> Pool {
    change(builder(2).worker_executable(stage.executable())).build().expect("a pool")
}

/// Runs rounds of calls until the lie is told, and one more; returns each call's number and outcome.
///
/// A result is given as the number that it is the right answer to, if it is right.
fn rounds(pool: &Pool, stage: &Stage, way: Way, retries: u32) -> Vec<(i64, Outcome<bool>)> {
    let mut outcomes = Vec::new();
    let mut add = |first: i64, round: Result<Vec<Outcome<bool>>, Error>| {
        let round = round.unwrap_or_else(|error| panic!("{:?} {way:?}: {error}", stage.script.lie));
        assert_eq!(round.len(), CALLS as usize);
        outcomes.extend((first..).zip(round));
    };
    let mut run: Box<dyn FnMut(i64)> = if way == Pull {
        let module = pool.load(tasks_path()).expect("wasm-tasks");
        let echo = module.task::<String, String>("echo_text").expect("a task").retries(retries);
        Box::new(move |first| {
            let round = echo.map_outcomes((first..first + CALLS).map(|number| number.to_string()));
            let judge =
                |(number, outcome): (i64, Outcome<String>)| outcome.map(|text| text == number.to_string());
            add(first, round.map(|round| (first..).zip(round).map(judge).collect()));
        })
    } else {
        let module = pool.load_bytes("cube", CUBE.as_bytes()).expect("a module");
        let cube = module.task::<i64, i64>("cube").expect("a task").retries(retries).fresh(way == Each);
        Box::new(move |first| {
            let round = cube.map_outcomes(first..first + CALLS);
            let judge =
                |(number, outcome): (i64, Outcome<i64>)| outcome.map(|cube| cube == number.wrapping_pow(3));
            add(first, round.map(|round| (first..).zip(round).map(judge).collect()));
        })
    };
    let mut round = 1;
    while !stage.script.is_told() {
        assert!(round <= ROUNDS_MAX, "{:?} {way:?} was not told in {ROUNDS_MAX} rounds", stage.script.lie);
        run(round * CALLS);
        round += 1;
    }
    run(round * CALLS);
    drop(run);
    outcomes
}

/// Whether a module that nobody lies about has exact results in this pool.
fn check_another_module(pool: &Pool, what: &str) {
    let other =
        r#"(module (func (export "next") (param i64) (result i64) (i64.add (local.get 0) (i64.const 1))))"#;
    let other = pool.load_bytes("other", other.as_bytes()).expect("a module");
    let next = other.task::<i64, i64>("next").expect("a task").timeout(Duration::from_secs(300));
    assert!(next.map(0..1000).expect("results").into_iter().eq(1..1001), "{what}");
}

fn check(stage: &Stage, way: Way, fate: Fate, retries: u32) {
    let what = format!("{:?} {way:?} in chunk {}", stage.script.lie, stage.script.chunk);
    let _watchdog = Watchdog::start();
    let is_limited = matches!(fate, Fail(FailureKind::TimedOut) | Any);
    let pool = pool_of(stage, |builder| match is_limited {
        true => builder.timeout(CALL_TIME_MAX),
        false => builder.max_output(64 << 10),
    });
    let outcomes = rounds(&pool, stage, way, retries);
    let offered = stage.script.offered();
    let mut own = 0;
    for (number, outcome) in &outcomes {
        let was_offered = offered.iter().any(|offered| offered.contains(number));
        let is_as_said = match (outcome, fate) {
            (Ok(true), _) => continue,
            (_, Any) => true,
            (Ok(false), Wrong) => was_offered,
            (Err(failure), Fail(kind)) => {
                check_words(failure);
                // One that never said what it was given says it by its seat.
                (was_offered || offered.is_empty()) && failure.kind() == kind
            }
            _ => false,
        };
        assert!(is_as_said, "{what}: call {number} came to {outcome:?}; the liar had {offered:?}");
        own += 1;
    }
    match fate {
        Fail(_) | Wrong => assert!(own > 0, "{what}: the lie changed nothing"),
        Healed | Any => {}
    }
    check_another_module(&pool, &what);
}

/// A failure's message is bounded text, whatever a worker wrote.
fn check_words(failure: &Failure) {
    // Each byte that is no text has become a character of three.
    assert!(failure.message().len() <= 3 * (16 << 10), "{} bytes of message", failure.message().len());
}

#[test]
fn lies_before_the_module_cost_nothing_but_a_worker() {
    let lies = [
        Lie::WrongVersion,
        Lie::NeverGreets,
        Lie::GreetsLate,
        Lie::GreetsInGarbage,
        Lie::GreetsAtLength,
        Lie::GreetsWithNothing,
        Lie::GreetsWithDescriptors,
        Lie::ClosesAtOnce,
        Lie::EndsAtOnce,
        Lie::ReadyTooEarly,
        Lie::ReadyWithDescriptors,
        Lie::RefusesLoudly,
        Lie::SaysSomethingElse,
        Lie::FloodsTheSocket,
    ];
    check_all(&lies.map(|lie| (lie, Batch, 1, Healed)));
}

#[test]
fn lies_in_the_range_word_change_no_result() {
    check_all(&[
        (Lie::RangeOfAnotherOrder, Batch, 1, Healed),
        (Lie::RangeOfAnotherOrder, Pull, 4, Healed),
        (Lie::RangePastItsEnd, Batch, 2, Healed),
        (Lie::RangePastItsEnd, Each, 1, Healed),
        (Lie::RangeBeyondTheChunk, Batch, 3, Healed),
        (Lie::RangeBeyondTheChunk, Pull, 3, Healed),
        (Lie::RangeFlips, Batch, 4, Any),
        (Lie::RangeFlips, Each, 4, Any),
        (Lie::KeepsWhatWasCut, Batch, 5, Healed),
        (Lie::KeepsWhatWasCut, Each, 5, Healed),
    ]);
}

#[test]
fn a_worker_that_stalls_pays_with_one_call_whatever_it_names() {
    check_all(&[
        (Lie::Stalls, Batch, 1, TIMED_OUT),
        (Lie::Stalls, Pull, 3, TIMED_OUT),
        (Lie::NamesCallsBeyond, Batch, 2, TIMED_OUT),
        (Lie::NamesAnotherOrder, Each, 1, TIMED_OUT),
        (Lie::NamesNothing, Pull, 1, TIMED_OUT),
        // Others take its calls, or one of them times out.
        (Lie::ReadyForNothing, Batch, 1, Any),
    ]);
}

#[test]
fn a_worker_that_stalls_gains_no_time_by_naming_others() {
    check_all(&[
        (Lie::NamesCallsAtRandom, Batch, 3, TIMED_OUT),
        (Lie::EvadesTheStop, Batch, 3, TIMED_OUT),
        (Lie::EvadesTheStop, Pull, 1, TIMED_OUT),
        (Lie::StopsItself, Each, 2, TIMED_OUT),
    ]);
}

#[test]
fn counts_that_do_not_add_up_are_not_taken() {
    check_all(&[
        (Lie::CountsTooMany, Batch, 3, Wrong),
        (Lie::CountsTooMany, Each, 1, BAD_RESULT),
        (Lie::CountsTooMany, Each, 3, Any),
        (Lie::CountsTooMany, Pull, 1, BAD_RESULT),
        (Lie::CountsBackwards, Batch, 4, Healed),
        (Lie::CountsBackwards, Pull, 4, Healed),
        (Lie::CountsForAnotherOrder, Batch, 1, Healed),
        (Lie::CountsForAnotherOrder, Pull, 2, Healed),
        (Lie::EndsTooEarly, Batch, 2, Healed),
        (Lie::EndsTooEarly, Each, 1, Healed),
        // Where the order before has ended, too, nobody can tell; the worker then waits for an order that is gone.
        (Lie::EndsWhatItWasNotGiven, Batch, 1, Any),
        (Lie::EndsWhatItWasNotGiven, Pull, 3, Any),
        (Lie::EndsWhatItWasNotGiven, Batch, 5, Any),
        (Lie::WasBusyForAges, Batch, 2, Healed),
        (Lie::IsFullForEver, Pull, 4, Any),
        (Lie::IsFullForEver, Batch, 4, Any),
    ]);
}

#[test]
fn results_are_read_once_and_judged_by_their_own_bytes() {
    check_all(&[
        (Lie::LengthBeyondTheSlot, Each, 1, Healed),
        (Lie::LengthBeyondTheSlot, Pull, 3, Healed),
        (Lie::LengthsBeyondTheSlot, Pull, 4, Any),
        (Lie::LengthsOverlap, Each, 3, BAD_RESULT),
        (Lie::ResultsOfGarbage, Each, 1, BAD_RESULT),
        (Lie::ResultsOfGarbage, Pull, 1, BAD_RESULT),
        (Lie::ResultsOfAnotherType, Pull, 3, BAD_RESULT),
        (Lie::ResultsTooDeep, Pull, 1, BAD_RESULT),
        (Lie::ResultsTooLong, Pull, 3, BAD_RESULT),
        (Lie::ResultsChange, Batch, 4, Any),
        (Lie::ResultsChange, Each, 4, Any),
        (Lie::ResultsChange, Pull, 4, Any),
    ]);
}

#[test]
fn failures_are_told_in_bounded_words_or_not_at_all() {
    check_all(&[
        (Lie::EndsInNoKnownWay, Each, 1, Healed),
        (Lie::EndsInNoKnownWay, Pull, 3, Healed),
        (Lie::RecordsBeyondTheSlot, Batch, 1, Healed),
        (Lie::RecordCutOff, Batch, 2, Healed),
        (Lie::RecordTooLong, Batch, 1, Healed),
        (Lie::RecordOfNoCall, Batch, 1, Healed),
        (Lie::RecordsOutOfOrder, Batch, 4, Any),
    ]);
    for lie in [Lie::MessageBeyondItsBytes, Lie::MessageForATerminal, Lie::MessageTooLong] {
        // A call that failed would be tried again.
        check(&Stage::set(lie, |_| ()), Pull, FAILED, 0);
        check(&Stage::set(lie, |_| ()), Each, FAILED, 0);
    }
}

#[test]
fn lines_that_do_not_add_up_and_lines_without_end_cost_the_worker() {
    check_all(&[
        (Lie::RingBeyondItsEnd, Batch, 1, Healed),
        (Lie::RingBackwards, Pull, 1, Healed),
        (Lie::LineBeyondTheRing, Each, 2, Healed),
        (Lie::LineCutOff, Batch, 1, Healed),
        (Lie::PrintsForEver, Batch, 1, Healed),
        (Lie::PrintsForEver, Pull, 3, Healed),
        (Lie::PrintsNothingForEver, Batch, 1, Healed),
    ]);
}

#[test]
fn nothing_else_that_a_worker_does_harms_others() {
    check_all(&[
        (Lie::SleepsOnNothing, Batch, 1, Healed),
        (Lie::SleepsFarBeyond, Pull, 1, Healed),
        (Lie::RingsForEver, Batch, 1, Healed),
        (Lie::RingsForEver, Pull, 3, Healed),
        (Lie::ClosesInMidChunk, Batch, 2, Healed),
        (Lie::PanicsAndLives, Pull, 1, Healed),
        (Lie::ScribblesForEver, Batch, 2, Any),
        (Lie::ScribblesForEver, Pull, 3, Any),
        (Lie::ScribblesAfterDeath, Batch, 3, Any),
        (Lie::ScribblesAfterDeath, Each, 1, Any),
    ]);
}

#[test]
fn a_worker_that_ends_loses_the_call_that_it_named() {
    for code in [0, 3, 134] {
        let stage = Stage::set(Lie::Exits, |script| script.number = code);
        check(&stage, Pull, Fail(FailureKind::WorkerLost(Exit::Code(code))), 0);
    }
    // Hang-up, interrupt, quit, illegal, trap, abort, bus, float, kill, user, fault, pipe, alarm, terminate, system.
    for signal in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 31] {
        let stage = Stage::set(Lie::DiesBySignal, |script| script.number = signal);
        let fate = match signal {
            // The standard library has programs ignore it, so the liar stalls.
            13 => continue,
            _ => Fail(FailureKind::WorkerLost(Exit::Signal(signal))),
        };
        check(&stage, Pull, fate, 0);
    }
}

#[test]
fn a_worker_that_broke_the_protocol_is_said_to_have() {
    let _watchdog = Watchdog::start();
    let stage = Stage::set(Lie::PrintsForEver, |_| ());
    // With nobody else to take its calls away, one of them pays.
    let pool = pool_of(&stage, |builder| builder.max_output(64 << 10).workers(1));
    let outcomes = rounds(&pool, &stage, Pull, 0);
    let failures: Vec<Failure> = outcomes.into_iter().filter_map(|(_, outcome)| outcome.err()).collect();
    let [lost] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(lost.kind(), FailureKind::WorkerLost(Exit::Signal(9)));
    assert!(lost.message().contains("broke the protocol and was killed: it printed more"), "{lost}");
}

#[test]
fn a_worker_that_never_ends_its_chunk_holds_up_nobody() {
    check_all(&[(Lie::NeverEnds, Batch, 3, Healed), (Lie::NeverEnds, Pull, 3, Healed)]);
}

#[test]
fn a_worker_that_stalls_without_a_limit_ends_with_its_pool() {
    let _watchdog = Watchdog::start();
    let stage = Stage::set(Lie::Stalls, |_| ());
    let pool = pool_of(&stage, |builder| builder.timeout(Duration::from_secs(365 * 24 * 3600)));
    let module = pool.load_bytes("cube", CUBE.as_bytes()).expect("a module");
    let cube = module.task::<i64, i64>("cube").expect("a task");
    std::thread::scope(|scope| {
        let stuck = scope
            .spawn(|| (0..ROUNDS_MAX).find_map(|round| cube.map(round * CALLS..(round + 1) * CALLS).err()));
        wait_until(|| stage.script.is_told());
        check_another_module(&pool, "a stalled worker");
        drop(pool);
        let ended = stuck.join().expect("no panic").expect("an error");
        assert!(matches!(ended.kind(), ErrorKind::Call | ErrorKind::Closed), "{:?}: {ended}", ended.kind());
    });
}

#[test]
fn another_pool_notices_nothing() {
    let _watchdog = Watchdog::start();
    let honest = builder(1).build().expect("a pool");
    let honest = honest.load_bytes("cube", CUBE.as_bytes()).expect("a module");
    let cube = honest.task::<i64, i64>("cube").expect("a task");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                let cubes = cube.map(0..CALLS).expect("results");
                assert!(cubes.into_iter().eq((0..CALLS).map(|number| number.pow(3))));
                rounds += 1;
            }
            rounds
        });
        let end = SetWhenDropped(&is_over);
        for lie in [Lie::ScribblesForEver, Lie::RingsForEver, Lie::RangeFlips, Lie::ResultsChange] {
            let stage = Stage::set(lie, |script| script.liars = 2);
            check(&stage, Batch, Any, 3);
        }
        drop(end);
        assert!(others.join().expect("no panic") > 0);
    });
}

/// What comes of a job all of whose workers lie, however many are started.
fn all_lie(lie: Lie, way: Way, change: impl FnOnce(Builder) -> Builder) -> Result<Vec<Outcome<bool>>, Error> {
    let _watchdog = Watchdog::start();
    let stage = Stage::set(lie, |script| script.liars = 1000);
    let pool = pool_of(&stage, change);
    let module = pool.load_bytes("cube", CUBE.as_bytes())?;
    let cube = module.task::<i64, i64>("cube")?.fresh(way == Each);
    let outcomes = cube.map_outcomes(0..4)?;
    Ok((0i64..).zip(outcomes).map(|(number, cube)| cube.map(|cube| cube == number.pow(3))).collect())
}

#[test]
fn where_all_workers_lie_a_job_ends_all_the_same() {
    let rows = [
        (Lie::EndsTooEarly, Batch, ErrorKind::Quarantined, "ended a chunk with calls outstanding"),
        (Lie::CountsForAnotherOrder, Each, ErrorKind::Quarantined, "broke the protocol"),
        // They count a call before they lie about its result, which is no success.
        (Lie::LengthBeyondTheSlot, Each, ErrorKind::Quarantined, "results overrun"),
        (Lie::RecordTooLong, Batch, ErrorKind::Quarantined, "failure records"),
        (Lie::RefusesLoudly, Batch, ErrorKind::Quarantined, "could not load it"),
        (Lie::SaysSomethingElse, Batch, ErrorKind::Quarantined, "while it loaded the module"),
        (Lie::EndsAtOnce, Batch, ErrorKind::SetUp, "did not answer"),
        (Lie::WrongVersion, Batch, ErrorKind::SetUp, "speaks version"),
        (Lie::GreetsInGarbage, Batch, ErrorKind::SetUp, "did not answer"),
    ];
    for (lie, way, kind, words) in rows {
        let error = all_lie(lie, way, |builder| builder).expect_err("nobody is honest");
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{lie:?}: {text}");
        assert!(text.contains(words), "{lie:?}: {text}");
        assert!(text.len() < 100_000 && !text.contains('\x1b'), "{lie:?}: {} bytes", text.len());
    }
}

#[test]
fn where_all_workers_stall_and_name_nothing_each_call_times_out() {
    for lie in [Lie::NamesNothing, Lie::NamesAnotherOrder, Lie::EvadesTheStop] {
        let outcomes = all_lie(lie, Batch, |builder| builder.timeout(Duration::from_millis(200)));
        for outcome in outcomes.expect("outcomes") {
            assert_eq!(outcome.map_err(|failure| failure.kind()), Err(FailureKind::TimedOut), "{lie:?}");
        }
    }
}

#[test]
fn workers_that_claim_to_sleep_on_nothing_bring_no_others() {
    let _watchdog = Watchdog::start();
    let stage = Stage::set(Lie::SleepsOnNothing, |script| script.liars = 2);
    let pool = pool_of(&stage, |builder| builder);
    let module = pool.load_bytes("cube", CUBE.as_bytes()).expect("a module");
    let cube = module.task::<i64, i64>("cube").expect("a task");
    for round in 0..20 {
        let calls = round * 10 * CALLS..(round + 1) * 10 * CALLS;
        let cubes = cube.map(calls.clone()).expect("results");
        assert!(cubes.into_iter().eq(calls.map(|number| number.pow(3))));
        assert!(pool.worker_pids().len() <= 2, "{:?}", pool.worker_pids());
    }
    assert!(stage.script.is_told());
}

#[test]
fn what_a_lying_compiler_sends_is_no_module() {
    let rows = [
        (Lie::CompilesToNothing, ErrorKind::SetUp, "wrote no code"),
        (Lie::CompilesToTooMuch, ErrorKind::Quarantined, "could not load it"),
        (Lie::CompilesToNoFile, ErrorKind::SetUp, "wrote no code"),
        (Lie::CompilesToWords, ErrorKind::Module, "is not valid"),
        (Lie::CompilesToGarbage, ErrorKind::Quarantined, "could not load it"),
    ];
    for (lie, kind, words) in rows {
        let error = all_lie(lie, Batch, Builder::no_cache).expect_err("there is no code");
        let text = std::error::Error::source(&error)
            .map_or(error.to_string(), |source| format!("{error}: {source}"));
        assert_eq!(error.kind(), kind, "{lie:?}: {text}");
        assert!(text.contains(words), "{lie:?}: {text}");
        assert!(!text.contains('\x1b'), "{lie:?}: {text:?}");
    }
}

#[test]
fn a_named_executable_runs_the_workers() {
    let _watchdog = Watchdog::start();
    let pool = builder(2).worker_executable(directory_of_programs().join("wasmpool-under-test"));
    check_another_module(&pool.build().expect("a pool"), "the command itself");
}

#[test]
fn an_executable_that_makes_no_workers_is_an_error() {
    let _watchdog = Watchdog::start();
    let refused = builder(1).worker_executable("/nowhere/at/all").build().expect_err("no such file");
    assert_eq!(refused.kind(), ErrorKind::Setting, "{refused}");
    assert!(refused.to_string().contains("`/nowhere/at/all`"), "{refused}");
    // One that builds a pool of its own must not start itself over and over.
    for program in ["/bin/true".into(), directory_of_programs().join("without-init")] {
        let pool = builder(1).no_cache().worker_executable(&program).build().expect("a pool");
        let refused = pool.load_bytes("cube", CUBE.as_bytes()).expect_err("no compiler");
        assert!(matches!(refused.kind(), ErrorKind::Module | ErrorKind::SetUp), "{refused}");
    }
}

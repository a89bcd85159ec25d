//! What one call leaves behind for the next: in fresh instances nothing, whatever the call did and however it ended.
//!
//! A call plants a *canary*, sixteen random bytes, wherever it can; the next one hunts for it. Every hunter is shown to
//! find its prey first, in an instance that is kept: one that is blind would prove nothing. There is one worker, so
//! that both run in one process, and the second in the very memory that the first has left.

use std::time::Duration;

use wasmpool::FailureKind::{self, Exited, OutOfMemory, Panicked, TimedOut, Trapped, WorkerLost};
use wasmpool::{Builder, Exit, Module, Task};
use wasmpool_tests::random::Random;
use wasmpool_tests::{Fixture, Lines, builder, failure, processes, tasks_in, text_in};

wasmpool::test_support!();

/// How long a planter may go on that never ends by itself.
const SHORT: Duration = Duration::from_millis(300);

/// Sixteen random bytes, as two numbers neither of which is zero.
fn canary(random: &mut Random) -> (i64, i64) {
    let mut number = || random.below(u64::MAX - 1).cast_signed() | 1;
    (number(), number())
}

/// A module that plants and hunts in all that WebAssembly has, and begins with so many pages of memory.
///
/// `act(role, canary, canary, pages)` plants for the roles 0 to 4, after growing its memory to so many pages, and then
/// returns, traps, exits, runs out of memory, or tells so by a line and turns round for ever. For role 9 it grows its
/// memory as far and answers what it found, one bit each:
///
/// 1 the canary in memory that it began with, 2 in memory that it grew, 4 in its second memory, 8 a table that is not
/// as it was, 16 a global that is not, 32 sizes that are not, 64 data that was written over.
fn leaving(pages: u32) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory $memory (export "memory") {pages})
          (memory $second 1)
          (table $table 10 funcref)
          (global $first (mut i64) (i64.const 7))
          (global $last (mut i64) (i64.const 8))
          (elem declare func $itself)
          (data (memory $memory) (i32.const 4096) "untouched")
          (func $itself)
          (func $fill (param $from i32) (param $to i32) (param $a i64) (param $b i64)
            (loop $again
              (if (i32.lt_u (local.get $from) (local.get $to)) (then
                (i64.store $memory (local.get $from) (local.get $a))
                (i64.store $memory offset=8 (local.get $from) (local.get $b))
                (local.set $from (i32.add (local.get $from) (i32.const 16)))
                (br $again)))))
          (func $is_there (param $from i32) (param $to i32) (param $a i64) (param $b i64) (result i32)
            (loop $again
              (if (i32.lt_u (local.get $from) (local.get $to)) (then
                (if (i64.eq (i64.load $memory (local.get $from)) (local.get $a)) (then (return (i32.const 1))))
                (if (i64.eq (i64.load $memory (local.get $from)) (local.get $b)) (then (return (i32.const 1))))
                (local.set $from (i32.add (local.get $from) (i32.const 8)))
                (br $again))))
            (i32.const 0))
          (func $bit (param $is_set i32) (param $bit i64) (result i64)
            (select (local.get $bit) (i64.const 0) (local.get $is_set)))
          (func $grow (param $pages i32)
            (if (i32.gt_u (local.get $pages) (memory.size $memory))
              (then (drop (memory.grow $memory (i32.sub (local.get $pages) (memory.size $memory)))))))
          (func $plant (param $a i64) (param $b i64) (param $pages i32)
            (call $grow (local.get $pages))
            (call $fill (i32.const 0) (i32.mul (memory.size $memory) (i32.const 65536)) (local.get $a) (local.get $b))
            (i64.store $second (i32.const 8) (local.get $a))
            (i64.store $second (i32.const 65528) (local.get $b))
            (drop (memory.grow $second (i32.const 1)))
            (i64.store $second (i32.const 131064) (local.get $b))
            (drop (table.grow $table (ref.func $itself) (i32.const 1000)))
            (table.fill $table (i32.const 0) (ref.func $itself) (i32.const 10))
            (global.set $first (local.get $a))
            (global.set $last (local.get $b)))
          (func $hunt (param $a i64) (param $b i64) (param $pages i32) (result i64)
            (local $sizes i32)
            (local.set $sizes (i32.or
              (i32.ne (memory.size $memory) (i32.const {pages}))
              (i32.or (i32.ne (memory.size $second) (i32.const 1)) (i32.ne (table.size $table) (i32.const 10)))))
            (drop (memory.grow $second (i32.const 1)))
            (drop (table.grow $table (ref.null func) (i32.const 990)))
            (call $grow (local.get $pages))
            (i64.or
              (call $bit (local.get $sizes) (i64.const 32))
              (i64.or
                (i64.or
                  (call $bit (call $is_there (i32.const 0) (i32.mul (i32.const {pages}) (i32.const 65536))
                    (local.get $a) (local.get $b)) (i64.const 1))
                  (call $bit (call $is_there (i32.mul (i32.const {pages}) (i32.const 65536))
                    (i32.mul (memory.size $memory) (i32.const 65536)) (local.get $a) (local.get $b)) (i64.const 2)))
                (i64.or
                  (i64.or
                    (call $bit (i64.ne (i64.const 0) (i64.or (i64.load $second (i32.const 8))
                      (i64.or (i64.load $second (i32.const 65528)) (i64.load $second (i32.const 131064)))))
                      (i64.const 4))
                    (call $bit (i32.eqz (i32.and
                      (i32.and (ref.is_null (table.get $table (i32.const 0))) (ref.is_null (table.get $table (i32.const 9))))
                      (i32.and (ref.is_null (table.get $table (i32.const 10))) (ref.is_null (table.get $table (i32.const 999))))))
                      (i64.const 8)))
                  (i64.or
                    (call $bit (i32.or (i64.ne (global.get $first) (i64.const 7))
                      (i64.ne (global.get $last) (i64.const 8))) (i64.const 16))
                    (call $bit (i64.ne (i64.load $memory (i32.const 4096)) (i64.const 0x656863756f746e75))
                      (i64.const 64)))))))
          (func (export "act") (param $role i32) (param $a i64) (param $b i64) (param $pages i32) (result i64)
            (if (i32.eq (local.get $role) (i32.const 9))
              (then (return (call $hunt (local.get $a) (local.get $b) (local.get $pages)))))
            (call $plant (local.get $a) (local.get $b) (local.get $pages))
            (if (i32.eq (local.get $role) (i32.const 1)) (then (unreachable)))
            (if (i32.eq (local.get $role) (i32.const 2)) (then (call $exit (i32.const 5))))
            (if (i32.eq (local.get $role) (i32.const 3)) (then
              (loop $again (br_if $again (i32.ge_s (memory.grow $memory (i32.const 64)) (i32.const 0))))
              (unreachable)))
            (if (i32.eq (local.get $role) (i32.const 4)) (then
              (i64.store $memory (i32.const 0) (i64.const 0x0000_0002_0000_0010))
              (i32.store16 $memory (i32.const 16) (i32.const 0x0a21))
              (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
              (loop $again (br $again))))
            (i64.const 0)))"#
    )
}

const EVERYTHING: i64 = 127;

const RETURNS: i32 = 0;
const TRAPS: i32 = 1;
const EXITS: i32 = 2;
const STARVES: i32 = 3;
const SPINS: i32 = 4;
const HUNTS: i32 = 9;

/// What the planter that never ends prints before that.
const PLANTED: &str = "!";

type Act = (i32, i64, i64, i32);

/// A planter and hunter, and another module with the same code.
struct Ground {
    fixture: Fixture,
    act: Task<Act, i64>,
    foreign: Task<Act, i64>,
    lines: Lines,
    /// Pages to which memory grows.
    pages: i32,
}

impl Ground {
    fn new(first_pages: u32, of: fn(Builder) -> Builder) -> Self {
        let lines = Lines::default();
        let builder = of(builder(1)).max_memory(192 << 20).on_output(lines.taker());
        let fixture = text_in(builder, "leaving", &leaving(first_pages));
        let act = |module: &Module| module.task::<Act, i64>("act").expect("a task");
        let foreign = fixture.pool.load_bytes("foreign", leaving(first_pages).as_bytes()).expect("a module");
        let (act, foreign) = (act(&fixture.module), act(&foreign));
        Self { fixture, act, foreign, lines, pages: first_pages.cast_signed() + 100 }
    }

    fn plants(&self, (a, b): (i64, i64), role: i32) -> Result<i64, FailureKind> {
        let act = if role == SPINS { self.act.clone().timeout(SHORT) } else { self.act.clone() };
        act.apply((role, a, b, self.pages)).map_err(|error| error.failure().expect("a call's end").kind())
    }

    fn hunts(&self, (a, b): (i64, i64)) -> i64 {
        self.act.apply((HUNTS, a, b, self.pages)).expect("what was found")
    }

    /// Plants, and has the worker killed in the midst of the call.
    fn plants_and_is_killed(&self, (a, b): (i64, i64)) {
        let before = self.lines.all().iter().filter(|line| *line == PLANTED).count();
        std::thread::scope(|scope| {
            let planting = scope.spawn(|| self.act.apply((SPINS, a, b, self.pages)));
            self.lines.wait_for(PLANTED, before + 1);
            processes::kill(&processes::workers(&self.fixture.pool));
            let lost = failure(planting.join().expect("no panic"));
            assert_eq!(lost.kind(), WorkerLost(Exit::Signal(9)), "{lost}");
        });
    }
}

/// Memories at the start: below, at and above what is cleared by hand rather than given back to the kernel, 2 MiB.
const FIRST_PAGES: [u32; 5] = [1, 16, 32, 33, 1024];

/// How a planter ends, and what that is called.
const ENDINGS: [(i32, Result<i64, FailureKind>); 5] = [
    (RETURNS, Ok(0)),
    (TRAPS, Err(Trapped)),
    (EXITS, Err(Exited(5))),
    (STARVES, Err(OutOfMemory)),
    (SPINS, Err(TimedOut)),
];

#[test]
fn the_hunter_finds_everything_in_an_instance_that_is_kept() {
    let mut random = Random::from_environment();
    for first_pages in FIRST_PAGES {
        let ground = Ground::new(first_pages, |builder| builder);
        let canary = canary(&mut random);
        assert_eq!(ground.hunts(canary), 0, "{first_pages} pages: nothing is planted yet");
        let ground = Ground::new(first_pages, |builder| builder);
        assert_eq!(ground.plants(canary, RETURNS), Ok(0));
        assert_eq!(ground.hunts(canary), EVERYTHING, "{first_pages} pages");
    }
}

#[test]
fn a_fresh_instance_holds_nothing_of_the_last_one_however_that_ended() {
    let mut random = Random::from_environment();
    for first_pages in FIRST_PAGES {
        let ways: [fn(Builder) -> Builder; 2] = [|builder| builder.fresh(true), |builder| builder.recycle(1)];
        for (way, of) in ["fresh", "recycled after each call"].into_iter().zip(ways) {
            let ground = Ground::new(first_pages, of);
            for (role, ending) in ENDINGS {
                let canary = canary(&mut random);
                assert_eq!(ground.plants(canary, role), ending, "{way}, {first_pages} pages");
                for hunt in 1..=3 {
                    let found = ground.hunts(canary);
                    assert_eq!(found, 0, "{way}, {first_pages} pages, after {ending:?}, hunt {hunt}");
                }
            }
            let canary = canary(&mut random);
            ground.plants_and_is_killed(canary);
            assert_eq!(ground.hunts(canary), 0, "{way}, {first_pages} pages, after a kill");
        }
    }
}

#[test]
fn a_kept_instance_goes_with_the_call_that_failed_in_it_and_all_that_it_held() {
    let mut random = Random::from_environment();
    for first_pages in FIRST_PAGES {
        let ground = Ground::new(first_pages, |builder| builder);
        for (role, ending) in ENDINGS.into_iter().skip(1) {
            let canary = canary(&mut random);
            assert_eq!(ground.plants(canary, role), ending, "{first_pages} pages");
            assert_eq!(ground.hunts(canary), 0, "{first_pages} pages, after {ending:?}");
        }
    }
}

#[test]
fn a_recycled_instance_goes_after_its_last_call() {
    let mut random = Random::from_environment();
    for first_pages in FIRST_PAGES {
        let ground = Ground::new(first_pages, |builder| builder.recycle(2));
        let canary = canary(&mut random);
        assert_eq!(ground.plants(canary, RETURNS), Ok(0));
        assert_eq!(ground.hunts(canary), EVERYTHING, "{first_pages} pages: the second call");
        assert_eq!(ground.hunts(canary), 0, "{first_pages} pages: the third call");
    }
}

#[test]
fn another_module_finds_nothing_whatever_is_kept() {
    let mut random = Random::from_environment();
    for (_, of) in wasmpool_tests::ways_to_keep_instances() {
        let ground = Ground::new(33, of);
        for (role, ending) in ENDINGS {
            let canary = canary(&mut random);
            assert_eq!(ground.plants(canary, role), ending);
            let (a, b) = canary;
            let found = ground.foreign.apply((HUNTS, a, b, ground.pages)).expect("what was found");
            // It may have been there before, and is kept; but of this canary it has no byte.
            assert_eq!(found & 0b111, 0, "after {ending:?}");
        }
    }
}

#[test]
fn calls_of_one_job_find_nothing_of_each_other() {
    let mut random = Random::from_environment();
    let ground = Ground::new(16, |builder| builder.fresh(true));
    let (a, b) = canary(&mut random);
    let inputs = (0..200).map(|call| (if call % 2 == 0 { RETURNS } else { HUNTS }, a, b, ground.pages));
    assert_eq!(ground.act.map(inputs).expect("what was found"), [0; 200]);
    let mixed = (0..200).map(|call| (if call % 2 == 0 { TRAPS } else { HUNTS }, a, b, ground.pages));
    let outcomes = ground.act.map_outcomes(mixed).expect("outcomes");
    assert!(outcomes.into_iter().skip(1).step_by(2).all(|found| found.is_ok_and(|found| found == 0)));
}

/// Drops its passive segments, or uses them.
const SEGMENTS: &str = r#"(module
  (memory 1) (table 10 funcref) (func $f)
  (data $data "once") (elem $elements func $f)
  (func (export "drop") (data.drop $data) (elem.drop $elements))
  (func (export "use")
    (memory.init $data (i32.const 0) (i32.const 0) (i32.const 4))
    (table.init $elements (i32.const 0) (i32.const 0) (i32.const 1))))"#;

#[test]
fn segments_that_a_call_has_dropped_are_there_for_the_next_one() {
    for (is_fresh, way) in [(false, "kept"), (true, "fresh")] {
        let fixture = text_in(builder(1).fresh(is_fresh), "segments", SEGMENTS);
        let task = |name| fixture.module.task::<(), ()>(name).expect("a task");
        task("use").apply(()).expect("they are there");
        task("drop").apply(()).expect("dropped");
        let used = task("use").apply(());
        assert_eq!(used.is_ok(), is_fresh, "{way}: {used:?}");
    }
}

/// Prints what it is given, as two numbers of eight bytes, without the end of a line, and then returns or traps.
const PRINTER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\10\00\00\00")
  (func (export "print") (param $a i64) (param $b i64) (param $trap i32)
    (i64.store (i32.const 16) (local.get $a))
    (i64.store (i32.const 24) (local.get $b))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (if (local.get $trap) (then (unreachable)))))"#;

#[test]
fn a_line_that_a_call_has_not_ended_is_not_the_next_ones() {
    let letters = |letter: u8| i64::from_le_bytes([letter; 8]);
    let line = |letter: char| letter.to_string().repeat(16);
    let lines = Lines::default();
    let fixture = text_in(builder(1).fresh(true).on_output(lines.taker()), "printer", PRINTER);
    let print = fixture.module.task::<(i64, i64, i32), ()>("print").expect("a task");
    let calls = (0..100).map(|call| {
        let letter = letters(b'a' + call % 26);
        (letter, letter, i32::from(call % 3 == 0))
    });
    let outcomes = print.map_outcomes(calls).expect("outcomes");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 34);
    let expected: Vec<String> = (0..100).map(|call| line(char::from(b'a' + call % 26))).collect();
    assert_eq!(lines.all(), expected);
}

/// Takes an item without room for it, or fetches what is staged.
const STAGING: &str = r#"(module
  (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
  (import "wasmpool" "shared_get" (func $get (param i32 i64 i32 i32 i32) (result i32)))
  (import "wasmpool" "shared_staged" (func $staged (param i32) (result i32)))
  (import "wasmpool" "shared_refusal" (func $refusal (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "queue")
  (func $take
    (drop (call $get
      (i32.wrap_i64 (call $open (i32.const 0) (i32.const 5) (i32.const -1) (i32.const -1)))
      (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
  (func (export "take") (result i32) (call $take) (i32.const 0))
  (func (export "take_and_fetch") (result i32) (call $take) (call $staged (i32.const 1024)))
  (func (export "fetch") (result i32) (call $staged (i32.const 1024)))
  ;; Refused, so that there would be something to say about it.
  (func (export "ask_in_vain") (result i32)
    (i32.wrap_i64 (call $open (i32.const 1000) (i32.const 5) (i32.const -1) (i32.const -1))))
  (func (export "ask_and_tell") (result i32)
    (drop (call $open (i32.const 1000) (i32.const 5) (i32.const -1) (i32.const -1)))
    (call $refusal (i32.const 1024) (i32.const 1024)))
  (func (export "reason") (result i32) (call $refusal (i32.const 1024) (i32.const 1024))))"#;

#[test]
fn what_a_call_has_staged_or_was_refused_is_nothing_to_the_next_one() {
    for (_, of) in wasmpool_tests::ways_to_keep_instances() {
        let fixture = text_in(of(builder(1)), "staging", STAGING);
        let queue = fixture.pool.queue::<String>("queue", 4).expect("a queue");
        let module = fixture.module.clone().grant(&queue);
        // As long as there is one that has been called, its workers stay, and so do their instances.
        let first = module.task::<(), i32>("ask_and_tell").expect("a task");
        assert!(first.apply(()).expect("a number") > 8, "there is something to say");
        let call = |task| module.task::<(), i32>(task).expect("a task").apply(()).expect("a number");
        queue.put("a secret").expect("room");
        assert!(call("take_and_fetch") > 8, "what is staged can be fetched");
        queue.put("a secret").expect("room");
        assert_eq!(call("take"), 0);
        assert_eq!(call("fetch"), 0, "it was staged for another call");
        assert!(call("ask_in_vain") < 0);
        assert_eq!(call("reason"), 0, "another call was refused");
    }
}

/// Where a task of the SDK can leave marks.
const PLACES: [&str; 6] = ["heap", "freed heap", "statics", "thread", "stack", "output"];

/// Memory in which marks are looked for.
const HUNTED_BYTES: [usize; 3] = [0, 3 << 20, 64 << 20];

/// A canary in disguise.
type Disguise = (u64, u64);

fn disguise(random: &mut Random) -> Disguise {
    (random.below(u64::MAX), random.below(u64::MAX))
}

fn hunts(module: &Module, disguise: Disguise, bytes: usize) -> usize {
    module
        .task::<(Disguise, usize), usize>("hunts")
        .expect("a task")
        .apply((disguise, bytes))
        .expect("a number")
}

fn plants(module: &Module, place: &'static str, disguise: Disguise) {
    let plants = module.task::<(&str, Disguise), ()>("plants").expect("a task");
    plants.apply((place, disguise)).expect("planted");
}

#[test]
fn a_task_finds_marks_of_the_last_one_in_a_kept_instance_and_none_in_a_fresh_one() {
    let mut random = Random::from_environment();
    let kept = tasks_in(builder(1));
    let fresh = tasks_in(builder(1).fresh(true));
    for place in PLACES {
        let disguise = disguise(&mut random);
        plants(&kept.module, place, disguise);
        assert!(hunts(&kept.module, disguise, 0) > 0, "{place}: the hunter is blind");
        for bytes in HUNTED_BYTES {
            plants(&fresh.module, place, disguise);
            assert_eq!(hunts(&fresh.module, disguise, bytes), 0, "{place}, {bytes} bytes");
        }
    }
}

#[test]
fn a_task_finds_no_marks_after_a_panic_or_a_kill() {
    let mut random = Random::from_environment();
    for (way, of) in wasmpool_tests::ways_to_keep_instances() {
        let fixture = tasks_in(of(builder(1)));
        let ends = |task: &str, limit: Option<Duration>, place, disguise| {
            let task = fixture.module.task::<(&str, Disguise), ()>(task).expect("a task");
            let task = limit.map_or(task.clone(), |limit| task.timeout(limit));
            failure(task.apply((place, disguise))).kind()
        };
        for place in PLACES {
            let disguise = disguise(&mut random);
            assert_eq!(ends("plants_and_panics", None, place, disguise), Panicked);
            assert_eq!(hunts(&fixture.module, disguise, 3 << 20), 0, "{way}, {place}, after a panic");
        }
        let disguise = disguise(&mut random);
        assert_eq!(ends("plants_and_spins", Some(SHORT), "freed heap", disguise), TimedOut);
        assert_eq!(hunts(&fixture.module, disguise, 3 << 20), 0, "{way}, after a time-out");
    }
}

#[test]
fn a_variable_that_a_task_has_set_is_not_there_for_the_next_one() {
    let mut random = Random::from_environment();
    for is_fresh in [false, true] {
        let fixture = tasks_in(builder(1).fresh(is_fresh));
        plants(&fixture.module, "environment", disguise(&mut random));
        let found = fixture.module.task::<(), bool>("hunts_in_environment").expect("a task").apply(());
        assert_eq!(found.expect("an answer"), !is_fresh);
    }
}

#[test]
fn what_passed_through_shared_objects_is_found_in_them_alone() {
    let mut random = Random::from_environment();
    for is_fresh in [false, true] {
        let fixture = tasks_in(builder(1).fresh(is_fresh));
        let array = fixture.pool.array::<u64>("array", 2000).expect("an array");
        let queue = fixture.pool.queue::<Vec<u64>>("queue", 2).expect("a queue");
        let module = fixture.module.clone().grant(&array).grant(&queue);
        let disguise = disguise(&mut random);
        let plants = module.task::<(Disguise,), ()>("plants_in_shared").expect("a task");
        plants.apply((disguise,)).expect("planted");
        let elements = array.to_vec().expect("elements");
        assert!(elements[0] != 0 && elements.iter().step_by(2).all(|element| *element == elements[0]));
        assert_eq!(hunts(&module, disguise, 3 << 20) > 0, !is_fresh, "with the grants");
        assert_eq!(hunts(&fixture.module, disguise, 3 << 20), 0, "without them");
    }
}

#[test]
fn no_two_fresh_calls_have_the_same_random_bytes() {
    let fixture = tasks_in(builder(1).fresh(true));
    let mut numbers =
        fixture.module.task::<(), u64>("random").expect("a task").map([(); 500]).expect("numbers");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 500);
}

//! Hostile modules that aim at arrays that appear in their own memory, and at objects that they may only look at.

use wasmpool::FailureKind::{BadResult, TimedOut, Trapped, WorkerLost};
use wasmpool::{Error, ErrorKind, Exit, Module};
use wasmpool_tests::failure;
use wasmpool_tests::sharing::{array, attack, for_reading, sharing};
use wasmpool_tests::siege::{Attack, Expected, SHORT, withstand};

wasmpool::test_support!();

const NOTHING_AMISS: Expected = Expected::Returns("0");
const OUT_OF_BOUNDS: Expected = Expected::Ends(Trapped, "lies outside the guest's memory");

/// Where the view of all elements begins.
const VIEW: &str = "(local.set $h (i32.wrap_i64
    (call $map (call $open (i32.const 48)) (i32.const MODE) (i64.const 0) (i64.const 100000))))";

/// With a view for reading at `$h`.
fn reading(body: &str) -> Vec<u8> {
    sharing(&format!("{} {body}", VIEW.replace("MODE", "1")))
}

/// With a view that others write to, too, at `$h`.
fn writing(body: &str) -> Vec<u8> {
    sharing(&format!("{} {body}", VIEW.replace("MODE", "0")))
}

const VIEWS: [Attack; 9] = [
    attack(
        "a store to a view for reading",
        array,
        || reading("(i64.store (local.get $h) (i64.const 7))"),
        Expected::Ends(Trapped, "a store to a view for reading"),
    ),
    attack(
        "a fill of a view for reading",
        array,
        || reading("(memory.fill (local.get $h) (i32.const 7) (i32.const 8))"),
        Expected::Ends(WorkerLost(Exit::Signal(11)), ""),
    ),
    Attack {
        call: until_given_up,
        ..attack(
            "fills of a view for reading, again and again",
            array,
            || reading("(memory.fill (local.get $h) (i32.const 7) (i32.const 8))"),
            Expected::Returns("given up"),
        )
    },
    attack(
        "host functions that write to a view for reading",
        array,
        || {
            reading(
                "(drop (call $shared_op (call $open (i32.const 48)) (i32.const 2) (i64.const 0) (i64.const 0)
                   (local.get $h)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "a view taken away twice",
        array,
        || {
            writing(
                "(call $expect (i32.const 0) (call $unmap (local.get $h)))
                 (call $expect (i32.const -22) (call $unmap (local.get $h)))
                 (call $expect (i32.const -22) (call $unmap (i32.const 0)))
                 (call $expect (i32.const -22) (call $unmap (i32.const -1)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a store to where a view was",
        array,
        || writing("(drop (call $unmap (local.get $h))) (i64.store (local.get $h) (i64.const 7))"),
        Expected::Ends(Trapped, "where a view was"),
    ),
    attack(
        "views without end",
        array,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 48)))
                 (loop $again
                   (local.set $j (i32.wrap_i64
                     (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 100000))))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $again (i32.gt_s (local.get $j) (i32.const 0))))
                 (call $expect (i32.const -17) (local.get $j))
                 (call $expect (i32.const 257) (local.get $i))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "views of what is not there",
        array,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 48)))
                 (call $expect (i32.const -9) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 100001))))
                 (call $expect (i32.const -9) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 0) (i64.const -1) (i64.const 1))))
                 (call $expect (i32.const -22) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 0) (i64.const 5) (i64.const 5))))
                 (call $expect (i32.const -22) (i32.wrap_i64
                   (call $map (local.get $h) (i32.const 4) (i64.const 0) (i64.const 5))))",
            )
        },
        NOTHING_AMISS,
    ),
    Attack {
        call: in_flux,
        ..attack(
            "a result that changes while it is read",
            array,
            results_in_flux,
            Expected::Returns("bounded"),
        )
    },
];

/// Kills worker after worker, until the pool runs the module no more.
fn until_given_up(module: &Module) -> Result<String, Error> {
    let attack = module.task::<(), i64>("attack")?;
    for _ in 0..10 {
        match attack.apply(()) {
            Err(error) if error.kind() == ErrorKind::Quarantined => return Ok("given up".into()),
            ended => assert_eq!(failure(ended).kind(), WorkerLost(Exit::Signal(11))),
        }
    }
    Ok("still there".into())
}

const FOR_READING: [Attack; 1] = [attack(
    "writing what may be read",
    for_reading,
    || {
        sharing(
            "(local.set $h (call $open (i32.const 48)))
             (call $expect (i32.const -13)
               (call $cell (local.get $h) (i32.const 1) (i64.const 0) (i64.const 7) (i64.const 0) (i32.const 0)))
             (call $expect (i32.const -13)
               (call $slice (local.get $h) (i32.const 1) (i64.const 0) (i32.const 0) (i64.const 8)))
             (call $expect (i32.const -13)
               (call $slice (local.get $h) (i32.const 2) (i64.const 0) (i32.const 0) (i64.const 8)))
             (call $expect (i32.const -13) (i32.wrap_i64
               (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 5))))
             (call $expect (i32.const -23) (i32.wrap_i64
               (call $map (local.get $h) (i32.const 1) (i64.const 0) (i64.const 5))))
             (call $expect (i32.const -13) (call $op (local.get $h) (i32.const 4)))
             (call $expect (i32.const -13) (call $op (call $open (i32.const 80)) (i32.const 9)))
             (call $expect (i32.const -13) (call $op (call $open (i32.const 112)) (i32.const 10)))
             (call $expect (i32.const -13)
               (call $put (call $open (i32.const 16)) (i32.const 0) (i32.const 1) (i64.const 0)))
             (call $expect (i32.const -13)
               (call $get (call $open (i32.const 16)) (i64.const 0) (i32.const 65536) (i32.const 9) (i32.const 0)))",
        )
    },
    NOTHING_AMISS,
)];

/// Two tasks: `flip` turns the bytes of the array into numbers, texts, lists and nonsense for ever; `attack` hands back
/// as its result what lies there, and prints it, too.
fn results_in_flux() -> Vec<u8> {
    br#"(module
      (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
      (import "wasmpool" "shared_map" (func $map (param i32 i32 i64 i64) (result i64)))
      (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
      (import "wasmpool" "done" (func $done (param i32 i32 i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "array")
      (func $view (result i32)
        (i32.wrap_i64 (call $map
          (i32.wrap_i64 (call $open (i32.const 0) (i32.const 5) (i32.const -1) (i32.const -1)))
          (i32.const 0) (i64.const 0) (i64.const 100000))))
      (func (export "flip") (result i64)
        (local $view i32) (local $n i64)
        (local.set $view (call $view))
        (loop $again
          (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
          (i64.store (local.get $view) (local.get $n))
          (br $again))
        (unreachable))
      (func (export "wasmpool:task:attack") (param i32)
        (local $view i32)
        (drop (call $next (i32.const 1024) (i32.const 1024)))
        (local.set $view (call $view))
        (i32.store (i32.const 64) (local.get $view))
        (i32.store (i32.const 68) (i32.const 8))
        (drop (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 72)))
        (call $done (i32.const 0) (local.get $view) (i32.const 8))))"#
        .to_vec()
}

/// Every result is a number or none at all.
fn in_flux(module: &Module) -> Result<String, Error> {
    let flip = module.task::<(), i64>("flip")?.timeout(SHORT);
    let attack = module.task::<(), Vec<i64>>("attack")?;
    std::thread::scope(|scope| {
        let flipping = scope.spawn(|| flip.apply(()));
        while !flipping.is_finished() {
            for failure in attack.map_outcomes([(); 20])?.into_iter().filter_map(Result::err) {
                assert_eq!(failure.kind(), BadResult, "{failure}");
            }
        }
        let flipped = failure(flipping.join().expect("no panic"));
        assert_eq!(flipped.kind(), TimedOut, "{flipped}");
        Ok("bounded".into())
    })
}

#[test]
fn views_end_where_they_end() {
    withstand(&VIEWS);
}

#[test]
fn what_may_be_read_is_not_written() {
    withstand(&FOR_READING);
}

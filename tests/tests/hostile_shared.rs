//! Hostile modules that aim at what they share with others: held for ever, filled, closed, given back twice, taken and
//! dropped, and asked for what it cannot do.

use wasmpool::Failure;
use wasmpool::FailureKind::{TimedOut, Trapped};
use wasmpool_tests::sharing::{any_queue, array, attack, everything, lock, queue, seats, sharing};
use wasmpool_tests::siege::{Arrange, Attack, Expected, Weapon, withstand};

wasmpool::test_support!();

const fn hasty(name: &'static str, arrange: Arrange, make: fn() -> Vec<u8>) -> Attack {
    let outcome = Expected::Ends(TimedOut, "longer than its limit of 150ms");
    Attack { name, module: Weapon::Made(make), arrange, outcome, ..Attack::HASTY }
}

const NOTHING_AMISS: Expected = Expected::Returns("0");
const OUT_OF_BOUNDS: Expected = Expected::Ends(Trapped, "lies outside the guest's memory");

const HELD: [Attack; 10] = [
    hasty("a lock held for ever", lock, || {
        sharing(
            "(call $expect (i32.const 0) (call $op (call $open (i32.const 0)) (i32.const 4))) (loop $again (br $again))",
        )
    }),
    attack(
        "a lock never given back",
        lock,
        || sharing("(drop (call $op_for_ever (call $open (i32.const 0)) (i32.const 4)))"),
        NOTHING_AMISS,
    ),
    attack(
        "a lock given back twice, and one that is not held",
        lock,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 0)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 5)))
                 (call $expect (i32.const 0) (call $op_for_ever (local.get $h) (i32.const 4)))
                 (call $expect (i32.const 0) (call $op (local.get $h) (i32.const 5)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 5)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a lock taken twice",
        lock,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 0)))
                 (call $expect (i32.const 0) (call $op_for_ever (local.get $h) (i32.const 4)))
                 (call $expect (i32.const -20) (call $op_for_ever (call $open (i32.const 0)) (i32.const 4)))",
            )
        },
        NOTHING_AMISS,
    ),
    hasty("all permits, asleep", seats, || {
        sharing(
            "(local.set $h (call $open (i32.const 32)))
             (drop (call $op (local.get $h) (i32.const 4))) (drop (call $op (local.get $h) (i32.const 4)))
             (drop (call $op (local.get $h) (i32.const 4)))
             (drop (call $op_for_ever (local.get $h) (i32.const 4)))",
        )
    }),
    attack(
        "permits that nobody took",
        seats,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 32)))
                 (call $expect (i32.const -8) (call $op (local.get $h) (i32.const 5)))
                 (call $expect (i32.const -22)
                   (call $shared_op (local.get $h) (i32.const 5) (i64.const -1) (i64.const 0) (i32.const 0)))
                 (call $expect (i32.const -8)
                   (call $shared_op (local.get $h) (i32.const 5) (i64.const 0xffffffff) (i64.const 0) (i32.const 0)))",
            )
        },
        NOTHING_AMISS,
    ),
    hasty("an event that nobody sets", everything, || {
        sharing("(drop (call $op_for_ever (call $open (i32.const 80)) (i32.const 7)))")
    }),
    Attack {
        call: |module| {
            // More than there are workers, so that others are started to help.
            let outcomes = module.task::<(), i64>("attack")?.map_outcomes([(); 6])?;
            Ok(outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(is_late)).count().to_string())
        },
        outcome: Expected::Returns("6"),
        ..hasty("an event that nobody sets, six times", everything, || {
            sharing("(drop (call $op_for_ever (call $open (i32.const 80)) (i32.const 7)))")
        })
    },
    hasty("a barrier that nobody comes to", everything, || {
        sharing(
            "(drop (call $op (call $open (i32.const 64)) (i32.const 12)))
             (drop (call $op_for_ever (call $open (i32.const 64)) (i32.const 7)))",
        )
    }),
    hasty("an array leased for ever", array, || {
        sharing(
            "(drop (call $map (call $open (i32.const 48)) (i32.const 2) (i64.const 0) (i64.const 100000)))
             (loop $again (br $again))",
        )
    }),
];

fn is_late(failure: &Failure) -> bool {
    failure.kind() == TimedOut
}

const QUEUES: [Attack; 8] = [
    attack(
        "an item taken and dropped",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 65536) (i32.const 100) (i32.const 0)))
                 (unreachable)",
            )
        },
        Expected::Ends(Trapped, "unreachable"),
    ),
    attack(
        "an item taken to outside",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const -8) (i32.const 100) (i32.const 0)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "an item whose length is told outside",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const -7)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "an item staged and fetched to outside",
        queue,
        || {
            sharing(
                "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 0) (i32.const 0) (i32.const 1024)))
                 (drop (call $staged (i32.const -1)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "an item from outside",
        queue,
        || {
            sharing(
                "(drop (call $put (call $open (i32.const 16)) (i32.const 0x7fffff) (i32.const 2) (i64.const 0)))",
            )
        },
        OUT_OF_BOUNDS,
    ),
    attack(
        "a queue filled",
        any_queue,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 16)))
                 (loop $again
                   (br_if $again (i32.eqz (call $put (local.get $h) (i32.const 0) (i32.const 1) (i64.const 0)))))
                 (call $expect (i32.const -3) (call $put (local.get $h) (i32.const 0) (i32.const 1) (i64.const 0)))
                 (call $expect (i32.const -10)
                   (call $put (local.get $h) (i32.const 0) (i32.const 0x700000) (i64.const 0)))
                 (drop (call $op (local.get $h) (i32.const 2)))
                 (call $expect (i32.const 4) (i32.load (i32.const 1024)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a queue closed",
        any_queue,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 16)))
                 (drop (call $op (local.get $h) (i32.const 14)))
                 (drop (call $op (local.get $h) (i32.const 14)))
                 (call $expect (i32.const -4) (call $put (local.get $h) (i32.const 0) (i32.const 1) (i64.const -1)))
                 (call $expect (i32.const -4)
                   (call $get (local.get $h) (i64.const -1) (i32.const 65536) (i32.const 100) (i32.const 0)))",
            )
        },
        NOTHING_AMISS,
    ),
    hasty("a queue that stays empty", any_queue, || {
        sharing(
            "(drop (call $get (call $open (i32.const 16)) (i64.const -1) (i32.const 65536) (i32.const 100) (i32.const 0)))",
        )
    }),
];

const ASKED_IN_VAIN: [Attack; 9] = [
    attack(
        "a thousand handles and more",
        everything,
        || {
            sharing(
                "(loop $again
                   (local.set $h (call $open (i32.const 0)))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $again (i32.ge_s (local.get $h) (i32.const 0))))
                 (call $expect (i32.const -17) (local.get $h))
                 (call $expect (i32.const 1025) (local.get $i))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "objects of others",
        everything,
        || {
            sharing(
                "(call $expect (i32.const -14) (call $open (i32.const 176)))
                 (call $expect (i32.const -14) (call $open (i32.const 1000)))
                 (i64.store (i32.const 2000) (i64.const -1))
                 (call $expect (i32.const -14) (call $open (i32.const 2000)))
                 ;; The bystander's.
                 (i64.store (i32.const 2000) (i64.const 0x7265746e756f63))
                 (call $expect (i32.const -14) (call $open (i32.const 2000)))
                 (call $expect (i32.const -14)
                   (i32.wrap_i64 (call $shared_open (i32.const 0) (i32.const -1) (i32.const -1) (i32.const -1))))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a name outside",
        everything,
        || sharing("(drop (call $shared_open (i32.const -1) (i32.const 4) (i32.const -1) (i32.const -1)))"),
        OUT_OF_BOUNDS,
    ),
    attack(
        "handles that mean nothing",
        everything,
        || {
            sharing(
                "(drop (call $close (call $open (i32.const 0))))
                 (loop $handles
                   (local.set $h (i32.sub (i32.mul (local.get $i) (i32.const 0x1234567)) (i32.const 1)))
                   (call $expect (i32.const -22) (call $op (local.get $h) (local.get $i)))
                   (call $expect (i32.const -22) (call $close (local.get $h)))
                   (call $expect (i32.const -22) (call $put (local.get $h) (i32.const 0) (i32.const 8) (i64.const -1)))
                   (call $expect (i32.const -22)
                     (call $get (local.get $h) (i64.const -1) (i32.const 0) (i32.const 8) (i32.const 0)))
                   (call $expect (i32.const -22) (i32.wrap_i64
                     (call $map (local.get $h) (i32.const 0) (i64.const 0) (i64.const 1))))
                   (call $expect (i32.const -22) (call $unmap (local.get $h)))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (br_if $handles (i32.lt_u (local.get $i) (i32.const 100))))",
            )
        },
        NOTHING_AMISS,
    ),
    Attack {
        call: |module| module.task::<(), i64>("attack")?.apply(()).map(|_| "done".into()),
        ..attack(
            "everything of everything",
            everything,
            || {
                sharing(
                    "(loop $objects
                       (local.set $h (call $open (i32.mul (local.get $i) (i32.const 16))))
                       (local.set $j (i32.const -2))
                       (loop $ops
                         (drop (call $op (local.get $h) (local.get $j)))
                         (drop (call $cell (local.get $h) (local.get $j) (i64.const -1) (i64.const -1) (i64.const 1)
                           (i32.const 1024)))
                         (drop (call $slice (local.get $h) (local.get $j) (i64.const 99999) (i32.const 65536)
                           (i64.const 2)))
                         (drop (call $slice (local.get $h) (local.get $j) (i64.const -1) (i32.const 65536)
                           (i64.const 0x7fffffffffffffff)))
                         (drop (call $record (local.get $h) (local.get $j) (i32.const 0) (i32.const 4) (i64.const -1)
                           (i32.const 0) (i32.const 16) (i32.const 65536) (i32.const 16) (i32.const 1024)))
                         (drop (call $record (local.get $h) (local.get $j) (i32.const 0) (i32.const 0x10000)
                           (i64.const 0x7fffffffffffffff) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0)
                           (i32.const 0)))
                         (drop (call $map (local.get $h) (local.get $j) (i64.const -1) (i64.const 100001)))
                         (drop (call $put (local.get $h) (i32.const 0) (i32.const 7) (i64.const 0)))
                         (drop (call $get (local.get $h) (i64.const 0) (i32.const 65536) (i32.const 3) (i32.const 0)))
                         (drop (call $staged (i32.const 65536)))
                         (drop (call $refusal (i32.const 65536) (i32.const 65536)))
                         (local.set $j (i32.add (local.get $j) (i32.const 1)))
                         (br_if $ops (i32.lt_s (local.get $j) (i32.const 25))))
                       (local.set $i (i32.add (local.get $i) (i32.const 1)))
                       (br_if $objects (i32.lt_u (local.get $i) (i32.const 12))))",
                )
            },
            Expected::Returns("done"),
        )
    },
    attack(
        "four thousand million objects at once",
        everything,
        || sharing("(drop (call $wait (i32.const 0) (i32.const -1) (i64.const -1) (i32.const 0)))"),
        Expected::Returns("0"),
    ),
    attack(
        "a notification without the lock",
        everything,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 144)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 8)))
                 (call $expect (i32.const -7) (call $op_for_ever (local.get $h) (i32.const 7)))
                 (call $expect (i32.const -7) (call $op (local.get $h) (i32.const 5)))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a dictionary filled",
        everything,
        || {
            sharing(
                "(local.set $h (call $open (i32.const 96)))
                 (loop $again
                   (i32.store (i32.const 2000) (local.get $i))
                   (local.set $i (i32.add (local.get $i) (i32.const 1)))
                   (local.set $j (call $record (local.get $h) (i32.const 1) (i32.const 2000) (i32.const 4) (i64.const 0)
                     (i32.const 0) (i32.const 100) (i32.const 0) (i32.const 0) (i32.const 0)))
                   (br_if $again (i32.eqz (local.get $j))))
                 (call $expect (i32.const -11) (local.get $j))
                 (call $expect (i32.const 65) (local.get $i))",
            )
        },
        NOTHING_AMISS,
    ),
    attack(
        "a list lengthened by what is no sequence",
        everything,
        || {
            sharing(
                "(i64.store (i32.const 2000) (i64.const -1))
                 (call $expect (i32.const -22) (call $record (call $open (i32.const 112)) (i32.const 9)
                   (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 2000) (i32.const 8)
                   (i32.const 0) (i32.const 0) (i32.const 0)))",
            )
        },
        NOTHING_AMISS,
    ),
];

#[test]
fn what_is_held_for_ever_comes_back() {
    withstand(&HELD);
}

#[test]
fn queues_keep_their_items() {
    withstand(&QUEUES);
}

#[test]
fn what_cannot_be_is_refused() {
    withstand(&ASKED_IN_VAIN);
}

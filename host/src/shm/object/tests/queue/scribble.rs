//! Somebody writes anything anywhere between operations: refusals and wrong bytes, but no panic and no hang.

use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;
use crate::shm::object::ground::header;
use crate::shm::object::queue::layout::{BELL_DONE, ENDS, HANDS, ITEMS};

fn words() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let interesting = prop_oneof![
        // The header without the mutex, which has the items' ends and the heap's counts; two hands; the first places.
        (1_usize..HANDS / 8),
        (1_usize..header::BELL_A / 8),
        (HANDS / 8 + 8..HANDS / 8 + 24),
        (ITEMS / 8 + 8..ITEMS / 8 + 24),
        any::<usize>(),
    ];
    let value = prop_oneof![0_u64..8, any::<u64>(), (0_u64..4).prop_map(|low| u64::MAX - low), 256_u64..264];
    prop::collection::vec((interesting, value), 0..4)
}

fn operate(queue: &Queue, operation: u8, party: Party) {
    match operation {
        0 | 1 => drop(put_now(queue, party, &[1; 40])),
        2 | 3 => drop(get_now(queue, party)),
        4 => drop(queue.acknowledge(party)),
        5 => drop(queue.task_done(party)),
        6 => queue.end_call(party, CallEnd::Abnormal),
        7 => queue.bury(party),
        8 => drop(queue.take_reported(party)),
        9 => drop((queue.len(), queue.unfinished(), queue.is_closed())),
        10 => drop(queue.wait(&Patience::NONE)),
        11 => {
            // Its next holder repairs.
            let mutex = queue.ground.word32(header::MUTEX);
            let _ = mutex.compare_exchange(0, 1 << 30, Relaxed, Relaxed);
        }
        _ => drop(queue.join(&Patience::NONE)),
    }
}

proptest! {
    #[test]
    fn scribbled_words_spoil_the_queue_and_nothing_else(
        reports in any::<bool>(),
        steps in prop::collection::vec((words(), 0_u8..13, 1_usize..3), 0..60),
    ) {
        let shape = if reports { REPORTING } else { JOINABLE };
        let queue = queue(shape);
        let words = queue.ground.region().len() / 8;
        for (scribbled, operation, number) in steps {
            for (index, value) in scribbled {
                // Whoever writes a holder into the mutex is waited for, for ten seconds: not in this test.
                let offset = (index % words).max(1) * 8;
                queue.ground.word64(offset).store(value, Relaxed);
            }
            operate(&queue, operation, party(number));
            // To see more than the first mistake.
            queue.ground.word32(header::POISONED).store(0, Relaxed);
        }
    }
}

#[test]
fn an_impossible_state_poisons() {
    let (queue, a) = (queue(SHAPE), party(1));
    put_now(&queue, a, b"item").expect("room");
    queue.ground.word64(ENDS).store(u64::MAX / 2, Relaxed);
    assert_eq!(put_now(&queue, a, b""), Err(Refusal::Poisoned));
    assert_eq!(get_now(&queue, a), Err(Refusal::Poisoned));
    assert_eq!(queue.len(), Err(Refusal::Poisoned));
    assert_eq!(queue.wait(&long()), Err(Refusal::Poisoned));
    assert_eq!(queue.close(a), Err(Refusal::Poisoned));
}

#[test]
fn poison_wakes_all_who_sleep_also_those_who_join() {
    let queue = queue(JOINABLE);
    let epochs =
        || [header::BELL_A, header::BELL_B, BELL_DONE].map(|bell| queue.ground.word32(bell).load(Relaxed));
    let before = epochs();
    queue.ground.poison();
    assert!(before.iter().zip(epochs()).all(|(before, now)| *before != now), "a bell is silent");
    assert_eq!(queue.join(&long()), Err(Refusal::Poisoned));
}

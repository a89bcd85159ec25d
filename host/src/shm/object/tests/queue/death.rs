//! Deaths between any two stores: whatever a party was doing, no item is lost, doubled or torn.

use std::sync::atomic::Ordering::Release;

use super::*;
use crate::shm::object::crash::at_every_point;
use crate::shm::object::queue::hand::Phase;
use crate::shm::object::queue::layout::DONE;

const DEAD: usize = 1;
const CORPSE: usize = 2;
const SECOND_CORPSE: usize = 3;
const ALIVE: usize = 4;

/// Number `index`, long enough to be torn.
fn item(index: u8) -> Vec<u8> {
    vec![index; 20 + usize::from(index) * 9]
}

/// What a test expects of the items that its operation may have changed.
#[derive(Clone, Copy, Default)]
struct May {
    /// This item may be put or not if the operation dies, and is put if it lives.
    put: Option<u8>,
    /// This item may be dealt with or not if the operation dies, and is if it lives.
    finish: Option<u8>,
    /// Whether reports may be collected.
    collect: bool,
    /// Whether an item that is dealt with is counted as done.
    counts: bool,
}

/// Kills an operation at every point; then a living party finds everything in order.
///
/// `prepare` puts the items 0, 1, ... and leaves those before `next` in other hands.
fn survive(
    prepare: impl Fn(&Queue),
    items: std::ops::Range<u8>,
    may: May,
    operate: impl Fn(&Queue, Party, &mut Vec<Vec<u8>>),
) {
    for shape in [JOINABLE, REPORTING] {
        let points = at_every_point(|death| {
            let queue = queue(shape);
            prepare(&queue);
            let mut collected = Vec::new();
            let lived = death.strike(|| operate(&queue, party(DEAD), &mut collected)).is_some();
            check_after(&queue, lived, &collected, items.clone(), may);
        });
        assert!(points >= 1, "the operation passes no point");
    }
}

fn check_after(queue: &Queue, lived: bool, collected: &[Vec<u8>], items: std::ops::Range<u8>, may: May) {
    let (dead, alive) = (party(DEAD), party(ALIVE));
    queue.bury(dead);
    queue.bury(dead);

    let counted_before = queue.len().expect("a length");
    let unfinished_before = queue.unfinished().expect("a count");
    let reported = queue.take_reported(alive).expect("reports");
    assert_eq!(queue.len(), Ok(counted_before), "adopting changes no count");
    assert_eq!(queue.unfinished(), Ok(unfinished_before), "adopting changes no count");
    let mut taken = Vec::new();
    while let Ok(item) = get_now(queue, alive) {
        taken.push(item);
        queue.task_done(alive).expect("it is unfinished");
    }
    assert_eq!(taken.len() as u32, counted_before);
    assert!(taken.is_sorted(), "out of order: {taken:?}");
    assert!(reported.is_sorted(), "out of order: {reported:?}");

    // Conservation.
    let mut out: Vec<Vec<u8>> = [taken, reported].concat();
    out.sort();
    let has = |index: u8| out.contains(&item(index));
    let mut expected: Vec<u8> = items.collect();
    let mut finished = 0;
    if let Some(put) = may.put {
        assert!(!lived || has(put), "a put that returned has put");
        expected.extend(has(put).then_some(put));
    }
    if let Some(finish) = may.finish {
        assert!(!lived || !has(finish), "what is dealt with does not come back");
        finished += u64::from(!has(finish));
        expected.retain(|index| *index != finish || has(finish));
    }
    // What a collector had collected is gone with it, the oldest first.
    let gone = expected.iter().filter(|index| !has(**index)).count();
    assert!(gone == collected.len() || !lived && may.collect && gone <= 2, "{gone} items are gone");
    expected.drain(..gone);
    expected.sort_unstable();
    assert_eq!(out, expected.into_iter().map(item).collect::<Vec<_>>());
    let not_counted = if may.counts { 0 } else { finished };
    assert_eq!(queue.unfinished(), Ok(not_counted), "unfinished items");
    if !queue.is_closed() {
        assert_all_room_is_free(queue, alive);
    }
}

fn put_items(queue: &Queue, items: std::ops::Range<u8>) {
    items.for_each(|index| put_now(queue, party(ALIVE), &item(index)).expect("room"));
}

#[test]
fn a_death_while_putting() {
    let may = May { put: Some(2), ..May::default() };
    survive(
        |queue| put_items(queue, 0..2),
        0..2,
        may,
        |queue, dead, _| {
            put_now(queue, dead, &item(2)).expect("room");
        },
    );
    let may = May { put: Some(0), ..May::default() };
    survive(|_| {}, 0..0, may, |queue, dead, _| put_now(queue, dead, &item(0)).expect("room"));
}

#[test]
fn a_death_while_getting() {
    survive(
        |queue| put_items(queue, 0..3),
        0..3,
        May::default(),
        |queue, dead, _| {
            assert_eq!(get_now(queue, dead), Ok(item(0)));
        },
    );
}

#[test]
fn a_death_while_getting_the_next() {
    let may = May { finish: Some(0), ..May::default() };
    for count in 1..4 {
        let prepare = |queue: &Queue| {
            put_items(queue, 0..count);
            get_now(queue, party(DEAD)).expect("an item");
        };
        survive(prepare, 0..count, may, |queue, dead, _| drop(get_now(queue, dead)));
    }
}

#[test]
fn a_death_while_acknowledging() {
    let prepare = |queue: &Queue| {
        put_items(queue, 0..2);
        get_now(queue, party(DEAD)).expect("an item");
    };
    let may = May { finish: Some(0), ..May::default() };
    survive(prepare, 0..2, may, |queue, dead, _| queue.acknowledge(dead).expect("acknowledged"));
    survive(prepare, 0..2, may, |queue, dead, _| queue.end_call(dead, CallEnd::Normal));
    survive(prepare, 0..2, May::default(), |queue, dead, _| queue.end_call(dead, CallEnd::Abnormal));
}

#[test]
fn a_death_while_an_item_is_counted_as_done() {
    let prepare = |queue: &Queue| {
        put_items(queue, 0..3);
        get_now(queue, party(DEAD)).expect("an item");
    };
    let may = May { finish: Some(0), counts: true, ..May::default() };
    survive(prepare, 0..3, may, |queue, dead, _| queue.task_done(dead).expect("counted"));
}

#[test]
fn a_death_while_closing() {
    survive(
        |queue| put_items(queue, 0..2),
        0..2,
        May::default(),
        |queue, dead, _| {
            queue.close(dead).expect("closed");
        },
    );
}

/// Two who died with items in hand, of which nobody has taken care yet.
fn prepare_corpses(queue: &Queue) {
    put_items(queue, 0..4);
    get_now(queue, party(SECOND_CORPSE)).expect("an item");
    get_now(queue, party(CORPSE)).expect("an item");
    queue.bury(party(CORPSE));
    queue.bury(party(SECOND_CORPSE));
}

#[test]
fn a_death_while_dealing_with_the_dead() {
    survive(prepare_corpses, 0..4, May::default(), |queue, dead, _| drop(get_now(queue, dead)));
    let may = May { put: Some(4), ..May::default() };
    let prepare = |queue: &Queue| {
        put_items(queue, 0..3);
        get_now(queue, party(CORPSE)).expect("an item");
        queue.bury(party(CORPSE));
    };
    // Three items of up to 47 bytes and one of 56 fill the heap.
    survive(prepare, 0..3, may, |queue, dead, _| put_now(queue, dead, &item(4)).expect("room"));
}

#[test]
fn a_death_while_collecting_reports() {
    let may = May { collect: true, ..May::default() };
    survive(prepare_corpses, 0..4, may, |queue, dead, collected| {
        *collected = queue.take_reported(dead).expect("reports");
    });
}

/// A party that died under the mutex, in the middle of a phase: before the counter moved, or after.
fn prepare_open_phase(queue: &Queue, phase: Phase, is_committed: bool) {
    let corpse = party(CORPSE);
    put_items(queue, 0..3);
    if phase == Phase::Finishing {
        get_now(queue, corpse).expect("an item");
    }
    let entered = queue.enter(corpse).expect("entered");
    let span = queue.items.span().expect("a span");
    let hand = queue.hand(corpse);
    match phase {
        Phase::Taking => {
            let place = queue.items.place(span.head, &queue.heap).expect("a place");
            hand.announce(place, span.head, span.head);
            if is_committed {
                queue.items.pop(span);
            }
        }
        _ => {
            hand.begin(Phase::Finishing, false, 0);
            queue.ground.word64(DONE).store(u64::from(is_committed), Release);
        }
    }
    std::mem::forget(entered);
    queue.bury(corpse);
}

#[test]
fn a_death_while_repairing_what_a_death_left() {
    for is_committed in [false, true] {
        survive(
            |queue| prepare_open_phase(queue, Phase::Taking, is_committed),
            0..3,
            May::default(),
            |queue, dead, _| drop(get_now(queue, dead)),
        );
        let rest = if is_committed { 1..3 } else { 0..3 };
        survive(
            |queue| prepare_open_phase(queue, Phase::Finishing, is_committed),
            rest,
            May::default(),
            |queue, dead, _| drop(get_now(queue, dead)),
        );
    }
}

#[test]
fn a_death_wakes_those_who_wait() {
    for shape in [JOINABLE, REPORTING] {
        let [queue, theirs] = queues(shape);
        let (a, b, dead) = (party(1), party(2), party(3));
        put_now(&queue, a, &[1; 256]).expect("room");
        get_now(&queue, dead).expect("an item");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| match shape.orphaned {
                Orphaned::GivenBack => theirs.get(b, &long(), &mut Vec::new()),
                Orphaned::Reported => theirs.join(&long()),
            });
            // It may or may not be asleep by now; both are to work.
            std::thread::yield_now();
            queue.bury(dead);
            assert_eq!(waiter.join().expect("no panic"), Ok(()));
        });
    }
}

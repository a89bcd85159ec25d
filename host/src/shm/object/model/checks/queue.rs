//! Queues: every item comes out once and in order, and nobody sleeps on beside an item or room, whoever dies.

use std::sync::Arc;

use loom::thread;
use wasmpool_abi::shared::Refusal;

use super::super::object::ground::{Ground, Rights};
use super::super::object::patience::Patience;
use super::super::object::queue::Queue;
use super::super::object::queue::layout::{DONE, HANDS, ITEMS};
use super::super::object::region::Region;
use super::super::object::spec::{Orphaned, QueueShape};
use super::super::object::{Outcome, Party};
use super::super::{PARTIES_MAX, check, check_deaths, party};

/// Bytes of an item's granule.
const GRANULE: usize = 32;

/// One item, and room for the bytes of two.
const SHAPE: QueueShape = QueueShape {
    items_max: 1,
    bytes_max: 2 * GRANULE as u64,
    joinable: false,
    orphaned: Orphaned::GivenBack,
};

/// Pages of a queue that is as small.
#[derive(Clone)]
struct Pages {
    ground: Ground,
    shape: QueueShape,
}

impl Pages {
    fn new(shape: QueueShape) -> Self {
        let hands =
            (1..PARTIES_MAX).flat_map(|number| (0..4).map(move |word| HANDS + 64 * number + 8 * word));
        let places = (0..8).map(|entry| ITEMS + 64 + 8 * entry);
        let heap = ITEMS + 128;
        let granules = (0..2).map(|granule| heap + 128 + GRANULE * granule);
        let further = [DONE, heap + 64].into_iter().chain(hands).chain(places).chain(granules);
        Self { ground: Ground::new(Arc::new(Region::new(further)), Rights::ReadWrite), shape }
    }

    /// The queue, as each process opens it.
    fn open(&self) -> Queue {
        Queue::open(self.ground.clone(), self.shape)
    }
}

fn put(queue: &Queue, by: Party, item: u8) -> Outcome<()> {
    queue.put(by, &[item], &Patience::endless())
}

fn get(queue: &Queue, by: Party, patience: &Patience<'_>) -> Outcome<u8> {
    let mut item = Vec::new();
    queue.get(by, patience, &mut item)?;
    assert_eq!(item.len(), 1);
    Ok(item[0])
}

/// Takes items until the queue is closed and empty.
fn drain(queue: &Queue, by: Party) -> Vec<u8> {
    let mut items = Vec::new();
    loop {
        match get(queue, by, &Patience::endless()) {
            Ok(item) => items.push(item),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Closed);
                return items;
            }
        }
    }
}

#[test]
fn each_item_comes_out_once_and_in_order_through_a_queue_that_is_always_full_or_empty() {
    check(2, || {
        let pages = Pages::new(SHAPE);
        let producer = {
            let queue = pages.open();
            thread::spawn(move || (1..=3).for_each(|item| put(&queue, party(2), item).expect("room")))
        };
        let queue = pages.open();
        let items = [(); 3].map(|()| get(&queue, party(1), &Patience::endless()));
        assert_eq!(items, [Ok(1), Ok(2), Ok(3)]);
        producer.join().expect("it ends");
    });
}

#[test]
fn an_item_wakes_one_of_two_consumers_and_closing_wakes_both() {
    check(1, || {
        let pages = Pages::new(SHAPE);
        let consumers = [2, 3].map(|number| {
            let queue = pages.open();
            thread::spawn(move || drain(&queue, party(number)))
        });
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        queue.close(party(1)).expect("writable");
        let items = consumers.map(|consumer| consumer.join().expect("it ends")).concat();
        assert_eq!(items, [1]);
    });
}

#[test]
fn an_item_put_behind_one_that_leaves_is_not_overlooked() {
    check(3, || {
        let pages = Pages::new(QueueShape { items_max: 2, ..SHAPE });
        let queue = pages.open();
        let other = {
            let queue = pages.open();
            // Its second put finds an item, and rings no bell.
            thread::spawn(move || {
                (1..=2).for_each(|item| put(&queue, party(2), item).expect("room"));
                get(&queue, party(2), &Patience::endless()).expect("an item")
            })
        };
        let ours = get(&queue, party(1), &Patience::endless()).expect("an item");
        assert_eq!(ours + other.join().expect("it ends"), 3);
    });
}

#[test]
fn closing_wakes_a_producer_that_waits_for_room() {
    check(3, || {
        let pages = Pages::new(SHAPE);
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        let producer = {
            let queue = pages.open();
            thread::spawn(move || put(&queue, party(2), 2))
        };
        queue.close(party(1)).expect("writable");
        assert_eq!(producer.join().expect("it ends"), Err(Refusal::Closed));
        assert_eq!(drain(&queue, party(1)), [1]);
    });
}

#[test]
fn who_gives_up_waiting_takes_neither_an_item_nor_a_wake_up_along() {
    check(1, || {
        let pages = Pages::new(SHAPE);
        let [patient, impatient] = [(2, true), (3, false)].map(|(number, is_patient)| {
            let queue = pages.open();
            thread::spawn(move || {
                let patience = if is_patient { Patience::endless() } else { Patience::short() };
                get(&queue, party(number), &patience)
            })
        });
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        match impatient.join().expect("it ends") {
            Ok(item) => {
                assert_eq!(item, 1);
                put(&queue, party(1), 2).expect("room");
                assert_eq!(patient.join().expect("it ends"), Ok(2));
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TimedOut);
                assert_eq!(patient.join().expect("it ends"), Ok(1));
            }
        }
    });
}

#[test]
fn room_for_bytes_is_made_by_who_acknowledges() {
    check(3, || {
        let pages = Pages::new(QueueShape { items_max: 2, bytes_max: GRANULE as u64, ..SHAPE });
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        let producer = {
            let queue = pages.open();
            thread::spawn(move || put(&queue, party(2), 2))
        };
        assert_eq!(get(&queue, party(1), &Patience::endless()), Ok(1));
        queue.acknowledge(party(1)).expect("writable");
        assert_eq!(producer.join().expect("it ends"), Ok(()));
        assert_eq!(get(&queue, party(1), &Patience::endless()), Ok(2));
    });
}

#[test]
fn an_item_of_a_producer_that_dies_is_put_whole_or_not_at_all() {
    check_deaths(8, 2, |death| {
        let pages = Pages::new(SHAPE);
        let producer = {
            let (queue, death) = (pages.open(), death.clone());
            thread::spawn(move || {
                let lived = death.strike(|| put(&queue, party(2), 1).expect("room")).is_some();
                queue.bury(party(2));
                put(&queue, party(3), 2).expect("room");
                queue.close(party(3)).expect("writable");
                lived
            })
        };
        let items = drain(&pages.open(), party(1));
        let lived = producer.join().expect("it ends");
        assert!(items == [1, 2] || !lived && items == [2], "{items:?}");
    });
}

#[test]
fn an_item_in_the_hand_of_the_dead_returns_to_the_front_once() {
    check_deaths(8, 2, |death| {
        let pages = Pages::new(QueueShape { items_max: 2, ..SHAPE });
        let queue = pages.open();
        (1..=2).for_each(|item| put(&queue, party(1), item).expect("room"));
        queue.close(party(1)).expect("writable");
        let consumer = {
            let (queue, death) = (pages.open(), death.clone());
            thread::spawn(move || {
                let (patience, mut item) = (Patience::endless(), Vec::with_capacity(1));
                let got = death.strike(|| queue.get(party(2), &patience, &mut item));
                queue.bury(party(2));
                got.is_some()
            })
        };
        let mut items = drain(&queue, party(1));
        consumer.join().expect("it ends");
        // Buried twice, it has nothing to give back the second time.
        queue.bury(party(2));
        // What returned after all was drained.
        items.extend(drain(&queue, party(3)));
        items.sort_unstable();
        assert_eq!(items, [1, 2]);
    });
}

#[test]
fn an_item_that_is_acknowledged_by_one_who_dies_is_gone_or_returns_whole() {
    check_deaths(4, 2, |death| {
        let pages = Pages::new(QueueShape { items_max: 2, joinable: true, ..SHAPE });
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        assert_eq!(get(&queue, party(2), &Patience::endless()), Ok(1));
        let consumer = {
            let (queue, death) = (pages.open(), death.clone());
            thread::spawn(move || {
                let lived = death.strike(|| queue.task_done(party(2)).expect("unfinished")).is_some();
                queue.bury(party(2));
                lived
            })
        };
        put(&queue, party(1), 2).expect("room");
        queue.close(party(1)).expect("writable");
        let lived = consumer.join().expect("it ends");
        let items = drain(&queue, party(3));
        assert_eq!(queue.unfinished(), Ok(items.len() as u64));
        assert!(items == [2] || !lived && items == [1, 2], "{items:?}");
    });
}

#[test]
fn who_joins_wakes_when_the_last_item_is_done() {
    check(3, || {
        let pages = Pages::new(QueueShape { joinable: true, ..SHAPE });
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        let consumer = {
            let queue = pages.open();
            thread::spawn(move || {
                assert_eq!(get(&queue, party(2), &Patience::endless()), Ok(1));
                queue.task_done(party(2)).expect("unfinished");
            })
        };
        queue.join(&Patience::endless()).expect("done in the end");
        assert_eq!(queue.unfinished(), Ok(0));
        consumer.join().expect("it ends");
    });
}

#[test]
fn an_item_counts_while_it_returns_from_the_dead() {
    check(3, || {
        let pages = Pages::new(SHAPE);
        let queue = pages.open();
        put(&queue, party(1), 1).expect("room");
        assert_eq!(get(&queue, party(2), &Patience::endless()), Ok(1));
        queue.bury(party(2));
        let adopter = {
            let queue = pages.open();
            thread::spawn(move || drop(queue.take_reported(party(3))))
        };
        assert_eq!(queue.len(), Ok(1));
        adopter.join().expect("it ends");
    });
}

//! How a queue behaves; deaths, models and scribblers have files of their own.

mod death;
mod model;
mod scribble;
mod stress;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::shared::Refusal;

use super::party;
use crate::shm::object::ground::{Ground, Rights};
use crate::shm::object::patience::{Patience, Unnoticed};
use crate::shm::object::queue::layout::reported_max;
use crate::shm::object::queue::{Queue, bytes};
use crate::shm::object::spec::{Orphaned, QueueShape};
use crate::shm::object::{CallEnd, Outcome, PARTIES_MAX, Party};
use crate::shm::region::{Region, Writer};

const SHAPE: QueueShape =
    QueueShape { items_max: 4, bytes_max: 4 * 64, joinable: false, orphaned: Orphaned::GivenBack };
const JOINABLE: QueueShape = QueueShape { joinable: true, ..SHAPE };
const REPORTING: QueueShape = QueueShape { joinable: true, orphaned: Orphaned::Reported, ..SHAPE };

/// The same queue as several processes map it.
fn queues<const COUNT: usize>(shape: QueueShape) -> [Queue; COUNT] {
    let bytes = bytes(shape).expect("it fits");
    let (_ours, fd) = Region::create("queue", bytes, Writer::Worker).expect("a region");
    std::array::from_fn(|_| {
        let region = Region::map(fd.as_fd(), bytes, Writer::Worker).expect("a mapping");
        Queue::open(Ground::new(Arc::new(region), Rights::ReadWrite), shape)
    })
}

fn queue(shape: QueueShape) -> Queue {
    let [queue] = queues(shape);
    queue
}

fn get_now(queue: &Queue, party: Party) -> Outcome<Vec<u8>> {
    let mut item = Vec::new();
    queue.get(party, &Patience::NONE, &mut item).map(|()| item)
}

fn put_now(queue: &Queue, party: Party, item: &[u8]) -> Outcome<()> {
    queue.put(party, item, &Patience::NONE)
}

/// Long enough for every machine: running out of it is a failure.
fn long() -> Patience<'static> {
    Patience::new(Some(Duration::from_secs(60)), &Unnoticed)
}

fn short() -> Patience<'static> {
    Patience::new(Some(Duration::from_millis(3)), &Unnoticed)
}

/// Puts one item that needs all bytes: succeeds only if not a granule is lost.
fn assert_all_room_is_free(queue: &Queue, party: Party) {
    let item = vec![7; queue.shape().bytes_max as usize];
    assert_eq!(put_now(queue, party, &item), Ok(()), "all bytes are free");
    assert_eq!(get_now(queue, party), Ok(item));
    queue.acknowledge(party).expect("acknowledged");
    for _ in 0..queue.shape().items_max {
        assert_eq!(put_now(queue, party, b""), Ok(()), "all items have room");
    }
    assert_eq!(put_now(queue, party, b""), Err(Refusal::Full));
}

#[test]
fn items_leave_in_the_order_in_which_they_came() {
    let (queue, a) = (queue(SHAPE), party(1));
    assert_eq!(get_now(&queue, a), Err(Refusal::Empty));
    for round in 0..20_u8 {
        for index in 0..4 {
            assert_eq!(put_now(&queue, a, &[round, index]), Ok(()));
            assert_eq!(queue.len(), Ok(u32::from(index) + 1));
        }
        assert_eq!(put_now(&queue, a, b"one too many"), Err(Refusal::Full));
        for index in 0..4 {
            assert_eq!(get_now(&queue, a), Ok(vec![round, index]));
        }
        assert_eq!(get_now(&queue, a), Err(Refusal::Empty));
    }
}

#[test]
fn bytes_in_hand_count_until_they_are_acknowledged() {
    let (queue, a, b) = (queue(SHAPE), party(1), party(2));
    assert_eq!(put_now(&queue, a, &[1; 257]), Err(Refusal::TooLarge));
    assert_eq!(put_now(&queue, a, &[1; 256]), Ok(()));
    assert_eq!(put_now(&queue, a, b""), Err(Refusal::Full));
    assert_eq!(get_now(&queue, b), Ok(vec![1; 256]));
    assert_eq!(put_now(&queue, a, b""), Err(Refusal::Full));
    assert_eq!(queue.put(a, b"", &short()), Err(Refusal::TimedOut));
    assert_eq!(queue.acknowledge(b), Ok(()));
    assert_eq!(queue.acknowledge(b), Ok(()), "nothing in hand is no mistake");
    assert_eq!(put_now(&queue, a, &[1; 256]), Ok(()));
}

#[test]
fn a_get_acknowledges_what_was_in_hand_even_if_there_is_no_next() {
    let (queue, a, b) = (queue(SHAPE), party(1), party(2));
    put_now(&queue, a, &[1; 256]).expect("room");
    get_now(&queue, b).expect("an item");
    assert_eq!(get_now(&queue, b), Err(Refusal::Empty));
    queue.bury(b);
    assert_eq!(queue.len(), Ok(0));
    assert_all_room_is_free(&queue, a);
}

#[test]
fn a_closed_queue_can_be_emptied() {
    let (queue, a) = (queue(SHAPE), party(1));
    put_now(&queue, a, b"last").expect("room");
    assert_eq!(queue.close(a), Ok(()));
    assert!(queue.is_closed());
    assert_eq!(queue.close(a), Ok(()));
    assert_eq!(queue.put(a, b"later", &long()), Err(Refusal::Closed));
    assert_eq!(queue.wait(&Patience::NONE), Ok(()));
    assert_eq!(get_now(&queue, a), Ok(b"last".to_vec()));
    assert_eq!(queue.get(a, &long(), &mut Vec::new()), Err(Refusal::Closed));
    assert_eq!(queue.wait(&long()), Err(Refusal::Closed));
}

#[test]
fn unfinished_items_are_counted() {
    let (queue, a, b) = (queue(JOINABLE), party(1), party(2));
    assert_eq!(queue.task_done(a), Err(Refusal::TooMany));
    for item in [b"1", b"2"] {
        put_now(&queue, a, item).expect("room");
    }
    assert_eq!(queue.join(&short()), Err(Refusal::TimedOut));
    get_now(&queue, b).expect("an item");
    assert_eq!(queue.task_done(b), Ok(()));
    assert_eq!(queue.unfinished(), Ok(1));
    queue.bury(b);
    assert_eq!(queue.len(), Ok(1), "what is done is not given back");
    get_now(&queue, b).expect("an item");
    queue.end_call(b, CallEnd::Normal);
    assert_eq!(queue.unfinished(), Ok(1), "acknowledged is not done");
    assert_eq!(queue.task_done(a), Ok(()));
    assert_eq!(queue.join(&Patience::NONE), Ok(()));
    assert_eq!(queue.task_done(a), Err(Refusal::TooMany));
    let plain = super::queue::queue(SHAPE);
    assert_eq!(plain.task_done(a), Err(Refusal::WrongKind));
    assert_eq!(plain.join(&Patience::NONE), Err(Refusal::WrongKind));
}

#[test]
fn orphans_return_to_the_front_in_the_order_in_which_they_were_taken() {
    let (queue, a) = (queue(JOINABLE), party(1));
    for item in *b"abcd" {
        put_now(&queue, a, &[item]).expect("room");
    }
    // Numbers of parties are no order.
    for taker in [9, 1023, 5] {
        get_now(&queue, party(taker)).expect("an item");
    }
    put_now(&queue, a, b"e").expect("room");
    for taker in [5, 9, 1023] {
        queue.bury(party(taker));
    }
    assert_eq!(queue.len(), Ok(5), "before anyone has dealt with them");
    assert_eq!(queue.unfinished(), Ok(5));
    let order: Vec<u8> = (0..5).map(|_| get_now(&queue, a).expect("an item")[0]).collect();
    assert_eq!(order, b"abcde");
}

#[test]
fn a_full_queue_takes_back_what_everybody_had_in_hand() {
    let shape = QueueShape { items_max: 1, bytes_max: 2048 * 32, ..SHAPE };
    let (queue, a) = (queue(shape), party(1));
    for taker in 1..PARTIES_MAX {
        put_now(&queue, a, &taker.to_le_bytes()).expect("room");
        get_now(&queue, party(taker)).expect("an item");
    }
    put_now(&queue, a, b"last").expect("room");
    (1..PARTIES_MAX).for_each(|taker| queue.bury(party(taker)));
    assert_eq!(queue.len(), Ok(PARTIES_MAX as u32));
    assert_eq!(put_now(&queue, a, b"one too many"), Err(Refusal::Full));
    for taker in 1..PARTIES_MAX {
        assert_eq!(get_now(&queue, a), Ok(taker.to_le_bytes().to_vec()));
    }
    assert_eq!(get_now(&queue, a), Ok(b"last".to_vec()));
}

#[test]
fn a_call_that_ends_abnormally_gives_its_item_back() {
    let (queue, a, b) = (queue(SHAPE), party(1), party(2));
    put_now(&queue, a, b"item").expect("room");
    get_now(&queue, b).expect("an item");
    queue.end_call(b, CallEnd::Abnormal);
    assert_eq!(queue.len(), Ok(1));
    // The same party goes on with its next call.
    assert_eq!(get_now(&queue, b), Ok(b"item".to_vec()));
    queue.end_call(b, CallEnd::Normal);
    assert_eq!(queue.len(), Ok(0));
    assert_all_room_is_free(&queue, a);
}

#[test]
fn a_number_is_used_again_before_anyone_dealt_with_its_orphan() {
    let (queue, a, b) = (queue(SHAPE), party(1), party(2));
    put_now(&queue, a, b"item").expect("room");
    get_now(&queue, b).expect("an item");
    queue.bury(b);
    // A new process with the old number: the item is not its own.
    assert_eq!(queue.acknowledge(b), Ok(()));
    queue.end_call(b, CallEnd::Normal);
    assert_eq!(queue.len(), Ok(1));
    assert_eq!(get_now(&queue, b), Ok(b"item".to_vec()));
}

#[test]
fn reported_items_are_done_and_wait_to_be_collected() {
    let (queue, a, b) = (queue(REPORTING), party(1), party(2));
    for item in *b"ab" {
        put_now(&queue, a, &[item; 64]).expect("room");
        get_now(&queue, party(usize::from(item))).expect("an item");
    }
    queue.bury(party(usize::from(b'b')));
    queue.bury(party(usize::from(b'a')));
    assert_eq!((queue.len(), queue.unfinished()), (Ok(0), Ok(0)), "before anyone has dealt with them");
    assert_eq!(queue.join(&Patience::NONE), Ok(()));
    assert_eq!(put_now(&queue, a, &[0; 129]), Err(Refusal::Full), "their bytes are in use");
    assert_eq!((queue.len(), queue.unfinished()), (Ok(0), Ok(0)));
    assert_eq!(queue.take_reported(b), Ok(vec![vec![b'a'; 64], vec![b'b'; 64]]));
    assert_eq!(queue.take_reported(b), Ok(vec![]));
    assert_all_room_is_free(&queue, a);
}

#[test]
fn uncollected_reports_stop_new_items_at_last() {
    let shape = QueueShape { items_max: 1, bytes_max: 1 << 20, ..REPORTING };
    let (queue, a, b) = (queue(shape), party(1), party(2));
    let mut reports = 0;
    while put_now(&queue, a, b"").is_ok() {
        get_now(&queue, b).expect("an item");
        queue.bury(b);
        reports += 1;
    }
    // The last death is dealt with by the put that is refused.
    assert_eq!(reports, reported_max(shape));
    assert_eq!(queue.take_reported(a).map(|items| items.len() as u64), Ok(reports));
    assert_eq!(put_now(&queue, a, b""), Ok(()));
}

#[test]
fn an_item_has_a_largest_size_however_much_room_there_is() {
    let shape = QueueShape { bytes_max: 2 * VALUE_BYTES_MAX as u64, ..SHAPE };
    let (queue, a) = (queue(shape), party(1));
    let zeros = vec![0; VALUE_BYTES_MAX + 1];
    assert_eq!(put_now(&queue, a, &zeros), Err(Refusal::TooLarge));
    assert_eq!(put_now(&queue, a, &zeros[1..]), Ok(()));
}

#[test]
fn a_reader_counts_but_does_not_take() {
    let bytes = bytes(JOINABLE).expect("it fits");
    let (region, fd) = Region::create("queue", bytes, Writer::Worker).expect("a region");
    let ours = Queue::open(Ground::new(Arc::new(region), Rights::ReadWrite), JOINABLE);
    let region = Region::map(fd.as_fd(), bytes, Writer::Supervisor).expect("a mapping for reading");
    let theirs = Queue::open(Ground::new(Arc::new(region), Rights::Read), JOINABLE);
    let (a, b) = (party(1), party(2));
    put_now(&ours, a, b"item").expect("room");
    assert_eq!((theirs.len(), theirs.unfinished(), theirs.is_closed()), (Ok(1), Ok(1), false));
    assert_eq!(theirs.wait(&long()), Ok(()));
    assert_eq!(theirs.join(&short()), Err(Refusal::TimedOut));
    assert_eq!(get_now(&theirs, b), Err(Refusal::ReadOnly));
    assert_eq!(put_now(&theirs, b, b""), Err(Refusal::ReadOnly));
    assert_eq!(put_now(&theirs, b, &[0; 999]), Err(Refusal::ReadOnly));
    assert_eq!(theirs.acknowledge(b), Err(Refusal::ReadOnly));
    assert_eq!(theirs.task_done(b), Err(Refusal::ReadOnly));
    assert_eq!(theirs.close(b), Err(Refusal::ReadOnly));
    assert_eq!(theirs.take_reported(b), Err(Refusal::ReadOnly));
    theirs.end_call(b, CallEnd::Abnormal);
    theirs.bury(b);
}

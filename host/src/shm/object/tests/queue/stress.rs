//! Several threads at once, each with a mapping of its own, like processes.

use super::*;

const ITEMS_PER_PRODUCER: u64 = 4000;

/// Producer's number and item's number.
fn encode(producer: u64, number: u64) -> Vec<u8> {
    // Of many lengths, so that the heap is fragmented.
    let mut item = (producer << 32 | number).to_le_bytes().to_vec();
    item.resize(8 + (number % 70) as usize, number as u8);
    item
}

fn decode(item: &[u8]) -> (u64, u64) {
    let word = u64::from_le_bytes(item[..8].try_into().expect("eight bytes"));
    let (producer, number) = (word >> 32, word & 0xffff_ffff);
    assert_eq!(item, encode(producer, number), "torn");
    (producer, number)
}

fn consume(queue: &Queue, party: Party) -> Vec<(u64, u64)> {
    let mut taken = Vec::new();
    let mut item = Vec::new();
    loop {
        item.clear();
        match queue.get(party, &long(), &mut item) {
            Ok(()) => taken.push(decode(&item)),
            Err(Refusal::Closed) => return taken,
            Err(refusal) => panic!("{refusal:?} instead of an item"),
        }
        if queue.shape().joinable {
            queue.task_done(party).expect("it was unfinished");
        }
    }
}

fn run(shape: QueueShape) {
    let [one, two, three, four, ours] = queues(shape);
    let taken: Vec<Vec<(u64, u64)>> = std::thread::scope(|scope| {
        let consumers =
            [(&one, 1), (&two, 2)].map(|(queue, number)| scope.spawn(move || consume(queue, party(number))));
        let producers = [(&three, 3), (&four, 4)].map(|(queue, number)| {
            scope.spawn(move || {
                for item in 0..ITEMS_PER_PRODUCER {
                    queue.put(party(number), &encode(number as u64, item), &long()).expect("room in time");
                }
            })
        });
        for producer in producers {
            producer.join().expect("a producer ends");
        }
        if shape.joinable {
            ours.join(&long()).expect("all is done in time");
            assert_eq!(ours.len(), Ok(0));
        }
        ours.close(party(5)).expect("closed");
        consumers.into_iter().map(|consumer| consumer.join().expect("a consumer ends")).collect()
    });
    for producer in [3, 4] {
        let mut all = Vec::new();
        for taken in &taken {
            let own = taken.iter().filter(|(by, _)| *by == producer).map(|(_, number)| *number);
            let own: Vec<u64> = own.collect();
            assert!(own.is_sorted(), "a producer's items are out of order");
            all.extend(own);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..ITEMS_PER_PRODUCER), "each item once");
    }
}

#[test]
fn two_producers_and_two_consumers_lose_nothing() {
    run(QueueShape { items_max: 8, bytes_max: 1 << 16, ..SHAPE });
}

#[test]
fn producers_wait_for_bytes() {
    run(QueueShape { items_max: 1000, bytes_max: 400, ..JOINABLE });
}

#[test]
fn items_pass_one_at_a_time() {
    run(QueueShape { items_max: 1, bytes_max: 200, ..JOINABLE });
}

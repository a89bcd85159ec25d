//! Workers are killed and stopped at random while calls hand items on: every item is accounted for.
//!
//! `WASMPOOL_SOAK_SECONDS` makes it last longer, `WASMPOOL_TEST_SEED` repeats it.

#![allow(clippy::print_stdout, reason = "figures, for those who ask for a test's output")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmpool::shared::{BoundedSemaphore, Lock, Queue, QueueOptions, Semaphore, Value};
use wasmpool::{FailureKind, Pool, Task};
use wasmpool_tests::processes::send;
use wasmpool_tests::random::Random;
use wasmpool_tests::watchdog::{SetWhenDropped, soak_time};
use wasmpool_tests::{Fixture, failure, tasks};

wasmpool::test_support!();

/// How long both soaks last together, unless they were asked to last longer.
const SOAK_TIME_DEFAULT: Duration = Duration::from_secs(10);

/// Permits of the semaphore: fewer than there are consumers.
const PERMITS: u32 = 2;

/// What the calls of a soak share.
struct Shop {
    fixture: Fixture,
    jobs: Queue<i64>,
    results: Queue<i64>,
    seats: Semaphore,
    latch: Lock,
    one: Value<i64>,
    two: Value<i64>,
    /// A bystander, which nobody touches.
    still: BoundedSemaphore,
    move_items: Task<usize, usize>,
    put_numbers: Task<(i64, i64), ()>,
    lost: AtomicU64,
    finished: AtomicU64,
}

impl Shop {
    fn new(options: QueueOptions) -> Self {
        let fixture = tasks(3);
        let pool = &fixture.pool;
        let jobs = pool.queue_with("jobs", options).expect("a queue");
        let results = pool.queue("results", 8).expect("a queue");
        let (seats, latch) =
            (pool.semaphore("seats", PERMITS).expect("a semaphore"), pool.lock("latch").expect("a lock"));
        let (one, two) = (pool.value("one", 0).expect("a value"), pool.value("two", 0).expect("a value"));
        let still = pool.bounded_semaphore("still", 3).expect("a semaphore");
        let module = fixture.module.clone().grant(&jobs).grant(&results).grant(&seats).grant(&latch);
        let module = module.grant(&one).grant(&two).grant(&still);
        let move_items = module.task("move_items").expect("a task");
        let put_numbers = module.task("put_numbers").expect("a task");
        let (lost, finished) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            fixture,
            jobs,
            results,
            seats,
            latch,
            one,
            two,
            still,
            move_items,
            put_numbers,
            lost,
            finished,
        }
    }

    /// Calls a task again and again until one of its calls returns.
    fn insist<A: serde::Serialize + Copy, R: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        task: &Task<A, R>,
        arguments: A,
    ) -> R {
        loop {
            let outcome = task.apply(arguments);
            match outcome {
                Ok(result) => {
                    self.finished.fetch_add(1, Ordering::Relaxed);
                    return result;
                }
                Err(error) => {
                    let lost = failure::<R>(Err(error));
                    assert!(matches!(lost.kind(), FailureKind::WorkerLost(_)), "{lost}");
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Moves items until the queue is closed and empty.
    fn consume(&self) {
        const MOST: usize = 20;
        while self.insist(&self.move_items, MOST) == MOST {}
    }

    /// All that comes out, by number, until the queue is closed.
    fn collect(&self) -> BTreeMap<i64, u64> {
        let mut counts = BTreeMap::new();
        for number in &self.results {
            *counts.entry(number.expect("a number")).or_insert(0) += 1;
        }
        counts
    }

    /// What has to be so when all is over.
    fn balances(&self, repeat: &str) {
        let guard = self.latch.lock().expect("nobody has it");
        let (one, two) = (self.one.get().expect("a number"), self.two.get().expect("a number"));
        // Whoever died between the two was the last holder, and this one is told so.
        assert!(one == two || guard.owner_died() && one == two + 1, "{one} {two}; {repeat}");
        drop(guard);
        assert_eq!(self.seats.available().expect("permits"), PERMITS as usize, "{repeat}");
        assert_eq!(self.still.available().expect("permits"), 3, "{repeat}");
        assert!(self.jobs.is_empty().expect("a length"), "{repeat}");
        let cube = self.fixture.module.task::<i64, i64>("cube").expect("a task");
        assert_eq!(cube.map(0..100).expect("results")[99], 99 * 99 * 99, "{repeat}");
    }
}

/// Kills and stops workers at random until it is over; returns how many it killed.
///
/// A module none of whose calls ends is given up, and rightly: between two kills at least one call has returned.
fn havoc(pool: &Pool, random: &mut Random, is_over: &AtomicBool, finished: &AtomicU64) -> u64 {
    let mut killed = 0;
    let mut before = finished.load(Ordering::Relaxed);
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        let pids = pool.worker_pids();
        let Some(pid) = pids.get(random.below(pids.len().max(1) as u64) as usize) else { continue };
        if random.below(4) == 0 {
            send(*pid, Signal::STOP);
            std::thread::sleep(Duration::from_millis(random.below(60)));
            send(*pid, Signal::CONT);
        } else if finished.load(Ordering::Relaxed) > before && send(*pid, Signal::KILL) {
            killed += 1;
            before = finished.load(Ordering::Relaxed);
        }
    }
    killed
}

/// Puts numbers through a shop in which workers die; returns what came out, and how many numbers and kills there were.
fn soak(shop: &Shop, random: &mut Random, by_guests: bool) -> (BTreeMap<i64, u64>, i64, u64) {
    let is_over = AtomicBool::new(false);
    let until = Instant::now() + soak_time().unwrap_or(SOAK_TIME_DEFAULT) / 2;
    std::thread::scope(|scope| {
        let _end = SetWhenDropped(&is_over);
        let killer = scope.spawn(|| havoc(&shop.fixture.pool, random, &is_over, &shop.finished));
        let collector = scope.spawn(|| shop.collect());
        let consumers: Vec<_> = (0..4).map(|_| scope.spawn(|| shop.consume())).collect();
        let mut count = 0;
        while Instant::now() < until {
            for _ in 0..10 {
                shop.jobs.put(&count).expect("open");
                count += 1;
            }
            if by_guests {
                shop.insist(&shop.put_numbers, (count, 1));
                count += 1;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let killed = killer.join().expect("no panic");
        shop.jobs.close().expect("open");
        consumers.into_iter().for_each(|consumer| consumer.join().expect("no panic"));
        shop.results.close().expect("open");
        (collector.join().expect("no panic"), count, killed)
    })
}

#[test]
fn every_item_is_consumed_although_workers_are_killed_at_random() {
    let shop = Shop::new(QueueOptions::new(16));
    let mut random = Random::from_environment();
    let repeat = random.how_to_repeat();
    let (counts, count, killed) = soak(&shop, &mut random, true);
    let lost = shop.lost.load(Ordering::Relaxed);
    assert!(counts.keys().copied().eq(0..count), "an item is missing; {repeat}");
    // A lost call may have handed its item on, or put it, before it died; then that is there once more.
    let twice: u64 = counts.values().map(|times| times - 1).sum();
    println!("{killed} kills, {lost} lost calls, {count} items, {twice} of them once more");
    assert!(twice <= lost, "{twice} items once more by {lost} lost calls; {repeat}");
    assert!(lost <= killed, "{lost} calls lost by {killed} kills; {repeat}");
    assert!(killed > 5, "only {killed} kills; {repeat}");
    assert!(shop.jobs.take_reported().expect("a list").is_empty(), "{repeat}");
    shop.balances(&repeat);
}

#[test]
fn no_item_is_consumed_twice_where_orphans_are_reported() {
    let shop = Shop::new(QueueOptions::new(16).report_orphans());
    let mut random = Random::from_environment();
    let repeat = random.how_to_repeat();
    let (counts, count, killed) = soak(&shop, &mut random, false);
    let lost = shop.lost.load(Ordering::Relaxed);
    let reported: Vec<i64> =
        shop.jobs.take_reported().expect("a list").into_iter().map(|item| item.expect("a number")).collect();
    println!("{killed} kills, {lost} lost calls, {count} items, {} reported", reported.len());
    for number in 0..count {
        let consumed = counts.get(&number).copied().unwrap_or(0);
        let told = reported.iter().filter(|item| **item == number).count();
        assert!(
            consumed <= 1 && told <= 1,
            "item {number} came {consumed} times, told {told} times; {repeat}"
        );
        assert!(consumed == 1 || told == 1, "item {number} is missing; {repeat}");
    }
    assert!(reported.len() as u64 <= lost, "{} items of {lost} lost calls; {repeat}", reported.len());
    assert!(killed > 5, "only {killed} kills; {repeat}");
    shop.balances(&repeat);
}

//! Shared objects: what two workers get done on one at the same time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal};
use wasmpool::shared::{Lock, RecordOptions, Shareable, SharedError};
use wasmpool::{Pool, Task};

use crate::figure::{Figure, Unit};
use crate::turns;
use crate::world::{self, WORKERS, World};

/// Operations of each worker in a turn, of the cheap ones.
const OPERATIONS: usize = 4_000_000;

/// Elements of the arrays that are read: 64 MiB.
const ELEMENTS: usize = 8 << 20;

/// Sums of the array in one view.
const SUMS: u64 = 8;

/// Workers that are killed with a lock in hand.
const DEATHS: usize = 200;

/// Room in the queue, in items.
const QUEUE_ITEMS: usize = 1024;

/// `fetch_add` on one counter, from all workers.
///
/// # Errors
///
/// When a call fails or the counter is wrong, as in the other benchmarks.
pub(crate) fn additions(world: &World) -> anyhow::Result<Vec<Figure>> {
    let ours = counted(world, "bench_fetch_add", world.some(OPERATIONS))?;
    let figure = Figure::new("shared-add", "fetch_add on one value", Unit::PerSecond, ours);
    Ok(vec![with_python(world, figure, "python Value +=, locked", "value", 200_000)?.promised(40e6)])
}

/// Additions under the value's lock: take it, get, set, give it back.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn locked_additions(world: &World) -> anyhow::Result<Vec<Figure>> {
    let ours = counted(world, "bench_locked_update", world.some(OPERATIONS / 8))?;
    let figure = Figure::new("shared-locked-add", "+= under a value's lock", Unit::PerSecond, ours);
    Ok(vec![with_python(world, figure, "python Value +=, locked", "value", 200_000)?.promised(4e6)])
}

/// Additions a second by a task that adds 1 to a counter, so many times on each worker.
fn counted(world: &World, task: &str, each: usize) -> anyhow::Result<f64> {
    let pool = world::pool(&world.cache())?;
    let counter = pool.value("counter", 0i64)?;
    let task = granted::<u64, u64>(world, &pool, task, &counter)?;
    let mut ours = || {
        let seconds = on_all(&task, each as u64, || counter.set(0))?;
        ensure!(counter.get()? == (WORKERS * each) as i64, "the counter says {}", counter.get()?);
        Ok((WORKERS * each) as f64 / seconds)
    };
    Ok(turns::medians(world.rounds(), [&mut ours])?[0])
}

/// Atomic additions in a view of an array, to all its elements in turn.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn mapped_additions(world: &World) -> anyhow::Result<Vec<Figure>> {
    const LENGTH: usize = 4096;
    let each = world.some(4 * OPERATIONS);
    let pool = world::pool(&world.cache())?;
    let numbers = pool.array::<i64>("numbers", LENGTH)?;
    let task = granted::<u64, u64>(world, &pool, "bench_mapped_add", &numbers)?;
    let mut ours = || {
        let seconds = on_all(&task, each as u64, || numbers.fill(.., 0))?;
        let sum: i64 = numbers.to_vec()?.iter().sum();
        ensure!(sum == (WORKERS * each) as i64, "the elements' sum is {sum}");
        Ok((WORKERS * each) as f64 / seconds)
    };
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let figure = Figure::new("shared-mapped-add", "fetch_add in a mapped array", Unit::PerSecond, ours);
    Ok(vec![figure.promised(150e6)])
}

/// Items of 16 bytes, from one worker to another.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn queue_items(world: &World) -> anyhow::Result<Vec<Figure>> {
    let items = world.some(OPERATIONS / 4);
    let pool = world::pool(&world.cache())?;
    let jobs = pool.queue::<(u64, u64)>("jobs", QUEUE_ITEMS)?;
    let put = granted::<u64, u64>(world, &pool, "bench_put", &jobs)?;
    let get = granted::<u64, u64>(world, &pool, "bench_get", &jobs)?;
    let both = |items: u64| {
        let started = Instant::now();
        let (sent, received) = thread::scope(|scope| {
            let sender = scope.spawn(|| put.apply(items));
            let received = get.apply(items);
            (sender.join(), received)
        });
        let seconds = started.elapsed().as_secs_f64();
        let sent = sent.ok().context("the sender panicked")??;
        ensure!(sent == received?, "what was put is not what was got");
        Ok(seconds)
    };
    let mut ours = || Ok(items as f64 / both(items as u64)?);
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let figure = Figure::new("shared-queue", "items of 16 bytes to another worker", Unit::PerSecond, ours);
    Ok(vec![with_python(world, figure, "python Queue", "queue", 100_000)?.promised(2e6)])
}

/// Appending to one list, from all workers.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn appends(world: &World) -> anyhow::Result<Vec<Figure>> {
    let each = world.some(OPERATIONS / 16);
    let pool = world::pool(&world.cache())?;
    let options = RecordOptions::default().records(WORKERS * each).bytes((64 * WORKERS * each) as u64);
    let log = pool.list_with::<u64>("log", options)?;
    let task = granted::<u64, u64>(world, &pool, "bench_append", &log)?;
    let mut ours = || {
        let seconds = on_all(&task, each as u64, || log.clear())?;
        ensure!(log.len()? == WORKERS * each, "the list has {} records", log.len()?);
        Ok(seconds / (WORKERS * each) as f64)
    };
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let figure = Figure::new("shared-append", "append to one list", Unit::Seconds, ours);
    Ok(vec![per_operation(world, figure, "python Manager().list", "list", 10_000)?.promised(1e-6)])
}

/// Looking keys of one dictionary up, from all workers; per look-up and worker.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn lookups(world: &World) -> anyhow::Result<Vec<Figure>> {
    let each = world.some(OPERATIONS / 4);
    let pool = world::pool(&world.cache())?;
    let seen = pool.dict::<u64, u64>("seen")?;
    let task = granted::<u64, u64>(world, &pool, "bench_dict_get", &seen)?;
    let mut ours = || Ok(on_all(&task, each as u64, || Ok(()))? / each as f64);
    let [ours] = turns::medians(world.rounds(), [&mut ours])?;
    let figure = Figure::new("shared-dict-get", "dict get, per worker", Unit::Seconds, ours);
    Ok(vec![per_operation(world, figure, "python Manager().dict", "dict", 10_000)?.promised(0.5e-6)])
}

/// From the kill of a worker that holds a lock to the next holder, who waits for it in this process; killing included.
///
/// # Errors
///
/// As [`additions`], and when the next holder is not told.
pub(crate) fn recoveries(world: &World) -> anyhow::Result<Vec<Figure>> {
    let pool = Pool::builder().workers(1).cache_dir(world.cache()).build()?;
    let lock = pool.lock("lock")?;
    let module = pool.load(&world.module)?.grant(&lock);
    let (hold, look): (Task<(), ()>, Task<(), bool>) =
        (module.task("hold_lock_and_spin")?, module.task("is_lock_orphaned")?);
    let time = |_| {
        let seconds = recovery(&pool, &hold, &lock)?;
        // A module whose workers do nothing but die would be given up.
        ensure!(!look.apply(())?, "two holders were told of one death");
        Ok(seconds)
    };
    let times = (0..world.some(DEATHS)).map(time).collect::<anyhow::Result<Vec<f64>>>()?;
    let worst = times.iter().copied().fold(0.0, f64::max);
    let median = Figure::new(
        "shared-recovery",
        "a killed holder's lock, median",
        Unit::Seconds,
        turns::percentile(times, 50),
    );
    let worst = Figure::new("shared-recovery-worst", "the same, the longest of all", Unit::Seconds, worst);
    Ok(vec![median.promised(10e-3), worst.promised(10e-3)])
}

fn recovery(pool: &Pool, task: &Task<(), ()>, lock: &Lock) -> anyhow::Result<f64> {
    thread::scope(|scope| {
        let holding = scope.spawn(|| task.apply(()));
        while lock.try_acquire()? {
            lock.release()?;
            ensure!(!holding.is_finished(), "the holder gave up: {:?}", holding.join());
            // Longer than the holder takes to wake up: locks are not fair.
            thread::sleep(Duration::from_millis(1));
        }
        let worker = *pool.worker_pids().first().context("nobody holds the lock")?;
        let worker = Pid::from_raw(i32::try_from(worker)?).context("a process has an id")?;
        let killed = Instant::now();
        rustix::process::kill_process(worker, Signal::KILL)?;
        let guard = lock.lock()?;
        let seconds = killed.elapsed().as_secs_f64();
        ensure!(guard.owner_died(), "the next holder was not told of the death");
        drop(guard);
        let lost = holding.join().ok().context("the caller panicked")?;
        ensure!(lost.is_err(), "a killed worker's call came back");
        Ok(seconds)
    })
}

/// Summing an array by copies of its slices, in one worker.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn bulk_reads(world: &World) -> anyhow::Result<Vec<Figure>> {
    let ours = sums::<()>(world, "bench_bulk_read", (), 1)?;
    let figure = Figure::new("shared-bulk-read", "sum of an array, by slices", Unit::BytesPerSecond, ours);
    let elements = world.some(ELEMENTS / 8);
    let python = python(world, "array", ELEMENTS / 8)?;
    let python = python.map(|seconds| (elements * size_of::<i64>()) as f64 / seconds);
    Ok(vec![figure.against("python Array slices", python).promised(4e9)])
}

/// Summing an array in views, in one worker and in all at once: [`SUMS`] sums in each view, making the view included.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn mapped_sums(world: &World) -> anyhow::Result<Vec<Figure>> {
    let of = |workers| {
        Ok::<_, anyhow::Error>(SUMS as f64 * sums::<u64>(world, "bench_mapped_sum", SUMS, workers)?)
    };
    let all = Figure::new(
        "shared-mapped-sum",
        "8 sums of an array, in views of all workers",
        Unit::BytesPerSecond,
        of(WORKERS)?,
    );
    let one = Figure::new("shared-mapped-sum-one", "the same in one worker", Unit::BytesPerSecond, of(1)?);
    Ok(vec![all.promised(12e9), one])
}

/// Bytes of an array that a task sums a second, in so many workers together.
fn sums<A: serde::Serialize + Copy>(
    world: &World,
    task: &str,
    argument: A,
    workers: usize,
) -> anyhow::Result<f64> {
    let pool = world::pool(&world.cache())?;
    let elements: Vec<i64> = (0..ELEMENTS as i64).collect();
    let numbers = pool.array_of("numbers", &elements)?;
    let task = granted::<A, i64>(world, &pool, task, &numbers)?;
    let expected: i64 = elements.iter().sum();
    let mut ours = || {
        let started = Instant::now();
        let sums = task.map(std::iter::repeat_n(argument, workers))?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(sums.iter().all(|sum| *sum == expected), "the sums are {sums:?} and should be {expected}");
        Ok((workers * ELEMENTS * size_of::<i64>()) as f64 / seconds)
    };
    Ok(turns::medians(world.rounds(), [&mut ours])?[0])
}

fn granted<A, R>(
    world: &World,
    pool: &Pool,
    task: &str,
    object: &impl Shareable,
) -> anyhow::Result<Task<A, R>> {
    Ok(pool.load(&world.module)?.grant(object).task(task)?)
}

/// Seconds in which every worker runs the task once, all at the same time, after the object was put back to the start.
fn on_all(
    task: &Task<u64, u64>,
    argument: u64,
    reset: impl Fn() -> Result<(), SharedError>,
) -> anyhow::Result<f64> {
    reset()?;
    // So that the workers are there, and awake.
    task.map([1; WORKERS])?;
    reset()?;
    let started = Instant::now();
    let done = task.map([argument; WORKERS])?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(done.len() == WORKERS, "{} calls came back", done.len());
    Ok(seconds)
}

fn python(world: &World, what: &str, count: usize) -> anyhow::Result<Option<f64>> {
    world.python.as_ref().map(|python| python.shared(what, world.some(count))).transpose()
}

fn with_python(
    world: &World,
    figure: Figure,
    name: &'static str,
    what: &str,
    count: usize,
) -> anyhow::Result<Figure> {
    let seconds = python(world, what, count)?;
    Ok(figure.against(name, seconds.map(|seconds| world.some(count) as f64 / seconds)))
}

fn per_operation(
    world: &World,
    figure: Figure,
    name: &'static str,
    what: &str,
    count: usize,
) -> anyhow::Result<Figure> {
    let seconds = python(world, what, count)?;
    Ok(figure.against(name, seconds.map(|seconds| seconds / world.some(count) as f64)))
}

//! Shared objects: what two workers get done on one at the same time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal};
use wasmpool::shared::{Lock, RecordOptions, Shareable, SharedError};
use wasmpool::{Pool, Task};

use crate::contest::Contest;
use crate::figure::Figure;
use crate::measured::Measured;
use crate::numbers::bound::Bound;
use crate::numbers::samples::Samples;
use crate::numbers::unit::Unit;
use crate::python::Python;
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
pub(crate) fn additions(world: &World) -> anyhow::Result<Measured> {
    let names = ["shared-add", "fetch_add on one value, by 2 workers"];
    counted(world, names, "bench_fetch_add", world.some(OPERATIONS), Bound::only(40e6))
}

/// Additions under the value's lock: take it, get, set, give it back.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn locked_additions(world: &World) -> anyhow::Result<Measured> {
    let names = ["shared-locked-add", "+= under a value's lock, by 2 workers"];
    counted(world, names, "bench_locked_update", world.some(OPERATIONS / 8), Bound::only(4e6))
}

/// Additions a second by a task that adds 1 to a counter, so many times on each worker.
fn counted(
    world: &World,
    [name, what]: [&'static str; 2],
    task: &str,
    each: usize,
    bound: Bound,
) -> anyhow::Result<Measured> {
    let pool = world::pool(&world.cache())?;
    let counter = pool.value("counter", 0i64)?;
    let task = granted::<u64, u64>(world, &pool, task, &counter)?;
    let ours = || {
        let seconds = on_all(&task, each as u64, || counter.set(0))?;
        ensure!(counter.get()? == (WORKERS * each) as i64, "the counter says {}", counter.get()?);
        Ok((WORKERS * each) as f64 / seconds)
    };
    let theirs = world.some(200_000);
    let figure = Contest::new(name, what, Unit::PerSecond, ours).promised(bound).against_python(
        "Python Value +=, locked",
        world,
        |python| Ok(theirs as f64 / python.figure("value", theirs)?),
    );
    Ok(figure.run(world.turns())?.into())
}

/// Atomic additions in a view of an array, to all its elements in turn.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn mapped_additions(world: &World) -> anyhow::Result<Measured> {
    const LENGTH: usize = 4096;
    let each = world.some(4 * OPERATIONS);
    let pool = world::pool(&world.cache())?;
    let numbers = pool.array::<i64>("numbers", LENGTH)?;
    let task = granted::<u64, u64>(world, &pool, "bench_mapped_add", &numbers)?;
    let ours = || {
        let seconds = on_all(&task, each as u64, || numbers.fill(.., 0))?;
        let sum: i64 = numbers.to_vec()?.iter().sum();
        ensure!(sum == (WORKERS * each) as i64, "the elements' sum is {sum}");
        Ok((WORKERS * each) as f64 / seconds)
    };
    let what = "fetch_add in a mapped array, by 2 workers";
    let figure = Contest::new("shared-mapped-add", what, Unit::PerSecond, ours).promised(Bound::only(150e6));
    Ok(figure.run(world.turns())?.into())
}

/// Items of 16 bytes, from one worker to another.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn queue_items(world: &World) -> anyhow::Result<Measured> {
    let items = world.some(OPERATIONS / 4);
    let pool = world::pool(&world.cache())?;
    let jobs = pool.queue::<(u64, u64)>("jobs", QUEUE_ITEMS)?;
    let put = granted::<u64, u64>(world, &pool, "bench_put", &jobs)?;
    let get = granted::<u64, u64>(world, &pool, "bench_get", &jobs)?;
    let ours = || {
        let started = Instant::now();
        let (sent, received) = thread::scope(|scope| {
            let sender = scope.spawn(|| put.apply(items as u64));
            let received = get.apply(items as u64);
            (sender.join(), received)
        });
        let seconds = started.elapsed().as_secs_f64();
        let sent = sent.ok().context("the sender panicked")??;
        ensure!(sent == received?, "what was put is not what was got");
        Ok(items as f64 / seconds)
    };
    let theirs = world.some(100_000);
    let what = "items of 16 bytes to another worker, room for 1,024";
    let figure = Contest::new("shared-queue", what, Unit::PerSecond, ours)
        .promised(Bound::only(2e6))
        .against("crossbeam-channel, 2 threads", || channel(items))
        .against_python("Python Queue", world, |python| Ok(theirs as f64 / python.figure("queue", theirs)?));
    Ok(figure.run(world.turns())?.into())
}

/// Items a second from one thread to another.
fn channel(items: usize) -> anyhow::Result<f64> {
    let (sender, receiver) = crossbeam_channel::bounded::<(u64, u64)>(QUEUE_ITEMS);
    let started = Instant::now();
    let received: u64 = thread::scope(|scope| {
        scope.spawn(move || (0..items as u64).try_for_each(|number| sender.send((number, number))));
        receiver.iter().map(|(number, _)| number).sum()
    });
    let seconds = started.elapsed().as_secs_f64();
    ensure!(received == (0..items as u64).sum::<u64>(), "what was sent is not what came");
    Ok(items as f64 / seconds)
}

/// Appending to one list, from all workers.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn appends(world: &World) -> anyhow::Result<Measured> {
    let each = world.some(OPERATIONS / 16);
    let pool = world::pool(&world.cache())?;
    let options = RecordOptions::default().records(WORKERS * each).bytes((64 * WORKERS * each) as u64);
    let log = pool.list_with::<u64>("log", options)?;
    let task = granted::<u64, u64>(world, &pool, "bench_append", &log)?;
    let ours = || {
        let seconds = on_all(&task, each as u64, || log.clear())?;
        ensure!(log.len()? == WORKERS * each, "the list has {} records", log.len()?);
        Ok(seconds / (WORKERS * each) as f64)
    };
    let theirs = world.some(10_000);
    let figure = Contest::new("shared-append", "append to one list, by 2 workers", Unit::Seconds, ours)
        .promised(Bound::only(1e-6))
        .against_python("Python Manager().list", world, |python| {
            Ok(python.figure("list", theirs)? / theirs as f64)
        });
    Ok(figure.run(world.turns())?.into())
}

/// Looking keys of one dictionary up, from all workers; per look-up and worker.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn lookups(world: &World) -> anyhow::Result<Measured> {
    let each = world.some(OPERATIONS / 4);
    let pool = world::pool(&world.cache())?;
    let seen = pool.dict::<u64, u64>("seen")?;
    let task = granted::<u64, u64>(world, &pool, "bench_dict_get", &seen)?;
    let ours = || Ok(on_all(&task, each as u64, || Ok(()))? / each as f64);
    let theirs = world.some(10_000);
    let figure = Contest::new("shared-dict-get", "dict get, 100 keys, per worker", Unit::Seconds, ours)
        .promised(Bound::only(0.5e-6))
        .against_python("Python Manager().dict", world, |python| {
            Ok(python.figure("dict", theirs)? / theirs as f64)
        });
    Ok(figure.run(world.turns())?.into())
}

/// From the kill of a worker that holds a lock to the next holder, who waits for it in this process; killing included.
///
/// # Errors
///
/// As [`additions`], and when the next holder is not told.
pub(crate) fn recoveries(world: &World) -> anyhow::Result<Measured> {
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
    let times = Samples::new(times).context("nobody was killed")?;
    let worst = Samples::new(vec![times.most()]).context("nobody was killed")?;
    let bound = Bound::only(10e-3);
    let median =
        Figure::new("shared-recovery", "a killed holder's lock, of all deaths", Unit::Seconds, times);
    let worst = Figure::new("shared-recovery-worst", "the same, the longest of all", Unit::Seconds, worst);
    Ok(vec![median.promised(bound), worst.promised(bound)].into())
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
pub(crate) fn bulk_reads(world: &World) -> anyhow::Result<Measured> {
    let elements = world.some(ELEMENTS / 8);
    let names = ["shared-bulk-read", "sum of an array of 64 MiB, by slices"];
    let sums = Sums {
        names,
        task: "bench_bulk_read",
        argument: (),
        times: 1,
        workers: 1,
        bound: Some(Bound::only(4e9)),
    };
    let python =
        |python: &Python| Ok((elements * size_of::<i64>()) as f64 / python.figure("array", elements)?);
    Ok(sums.measure(world, |contest| contest.against_python("Python Array slices", world, python))?.into())
}

/// Summing an array in views, in one worker and in all at once: [`SUMS`] sums in each view, making the view included.
///
/// # Errors
///
/// As [`additions`].
pub(crate) fn mapped_sums(world: &World) -> anyhow::Result<Measured> {
    let of = |names, workers, bound| {
        let task = "bench_mapped_sum";
        Sums { names, task, argument: SUMS, times: SUMS, workers, bound }.measure(world, |contest| contest)
    };
    let all = ["shared-mapped-sum", "8 sums of an array of 64 MiB, in views of 2 workers"];
    let one = ["shared-mapped-sum-one", "the same in one worker"];
    Ok(vec![of(all, WORKERS, Some(Bound::only(12e9)))?, of(one, 1, None)?].into())
}

/// A task that sums an array so many times, in so many workers together.
struct Sums<A> {
    names: [&'static str; 2],
    task: &'static str,
    argument: A,
    times: u64,
    workers: usize,
    bound: Option<Bound>,
}

impl<A: serde::Serialize + Copy> Sums<A> {
    /// Bytes of the array that are summed a second.
    fn measure<'a>(
        self,
        world: &'a World,
        with_peers: impl FnOnce(Contest<'a>) -> Contest<'a>,
    ) -> anyhow::Result<Figure>
    where
        A: 'a,
    {
        let Self { names: [name, what], task, argument, times, workers, bound } = self;
        let pool = world::pool(&world.cache())?;
        let elements: Vec<i64> = (0..ELEMENTS as i64).collect();
        let numbers = pool.array_of("numbers", &elements)?;
        let task = granted::<A, i64>(world, &pool, task, &numbers)?;
        let expected: i64 = elements.iter().sum();
        let bytes = times as f64 * (workers * ELEMENTS * size_of::<i64>()) as f64;
        let ours = move || {
            let started = Instant::now();
            let sums = task.map(std::iter::repeat_n(argument, workers))?;
            let seconds = started.elapsed().as_secs_f64();
            ensure!(
                sums.iter().all(|sum| *sum == expected),
                "the sums are {sums:?} and should be {expected}"
            );
            Ok(bytes / seconds)
        };
        let mut contest = with_peers(Contest::new(name, what, Unit::BytesPerSecond, ours));
        if let Some(bound) = bound {
            contest = contest.promised(bound);
        }
        contest.run(world.turns())
    }
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

//! A pool of some size that is ready for the task: runs a job, and says how long it took by which clock.

use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmpool_abi::Codec;

use super::figures::{Single, Turn};
use super::workload::Workload;
use super::{Bench, Stopped, stopped};
use crate::cli::Refusal;
use crate::cli::calls::{builder, unusable};
use crate::cli::exit::Exit;
use crate::cli::objects::Made;
use crate::cli::request::Isolation;
use crate::pool::job::{Job, Work};
use crate::pool::sink::{Form, Results, Sink};
use crate::pool::{Error, Failure, Module, Pool};
use crate::sandbox::catalog::Task;

/// How long the last chunk's time may take to be told, once its results are there.
const TELLING_MAX: Duration = Duration::from_secs(1);

/// A pool with the module, and with shared objects of its own.
pub(super) struct Stage {
    module: Module,
    task: usize,
    is_fresh: bool,
    pool: Pool,
    // As long as the pool.
    _objects: Made,
}

impl Stage {
    /// Starts a pool of so many workers, and loads the module into it.
    pub(super) fn start(bench: &Bench, path: &Path, workers: usize) -> Result<Self, Refusal> {
        let pool = builder(&bench.calls).workers(workers).on_output(|_, _| ()).build().map_err(unusable)?;
        let module = pool.load(path).map_err(unusable)?;
        let (task, _) = module.find(&bench.calls.task).map_err(unusable)?;
        let objects = bench.calls.objects.make(&pool).map_err(unusable)?;
        let module = objects.granted_to(module);
        let is_fresh = bench.calls.isolation == Isolation::Fresh;
        Ok(Self { module, task, is_fresh, pool, _objects: objects })
    }

    /// How many workers it was started with.
    pub(super) fn workers(&self) -> usize {
        self.pool.workers()
    }

    /// What its module says of a task.
    pub(super) fn task(&self, name: &str) -> Result<Task, Refusal> {
        Ok(self.module.find(name).map_err(unusable)?.1.clone())
    }

    /// Runs the first so many calls of the workload as one job.
    pub(super) fn turn(&self, workload: &Workload, calls: u64) -> Result<Turn, Stopped> {
        let failed = |error| stopped(error, 0, workload.inputs());
        let sink = Arc::new(Taken::default());
        let work = self.work(false).map_err(failed)?;
        let started = Instant::now();
        let job = Job::new(work, Box::new(workload.from(0)), sink);
        job.announce(calls, true);
        self.module.submit(&job).map_err(failed)?;
        job.wait(None);
        let elapsed = started.elapsed();
        if let Some(error) = self.module.conclude(&job) {
            return Err(failed(error));
        }
        let (worked_calls, worked_ns) = worked(&job, calls);
        if worked_calls == 0 {
            let text = "no worker told how long its calls took: all of them were split while they ran";
            return Err(Refusal::new(Exit::Other, anyhow::Error::msg(text)).into());
        }
        Ok(Turn { calls, elapsed, worked_calls, worked: Duration::from_nanos(worked_ns) })
    }

    /// Runs one call of the workload by itself.
    pub(super) fn one(&self, workload: &Workload, call: u64) -> Result<Single, Stopped> {
        let failed = |error| stopped(error, call, workload.inputs());
        let sink = Arc::new(Taken::default());
        let work = self.work(true).map_err(failed)?;
        let started = Instant::now();
        let job = Job::new(work, Box::new(workload.from(call)), Arc::clone(&sink) as _);
        job.announce(1, true);
        self.module.run_one(&job).map_err(failed)?;
        let elapsed = started.elapsed();
        // Relaxed: the job is over, which was told under its lock.
        Ok(Single { elapsed, own: Duration::from_nanos(sink.own_ns.load(Ordering::Relaxed)) })
    }

    fn work(&self, is_timed: bool) -> Result<Work, Error> {
        let change = |terms: &mut crate::pool::job::Terms| {
            terms.stop_on_failure = true;
            terms.fresh = self.is_fresh;
            terms.timed = is_timed;
        };
        self.module.work(self.task, Codec::Json, change, u64::MAX)
    }
}

/// What the workers say about their time with a job that is over; waits a little for the last of it.
fn worked(job: &Job, calls: u64) -> (u64, u64) {
    const LOOK: Duration = Duration::from_micros(50);
    let began = Instant::now();
    loop {
        let worked = job.worked();
        if worked.0 >= calls || began.elapsed() >= TELLING_MAX {
            return worked;
        }
        std::thread::sleep(LOOK);
    }
}

/// Takes results as a caller would, and keeps none.
#[derive(Default)]
struct Taken {
    /// What workers say of single calls.
    own_ns: AtomicU64,
}

impl Sink for Taken {
    fn returned(&self, _first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        match results.form {
            Form::Cells { width, read } => take_cells(results.count * width, read),
            Form::Values { heads, bytes } => {
                std::hint::black_box(bytes.to_vec());
                let own_ns: u64 = heads.iter().map(|head| head.nanoseconds).sum();
                // Relaxed: read when the job is over.
                self.own_ns.fetch_add(own_ns, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn failed(&self, _failure: &Failure) {}
}

fn take_cells(cells: usize, read: &dyn Fn(usize, &mut [MaybeUninit<u8>])) {
    const CELLS_AT_ONCE: usize = 1 << 12;
    let mut bytes = [MaybeUninit::uninit(); CELLS_AT_ONCE * 8];
    for first in (0..cells).step_by(CELLS_AT_ONCE) {
        let count = CELLS_AT_ONCE.min(cells - first);
        read(first, &mut bytes[..count * 8]);
    }
    std::hint::black_box(&mut bytes);
}

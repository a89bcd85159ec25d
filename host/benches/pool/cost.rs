//! What calls cost: by the clock, and in processor time, which a busy machine does not stretch.

use std::fs;
use std::time::Instant;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use wasmpool::Pool;

use crate::contest::Aside;
use crate::world::WORKERS;

/// Runs while calls do.
pub(crate) struct Meter<'a> {
    started: Instant,
    processor: Processor<'a>,
    processor_before: f64,
}

/// Whose processor time counts.
#[derive(Clone, Copy)]
pub(crate) enum Processor<'a> {
    /// This process's and all workers'.
    Pool(&'a Pool),
    /// This thread's.
    Thread,
}

/// What figures of processor time are of.
pub(crate) const PROCESSOR_TIME: &str = "the same, processor time of all processes";

impl<'a> Meter<'a> {
    /// Starts to measure.
    ///
    /// # Errors
    ///
    /// When a worker's time cannot be read.
    pub(crate) fn start(processor: Processor<'a>) -> anyhow::Result<Self> {
        let processor_before = processor.seconds()?;
        Ok(Self { started: Instant::now(), processor, processor_before })
    }

    /// Ends the measurement of so many calls: returns seconds per call and core, and notes the processor's time.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn stop(self, calls: usize, processor_time: &Aside) -> anyhow::Result<f64> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cores = match self.processor {
            Processor::Pool(_) => WORKERS,
            Processor::Thread => 1,
        };
        processor_time.note((self.processor.seconds()? - self.processor_before) / calls as f64);
        Ok(seconds * cores as f64 / calls as f64)
    }
}

impl Processor<'_> {
    fn seconds(self) -> anyhow::Result<f64> {
        match self {
            Self::Pool(pool) => Ok(workers_seconds(pool)? + clock_seconds(ClockId::ProcessCPUTime)),
            Self::Thread => Ok(clock_seconds(ClockId::ThreadCPUTime)),
        }
    }
}

/// Processor time that a pool's workers have taken so far.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn workers_seconds(pool: &Pool) -> anyhow::Result<f64> {
    // A worker has one thread.
    pool.worker_pids().into_iter().map(|pid| thread_seconds(&format!("/proc/{pid}/schedstat"))).sum()
}

/// Processor time that this process's other threads have taken so far.
///
/// # Errors
///
/// As [`workers_seconds`].
pub(crate) fn other_threads_seconds() -> anyhow::Result<f64> {
    let own = rustix::thread::gettid().as_raw_pid().to_string();
    let mut sum = 0.0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        if thread.file_name() != own.as_str() {
            // One that has just ended takes no more.
            sum += thread_seconds(&thread.path().join("schedstat").to_string_lossy()).unwrap_or(0.0);
        }
    }
    Ok(sum)
}

/// Time that a thread has run: the first number of its `schedstat`, in nanoseconds.
fn thread_seconds(path: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let nanoseconds = text.split(' ').next().unwrap_or_default();
    let nanoseconds: f64 = nanoseconds.parse().with_context(|| format!("{path} holds no number"))?;
    Ok(nanoseconds / 1e9)
}

fn clock_seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

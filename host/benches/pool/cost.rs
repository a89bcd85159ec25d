//! What calls cost: by the clock, and in processor time, which a busy machine does not stretch.

use std::fs;
use std::time::Instant;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use wasmpool::Pool;

use crate::figure::{Figure, Unit};
use crate::turns::percentile;
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

/// Processor time per call, measurement by measurement, in seconds.
#[derive(Default)]
pub(crate) struct ProcessorTimes(Vec<f64>);

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
    pub(crate) fn stop(self, calls: usize, times: &mut ProcessorTimes) -> anyhow::Result<f64> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cores = match self.processor {
            Processor::Pool(_) => WORKERS,
            Processor::Thread => 1,
        };
        times.0.push((self.processor.seconds()? - self.processor_before) / calls as f64);
        Ok(seconds * cores as f64 / calls as f64)
    }
}

impl Processor<'_> {
    fn seconds(self) -> anyhow::Result<f64> {
        match self {
            Self::Pool(pool) => {
                let workers = pool.worker_pids().into_iter().map(worker_seconds);
                Ok(workers.sum::<anyhow::Result<f64>>()? + clock_seconds(ClockId::ProcessCPUTime))
            }
            Self::Thread => Ok(clock_seconds(ClockId::ThreadCPUTime)),
        }
    }
}

impl ProcessorTimes {
    /// The median as a figure.
    pub(crate) fn figure(self, name: &'static str) -> Figure {
        Figure::new(name, "the same, processor time of all processes", Unit::Seconds, self.median())
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        percentile(self.0.clone(), 50)
    }
}

/// Time that a worker's one thread has run: the first number of its `schedstat`, in nanoseconds.
fn worker_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let nanoseconds = text.split(' ').next().unwrap_or_default();
    let nanoseconds: f64 = nanoseconds.parse().with_context(|| format!("{path} holds no number"))?;
    Ok(nanoseconds / 1e9)
}

fn clock_seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

//! Python's `multiprocessing` as a peer, where there is a `python3`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::world::WORKERS;

const PROGRAM: &str = include_str!("peer.py");

/// An interpreter and the program that measures it.
pub(crate) struct Python {
    interpreter: PathBuf,
    program: PathBuf,
}

impl Python {
    /// The `python3` of the path, if there is one; its program is put into `directory`.
    ///
    /// # Errors
    ///
    /// When the program cannot be written.
    pub(crate) fn find(directory: &Path) -> anyhow::Result<Option<Self>> {
        // What is on the path may be a script that looks for the interpreter, for a tenth of a second.
        let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let Some(found) = found.ok().filter(|found| found.status.success()) else { return Ok(None) };
        let interpreter = String::from_utf8(found.stdout)?.trim().into();
        let program = directory.join("peer.py");
        std::fs::write(&program, PROGRAM)?;
        Ok(Some(Self { interpreter, program }))
    }

    /// Seconds for `map` of `cube` over so many integers, with the best of a few chunk sizes.
    ///
    /// # Errors
    ///
    /// When Python fails, as in the other measurements.
    pub(crate) fn map(&self, calls: usize) -> anyhow::Result<f64> {
        Ok(self.ask(&["map", &calls.to_string()])?[0])
    }

    /// Median and 99th percentile of so many round trips of `apply`, in seconds.
    ///
    /// # Errors
    ///
    /// As [`Self::map`].
    pub(crate) fn apply(&self, calls: usize) -> anyhow::Result<[f64; 2]> {
        let figures = self.ask(&["apply", &calls.to_string()])?;
        figures.try_into().ok().context("two figures were expected of Python")
    }

    /// Seconds from no pool to the first result.
    ///
    /// # Errors
    ///
    /// As [`Self::map`].
    pub(crate) fn first_result(&self) -> anyhow::Result<f64> {
        Ok(self.ask(&["first"])?[0])
    }

    /// Seconds of a whole process that maps over ten integers.
    ///
    /// # Errors
    ///
    /// As [`Self::map`].
    pub(crate) fn small_map(&self) -> anyhow::Result<f64> {
        let started = Instant::now();
        self.ask(&["small"])?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Seconds for so many operations on a shared object, see `peer.py`.
    ///
    /// # Errors
    ///
    /// As [`Self::map`].
    pub(crate) fn shared(&self, what: &str, count: usize) -> anyhow::Result<f64> {
        Ok(self.ask(&[what, &count.to_string()])?[0])
    }

    fn ask(&self, arguments: &[&str]) -> anyhow::Result<Vec<f64>> {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.program).arg(WORKERS.to_string()).args(arguments);
        let output = command.output().context("python3 cannot be run")?;
        ensure!(output.status.success(), "python3: {}", String::from_utf8_lossy(&output.stderr));
        let figures = String::from_utf8(output.stdout)?;
        let figures: Vec<f64> = figures.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        ensure!(!figures.is_empty(), "python3 printed no figure");
        Ok(figures)
    }
}

//! Python's `multiprocessing` and `concurrent.futures` as peers, where there is a `python3`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::world::WORKERS;

const PROGRAM: &str = include_str!("peer.py");

/// An interpreter and the program that measures it.
pub(crate) struct Python {
    interpreter: PathBuf,
    program: PathBuf,
    pub(crate) version: String,
}

impl Python {
    /// The `python3` of the path, or why there is none; its program is put into `directory`.
    ///
    /// # Errors
    ///
    /// When the program cannot be written.
    pub(crate) fn find(directory: &Path) -> anyhow::Result<Result<Self, String>> {
        // What is on the path may be a script that looks for the interpreter, for a tenth of a second.
        let script = "import sys; print(sys.executable); print(sys.version.split()[0])";
        let found = Command::new("python3").args(["-c", script]).output();
        let Some(found) = found.ok().filter(|found| found.status.success()) else {
            return Ok(Err("no python3".to_owned()));
        };
        let told = String::from_utf8(found.stdout)?;
        let (interpreter, version) = told.trim().split_once('\n').context("python3 says too little")?;
        let program = directory.join("peer.py");
        std::fs::write(&program, PROGRAM)?;
        Ok(Ok(Self { interpreter: interpreter.into(), program, version: version.to_owned() }))
    }

    /// The figures that `peer.py` prints for these arguments.
    ///
    /// # Errors
    ///
    /// When Python fails or finds a wrong result, as in the other measurements.
    pub(crate) fn figures<const N: usize>(&self, arguments: &[&str]) -> anyhow::Result<[f64; N]> {
        let mut command = self.command(arguments);
        let output = command.output().context("python3 cannot be run")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "python3: {}", complaint.lines().next_back().unwrap_or("no reason"));
        let figures = String::from_utf8(output.stdout)?;
        let figures: Vec<f64> = figures.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let count = figures.len();
        figures.try_into().ok().with_context(|| format!("python3 printed {count} figures, not {N}"))
    }

    /// The one figure for something that is done so many times.
    ///
    /// # Errors
    ///
    /// As [`Self::figures`].
    pub(crate) fn figure(&self, what: &str, amount: usize) -> anyhow::Result<f64> {
        let [figure] = self.figures(&[what, &amount.to_string()])?;
        Ok(figure)
    }

    /// Seconds of a whole process, from its start to its end.
    ///
    /// # Errors
    ///
    /// As [`Self::figures`].
    pub(crate) fn process(&self, arguments: &[&str]) -> anyhow::Result<f64> {
        let started = Instant::now();
        let status = self.command(arguments).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "python3 {status}");
        Ok(started.elapsed().as_secs_f64())
    }

    /// The same, and what it wrote into a pipe, behind what is in `text` already.
    ///
    /// # Errors
    ///
    /// As [`Self::figures`].
    pub(crate) fn process_piped(&self, arguments: &[&str], text: &mut Vec<u8>) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut child = self.command(arguments).stdout(Stdio::piped()).spawn()?;
        let mut pipe = child.stdout.take().context("python3 has no pipe")?;
        pipe.read_to_end(text)?;
        let status = child.wait()?;
        ensure!(status.success(), "python3 {status}");
        Ok(started.elapsed().as_secs_f64())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.program).arg(WORKERS.to_string()).args(arguments);
        command
    }
}

//! What all benchmarks need: the module of example tasks, the binary, a cache, and how much to measure.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use wasmpool::{Pool, Task};

use crate::python::Python;

/// Workers of every pool, processes of every Python pool, and threads of every loop on all cores.
pub(crate) const WORKERS: usize = 2;

/// The command line, as cargo built it for this benchmark.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_wasmpool");

/// A module of numbers written by hand: one function, no memory.
pub(crate) const CUBE_WAT: &str = "(module (func (export \"cube\") (param i64) (result i64)
    (i64.mul (local.get 0) (i64.mul (local.get 0) (local.get 0)))))";

/// What all benchmarks need.
pub(crate) struct World {
    is_quick: bool,
    /// The example tasks, as the binary builds them.
    pub(crate) module: PathBuf,
    /// Holds compiled modules, for the pools and for the binary.
    scratch: TempDir,
    /// Python, where it is installed.
    pub(crate) python: Option<Python>,
}

impl World {
    /// Builds the module.
    ///
    /// # Errors
    ///
    /// When the module cannot be built or there is no room for temporary files.
    pub(crate) fn new(is_quick: bool) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir().context("no directory for temporary files")?;
        let python = Python::find(scratch.path())?;
        Ok(Self { is_quick, module: build_tasks()?, scratch, python })
    }

    /// `count`, or a tenth of it when time is short.
    pub(crate) fn some(&self, count: usize) -> usize {
        if self.is_quick { count.div_ceil(10) } else { count }
    }

    /// Turns that every contestant has.
    pub(crate) fn rounds(&self) -> usize {
        if self.is_quick { 3 } else { 9 }
    }

    /// A directory for `XDG_CACHE_HOME`.
    pub(crate) fn cache_home(&self) -> &Path {
        self.scratch.path()
    }

    /// The directory in it that the binary uses.
    pub(crate) fn cache(&self) -> PathBuf {
        self.scratch.path().join("wasmpool")
    }

    /// A pool of [`WORKERS`] and a task of the example module.
    ///
    /// # Errors
    ///
    /// When there can be no pool, or no such task.
    pub(crate) fn task<A, R>(&self, name: &str) -> anyhow::Result<(Pool, Task<A, R>)> {
        let pool = pool(&self.cache())?;
        let task = pool.load(&self.module)?.task(name)?;
        Ok((pool, task))
    }
}

/// A pool of [`WORKERS`] that keeps compiled modules in `cache`.
///
/// # Errors
///
/// When there can be none.
pub(crate) fn pool(cache: &Path) -> Result<Pool, wasmpool::Error> {
    Pool::builder().workers(WORKERS).cache_dir(cache).build()
}

/// Has the binary build the example tasks, with the flags that it uses for everybody's.
fn build_tasks() -> anyhow::Result<PathBuf> {
    let target = target_directory()?;
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("wasm-tasks");
    let built = Command::new(BINARY)
        .args(["inspect", "--build"])
        .arg(&package)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .with_context(|| format!("{BINARY} cannot be run"))?;
    ensure!(built.status.success(), "wasm-tasks: {}", String::from_utf8_lossy(&built.stderr));
    let module = target.join("wasm32-wasip1/wasmpool/wasm_tasks.wasm");
    ensure!(module.is_file(), "building wasm-tasks left no {}", module.display());
    Ok(module)
}

/// Cargo's target directory: this executable lies in `release/deps` of it.
fn target_directory() -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().nth(3);
    Ok(target.context("this executable lies in no target directory")?.to_owned())
}

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
    pub(crate) is_quick: bool,
    /// The example tasks, as the binary builds them.
    pub(crate) module: PathBuf,
    /// Holds compiled modules, for the pools and for the binary.
    scratch: TempDir,
    /// Python, or why there is none.
    pub(crate) python: Result<Python, String>,
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
        Ok(Self { is_quick, module: build(&package("wasm-tasks"), "wasm_tasks")?, scratch, python })
    }

    /// `count`, or a tenth of it when time is short.
    pub(crate) fn some(&self, count: usize) -> usize {
        if self.is_quick { count.div_ceil(10) } else { count }
    }

    /// Turns that every contestant has.
    pub(crate) fn turns(&self) -> usize {
        if self.is_quick { 3 } else { 9 }
    }

    /// Turns that every contestant has at each point of a curve.
    pub(crate) fn turns_of_point(&self) -> usize {
        if self.is_quick { 1 } else { 3 }
    }

    /// A directory for what a benchmark makes; gone when the run ends.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let directory = self.scratch.path().join(name);
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
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

/// The directory of a package of this project.
pub(crate) fn package(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(name)
}

/// Has the binary build a package of tasks, with the flags that it uses for everybody's; returns the module's path.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn build(package: &Path, library: &str) -> anyhow::Result<PathBuf> {
    let target = target_directory()?;
    let built = Command::new(BINARY)
        .args(["inspect", "--build"])
        .arg(package)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .with_context(|| format!("{BINARY} cannot be run"))?;
    ensure!(built.status.success(), "{}: {}", package.display(), String::from_utf8_lossy(&built.stderr));
    let module = target.join("wasm32-wasip1/wasmpool").join(library).with_extension("wasm");
    ensure!(module.is_file(), "building {} left no {}", package.display(), module.display());
    Ok(module)
}

/// Cargo's target directory: this executable lies in `release/deps` of it.
fn target_directory() -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let target = executable.ancestors().nth(3);
    Ok(target.context("this executable lies in no target directory")?.to_owned())
}

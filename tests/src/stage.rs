//! A place for workers that lie: a directory with an executable and the script that its processes follow.

use std::path::PathBuf;

use tempfile::TempDir;
use wasmpool::lies::{Lie, Script};

use crate::directory_of_programs;

/// The executable of liars and its script, gone when this is.
pub struct Stage {
    /// What they do.
    pub script: Script,
    directory: TempDir,
}

impl Stage {
    /// Sets the stage: the first process of a kind that can tell this lie tells it, in its first chunk, unless
    /// `change` says otherwise.
    ///
    /// # Panics
    ///
    /// When nothing can be put there.
    pub fn set(lie: Lie, change: impl FnOnce(&mut Script)) -> Self {
        let programs = directory_of_programs();
        // On the same file system, so that a link is enough.
        let directory = TempDir::with_prefix_in("liar-", &programs).expect("a directory");
        let mut script = Script::new(directory.path(), lie);
        change(&mut script);
        script.put().expect("a script");
        std::fs::hard_link(programs.join("liar"), directory.path().join("liar")).expect("a link");
        Self { script, directory }
    }

    /// What a pool is to start its workers from.
    #[must_use]
    pub fn executable(&self) -> PathBuf {
        self.directory.path().join("liar")
    }
}

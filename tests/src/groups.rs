//! Control groups that limit memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::watchdog::wait_until;

/// A control group with a limit of memory. Dropping it removes it, once its processes have ended.
pub struct MemoryGroup {
    directory: PathBuf,
}

impl MemoryGroup {
    /// Makes a group whose processes may have so many bytes.
    ///
    /// # Errors
    ///
    /// When this process may not make groups, or the system has none: tests that need one say so and pass.
    pub fn with_limit(bytes: u64) -> io::Result<Self> {
        let name = format!("wasmpool-test-{}", std::process::id());
        let versions = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        let mut result = Err(io::ErrorKind::NotFound.into());
        for (root, limit) in versions {
            let group = Self { directory: Path::new(root).join(&name) };
            result = fs::create_dir(&group.directory)
                .and_then(|()| fs::write(group.directory.join(limit), bytes.to_string()))
                .map(|()| group);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The file that takes the processes to be in the group.
    #[must_use]
    pub fn processes(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // One whose directory was never made is gone already.
        wait_until(|| match fs::remove_dir(&self.directory) {
            Err(error) => error.kind() != io::ErrorKind::ResourceBusy,
            Ok(()) => true,
        });
    }
}

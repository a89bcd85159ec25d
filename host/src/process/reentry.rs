//! How this executable is started again as one of wasmpool's own processes.
//!
//! The supervisor runs its own executable with a first argument that nobody types. A program that links the library
//! looks for it first thing in `main`, through [`crate::init`]; a program that does not would start itself over and
//! over, so a pool refuses to start before `init` has run. A program that cannot call it names another executable that
//! does; should that one build a pool instead, it is found out by its first argument.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::stack;

/// First argument of a process that is one of wasmpool's own.
const MARK: &str = "--wasmpool-process";

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs guest code.
    Worker,
    /// Compiles one module.
    Compiler,
    /// Runs one WASI program.
    Command,
    /// Confines itself as a worker does, tells what came of it, and ends.
    Trial,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Compiler => "compiler",
            Self::Command => "command",
            Self::Trial => "trial",
        }
    }

    /// Arguments that start this executable in the role.
    pub(crate) fn arguments(self) -> [&'static str; 2] {
        [MARK, self.name()]
    }

    /// The role in which this process was started, if it is one of wasmpool's own.
    pub(crate) fn of_this_process() -> Option<Self> {
        let mut arguments = std::env::args_os().skip(1);
        if arguments.next()? != MARK {
            return None;
        }
        let role = arguments.next()?;
        let known = [Self::Worker, Self::Compiler, Self::Command, Self::Trial];
        known.into_iter().find(|known| role == known.name())
    }
}

/// An executable to start processes from, the same one also if its file is replaced later.
#[derive(Clone, Debug)]
pub(crate) struct Executable(Arc<File>);

impl Executable {
    /// The one that this process runs, or nothing when `init` has not run.
    pub(crate) fn own() -> Option<Self> {
        OWN.get().cloned()
    }

    /// The one at this path.
    ///
    /// # Errors
    ///
    /// When there is no file that this user may read and execute.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        rustix::fs::access(path, rustix::fs::Access::EXEC_OK)?;
        Ok(Self(Arc::new(file)))
    }

    /// A path by which this process and its children can run it.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// The executable that this process runs; set once `init` has run.
static OWN: OnceLock<Executable> = OnceLock::new();

/// Remembers the executable that this process runs, also if its file is replaced later.
pub(crate) fn remember_executable() {
    if let Ok(file) = File::open("/proc/self/exe") {
        // A second call finds the same executable remembered.
        let _ = OWN.set(Executable(Arc::new(file)));
    }
}

/// Makes this process its supervisor's own: nothing inherited but the control socket, and dead when the supervisor
/// is. Returns the control socket.
///
/// Ends the process when the supervisor is already gone.
#[allow(unsafe_code, reason = "descriptor numbers that this process was started with")]
pub(crate) fn settle() -> OwnedFd {
    // A host that opens files without close-on-exec would leave them to us, and so to guests.
    // SAFETY: nothing in this process owns a descriptor above 2 yet; it has just been executed.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    // SAFETY: descriptor 0 is the control socket by the agreement with `nursery`, and nothing else here uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(0) };
    let signal = Some(rustix::process::Signal::KILL);
    if rustix::process::set_parent_process_death_signal(signal).is_err() {
        std::process::exit(1);
    }
    name_this_process();
    stack::make_room();
    socket
}

/// Ends this process when its parent is not the supervisor any more: the death signal was asked for too late.
pub(crate) fn check_parent(supervisor: u32) {
    let parent = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    // A supervisor in another process-id namespace looks like parent 0; the control socket tells of its death.
    if parent != 0 && parent as u32 != supervisor {
        std::process::exit(0);
    }
}

/// Shows in process lists what this is, and offers it to the kernel before the supervisor when memory runs out.
fn name_this_process() {
    if let Some(role) = Role::of_this_process()
        && let Ok(name) = CString::new(format!("wasmpool-{}", role.name()))
    {
        // Both are courtesies: neither works everywhere, and nothing depends on them.
        let _ = rustix::thread::set_name(&name);
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_not_one_of_our_processes() {
        assert_eq!(Role::of_this_process(), None);
    }

    #[test]
    fn roles_have_different_arguments() {
        assert_ne!(Role::Worker.arguments(), Role::Compiler.arguments());
    }
}

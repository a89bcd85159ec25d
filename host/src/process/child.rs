//! A child process: its descriptor, its death, and stopping it for a look.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It exited by itself, with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It is gone, and somebody else took its status (SIGCHLD ignored, `waitpid(-1)`).
    Unknown,
}

impl Exit {
    /// Whether the filter of system calls ended it: its code did what that of no module can.
    pub(crate) fn is_break_out(self) -> bool {
        self == Self::Signal(Signal::SYS.as_raw())
    }

    /// What the kernel said of a process that has ended.
    pub(super) fn from_status(status: &WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (_, Some(signal)) => Self::Signal(signal),
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {signal}"),
            },
            Self::Unknown => f.write_str("ended, and its status was taken by somebody else"),
        }
    }
}

/// Name of a signal that ends processes.
fn signal_name(signal: i32) -> Option<&'static str> {
    let named = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::SYS, "SIGSYS"),
    ];
    named.iter().find_map(|(known, name)| (known.as_raw() == signal).then_some(*name))
}

/// A process started by this one. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(super) pid: Pid,
    pub(super) descriptor: Arc<OwnedFd>,
    pub(super) death: Arc<OnceLock<Exit>>,
}

impl Child {
    /// Its process id. It may be another process's by the time it is used; signals go through the descriptor.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// How it ended, once the kernel has said so.
    pub(crate) fn death(&self) -> Option<Exit> {
        self.death.get().copied()
    }

    /// Kills it. Its death is reported like any other.
    pub(crate) fn kill(&self) {
        // It fails only when the process has ended already.
        let _ = rustix::process::pidfd_send_signal(&*self.descriptor, Signal::KILL);
    }

    /// Asks it to end, also when it stands still. A worker has no reason to refuse, but can have learnt to.
    pub(crate) fn terminate(&self) {
        // As above.
        let _ = rustix::process::pidfd_send_signal(&*self.descriptor, Signal::TERM);
        self.go_on();
    }

    /// Its descriptor, which becomes readable when it has ended.
    pub(crate) fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.descriptor
    }

    /// Whether the kernel says that it has ended; those who hear of it may not have been told yet.
    pub(crate) fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(&*self.descriptor, PollFlags::IN)];
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        self.death().is_some()
            || rustix::event::poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Waits until its death is known, at most for `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.death().is_none() && Instant::now() < deadline {
            let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            let mut polled = [PollFd::new(&*self.descriptor, PollFlags::IN)];
            // Ready means that it has ended; the nursery tells a moment later.
            if rustix::event::poll(&mut polled, Some(&timeout)).is_ok_and(|ready| ready > 0) {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Stops the process, at most for `limit`, and says whether it stands still now.
    ///
    /// A process that died meanwhile, or that hangs in the kernel, does not.
    pub(crate) fn stop(&self, limit: Duration) -> bool {
        if rustix::process::pidfd_send_signal(&*self.descriptor, Signal::STOP).is_err() {
            return false;
        }
        let deadline = Instant::now() + limit;
        loop {
            match self.is_stopped() {
                Ok(true) => return true,
                Ok(false) if self.death().is_some() || Instant::now() > deadline => return false,
                Ok(false) => std::thread::yield_now(),
                Err(_) => return false,
            }
        }
    }

    /// Lets a stopped process go on.
    pub(crate) fn go_on(&self) {
        // It fails only when the process has ended already.
        let _ = rustix::process::pidfd_send_signal(&*self.descriptor, Signal::CONT);
    }

    fn is_stopped(&self) -> io::Result<bool> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::PidFd(self.descriptor.as_fd()), options)?;
        Ok(status.is_some_and(|status| status.stopped()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.death().is_none() {
            self.kill();
        }
    }
}

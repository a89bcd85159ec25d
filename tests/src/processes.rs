//! What the kernel knows of this process, its children and its descriptors.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal};
use wasmpool::Pool;

use crate::watchdog::wait_until;

/// Sends a signal; says whether there was anybody to get it.
pub fn send(pid: u32, signal: Signal) -> bool {
    Pid::from_raw(pid as i32).is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// Kills processes, those that are still there.
pub fn kill(pids: &[u32]) {
    for pid in pids {
        send(*pid, Signal::KILL);
    }
}

/// A process as `/proc` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// `R` running, `S` sleeping, `T` stopped, `Z` a zombie ...
    pub state: char,
}

impl Process {
    /// The process with this id, if there is one.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // `pid (name) state parent ...`, where the name can be anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some(Self { pid, state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
    }
}

/// All children of this process, zombies too.
#[must_use]
pub fn children() -> Vec<Process> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::find).filter(|process| process.parent == own).collect()
}

/// What this process has open, by number and by what it leads to.
#[must_use]
pub fn descriptors() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let shown = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        // The one that lists the directory is gone by now.
        let target = fs::read_link(&path).ok()?;
        Some(format!("{} -> {}", path.file_name()?.display(), target.display()))
    });
    shown.filter(|shown| !shown.contains("/proc/")).collect()
}

/// Waits until all workers of a pool have been started, and tells their process ids.
pub fn workers(pool: &Pool) -> Vec<u32> {
    wait_until(|| pool.worker_pids().len() == pool.workers());
    pool.worker_pids()
}

//! `doctor`: what this machine gives a pool, and what to do where it gives too little.
//!
//! How well processes are confined is found out by confining one. The rest is read where the pool reads it, too.

mod report;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{PidfdFlags, Resource};

use self::report::{Item, Report};
use super::Refusal;
use super::args::DoctorArguments;
use super::exit::Exit;
use crate::channel::control::{Control, FileAccess, Wishes};
use crate::pool::compile::{Cache, START_TIME_MAX, greet};
use crate::process::jail::{self, rights::Verdict};
use crate::process::reentry::Role;
use crate::process::{cores, memory, nursery};
use crate::shm::region::{Region, Writer};

/// How long a process may take to confine itself.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(30);

/// Mappings that a worker may come to have: memories, tables, code and a thousand shared objects.
const MAPPINGS_MIN: u64 = 8192;

/// Prints the report; says how well a pool would be confined.
pub(super) fn run(doctor: &DoctorArguments) -> Result<Exit, Refusal> {
    let jail = try_jail()
        .context("no process can be started")
        .map_err(|error| Refusal::new(Exit::Unusable, error))?;
    let report = Report::new(jail, machine());
    let text = if doctor.json { report.json() + "\n" } else { report.to_string() };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            return Err(Refusal::new(
                Exit::Other,
                anyhow::Error::new(error).context("stdout cannot be written"),
            ));
        }
    }
    Ok(match report.verdict(FileAccess::None) {
        Verdict::Full | Verdict::Reduced => Exit::Success,
        Verdict::Insecure => Exit::Unusable,
    })
}

/// Sends a process into the jail, and hears what came of it.
fn try_jail() -> anyhow::Result<jail::Report> {
    let (control, theirs) = Control::pair()?;
    let executable = crate::pool::executable(None)?;
    let child = nursery::spawn(Role::Trial, &executable, theirs, Box::new(|_| ()))?;
    greet(&control, Wishes { insecure: true, directories: FileAccess::None })?;
    let report = control.receive(TRIAL_TIME_MAX);
    if report.is_err() {
        child.wait(START_TIME_MAX);
    }
    report.with_context(|| match child.death() {
        Some(exit) => format!("the process that confined itself {exit}"),
        None => "the process that confined itself says nothing".to_owned(),
    })
}

/// What the machine gives besides.
fn machine() -> Vec<Item> {
    vec![pidfd(), seals(), address_space(), mappings(), overcommit(), cores(), memory(), groups(), cache()]
}

fn pidfd() -> Item {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    Item::check(
        "pidfd",
        "process descriptors",
        own.is_ok(),
        "use Linux 5.4 or later; without, no pool can run",
    )
}

fn seals() -> Item {
    let region: std::io::Result<(Region, OwnedFd)> =
        Region::create("wasmpool-doctor", 4096, Writer::Supervisor);
    let remedy = "use Linux 5.1 or later with memfd_create(2); without, no pool can run";
    Item::check("memfd_seals", "sealed memory", region.is_ok(), remedy)
}

fn address_space() -> Item {
    let limit = rustix::process::getrlimit(Resource::As).current;
    let remedy =
        "lift the limit (`ulimit -v unlimited`): workers reserve addresses for memory that they never touch";
    Item::check("address_space", "unlimited addresses", limit.is_none(), remedy)
}

fn mappings() -> Item {
    let most = kernel_number("/proc/sys/vm/max_map_count");
    let remedy = "raise the sysctl vm.max_map_count to 65530, its usual value";
    let item = Item::check(
        "max_map_count",
        "mappings of a process",
        most.is_none_or(|most| most >= MAPPINGS_MIN),
        remedy,
    );
    item.with_value(most.map_or_else(|| "unknown".to_owned(), |most| most.to_string()))
}

fn overcommit() -> Item {
    let mode = kernel_number("/proc/sys/vm/overcommit_memory");
    let remedy =
        "set the sysctl vm.overcommit_memory to 0: with 2 each worker is charged for tables it never fills";
    Item::check("overcommit", "memory on demand", mode != Some(2), remedy)
}

fn cores() -> Item {
    Item::fact("cores", "cores for workers", cores::available().to_string())
}

fn memory() -> Item {
    Item::fact("memory", "memory available", bytes(memory::available()))
}

fn groups() -> Item {
    let limits = [
        cores::quota_of_this_process().map(|quota| format!("{quota} cores")),
        memory::of_this_group().map(|left| format!("{} of memory left", bytes(left))),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let value = if limits.is_empty() { "none".to_owned() } else { limits.join(", ") };
    Item::fact("cgroup_limits", "control group's limits", value)
}

fn cache() -> Item {
    let remedy =
        "give this user a HOME or XDG_CACHE_HOME where nobody else can write; without, each start compiles";
    match Cache::of_user() {
        Some(cache) => {
            Item::check("cache", "cache of compiled code", true, remedy).with_value(shown(cache.directory()))
        }
        None => Item::check("cache", "cache of compiled code", false, remedy),
    }
}

fn shown(path: &Path) -> String {
    crate::printable::printable_name(&path.to_string_lossy()).to_string()
}

fn kernel_number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn bytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

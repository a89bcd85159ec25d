//! The jail: how a process that will meet hostile code gives up its rights, before it does.
//!
//! Three kinds of process are confined ([`Inmate`]). A worker runs a module's code and assumes that the code may
//! break out of WebAssembly; a compiler reads a module's bytes; a program's process runs a WASI command with the
//! caller's streams. None of them can get any of this back, and whatever the module does afterwards, it does with
//! what is left: memory, time, and the descriptors that the process already has.
//!
//! # The procedure
//!
//! A [`Confinement`] is taken through these steps, in this order, once in a process's life:
//!
//! | step | when | what |
//! |---|---|---|
//! | 1 | first thing | every inherited descriptor is closed but the control socket ([`super::reentry::settle`]) |
//! | 2 | [`Confinement::begin`] | no new privileges; not dumpable; no core files; no capabilities |
//! | 3 | [`Confinement::begin`] | Landlock, while there is one thread |
//! | 4 | [`Confinement::filter_early`] | a worker waits for its module: only listed system calls from now on |
//! | 5 | [`Confinement::admit`] | the module and what is granted to it are told, but not looked at |
//! | 6 | [`Confinement::filter`] | a compiler or a program has its threads: only listed system calls from now on |
//! | 7 | | the module is looked at: its code is mapped, the only time that memory becomes executable |
//! | 8 | [`Confinement::lock`] | no further descriptor, no new executable memory, no further filter |
//! | 9 | | "ready"; guest code may run |
//!
//! Granted directories come with the module, so a process that will get some takes step 3 within step 5, and a worker
//! step 4 as step 6. A compiler locks before it looks at the module, for it maps no code.
//!
//! What must be true at step 9 is that every [`rights::Right`] is gone, by whichever [`layers::Layer`]s the kernel has.
//! The process itself judges that: once at step 3, from what is done and what the kernel promises of the rest, so that
//! a pool hears of it before it has work; and again at step 8, from what was done. If a right is left, the process
//! refuses, unless the supervisor's [`Wishes`] say that this is accepted; then it goes on with as many layers as there
//! are. `insecure` never takes a layer away.
//!
//! Every step has one way only: a layer that is in place cannot be lifted by its process.

pub(crate) mod filter;
pub(crate) mod layers;
pub(crate) mod rights;
mod ruleset;

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use self::layers::{Layer, Layers};
use self::rights::{Judgement, Refusal};
use crate::channel::control::{FileAccess, Wishes};

/// Who is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inmate {
    /// Runs a module's code for a pool.
    Worker,
    /// Compiles a module.
    Compiler,
    /// Runs a WASI command.
    Program,
}

/// A directory that a process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantedDirectory<'a> {
    /// Of the directory itself; opened by the supervisor.
    pub(crate) descriptor: BorrowedFd<'a>,
    /// Nothing in it may be changed.
    pub(crate) read_only: bool,
}

/// A process on its way into the jail.
#[derive(Debug)]
pub(crate) struct Confinement {
    inmate: Inmate,
    wishes: Wishes,
    landlock_abi: u32,
    /// What is in place.
    done: Layers,
    /// How long the steps took so far.
    time: Duration,
}

/// What came of a confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What is in place.
    pub(crate) layers: Layers,
    /// Version of Landlock's interface; 0 where there is none.
    pub(crate) landlock_abi: u32,
    /// How long all steps took.
    pub(crate) time: Duration,
}

impl Confinement {
    /// Steps 2 and 3. The calling thread must be the only one.
    ///
    /// # Errors
    ///
    /// When a right can be seen to stay that must go.
    pub(crate) fn begin(inmate: Inmate, wishes: Wishes) -> Result<Self, Refusal> {
        let started = Instant::now();
        ask_beforehand();
        let landlock_abi = layers::landlock_abi().unwrap_or(0);
        let mut begun = Self { inmate, wishes, landlock_abi, done: Layers::default(), time: Duration::ZERO };
        begun.done.note(Layer::NoNewPrivs, rustix::thread::set_no_new_privs(true).is_ok());
        let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
        begun.done.note(Layer::NotDumpable, hidden.is_ok());
        begun.done.note(Layer::NoCapabilities, drop_capabilities().is_ok());
        // A courtesy to the disk: what a core file would hold is the module's own.
        let _ = limit(Resource::Core, 0);
        let mut promised = Layers::promised();
        match wishes.directories {
            FileAccess::None => {
                begun.done = begun.done.with(ruleset::confine(landlock_abi, &[]).unwrap_or_default())
            }
            FileAccess::Granted => promised = promised.with(Layers::of_landlock(landlock_abi)),
        }
        begun.time += started.elapsed();
        begun.demand(begun.done.with(promised))?;
        Ok(begun)
    }

    /// Step 5. The calling thread must be the only one.
    ///
    /// # Errors
    ///
    /// When directories come although none were announced, or a right stays.
    pub(crate) fn admit(&mut self, directories: &[GrantedDirectory<'_>]) -> Result<(), String> {
        match self.wishes.directories {
            FileAccess::None if directories.is_empty() => return Ok(()),
            FileAccess::None => return Err("directories were granted to a process born without".into()),
            FileAccess::Granted => {}
        }
        self.done = self.done.with(ruleset::confine(self.landlock_abi, directories).unwrap_or_default());
        self.demand(self.done.with(Layers::promised())).map_err(|refusal| refusal.to_string())
    }

    /// Step 4, where no directories will come: those need what the filter forbids.
    pub(crate) fn filter_early(&mut self) {
        if self.wishes.directories == FileAccess::None {
            self.filter();
        }
    }

    /// Step 6, unless step 4 was taken. Afterwards only listed system calls are possible, on all threads.
    pub(crate) fn filter(&mut self) {
        if self.done.has(Layer::Filter) {
            return;
        }
        let started = Instant::now();
        let filtered = filter::confine(self.inmate, self.wishes.directories);
        self.done.note(Layer::Filter, filtered.is_ok());
        self.time += started.elapsed();
    }

    /// Step 8. Returns what came of all steps.
    ///
    /// # Errors
    ///
    /// When a right stays that must go.
    pub(crate) fn lock(mut self) -> Result<Report, Refusal> {
        let started = Instant::now();
        if self.wishes.directories == FileAccess::None {
            self.done.note(Layer::NoDescriptors, limit(Resource::Nofile, 0).is_ok());
        }
        self.done.note(Layer::CodeLock, layers::lock_code());
        if self.done.has(Layer::Filter) {
            let is_locked = filter::lock(self.inmate, self.wishes.directories).is_ok();
            self.done = self.done.without(Layer::Filter);
            self.done.note(Layer::Filter, is_locked);
        }
        self.demand(self.done)?;
        let time = self.time + started.elapsed();
        Ok(Report { layers: self.done, landlock_abi: self.landlock_abi, time })
    }

    fn demand(&self, layers: Layers) -> Result<(), Refusal> {
        match Judgement::of(layers, self.wishes.directories).demand() {
            Err(_) if self.wishes.insecure => Ok(()),
            judged => judged,
        }
    }
}

/// Asks the system what our libraries would ask it later, when they get no answer any more: they keep the answers.
fn ask_beforehand() {
    // Where the kernel's own functions lie, of which the clock is one, and with them the page size.
    let _ = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let _ = rustix::param::page_size();
}

fn drop_capabilities() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )
}

/// Lowers a limit for good.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}

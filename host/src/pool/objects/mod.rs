//! The shared objects of a pool: where they come from, who is granted them, and what happens when those die.
//!
//! An object is made here, with all its memory, and is gone when neither a handle nor a grant refers to it any more.
//! [`Registry`] knows the living ones by name. A worker whose module is granted objects has a [`Stake`] in them: its
//! number as a party, and the duty of this process to bury that party when the kernel has proved the worker dead.
//!
//! What programs have of an object is a typed handle: [`Value`], [`Queue`] and their kin, each in a file of its own,
//! made by the functions in [`create`]. A handle turns values into bytes and refusals into words; what an operation
//! does is `shm`'s business. Whoever calls one is a party: its thread ([`parties::of_this_thread`]). Operations have the
//! names that they have in the guests' SDK, and do the same.

mod array;
mod barrier;
mod cells;
mod codec;
mod condition;
pub(crate) mod create;
mod dict;
mod element;
mod error;
mod event;
mod handle;
mod holders;
mod list;
mod lock;
mod namespace;
mod options;
pub(crate) mod parties;
mod pipe;
mod queue;
mod records;
mod semaphore;
#[cfg(test)]
mod tests;
mod value;
mod wait;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use wasmpool_abi::is_task_name;
use wasmpool_abi::shared::{OBJECT_NAME_BYTES_MAX, Refusal};

pub use array::{Array, Iter};
pub use barrier::Barrier;
pub use condition::{Condition, ConditionGuard};
pub use dict::Dict;
pub use element::{Bits, Element, Number};
pub use error::{SharedError, SharedErrorKind};
pub use event::Event;
pub use list::List;
pub use lock::{Lock, LockGuard, RLock};
pub use namespace::Namespace;
pub use options::{
    PIPE_BYTES_DEFAULT, PipeOptions, QUEUE_BYTES_DEFAULT, QUEUE_ITEM_BYTES_DEFAULT, QueueOptions,
    RECORD_BYTES_DEFAULT, RECORDS_DEFAULT, RecordOptions,
};
pub use pipe::{Pipe, PipeEnd};
pub use queue::{Items, JoinableQueue, Queue};
pub use semaphore::{BoundedSemaphore, Permit, Semaphore};
pub use value::Value;
pub use wait::wait_any;

use holders::Holders;

use super::error::{Error, ErrorKind};
use crate::channel::control::Grant;
use crate::process::memory;
use crate::shm::object::census::Census;
use crate::shm::object::ground::{Ground, Rights};
use crate::shm::object::spec::{PipeShape, Spec};
use crate::shm::object::text::noun;
use crate::shm::object::{CallEnd, Object, Party};
use crate::shm::region::Region;

/// A shared object as this process has it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) spec: Spec,
    pub(crate) object: Object,
    region: Arc<Region>,
    file: OwnedFd,
    /// The same file, open for reading only.
    reading: OnceLock<OwnedFd>,
    /// Workers that may write to it.
    holders: Arc<Holders>,
    /// Threads that end find the object there, also when it outlives its pool.
    registry: Arc<Registry>,
}

/// An object and what those who are granted it may do with it.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) entry: Arc<Entry>,
    pub(crate) rights: Rights,
}

impl Entry {
    fn create(registry: &Arc<Registry>, name: String, spec: Spec) -> Result<Self, Error> {
        let kind = noun(spec.kind());
        let no_room = |reason: String| {
            Error::new(ErrorKind::SetUp, format!("no memory for shared {kind} `{name}`: {reason}"))
        };
        let bytes = spec.bytes().ok_or_else(|| no_room("no machine has so much".into()))?;
        let (region, file) = reserve(bytes).map_err(|error| no_room(error.to_string()))?;
        Ok(Self::new(Arc::clone(registry), name, spec, Arc::new(region), file, Arc::default()))
    }

    fn new(
        registry: Arc<Registry>,
        name: String,
        spec: Spec,
        region: Arc<Region>,
        file: OwnedFd,
        holders: Arc<Holders>,
    ) -> Self {
        let census: Arc<dyn Census> = Arc::<Holders>::clone(&holders);
        let ground = Ground::new(Arc::clone(&region), Rights::ReadWrite).with_census(census);
        let object = Object::open_on(&spec, ground);
        Self { name, spec, object, region, file, reading: OnceLock::new(), holders, registry }
    }

    /// Another object on the same pages: a pipe's other end.
    fn create_beside(&self, name: String, spec: Spec) -> Result<Self, Error> {
        let file = self.file.try_clone().map_err(|error| {
            let text = format!("no descriptor for shared {} `{name}`", noun(spec.kind()));
            Error::new(ErrorKind::SetUp, text).with_source(error)
        })?;
        let (registry, region) = (Arc::clone(&self.registry), Arc::clone(&self.region));
        Ok(Self::new(registry, name, spec, region, file, Arc::clone(&self.holders)))
    }

    /// The descriptor by which somebody with these rights maps it.
    pub(crate) fn descriptor(&self, rights: Rights) -> io::Result<BorrowedFd<'_>> {
        if rights == Rights::ReadWrite {
            return Ok(self.file.as_fd());
        }
        if let Some(file) = self.reading.get() {
            return Ok(file.as_fd());
        }
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = OwnedFd::from(File::open(path)?);
        Ok(self.reading.get_or_init(|| file).as_fd())
    }
}

/// Makes a region with all its pages there.
fn reserve(bytes: usize) -> io::Result<(Region, OwnedFd)> {
    // The kernel would rather end a process than refuse a page, so what there is must be asked for before.
    let available = memory::available();
    if bytes as u64 > available {
        return Err(io::Error::other(format!("it takes {bytes} bytes, and {available} are available")));
    }
    Region::create_reserved("wasmpool-object", bytes)
}

/// A shared object that can be granted to calls: all types of [`shared`](crate::shared).
pub trait Shareable: sealed::HasEntry {}

impl<T: sealed::HasEntry> Shareable for T {}

pub(crate) mod sealed {
    use super::{Arc, Entry};

    /// Keeps [`Shareable`](super::Shareable) to this crate's own types.
    pub trait HasEntry {
        /// The object as the pool knows it.
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "nobody outside can call it")]
        fn entry(&self) -> &Arc<Entry>;
    }
}

/// The living objects of a pool, by name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    entries: Mutex<BTreeMap<String, Weak<Entry>>>,
}

impl Registry {
    /// A registry that threads know of when they end.
    pub(crate) fn new() -> Arc<Self> {
        let registry = Arc::default();
        parties::watch(&registry);
        registry
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Weak<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an object.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] for a name that is none, or that a living object has, and for sizes that cannot be;
    /// [`ErrorKind::SetUp`] when there is not enough memory.
    pub(crate) fn create(self: &Arc<Self>, name: &str, spec: Spec) -> Result<Arc<Entry>, Error> {
        check(name, &spec)?;
        let mut entries = self.entries();
        check_is_free(&entries, name)?;
        let entry = Arc::new(Entry::create(self, name.to_owned(), spec)?);
        list(&mut entries, &entry);
        Ok(entry)
    }

    /// Makes both ends of a pipe, under the names `name.0` and `name.1`.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub(crate) fn create_pipe(
        self: &Arc<Self>,
        name: &str,
        shape: PipeShape,
    ) -> Result<[Arc<Entry>; 2], Error> {
        let names = [format!("{name}.0"), format!("{name}.1")];
        let specs = [0, 1].map(|end| Spec::Pipe { shape, end });
        let mut entries = self.entries();
        for (name, spec) in names.iter().zip(&specs) {
            check(name, spec)?;
            check_is_free(&entries, name)?;
        }
        let ([first, second], [first_spec, second_spec]) = (names, specs);
        let first = Arc::new(Entry::create(self, first, first_spec)?);
        let second = Arc::new(first.create_beside(second, second_spec)?);
        list(&mut entries, &first);
        list(&mut entries, &second);
        Ok([first, second])
    }

    /// Removes every trace of a thread that ends from all objects, as if a call of it had ended.
    pub(super) fn let_go(&self, party: Party) {
        let entries: Vec<Arc<Entry>> = self.entries().values().filter_map(Weak::upgrade).collect();
        for entry in entries {
            // It does not die: a barrier at which it has met others does not break.
            entry.object.end_call(party, CallEnd::Normal);
            entry.object.bury(party);
        }
    }
}

/// Checks a new object's name and sizes.
fn check(name: &str, spec: &Spec) -> Result<(), Error> {
    let kind = noun(spec.kind());
    if !is_task_name(name) {
        let text = format!(
            "`{name}` cannot be the name of a shared {kind}: use 1 to {OBJECT_NAME_BYTES_MAX} ASCII letters, digits, \
             `_`, `-` and `.`"
        );
        return Err(Error::new(ErrorKind::Setting, text));
    }
    spec.check()
        .map_err(|why| Error::new(ErrorKind::Setting, format!("shared {kind} `{name}` cannot have {why}")))
}

fn check_is_free(entries: &BTreeMap<String, Weak<Entry>>, name: &str) -> Result<(), Error> {
    let Some(entry) = entries.get(name).and_then(Weak::upgrade) else { return Ok(()) };
    let kind = noun(entry.spec.kind());
    let text = format!(
        "the pool has a shared {kind} named `{name}` already: choose another name, or \
                 drop all that refers to it"
    );
    Err(Error::new(ErrorKind::Setting, text))
}

fn list(entries: &mut BTreeMap<String, Weak<Entry>>, entry: &Arc<Entry>) {
    entries.retain(|_, entry| entry.strong_count() > 0);
    entries.insert(entry.name.clone(), Arc::downgrade(entry));
}

/// What workers are told of these grants.
pub(crate) fn describe(granted: &[Granted]) -> Vec<Grant> {
    let grant = |granted: &Granted| Grant {
        name: granted.entry.name.clone(),
        spec: granted.entry.spec.clone(),
        rights: granted.rights,
    };
    granted.iter().map(grant).collect()
}

/// One worker's part in the objects that its module is granted.
#[derive(Debug)]
pub(crate) struct Stake {
    pub(crate) party: Party,
    pub(crate) granted: Arc<[Granted]>,
    is_buried: AtomicBool,
}

impl Stake {
    /// A stake for a new worker; none where nothing is granted.
    ///
    /// # Errors
    ///
    /// [`Refusal::Crowded`] when there are too many workers and threads.
    pub(crate) fn new(granted: &Arc<[Granted]>) -> Result<Option<Self>, Refusal> {
        if granted.is_empty() {
            return Ok(None);
        }
        let stake =
            Self { party: parties::take()?, granted: Arc::clone(granted), is_buried: AtomicBool::new(false) };
        stake.writable().for_each(|entry| entry.holders.admit(stake.party));
        Ok(Some(stake))
    }

    /// Takes everything from the worker that it held. It must be proved dead, or never have been told of its stake.
    pub(crate) fn bury(&self) {
        // Relaxed: it only decides who of several does it.
        if self.is_buried.swap(true, Ordering::Relaxed) {
            return;
        }
        self.writable().for_each(|entry| entry.object.bury(self.party));
        // Not before all are buried: both ends of a pipe have one list.
        self.writable().for_each(|entry| entry.holders.strike_off(self.party));
        parties::give_back(self.party);
    }

    /// The objects that the worker may write to.
    fn writable(&self) -> impl Iterator<Item = &Arc<Entry>> {
        let granted = self.granted.iter().filter(|granted| granted.rights == Rights::ReadWrite);
        granted.map(|granted| &granted.entry)
    }
}

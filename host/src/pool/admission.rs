//! A module together with the shared objects and directories that its calls may open, and the way in which its
//! instances begin.
//!
//! Rights are fixed when a worker is told its module, so that a module with grants is, to everybody who schedules,
//! a module of its own: another queue, other workers. Its code is the same. It is made when the first job needs it,
//! shared by all who grant the same, and struck off the pool's list when nobody uses it any more.

use std::sync::{Arc, OnceLock};

use super::directories::{self, GrantedDirectory};
use super::error::{Error, ErrorKind};
use super::initializer::Start;
use super::module::ModuleState;
use super::objects::{Entry, Granted};
use super::shared::Shared;
use crate::shm::object::ground::Rights;

/// A module on the pool's list for as long as this lives.
pub(super) struct Admission {
    shared: Arc<Shared>,
    state: Arc<ModuleState>,
    start: Option<Start>,
}

impl Admission {
    /// For a module that is on the list.
    pub(super) fn new(shared: Arc<Shared>, state: Arc<ModuleState>, start: Option<Start>) -> Self {
        Self { shared, state, start }
    }

    /// Whether these are its grants, and its instances begin so.
    pub(super) fn is_of(
        &self,
        granted: &[Granted],
        directories: &[Arc<GrantedDirectory>],
        start: Option<&Start>,
    ) -> bool {
        let begins_so = match (&self.start, start) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_same(other),
            _ => false,
        };
        let is_same = |(one, other): (&Granted, &Granted)| {
            Arc::ptr_eq(&one.entry, &other.entry) && one.rights == other.rights
        };
        begins_so
            && self.state.granted.len() == granted.len()
            && self.state.granted.iter().zip(granted).all(is_same)
            && are_same(&self.state.directories, directories)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.remove_module(&self.state);
    }
}

fn are_same(one: &[Arc<GrantedDirectory>], other: &[Arc<GrantedDirectory>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
}

/// A module as somebody uses it.
#[derive(Clone)]
pub(super) struct Use {
    shared: Arc<Shared>,
    /// The module with what its pool grants to all.
    base: Arc<ModuleState>,
    /// In the order of their names.
    granted: Vec<Granted>,
    /// All of them, the pool's first.
    directories: Vec<Arc<GrantedDirectory>>,
    /// How its instances begin, if not as the module says.
    start: Option<Start>,
    /// Shared by all who have the same grants from the same hand, so that it outlives a task that is used once.
    admission: Arc<OnceLock<Arc<Admission>>>,
}

impl Use {
    pub(super) fn new(shared: Arc<Shared>, base: Arc<ModuleState>) -> Self {
        let directories = base.directories.to_vec();
        Self { shared, base, granted: Vec::new(), directories, start: None, admission: Arc::default() }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The module itself, whatever it is granted.
    pub(super) fn base(&self) -> &Arc<ModuleState> {
        &self.base
    }

    /// Grants one more object, or the same one with other rights.
    pub(super) fn grant(&mut self, entry: &Arc<Entry>, rights: Rights) {
        self.granted.retain(|granted| !Arc::ptr_eq(&granted.entry, entry));
        let at = self.granted.partition_point(|granted| granted.entry.name < entry.name);
        self.granted.insert(at, Granted { entry: Arc::clone(entry), rights });
        self.admission = Arc::default();
    }

    /// Grants one more directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setting`] when it contradicts another one.
    pub(super) fn grant_directory(&mut self, directory: Arc<GrantedDirectory>) -> Result<(), Error> {
        directories::with_one_more(&mut self.directories, directory)?;
        self.change_start(|start, shared, base, directories| {
            start.as_mut().map_or(Ok(()), |start| start.renew(shared, base, directories))
        })
    }

    /// Has its instances begin so.
    pub(super) fn start(&mut self, start: Start) {
        self.admission = Arc::default();
        self.start = Some(start);
    }

    /// How its instances begin, if not as the module says.
    pub(super) fn started(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// Changes how its instances begin.
    ///
    /// # Errors
    ///
    /// Those of `change`.
    pub(super) fn change_start(
        &mut self,
        change: impl FnOnce(
            &mut Option<Start>,
            &Arc<Shared>,
            &ModuleState,
            &[Arc<GrantedDirectory>],
        ) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.admission = Arc::default();
        change(&mut self.start, &self.shared, &self.base, &self.directories)
    }

    /// The module that jobs are given to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SetUp`] when the system has no memory or no descriptor left; [`ErrorKind::Setting`] when what calls
    /// share would make runs differ that are to be alike.
    pub(super) fn module(&self) -> Result<&Arc<ModuleState>, Error> {
        let is_shared = |directory: &Arc<GrantedDirectory>| directory.is_writable();
        let shares = !self.granted.is_empty() || self.directories.iter().any(is_shared);
        if shares && self.base.is_deterministic() && self.shared.workers() != 1 {
            let who = match self.shared.workers() {
                0 => "processes".to_owned(),
                workers => format!("{workers} workers"),
            };
            let text = format!(
                "{who} reach shared objects, and directories in which they may write, in whatever order they happen to \
                 run, and a deterministic pool has each run be like any other: use one worker, or grant no more than \
                 directories for reading"
            );
            return Err(Error::new(ErrorKind::Setting, text));
        }
        let is_as_loaded = self.granted.is_empty() && are_same(&self.directories, &self.base.directories);
        if is_as_loaded && self.start.is_none() {
            return Ok(&self.base);
        }
        if let Some(admission) = self.admission.get() {
            return Ok(&admission.state);
        }
        let (granted, directories, start) = (&self.granted, &self.directories, self.start.as_ref());
        let admission = self.base.admissions.find_or(granted, directories, start, || self.admit())?;
        Ok(&self.admission.get_or_init(|| admission).state)
    }

    fn admit(&self) -> Result<Arc<Admission>, Error> {
        let (granted, directories) = (self.granted.clone().into(), self.directories.clone().into());
        let state = self.base.with_grants(granted, directories, self.start.as_ref()).map_err(|error| {
            let text = format!("module {} cannot be handed to workers with its grants", self.base.name);
            Error::new(ErrorKind::SetUp, text).with_source(error)
        })?;
        self.shared.add_module(Arc::clone(&state));
        Ok(Arc::new(Admission::new(Arc::clone(&self.shared), state, self.start.clone())))
    }
}

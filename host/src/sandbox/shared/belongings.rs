//! Belongings: the shared objects that a worker was granted, opened once for all its calls.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::channel::control::Grant;
use crate::shm::object::ground::Rights;
use crate::shm::object::spec::Spec;
use crate::shm::object::{Object, Party};
use crate::shm::region::{Region, Writer};

/// All objects that a worker's calls may open, by the numbers of their grants.
#[derive(Debug, Default)]
pub(crate) struct Belongings {
    objects: Vec<Belonging>,
    numbers: HashMap<String, usize>,
}

/// A granted object.
#[derive(Debug)]
pub(super) struct Belonging {
    /// The name under which calls open it.
    pub(super) name: String,
    pub(super) spec: Spec,
    pub(super) object: Object,
    /// Whom the worker is when it works on it.
    pub(super) party: Party,
}

impl Belongings {
    /// Maps one more object. Its descriptor is closed: whoever needs the pages a second time maps them from here.
    ///
    /// # Errors
    ///
    /// When the grant is none, or its pages are not as it says; the text names the object.
    pub(crate) fn add(&mut self, grant: Grant, party: Party, pages: OwnedFd) -> Result<(), String> {
        let Grant { name, spec, rights } = grant;
        let Some(bytes) = spec.bytes() else {
            return Err(format!("the shared object `{name}` is larger than any memory"));
        };
        let writer = match rights {
            Rights::Read => Writer::Supervisor,
            Rights::ReadWrite => Writer::Worker,
        };
        let region = Region::map(pages.as_fd(), bytes, writer)
            .map_err(|error| format!("the shared object `{name}` cannot be mapped: {error}"))?;
        let object = Object::open(&spec, Arc::new(region), rights);
        if self.numbers.insert(name.clone(), self.objects.len()).is_some() {
            return Err(format!("two shared objects were granted under the name `{name}`"));
        }
        self.objects.push(Belonging { name, spec, object, party });
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there are any whose elements a guest can map.
    pub(crate) fn have_cells(&self) -> bool {
        self.objects.iter().any(|belonging| matches!(belonging.object, Object::Cells(_)))
    }

    /// The number of the one with this name.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// The one with this number.
    pub(super) fn get(&self, number: usize) -> &Belonging {
        &self.objects[number]
    }

    /// The names of all of them, in the order of their grants.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.objects.iter().map(|belonging| belonging.name.as_str())
    }
}

//! What the handles of all kinds of objects have in common.

use std::sync::Arc;
use std::time::Duration;

use serde::Serializer;
use wasmpool_abi::shared::{REFERENCE_KEY, Refusal};

use super::error::SharedError;
use super::{Entry, parties};
use crate::shm::object::patience::{Patience, Unnoticed};
use crate::shm::object::text::{self, About};
use crate::shm::object::{Object, Outcome, Party};

/// An object that this process uses. It lives as long as this does.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    entry: Arc<Entry>,
}

impl Handle {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self { entry }
    }

    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(super) fn name(&self) -> &str {
        &self.entry.name
    }

    pub(super) fn object(&self) -> &Object {
        &self.entry.object
    }

    /// Who this thread is.
    pub(super) fn party(&self) -> Result<Party, SharedError> {
        self.said(parties::of_this_thread())
    }

    /// What an operation came to, with a refusal put in words.
    #[inline]
    pub(super) fn said<T>(&self, outcome: Outcome<T>) -> Result<T, SharedError> {
        outcome.map_err(|refusal| self.refused(refusal))
    }

    /// The same, with nothing for what could not be done in time.
    #[inline]
    pub(super) fn in_time<T>(&self, outcome: Outcome<T>) -> Result<Option<T>, SharedError> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(Refusal::TimedOut | Refusal::Empty | Refusal::Full) => Ok(None),
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    #[cold]
    pub(super) fn refused(&self, refusal: Refusal) -> SharedError {
        let Entry { name, spec, .. } = &*self.entry;
        SharedError::new(refusal.into(), text::explain(name, spec, refusal, &About::Nothing))
    }

    /// Writes the handle in the form that guests open: a map of one entry.
    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(REFERENCE_KEY, self.name())])
    }
}

/// Waits so long at most.
pub(super) fn within(limit: Duration) -> Patience<'static> {
    Patience::new(Some(limit), &Unnoticed)
}

/// Waits for as long as it takes.
pub(super) fn for_ever() -> Patience<'static> {
    Patience::new(None, &Unnoticed)
}

/// What all kinds of handles have: a name, copies, grants, and a form in which they travel.
///
/// `$field`s are those of the handle; `$object` and `$inner` the variant and the type by which `shm` knows the object.
macro_rules! handle {
    (
        $name:ident $(<$($parameter:ident $(: $bound:path)?),+>)? { $($field:ident),+ },
        $object:ident($inner:ty)
    ) => {
        $crate::pool::objects::handle::handle!($name $(<$($parameter $(: $bound)?),+>)? { $($field),+ });

        impl $(<$($parameter $(: $bound)?),+>)? $name $(<$($parameter),+>)? {
            /// The object itself.
            fn inner(&self) -> &$inner {
                match self.handle.object() {
                    crate::shm::object::Object::$object(inner) => inner,
                    other => unreachable!("a handle is made for an object of its kind, not {other:?}"),
                }
            }
        }
    };
    ($name:ident $(<$($parameter:ident $(: $bound:path)?),+>)? { $($field:ident),+ }) => {
        impl $(<$($parameter $(: $bound)?),+>)? $name $(<$($parameter),+>)? {
            /// The name by which guests open the object.
            #[must_use]
            pub fn name(&self) -> &str {
                self.handle().name()
            }
        }

        impl $(<$($parameter $(: $bound)?),+>)? Clone for $name $(<$($parameter),+>)? {
            fn clone(&self) -> Self {
                Self { $($field: Clone::clone(&self.$field)),+ }
            }
        }

        impl $(<$($parameter $(: $bound)?),+>)? std::fmt::Debug for $name $(<$($parameter),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("name", &self.name()).finish_non_exhaustive()
            }
        }

        impl $(<$($parameter $(: $bound)?),+>)? $crate::pool::objects::sealed::HasEntry
            for $name $(<$($parameter),+>)?
        {
            #[allow(private_interfaces, reason = "nobody outside can call it")]
            fn entry(&self) -> &std::sync::Arc<$crate::pool::objects::Entry> {
                self.handle().entry()
            }
        }

        /// As `{"wasmpool:shared": name}`, from which a guest opens the object: handles can be arguments and items.
        impl $(<$($parameter $(: $bound)?),+>)? serde::Serialize for $name $(<$($parameter),+>)? {
            fn serialize<Out: serde::Serializer>(&self, serializer: Out) -> Result<Out::Ok, Out::Error> {
                self.handle().serialize(serializer)
            }
        }
    };
}
pub(super) use handle;

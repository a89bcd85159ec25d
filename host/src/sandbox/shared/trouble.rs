//! Trouble: why the last function refused.
//!
//! What is kept is a few numbers; [`text`] makes words of them when the guest asks. Only what nobody but a host
//! function can know (its own arguments, a guest's memory) is said where it is known.

use std::borrow::Cow;

use wasmpool_abi::shared::Refusal;

use super::belongings::Belongings;
use crate::shm::object::text::{self, About};

/// Why a function refused.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) refusal: Refusal,
    /// What the refusal's meaning does not say by itself.
    about: About,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, about: About::Nothing }
    }
}

impl Trouble {
    /// A refusal, and what it is about.
    pub(super) fn new(refusal: Refusal, about: About) -> Self {
        Self { refusal, about }
    }

    /// A refusal that is told in full by `words`: all that follows the object's name, or all where there is none.
    pub(super) fn words(refusal: Refusal, words: impl Into<Cow<'static, str>>) -> Self {
        Self { refusal, about: About::Words(words.into()) }
    }

    /// An argument that is outside of what it may be.
    pub(super) fn invalid(words: &'static str) -> Self {
        Self::words(Refusal::Invalid, words)
    }

    /// The text for the guest's author: which object, what happened, and what to do.
    pub(super) fn text(&self, belongings: &Belongings, object: Option<usize>) -> String {
        match (object, &self.about) {
            (_, About::Name(name)) => text::not_granted(name, belongings.names()),
            (Some(object), about) => {
                let belonging = belongings.get(object);
                text::explain(&belonging.name, &belonging.spec, self.refusal, about)
            }
            (None, About::Words(words)) => words.clone().into_owned(),
            (None, _) => format!("a shared object refused: {:?}", self.refusal),
        }
    }
}

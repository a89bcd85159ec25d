//! Trouble: why the last function refused, and how to say it.
//!
//! A refusal is often expected: a queue that is empty for now, a lock that somebody holds, a compare-exchange that
//! lost. So what is kept is a few numbers, and words are made of them only when the guest asks.

use std::borrow::Cow;

use wasmpool_abi::shared::{Kind, Refusal};

use super::belongings::{Belonging, Belongings};
use super::handles::HANDLES_MAX;
use crate::printable::printable_name;
use crate::shm::object::spec::Spec;

/// Names of granted objects that a text lists.
const NAMES_LISTED_MAX: usize = 10;

/// How many letters a name may be off to be suggested.
const DISTANCE_MAX: usize = 2;

/// Why a function refused.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) refusal: Refusal,
    /// What the refusal's meaning does not say by itself.
    pub(super) about: About,
}

/// The part of a refusal that is not in its code.
#[derive(Debug)]
pub(super) enum About {
    /// Nothing more.
    Nothing,
    /// The element or record that there is not.
    Index(i64),
    /// The elements in question.
    Elements(i64, i64),
    /// Length of the item that is too long.
    Bytes(u64),
    /// The name that was asked for.
    Name(String),
    /// What was expected instead.
    Expected(&'static str),
    /// The operation that the kind does not have, or all there is to say.
    Words(Cow<'static, str>),
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

    /// A refusal that is told in full by `words`.
    pub(super) fn words(refusal: Refusal, words: impl Into<Cow<'static, str>>) -> Self {
        Self { refusal, about: About::Words(words.into()) }
    }

    /// An argument that is outside of what it may be.
    pub(super) fn invalid(words: &'static str) -> Self {
        Self::words(Refusal::Invalid, words)
    }

    /// The text for the guest's author: which object, what happened, and what to do.
    pub(super) fn text(&self, belongings: &Belongings, object: Option<usize>) -> String {
        let Some(object) = object else { return self.text_without(belongings) };
        let belonging = belongings.get(object);
        let subject = format!("{} \"{}\"", noun(belonging.spec.kind()), printable_name(&belonging.name));
        format!("{subject} {}", self.predicate(belonging))
    }

    /// The same where no object is involved.
    fn text_without(&self, belongings: &Belongings) -> String {
        match (self.refusal, &self.about) {
            (Refusal::NotGranted, About::Name(name)) => not_granted(name, belongings),
            (Refusal::TooManyOpen, _) => {
                format!("the call has {HANDLES_MAX} shared objects open, which is the most: close some")
            }
            (Refusal::TimedOut, _) => {
                "none of the shared objects was ready within the limit: wait longer".into()
            }
            (_, About::Words(words)) => words.clone().into_owned(),
            (refusal, _) => format!("a shared object refused: {refusal:?}"),
        }
    }

    /// What is said of the object.
    fn predicate(&self, belonging: &Belonging) -> String {
        let spec = &belonging.spec;
        match (self.refusal, &self.about) {
            (_, About::Words(words)) => words.clone().into_owned(),
            (Refusal::TimedOut, _) => "was not ready within the limit: wait longer, or try again".into(),
            (Refusal::Empty, _) => "is empty: wait for the next one, or try again".into(),
            (Refusal::Full, _) => {
                format!("is full{}: take items out or create it with more room", room(spec))
            }
            (Refusal::Closed, _) => "is closed: nothing comes or goes any more".into(),
            (Refusal::EndOfFile, _) => "is at its end: everyone at the other end is gone".into(),
            (Refusal::Broken, _) => "is broken: reset it before the parties meet again".into(),
            (Refusal::NotHeld, _) => "is not held by this call: acquire it first".into(),
            (Refusal::TooMany, _) => too_many(spec.kind()).into(),
            (Refusal::OutOfRange, About::Index(index)) => {
                format!("has no element {index}{}", length(spec))
            }
            (Refusal::OutOfRange, About::Elements(start, end)) => {
                format!("has no elements {start}..{end}{}", length(spec))
            }
            (Refusal::OutOfRange, _) => format!("has no such element{}", length(spec)),
            (Refusal::TooLarge, About::Bytes(bytes)) => {
                format!("can never take {bytes} bytes at once{}: create it with more room", room(spec))
            }
            (Refusal::TooLarge, _) => "can never take so much at once: create it with more room".into(),
            (Refusal::NoRoom, _) => {
                format!("has no room left{}: remove records or create it with more room", room(spec))
            }
            (Refusal::Missing, _) => "has no record under this key".into(),
            (Refusal::ReadOnly, _) => "was granted for reading only: grant it for writing".into(),
            (Refusal::WrongKind, About::Expected(expected)) => {
                format!("is not a {expected}, as was expected")
            }
            (Refusal::WrongKind, _) => "has no such operation: its kind knows others".into(),
            (Refusal::WrongElement, About::Expected(expected)) => wrong_element(spec, expected),
            (Refusal::Leased, About::Elements(start, end)) => format!(
                "cannot give out elements {start}..{end}: another view has some of them; drop that one first, or map \
                 others"
            ),
            (Refusal::TooManyOpen, _) => "has as many views as it can have: drop some".into(),
            (Refusal::Leased, _) => "has a view in the way: drop that one first".into(),
            (Refusal::Poisoned, _) => {
                "is spoilt: somebody who may write to it wrote what cannot be; make it anew".into()
            }
            (Refusal::WouldDeadlock, _) => {
                "is held by this very call: the wait would never end; release it first".into()
            }
            (Refusal::Changed, _) => "has changed meanwhile: look at it again".into(),
            (Refusal::NoView, _) => "cannot be mapped here: read and write its elements instead".into(),
            (Refusal::Starved, _) => {
                "keeps all workers waiting for one another: allow more workers, or change who waits for whom"
                    .into()
            }
            (Refusal::Crowded, _) => "is used by too many threads and workers at once: use fewer".into(),
            (refusal, _) => format!("refused: {refusal:?}"),
        }
    }
}

/// What a kind is called in texts.
pub(super) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Array => "array",
        Kind::Lock => "lock",
        Kind::RLock => "re-entrant lock",
        Kind::Semaphore => "semaphore",
        Kind::BoundedSemaphore => "bounded semaphore",
        Kind::Condition => "condition",
        Kind::Event => "event",
        Kind::Barrier => "barrier",
        Kind::Queue => "queue",
        Kind::JoinableQueue => "joinable queue",
        Kind::Pipe => "pipe",
        Kind::List => "list",
        Kind::Dict => "dictionary",
        Kind::Namespace => "namespace",
    }
}

/// How much an object holds at most, in parentheses, where it holds anything.
fn room(spec: &Spec) -> String {
    match spec {
        Spec::Queue(shape) => format!(" ({} items, {} bytes)", shape.items_max, shape.bytes_max),
        Spec::Pipe { shape, .. } => format!(" ({} bytes each way)", shape.bytes_max),
        Spec::List(shape) | Spec::Dict { shape, .. } => {
            format!(" ({} records, {} bytes)", shape.records_max, shape.bytes_max)
        }
        _ => String::new(),
    }
}

/// How many elements there are, where that is fixed.
fn length(spec: &Spec) -> String {
    match spec {
        Spec::Value { .. } => ": it has one, number 0".into(),
        Spec::Array { length, .. } => format!(": it has {length}, counted from 0"),
        _ => String::new(),
    }
}

fn too_many(kind: Kind) -> &'static str {
    match kind {
        Kind::JoinableQueue => "has had more items called done than were put into it",
        _ => "cannot have more permits than at first: release as often as you acquire",
    }
}

fn wrong_element(spec: &Spec, expected: &str) -> String {
    match spec {
        Spec::Value { element } | Spec::Array { element, .. } => {
            format!("holds {}, not {expected}", element.name())
        }
        _ => format!("holds no numbers, but {expected} was expected"),
    }
}

fn not_granted(name: &str, belongings: &Belongings) -> String {
    let mut text = format!("no shared object \"{}\" was granted to this call", printable_name(name));
    if belongings.len() == 0 {
        text.push_str(", nor any other: grant it when the job is submitted");
        return text;
    }
    let near = belongings.names().map(|granted| (strsim::osa_distance(granted, name), granted)).min();
    if let Some((_, near)) = near.filter(|(distance, _)| *distance <= DISTANCE_MAX) {
        text.push_str(&format!("; did you mean \"{}\"?", printable_name(near)));
    }
    let names: Vec<String> =
        belongings.names().take(NAMES_LISTED_MAX).map(|name| printable_name(name).to_string()).collect();
    text.push_str(&format!("; granted: {}", names.join(", ")));
    if let more @ 1.. = belongings.len().saturating_sub(NAMES_LISTED_MAX) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

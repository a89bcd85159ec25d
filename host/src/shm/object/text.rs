//! What a refusal means, in words: which object, what happened, what to do about it.
//!
//! Host programs and guests read the same texts, because whoever refuses explains. A refusal is often expected (a queue
//! that is empty for now, a compare-exchange that lost), so words are made of it only for who asks.

use std::borrow::Cow;

use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::shared::{Element, Kind, Refusal};

use super::PARTIES_MAX;
use super::spec::Spec;
use crate::printable::printable_name;

/// Names of granted objects that a text lists.
const NAMES_LISTED_MAX: usize = 10;

/// How many letters a name may be off to be suggested.
const DISTANCE_MAX: usize = 2;

/// What a refusal is about, beyond what its code and the object's spec say.
#[derive(Debug)]
pub(crate) enum About {
    /// Nothing more is known.
    Nothing,
    /// The element or the record that there is not.
    Index(i64),
    /// The elements in question, from the first to before the last.
    Elements(i64, i64),
    /// Length of what was to be taken in.
    Bytes(u64),
    /// The kind that was expected instead.
    Kind(Kind),
    /// The type of elements that was expected instead.
    Element(Element),
    /// The name under which nothing was granted.
    Name(String),
    /// What only the one who refuses can say: what follows the object's name in a sentence.
    Words(Cow<'static, str>),
}

/// What people call an object of this kind.
pub(crate) fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "value",
        Kind::Array => "array",
        Kind::Lock => "lock",
        Kind::RLock => "rlock",
        Kind::Semaphore => "semaphore",
        Kind::BoundedSemaphore => "bounded semaphore",
        Kind::Condition => "condition",
        Kind::Event => "event",
        Kind::Barrier => "barrier",
        Kind::Queue => "queue",
        Kind::JoinableQueue => "joinable queue",
        Kind::Pipe => "pipe end",
        Kind::List => "list",
        Kind::Dict => "dict",
        Kind::Namespace => "namespace",
    }
}

/// Why an operation on this object was refused.
pub(crate) fn explain(name: &str, spec: &Spec, refusal: Refusal, about: &About) -> String {
    let it = format!("{} `{name}`", noun(spec.kind()));
    if let About::Words(words) = about {
        return format!("{it} {words}");
    }
    match refusal {
        Refusal::TimedOut => timed_out(&it, spec),
        Refusal::Empty => format!("{it} has nothing to take: wait longer, or come back later"),
        Refusal::Full => {
            format!("{it} is full{}: wait for room, take something out, or make it larger", sizes(spec))
        }
        Refusal::Closed => closed(&it, spec),
        Refusal::EndOfFile => format!("{it} is at its end: nobody uses the other end any more"),
        Refusal::Broken => format!(
            "{it} is broken: a party died, gave up or came too late; reset it before it is used again"
        ),
        Refusal::NotHeld => not_held(&it, spec),
        Refusal::TooMany => too_many(&it, spec),
        Refusal::OutOfRange => out_of_range(&it, spec, about),
        Refusal::TooLarge => too_large(&it, spec, about),
        Refusal::NoRoom => {
            format!("{it} has no room left{}: remove records, or make it larger", sizes(spec))
        }
        Refusal::Missing => format!("{it} has no such key: add it first, or ask whether it is there"),
        Refusal::ReadOnly => read_only(&it, spec),
        Refusal::NotGranted => format!("{it} was not granted: grant it when the job is submitted"),
        Refusal::WrongKind => wrong_kind(&it, about),
        Refusal::WrongElement => wrong_element(&it, spec, about),
        Refusal::TooManyOpen => format!("{it} has as many views as it can have: drop some of them first"),
        Refusal::Leased => leased(&it, about),
        Refusal::Poisoned => format!(
            "{it} is unusable, because its memory holds what cannot be: make a new one, and distrust all who \
             could write to it"
        ),
        Refusal::WouldDeadlock => would_deadlock(&it, spec),
        Refusal::Changed => format!("{it} has changed meanwhile: read it again before it is replaced"),
        Refusal::Invalid => {
            format!("{it} was given an argument outside of what it may be: see its documentation")
        }
        Refusal::NoView => {
            format!("{it} cannot appear in this program's memory: read and write its elements instead")
        }
        Refusal::Starved => format!(
            "{it} is waited for while all workers wait for one another, and no more can be started: use more workers"
        ),
        Refusal::Crowded => format!(
            "{it} cannot be used, {} workers and threads use shared objects already: use fewer",
            PARTIES_MAX - 1
        ),
    }
}

/// Why a call cannot open anything under this name, which may be anything; `granted` are the names that it can open.
pub(crate) fn not_granted<'a>(name: &str, granted: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut text = format!("no shared object `{}` was granted to this call", printable_name(name));
    let count = granted.clone().count();
    if count == 0 {
        text.push_str(", nor any other: grant it when the job is submitted");
        return text;
    }
    let near = granted.clone().map(|granted| (strsim::osa_distance(granted, name), granted)).min();
    if let Some((_, near)) = near.filter(|(distance, _)| *distance <= DISTANCE_MAX) {
        text.push_str(&format!("; did you mean `{near}`?"));
    }
    let names: Vec<String> = granted.take(NAMES_LISTED_MAX).map(|name| format!("`{name}`")).collect();
    text.push_str(&format!("; granted: {}", names.join(", ")));
    if let more @ 1.. = count.saturating_sub(NAMES_LISTED_MAX) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Bytes of all that it holds at a time; of numbers nothing.
fn bytes_max(spec: &Spec) -> u64 {
    match spec {
        Spec::Queue(shape) => shape.bytes_max,
        Spec::Pipe { shape, .. } => shape.bytes_max,
        Spec::List(shape) | Spec::Dict { shape, .. } => shape.bytes_max,
        _ => 0,
    }
}

/// How much fits, in brackets, where that is what matters.
fn sizes(spec: &Spec) -> String {
    match spec {
        Spec::Queue(shape) => format!(" ({} items, {} bytes)", shape.items_max, shape.bytes_max),
        Spec::Pipe { shape, .. } => format!(" ({} bytes)", shape.bytes_max),
        Spec::List(shape) | Spec::Dict { shape, .. } => {
            format!(" ({} records, {} bytes)", shape.records_max, shape.bytes_max)
        }
        _ => String::new(),
    }
}

fn timed_out(it: &str, spec: &Spec) -> String {
    match spec {
        Spec::Value { .. } | Spec::Array { .. } => {
            format!("the lock of {it} was not free in time: wait longer, or hold it for less long")
        }
        Spec::Lock | Spec::RLock => {
            format!("{it} was not free in time: wait longer, or hold it for less long")
        }
        Spec::Semaphore { .. } => {
            format!("{it} had no permit left in time: wait longer, or hold permits for less long")
        }
        Spec::Condition => {
            format!("{it} was not notified in time, or its lock was not free: wait longer")
        }
        Spec::Event => format!("{it} was not set in time: wait longer"),
        Spec::Barrier { parties } => {
            format!("{it} was not reached by all {parties} parties in time: wait longer")
        }
        Spec::Queue(_) => format!("{it} had no item or no room in time: wait longer"),
        Spec::Pipe { .. } => format!("{it} had no message or no room in time: wait longer"),
        Spec::List(_) | Spec::Dict { .. } => {
            format!("{it} is in use by a process that stands still: try again once it goes on")
        }
    }
}

fn closed(it: &str, spec: &Spec) -> String {
    match spec {
        Spec::Queue(_) => {
            format!(
                "{it} is closed: nothing can be put any more, and items can be taken only while there are some"
            )
        }
        _ => format!("{it} is closed: use it before it is closed"),
    }
}

fn not_held(it: &str, spec: &Spec) -> String {
    match spec {
        Spec::Lock => format!("{it} is held by nobody: acquire it before it is released"),
        Spec::Value { .. } | Spec::Array { .. } => {
            format!("the lock of {it} is not held by the one who releases it: acquire it first")
        }
        Spec::Condition => {
            format!("{it} is not held by the one who waits, notifies or releases: acquire it first")
        }
        Spec::Queue(_) => format!("{it} has given no item that is not acknowledged: take one first"),
        _ => format!("{it} is not held by the one who releases it: acquire it first"),
    }
}

fn too_many(it: &str, spec: &Spec) -> String {
    match spec {
        Spec::Semaphore { permits, bounded: true } => {
            format!("{it} has all of its {permits} permits already: release only what was acquired")
        }
        Spec::Semaphore { .. } => {
            format!("{it} can have {} permits at most: release only what was acquired", i32::MAX)
        }
        Spec::Queue(_) => {
            format!("{it} has no unfinished item left: call task_done once for each item that was taken")
        }
        _ => format!(
            "{it} was taken too often without being given back: release it as often as it is acquired"
        ),
    }
}

fn out_of_range(it: &str, spec: &Spec, about: &About) -> String {
    let thing = if matches!(spec, Spec::List(_) | Spec::Dict { .. }) { "record" } else { "element" };
    let which = match about {
        About::Index(index) => format!("no {thing} {index}"),
        About::Elements(start, end) => format!("no {thing}s {start}..{end}"),
        _ => format!("no such {thing}"),
    };
    match spec {
        Spec::Value { .. } => format!("{it} has {which}: it has one, number 0"),
        Spec::Array { length, .. } => format!("{it} has {which}: it has {length}, counted from 0"),
        _ => format!("{it} has {which}: see its length, which others change, too"),
    }
}

fn too_large(it: &str, spec: &Spec, about: &About) -> String {
    let what = match about {
        About::Bytes(bytes) => format!("{bytes} bytes at once"),
        _ => "something so large".into(),
    };
    if bytes_max(spec) >= VALUE_BYTES_MAX as u64 {
        return format!("{it} can never take {what}: pass no more than {VALUE_BYTES_MAX} bytes at a time");
    }
    format!("{it} can never hold {what}{}: make it larger, or the item smaller", sizes(spec))
}

fn read_only(it: &str, spec: &Spec) -> String {
    match spec {
        Spec::Pipe { shape, end: 0 } if !shape.duplex => {
            format!("{it} only receives: send from the other end")
        }
        Spec::Pipe { shape, .. } if !shape.duplex => format!("{it} only sends: receive from the other end"),
        _ => format!("{it} was granted for reading only: grant it for writing, too"),
    }
}

fn wrong_kind(it: &str, about: &About) -> String {
    match about {
        About::Kind(kind) => format!("{it} is no {}: open it as what it is", noun(*kind)),
        _ => format!("{it} has no such operation: open it as what it is"),
    }
}

fn wrong_element(it: &str, spec: &Spec, about: &About) -> String {
    let is = match spec {
        Spec::Value { element } | Spec::Array { element, .. } => element.name(),
        _ => "other things",
    };
    match about {
        About::Element(expected) => {
            format!("{it} is of {is}, not {}: open it as what it is", expected.name())
        }
        _ => format!("{it} is of {is}, which has no such operation: open it as what it is"),
    }
}

fn leased(it: &str, about: &About) -> String {
    match about {
        About::Elements(start, end) => format!(
            "{it} cannot give out elements {start}..{end}, some of which are in another view: drop that view first, \
             or use other elements"
        ),
        _ => format!("{it} has a view in the way of this one: drop that view first, or use other elements"),
    }
}

fn would_deadlock(it: &str, spec: &Spec) -> String {
    match spec {
        Spec::Lock => {
            format!("{it} is held by the very one who waits for it: release it first, or use an rlock")
        }
        _ => format!("{it} is waited for by the very one who holds it: release it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Orphaned, PipeShape, QueueShape, RecordsShape};
    use super::*;

    fn specs() -> Vec<Spec> {
        let queue = |joinable| {
            let orphaned = Orphaned::GivenBack;
            Spec::Queue(QueueShape { items_max: 64, bytes_max: 4096, joinable, orphaned })
        };
        let pipe = |duplex, end| Spec::Pipe { shape: PipeShape { bytes_max: 4096, duplex }, end };
        let shape = RecordsShape { records_max: 10, bytes_max: 4096 };
        vec![
            Spec::Value { element: Element::I32 },
            Spec::Array { element: Element::F64, length: 1000 },
            Spec::Lock,
            Spec::RLock,
            Spec::Semaphore { permits: 3, bounded: false },
            Spec::Semaphore { permits: 3, bounded: true },
            Spec::Condition,
            Spec::Event,
            Spec::Barrier { parties: 4 },
            queue(false),
            queue(true),
            pipe(true, 0),
            pipe(false, 0),
            pipe(false, 1),
            Spec::List(shape),
            Spec::Dict { shape, seed: 0, is_namespace: false },
            Spec::Dict { shape, seed: 0, is_namespace: true },
            Spec::List(RecordsShape { bytes_max: 1 << 31, ..shape }),
        ]
    }

    #[test]
    fn every_refusal_names_the_object_and_a_remedy_in_one_line() {
        for spec in specs() {
            for refusal in Refusal::ALL {
                let text = explain("it.0", &spec, *refusal, &About::Nothing);
                assert!(text.contains("`it.0`"), "{text}");
                assert!(text.contains(':') || text.contains(';'), "{text}");
                assert!(text.starts_with(|c: char| c.is_ascii_lowercase()), "{text}");
                assert!(!text.ends_with('.') && !text.contains('\n') && !text.contains("  "), "{text}");
                assert!(text.len() < 512, "guests cut longer ones: {text}");
            }
        }
    }

    #[test]
    fn refusals_tell_the_numbers_that_matter() {
        let specs = specs();
        for (spec, refusal, expected) in [
            (1, Refusal::OutOfRange, "array `it` has no such element: it has 1000, counted from 0"),
            (
                5,
                Refusal::TooMany,
                "bounded semaphore `it` has all of its 3 permits already: release only what was acquired",
            ),
            (8, Refusal::TimedOut, "barrier `it` was not reached by all 4 parties in time: wait longer"),
            (
                9,
                Refusal::Full,
                "queue `it` is full (64 items, 4096 bytes): wait for room, take something out, or make it larger",
            ),
            (12, Refusal::ReadOnly, "pipe end `it` only receives: send from the other end"),
            (13, Refusal::ReadOnly, "pipe end `it` only sends: receive from the other end"),
        ] {
            assert_eq!(explain("it", &specs[spec], refusal, &About::Nothing), expected);
        }
    }

    #[test]
    fn refusals_tell_what_they_are_about() {
        let specs = specs();
        for (spec, refusal, about, expected) in [
            (0, Refusal::WrongKind, About::Kind(Kind::Lock), "value `it` is no lock: open it as what it is"),
            (
                0,
                Refusal::WrongElement,
                About::Element(Element::F64),
                "value `it` is of i32, not f64: open it as what it is",
            ),
            (
                1,
                Refusal::OutOfRange,
                About::Index(-1),
                "array `it` has no element -1: it has 1000, counted from 0",
            ),
            (
                1,
                Refusal::Leased,
                About::Elements(2, 9),
                "array `it` cannot give out elements 2..9, some of which are in another view: drop that view first, \
                 or use other elements",
            ),
            (
                9,
                Refusal::TooLarge,
                About::Bytes(5000),
                "queue `it` can never hold 5000 bytes at once (64 items, 4096 bytes): make it larger, or the item \
                 smaller",
            ),
            (
                17,
                Refusal::TooLarge,
                About::Bytes(1 << 30),
                "list `it` can never take 1073741824 bytes at once: pass no more than 67108864 bytes at a time",
            ),
            (
                14,
                Refusal::OutOfRange,
                About::Index(3),
                "list `it` has no record 3: see its length, which others change, too",
            ),
            (
                2,
                Refusal::NoView,
                About::Words("has no elements: open another".into()),
                "lock `it` has no elements: open another",
            ),
        ] {
            assert_eq!(explain("it", &specs[spec], refusal, &about), expected);
        }
    }

    #[test]
    fn a_name_that_was_not_granted_is_told_with_those_that_were() {
        let names: Vec<String> = (0..12).map(|number| format!("object-{number}")).collect();
        for (granted, name, expected) in [
            (
                0,
                "it",
                "no shared object `it` was granted to this call, nor any other: grant it when the job is submitted",
            ),
            (1, "it", "no shared object `it` was granted to this call; granted: `object-0`"),
            (
                2,
                "objct-1",
                "no shared object `objct-1` was granted to this call; did you mean `object-1`?; granted: `object-0`, \
                 `object-1`",
            ),
            (
                12,
                "a\nb",
                "no shared object `a\\nb` was granted to this call; granted: `object-0`, `object-1`, `object-2`, \
                 `object-3`, `object-4`, `object-5`, `object-6`, `object-7`, `object-8`, `object-9` and 2 more",
            ),
        ] {
            assert_eq!(not_granted(name, names[..granted].iter().map(String::as_str)), expected);
        }
    }
}

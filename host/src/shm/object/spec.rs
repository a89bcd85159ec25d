//! What an object is: its kind and its sizes, fixed when it is made, and trusted because the supervisor says them.

use serde::{Deserialize, Serialize};
use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::shared::{Element, Kind, Refusal};

use super::{Outcome, PARTIES_MAX};
use super::{barrier, cells, condition, dict, event, list, lock, pipe, queue, semaphore};

/// Kind and sizes of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Spec {
    /// One number.
    Value {
        /// Its type.
        #[serde(with = "element_code")]
        element: Element,
    },
    /// Numbers.
    Array {
        /// Their type.
        #[serde(with = "element_code")]
        element: Element,
        /// How many.
        length: u64,
    },
    /// A lock.
    Lock,
    /// A lock that its holder may take again.
    RLock,
    /// A semaphore.
    Semaphore {
        /// Permits at first, at most `i32::MAX`.
        permits: u32,
        /// Whether there are never more than at first.
        bounded: bool,
    },
    /// A condition with a lock of its own.
    Condition,
    /// An event.
    Event,
    /// A barrier.
    Barrier {
        /// Parties that meet, at least 1.
        parties: u32,
    },
    /// A queue.
    Queue(QueueShape),
    /// One end of a pipe; both ends lie on the same ground.
    Pipe {
        /// Sizes of each direction.
        shape: PipeShape,
        /// Which end: 0 or 1.
        end: u8,
    },
    /// A list.
    List(RecordsShape),
    /// A dictionary.
    Dict {
        /// Sizes.
        shape: RecordsShape,
        /// What keys are hashed with.
        seed: u64,
        /// Whether its keys are attribute names.
        is_namespace: bool,
    },
}

/// What becomes of an item whose taker did not finish with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Orphaned {
    /// It goes back to the front of the queue: at least once.
    GivenBack,
    /// It is taken out and told to the host program: at most once.
    Reported,
}

/// Sizes and rules of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueShape {
    /// Most items, 1 to 2^24.
    pub(crate) items_max: u32,
    /// Bytes for items, those in hand included; at most [`BYTES_MAX`].
    pub(crate) bytes_max: u64,
    /// Whether unfinished items are counted.
    pub(crate) joinable: bool,
    /// What becomes of an item whose taker did not finish with it.
    pub(crate) orphaned: Orphaned,
}

/// Sizes of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PipeShape {
    /// Bytes under way in each direction; at most [`BYTES_MAX`].
    pub(crate) bytes_max: u64,
    /// Whether both ends send; otherwise end 0 receives and end 1 sends.
    pub(crate) duplex: bool,
}

/// Sizes of a list or a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordsShape {
    /// Most records, 1 to 2^24.
    pub(crate) records_max: u32,
    /// Bytes for records; at most [`BYTES_MAX`].
    pub(crate) bytes_max: u64,
}

/// Most items or records of an object.
pub(crate) const ITEMS_MAX: u32 = 1 << 24;

/// Most bytes of an object's items.
pub(crate) const BYTES_MAX: u64 = 64 << 30;

/// Succeeds if an item, a message, or a record and its key may have so many bytes together, however much room there is.
///
/// # Errors
///
/// [`Refusal::TooLarge`].
pub(crate) fn check_value(bytes: usize) -> Outcome<()> {
    if bytes <= VALUE_BYTES_MAX { Ok(()) } else { Err(Refusal::TooLarge) }
}

impl Spec {
    /// The kind that guests know it as.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Value { .. } => Kind::Value,
            Self::Array { .. } => Kind::Array,
            Self::Lock => Kind::Lock,
            Self::RLock => Kind::RLock,
            Self::Semaphore { bounded: false, .. } => Kind::Semaphore,
            Self::Semaphore { bounded: true, .. } => Kind::BoundedSemaphore,
            Self::Condition => Kind::Condition,
            Self::Event => Kind::Event,
            Self::Barrier { .. } => Kind::Barrier,
            Self::Queue(shape) if shape.joinable => Kind::JoinableQueue,
            Self::Queue(_) => Kind::Queue,
            Self::Pipe { .. } => Kind::Pipe,
            Self::List(_) => Kind::List,
            Self::Dict { is_namespace: false, .. } => Kind::Dict,
            Self::Dict { is_namespace: true, .. } => Kind::Namespace,
        }
    }

    /// Whether its numbers are what they may be.
    ///
    /// # Errors
    ///
    /// What cannot be, and what can: a fragment that begins with the number.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Value { .. } | Self::Lock | Self::RLock | Self::Condition | Self::Event => Ok(()),
            Self::Array { element, length } => {
                within(*length, "elements", 1, BYTES_MAX / element.bytes() as u64)
            }
            Self::Semaphore { permits, .. } => within(*permits, "permits", 0, i32::MAX as u64),
            Self::Barrier { parties } => within(*parties, "parties", 1, PARTIES_MAX as u64 - 1),
            Self::Queue(shape) => {
                within(shape.items_max, "items", 1, ITEMS_MAX.into())?;
                within(shape.bytes_max, "bytes", 1, BYTES_MAX)
            }
            Self::Pipe { shape, .. } => within(shape.bytes_max, "bytes", 1, BYTES_MAX),
            Self::List(shape) | Self::Dict { shape, .. } => {
                within(shape.records_max, "records", 1, ITEMS_MAX.into())?;
                within(shape.bytes_max, "bytes", 1, BYTES_MAX)
            }
        }
    }

    /// Bytes of its region, a multiple of the page size; nothing when no machine has so many.
    pub(crate) fn bytes(&self) -> Option<usize> {
        match self {
            Self::Value { element } => cells::bytes(*element, 1),
            Self::Array { element, length } => cells::bytes(*element, *length),
            Self::Lock | Self::RLock => Some(lock::BYTES),
            Self::Semaphore { .. } => Some(semaphore::BYTES),
            Self::Condition => Some(condition::BYTES),
            Self::Event => Some(event::BYTES),
            Self::Barrier { .. } => Some(barrier::BYTES),
            Self::Queue(shape) => queue::bytes(*shape),
            Self::Pipe { shape, .. } => pipe::bytes(*shape),
            Self::List(shape) => list::bytes(*shape),
            Self::Dict { shape, .. } => dict::bytes(*shape),
        }
    }
}

fn within(value: impl Into<u64>, of: &str, least: u64, most: u64) -> Result<(), String> {
    let value = value.into();
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(format!("{value} {of}: choose between {least} and {most}"))
}

/// Elements travel as their codes: the contract's crate knows no serialization.
mod element_code {
    use serde::{Deserialize, Deserializer, Serializer};
    use wasmpool_abi::shared::Element;

    pub(super) fn serialize<S: Serializer>(element: &Element, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(*element as i32)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Element, D::Error> {
        let code = i32::deserialize(from)?;
        Element::from_code(code).ok_or_else(|| serde::de::Error::custom(format!("no element type {code}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_cannot_be_are_told_with_those_that_can() {
        let queue = |items_max, bytes_max| {
            let orphaned = Orphaned::GivenBack;
            Spec::Queue(QueueShape { items_max, bytes_max, joinable: false, orphaned })
        };
        let list = |records_max, bytes_max| Spec::List(RecordsShape { records_max, bytes_max });
        let pipe = |bytes_max| Spec::Pipe { shape: PipeShape { bytes_max, duplex: true }, end: 0 };
        let array = |length| Spec::Array { element: Element::F64, length };
        let semaphore = |permits| Spec::Semaphore { permits, bounded: false };
        for (spec, expected) in [
            (array(0), "0 elements: choose between 1 and 8589934592"),
            (array(u64::MAX), "18446744073709551615 elements: choose between 1 and 8589934592"),
            (semaphore(1 << 31), "2147483648 permits: choose between 0 and 2147483647"),
            (Spec::Barrier { parties: 0 }, "0 parties: choose between 1 and 1023"),
            (Spec::Barrier { parties: 1024 }, "1024 parties: choose between 1 and 1023"),
            (queue(0, 1), "0 items: choose between 1 and 16777216"),
            (queue((1 << 24) + 1, 1), "16777217 items: choose between 1 and 16777216"),
            (queue(1, 0), "0 bytes: choose between 1 and 68719476736"),
            (list(0, 1), "0 records: choose between 1 and 16777216"),
            (pipe(1 << 40), "1099511627776 bytes: choose between 1 and 68719476736"),
        ] {
            assert_eq!(spec.check(), Err(expected.to_owned()), "{spec:?}");
        }
        for spec in [array(1), semaphore(0), Spec::Barrier { parties: 1 }, queue(1, 1), list(1, 1), pipe(1)] {
            assert_eq!(spec.check(), Ok(()), "{spec:?}");
        }
    }
}

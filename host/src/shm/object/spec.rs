//! What an object is: its kind and its sizes, fixed when it is made, and trusted because the supervisor says them.

use serde::{Deserialize, Serialize};
use wasmpool_abi::shared::{Element, Kind};

use super::ground::Ground;
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

    /// Writes what a fresh object of this kind holds besides zeros, before anyone else has it.
    pub(crate) fn prepare(&self, _ground: &Ground) {}
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

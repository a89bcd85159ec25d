//! An open object: the host's number for it, and what all kinds of objects have in common.

use std::rc::Rc;
use std::time::Duration;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use wasmpool_abi::shared::{CellOp, Element, Kind, NO_LIMIT, Op, REFERENCE_KEY, RecordOp, Refusal};

use super::buffers::{Received, with_received};
use super::call::{self, Call};
use super::error::{SharedError, SharedErrorKind};
use super::host;

/// An object that is open.
///
/// It means something until the call ends, and is refused in a later one. That it holds an `Rc` keeps it from being put
/// into a `static`.
#[derive(Debug)]
pub(super) struct Handle {
    number: i32,
    /// In which it was opened.
    call: Call,
    name: Rc<str>,
}

impl Handle {
    /// Opens a granted object of this kind.
    pub(super) fn open(name: &str, kind: Kind, element: Option<Element>) -> Result<Self, SharedError> {
        if !host::is_there() {
            let text = format!("{name} cannot be opened: this program does not run in a wasmpool pool");
            return Err(SharedError::new(SharedErrorKind::NotInAPool, text));
        }
        let answer = host::open(name, kind as i32, element.map_or(-1, |element| element as i32));
        match i32::try_from(answer) {
            Ok(number) if number >= 0 => Ok(Self { number, call: call::current(), name: name.into() }),
            _ => Err(SharedError::refused(answer)),
        }
    }

    /// The host's number for it.
    ///
    /// # Errors
    ///
    /// In another call than that in which it was opened, where the number means nothing or something else.
    #[inline]
    pub(super) fn number(&self) -> Result<i32, SharedError> {
        if self.call == call::current() { Ok(self.number) } else { Err(self.of_earlier_call()) }
    }

    #[cold]
    fn of_earlier_call(&self) -> SharedError {
        let text = format!(
            "{} was opened in an earlier call, with which its handle ended; open it again",
            self.name
        );
        SharedError::new(SharedErrorKind::EarlierCall, text)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    #[inline]
    pub(super) fn op(&self, op: Op, argument: i64, limit: i64) -> Result<i64, SharedError> {
        let mut out = 0;
        match host::op(self.number()?, op, argument, limit, &mut out) {
            0 => Ok(out),
            status => Err(SharedError::refused(status.into())),
        }
    }

    /// An operation that neither waits nor takes a number.
    #[inline]
    pub(super) fn ask(&self, op: Op) -> Result<i64, SharedError> {
        self.op(op, 0, 0)
    }

    /// The same, answered with a number of things.
    pub(super) fn count(&self, op: Op) -> Result<usize, SharedError> {
        Ok(usize::try_from(self.ask(op)?).unwrap_or(0))
    }

    #[inline]
    pub(super) fn cell(&self, op: CellOp, index: i64, a: i64, b: i64) -> Result<i64, SharedError> {
        let mut out = 0;
        match host::cell(self.number()?, op, index, a, b, &mut out) {
            0 => Ok(out),
            status => Err(SharedError::refused(status.into())),
        }
    }

    /// Writes `new` where `current` stands; else tells what stands there.
    #[inline]
    pub(super) fn exchange(
        &self,
        index: i64,
        current: i64,
        new: i64,
    ) -> Result<Result<i64, i64>, SharedError> {
        let mut out = 0;
        match host::cell(self.number()?, CellOp::CompareExchange, index, current, new, &mut out) {
            0 => Ok(Ok(out)),
            CHANGED => Ok(Err(out)),
            status => Err(SharedError::refused(status.into())),
        }
    }

    /// Acquires; says whether the last holder died.
    #[inline]
    pub(super) fn acquire(&self, limit: i64) -> Result<bool, SharedError> {
        Ok(self.op(Op::Acquire, 0, limit)? != 0)
    }

    #[inline]
    pub(super) fn put(&self, bytes: &[u8], limit: i64) -> Result<(), SharedError> {
        status(host::put(self.number()?, bytes, limit))
    }

    /// Takes an item and hands it to `read`.
    #[inline]
    pub(super) fn get<R>(&self, limit: i64, read: impl FnOnce(&[u8]) -> R) -> Result<R, SharedError> {
        let number = self.number()?;
        with_received(|received| {
            let mut length = 0;
            status(host::get(number, limit, received.room(), &mut length))?;
            Ok(read(received.bytes(length)))
        })
    }

    /// An operation on a record that answers with a number only.
    pub(super) fn record(
        &self,
        op: RecordOp,
        key: &[u8],
        index: i64,
        value: &[u8],
    ) -> Result<i64, SharedError> {
        let mut out = 0;
        status(host::record(self.number()?, op, key, index, value, &mut [], &mut out))?;
        Ok(out)
    }

    /// An operation that answers a record, which is handed to `read`.
    pub(super) fn read_record<R>(
        &self,
        op: RecordOp,
        key: &[u8],
        index: i64,
        value: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, SharedError> {
        let number = self.number()?;
        self.answer(read, |room, length| host::record(number, op, key, index, value, room, length))
    }

    /// Hands `count` records of a list from `first` on to `read`, as a sequence; 0 for all of them.
    pub(super) fn read_part<R>(
        &self,
        first: i64,
        count: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, SharedError> {
        let number = self.number()?;
        self.answer(read, |room, length| host::part(number, first, count, room, length))
    }

    fn answer<R>(
        &self,
        read: impl FnOnce(&[u8]) -> R,
        ask: impl FnOnce(&mut [u8], &mut i64) -> i32,
    ) -> Result<R, SharedError> {
        with_received(|received: &mut Received| {
            let mut length = 0;
            status(ask(received.room(), &mut length))?;
            Ok(read(received.bytes(length)))
        })
    }

    /// Writes the handle in the form that [`open_reference`] reads: a map of one entry.
    pub(super) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(REFERENCE_KEY, &*self.name)])
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whatever is wrong with it, it is not used any more.
        if let Ok(number) = self.number() {
            let _ = host::close(number);
        }
    }
}

const CHANGED: i32 = Refusal::Changed.status();

/// A status as a result.
#[inline]
pub(super) fn status(status: i32) -> Result<(), SharedError> {
    if status == 0 { Ok(()) } else { Err(SharedError::refused(status.into())) }
}

/// A duration as the host counts it.
pub(super) fn limit(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The same for a duration that may be missing, which is for ever.
pub(super) fn limit_or_none(duration: Option<Duration>) -> i64 {
    duration.map_or(NO_LIMIT, limit)
}

/// Reads the name of an object, and opens it.
pub(super) fn open_reference<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    open: impl FnOnce(&str) -> Result<T, SharedError>,
) -> Result<T, D::Error> {
    let name = deserializer.deserialize_map(Reference)?;
    open(&name).map_err(D::Error::custom)
}

/// Reads `{"wasmpool:shared": name}`.
struct Reference;

impl<'de> Visitor<'de> for Reference {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a shared object, {{\"{REFERENCE_KEY}\": name}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let entry: Option<(String, String)> = map.next_entry()?;
        match entry {
            Some((key, name)) if key == REFERENCE_KEY => match map.next_key::<String>()? {
                None => Ok(name),
                Some(key) => Err(Error::unknown_field(&key, &[REFERENCE_KEY])),
            },
            Some((key, _)) => Err(Error::unknown_field(&key, &[REFERENCE_KEY])),
            None => Err(Error::missing_field(REFERENCE_KEY)),
        }
    }
}

/// What all kinds of objects have: a name, a way to open them, and a form in which they travel.
macro_rules! object {
    ($name:ident $(<$($parameter:ident $(: $bound:path)?),+>)?) => {
        impl $(<$($parameter $(: $bound)?),+>)? $name $(<$($parameter),+>)? {
            /// The name under which the object was granted.
            #[must_use]
            pub fn name(&self) -> &str {
                self.handle().name()
            }

            /// Whether this call may write; if not, the object was granted for reading only.
            ///
            /// # Errors
            ///
            /// When the object is [poisoned](crate::shared::SharedErrorKind::Poisoned).
            pub fn is_writable(&self) -> Result<bool, $crate::shared::SharedError> {
                Ok(self.handle().ask(wasmpool_abi::shared::Op::IsWritable)? != 0)
            }
        }

        impl $(<$($parameter $(: $bound)?),+>)? $crate::shared::wait::Sealed for $name $(<$($parameter),+>)? {
            fn number(&self) -> Result<i32, $crate::shared::SharedError> {
                self.handle().number()
            }
        }

        impl $(<$($parameter $(: $bound)?),+>)? $crate::shared::Shared for $name $(<$($parameter),+>)? {}

        impl $(<$($parameter $(: $bound)?),+>)? serde::Serialize for $name $(<$($parameter),+>)? {
            fn serialize<Out: serde::Serializer>(&self, serializer: Out) -> Result<Out::Ok, Out::Error> {
                self.handle().serialize(serializer)
            }
        }

        impl<'de $($(, $parameter $(: $bound)?)+)?> serde::Deserialize<'de> for $name $(<$($parameter),+>)? {
            fn deserialize<In: serde::Deserializer<'de>>(deserializer: In) -> Result<Self, In::Error> {
                $crate::shared::handle::open_reference(deserializer, Self::open)
            }
        }
    };
}
pub(super) use object;

/// An object's items are encoded by this.
pub(super) fn encode<T: Serialize + ?Sized>(
    handle: &Handle,
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), SharedError> {
    crate::codec::encode(wasmpool_abi::Codec::MessagePack, value, bytes).map_err(|why| {
        let text = format!("a value for {} cannot be encoded: {why}", handle.name());
        SharedError::new(SharedErrorKind::Unencodable, text)
    })
}

/// An object's items are decoded by this; `what` they are is for the message.
pub(super) fn decode<T: serde::de::DeserializeOwned>(
    handle: &Handle,
    what: &str,
    bytes: &[u8],
) -> Result<T, SharedError> {
    crate::codec::decode_value(bytes).map_err(|why| {
        let text = format!("{what} of {}, {} bytes, cannot be decoded: {why}", handle.name(), bytes.len());
        SharedError::new(SharedErrorKind::Undecodable, text)
    })
}

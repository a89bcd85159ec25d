//! What lists, dictionaries and namespaces have in common: records as MessagePack, and sequences of them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{RecordOp, split_first};

use super::buffers::with_encoded;
use super::error::{SharedError, SharedErrorKind};
use super::handle::{Handle, decode, encode};

/// Bytes of a version, in front of a record.
const VERSION_BYTES: usize = 8;

/// Bytes of a length, in front of each part of a sequence.
const LENGTH_BYTES: usize = 4;

/// Reads a record.
pub(super) fn record<T: DeserializeOwned>(handle: &Handle, bytes: &[u8]) -> Result<T, SharedError> {
    decode(handle, "a record", bytes)
}

/// A record's version, and itself.
pub(super) fn versioned<T: DeserializeOwned>(
    handle: &Handle,
    bytes: &[u8],
) -> Result<([u8; VERSION_BYTES], T), SharedError> {
    let Some((version, bytes)) = bytes.split_first_chunk() else {
        return Err(poisoned(handle));
    };
    Ok((*version, record(handle, bytes)?))
}

/// Replaces a record if it still has this version.
///
/// Says whether it had.
pub(super) fn replace<T: Serialize>(
    handle: &Handle,
    key: &[u8],
    index: i64,
    version: [u8; VERSION_BYTES],
    value: &T,
) -> Result<bool, SharedError> {
    let replaced = with_encoded(|bytes| {
        bytes.extend_from_slice(&version);
        encode(handle, value, bytes)?;
        handle.record(RecordOp::Replace, key, index, bytes)
    });
    match replaced {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == SharedErrorKind::Changed => Ok(false),
        Err(error) => Err(error),
    }
}

/// Adds one part to a sequence.
pub(super) fn add<T: Serialize + ?Sized>(
    handle: &Handle,
    value: &T,
    sequence: &mut Vec<u8>,
) -> Result<(), SharedError> {
    let start = sequence.len();
    sequence.extend_from_slice(&[0; LENGTH_BYTES]);
    encode(handle, value, sequence)?;
    let length = u32::try_from(sequence.len() - start - LENGTH_BYTES).map_err(|_| {
        let text = format!("a value for {} is longer than 4 GiB", handle.name());
        SharedError::new(SharedErrorKind::TooLarge, text)
    })?;
    sequence[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The parts of a sequence.
pub(super) struct Parts<'a> {
    handle: &'a Handle,
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn new(handle: &'a Handle, sequence: &'a [u8]) -> Self {
        Self { handle, rest: sequence }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next part, if there is one.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, SharedError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (first, rest) = split_first(self.rest).ok_or_else(|| poisoned(self.handle))?;
        self.rest = rest;
        record(self.handle, first).map(Some)
    }

    /// Passes over the next part.
    pub(super) fn skip(&mut self) -> Result<(), SharedError> {
        let (_, rest) = split_first(self.rest).ok_or_else(|| poisoned(self.handle))?;
        self.rest = rest;
        Ok(())
    }
}

/// The host answered with what no host of this contract answers.
fn poisoned(handle: &Handle) -> SharedError {
    let text = format!("{} holds records that end early", handle.name());
    SharedError::new(SharedErrorKind::Poisoned, text)
}

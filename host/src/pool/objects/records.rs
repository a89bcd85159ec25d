//! What lists and dictionaries have in common: sequences of encoded values.

use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{Refusal, split_first};

use super::codec::decode;
use super::error::SharedError;
use super::handle::Handle;

/// The parts of a sequence; see [`split_first`].
pub(super) struct Parts<'a> {
    handle: &'a Handle,
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn new(handle: &'a Handle, sequence: &'a [u8]) -> Self {
        Self { handle, rest: sequence }
    }

    /// The next part as it is, if there is one.
    pub(super) fn next_bytes(&mut self) -> Result<Option<&'a [u8]>, SharedError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (first, rest) = split_first(self.rest).ok_or_else(|| self.handle.refused(Refusal::Poisoned))?;
        self.rest = rest;
        Ok(Some(first))
    }

    /// Reads the next part, if there is one.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, SharedError> {
        let Some(bytes) = self.next_bytes()? else { return Ok(None) };
        decode(self.handle, bytes).map(Some)
    }
}

/// Calls `next` until there is nothing more, and collects what it says.
pub(super) fn collect<'a, T>(
    mut parts: Parts<'a>,
    mut next: impl FnMut(&mut Parts<'a>) -> Result<Option<T>, SharedError>,
) -> Result<Vec<T>, SharedError> {
    let mut all = Vec::new();
    while let Some(one) = next(&mut parts)? {
        all.push(one);
    }
    Ok(all)
}

//! Reading results as the caller's type, in whatever form they come.

use std::mem::MaybeUninit;

use serde::de::{Deserialize, DeserializeOwned, IgnoredAny};

use super::cells;
use super::outcome::{Failure, FailureKind};
use super::sink::{Form, Results};
use crate::sandbox::driver::Number;

/// Result cells that are copied out of shared memory at a time before they are decoded.
const SCRATCH_CELLS: usize = 1 << 10;

/// MessagePack's nil: the result of a task that has none.
const NIL: [u8; 1] = [0xc0];

/// What a task's results look like on their way.
pub(crate) enum ResultForm {
    /// Cells, and what they mean.
    Numbers(Vec<Number>),
    /// MessagePack, nested so deep at most.
    MessagePack { depth_max: u32 },
}

impl ResultForm {
    /// What result cells mean; nothing where there are none.
    pub(crate) fn numbers(&self) -> &[Number] {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::MessagePack { .. } => &[],
        }
    }

    /// Reads results of consecutive calls, from index `first` on; returns the failures of those that cannot be read.
    pub(crate) fn read<R: DeserializeOwned>(
        &self,
        first: u64,
        results: &Results<'_>,
        mut accept: impl FnMut(u64, R),
    ) -> Vec<Failure> {
        let mut refused = Vec::new();
        let mut take = |index, read: Result<R, Failure>| match read {
            Ok(result) => accept(index, result),
            Err(failure) => refused.push(failure),
        };
        match results.form {
            Form::Cells { width, read } => {
                let calls_at_once = (SCRATCH_CELLS / width.max(1)).max(1);
                let mut scratch = vec![[0; 8]; calls_at_once.min(results.count) * width];
                for done in (0..results.count).step_by(calls_at_once) {
                    let here = calls_at_once.min(results.count - done);
                    let cells = &mut scratch[..here * width];
                    read(done * width, as_uninit(cells.as_flattened_mut()));
                    for call in 0..here {
                        let index = first + (done + call) as u64;
                        take(index, self.number(index, &cells[call * width..(call + 1) * width]));
                    }
                }
            }
            Form::Values { heads, bytes } => {
                let mut at = 0;
                for (index, head) in (first..).zip(heads) {
                    take(index, self.value(index, &bytes[at..at + head.length]));
                    at += head.length;
                }
            }
        }
        refused
    }

    fn number<R: DeserializeOwned>(&self, index: u64, cells: &[[u8; 8]]) -> Result<R, Failure> {
        cells::read(cells, self.numbers()).map_err(|error| unreadable(index, &error))
    }

    fn value<R: DeserializeOwned>(&self, index: u64, bytes: &[u8]) -> Result<R, Failure> {
        let depth_max = match self {
            Self::MessagePack { depth_max } => *depth_max,
            Self::Numbers(numbers) => {
                return match bytes.as_chunks() {
                    (cells, []) if cells.len() == numbers.len() => self.number(index, cells),
                    _ => {
                        let text = format!("{} bytes are not {} numbers", bytes.len(), numbers.len());
                        Err(unreadable(index, &text))
                    }
                };
            }
        };
        let bytes = if bytes.is_empty() { &NIL[..] } else { bytes };
        from_message_pack(bytes, depth_max).map_err(|error| match error {
            rmp_serde::decode::Error::DepthLimitExceeded => too_deep(index, depth_max),
            error => unreadable(index, &error),
        })
    }
}

pub(super) fn from_message_pack<R: DeserializeOwned>(
    bytes: &[u8],
    depth_max: u32,
) -> Result<R, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(depth_max as usize);
    let result = R::deserialize(&mut deserializer)?;
    // The deserializer tells no place, but at the end there is no further marker to read.
    match IgnoredAny::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(result),
        _ => Err(serde::de::Error::custom("trailing bytes behind the result")),
    }
}

fn too_deep(index: u64, depth_max: u32) -> Failure {
    let text = format!("result too deep: nested deeper than {depth_max} levels");
    Failure::new(index, FailureKind::ResultTooDeep, text)
}

fn unreadable(index: u64, error: &dyn std::fmt::Display) -> Failure {
    let text = format!("the result cannot be read as {}: {error}", "the type that the caller asked for");
    Failure::new(index, FailureKind::BadResult, text)
}

pub(super) fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the layouts are the same, and whoever fills the slice only ever writes initialised bytes to it.
    #[allow(unsafe_code, reason = "there is no safe view of initialised bytes as such")]
    unsafe {
        &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>])
    }
}

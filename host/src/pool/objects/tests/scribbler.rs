//! A process that writes garbage all over an object, for ever.
use super::super::Entry;
use super::any::Answer;

pub(super) fn scribble(_entry: &Entry, _seed: u64) -> Answer {
    unreachable!("nobody asks for it yet")
}

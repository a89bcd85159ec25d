//! Pipes.

use super::ground::Ground;
use super::patience::Patience;
use super::spec::PipeShape;
use super::{Outcome, Party};

pub(crate) fn bytes(shape: PipeShape) -> Option<usize> {
    todo!()
}

/// One end of a pipe.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    ground: Ground,
    shape: PipeShape,
    end: u8,
}

impl PipeEnd {
    pub(crate) fn open(ground: Ground, shape: PipeShape, end: u8) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    /// Says that `party` uses this end; the other end comes to its end of file once everyone who joined has left.
    pub(crate) fn join(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn leave(&self, party: Party) {
        todo!()
    }
    /// EndOfFile: nobody will receive. ReadOnly: a one-way pipe's receiving end. TooLarge. Closed: this end.
    pub(crate) fn send(&self, party: Party, message: &[u8], patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn receive(&self, party: Party, patience: &Patience<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        todo!()
    }
    /// Waits until there is a message or the end of the file.
    pub(crate) fn poll(&self, patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    /// Closes this end for everyone.
    pub(crate) fn close(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}

//! Queues.

use super::ground::Ground;
use super::patience::Patience;
use super::spec::QueueShape;
use super::{CallEnd, Outcome, Party};

pub(crate) fn bytes(shape: QueueShape) -> Option<usize> {
    todo!()
}

#[derive(Debug)]
pub(crate) struct Queue {
    ground: Ground,
    shape: QueueShape,
}

impl Queue {
    pub(crate) fn open(ground: Ground, shape: QueueShape) -> Self {
        todo!()
    }
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }
    pub(crate) fn shape(&self) -> QueueShape {
        self.shape
    }
    /// Full (limit 0) / TimedOut, Closed, TooLarge.
    pub(crate) fn put(&self, party: Party, item: &[u8], patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    /// Takes the next item into the party's hand and copies it to the end of `into`. What was in the hand is
    /// acknowledged. Empty (limit 0) / TimedOut; Closed once it is closed and empty.
    pub(crate) fn get(&self, party: Party, patience: &Patience<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        todo!()
    }
    /// The item in hand is dealt with.
    pub(crate) fn acknowledge(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    /// Waits until there is an item, without taking it. Closed as for `get`.
    pub(crate) fn wait(&self, patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn len(&self) -> Outcome<u32> {
        todo!()
    }
    pub(crate) fn close(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn is_closed(&self) -> bool {
        todo!()
    }
    pub(crate) fn task_done(&self, party: Party) -> Outcome<()> {
        todo!()
    }
    pub(crate) fn join(&self, patience: &Patience<'_>) -> Outcome<()> {
        todo!()
    }
    /// Items put and not yet done (JoinableQueue).
    pub(crate) fn unfinished(&self) -> Outcome<u64> {
        todo!()
    }
    /// Takes out the items that were orphaned and are to be reported, oldest first.
    pub(crate) fn take_reported(&self, party: Party) -> Outcome<Vec<Vec<u8>>> {
        todo!()
    }
    pub(crate) fn end_call(&self, party: Party, end: CallEnd) {
        todo!()
    }
    pub(crate) fn bury(&self, party: Party) {
        todo!()
    }
}

//! One object's pages as several processes see them, for tests: mapped three times, at three addresses.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::Party;
use super::ground::{Ground, Rights};
use crate::shm::region::{Region, Writer};

/// Three mappings of the same zeroed pages.
pub(super) struct Pages {
    /// One process, which may write.
    pub(super) ours: Ground,
    /// Another, which may write.
    pub(super) theirs: Ground,
    /// A third one, which may only read.
    pub(super) reader: Ground,
}

/// Fresh pages for an object of so many bytes.
pub(super) fn pages(bytes: usize) -> Pages {
    let (ours, fd) = Region::create("test", bytes, Writer::Worker).expect("a region");
    let theirs = Region::map(fd.as_fd(), bytes, Writer::Worker).expect("a mapping");
    let reader = Region::map(fd.as_fd(), bytes, Writer::Supervisor).expect("a mapping");
    Pages {
        ours: Ground::new(Arc::new(ours), Rights::ReadWrite),
        theirs: Ground::new(Arc::new(theirs), Rights::ReadWrite),
        reader: Ground::new(Arc::new(reader), Rights::Read),
    }
}

/// The party with this number.
pub(super) fn party(number: usize) -> Party {
    Party::new(number).expect("a number of a party")
}

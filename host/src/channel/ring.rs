//! The ring of printed lines, from a worker up to the supervisor.
//!
//! One writer, one reader, a run of bytes in a circle. A record is a `u32` header (what it is in its top two bits, the
//! length in the rest) and that many bytes. The writer puts the bytes first and then moves `written`; the reader
//! moves `taken`, which it also remembers in its own memory, because it never reads back what it has shared.
//!
//! The writer waits for room: a supervisor that prints slowly slows the worker down and nothing is lost. Lines are
//! whole: whatever is longer than a quarter of the ring is cut into records, which the reader passes on as lines.

use std::sync::atomic::Ordering;

use super::layout::{RING_BYTES, down, up};
use crate::shm::region::Region;

/// Most bytes of one record.
pub(crate) const LINE_BYTES_MAX: usize = RING_BYTES / 4;

const HEADER_BYTES: usize = 4;
const STDERR: u32 = 1 << 31;
const REQUEST: u32 = 1 << 30;

/// Which of its two outputs a guest wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, `println!`.
    Stdout,
    /// Standard error, `eprintln!`.
    Stderr,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A printed line, or a part of a very long one.
    Line(Stream),
    /// A piece of a [`Request`](super::request::Request).
    Request,
}

impl Kind {
    fn flag(self) -> u32 {
        match self {
            Self::Line(Stream::Stdout) => 0,
            Self::Line(Stream::Stderr) => STDERR,
            Self::Request => REQUEST,
        }
    }

    fn of(header: u32) -> Option<Self> {
        let kinds = [Self::Line(Stream::Stdout), Self::Line(Stream::Stderr), Self::Request];
        kinds.into_iter().find(|kind| kind.flag() == header & (STDERR | REQUEST))
    }
}

/// Puts one record into the ring if there is room for it.
///
/// # Panics
///
/// When `line` is longer than [`LINE_BYTES_MAX`].
pub(crate) fn push(up: &Region, down: &Region, kind: Kind, line: &[u8]) -> bool {
    assert!(line.len() <= LINE_BYTES_MAX, "a line of {} bytes", line.len());
    // Relaxed: this side alone writes the word.
    let written = up.word64(up::RING_WRITTEN).load(Ordering::Relaxed);
    // SYNC ring room: the reader has copied what it says it has taken.
    let taken = down.word64(down::RING_TAKEN).load(Ordering::Acquire);
    let record = (HEADER_BYTES + line.len()) as u64;
    if written + record > taken + RING_BYTES as u64 {
        return false;
    }
    let header = (line.len() as u32 | kind.flag()).to_le_bytes();
    for (at, bytes) in [(written, &header[..]), (written + HEADER_BYTES as u64, line)] {
        let (start, wrapped) = split(at, bytes.len());
        let (first, second) = bytes.split_at(bytes.len() - wrapped);
        up.write(up::RING + start, first);
        up.write(up::RING, second);
    }
    // SYNC ring bytes: the record is whole before the reader learns of it.
    up.word64(up::RING_WRITTEN).store(written + record, Ordering::Release);
    true
}

/// Whether more than half of the ring waits to be taken, as the writer sees it.
pub(crate) fn is_half_full(up: &Region, down: &Region) -> bool {
    // Relaxed: a hint for when to wake the reader.
    let written = up.word64(up::RING_WRITTEN).load(Ordering::Relaxed);
    let taken = down.word64(down::RING_TAKEN).load(Ordering::Relaxed);
    written.saturating_sub(taken) > RING_BYTES as u64 / 2
}

/// The reader's end.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    taken: u64,
}

/// The ring holds what no honest writer can have written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

impl Reader {
    /// Takes all records that are there and gives each to `take`; returns how many.
    ///
    /// # Errors
    ///
    /// [`Garbled`] when lengths do not add up; nothing more should be read from this worker.
    pub(crate) fn drain(
        &mut self,
        up: &Region,
        down: &Region,
        mut take: impl FnMut(Kind, &[u8]),
    ) -> Result<usize, Garbled> {
        // SYNC ring bytes: what the writer says is there is whole.
        let written = up.word64(up::RING_WRITTEN).load(Ordering::Acquire);
        let mut rest = written.checked_sub(self.taken).ok_or(Garbled)?;
        if rest > RING_BYTES as u64 {
            return Err(Garbled);
        }
        let mut count = 0;
        let mut bytes = Vec::new();
        while rest > 0 {
            rest = rest.checked_sub(HEADER_BYTES as u64).ok_or(Garbled)?;
            self.copy(up, HEADER_BYTES, &mut bytes);
            let header = bytes.first_chunk().map_or(0, |header| u32::from_le_bytes(*header));
            let kind = Kind::of(header).ok_or(Garbled)?;
            let length = (header & !(STDERR | REQUEST)) as usize;
            if length > LINE_BYTES_MAX {
                return Err(Garbled);
            }
            rest = rest.checked_sub(length as u64).ok_or(Garbled)?;
            self.copy(up, length, &mut bytes);
            take(kind, &bytes);
            count += 1;
            // SYNC ring room: copied, so the writer may use the room again.
            down.word64(down::RING_TAKEN).store(self.taken, Ordering::Release);
        }
        Ok(count)
    }

    fn copy(&mut self, up: &Region, count: usize, into: &mut Vec<u8>) {
        into.clear();
        let (start, wrapped) = split(self.taken, count);
        up.read_to(up::RING + start, count - wrapped, into);
        up.read_to(up::RING, wrapped, into);
        self.taken += count as u64;
    }
}

/// Where in the ring byte number `at` lies, and how many of `count` bytes from there wrap around to the start.
fn split(at: u64, count: usize) -> (usize, usize) {
    let start = (at % RING_BYTES as u64) as usize;
    (start, (start + count).saturating_sub(RING_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::region::Writer;

    const STDOUT: Kind = Kind::Line(Stream::Stdout);

    fn regions() -> (Region, Region) {
        let (up, _) = Region::create("up", up::BYTES, Writer::Worker).expect("a region");
        let (down, _) = Region::create("down", down::BYTES, Writer::Supervisor).expect("a region");
        (up, down)
    }

    #[test]
    fn lines_come_out_whole_and_in_order_around_the_end_of_the_ring() {
        let (up, down) = regions();
        let mut reader = Reader::default();
        for round in 0..50 {
            let mut sent = Vec::new();
            for number in 0..10 {
                let line = format!("{round} {number} ").repeat(number * 100).into_bytes();
                let kinds = [Kind::Line(Stream::Stdout), Kind::Line(Stream::Stderr), Kind::Request];
                let kind = kinds[number % kinds.len()];
                assert!(push(&up, &down, kind, &line));
                sent.push((kind, line));
            }
            let mut received = Vec::new();
            reader.drain(&up, &down, |kind, line| received.push((kind, line.to_vec()))).expect("lines");
            assert_eq!(received, sent);
        }
    }

    #[test]
    fn a_full_ring_takes_nothing_more() {
        let (up, down) = regions();
        let line = vec![b'x'; LINE_BYTES_MAX];
        let fitting = std::iter::repeat_with(|| push(&up, &down, STDOUT, &line)).take_while(|fits| *fits);
        assert_eq!(fitting.count(), 3);
        assert!(is_half_full(&up, &down));
        Reader::default().drain(&up, &down, |_, _| ()).expect("lines");
        assert!(push(&up, &down, STDOUT, &line));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let lies = [
            (u64::MAX, 0),
            (RING_BYTES as u64 + 1, 0),
            (2, 0),
            (100, 200),
            (100, u32::MAX),
            (100, 1 | STDERR | REQUEST),
        ];
        for (written, header) in lies {
            let (up, down) = regions();
            up.write(up::RING, &u32::to_le_bytes(header));
            up.word64(up::RING_WRITTEN).store(written, Ordering::Relaxed);
            assert_eq!(Reader::default().drain(&up, &down, |_, _| ()), Err(Garbled), "{written} {header}");
        }
    }

    #[test]
    fn what_was_taken_cannot_be_offered_again() {
        let (up, down) = regions();
        let mut reader = Reader::default();
        assert!(push(&up, &down, STDOUT, b"line"));
        assert_eq!(reader.drain(&up, &down, |_, _| ()), Ok(1));
        up.word64(up::RING_WRITTEN).store(0, Ordering::Relaxed);
        assert_eq!(reader.drain(&up, &down, |_, _| ()), Err(Garbled));
    }
}

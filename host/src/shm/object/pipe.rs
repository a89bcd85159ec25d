//! Pipes: two ends, and for each end a bounded inbox of messages.
//!
//! ```text
//!   0  header    see `ground`; bell A: whoever waits at end 0, bell B: whoever waits at end 1
//! 192  end 0, 512 bytes
//!        0  closed      u32   1 once it was closed for everyone
//!        4  was_joined  u32   1 once somebody has joined it
//!        8  wants_room  u32   1 once somebody at the *other* end found no room in its inbox, and waits
//!       64  joined      a bit for each party that uses it
//! 704  end 1, the same
//!      inbox of end 0, then of end 1 if it receives: a ring of places and the heap for their bytes
//! ```
//!
//! Sending and receiving are done under the object's mutex, and each is committed by one store of the inbox's ring:
//! the message is written before its tail moves, and copied out before its head does. So a message is received whole
//! by one party or is still there, and one who dies with a message that it has received takes it along. After a
//! death the heaps are marked anew from the rings; nothing else can be half done.
//!
//! # The end of the file
//!
//! An end is *gone* once it was closed, or once somebody had joined it and nobody is joined any more. Joining and
//! leaving are single atomic operations on a bit, for death leaves no time for more; an end is marked as joined after
//! the bit is set, so that there is no instant at which it looks left while somebody comes. Receivers look whether
//! the peer is gone *before* they look for messages: in the other order, a peer may send its last message and leave
//! in between, and the message would be missed.
//!
//! An end that was gone comes back when somebody joins it again (a call that is tried once more); whoever asks
//! meanwhile is told the end.
//!
//! # Wake-ups
//!
//! As for queues: a sender rings if it found the inbox empty; a receiver rings if `wants_room` is set, and takes it
//! down under the mutex. Leaving, closing and burying ring always.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use wasmpool_abi::shared::Refusal;

use super::crash::crash_point;
use super::ground::{Entered, Ground, ObjectBell, PAGE_BYTES, header};
use super::heap::{GRANULE_BYTES, Heap};
use super::mutex::Mutex;
use super::patience::Patience;
use super::ring::Ring;
use super::spec::{PipeShape, check_value};
use super::{Outcome, PARTIES_MAX, Party};

const ENDS: usize = header::BYTES;
const END_BYTES: usize = 512;
const CLOSED: usize = 0;
const WAS_JOINED: usize = 4;
const WANTS_ROOM: usize = 8;
const JOINED: usize = 64;
const JOINED_WORDS: usize = PARTIES_MAX / u64::BITS as usize;
const INBOXES: usize = ENDS + 2 * END_BYTES;

const _: () = assert!(JOINED + JOINED_WORDS * size_of::<u64>() <= END_BYTES && INBOXES.is_multiple_of(64));

/// Messages that fit an inbox: each takes a granule at least, so that the bytes run out first.
fn messages_max(shape: PipeShape) -> u64 {
    shape.bytes_max.div_ceil(GRANULE_BYTES).max(1)
}

fn inbox_bytes(shape: PipeShape) -> Option<usize> {
    Ring::bytes(messages_max(shape))?.checked_add(Heap::bytes(shape.bytes_max)?)
}

/// Bytes of a pipe's region; nothing when no machine has so many.
///
/// Messages take whole granules of [`GRANULE_BYTES`] of `bytes_max`, at least one each.
pub(crate) fn bytes(shape: PipeShape) -> Option<usize> {
    let inboxes = inbox_bytes(shape)?.checked_mul(if shape.duplex { 2 } else { 1 })?;
    INBOXES.checked_add(inboxes)?.checked_next_multiple_of(PAGE_BYTES)
}

/// One end of a pipe; see the module.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    ground: Ground,
    end: u8,
    /// Of both ends, by their number; end 1 of a one-way pipe has none.
    inboxes: [Option<Inbox>; 2],
}

/// Messages that an end has yet to receive.
#[derive(Debug)]
struct Inbox {
    ring: Ring,
    heap: Heap,
}

impl Inbox {
    fn open(ground: &Ground, offset: usize, shape: PipeShape) -> Option<Self> {
        let ring_bytes = Ring::bytes(messages_max(shape))?;
        Some(Self {
            ring: Ring::open(ground.clone(), offset, messages_max(shape)),
            heap: Heap::open(ground.clone(), offset + ring_bytes, shape.bytes_max),
        })
    }
}

impl PipeEnd {
    /// End `end`, 0 or 1, of a pipe on pages that were zero when it was made.
    ///
    /// # Panics
    ///
    /// When the ground is smaller than [`bytes`] of the shape.
    pub(crate) fn open(ground: Ground, shape: PipeShape, end: u8) -> Self {
        let bytes = bytes(shape).expect("a pipe that was made has a size");
        assert!(bytes <= ground.region().len(), "a pipe lies on all of its pages");
        let second = INBOXES + inbox_bytes(shape).expect("part of the size");
        let inboxes = [
            Inbox::open(&ground, INBOXES, shape),
            if shape.duplex { Inbox::open(&ground, second, shape) } else { None },
        ];
        Self { ground, end: end & 1, inboxes }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Says that `party` uses this end; the peer comes to the end of the file once everyone who joined has left.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`].
    pub(crate) fn join(&self, party: Party) -> Outcome<()> {
        self.ground.check_writable()?;
        let (word, bit) = self.joined(self.end, party);
        // SYNC joined: what the parties before did at this end.
        self.ground.word64(word).fetch_or(bit, AcqRel);
        crash_point!("pipe: joined, not said");
        // SYNC joined
        self.word(self.end, WAS_JOINED).store(1, Release);
        Ok(())
    }

    /// Says that `party` does not use this end any more.
    pub(crate) fn leave(&self, party: Party) {
        if self.ground.is_writable() && self.remove(self.end, party) {
            crash_point!("pipe: left, nobody told");
            self.ground.ring_all();
        }
    }

    /// Sends a message to the other end.
    ///
    /// # Errors
    ///
    /// [`Refusal::EndOfFile`] when nobody will receive, [`Refusal::ReadOnly`] at the receiving end of a one-way pipe,
    /// [`Refusal::TooLarge`] when there can never be room, [`Refusal::Closed`] when this end is,
    /// [`Refusal::Full`] or [`Refusal::TimedOut`] when there was no room in time.
    pub(crate) fn send(&self, party: Party, message: &[u8], patience: &Patience<'_>) -> Outcome<()> {
        self.ground.check_writable()?;
        let inbox = self.inbox(self.peer())?;
        check_value(message.len())?;
        if !inbox.heap.fits(message.len()) {
            return Err(Refusal::TooLarge);
        }
        if self.try_send(party, inbox, message, !patience.is_none())? {
            return Ok(());
        }
        if patience.is_none() {
            return Err(Refusal::Full);
        }
        patience.wait_for(self.bell(self.end), || {
            // Relaxed: whoever takes the flag down rings afterwards, and the bell's fences order it.
            if self.word(self.peer(), WANTS_ROOM).load(Relaxed) != 0 {
                self.check_sendable()?;
                return Ok(None);
            }
            Ok(self.try_send(party, inbox, message, true)?.then_some(()))
        })
    }

    /// Receives the next message, copied to the end of `into`.
    ///
    /// # Errors
    ///
    /// [`Refusal::EndOfFile`] when the other end is gone and all is received, [`Refusal::ReadOnly`] at the sending end
    /// of a one-way pipe, [`Refusal::Closed`] when this end is, [`Refusal::Empty`] or [`Refusal::TimedOut`] when there
    /// was no message in time.
    pub(crate) fn receive(&self, party: Party, patience: &Patience<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        self.ground.check_writable()?;
        let inbox = self.inbox(self.end)?;
        if self.try_receive(party, inbox, into)? {
            return Ok(());
        }
        if patience.is_none() {
            return Err(Refusal::Empty);
        }
        patience.wait_for(self.bell(self.end), || Ok(self.try_receive(party, inbox, into)?.then_some(())))
    }

    /// Waits until there is a message or the end of the file.
    ///
    /// # Errors
    ///
    /// [`Refusal::TimedOut`], [`Refusal::ReadOnly`] at the sending end of a one-way pipe, [`Refusal::Closed`] when this
    /// end is.
    pub(crate) fn poll(&self, patience: &Patience<'_>) -> Outcome<()> {
        let inbox = self.inbox(self.end)?;
        patience.wait_for(self.bell(self.end), || match self.has_message(inbox) {
            Ok(has_message) => Ok(has_message.then_some(())),
            Err(Refusal::EndOfFile) => Ok(Some(())),
            Err(refusal) => Err(refusal),
        })
    }

    /// Closes this end for everyone, at once.
    ///
    /// # Errors
    ///
    /// [`Refusal::ReadOnly`], [`Refusal::Poisoned`].
    pub(crate) fn close(&self, party: Party) -> Outcome<()> {
        // Under the mutex: nobody sends any more when this returns.
        let entered = self.enter(party)?;
        // SYNC closed: all messages that were sent before.
        self.word(self.end, CLOSED).store(1, Release);
        crash_point!("pipe: closed, nobody told");
        drop(entered);
        self.ground.ring_all();
        Ok(())
    }

    /// Leaves this end.
    pub(crate) fn end_call(&self, party: Party) {
        self.leave(party);
        if self.ground.is_writable() {
            Mutex::new(self.ground.word32(header::MUTEX)).abandon(party);
        }
    }

    /// Lets a dead party leave both ends, gives its mutex away, and wakes everyone. Never waits.
    pub(crate) fn bury(&self, party: Party) {
        if !self.ground.is_writable() {
            return;
        }
        self.remove(0, party);
        self.remove(1, party);
        if Mutex::new(self.ground.word32(header::MUTEX)).abandon(party) {
            // A repair may find room that the dead had left allocated: senders are to try again. Relaxed: they are
            // woken below, by a bell that orders it.
            self.word(0, WANTS_ROOM).store(0, Relaxed);
            self.word(1, WANTS_ROOM).store(0, Relaxed);
        }
        self.ground.ring_all();
    }

    fn try_send(&self, party: Party, inbox: &Inbox, message: &[u8], waits: bool) -> Outcome<bool> {
        let entered = self.enter(party)?;
        self.check_sendable()?;
        let span = inbox.ring.span()?;
        let place = if inbox.ring.has_room(span) { inbox.heap.allocate(message.len()) } else { None };
        let Some(place) = place else {
            if waits {
                // Relaxed: the mutex orders it for those who take it down.
                self.word(self.peer(), WANTS_ROOM).store(1, Relaxed);
            }
            return Ok(false);
        };
        crash_point!("pipe: room found, nothing in it");
        inbox.heap.write(place, 0, message);
        crash_point!("pipe: message written, not sent");
        inbox.ring.push(span, place);
        crash_point!("pipe: message sent, mutex held");
        drop(entered);
        crash_point!("pipe: message sent, nobody told");
        if span.is_empty() {
            self.bell(self.peer()).ring();
        }
        Ok(true)
    }

    fn try_receive(&self, party: Party, inbox: &Inbox, into: &mut Vec<u8>) -> Outcome<bool> {
        if !self.has_message(inbox)? {
            return Ok(false);
        }
        let entered = self.enter(party)?;
        let span = inbox.ring.span()?;
        if span.is_empty() {
            return Ok(false);
        }
        let place = inbox.ring.place(span.head, &inbox.heap)?;
        inbox.heap.read(place, into);
        crash_point!("pipe: message copied, still there");
        inbox.ring.pop(span);
        crash_point!("pipe: message received, not freed");
        inbox.heap.free(place);
        self.leave_with_room(entered);
        Ok(true)
    }

    /// Gives the mutex back after a message was received, and wakes those who wait to send one.
    fn leave_with_room(&self, entered: Entered<'_>) {
        let wants_room = self.word(self.end, WANTS_ROOM);
        let was_wanted = wants_room.load(Relaxed) != 0;
        if was_wanted {
            // Relaxed: see `send`.
            wants_room.store(0, Relaxed);
        }
        crash_point!("pipe: room made, mutex held");
        drop(entered);
        crash_point!("pipe: room made, nobody told");
        if was_wanted {
            self.bell(self.peer()).ring();
        }
    }

    /// Whether there is a message at a glance; the end of the file once there cannot be any more.
    fn has_message(&self, inbox: &Inbox) -> Outcome<bool> {
        self.ground.check()?;
        if self.is_closed(self.end) {
            return Err(Refusal::Closed);
        }
        // Before the look for messages: see the module.
        let is_gone = self.is_gone(self.peer());
        match inbox.ring.is_empty() {
            false => Ok(true),
            true if is_gone => Err(Refusal::EndOfFile),
            true => Ok(false),
        }
    }

    fn check_sendable(&self) -> Outcome<()> {
        self.ground.check()?;
        if self.is_closed(self.end) {
            return Err(Refusal::Closed);
        }
        if self.is_gone(self.peer()) { Err(Refusal::EndOfFile) } else { Ok(()) }
    }

    fn is_gone(&self, end: u8) -> bool {
        // SYNC joined: who joined first is seen below, unless it has left.
        let was_joined = self.word(end, WAS_JOINED).load(Acquire) != 0;
        self.is_closed(end) || was_joined && self.is_left(end)
    }

    fn is_left(&self, end: u8) -> bool {
        let words = self.end_offset(end) + JOINED;
        // SYNC joined: all messages that those who left had sent.
        (0..JOINED_WORDS).all(|index| self.ground.word64(words + index * 8).load(Acquire) == 0)
    }

    fn is_closed(&self, end: u8) -> bool {
        // SYNC closed
        self.word(end, CLOSED).load(Acquire) != 0
    }

    /// Takes a party's bit away. Answers whether it was there.
    fn remove(&self, end: u8, party: Party) -> bool {
        let (word, bit) = self.joined(end, party);
        // SYNC joined: all messages that the party sent.
        self.ground.word64(word).fetch_and(!bit, AcqRel) & bit != 0
    }

    fn enter(&self, party: Party) -> Outcome<Entered<'_>> {
        self.ground.enter(party, || {
            self.inboxes.iter().flatten().try_for_each(|inbox| {
                inbox.heap.clear();
                inbox.ring.keep_all(&inbox.heap)
            })
        })
    }

    /// Messages for an end, which must be one that receives.
    fn inbox(&self, end: u8) -> Outcome<&Inbox> {
        self.inboxes[usize::from(end)].as_ref().ok_or(Refusal::ReadOnly)
    }

    /// Word and bit by which a party is joined to an end.
    fn joined(&self, end: u8, party: Party) -> (usize, u64) {
        let (word, bit) = (party.number() / 64, party.number() % 64);
        (self.end_offset(end) + JOINED + word * size_of::<u64>(), 1 << bit)
    }

    fn word(&self, end: u8, offset: usize) -> &std::sync::atomic::AtomicU32 {
        self.ground.word32(self.end_offset(end) + offset)
    }

    fn end_offset(&self, end: u8) -> usize {
        ENDS + usize::from(end) * END_BYTES
    }

    fn bell(&self, end: u8) -> ObjectBell<'_> {
        self.ground.bell(if end == 0 { header::BELL_A } else { header::BELL_B })
    }

    fn peer(&self) -> u8 {
        1 - self.end
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;

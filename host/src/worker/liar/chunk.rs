//! Lies that are told in the course of a chunk: one thing is done otherwise, everything else as it should be.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::process::Signal;

use super::greeting::{close_socket, loud, say};
use super::scribble::{self, for_ever, in_another_process};
use super::{Liar, Lie, stall};
use crate::channel::control::WorkerSays;
use crate::channel::desk::failures_start;
use crate::channel::ending::EndKind;
use crate::channel::layout::{ENTRY_BYTES, FAILURE_HEADER_BYTES, RING_BYTES, VALUE_BYTES_MAX, tagged, up};
use crate::channel::order::{Entry, Order};
use crate::channel::range_word::CALLS_MAX;
use crate::channel::ring::{self, Stream};

/// Result cells of a call: a liar's task returns one number.
const CELLS: usize = 1;

impl Liar {
    pub(super) fn lie(&mut self, order: &Order) {
        if order.entry == Entry::Batch {
            self.room.desk().set_cells(CELLS);
        }
        match self.script.lie {
            Lie::RangeOfAnotherOrder
            | Lie::RangePastItsEnd
            | Lie::RangeBeyondTheChunk
            | Lie::RangeFlips
            | Lie::KeepsWhatWasCut => self.lie_in_the_range(order),
            Lie::NamesCallsBeyond
            | Lie::NamesAnotherOrder
            | Lie::NamesCallsAtRandom
            | Lie::NamesNothing
            | Lie::Stalls
            | Lie::EvadesTheStop => self.lie_about_progress(order),
            Lie::CountsTooMany
            | Lie::CountsBackwards
            | Lie::CountsForAnotherOrder
            | Lie::EndsTooEarly
            | Lie::EndsWhatItWasNotGiven
            | Lie::NeverEnds
            | Lie::WasBusyForAges
            | Lie::IsFullForEver => self.lie_in_numbers(order),
            Lie::LengthBeyondTheSlot
            | Lie::LengthsBeyondTheSlot
            | Lie::LengthsOverlap
            | Lie::ResultsOfGarbage
            | Lie::ResultsOfAnotherType
            | Lie::ResultsTooDeep
            | Lie::ResultsTooLong
            | Lie::ResultsChange => self.lie_in_results(order),
            Lie::EndsInNoKnownWay
            | Lie::MessageBeyondItsBytes
            | Lie::MessageForATerminal
            | Lie::MessageTooLong => self.lie_in_failures(order),
            Lie::RecordsBeyondTheSlot
            | Lie::RecordCutOff
            | Lie::RecordTooLong
            | Lie::RecordOfNoCall
            | Lie::RecordsOutOfOrder => self.lie_in_records(order),
            Lie::RingBeyondItsEnd
            | Lie::RingBackwards
            | Lie::LineBeyondTheRing
            | Lie::LineCutOff
            | Lie::PrintsForEver
            | Lie::PrintsNothingForEver => self.lie_in_lines(order),
            _ => self.lie_otherwise(order),
        }
    }

    fn lie_in_the_range(&mut self, order: &Order) {
        match self.script.lie {
            Lie::RangeOfAnotherOrder => {
                self.set_range(order, order.generation + 1, 0, order.count);
                self.room.run(order);
            }
            Lie::RangePastItsEnd => {
                self.set_range(order, order.generation, CALLS_MAX, 1);
                self.room.run(order);
            }
            Lie::RangeBeyondTheChunk => {
                self.set_range(order, order.generation, 0, CALLS_MAX);
                self.answer_all(order);
                self.room.desk().finish(u32::MAX);
                self.room.desk().end_chunk();
            }
            Lie::RangeFlips => {
                let (up, at) = (Arc::clone(&self.up), up::range(order.slot()));
                let tag = u64::from(order.generation as u16) << 48;
                for_ever(move |random| up.word64(at).store(tag | random.next() >> 16, Ordering::Relaxed));
                self.answer_all(order);
                self.room.desk().end_chunk();
            }
            _ => {
                // A thief comes when it has nothing else to do; where none does, there is nothing to keep.
                let range = self.up.word64(up::range(order.slot()));
                let end = || range.load(Ordering::Relaxed) as u32 & CALLS_MAX;
                let began = std::time::Instant::now();
                while end() == order.count && began.elapsed().as_millis() < 500 {
                    std::thread::yield_now();
                }
                self.answer_all(order);
                self.room.desk().end_chunk();
            }
        }
    }

    fn lie_about_progress(&mut self, order: &Order) {
        let generation = order.generation;
        // What it has not claimed, others would take.
        self.claim_all(order);
        let name = |liar: &Self, word| liar.up.word64(up::PROGRESS).store(word, Ordering::Relaxed);
        match self.script.lie {
            Lie::NamesCallsBeyond => name(self, tagged(generation, order.count + 1000)),
            Lie::NamesAnotherOrder => name(self, tagged(generation + 7, 1)),
            Lie::NamesCallsAtRandom => {
                let up = Arc::clone(&self.up);
                for_ever(move |random| {
                    let call = random.next() as u32 % 1000;
                    up.word64(up::PROGRESS).store(tagged(generation, call), Ordering::Relaxed);
                });
            }
            Lie::EvadesTheStop => {
                name(self, tagged(generation, 1));
                let (up, finished) = (Arc::clone(&self.up), up::finished(order.slot()));
                in_another_process(move |random| {
                    let turn = random.next();
                    up.word64(up::PROGRESS).store(tagged(generation, turn as u32 & 1), Ordering::Relaxed);
                    // Never so that results are taken: counts are read as those of another order.
                    up.word64(finished).store(turn << 32, Ordering::Relaxed);
                });
            }
            Lie::Stalls => name(self, tagged(generation, 1)),
            _ => name(self, 0),
        }
        stall()
    }

    fn lie_in_numbers(&mut self, order: &Order) {
        let finished = up::finished(order.slot());
        match self.script.lie {
            Lie::CountsTooMany => self.room.desk().finish(u32::MAX),
            Lie::CountsBackwards => {
                self.answer_all(order);
                for count in (0..order.count).rev() {
                    self.room.desk().finish(count);
                }
            }
            Lie::CountsForAnotherOrder => {
                let word = tagged(order.generation + 1, order.count);
                self.up.word64(finished).store(word, Ordering::Release);
            }
            Lie::EndsTooEarly => {}
            Lie::EndsWhatItWasNotGiven => {
                let next = order.generation + 1;
                let slot = next as usize % 2;
                self.up.word64(up::finished(slot)).store(tagged(next, u32::MAX), Ordering::Relaxed);
                self.up.word32(up::ended(slot)).store(next, Ordering::Release);
                return self.room.run(order);
            }
            Lie::NeverEnds => {
                self.answer_all(order);
                stall()
            }
            Lie::WasBusyForAges => {
                self.answer_all(order);
                self.room.desk().end_chunk();
                self.up.word64(up::busy_ns(order.slot())).store(u64::MAX, Ordering::Relaxed);
                return;
            }
            _ => {
                let (up, generation, count) = (Arc::clone(&self.up), order.generation, order.count);
                for_ever(move |random| {
                    let word = tagged(generation, random.next() as u32 % (count + 1));
                    up.word64(up::full(generation as usize % 2)).store(word, Ordering::Relaxed);
                });
                self.answer_all(order);
            }
        }
        self.room.desk().end_chunk();
    }

    fn lie_in_results(&mut self, order: &Order) {
        let lie = self.script.lie;
        if lie == Lie::ResultsChange {
            let (up, start) = (Arc::clone(&self.up), up::results(order.slot()));
            let bytes = order.count as usize * (ENTRY_BYTES + 8);
            for_ever(move |random| {
                let place = start + random.next() as usize % bytes;
                up.word::<std::sync::atomic::AtomicU8>(place).store(random.next() as u8, Ordering::Relaxed);
            });
            self.answer_all(order);
            return self.room.desk().end_chunk();
        }
        let length = match lie {
            Lie::LengthBeyondTheSlot => Some(u32::MAX),
            Lie::LengthsBeyondTheSlot => Some(40 << 20),
            Lie::LengthsOverlap => Some(12),
            _ => None,
        };
        for call in self.claim_all(order) {
            let bytes = match lie {
                Lie::ResultsOfGarbage => vec![0xc1; 13],
                Lie::ResultsOfAnotherType => vec![0xcb; 9],
                Lie::ResultsTooDeep => vec![0x91; 100_000],
                Lie::ResultsTooLong => vec![0xdd, 0xff, 0xff, 0xff, 0xff],
                _ => self.answer(order, call),
            };
            self.room.desk().begin(call);
            match length {
                None => self.room.desk().end(call, EndKind::Returned, &bytes, 0),
                Some(length) => {
                    self.set_head(order, call, EndKind::Returned as u32, length);
                    self.room.desk().finish(call + 1);
                }
            }
        }
        self.room.desk().end_chunk();
    }

    fn lie_in_failures(&mut self, order: &Order) {
        for call in self.claim_all(order) {
            self.room.desk().begin(call);
            let mut detail = 7i32.to_le_bytes().to_vec();
            match self.script.lie {
                Lie::EndsInNoKnownWay => {
                    self.set_head(order, call, 99, 0);
                    self.room.desk().finish(call + 1);
                    continue;
                }
                Lie::MessageBeyondItsBytes => detail.extend([0xff; 4]),
                Lie::MessageForATerminal => {
                    let text = [loud().as_bytes(), &[0xff; 1000]].concat();
                    detail.extend((text.len() as u32).to_le_bytes());
                    detail.extend(text);
                }
                _ => {
                    detail.extend((VALUE_BYTES_MAX as u32 - 8).to_le_bytes());
                    detail.resize(VALUE_BYTES_MAX, 0xff);
                }
            }
            self.room.desk().end(call, EndKind::Failed, &detail, 0);
        }
        self.room.desk().end_chunk();
    }

    /// Lies in the failure records of a batch.
    fn lie_in_records(&mut self, order: &Order) {
        let slot = order.slot();
        let start = up::results(slot) + failures_start(order.count, CELLS);
        let record = |at: usize, length: u32, call: u64| {
            let mut header = [0; FAILURE_HEADER_BYTES];
            header[0] = EndKind::Trapped as u8;
            header[4..8].copy_from_slice(&length.to_le_bytes());
            header[8..].copy_from_slice(&call.to_le_bytes());
            self.up.write(start + at * FAILURE_HEADER_BYTES, &header);
        };
        let header = FAILURE_HEADER_BYTES as u64;
        let bytes = match self.script.lie {
            Lie::RecordsBeyondTheSlot => u64::MAX,
            Lie::RecordCutOff => header - 1,
            Lie::RecordTooLong => {
                record(0, u32::MAX, 0);
                header
            }
            Lie::RecordOfNoCall => {
                record(0, 0, u64::MAX);
                header
            }
            _ => {
                record(0, 0, 1);
                record(1, 0, 0);
                2 * header
            }
        };
        self.up.word64(up::failure_bytes(slot)).store(bytes, Ordering::Relaxed);
        self.room.desk().finish(order.count);
        self.room.desk().end_chunk();
    }

    fn lie_in_lines(&mut self, order: &Order) {
        let written = self.up.word64(up::RING_WRITTEN).load(Ordering::Relaxed);
        let write = |liar: &Self, header: u32, written: u64| {
            liar.up.write(up::RING, &header.to_le_bytes());
            liar.up.word64(up::RING_WRITTEN).store(written, Ordering::Release);
        };
        match self.script.lie {
            Lie::RingBeyondItsEnd => write(self, 0, written + RING_BYTES as u64 + 1),
            Lie::RingBackwards => {
                self.room.desk().print(Stream::Stdout, b"a line");
                self.wait_until_drained();
                write(self, 0, written);
            }
            Lie::LineBeyondTheRing => write(self, RING_BYTES as u32, RING_BYTES as u64),
            Lie::LineCutOff => write(self, 0, 2),
            lie => {
                self.room.desk().begin(0);
                let line = if lie == Lie::PrintsForEver { &[b'x'; 10_000][..] } else { b"" };
                loop {
                    // As the honest do, but without end.
                    self.room.desk().print(Stream::Stderr, line);
                }
            }
        }
        self.answer_all(order);
        self.room.desk().end_chunk();
    }

    fn wait_until_drained(&self) {
        while ring::is_half_full(&self.up, &self.down) {
            std::thread::yield_now();
        }
        let taken = || self.down.word64(crate::channel::layout::down::RING_TAKEN).load(Ordering::Acquire);
        let began = std::time::Instant::now();
        while taken() == 0 && began.elapsed().as_secs() < 5 {
            std::thread::yield_now();
        }
    }

    fn lie_otherwise(&mut self, order: &Order) {
        let claims_nothing_more = [Lie::StopsItself, Lie::Exits, Lie::DiesBySignal];
        if claims_nothing_more.contains(&self.script.lie) {
            self.claim_all(order);
        }
        match self.script.lie {
            Lie::SleepsOnNothing | Lie::SleepsFarBeyond => {
                let grant = if self.script.lie == Lie::SleepsOnNothing { 1 } else { u32::MAX };
                self.up.word32(up::BLOCKED_ON).store(grant, Ordering::Relaxed);
            }
            Lie::RingsForEver => {
                let up = Arc::clone(&self.up);
                for_ever(move |_| {
                    let bell = up.word32(up::FEEDER_BELL);
                    up.word32(up::FEEDER_ASLEEP).store(1, Ordering::Relaxed);
                    crate::shm::bell::Bell::new(bell, up.word32(up::FEEDER_ASLEEP)).ring_always();
                });
            }
            Lie::ScribblesForEver => {
                let up = Arc::clone(&self.up);
                for_ever(move |random| scribble::one_byte(&up, random));
            }
            Lie::ScribblesAfterDeath => {
                let up = Arc::clone(&self.up);
                in_another_process(move |random| scribble::one_byte(&up, random));
                std::process::abort();
            }
            Lie::ClosesInMidChunk => close_socket(),
            Lie::StopsItself => {
                self.room.desk().begin(0);
                self.send_itself(Signal::STOP);
            }
            Lie::Exits => {
                self.room.desk().begin(0);
                std::process::exit(self.script.number)
            }
            Lie::DiesBySignal => {
                self.room.desk().begin(0);
                let signal = Signal::from_named_raw(self.script.number).expect("a signal's number");
                // The engine catches some, finds that they are not its own, and leaves the next one to the kernel.
                self.send_itself(signal);
                self.send_itself(signal);
                stall()
            }
            Lie::PanicsAndLives => say(&self.control, &WorkerSays::Panicked(loud()), &[]),
            _ => {}
        }
        self.room.run(order);
    }

    fn send_itself(&self, signal: Signal) {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, signal).expect("a process may send itself signals");
    }

    /// All calls of the chunk, whatever the range word says.
    fn claim_all(&mut self, order: &Order) -> Range<u32> {
        let _ = self.room.desk().claim(|rest| rest);
        0..order.count
    }

    /// Answers all calls of the chunk rightly.
    fn answer_all(&mut self, order: &Order) {
        for call in self.claim_all(order) {
            let bytes = self.answer(order, call);
            self.room.desk().begin(call);
            if order.entry == Entry::Batch {
                self.up.write(up::results(order.slot()) + call as usize * 8, &bytes);
                self.room.desk().finish(call + 1);
            } else {
                self.room.desk().end(call, EndKind::Returned, &bytes, 0);
            }
        }
    }

    fn set_range(&self, order: &Order, generation: u32, next: u32, end: u32) {
        let word = u64::from(generation as u16) << 48 | u64::from(next) << 24 | u64::from(end);
        self.up.word64(up::range(order.slot())).store(word, Ordering::Relaxed);
    }

    fn set_head(&self, order: &Order, call: u32, kind: u32, length: u32) {
        let mut head = [0; ENTRY_BYTES];
        head[..4].copy_from_slice(&kind.to_le_bytes());
        head[4..8].copy_from_slice(&length.to_le_bytes());
        self.up.write(up::results(order.slot()) + call as usize * ENTRY_BYTES, &head);
    }
}

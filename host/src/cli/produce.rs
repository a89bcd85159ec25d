//! From pieces of input to a job's blocks.
//!
//! Inputs are encoded here once, in the form in which the task takes them, and not too far ahead of the workers.
//! Ranges are counted, never written down as a whole.

use std::sync::Arc;

use super::cells;
use super::inputs::{InputError, Piece};
use crate::channel::layout::VALUE_BYTES_MAX;
use crate::pool::command::Invocations;
use crate::pool::job::Job;
use crate::pool::source::{Block, Blocks};
use crate::pool::{Failure, FailureKind, Module};
use crate::sandbox::driver::Number;

/// Bytes of inputs after which a block is announced.
const BLOCK_BYTES_MAX: usize = 1 << 20;

/// Inputs after which a block is announced; the first ones are smaller, so that workers begin soon.
const BLOCK_CALLS_MAX: u64 = 1 << 14;

/// Inputs of the first block.
const FIRST_BLOCK_CALLS: u64 = 16;

/// Calls whose inputs may be announced ahead of being handed out.
const CALLS_AHEAD_MAX: u64 = 1 << 16;

/// How a task takes its inputs.
pub(super) struct Taking {
    /// The numbers it takes, when it is entered with numbers.
    pub(super) numbers: Option<Vec<Number>>,
    pub(super) names: Vec<Option<String>>,
    /// How a run is started, for a program.
    pub(super) invocations: Option<Invocations>,
}

/// Encodes inputs and announces them to a job.
pub(super) struct Producer<'a> {
    module: &'a Module,
    job: &'a Arc<Job>,
    blocks: &'a Blocks,
    taking: &'a Taking,
    block: Block,
    /// Calls announced so far.
    announced: u64,
    calls_max: u64,
    refused: Vec<Failure>,
}

/// Nobody wants more inputs: the job is over.
pub(super) struct Over;

impl<'a> Producer<'a> {
    pub(super) fn new(module: &'a Module, job: &'a Arc<Job>, blocks: &'a Blocks, taking: &'a Taking) -> Self {
        let block = Block::new(taking.numbers.as_ref().map(Vec::len));
        Self {
            module,
            job,
            blocks,
            taking,
            block,
            announced: 0,
            calls_max: FIRST_BLOCK_CALLS,
            refused: Vec::new(),
        }
    }

    /// Announces everything that `pieces` gives; `is_at_hand` tells whether the next one needs no waiting.
    ///
    /// # Errors
    ///
    /// The first error of the pieces; all inputs before it are announced, and the job knows that no more will come.
    pub(super) fn run<I>(mut self, pieces: &mut I, is_at_hand: impl Fn(&I) -> bool) -> Result<(), InputError>
    where
        I: Iterator<Item = Result<Piece, InputError>>,
    {
        let mut result = Ok(());
        while let Some(piece) = pieces.next() {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            if self.put(&piece).is_err() {
                return result;
            }
            if !is_at_hand(pieces) && self.announce(false).is_err() {
                return result;
            }
        }
        // Over or not, nothing else will come.
        let _ = self.announce(true);
        result
    }

    fn put(&mut self, piece: &Piece) -> Result<(), Over> {
        match piece {
            Piece::Json(arguments) | Piece::Text(arguments) => self.put_call(arguments),
            Piece::Range { start, length } => {
                let mut text = String::new();
                let mut digits = itoa::Buffer::new();
                let (before, behind) = if self.taking.invocations.is_some() { ("", "") } else { ("[", "]") };
                for offset in 0..*length {
                    text.clear();
                    text.push_str(before);
                    text.push_str(digits.format(start.wrapping_add_unsigned(offset)));
                    text.push_str(behind);
                    self.put_call(&text)?;
                }
                Ok(())
            }
        }
    }

    fn put_call(&mut self, arguments: &str) -> Result<(), Over> {
        let index = self.announced + self.block.calls();
        let encoded = match &mut self.block {
            Block::Cells { width, cells } => {
                let numbers = self.taking.numbers.as_deref().unwrap_or_default();
                let encoded = cells::cells(arguments, numbers, &self.taking.names, cells);
                if encoded.is_err() {
                    cells.extend(std::iter::repeat_n(0, *width));
                }
                if *width == 0 {
                    // A call without parameters still counts as one.
                    cells.push(0);
                }
                encoded
            }
            Block::Blobs { ends, bytes } if let Some(invocations) = &self.taking.invocations => {
                let encoded = invocations.write(index, arguments.as_bytes(), bytes);
                ends.push(bytes.len());
                encoded
            }
            Block::Blobs { ends, bytes } => {
                let fits = arguments.len() <= VALUE_BYTES_MAX;
                if fits {
                    bytes.extend_from_slice(arguments.as_bytes());
                }
                ends.push(bytes.len());
                fits.then_some(()).ok_or_else(|| {
                    format!("an input of {} bytes, at most {VALUE_BYTES_MAX} are allowed", arguments.len())
                })
            }
        };
        if let Err(reason) = encoded {
            self.refused.push(Failure::new(index, FailureKind::Refused, reason));
        }
        if self.block.calls() >= self.calls_max || self.block.bytes() >= BLOCK_BYTES_MAX {
            self.announce(false)?;
            self.calls_max = (self.calls_max * 2).min(BLOCK_CALLS_MAX);
        }
        Ok(())
    }

    fn announce(&mut self, is_complete: bool) -> Result<(), Over> {
        let next = Block::new(self.taking.numbers.as_ref().map(Vec::len));
        let block = std::mem::replace(&mut self.block, next);
        let call_bytes = (block.bytes() as u64 / block.calls().max(1)).max(1);
        self.announced = self.blocks.push(block);
        for failure in self.refused.drain(..) {
            self.job.refuse(failure);
        }
        self.job.announce(self.announced, is_complete);
        self.module.wake_feeders();
        let calls_ahead = (16 * BLOCK_BYTES_MAX as u64 / call_bytes).clamp(4, CALLS_AHEAD_MAX);
        if is_complete || self.job.wait_for_room(calls_ahead) { Ok(()) } else { Err(Over) }
    }
}

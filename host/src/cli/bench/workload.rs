//! The inputs of a measurement: read once, encoded once, and given out over and over again.

use std::io::{BufReader, Read};
use std::ops::Range;
use std::sync::Arc;

use crate::channel::layout::VALUE_BYTES_MAX;
use crate::channel::order;
use crate::channel::post::InputArea;
use crate::cli::cells::cells;
use crate::cli::inputs::{Binder, Binding, InputError, JsonLines, LINE_BYTES_MAX, Parameters, Piece, Text};
use crate::pool::source::{Block, Blocks, Integers, Source};
use crate::pool::{Failure, FailureKind};
use crate::sandbox::catalog::Numeric;
use crate::sandbox::driver::Number;

/// Most inputs that are encoded. Ranges of integers are not.
const INPUTS_MAX: u64 = 1_000_000;

/// Most bytes of them.
const BYTES_MAX: usize = 256 << 20;

/// Calls that the encoded inputs are repeated for, so that where they begin anew is seldom the end of a chunk.
const CALLS_MIN: u64 = 1 << 16;

/// Bytes beyond which they are not repeated any more.
const REPEATED_BYTES_MAX: usize = 8 << 20;

/// Inputs of a block, and bytes of a larger one.
const BLOCK_CALLS_MAX: u64 = 1 << 14;
const BLOCK_BYTES_MAX: usize = 1 << 20;

/// What the user gave, bound to the task's parameters.
#[derive(Debug)]
pub(super) struct Inputs {
    pieces: Vec<Piece>,
    has_left_out: bool,
}

impl Inputs {
    /// Of a task that takes none.
    pub(super) fn of_nothing() -> Self {
        Self { pieces: vec![Piece::Json("[]".to_owned())], has_left_out: false }
    }

    /// Those of the command line.
    ///
    /// # Errors
    ///
    /// The first one that does not fit the task.
    pub(super) fn given(
        texts: &[String],
        text: Text,
        parameters: Parameters<'_>,
    ) -> Result<Self, InputError> {
        let binder = Binder::new(binding(parameters), text, parameters)?;
        let pieces = (1..).zip(texts).map(|(position, input)| binder.input(position, input));
        Ok(Self { pieces: pieces.collect::<Result<_, _>>()?, has_left_out: false })
    }

    /// Those of a stream, as many as can be measured with.
    ///
    /// # Errors
    ///
    /// The first one that does not fit the task, or that cannot be read.
    pub(super) fn read(
        source: impl Read,
        text: Text,
        parameters: Parameters<'_>,
    ) -> Result<Self, InputError> {
        let binder = Binder::new(binding(parameters), text, parameters)?;
        let mut lines = JsonLines::new(BufReader::new(source), &binder, LINE_BYTES_MAX);
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while (pieces.len() as u64) < INPUTS_MAX && bytes < BYTES_MAX {
            let Some(piece) = lines.next().transpose()? else {
                return Ok(Self { pieces, has_left_out: false });
            };
            bytes += if let Piece::Json(json) = &piece { json.len() } else { 0 };
            pieces.push(piece);
        }
        Ok(Self { pieces, has_left_out: lines.next().is_some() })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Range { length: 0, .. }))
    }

    /// The range that it is, if it is one.
    fn range(&self) -> Option<(i64, u64)> {
        match self.pieces[..] {
            [Piece::Range { start, length }] => Some((start, length)),
            _ => None,
        }
    }
}

/// As `map` where a call has one argument, as `starmap` otherwise.
fn binding(parameters: Parameters<'_>) -> Binding {
    if parameters.kinds.len() == 1 { Binding::One } else { Binding::Many }
}

/// The same, encoded.
pub(super) struct Workload {
    source: Arc<dyn Source>,
    /// Calls after which `source` begins anew: a multiple of `inputs`.
    period: u64,
    inputs: u64,
    has_left_out: bool,
}

impl Workload {
    /// Encodes inputs for a task, which is entered with numbers if it is one of numbers.
    ///
    /// # Errors
    ///
    /// The first input that cannot be encoded, as the failure of its call.
    pub(super) fn encode(
        inputs: Inputs,
        numeric: Option<&Numeric>,
        names: &[Option<String>],
    ) -> Result<Self, Failure> {
        let signature = numeric.map(|numeric| &numeric.signature);
        if let Some((start, length)) = inputs.range()
            && length >= CALLS_MIN
            && signature.is_none_or(|signature| signature.takes_range())
        {
            let source = Arc::new(Integers { start });
            return Ok(Self { source, period: length, inputs: length, has_left_out: false });
        }
        let numbers = signature.map(|signature| &*signature.parameters);
        let mut ring = Ring::new(numbers, names);
        let is_whole = inputs
            .pieces
            .iter()
            .try_fold(true, |is_whole, piece| Ok::<bool, Failure>(is_whole && ring.put(piece)?))?;
        let count = ring.calls;
        while ring.calls < CALLS_MIN && ring.bytes < REPEATED_BYTES_MAX {
            ring.limit = ring.calls + count;
            for piece in &inputs.pieces {
                ring.put(piece)?;
            }
        }
        ring.flush();
        let has_left_out = inputs.has_left_out || !is_whole;
        Ok(Self { period: ring.calls, source: Arc::new(ring.blocks), inputs: count, has_left_out })
    }

    /// How many different inputs there are.
    pub(super) fn inputs(&self) -> u64 {
        self.inputs
    }

    /// Whether there were more than can be measured with.
    pub(super) fn has_left_out(&self) -> bool {
        self.has_left_out
    }

    /// The inputs from this one on, for a job.
    pub(super) fn from(&self, call: u64) -> impl Source + use<> {
        Cycle { source: Arc::clone(&self.source), period: self.period, offset: call % self.period }
    }
}

/// Inputs that begin anew when they are through.
struct Cycle {
    source: Arc<dyn Source>,
    period: u64,
    offset: u64,
}

impl Source for Cycle {
    fn fill(&self, calls: Range<u64>, area: InputArea<'_>) -> (order::Inputs, u32) {
        let start = (calls.start % self.period + self.offset) % self.period;
        let end = (start + (calls.end - calls.start)).min(self.period);
        self.source.fill(start..end, area)
    }

    fn release(&self, _low_water: u64) {}
}

/// Inputs on their way into blocks.
struct Ring<'a> {
    numbers: Option<&'a [Number]>,
    names: &'a [Option<String>],
    blocks: Blocks,
    block: Block,
    calls: u64,
    bytes: usize,
    /// Most calls.
    limit: u64,
}

impl<'a> Ring<'a> {
    fn new(numbers: Option<&'a [Number]>, names: &'a [Option<String>]) -> Self {
        let block = Block::new(numbers.map(<[Number]>::len));
        Self { numbers, names, blocks: Blocks::default(), block, calls: 0, bytes: 0, limit: INPUTS_MAX }
    }

    /// Appends inputs; says whether there was room for all of them.
    fn put(&mut self, piece: &Piece) -> Result<bool, Failure> {
        match piece {
            Piece::Json(arguments) => self.put_call(arguments),
            Piece::Text(_) => unreachable!("tasks are measured, and texts are for programs"),
            Piece::Range { start, length } => {
                for offset in 0..*length {
                    if !self.put_call(&format!("[{}]", start.wrapping_add_unsigned(offset)))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn put_call(&mut self, arguments: &str) -> Result<bool, Failure> {
        if self.calls >= self.limit || self.bytes >= BYTES_MAX {
            return Ok(false);
        }
        let before = self.block.bytes();
        self.append(arguments).map_err(|reason| Failure::new(self.calls, FailureKind::Refused, reason))?;
        self.calls += 1;
        self.bytes += self.block.bytes() - before;
        if self.block.calls() >= BLOCK_CALLS_MAX || self.block.bytes() >= BLOCK_BYTES_MAX {
            self.flush();
        }
        Ok(true)
    }

    fn append(&mut self, arguments: &str) -> Result<(), String> {
        match &mut self.block {
            Block::Cells { width, cells: out } => {
                cells(arguments, self.numbers.unwrap_or_default(), self.names, out)?;
                if *width == 0 {
                    // A call without parameters still counts as one.
                    out.push(0);
                }
            }
            Block::Blobs { ends, bytes } => {
                if arguments.len() > VALUE_BYTES_MAX {
                    let length = arguments.len();
                    return Err(format!("an input of {length} bytes, at most {VALUE_BYTES_MAX} are allowed"));
                }
                bytes.extend_from_slice(arguments.as_bytes());
                ends.push(bytes.len());
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        let next = Block::new(self.numbers.map(<[Number]>::len));
        self.blocks.push(std::mem::replace(&mut self.block, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Piece {
        Piece::Json(text.to_owned())
    }

    fn encoded(pieces: Vec<Piece>) -> Workload {
        let inputs = Inputs { pieces, has_left_out: false };
        Workload::encode(inputs, None, &[]).expect("inputs")
    }

    #[test]
    fn a_few_inputs_are_repeated_in_whole_passes() {
        let workload = encoded(vec![piece("[1]"), Piece::Range { start: 5, length: 2 }]);
        assert_eq!((workload.inputs(), workload.has_left_out()), (3, false));
        assert_eq!(workload.period % 3, 0);
        assert!((CALLS_MIN..CALLS_MIN + 3).contains(&workload.period), "{}", workload.period);
    }

    #[test]
    fn a_long_range_is_not_written_down() {
        let workload = encoded(vec![Piece::Range { start: 0, length: 1 << 40 }]);
        assert_eq!((workload.inputs(), workload.period), (1 << 40, 1 << 40));
    }

    #[test]
    fn too_many_inputs_are_cut_off_and_that_is_told() {
        let workload = encoded(vec![piece("[1]"), Piece::Range { start: 0, length: INPUTS_MAX }]);
        assert_eq!((workload.inputs(), workload.has_left_out()), (INPUTS_MAX, true));
    }

    #[test]
    fn large_inputs_are_not_repeated_for_ever() {
        let workload = encoded(vec![piece(&format!("[\"{}\"]", "a".repeat(1 << 20)))]);
        assert!((1..20).contains(&workload.period), "{}", workload.period);
    }

    #[test]
    fn an_input_that_cannot_be_sent_is_its_calls_failure() {
        let numeric = [Number::I32];
        let mut ring = Ring::new(Some(&numeric), &[]);
        assert!(ring.put(&piece("[1]")).expect("a number"));
        let failure = ring.put(&piece("[\"x\"]")).expect_err("no number");
        assert_eq!((failure.index(), failure.kind()), (1, FailureKind::Refused));
    }

    #[test]
    fn no_input_is_nothing_to_measure() {
        let inputs = |pieces| Inputs { pieces, has_left_out: false };
        assert!(inputs(vec![]).is_empty());
        assert!(inputs(vec![Piece::Range { start: 3, length: 0 }]).is_empty());
        assert!(!inputs(vec![piece("[]")]).is_empty());
    }
}

//! Where a job's inputs come from, and how they get into a worker's slot.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::channel::order::Inputs;
use crate::channel::post::InputArea;

/// A job's inputs. They can be asked for again until their calls are settled: a worker may die over them.
pub(crate) trait Source: Send + Sync {
    /// Puts the inputs of `calls` into a slot; says how, and how many calls' inputs fitted, at least one.
    ///
    /// All of `calls` have been announced to the job before.
    fn fill(&self, calls: Range<u64>, area: InputArea<'_>) -> (Inputs, u32);

    /// Says that inputs of calls below `low_water` are not needed any more.
    fn release(&self, low_water: u64);

    /// Says that inputs of these calls are not needed any more, whatever comes before them.
    fn settled(&self, _calls: Range<u64>) {}

    /// Calls whose inputs are there, for those who do not announce each of them to the job.
    fn announced(&self) -> u64 {
        0
    }
}

/// Consecutive integers, which are never written down.
pub(crate) struct Integers {
    /// Input of call 0.
    pub(crate) start: i64,
}

impl Source for Integers {
    fn fill(&self, calls: Range<u64>, _area: InputArea<'_>) -> (Inputs, u32) {
        let start = self.start.wrapping_add(calls.start as i64);
        (Inputs::Range { start }, (calls.end - calls.start) as u32)
    }

    fn release(&self, _low_water: u64) {}
}

/// Inputs of consecutive calls, encoded.
#[derive(Debug)]
pub(crate) enum Block {
    /// One cell per parameter, call after call.
    Cells {
        /// Cells per call.
        width: usize,
        /// The cells.
        cells: Vec<u64>,
    },
    /// Bytes of any length.
    Blobs {
        /// Where each input ends in `bytes`.
        ends: Vec<usize>,
        /// The inputs, end to end.
        bytes: Vec<u8>,
    },
}

impl Block {
    /// An empty block of cells, or of blobs.
    pub(crate) fn new(width: Option<usize>) -> Self {
        match width {
            Some(width) => Self::Cells { width, cells: Vec::new() },
            None => Self::Blobs { ends: Vec::new(), bytes: Vec::new() },
        }
    }

    /// Calls whose inputs it holds.
    pub(crate) fn calls(&self) -> u64 {
        match self {
            // A task without parameters has a cell for nothing, so that its calls can be counted.
            Self::Cells { width, cells } => (cells.len() / (*width).max(1)) as u64,
            Self::Blobs { ends, .. } => ends.len() as u64,
        }
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Cells { cells, .. } => cells.len() * 8,
            Self::Blobs { ends, bytes } => ends.len() * 8 + bytes.len(),
        }
    }

    /// Appends the inputs of another block of the same form.
    pub(crate) fn append(&mut self, other: &Self) {
        match (self, other) {
            (Self::Cells { cells, .. }, Self::Cells { cells: more, .. }) => cells.extend_from_slice(more),
            (Self::Blobs { ends, bytes }, Self::Blobs { ends: more_ends, bytes: more }) => {
                ends.extend(more_ends.iter().map(|end| bytes.len() + end));
                bytes.extend_from_slice(more);
            }
            _ => debug_assert!(false, "a job's inputs are all of one form"),
        }
    }

    fn blob(ends: &[usize], bytes: &[u8], call: usize) -> Range<usize> {
        let start = if call == 0 { 0 } else { ends[call - 1] };
        debug_assert!(ends[call] <= bytes.len());
        start..ends[call]
    }
}

/// Inputs that are encoded block by block, as they come.
#[derive(Default)]
pub(crate) struct Blocks {
    state: Mutex<BlocksState>,
}

#[derive(Default)]
struct BlocksState {
    /// Blocks in order, each with the index of its first call.
    blocks: VecDeque<(u64, Arc<Block>)>,
    end: u64,
}

impl Blocks {
    /// Appends the inputs of the next calls; returns how many calls there are now.
    pub(crate) fn push(&self, block: Block) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.end;
        state.end += block.calls();
        state.blocks.push_back((first, Arc::new(block)));
        state.end
    }

    /// Blocks that hold inputs of `calls`, each with the index of its first call.
    fn of(&self, calls: &Range<u64>) -> Vec<(u64, Arc<Block>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = state.blocks.partition_point(|(first, block)| first + block.calls() <= calls.start);
        state.blocks.range(first..).take_while(|(first, _)| *first < calls.end).cloned().collect()
    }
}

impl Source for Blocks {
    fn fill(&self, calls: Range<u64>, area: InputArea<'_>) -> (Inputs, u32) {
        fill_from(&self.of(&calls), calls, area)
    }

    fn release(&self, low_water: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.blocks.front().is_some_and(|(first, block)| first + block.calls() <= low_water) {
            state.blocks.pop_front();
        }
    }
}

impl Source for Arc<Blocks> {
    fn fill(&self, calls: Range<u64>, area: InputArea<'_>) -> (Inputs, u32) {
        Blocks::fill(self, calls, area)
    }

    fn release(&self, low_water: u64) {
        Blocks::release(self, low_water);
    }
}

/// Fills a slot from the blocks that hold the inputs of `calls`, each with the index of its first call.
pub(crate) fn fill_from(
    blocks: &[(u64, Arc<Block>)],
    calls: Range<u64>,
    area: InputArea<'_>,
) -> (Inputs, u32) {
    match blocks.first() {
        Some((_, block)) if matches!(**block, Block::Cells { .. }) => fill_cells(blocks, calls, area),
        _ => fill_blobs(blocks, calls, area),
    }
}

/// The part of `calls` that a block holds, counted from the block's first call.
fn part(first: u64, block: &Block, calls: &Range<u64>) -> Range<usize> {
    let start = calls.start.max(first) - first;
    let end = calls.end.min(first + block.calls()) - first;
    start as usize..end as usize
}

fn fill_cells(blocks: &[(u64, Arc<Block>)], calls: Range<u64>, area: InputArea<'_>) -> (Inputs, u32) {
    let mut written = 0;
    let mut count = 0;
    for (first, block) in blocks {
        let Block::Cells { width, cells } = &**block else { break };
        let width = (*width).max(1);
        let room = InputArea::cells_capacity(width) - count;
        let part = part(*first, block, &calls);
        let part = part.start..part.end.min(part.start + room);
        let cells = &cells[part.start * width..part.end * width];
        area.write_cells(written, cells);
        written += cells.len();
        count += part.len();
    }
    (Inputs::Cells, count as u32)
}

fn fill_blobs(blocks: &[(u64, Arc<Block>)], calls: Range<u64>, area: InputArea<'_>) -> (Inputs, u32) {
    let mut blobs = Vec::with_capacity((calls.end - calls.start) as usize);
    for (first, block) in blocks {
        if let Block::Blobs { ends, bytes } = &**block {
            blobs.extend(part(*first, block, &calls).map(|call| &bytes[Block::blob(ends, bytes, call)]));
        }
    }
    let count = InputArea::fitting(blobs.iter().map(|blob| blob.len())).max(1);
    let mut writer = area.blobs(count);
    blobs[..count as usize].iter().for_each(|blob| writer.push(blob));
    (Inputs::Blobs, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(texts: &[&str]) -> Block {
        let mut block = Block::new(None);
        if let Block::Blobs { ends, bytes } = &mut block {
            for text in texts {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
            }
        }
        block
    }

    #[test]
    fn blocks_are_found_by_call_and_released_when_settled() {
        let source = Blocks::default();
        assert_eq!(source.push(blobs(&["a", "b"])), 2);
        assert_eq!(source.push(blobs(&["c"])), 3);
        assert_eq!(source.push(Block::new(None)), 3);
        assert_eq!(source.push(blobs(&["d", "e"])), 5);
        let firsts = |calls| source.of(&calls).iter().map(|(first, _)| *first).collect::<Vec<_>>();
        assert_eq!(firsts(1..3), [0, 2]);
        assert_eq!(firsts(3..4), [3]);
        source.release(1);
        assert_eq!(firsts(0..1), [0]);
        source.release(3);
        assert_eq!(firsts(0..5), [3]);
    }
}

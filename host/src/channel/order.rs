//! An order: one chunk of calls as the supervisor hands it to a worker.

use std::sync::atomic::Ordering;

use wasmpool_abi::Codec;

use super::layout::down;
use crate::shm::region::Region;

/// How the calls of a chunk are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Numbers in, numbers out, in the batch driver's loop. Results are cells.
    Batch,
    /// Numbers in, numbers out, each call entered by itself. Results are entries whose bytes are cells.
    Each,
    /// The guest's pull loop. Results are entries.
    Pull(Codec),
    /// The program's `_start`, with an instance of its own for every call. Inputs are [invocations], results are
    /// entries whose bytes are what it wrote to stdout.
    ///
    /// [invocations]: super::invocation
    Command,
}

/// Stands for [`Entry::Command`] in an order; codes of codecs stay far below.
const COMMAND: u64 = 0xff;

/// Where the calls' inputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// One cell of eight bytes per parameter, call after call.
    Cells,
    /// A table of offsets (`u64`, one more than calls, from the end of the table), then the inputs' bytes.
    Blobs,
    /// Nowhere: call `i` has the one argument `start + i`.
    Range {
        /// Argument of the chunk's first call.
        start: i64,
    },
}

/// One chunk of calls as a worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Number of the order; grows by one.
    pub(crate) generation: u32,
    /// Index of the task in the module's catalog.
    pub(crate) task: u32,
    /// Calls in the chunk.
    pub(crate) count: u32,
    /// How they are run.
    pub(crate) entry: Entry,
    /// Where their inputs are.
    pub(crate) inputs: Inputs,
    /// Every call gets an instance of its own.
    pub(crate) fresh: bool,
    /// Calls after which an instance is replaced; zero for never.
    pub(crate) recycle: u32,
    /// The call that was parked last goes on, as the order's one call; its input is what it waited for.
    pub(crate) resumes: bool,
    /// Somebody spins for the answer and will probably order again at once.
    pub(crate) hot: bool,
    /// Each separately run call tells how long it took.
    pub(crate) timed: bool,
    /// Most bytes that a call may print.
    pub(crate) printed_bytes_max: u64,
    /// Most bytes of the result of a call that pulls its inputs; those of others are as long as their type says.
    pub(crate) result_bytes_max: u64,
    /// Units of fuel that a call has; none where code does not count any.
    pub(crate) fuel: Option<u64>,
    /// Index of the chunk's first call in its job.
    pub(crate) first: u64,
    /// Number of that job in its pool.
    pub(crate) job: u64,
    /// Which attempt of its first call this is, from 1 on; calls that are tried again come one by one.
    pub(crate) attempt: u32,
}

const FRESH: u64 = 1;
const HOT: u64 = 2;
const TIMED: u64 = 4;
const RESUMES: u64 = 8;
const FIELDS: usize = 11;
const _: () = assert!(FIELDS <= down::FIELDS_MAX);

impl Order {
    /// Index of the slot in which it stands.
    pub(crate) fn slot(&self) -> usize {
        slot_of(self.generation)
    }

    /// Writes the order into its slot; posting it is the caller's next step.
    pub(crate) fn write(&self, region: &Region) {
        let entry = match self.entry {
            Entry::Batch => 0,
            Entry::Each => 1,
            Entry::Pull(codec) => 2 + codec as u64,
            Entry::Command => COMMAND,
        };
        let (inputs, start) = match self.inputs {
            Inputs::Cells => (0, 0),
            Inputs::Blobs => (1, 0),
            Inputs::Range { start } => (2, start),
        };
        let flags = [(self.fresh, FRESH), (self.hot, HOT), (self.timed, TIMED), (self.resumes, RESUMES)];
        let flags = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum();
        let fields: [u64; FIELDS] = [
            u64::from(self.task) << 32 | u64::from(self.count),
            entry << 8 | inputs,
            start as u64,
            flags,
            u64::from(self.recycle),
            self.printed_bytes_max,
            self.result_bytes_max,
            // Nobody is ever given none.
            self.fuel.unwrap_or(0),
            self.first,
            self.job,
            u64::from(self.attempt),
        ];
        for (index, field) in fields.into_iter().enumerate() {
            // Relaxed: the store to `posted` publishes the fields.
            region.word64(down::field(self.slot(), index)).store(field, Ordering::Relaxed);
        }
    }

    /// Reads the order of this generation from its slot, after `posted` was seen to hold it.
    pub(crate) fn read(region: &Region, generation: u32) -> Option<Self> {
        let slot = slot_of(generation);
        // Relaxed: the load of `posted` acquired them.
        let field = |index| region.word64(down::field(slot, index)).load(Ordering::Relaxed);
        let entry = match field(1) >> 8 {
            0 => Entry::Batch,
            1 => Entry::Each,
            COMMAND => Entry::Command,
            code => Entry::Pull(Codec::from_code(i32::try_from(code).ok()? - 2)?),
        };
        let inputs = match field(1) & 0xff {
            0 => Inputs::Cells,
            1 => Inputs::Blobs,
            2 => Inputs::Range { start: field(2) as i64 },
            _ => return None,
        };
        Some(Self {
            generation,
            task: (field(0) >> 32) as u32,
            count: field(0) as u32,
            entry,
            inputs,
            fresh: field(3) & FRESH != 0,
            hot: field(3) & HOT != 0,
            timed: field(3) & TIMED != 0,
            resumes: field(3) & RESUMES != 0,
            recycle: field(4) as u32,
            printed_bytes_max: field(5),
            result_bytes_max: field(6),
            fuel: Some(field(7)).filter(|fuel| *fuel != 0),
            first: field(8),
            job: field(9),
            attempt: field(10) as u32,
        })
    }
}

/// Index of the slot in which the order of this generation stands.
pub(crate) fn slot_of(generation: u32) -> usize {
    generation as usize % super::layout::SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::region::Writer;

    #[test]
    fn orders_read_back_as_they_were_written() {
        let (region, _fd) = Region::create("test", down::BYTES, Writer::Supervisor).expect("a region");
        let plain = Order {
            generation: 8,
            task: 3,
            count: 17,
            entry: Entry::Batch,
            inputs: Inputs::Cells,
            fresh: false,
            recycle: 0,
            resumes: false,
            hot: false,
            timed: false,
            printed_bytes_max: 1 << 40,
            result_bytes_max: 1 << 20,
            fuel: None,
            first: 1 << 41,
            job: 1 << 42,
            attempt: 3,
        };
        let orders = [
            plain,
            Order {
                generation: 9,
                entry: Entry::Each,
                fresh: true,
                timed: true,
                resumes: true,
                fuel: Some(5),
                ..plain
            },
            Order { entry: Entry::Pull(Codec::Json), inputs: Inputs::Blobs, hot: true, ..plain },
            Order { entry: Entry::Pull(Codec::MessagePack), inputs: Inputs::Range { start: -5 }, ..plain },
            Order { entry: Entry::Command, inputs: Inputs::Blobs, fresh: true, ..plain },
        ];
        for order in orders {
            order.write(&region);
            assert_eq!(Order::read(&region, order.generation), Some(order));
        }
    }
}

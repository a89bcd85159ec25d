//! What a call may know of itself and of the process it runs in: one record of fixed size.
//!
//! ```text
//! | 0      | 8     | 16    | 24  | 28     | 32      | 36          | 40 ... 168                  |
//! | job    | index | seed  | pid | worker | attempt | name length | the process's name, zeros   |
//! | u64    | u64   | u64   | u32 | u32    | u32     | u32         | UTF-8                       |
//! ```
//!
//! All numbers are little-endian.

/// `current(record: i32)`: writes the [`RECORD_BYTES`] bytes of a [`Record`] to `record`.
pub const IMPORT_CURRENT: &str = "current";

/// Most bytes of a process's name that a call is told.
pub const NAME_BYTES_MAX: usize = 128;

/// Bytes of a [`Record`].
pub const RECORD_BYTES: usize = NAME_AT + NAME_BYTES_MAX;

const NAME_AT: usize = 40;

/// Who and where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the job in its pool, from 1 on.
    pub job: u64,
    /// Index of the call in its job.
    pub index: u64,
    /// Where the call's random numbers begin; see [`seed`].
    pub seed: u64,
    /// Id of the process.
    pub pid: u32,
    /// Number of the worker in its pool; of a process of its own, its number among those.
    pub worker: u32,
    /// Which attempt this is, from 1 on.
    pub attempt: u32,
    name_bytes: u32,
    name: [u8; NAME_BYTES_MAX],
}

impl Record {
    /// A record of a call in a process of this name, in which all numbers are zero. What is too long is cut.
    #[must_use]
    pub fn of_process(name: &str) -> Self {
        let mut end = name.len().min(NAME_BYTES_MAX);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes[..end].copy_from_slice(&name.as_bytes()[..end]);
        Self { job: 0, index: 0, seed: 0, pid: 0, worker: 0, attempt: 0, name_bytes: end as u32, name: bytes }
    }

    /// The process's name; empty if what was read is none.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.name.get(..self.name_bytes as usize).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }

    /// The record as it lies in memory.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let long = [self.job, self.index, self.seed].into_iter().map(u64::to_le_bytes);
        for (at, word) in bytes.chunks_exact_mut(8).zip(long) {
            at.copy_from_slice(&word);
        }
        let short = [self.pid, self.worker, self.attempt, self.name_bytes].into_iter().map(u32::to_le_bytes);
        for (at, word) in bytes[24..].chunks_exact_mut(4).zip(short) {
            at.copy_from_slice(&word);
        }
        bytes[NAME_AT..].copy_from_slice(&self.name);
        bytes
    }

    /// Reads what [`Self::to_bytes`] has written.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Self {
        let long = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let short = |at: usize| u32::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        Self {
            job: long(0),
            index: long(8),
            seed: long(16),
            pid: short(24),
            worker: short(28),
            attempt: short(32),
            name_bytes: short(36),
            name: core::array::from_fn(|byte| bytes[NAME_AT + byte]),
        }
    }
}

/// The seed of a call: a function of the pool's seed (0 unless it is deterministic), the job's number and the call's
/// index, and of nothing else, so that it is the same with any number of workers and in every attempt.
///
/// It is `mix(mix(mix(pool) ^ job) ^ index)`, where `mix` is a step of SplitMix64: it adds `0x9e3779b97f4a7c15`, and
/// scrambles the sum (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
///
/// # Examples
///
/// ```
/// use wasmpool_abi::current::seed;
///
/// assert_eq!(seed(0, 1, 0), seed(0, 1, 0));
/// assert_ne!(seed(0, 1, 0), seed(0, 1, 1));
/// ```
#[must_use]
pub const fn seed(pool: u64, job: u64, index: u64) -> u64 {
    mix(mix(mix(pool) ^ job) ^ index)
}

const fn mix(state: u64) -> u64 {
    let sum = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        let record = Record {
            job: 1 << 40,
            index: 1 << 41,
            seed: u64::MAX,
            pid: 7,
            worker: 8,
            attempt: 9,
            ..Record::of_process("Process-1")
        };
        let read = Record::from_bytes(&record.to_bytes());
        assert_eq!(read, record);
        assert_eq!(read.name(), "Process-1");
    }

    #[test]
    fn names_are_cut_between_characters_and_never_trusted() {
        let long = ["ä"; NAME_BYTES_MAX].concat();
        assert_eq!(Record::of_process(&long).name().len(), NAME_BYTES_MAX);
        let long = ["€"; NAME_BYTES_MAX].concat();
        assert_eq!(Record::of_process(&long).name().chars().count(), NAME_BYTES_MAX / 3);
        let mut bytes = Record::of_process("x").to_bytes();
        bytes[36..40].fill(0xff);
        assert_eq!(Record::from_bytes(&bytes).name(), "");
        bytes[36..40].copy_from_slice(&1u32.to_le_bytes());
        bytes[NAME_AT] = 0xff;
        assert_eq!(Record::from_bytes(&bytes).name(), "");
    }

    /// The first number that SplitMix64 gives from state 0, as its authors publish it.
    const FIRST: u64 = 0xe220_a839_7b1d_cdaf;

    #[test]
    fn seeds_never_change_from_version_to_version() {
        assert_eq!(mix(0), FIRST);
        assert_eq!(seed(0, 0, 0), mix(mix(FIRST)));
        for (pool, job, index) in [(1, 0, 0), (0, 1, 0), (0, 0, 1)] {
            assert_ne!(seed(pool, job, index), seed(0, 0, 0));
        }
        assert_ne!(seed(0, 1, 2), seed(0, 2, 1));
    }
}

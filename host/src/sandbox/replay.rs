//! What a guest sees of time and chance when its run is to be the same each time.
//!
//! A call's clocks and random bytes are functions of the job's seed and of the call's index in its job, and of nothing
//! else: not of the worker, not of the attempt, not of what ran before. Two calls of one job have unrelated random
//! bytes and the same clocks.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::wasi::Clock;

/// What the clock of the day shows when a call begins, in nanoseconds since 1970: the first instant of 2000.
const REALTIME_START_NS: u64 = 946_684_800 * 1_000_000_000;

/// How much later it is at each look at a clock: a loop that waits for time to pass has to come to its end.
const STEP_NS: u64 = 1_000;

/// Random bytes that one hash gives.
const BLOCK_BYTES: usize = 32;

/// One call's time and chance.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    seed: u64,
    /// Hashed so far: what tells this call from all others.
    of_call: Sha256,
    /// Blocks of random bytes that have been made.
    blocks: u64,
    block: [u8; BLOCK_BYTES],
    /// Bytes of the block that are given away.
    given: usize,
    passed_ns: u64,
}

impl Replay {
    /// The beginning of the call with this index.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut of_call = Sha256::new();
        of_call.update(b"wasmpool call");
        of_call.update(seed.to_le_bytes());
        of_call.update(index.to_le_bytes());
        Self { seed, of_call, blocks: 0, block: [0; BLOCK_BYTES], given: BLOCK_BYTES, passed_ns: 0 }
    }

    /// The seed that it came from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Fills `out` with the call's next random bytes.
    pub(crate) fn random(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.given == BLOCK_BYTES {
                self.make_block();
            }
            *byte = self.block[self.given];
            self.given += 1;
        }
    }

    fn make_block(&mut self) {
        let mut hash = self.of_call.clone();
        hash.update(self.blocks.to_le_bytes());
        self.block = hash.finalize().into();
        self.blocks += 1;
        self.given = 0;
    }

    /// What a clock shows; both go on by a microsecond with each look at either.
    pub(crate) fn now(&mut self, clock: Clock) -> u64 {
        self.passed_ns = self.passed_ns.saturating_add(STEP_NS);
        match clock {
            Clock::Realtime => REALTIME_START_NS.saturating_add(self.passed_ns),
            Clock::Monotonic => self.passed_ns,
        }
    }

    /// Lets time pass, which takes none.
    pub(crate) fn sleep(&mut self, duration: Duration) {
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.passed_ns = self.passed_ns.saturating_add(duration_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: u64, index: u64, pieces: &[usize]) -> Vec<u8> {
        let mut replay = Replay::new(seed, index);
        let mut all = Vec::new();
        for length in pieces {
            let mut piece = vec![0; *length];
            replay.random(&mut piece);
            all.extend(piece);
        }
        all
    }

    #[test]
    fn random_bytes_are_the_calls_own_however_they_are_asked_for() {
        let whole = bytes(7, 3, &[100]);
        assert_eq!(bytes(7, 3, &[1, 31, 32, 0, 33, 3]), whole);
        for (seed, index) in [(7, 4), (8, 3), (3, 7)] {
            assert_ne!(bytes(seed, index, &[100]), whole);
        }
    }

    #[test]
    fn random_bytes_of_a_seed_never_change_from_version_to_version() {
        assert_eq!(bytes(0, 0, &[8]), FIRST_BYTES);
    }

    /// Of SHA-256 over `wasmpool call` and three zeros of eight bytes, as any other program computes it.
    const FIRST_BYTES: [u8; 8] = [0x1a, 0xde, 0xcd, 0x17, 0x1f, 0x65, 0x40, 0xcd];

    #[test]
    fn clocks_begin_where_they_always_do_and_only_go_on() {
        let mut replay = Replay::new(1, 2);
        assert_eq!(replay.now(Clock::Monotonic), STEP_NS);
        assert_eq!(replay.now(Clock::Realtime), REALTIME_START_NS + 2 * STEP_NS);
        replay.sleep(Duration::from_secs(1));
        assert_eq!(replay.now(Clock::Monotonic), 1_000_000_000 + 3 * STEP_NS);
        replay.sleep(Duration::MAX);
        assert_eq!(replay.now(Clock::Monotonic), u64::MAX);
    }
}

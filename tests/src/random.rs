//! Random numbers that come again when the seed does.

use std::time::{SystemTime, UNIX_EPOCH};

/// Variable that repeats a run.
const SEED_VARIABLE: &str = "WASMPOOL_TEST_SEED";

/// A small generator (SplitMix64, Steele, Lea and Flood 2014). It tells its seed when a test fails.
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A generator with the seed from the environment, or else another one each time.
    pub fn from_environment() -> Self {
        let given = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let seed = given.unwrap_or_else(now);
        Self { seed, state: seed }
    }

    /// How to get the same numbers again.
    #[must_use]
    pub fn how_to_repeat(&self) -> String {
        format!("repeat with {SEED_VARIABLE}={}", self.seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }
}

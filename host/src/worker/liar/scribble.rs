//! What a liar writes for ever, beside whatever else it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::channel::layout::up;
use crate::shm::region::Region;

/// How long a process that outlives its worker goes on.
const AFTERLIFE: Duration = Duration::from_millis(500);

/// Numbers without a pattern (xorshift, Marsaglia 2003), the same ones each time.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Does something over and over, on a thread of its own.
pub(super) fn for_ever(mut act: impl FnMut(&mut Random) + Send + 'static) {
    let mut random = Random::new();
    std::thread::spawn(move || {
        loop {
            act(&mut random);
        }
    });
}

/// Writes a random byte somewhere into the up region: every other time among its words, where it hurts.
pub(super) fn one_byte(region: &Arc<Region>, random: &mut Random) {
    let (place, byte) = (random.next() as usize, random.next());
    let at = if byte & 0x100 == 0 { place % up::RING } else { place % up::BYTES };
    region.word::<std::sync::atomic::AtomicU8>(at).store(byte as u8, Ordering::Relaxed);
}

/// Does something over and over in a process of its own, which is not stopped when this one is, and which goes on for
/// a while when this one is gone.
#[allow(unsafe_code, reason = "forks")]
pub(super) fn in_another_process(mut act: impl FnMut(&mut Random)) {
    // Asked before, for by the time that the child asks its parent may be gone.
    let parent = Some(rustix::process::getpid());
    // SAFETY: the child calls `act`, which does nothing but store to mapped memory, asks for its parent and the time,
    // and ends without running anything that belongs to this process.
    if unsafe { libc::fork() } != 0 {
        return;
    }
    let mut random = Random::new();
    let mut died = None;
    while died.is_none_or(|died: Instant| died.elapsed() < AFTERLIFE) {
        for _ in 0..1000 {
            act(&mut random);
        }
        if died.is_none() && rustix::process::getppid() != parent {
            died = Some(Instant::now());
        }
    }
    // SAFETY: it ends this process at once, whatever state the fork has left its memory in.
    unsafe { libc::_exit(0) }
}

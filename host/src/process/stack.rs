//! Room for deep guests on this process's main stack.
//!
//! Guest code runs on the main thread of its process, and compares its depth with a limit of its own. The kernel grows
//! a main thread's stack as it is used, up to a limit that it looks at each time, and keeps more address space free
//! below it than any guest may have. So raising that limit is all it takes, whatever the host was started with. That
//! is done first thing, before the process knows its guest and gives up the right to do so.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most bytes of stack that any guest may have.
pub(crate) const GUEST_BYTES_MAX: u64 = 16 << 20;

/// Bytes for guests that wait for calls which run above them on the same stack, and for those calls. The kernel keeps at
/// least 128 MiB free below a main thread's stack, whatever its limit.
const NESTED_BYTES: u64 = 72 << 20;

/// Bytes of our own on the stack for each such call.
const LEVEL_BYTES: u64 = 64 << 10;

/// Bytes for host functions, which run above the guest's frames, and for what this process does below them.
const HOST_BYTES: u64 = 4 << 20;

/// How far this process's stack may grow.
static ROOM_BYTES: OnceLock<u64> = OnceLock::new();

/// Has this process's main stack grow as far as any guest needs, or as the system allows.
pub(crate) fn make_room() {
    let Rlimit { current, maximum } = getrlimit(Resource::Stack);
    let room = wanted(current, maximum);
    let limit = Rlimit { current: room, maximum };
    let is_set = room == current || setrlimit(Resource::Stack, limit).is_ok();
    let room = if is_set { room } else { current };
    // Nothing is asked of it before this, and it is done once.
    let _ = ROOM_BYTES.set(room.unwrap_or(u64::MAX));
}

/// The limit to ask for; none is no limit.
fn wanted(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let enough = (NESTED_BYTES + HOST_BYTES).min(maximum.unwrap_or(u64::MAX));
    current.map(|current| current.max(enough))
}

/// Whether guest code may use so many bytes of this process's main stack.
///
/// # Errors
///
/// When somebody has set a limit that only they can raise.
pub(crate) fn check_room(guest_bytes: u64) -> io::Result<()> {
    let room = ROOM_BYTES.get().copied().unwrap_or(0);
    let needed = guest_bytes.saturating_add(HOST_BYTES);
    if needed <= room {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "a stack of {needed} bytes is needed and the system allows {room}: raise its limit (ulimit -Hs) or lower \
         max_stack"
    )))
}

/// How many calls this process's main stack has room for on top of a waiting one, of guests with so much stack each.
pub(crate) fn nested_levels(guest_bytes: u64) -> u32 {
    levels(ROOM_BYTES.get().copied().unwrap_or(0), guest_bytes)
}

/// The same where the system allows as much stack as is asked for.
pub(crate) fn nested_levels_expected(guest_bytes: u64) -> u32 {
    levels(NESTED_BYTES + HOST_BYTES, guest_bytes)
}

fn levels(room: u64, guest_bytes: u64) -> u32 {
    let room = room.min(NESTED_BYTES + HOST_BYTES).saturating_sub(HOST_BYTES);
    // The lowest of the guests is no level of nesting.
    (room / guest_bytes.saturating_add(LEVEL_BYTES)).saturating_sub(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_levels_as_fit() {
        let mib = 1 << 20;
        assert_eq!(levels(u64::MAX, mib), 66);
        assert_eq!(levels(8 * mib, mib), 2);
        assert_eq!(levels(0, mib), 0);
        assert_eq!(levels(u64::MAX, u64::MAX), 0);
        assert_eq!(nested_levels_expected(16 * mib), 3);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be_and_never_lowered() {
        let enough = NESTED_BYTES + HOST_BYTES;
        assert_eq!(wanted(None, None), None);
        assert_eq!(wanted(Some(8 << 20), None), Some(enough));
        assert_eq!(wanted(Some(8 << 20), Some(10 << 20)), Some(10 << 20));
        assert_eq!(wanted(Some(90 << 20), Some(90 << 20)), Some(90 << 20));
    }

    #[test]
    fn who_made_no_room_has_none() {
        let refused = check_room(1 << 20).expect_err("refused");
        assert!(refused.to_string().contains("lower max_stack"), "{refused}");
    }
}

//! Room for deep guests on this thread's own stack.
//!
//! Guest code runs on the main thread of its process, and compares its depth with a limit of its own. The kernel grows
//! a main thread's stack as it is used, up to a limit that it looks at each time, and keeps more address space free
//! below it than any guest may have. So raising that limit is all it takes, whatever the host was started with.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes for host functions, which run above the guest's frames, and for what this process does below them.
const HOST_BYTES: u64 = 8 << 20;

/// Makes sure that guest code may use so many bytes of this process's main stack.
///
/// # Errors
///
/// When somebody has set a limit that only they can raise.
pub(crate) fn make_room(guest_bytes: u64) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Stack);
    let Some(wanted) = missing(current, guest_bytes) else { return Ok(()) };
    setrlimit(Resource::Stack, Rlimit { current: Some(wanted), maximum }).map_err(|_| {
        let most = maximum.unwrap_or(u64::MAX);
        io::Error::other(format!(
            "a stack of {wanted} bytes is needed and the system allows {most}: raise its limit (ulimit -Hs) or lower \
             max_stack"
        ))
    })
}

/// The limit to be asked for, when the `current` one is too low; none is no limit.
fn missing(current: Option<u64>, guest_bytes: u64) -> Option<u64> {
    let wanted = guest_bytes.saturating_add(HOST_BYTES);
    current.filter(|current| *current < wanted).map(|_| wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_only_where_it_is_too_low() {
        assert_eq!(missing(None, 1 << 30), None);
        assert_eq!(missing(Some(8 << 20), 1 << 20), Some(9 << 20));
        assert_eq!(missing(Some(24 << 20), 16 << 20), None);
        assert_eq!(missing(Some(0), u64::MAX), Some(u64::MAX));
    }
}

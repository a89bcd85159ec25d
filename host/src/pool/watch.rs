//! How long the running call has been running, and whether it should go on.
//!
//! Deadlines cost nothing in guest code: the supervisor looks at the worker's progress word from time to time. The
//! same word twice is the same call. What it decides from that is a pure function of what it saw and when.

use std::time::{Duration, Instant};

/// Which call a worker says is running: generation of its chunk, and its number in it.
pub(crate) type Running = (u32, u32);

/// How long a call that nobody wants any more may go on before it is stopped.
const UNWANTED_TIME_MAX: Duration = Duration::from_millis(10);

/// Why a call is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has had its time.
    TimedOut,
    /// Its job is over, or its index lies above a failure that ends the job.
    Unwanted,
}

/// What is known of the call that runs.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: Option<(Running, Instant)>,
}

impl Watch {
    /// Notes what the progress word says now; returns the call that runs and how long it has been seen to.
    pub(crate) fn look(&mut self, progress: Option<Running>, now: Instant) -> Option<(Running, Duration)> {
        let Some(running) = progress else {
            self.seen = None;
            return None;
        };
        match self.seen {
            Some((same, since)) if same == running => Some((running, now - since)),
            _ => {
                self.seen = Some((running, now));
                Some((running, Duration::ZERO))
            }
        }
    }

    /// Starts the running call's time again: it stood still through no fault of its own.
    pub(crate) fn forgive(&mut self, now: Instant) {
        if let Some((_, since)) = &mut self.seen {
            *since = now;
        }
    }
}

/// Whether a call that has run for `ran` is to be stopped.
pub(crate) fn judge(ran: Duration, time_max: Option<Duration>, is_wanted: bool) -> Option<Reason> {
    if !is_wanted && ran >= UNWANTED_TIME_MAX {
        return Some(Reason::Unwanted);
    }
    time_max.is_some_and(|most| ran >= most).then_some(Reason::TimedOut)
}

/// How often to look at a call with this limit.
pub(crate) fn interval(time_max: Option<Duration>) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(5);
    time_max.map_or(LONGEST, |most| (most / 8).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_word_is_the_same_call() {
        let mut watch = Watch::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(watch.look(Some((1, 0)), at(0)), Some(((1, 0), Duration::ZERO)));
        assert_eq!(watch.look(Some((1, 0)), at(5)), Some(((1, 0), Duration::from_millis(5))));
        assert_eq!(watch.look(Some((1, 1)), at(6)), Some(((1, 1), Duration::ZERO)));
        assert_eq!(watch.look(None, at(7)), None);
        assert_eq!(watch.look(Some((1, 1)), at(8)), Some(((1, 1), Duration::ZERO)));
        watch.forgive(at(10));
        assert_eq!(watch.look(Some((1, 1)), at(11)), Some(((1, 1), Duration::from_millis(1))));
    }

    #[test]
    fn calls_are_stopped_at_their_limit_or_when_nobody_wants_them() {
        let second = Duration::from_secs(1);
        assert_eq!(judge(second, Some(second), true), Some(Reason::TimedOut));
        assert_eq!(judge(second / 2, Some(second), true), None);
        assert_eq!(judge(second * 1000, None, true), None);
        assert_eq!(judge(second, None, false), Some(Reason::Unwanted));
        assert_eq!(judge(Duration::ZERO, Some(second), false), None);
    }

    #[test]
    fn short_limits_are_watched_closely() {
        assert_eq!(interval(Some(Duration::from_millis(4))), Duration::from_millis(1));
        assert_eq!(interval(Some(Duration::from_millis(24))), Duration::from_millis(3));
        assert_eq!(interval(None), Duration::from_millis(5));
    }
}

//! How long a worker has been where it is, and whether it should go on.
//!
//! Deadlines cost nothing in guest code: the supervisor looks from time to time how far the worker is. The same place
//! twice is the same call. What it decides from that is a pure function of what it saw and when.

use std::time::{Duration, Instant};

/// How far a worker is: the order it works on, and the first call of it that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the order.
    pub(crate) generation: u32,
    /// Number of the call in its chunk.
    pub(crate) call: u32,
}

/// How long a call that nobody wants any more may go on before it is stopped.
const UNWANTED_TIME_MAX: Duration = Duration::from_millis(10);

/// How long a worker is at one call before those behind it are taken away from it.
const STUCK_TIME: Duration = Duration::from_millis(4);

/// How much longer than a call a worker may take that has work and names no call.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How long a worker may take to end a chunk whose calls are all back, whatever their limit.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// Why a worker is to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The call has had its time.
    TimedOut,
    /// The call sleeps, and no worker can be found for those it waits for.
    Starved,
    /// The call's job is over, or its index lies above a failure that ends the job.
    Unwanted,
}

/// What is known of where a worker is.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: Option<(Place, Instant)>,
    /// It was stopped there and let go on, because it had moved.
    is_pardoned: bool,
}

impl Watch {
    /// Notes where the worker is now; returns how long it has been seen there.
    ///
    /// Only going forward counts: a worker that names earlier calls again is where it was.
    pub(crate) fn look(&mut self, place: Place, now: Instant) -> Duration {
        match self.seen {
            Some((before, since)) if before >= place => now.saturating_duration_since(since),
            _ => {
                *self = Self { seen: Some((place, now)), is_pardoned: false };
                Duration::ZERO
            }
        }
    }

    /// Since when the call that was seen last has run.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.seen.map(|(_, since)| since)
    }

    /// Notes that a call goes on at this place which began to run at that time.
    pub(crate) fn begin(&mut self, place: Place, since: Instant) {
        *self = Self { seen: Some((place, since)), is_pardoned: false };
    }

    /// Whether the worker has been where it was seen last for so long that calls behind it are better off elsewhere,
    /// however little work they are.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        self.seen.is_some_and(|(_, since)| now.saturating_duration_since(since) >= STUCK_TIME)
    }

    /// How much of its time the call that was seen last has left.
    pub(crate) fn left(&self, time_max: Option<Duration>, now: Instant) -> Option<Duration> {
        let (_, since) = self.seen?;
        Some(time_max?.saturating_sub(now.saturating_duration_since(since)))
    }

    /// Notes that the worker has nothing to do.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// Whether a worker may go on that had moved when it was stopped: once for each place that it gets to.
    ///
    /// One that has moved indeed is seen further on at the next look. One that is where it was had its words changed,
    /// by a process of its making that was not stopped with it.
    pub(crate) fn pardon(&mut self) -> bool {
        !std::mem::replace(&mut self.is_pardoned, true)
    }

    /// Gives time back during which the supervisor itself may have held the worker up.
    pub(crate) fn forgive(&mut self, time: Duration) {
        if let Some((_, since)) = &mut self.seen {
            *since += time;
        }
    }
}

/// Whether a worker that has been at a call for `ran` is to be stopped.
pub(crate) fn judge(
    ran: Duration,
    time_max: Option<Duration>,
    is_wanted: bool,
    is_running: bool,
) -> Option<Reason> {
    if !is_wanted && is_running && ran >= UNWANTED_TIME_MAX {
        return Some(Reason::Unwanted);
    }
    let slack = if is_running { Duration::ZERO } else { SILENCE_MAX };
    time_max.is_some_and(|most| ran >= most.saturating_add(slack)).then_some(Reason::TimedOut)
}

/// How long a worker may take to end a chunk whose calls, which have this limit, are all back.
///
/// Ending it takes microseconds. A module that keeps its worker instead keeps it from everybody, and no call is left
/// that could run out of time.
pub(crate) fn ending_max(time_max: Option<Duration>) -> Duration {
    time_max.map_or(ENDING_MAX, |most| most.saturating_add(SILENCE_MAX).min(ENDING_MAX))
}

/// How often to look at a call with this limit.
pub(crate) fn interval(time_max: Option<Duration>) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(5);
    time_max.map_or(LONGEST, |most| (most / 8).clamp(SHORTEST, LONGEST))
}

/// How often to look at a call that has slept for `slept`, and tells when it is over, with so much of its time left.
///
/// Seldom: a look takes an idle machine milliseconds, for everything about it has gone cold.
pub(crate) fn interval_asleep(slept: Duration, left: Option<Duration>) -> Duration {
    const LONGEST: Duration = Duration::from_millis(250);
    let patience = (slept / 8).min(LONGEST);
    left.map_or(patience, |left| left.min(patience)).max(interval(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(generation: u32, call: u32) -> Place {
        Place { generation, call }
    }

    #[test]
    fn only_going_forward_starts_the_time_again() {
        let ms = Duration::from_millis;
        let mut watch = Watch::default();
        let start = Instant::now();
        assert_eq!(watch.look(at(1, 0), start), ms(0));
        assert_eq!(watch.look(at(1, 0), start + ms(5)), ms(5));
        assert_eq!(watch.look(at(1, 3), start + ms(6)), ms(0));
        assert_eq!(watch.look(at(1, 2), start + ms(7)), ms(1));
        assert_eq!(watch.look(at(2, 0), start + ms(8)), ms(0));
        watch.forgive(ms(2));
        assert_eq!(watch.look(at(2, 0), start + ms(11)), ms(1));
        watch.rest();
        assert_eq!(watch.look(at(2, 0), start + ms(20)), ms(0));
    }

    #[test]
    fn a_worker_is_stuck_that_stays_where_it_is() {
        let mut watch = Watch::default();
        let start = Instant::now();
        assert!(!watch.is_stuck(start + STUCK_TIME));
        watch.look(at(1, 0), start);
        assert!(!watch.is_stuck(start + STUCK_TIME / 2));
        assert!(watch.is_stuck(start + STUCK_TIME));
        watch.look(at(1, 1), start + STUCK_TIME);
        assert!(!watch.is_stuck(start + STUCK_TIME));
    }

    #[test]
    fn a_worker_is_let_go_on_once_for_each_place() {
        let mut watch = Watch::default();
        let now = Instant::now();
        watch.look(at(1, 3), now);
        assert!(watch.pardon());
        watch.look(at(1, 2), now);
        assert!(!watch.pardon());
        watch.look(at(1, 4), now);
        assert!(watch.pardon());
    }

    #[test]
    fn calls_are_stopped_at_their_limit_or_when_nobody_wants_them() {
        let second = Duration::from_secs(1);
        assert_eq!(judge(second, Some(second), true, true), Some(Reason::TimedOut));
        assert_eq!(judge(second / 2, Some(second), true, true), None);
        assert_eq!(judge(second * 1000, None, true, true), None);
        assert_eq!(judge(second / 2, Some(second), false, true), Some(Reason::Unwanted));
        assert_eq!(judge(Duration::ZERO, Some(second), false, true), None);
    }

    #[test]
    fn a_worker_that_names_no_call_has_a_little_longer() {
        let second = Duration::from_secs(1);
        assert_eq!(judge(second, Some(second), true, false), None);
        assert_eq!(judge(2 * second, Some(second), true, false), Some(Reason::TimedOut));
        assert_eq!(judge(second, Some(2 * second), false, false), None);
    }

    #[test]
    fn a_worker_is_given_back_not_much_later_than_a_call_would_be_stopped() {
        let second = Duration::from_secs(1);
        assert_eq!(ending_max(None), 10 * second);
        assert_eq!(ending_max(Some(Duration::MAX)), 10 * second);
        assert_eq!(ending_max(Some(second)), 2 * second);
    }

    #[test]
    fn short_limits_are_watched_closely() {
        assert_eq!(interval(Some(Duration::from_millis(4))), Duration::from_millis(1));
        assert_eq!(interval(Some(Duration::from_millis(24))), Duration::from_millis(3));
        assert_eq!(interval(None), Duration::from_millis(5));
    }

    #[test]
    fn who_sleeps_is_looked_at_seldom_but_when_his_time_is_over() {
        let ms = Duration::from_millis;
        assert_eq!(interval_asleep(ms(1), None), ms(5));
        assert_eq!(interval_asleep(ms(800), None), ms(100));
        assert_eq!(interval_asleep(ms(9000), Some(ms(300_000))), ms(250));
        assert_eq!(interval_asleep(ms(9000), Some(ms(20))), ms(20));
        assert_eq!(interval_asleep(ms(9000), Some(ms(0))), ms(1));
        let start = Instant::now();
        let mut watch = Watch::default();
        assert_eq!(watch.left(Some(ms(10)), start), None);
        watch.look(at(1, 0), start);
        assert_eq!(watch.left(Some(ms(10)), start + ms(4)), Some(ms(6)));
        assert_eq!(watch.left(Some(ms(10)), start + ms(40)), Some(ms(0)));
        assert_eq!(watch.left(None, start), None);
    }
}

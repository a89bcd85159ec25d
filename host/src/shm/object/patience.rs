//! How long a wait goes on, who is told that it does, and the one loop that all waits are.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wasmpool_abi::shared::Refusal;

use super::Outcome;
use super::ground::{ObjectBell, current_cpu};

/// Pauses of one who wants a held mutex, before it sleeps: the usual hold is over in less.
pub(super) const MUTEX_SPINS: u32 = 200;

/// Most pauses between two looks, for an object's own mutex, whose holder is out again in a few instructions.
pub(super) const MUTEX_PAUSE_MAX: u32 = 4;

/// The same for a lock that guests hold.
pub(super) const LOCK_PAUSE_MAX: u32 = 16;

/// Longest spin before a sleep.
const SPIN_MAX: Duration = Duration::from_micros(50);

/// Longest sleep without a look around; wake-ups do not depend on it.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Longest sleep of somebody who may not write to the object, and so cannot be woken.
const BLIND_SLEEP_MAX: Duration = Duration::from_micros(200);

/// Who wants to know that a wait goes to sleep, and may end it.
pub(crate) trait Notice {
    /// The wait is about to sleep.
    ///
    /// # Errors
    ///
    /// When it shall end instead, and why.
    fn sleeps(&self) -> Outcome<()>;

    /// The wait is over, however it ended. Comes only after [`Self::sleeps`].
    fn wakes(&self);
}

/// Nobody wants to know.
pub(crate) struct Unnoticed;

impl Notice for Unnoticed {
    fn sleeps(&self) -> Outcome<()> {
        Ok(())
    }

    fn wakes(&self) {}
}

/// How long somebody waits.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    until: Until,
    notice: &'a dyn Notice,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Now,
    Then(Instant),
    Ever,
}

impl<'a> Patience<'a> {
    /// Does not wait.
    pub(crate) const NONE: Patience<'static> = Patience { until: Until::Now, notice: &Unnoticed };

    /// Waits at most `limit` from now; for ever without one.
    pub(crate) fn new(limit: Option<Duration>, notice: &'a dyn Notice) -> Self {
        let until = match limit {
            Some(Duration::ZERO) => Until::Now,
            // A limit beyond the clock's range is none.
            Some(limit) => Instant::now().checked_add(limit).map_or(Until::Ever, Until::Then),
            None => Until::Ever,
        };
        Self { until, notice }
    }

    /// Whether it does not wait at all.
    pub(crate) fn is_none(&self) -> bool {
        self.until == Until::Now
    }

    /// Whether it waits for ever.
    pub(super) fn is_endless(&self) -> bool {
        self.until == Until::Ever
    }

    /// The same one waiting for as long as it takes.
    pub(super) fn without_limit(&self) -> Self {
        Self { until: Until::Ever, ..*self }
    }

    /// What is left, at most `most`; nothing when the time is over.
    pub(super) fn rest(&self, most: Duration) -> Option<Duration> {
        match self.until {
            Until::Now => None,
            Until::Then(then) => {
                let rest = then.saturating_duration_since(Instant::now());
                (!rest.is_zero()).then(|| rest.min(most))
            }
            Until::Ever => Some(most),
        }
    }

    /// Says that the wait sleeps; the answer says that it is over when it is dropped.
    pub(super) fn sleeps(&self) -> Outcome<Asleep<'a>> {
        self.notice.sleeps()?;
        Ok(Asleep { notice: self.notice })
    }

    /// Looks until there is something, sleeping on `bell` in between.
    ///
    /// `look` answers nothing for "not yet". It is called at least once, and again after every sleep.
    ///
    /// # Errors
    ///
    /// [`Refusal::TimedOut`] when the time is over, and what `look` and the notice say.
    pub(crate) fn wait_for<T>(
        &self,
        bell: ObjectBell<'_>,
        mut look: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<T> {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if self.is_none() {
            return Err(Refusal::TimedOut);
        }
        if let Some(found) = spin(bell, &mut look)? {
            return Ok(found);
        }
        let mut asleep = None;
        loop {
            let announced = bell.is_writable.then(|| bell.bell.announce());
            if let Some(found) = look()? {
                return Ok(found);
            }
            let most = if bell.is_writable { SLEEP_MAX } else { BLIND_SLEEP_MAX };
            let rest = self.rest(most).ok_or(Refusal::TimedOut)?;
            if asleep.is_none() {
                asleep = Some(self.sleeps()?);
            }
            match announced {
                Some(announced) => bell.bell.sleep(announced, rest),
                None => std::thread::sleep(rest),
            }
        }
    }
}

/// A wait that has gone to sleep at least once.
pub(super) struct Asleep<'a> {
    notice: &'a dyn Notice,
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.notice.wakes();
    }
}

/// Looks without sleeping, as long as the one who rang last sits on another core.
fn spin<T>(bell: ObjectBell<'_>, look: &mut impl FnMut() -> Outcome<Option<T>>) -> Outcome<Option<T>> {
    // Relaxed: a hint; it is wrong for an instant after either side moved.
    let rung_on = bell.cpu.load(Ordering::Relaxed);
    if rung_on == 0 || rung_on == current_cpu() {
        return Ok(None);
    }
    let started = Instant::now();
    while started.elapsed() < SPIN_MAX {
        for _ in 0..32 {
            std::hint::spin_loop();
        }
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

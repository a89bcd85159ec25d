//! Patience without a clock: a wait lasts as long as it takes, or for one sleep that may end at any moment.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::Outcome;
use super::crash::crash_point;
use super::ground::ObjectBell;

pub(in crate::shm::object::model) const MUTEX_SPINS: u32 = 0;
pub(in crate::shm::object::model) const MUTEX_PAUSE_MAX: u32 = 1;
pub(in crate::shm::object::model) const LOCK_PAUSE_MAX: u32 = 1;

/// Nobody is told of waits.
pub(in crate::shm::object::model) struct Unnoticed;

#[derive(Clone)]
pub(in crate::shm::object::model) struct Patience<'a> {
    until: Until,
    _notice: std::marker::PhantomData<&'a ()>,
}

#[derive(Clone)]
enum Until {
    Now,
    /// After so many more sleeps.
    Sleeps(Rc<Cell<u32>>),
    Ever,
}

impl<'a> Patience<'a> {
    pub(in crate::shm::object::model) const NONE: Patience<'static> = Patience::with(Until::Now);

    const fn with(until: Until) -> Self {
        Self { until, _notice: std::marker::PhantomData }
    }

    /// Endless whatever the limit, so that who waits too long for somebody inside an object is found.
    pub(in crate::shm::object::model) fn new(_limit: Option<Duration>, _notice: &'a Unnoticed) -> Self {
        Self::endless()
    }

    /// Sleeps as often as it takes.
    pub(in crate::shm::object::model) fn endless() -> Self {
        Self::with(Until::Ever)
    }

    /// Gives up after one sleep.
    pub(in crate::shm::object::model) fn short() -> Self {
        Self::with(Until::Sleeps(Rc::new(Cell::new(1))))
    }

    pub(in crate::shm::object::model) fn is_none(&self) -> bool {
        matches!(self.until, Until::Now)
    }

    pub(in crate::shm::object::model) fn is_endless(&self) -> bool {
        matches!(self.until, Until::Ever)
    }

    pub(in crate::shm::object::model) fn without_limit(&self) -> Self {
        Self::endless()
    }

    pub(in crate::shm::object::model) fn rest(&self, _most: Duration) -> Option<Duration> {
        match &self.until {
            Until::Now => None,
            Until::Ever => Some(Duration::MAX),
            Until::Sleeps(left) => {
                left.set(left.get().checked_sub(1)?);
                Some(Duration::ZERO)
            }
        }
    }

    pub(in crate::shm::object::model) fn sleeps(&self) -> Outcome<()> {
        Ok(())
    }

    /// The loop of the real one, without the spinning.
    pub(in crate::shm::object::model) fn wait_for<T>(
        &self,
        bell: ObjectBell<'_>,
        mut look: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<T> {
        loop {
            let announced = bell.bell.announce();
            crash_point!("patience: announced, not asleep");
            if let Some(found) = look()? {
                return Ok(found);
            }
            let rest = self.rest(Duration::MAX).ok_or(Refusal::TimedOut)?;
            bell.bell.sleep(announced, rest);
            crash_point!("patience: woken, nothing looked at");
        }
    }
}

//! When a worker changes its module.
//!
//! A worker's rights are fixed when it is born and belong to one module, so changing means ending one process and
//! starting another, which costs milliseconds. Modules that have work and no worker must still get one in time.

use std::time::Duration;

/// How long a worker serves one module before another one's need counts for more than the cost of changing.
pub(crate) const TENURE: Duration = Duration::from_millis(50);

/// A module as a feeder sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Calls that nobody has taken, about.
    pub(crate) backlog: u64,
    /// Workers that serve it now, or are about to.
    pub(crate) workers: usize,
    /// When a worker last began to serve it; smaller is longer ago.
    pub(crate) last_seated: u64,
}

impl Demand {
    /// More calls wait than it has workers, so that another one would help.
    fn is_short_of_workers(self) -> bool {
        self.backlog > self.workers as u64
    }
}

/// Which of the other modules a feeder should turn to, if any.
///
/// `own` is the module it serves, if it serves one, and for how long it has.
pub(crate) fn change(own: Option<(Demand, Duration)>, others: &[Demand]) -> Option<usize> {
    let needy = others.iter().enumerate().filter(|(_, other)| other.is_short_of_workers());
    let (index, other) = needy.min_by_key(|(_, other)| (other.workers, other.last_seated))?;
    let should = match own {
        None => true,
        Some((own, _)) if own.backlog == 0 => true,
        // Both have work: nobody is left without a worker while another has several, or while one can take turns.
        Some((own, served)) => other.workers == 0 && (own.workers > 1 || served >= TENURE),
    };
    should.then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: fn(usize) -> Demand = |workers| Demand { backlog: 100, workers, last_seated: 0 };
    const IDLE: fn(usize) -> Demand = |workers| Demand { backlog: 0, workers, last_seated: 0 };

    #[test]
    fn a_worker_without_work_goes_where_work_is() {
        assert_eq!(change(None, &[IDLE(0), BUSY(3)]), Some(1));
        assert_eq!(change(Some((IDLE(1), Duration::ZERO)), &[BUSY(2), BUSY(1)]), Some(1));
    }

    #[test]
    fn nobody_moves_without_need() {
        assert_eq!(change(None, &[IDLE(0)]), None);
        assert_eq!(change(Some((IDLE(1), TENURE)), &[IDLE(0)]), None);
        assert_eq!(change(Some((BUSY(1), TENURE)), &[BUSY(1)]), None);
        let served = Demand { backlog: 2, workers: 2, last_seated: 0 };
        assert_eq!(change(Some((IDLE(1), TENURE)), &[served]), None);
    }

    #[test]
    fn of_two_in_need_the_one_that_has_waited_longer_goes_first() {
        let at = |last_seated| Demand { last_seated, ..BUSY(0) };
        assert_eq!(change(Some((BUSY(1), TENURE)), &[at(7), at(3)]), Some(1));
    }

    #[test]
    fn a_module_without_a_worker_gets_one_at_once_or_in_turn() {
        assert_eq!(change(Some((BUSY(2), Duration::ZERO)), &[BUSY(0)]), Some(0));
        assert_eq!(change(Some((BUSY(1), Duration::ZERO)), &[BUSY(0)]), None);
        assert_eq!(change(Some((BUSY(1), TENURE)), &[BUSY(0)]), Some(0));
    }
}

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
    /// It has calls that nobody has taken.
    pub(crate) has_work: bool,
    /// Workers that serve it now.
    pub(crate) workers: usize,
}

/// Which of the other modules a feeder should turn to, if any.
///
/// `own` is the module it serves, if it serves one, and for how long it has.
pub(crate) fn change(own: Option<(Demand, Duration)>, others: &[Demand]) -> Option<usize> {
    let neediest = others.iter().enumerate().filter(|(_, other)| other.has_work);
    let (index, other) = neediest.min_by_key(|(_, other)| other.workers)?;
    let should = match own {
        None => true,
        Some((own, _)) if !own.has_work => true,
        // Both have work: nobody is left without a worker while another has several, or while one can take turns.
        Some((own, served)) => other.workers == 0 && (own.workers > 1 || served >= TENURE),
    };
    should.then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: fn(usize) -> Demand = |workers| Demand { has_work: true, workers };
    const IDLE: fn(usize) -> Demand = |workers| Demand { has_work: false, workers };

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
    }

    #[test]
    fn a_module_without_a_worker_gets_one_at_once_or_in_turn() {
        assert_eq!(change(Some((BUSY(2), Duration::ZERO)), &[BUSY(0)]), Some(0));
        assert_eq!(change(Some((BUSY(1), Duration::ZERO)), &[BUSY(0)]), None);
        assert_eq!(change(Some((BUSY(1), TENURE)), &[BUSY(0)]), Some(0));
    }
}

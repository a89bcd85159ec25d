//! When a worker changes its module.
//!
//! A worker's rights are fixed when it is born and belong to one module, so changing means ending one process and
//! starting another, which costs milliseconds. Modules that have work and no worker must still get one in time.

use std::cmp::{Ordering, Reverse};
use std::time::Duration;

/// How long a worker serves one module before another one's need counts for more than the cost of changing.
pub(crate) const TENURE: Duration = Duration::from_millis(50);

/// How long a worker serves more urgent calls before it turns to less urgent ones that nobody serves.
const PATIENCE: Duration = Duration::from_secs(1);

/// A module as a feeder sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Calls that nobody has taken, about.
    pub(crate) backlog: u64,
    /// Workers that serve it now, or are about to.
    pub(crate) workers: usize,
    /// How urgent the most urgent of its waiting calls is; larger is more.
    pub(crate) class: usize,
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
    let worthy = needy.filter(|(_, other)| match own {
        None => true,
        Some((own, _)) if own.backlog == 0 => true,
        Some((own, served)) => should_yield(own, served, **other),
    });
    let most_in_need = |other: &Demand| (Reverse(other.class), other.workers, other.last_seated);
    worthy.min_by_key(|(_, other)| most_in_need(other)).map(|(index, _)| index)
}

/// Whether a worker should turn from a module with work to another one.
fn should_yield(own: Demand, served: Duration, other: Demand) -> bool {
    let is_unserved = other.workers == 0;
    match other.class.cmp(&own.class) {
        Ordering::Greater => own.workers > 1 || served >= TENURE,
        // Nobody is left without a worker while another has several, or while one can take turns.
        Ordering::Equal => is_unserved && (own.workers > 1 || served >= TENURE),
        Ordering::Less => is_unserved && served >= PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: fn(usize) -> Demand = |workers| Demand { backlog: 100, workers, class: 1, last_seated: 0 };
    const IDLE: fn(usize) -> Demand = |workers| Demand { backlog: 0, workers, class: 1, last_seated: 0 };

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
        let served = Demand { backlog: 2, workers: 2, class: 1, last_seated: 0 };
        assert_eq!(change(Some((IDLE(1), TENURE)), &[served]), None);
    }

    #[test]
    fn of_two_in_need_the_one_that_has_waited_longer_goes_first() {
        let at = |last_seated| Demand { last_seated, ..BUSY(0) };
        assert_eq!(change(Some((BUSY(1), TENURE)), &[at(7), at(3)]), Some(1));
    }

    #[test]
    fn urgent_calls_get_workers_of_others_and_keep_them_for_a_while() {
        let urgent = |workers| Demand { class: 2, ..BUSY(workers) };
        assert_eq!(change(Some((BUSY(1), TENURE)), &[urgent(1)]), Some(0));
        assert_eq!(
            change(Some((BUSY(1), Duration::ZERO)), &[urgent(0)]),
            None,
            "changing is not for nothing"
        );
        assert_eq!(change(Some((BUSY(2), Duration::ZERO)), &[urgent(0)]), Some(0));
        assert_eq!(change(Some((urgent(2), TENURE)), &[BUSY(0)]), None);
        assert_eq!(change(Some((urgent(2), PATIENCE)), &[BUSY(0)]), Some(0));
        assert_eq!(change(Some((urgent(2), PATIENCE)), &[BUSY(1)]), None);
        assert_eq!(change(None, &[BUSY(0), urgent(1)]), Some(1));
        assert_eq!(change(Some((urgent(2), PATIENCE)), &[urgent(1), BUSY(0)]), Some(1), "nobody starves");
    }

    #[test]
    fn a_module_without_a_worker_gets_one_at_once_or_in_turn() {
        assert_eq!(change(Some((BUSY(2), Duration::ZERO)), &[BUSY(0)]), Some(0));
        assert_eq!(change(Some((BUSY(1), Duration::ZERO)), &[BUSY(0)]), None);
        assert_eq!(change(Some((BUSY(1), TENURE)), &[BUSY(0)]), Some(0));
    }
}

//! How long a list of tasks takes when nobody guesses: the ideal that a pool's balancing is held against.

/// Time until the last task has ended, when each worker that is idle takes the next task of the list, one at a time and
/// in the list's order, and that costs nothing (list scheduling, Graham 1966).
pub(crate) fn greedy(costs: impl IntoIterator<Item = f64>, workers: usize) -> f64 {
    let mut ends = vec![0.0_f64; workers];
    for cost in costs {
        if let Some(earliest) = ends.iter_mut().min_by(|one, other| one.total_cmp(other)) {
            *earliest += cost;
        }
    }
    ends.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_takes_the_sum() {
        assert_eq!(greedy([3.0, 1.0, 2.0], 1), 6.0);
    }

    #[test]
    fn even_tasks_are_shared_evenly() {
        assert_eq!(greedy([1.0; 1000], 2), 500.0);
        assert_eq!(greedy([1.0; 7], 3), 3.0);
    }

    #[test]
    fn a_long_task_is_hidden_first_and_sticks_out_last() {
        let others = [1.0; 10];
        assert_eq!(greedy([10.0].into_iter().chain(others), 2), 10.0);
        assert_eq!(greedy(others.into_iter().chain([10.0]), 2), 15.0);
    }

    #[test]
    fn the_list_s_order_is_kept() {
        assert_eq!(greedy([2.0, 3.0, 4.0], 2), 6.0);
        assert_eq!(greedy([4.0, 3.0, 2.0], 2), 5.0);
    }

    #[test]
    fn no_task_takes_no_time() {
        assert_eq!(greedy([], 2), 0.0);
    }
}

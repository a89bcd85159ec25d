//! How short tasks may be: the shortest one at which a pool still gets so much of the machine to work on tasks.
//!
//! Task Bench (Slaughter et al., SC20) calls it the minimum effective task granularity, METG.

/// Tasks of one length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// How long a task keeps a core busy, in seconds.
    pub(crate) task: f64,
    /// How long a core was kept per task, waiting included.
    pub(crate) cost: f64,
}

/// The shortest effective task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Grain {
    /// In seconds.
    Of(f64),
    /// Even the shortest task of all was long enough.
    Finer,
    /// Even the longest task of all was too short.
    Coarser,
}

/// The shortest task from which on at least this share of a core's time goes into tasks.
///
/// Between two measured lengths the share is taken to grow in proportion to the length's logarithm. Where noise lets
/// the share cross the line more than once, the last time counts.
pub(crate) fn grain(points: &[Point], share: f64) -> Grain {
    let mut points = points.to_vec();
    points.sort_by(|one, other| one.task.total_cmp(&other.task));
    let reached = |point: &Point| point.task / point.cost;
    let Some(below) = points.iter().rposition(|point| reached(point) < share) else { return Grain::Finer };
    let Some(above) = points.get(below + 1) else { return Grain::Coarser };
    let below = &points[below];
    let way = (share - reached(below)) / (reached(above) - reached(below));
    Grain::Of((below.task.ln() + way * (above.task.ln() - below.task.ln())).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(task: f64, share: f64) -> Point {
        Point { task, cost: task / share }
    }

    /// Every task costs a core this much besides itself.
    fn with_overhead(overhead: f64) -> Vec<Point> {
        (0..24)
            .map(|power| f64::from(1 << power) * 1e-9)
            .map(|task| Point { task, cost: task + overhead })
            .collect()
    }

    fn is_near(found: Grain, expected: f64) -> bool {
        matches!(found, Grain::Of(found) if (found / expected - 1.0).abs() < 0.03)
    }

    #[test]
    fn a_task_as_long_as_its_overhead_takes_half_of_the_core() {
        for overhead in [3e-9, 64e-9, 100e-9, 5e-6] {
            let found = grain(&with_overhead(overhead), 0.5);
            assert!(is_near(found, overhead), "{found:?} for {overhead}");
        }
    }

    #[test]
    fn between_two_lengths_the_logarithm_counts() {
        let found = grain(&[point(1.0, 0.25), point(100.0, 0.75)], 0.5);
        assert!(is_near(found, 10.0), "{found:?}");
    }

    #[test]
    fn a_length_that_reaches_the_share_exactly_is_it() {
        let found = grain(&[point(1.0, 0.2), point(2.0, 0.5), point(4.0, 0.8)], 0.5);
        assert!(is_near(found, 2.0), "{found:?}");
    }

    #[test]
    fn noise_is_held_against_the_pool() {
        let found = grain(&[point(1.0, 0.1), point(2.0, 0.6), point(4.0, 0.4), point(16.0, 0.6)], 0.5);
        assert!(is_near(found, 8.0), "{found:?}");
    }

    #[test]
    fn nothing_is_made_up_beyond_what_was_measured() {
        assert_eq!(grain(&[point(1.0, 0.6), point(2.0, 0.9)], 0.5), Grain::Finer);
        assert_eq!(grain(&[point(1.0, 0.1), point(2.0, 0.2)], 0.5), Grain::Coarser);
    }
}

//! How long a call rests before it is tried again.

use std::time::Duration;

/// Longest rest that may be asked for.
pub(crate) const REST_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Rests that double from one attempt to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BackOff {
    /// Before the second attempt.
    pub(crate) first: Duration,
    /// However many attempts there were.
    pub(crate) most: Duration,
}

impl BackOff {
    /// How long a call rests that has failed so many times.
    ///
    /// Up to a quarter longer than the rule says, by the call's index and attempt: calls that failed together, because
    /// something that they need was away, do not all come back together.
    pub(crate) fn rest(&self, attempts: u32, call: u64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let rest = self.first.saturating_mul(1 << doublings).min(self.most);
        let quarters = (rest.as_nanos() as u64 / 4) >> 16;
        rest + Duration::from_nanos(quarters * (scattered(call, attempts) >> 48))
    }
}

/// A number that is hard to guess from its neighbours' (the mixer of SplitMix64, Steele, Lea and Flood 2014).
fn scattered(call: u64, attempts: u32) -> u64 {
    let mixed = call.wrapping_add(u64::from(attempts) << 48).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BackOff = BackOff { first: Duration::from_millis(100), most: Duration::from_secs(2) };

    #[test]
    fn rests_double_up_to_a_limit_and_are_at_most_a_quarter_longer() {
        let rules = [100, 200, 400, 800, 1600, 2000, 2000].map(Duration::from_millis);
        for (attempts, rule) in (1..).zip(rules) {
            for call in 0..1000 {
                let rest = RULE.rest(attempts, call);
                assert!((rule..=rule * 5 / 4).contains(&rest), "{rest:?} after {attempts}");
            }
        }
        assert!(RULE.rest(u32::MAX, u64::MAX) >= RULE.most);
    }

    #[test]
    fn calls_that_failed_together_do_not_come_back_together() {
        let mut rests: Vec<_> = (0..1000).map(|call| RULE.rest(1, call)).collect();
        assert_eq!(
            rests,
            (0..1000).map(|call| RULE.rest(1, call)).collect::<Vec<_>>(),
            "and always the same"
        );
        rests.sort_unstable();
        let spread = rests[990] - rests[10];
        assert!(spread > Duration::from_millis(20), "{spread:?}");
    }

    #[test]
    fn no_rest_is_no_rest() {
        assert_eq!(BackOff::default().rest(5, 5), Duration::ZERO);
    }

    #[test]
    fn the_longest_rest_can_be_reckoned() {
        let rest = BackOff { first: REST_MAX, most: REST_MAX }.rest(40, 1);
        assert!((REST_MAX..=REST_MAX * 5 / 4).contains(&rest), "{rest:?}");
    }
}

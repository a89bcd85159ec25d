//! What one contestant measured, turn by turn.

/// One value per turn, in the order of the turns; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Nothing when there are no values, or when one is no number.
    pub(crate) fn new(values: Vec<f64>) -> Option<Self> {
        (!values.is_empty() && values.iter().all(|value| value.is_finite())).then_some(Self(values))
    }

    /// How many turns there were.
    pub(crate) fn turns(&self) -> usize {
        self.0.len()
    }

    /// The value in the middle.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// The values between which the middle half of all lies.
    pub(crate) fn quartiles(&self) -> [f64; 2] {
        [self.percentile(25.0), self.percentile(75.0)]
    }

    /// The value below which so many percent of all lie; between two values it is taken from the line through both.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = percent.clamp(0.0, 100.0) / 100.0 * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// The largest value.
    pub(crate) fn most(&self) -> f64 {
        self.percentile(100.0)
    }

    /// How many times as large as another contestant's.
    ///
    /// Where both had the same turns, each is compared with the other's value of the same turn, because what disturbs
    /// one of them for a while disturbs the other as well; the median of these ratios counts.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        if self.turns() != other.turns() {
            return self.median() / other.median();
        }
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect()).median()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[f64]) -> Samples {
        Samples::new(values.to_vec()).unwrap()
    }

    #[test]
    fn an_odd_number_of_values_has_a_middle_one() {
        assert_eq!(samples(&[9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(samples(&[7.0]).median(), 7.0);
    }

    #[test]
    fn an_even_number_of_values_is_halved_between_two() {
        assert_eq!(samples(&[4.0, 1.0, 2.0, 10.0]).median(), 3.0);
    }

    #[test]
    fn quartiles_enclose_the_middle_half() {
        assert_eq!(samples(&[5.0, 4.0, 3.0, 2.0, 1.0]).quartiles(), [2.0, 4.0]);
        assert_eq!(samples(&[1.0, 2.0, 3.0, 4.0]).quartiles(), [1.75, 3.25]);
        assert_eq!(samples(&[3.0]).quartiles(), [3.0, 3.0]);
    }

    #[test]
    fn percentiles_reach_from_the_least_to_the_most() {
        let hundred: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(
            [0.0, 1.0, 99.0, 100.0].map(|at| samples(&hundred).percentile(at)),
            [0.0, 1.0, 99.0, 100.0]
        );
        assert_eq!(samples(&hundred).most(), 100.0);
    }

    #[test]
    fn a_ratio_compares_turn_with_turn() {
        // The machine was three times slower in the middle turn, for both.
        let (ours, theirs) = (samples(&[2.0, 6.0, 2.2]), samples(&[1.0, 3.0, 1.0]));
        assert_eq!(ours.over(&theirs), 2.0);
    }

    #[test]
    fn a_ratio_of_other_turns_compares_medians() {
        assert_eq!(samples(&[2.0, 8.0, 4.0]).over(&samples(&[2.0])), 2.0);
    }

    #[test]
    fn what_is_no_number_is_no_sample() {
        assert_eq!(Samples::new(Vec::new()), None);
        assert_eq!(Samples::new(vec![1.0, f64::NAN]), None);
        assert_eq!(Samples::new(vec![f64::INFINITY]), None);
    }
}

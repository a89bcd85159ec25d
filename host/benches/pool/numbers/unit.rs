//! What figures count, and how their values are written.

use super::samples::Samples;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// More is better.
    PerSecond,
    /// More is better.
    BytesPerSecond,
    /// How many times faster; more is better.
    Speedup,
    /// Less is better.
    Seconds,
    /// Less is better.
    Bytes,
    /// Bytes used per byte needed, or seconds used per second; less is better.
    Multiple,
}

impl Unit {
    /// Whether larger figures are better.
    pub(crate) fn is_more_better(self) -> bool {
        matches!(self, Self::PerSecond | Self::BytesPerSecond | Self::Speedup)
    }

    /// Its name, for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "per second",
            Self::BytesPerSecond => "bytes per second",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Speedup | Self::Multiple => "times",
        }
    }

    /// A value in words: three digits and a unit of a fitting size.
    pub(crate) fn show(self, value: f64) -> String {
        let (size, name) = self.fitting(value);
        format!("{}{name}", three_digits(value / size))
    }

    /// The quartiles of samples, in the unit in which [`Self::show`] writes their median, which is not repeated.
    pub(crate) fn show_quartiles(self, samples: &Samples) -> String {
        let (size, _) = self.fitting(samples.median());
        let [low, high] = samples.quartiles().map(|value| three_digits(value / size));
        format!("{low} - {high}")
    }

    fn fitting(self, value: f64) -> (f64, &'static str) {
        const PER_SECOND: [(f64, &str); 3] = [(1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")];
        const BYTES_PER_SECOND: [(f64, &str); 2] = [(1e9, " GB/s"), (1e6, " MB/s")];
        const SECONDS: [(f64, &str); 4] = [(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")];
        const BYTES: [(f64, &str); 3] = [(1e9, " GB"), (1e6, " MB"), (1e3, " kB")];
        const TIMES: [(f64, &str); 1] = [(1.0, "x")];
        let sizes: &[_] = match self {
            Self::PerSecond => &PER_SECOND,
            Self::BytesPerSecond => &BYTES_PER_SECOND,
            Self::Seconds => &SECONDS,
            Self::Bytes => &BYTES,
            Self::Speedup | Self::Multiple => &TIMES,
        };
        // Nothing at all is nothing of the largest unit.
        let fits = |(size, _): &&(f64, &str)| value >= *size || value == 0.0;
        sizes.iter().find(fits).or(sizes.last()).copied().unwrap_or((1.0, ""))
    }
}

/// A number with about three digits.
pub(crate) fn three_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..1.0 => format!("{value:.3}"),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_a_unit_that_fits() {
        for (unit, value, shown) in [
            (Unit::PerSecond, 292_345_678.0, "292 M/s"),
            (Unit::PerSecond, 0.5, "0.500 /s"),
            (Unit::BytesPerSecond, 5.7e9, "5.70 GB/s"),
            (Unit::Seconds, 4.72e-3, "4.72 ms"),
            (Unit::Seconds, 12.34e-9, "12.3 ns"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Bytes, 2_500_000.0, "2.50 MB"),
            (Unit::Speedup, 0.952, "0.952x"),
        ] {
            assert_eq!(unit.show(value), shown);
        }
    }

    #[test]
    fn quartiles_share_the_median_s_unit() {
        let samples = Samples::new(vec![0.9e-3, 1.0e-3, 1.2e-3]).unwrap();
        assert_eq!(Unit::Seconds.show(samples.median()), "1.00 ms");
        assert_eq!(Unit::Seconds.show_quartiles(&samples), "0.950 - 1.10");
    }

    #[test]
    fn only_what_is_done_in_a_time_is_better_when_it_is_more() {
        let more = [Unit::PerSecond, Unit::BytesPerSecond, Unit::Speedup];
        let less = [Unit::Seconds, Unit::Bytes, Unit::Multiple];
        assert!(more.into_iter().all(Unit::is_more_better) && !less.into_iter().any(Unit::is_more_better));
        assert_eq!(Unit::Bytes.name(), "bytes");
    }
}

//! What was promised, and whether it is kept.

/// What a figure must reach, and what it should. Both are the same where there is nothing more to wish for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) must: f64,
    pub(crate) aim: f64,
}

/// How far a promise is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What it must reach, and what it should.
    Aim,
    /// Only what it must.
    Must,
    /// Not even that.
    Missed,
}

impl Bound {
    /// What must be and what should.
    pub(crate) const fn new(must: f64, aim: f64) -> Self {
        Self { must, aim }
    }

    /// What must be, and is enough.
    pub(crate) const fn only(must: f64) -> Self {
        Self { must, aim: must }
    }

    /// At most so many times what another takes, as what it is to be better by.
    pub(crate) const fn of_time(must: f64, aim: f64) -> Self {
        Self { must: 1.0 / must, aim: 1.0 / aim }
    }

    /// How far it is kept by a value.
    pub(crate) fn judge(self, value: f64, is_more_better: bool) -> Verdict {
        let reaches = |bound| if is_more_better { value >= bound } else { value <= bound };
        match (reaches(self.must), reaches(self.aim)) {
            (true, true) => Verdict::Aim,
            (true, false) => Verdict::Must,
            (false, _) => Verdict::Missed,
        }
    }

    /// Both in words; `show` gives one of them.
    pub(crate) fn show(self, is_more_better: bool, show: impl Fn(f64) -> String) -> String {
        let word = if is_more_better { "at least" } else { "at most" };
        let must = show(self.must);
        if self.must == self.aim {
            format!("{word} {must}")
        } else {
            format!("{word} {must} / {}", show(self.aim))
        }
    }
}

impl Verdict {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Aim => "yes",
            Self::Must => "must, not aim",
            Self::Missed => "NO",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_to_be_high() {
        let bound = Bound::new(10.0, 25.0);
        assert_eq!(
            [9.9, 10.0, 24.0, 25.0].map(|rate| bound.judge(rate, true)),
            [Verdict::Missed, Verdict::Must, Verdict::Must, Verdict::Aim]
        );
    }

    #[test]
    fn a_time_has_to_be_short() {
        let bound = Bound::new(8.0, 5.0);
        assert_eq!(
            [8.1, 8.0, 5.0, 0.0].map(|time| bound.judge(time, false)),
            [Verdict::Missed, Verdict::Must, Verdict::Aim, Verdict::Aim]
        );
    }

    #[test]
    fn another_s_time_is_a_ratio() {
        let bound = Bound::of_time(1.25, 1.0);
        assert_eq!(
            [0.79, 0.8, 1.0].map(|better| bound.judge(better, true)),
            [Verdict::Missed, Verdict::Must, Verdict::Aim]
        );
    }

    #[test]
    fn what_is_enough_is_said_once() {
        let show = |value: f64| value.to_string();
        assert_eq!(Bound::only(4.0).show(false, show), "at most 4");
        assert_eq!(Bound::new(1.0, 2.0).show(true, show), "at least 1 / 2");
    }
}

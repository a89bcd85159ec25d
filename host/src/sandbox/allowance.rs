//! An allowance: how much of something an instance has taken, and how much it may take in all.

/// Something that an instance takes more and more of, and never gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    used: u64,
    most: u64,
    /// The last growth was refused: a trap that follows is most likely its consequence.
    pub(crate) was_refused: bool,
}

impl Allowance {
    /// Of at most so much in all.
    pub(crate) fn new(most: u64) -> Self {
        Self { used: 0, most, was_refused: false }
    }

    /// How much it is in all.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Whether so much more may be taken. If not, that is remembered.
    pub(crate) fn has(&mut self, more: u64) -> bool {
        let fits = self.used.checked_add(more).is_some_and(|used| used <= self.most);
        self.was_refused |= !fits;
        fits
    }

    /// Takes what [`Self::has`] has said there is.
    pub(crate) fn take(&mut self, more: u64) {
        self.used += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_growth_is_allowed_after_a_larger_one_was_refused() {
        let mut allowance = Allowance::new(100);
        assert!(allowance.has(60));
        allowance.take(60);
        assert!(!allowance.was_refused);
        assert!(!allowance.has(50) && allowance.was_refused);
        assert!(allowance.has(40));
        allowance.take(40);
        assert!(!allowance.has(1) && allowance.has(0));
    }

    #[test]
    fn no_growth_comes_round() {
        let mut allowance = Allowance::new(u64::MAX);
        allowance.take(2);
        assert!(!allowance.has(u64::MAX));
    }
}

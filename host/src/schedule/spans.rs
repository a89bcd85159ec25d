//! Sets of calls, kept as spans: which calls of a job are settled.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of indices, cheap as long as they come in long runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    /// Start to end of disjoint spans that do not touch each other.
    spans: BTreeMap<u64, u64>,
}

impl Spans {
    /// Adds a span.
    ///
    /// Returns whether it was disjoint from everything in the set, as spans of settled calls must be.
    pub(crate) fn insert(&mut self, span: Range<u64>) -> bool {
        if span.is_empty() {
            return true;
        }
        let Range { mut start, mut end } = span;
        let mut disjoint = true;
        // Everything that overlaps or touches the new span melts into it.
        while let Some((&before, &until)) = self.spans.range(..=end).next_back() {
            if until < start {
                break;
            }
            disjoint &= until == start || before == end;
            start = start.min(before);
            end = end.max(until);
            self.spans.remove(&before);
        }
        self.spans.insert(start, end);
        disjoint
    }

    /// The lowest index that is not in the set.
    pub(crate) fn low_water(&self) -> u64 {
        self.spans.get(&0).copied().unwrap_or(0)
    }

    /// Whether an index is in the set.
    pub(crate) fn contains(&self, index: u64) -> bool {
        self.spans.range(..=index).next_back().is_some_and(|(_, end)| index < *end)
    }

    /// The spans of the set, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.spans.iter().map(|(start, end)| *start..*end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_low_water_mark_rises_when_the_gap_closes() {
        let mut spans = Spans::default();
        assert!(spans.insert(5..10));
        assert_eq!(spans.low_water(), 0);
        assert!(spans.insert(0..3));
        assert_eq!(spans.low_water(), 3);
        assert!(spans.insert(3..5));
        assert_eq!(spans.low_water(), 10);
        assert!(spans.iter().eq(std::iter::once(0..10)));
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in(inserted in proptest::collection::vec((0u64..60, 0u64..12), 0..30)) {
            let mut spans = Spans::default();
            let mut model = BTreeSet::new();
            for (start, length) in inserted {
                let span = start..start + length;
                let disjoint = span.clone().all(|index| !model.contains(&index));
                prop_assert_eq!(spans.insert(span.clone()), disjoint);
                model.extend(span);
            }
            let held: Vec<u64> = spans.iter().flatten().collect();
            prop_assert!((0..80).all(|index| spans.contains(index) == model.contains(&index)));
            prop_assert_eq!(held, model.iter().copied().collect::<Vec<_>>());
            let low_water = (0..).find(|index| !model.contains(index)).expect("a gap");
            prop_assert_eq!(spans.low_water(), low_water);
        }
    }
}

//! Which of several classes of calls is served next.

/// How many classes there are, the least urgent first.
pub(crate) const CLASSES: usize = 3;

/// Of so many chunks one is looked for the other way round.
pub(crate) const ROUND: u32 = 64;

/// The classes in the order in which the chunk with number `turn` is looked for.
///
/// The most urgent one first, but once in a round the other way round, so that no class starves while others always
/// have calls: the least urgent of all and the one above it take turns with that.
pub(crate) fn order(turn: u32) -> [usize; CLASSES] {
    match (turn % ROUND, turn / ROUND % 2) {
        (last, 0) if last == ROUND - 1 => [0, 1, 2],
        (last, _) if last == ROUND - 1 => [1, 0, 2],
        _ => [2, 1, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_class_goes_first_and_none_starves() {
        let mut served = [0; CLASSES];
        for turn in 0..20 * ROUND {
            served[order(turn)[0]] += 1;
        }
        assert_eq!(served, [10, 10, 20 * (ROUND - 1)]);
        assert!((0..ROUND - 1).all(|turn| order(turn) == [2, 1, 0]), "not before a whole round");
    }
}

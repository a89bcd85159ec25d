//! Where a feeder looks for chunks: its own deque, a shared queue, its siblings' deques.

use std::sync::{Arc, PoisonError, RwLock};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

/// The deques of all feeders, as thieves see them. Feeders come and go while others steal.
pub(crate) struct Family<T> {
    stealers: RwLock<Vec<Stealer<T>>>,
}

/// One feeder's view of all deques.
pub(crate) struct Deques<T> {
    own: Worker<T>,
    /// Number of the feeder.
    number: usize,
    family: Arc<Family<T>>,
}

impl<T> Default for Family<T> {
    fn default() -> Self {
        Self { stealers: RwLock::default() }
    }
}

impl<T> Family<T> {
    /// A deque for the feeder of this number, which takes the place of an earlier one of that number.
    ///
    /// # Panics
    ///
    /// When a lower number never had one.
    pub(crate) fn deques(self: &Arc<Self>, number: usize) -> Deques<T> {
        // First in, first out: chunks lie in index order, and results are wanted in index order.
        let own = Worker::new_fifo();
        let mut stealers = self.stealers.write().unwrap_or_else(PoisonError::into_inner);
        if number == stealers.len() {
            stealers.push(own.stealer());
        } else {
            stealers[number] = own.stealer();
        }
        Deques { own, number, family: Arc::clone(self) }
    }
}

impl<T> Deques<T> {
    /// Puts something where this feeder looks first.
    pub(crate) fn push(&self, item: T) {
        self.own.push(item);
    }

    /// Takes what this feeder put there first.
    pub(crate) fn pop(&self) -> Option<T> {
        self.own.pop()
    }

    /// Whether nothing lies where this feeder looks first.
    pub(crate) fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Takes something from a sibling.
    pub(crate) fn steal(&self) -> Option<T> {
        let stealers = self.family.stealers.read().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = stealers.split_at(self.number);
        // The next one first, so that thieves spread over their victims.
        after[1..].iter().chain(before).find_map(|sibling| settled(|| sibling.steal()))
    }
}

/// Takes something from the shared queue.
pub(crate) fn take<T>(queue: &Injector<T>) -> Option<T> {
    settled(|| queue.steal())
}

/// Tries until the answer is not "somebody interfered", which does not mean that there is nothing.
fn settled<T>(steal: impl Fn() -> Steal<T>) -> Option<T> {
    loop {
        match steal() {
            Steal::Success(item) => return Some(item),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family<T>(feeders: usize) -> Vec<Deques<T>> {
        let family = Arc::<Family<T>>::default();
        (0..feeders).map(|number| family.deques(number)).collect()
    }

    #[test]
    fn a_feeder_takes_the_place_of_an_earlier_one() {
        let family = Arc::<Family<u8>>::default();
        let [first, second] = [0, 1].map(|number| family.deques(number));
        drop(second);
        let again = family.deques(1);
        again.push(7);
        assert_eq!(first.steal(), Some(7));
        assert_eq!(first.steal(), None);
    }

    #[test]
    fn own_chunks_come_first_and_in_order() {
        let deques = family(3);
        deques[1].push(1);
        deques[1].push(2);
        deques[2].push(3);
        assert_eq!(deques[1].pop(), Some(1));
        assert_eq!(deques[0].steal(), Some(2));
        assert_eq!(deques[0].steal(), Some(3));
        assert_eq!(deques[0].steal(), None);
    }

    #[test]
    fn everything_is_taken_exactly_once_by_many_thieves() {
        const ITEMS: usize = 20_000;
        let queue = Injector::new();
        (0..ITEMS).for_each(|item| queue.push(item));
        let counts: Vec<_> = (0..ITEMS).map(|_| std::sync::atomic::AtomicUsize::new(0)).collect();
        std::thread::scope(|scope| {
            for deques in family(4) {
                let (queue, counts) = (&queue, &counts);
                scope.spawn(move || {
                    while let Some(item) = deques.pop().or_else(|| take(queue)).or_else(|| deques.steal()) {
                        if item % 3 == 0 && counts[item].load(std::sync::atomic::Ordering::Relaxed) == 0 {
                            counts[item].store(100, std::sync::atomic::Ordering::Relaxed);
                            deques.push(item);
                            continue;
                        }
                        counts[item].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        let counts: Vec<_> = counts.into_iter().map(|count| count.into_inner()).collect();
        for (item, count) in counts.into_iter().enumerate() {
            assert_eq!(count, if item % 3 == 0 { 101 } else { 1 }, "item {item}");
        }
    }
}

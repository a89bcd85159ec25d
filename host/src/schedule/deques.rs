//! Where a feeder looks for chunks: its own deque, a shared queue, its siblings' deques.

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

/// One feeder's view of all deques.
pub(crate) struct Deques<T> {
    own: Worker<T>,
    siblings: Vec<Stealer<T>>,
}

impl<T> Deques<T> {
    /// Deques for `feeders` feeders that steal from each other.
    pub(crate) fn for_feeders(feeders: usize) -> Vec<Self> {
        // First in, first out: chunks lie in index order, and results are wanted in index order.
        let workers: Vec<Worker<T>> = (0..feeders).map(|_| Worker::new_fifo()).collect();
        let stealers: Vec<Stealer<T>> = workers.iter().map(Worker::stealer).collect();
        let with_siblings = |(me, own)| {
            let (before, after) = stealers.split_at(me);
            // The next one first, so that thieves spread over their victims.
            let siblings = after[1..].iter().chain(before).cloned().collect();
            Self { own, siblings }
        };
        workers.into_iter().enumerate().map(with_siblings).collect()
    }

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
        self.siblings.iter().find_map(|sibling| settled(|| sibling.steal()))
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

    #[test]
    fn own_chunks_come_first_and_in_order() {
        let deques = Deques::for_feeders(3);
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
            for deques in Deques::for_feeders(4) {
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

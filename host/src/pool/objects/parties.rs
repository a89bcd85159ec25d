//! Who is who on shared objects: numbers for workers and for this process's own threads.
//!
//! A number is used again only when nothing on any object remembers the one who had it: a worker's is given back
//! after its stake is buried, a thread's when the thread ends, after the same has been done for it. Numbers are this
//! process's, not a pool's, because a thread may work on objects of several pools.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use wasmpool_abi::shared::Refusal;

use super::Registry;
use crate::shm::object::{PARTIES_MAX, Party};

/// What is known of all numbers.
struct Parties {
    /// A bit per number.
    taken: [u64; PARTIES_MAX / 64],
    /// A bit per number that this process itself goes by.
    ours: [u64; PARTIES_MAX / 64],
    /// The objects of all pools, for threads that end.
    registries: Vec<Weak<Registry>>,
}

// Number 0 means nobody.
static PARTIES: Mutex<Parties> =
    Mutex::new(Parties { taken: first_taken(), ours: [0; PARTIES_MAX / 64], registries: Vec::new() });

const fn first_taken() -> [u64; PARTIES_MAX / 64] {
    let mut taken = [0; PARTIES_MAX / 64];
    taken[0] = 1;
    taken
}

fn parties() -> MutexGuard<'static, Parties> {
    PARTIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many came, in any sense in which somebody can hold something who could not before.
static ARRIVALS: AtomicU64 = AtomicU64::new(0);

/// How many came so far.
pub(super) fn arrivals() -> u64 {
    ARRIVALS.load(Ordering::SeqCst)
}

/// Notes that somebody came. What there is to know about it is known already, and it has done nothing yet.
pub(super) fn arrived() {
    // SeqCst, here and above: it is rare, and the argument is about one order of all looks.
    ARRIVALS.fetch_add(1, Ordering::SeqCst);
}

/// Takes a free number for a worker.
///
/// # Errors
///
/// [`Refusal::Crowded`] when there is none.
pub(crate) fn take() -> Result<Party, Refusal> {
    take_from(&mut parties())
}

/// Takes a free number for this process itself.
fn take_ours() -> Result<Party, Refusal> {
    let mut parties = parties();
    let party = take_from(&mut parties)?;
    parties.ours[party.number() / 64] |= 1 << (party.number() % 64);
    arrived();
    Ok(party)
}

fn take_from(parties: &mut Parties) -> Result<Party, Refusal> {
    let free = parties.taken.iter().position(|word| *word != u64::MAX).ok_or(Refusal::Crowded)?;
    let bit = parties.taken[free].trailing_ones() as usize;
    parties.taken[free] |= 1 << bit;
    Party::new(free * 64 + bit).ok_or(Refusal::Crowded)
}

/// Whether this process itself goes by a number.
pub(super) fn is_thread(party: Party) -> bool {
    parties().ours[party.number() / 64] >> (party.number() % 64) & 1 != 0
}

/// Gives a number back, of which no object knows any more.
pub(crate) fn give_back(party: Party) {
    let number = party.number();
    let mut parties = parties();
    parties.taken[number / 64] &= !(1 << (number % 64));
    parties.ours[number / 64] &= !(1 << (number % 64));
}

/// Leaves this process these numbers alone, which its supervisor gave it.
#[cfg(test)]
pub(super) fn confine_to(numbers: &[Party]) {
    let mut parties = parties();
    parties.taken = [u64::MAX; PARTIES_MAX / 64];
    for number in numbers.iter().map(|party| party.number()) {
        parties.taken[number / 64] &= !(1 << (number % 64));
    }
}

/// Makes a pool's objects known to threads that end.
pub(crate) fn watch(registry: &Arc<Registry>) {
    let mut parties = parties();
    parties.registries.retain(|registry| registry.strong_count() > 0);
    parties.registries.push(Arc::downgrade(registry));
}

/// Who this thread is.
///
/// # Errors
///
/// [`Refusal::Crowded`] when there are too many threads and workers.
pub(crate) fn of_this_thread() -> Result<Party, Refusal> {
    thread_local! {
        static MINE: Mine = const { Mine(OnceCell::new()) };
    }
    // A thread that is ending already has no number any more, and gets none.
    MINE.try_with(|mine| match mine.0.get() {
        Some(party) => Ok(*party),
        None => take_ours().inspect(|party| _ = mine.0.set(*party)),
    })
    .unwrap_or(Err(Refusal::Crowded))
}

/// Who this process is, as the user of objects that outlive threads; it holds no locks.
///
/// # Errors
///
/// [`Refusal::Crowded`] when there are too many threads and workers.
pub(super) fn of_this_process() -> Result<Party, Refusal> {
    static OURS: Mutex<Option<Party>> = Mutex::new(None);
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    match *ours {
        Some(party) => Ok(party),
        None => take_ours().inspect(|party| *ours = Some(*party)),
    }
}

/// A thread's number, given back when the thread ends.
struct Mine(OnceCell<Party>);

impl Drop for Mine {
    fn drop(&mut self) {
        let Some(party) = self.0.get() else { return };
        let registries: Vec<Arc<Registry>> = parties().registries.iter().filter_map(Weak::upgrade).collect();
        for registry in registries {
            registry.let_go(*party);
        }
        give_back(*party);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_another_has_another() {
        let mine = of_this_thread().expect("a number");
        assert_eq!(of_this_thread(), Ok(mine));
        let other = std::thread::spawn(of_this_thread).join().expect("the thread ends");
        assert_ne!(other, Ok(mine));
    }

    #[test]
    fn numbers_are_unique_while_they_are_taken() {
        let taken: Vec<Party> = (0..100).map(|_| take().expect("a number")).collect();
        let unique: std::collections::HashSet<&Party> = taken.iter().collect();
        assert_eq!(unique.len(), taken.len());
        taken.into_iter().for_each(give_back);
    }
}

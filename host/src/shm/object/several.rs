//! Waiting for several objects at once.
//!
//! Whoever waits announces itself on all their bells, looks at all of them once more, and sleeps on all the bells'
//! words together: each bell's own rule holds for each object, so no wake-up is lost. Being ready promises nothing:
//! another may be faster, as with any look that does not take.
//!
//! A lock tells only those who queue up for it that it is free, and one who merely looks must not be in that queue:
//! it would use up a wake-up meant for a taker. So where there is a lock among the objects, the sleeper looks from
//! time to time, as it does for objects that it may not write to, on which it cannot announce itself.

use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::ground::{Ground, ObjectBell, header};
use super::patience::Patience;
use super::{Object, Outcome, Party};
use crate::shm::futex;

/// Most objects that one can wait for at once.
pub(crate) const OBJECTS_MAX: usize = futex::WORDS_MAX;

/// Longest sleep without a look around; wake-ups do not depend on it.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Longest sleep where not everything that is waited for rings.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Waits until at least one of up to [`OBJECTS_MAX`] objects is ready, and says of each whether it is.
///
/// # Errors
///
/// [`Refusal::TimedOut`]; [`Refusal::WrongKind`] for an object that is never ready; what the objects say.
pub(crate) fn wait_for_any(
    objects: &[&Object],
    party: Party,
    patience: &Patience<'_>,
    ready: &mut [bool],
) -> Outcome<()> {
    debug_assert!(objects.len() == ready.len());
    let mut look = || -> Outcome<bool> {
        for (object, ready) in objects.iter().zip(ready.iter_mut()) {
            *ready = object.is_ready(party)?;
        }
        Ok(ready.contains(&true))
    };
    if look()? {
        return Ok(());
    }
    let ringing = objects.iter().filter(|object| object.rings());
    let bells: Vec<_> = ringing.clone().flat_map(|object| object.bells()).collect();
    let all_ring = ringing.count() == objects.len() && bells.len() <= futex::WORDS_MAX;
    let most = if all_ring { SLEEP_MAX } else { LOOK_INTERVAL };
    let mut asleep = None;
    loop {
        let words: Vec<_> = bells.iter().map(|bell| bell.bell.word(&bell.bell.announce())).collect();
        if look()? {
            return Ok(());
        }
        let rest = patience.rest(most).ok_or(Refusal::TimedOut)?;
        if asleep.is_none() {
            asleep = Some(patience.sleeps()?);
        }
        if words.is_empty() {
            std::thread::sleep(rest);
        } else {
            futex::wait_any(&words, rest);
        }
    }
}

impl Object {
    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        match self {
            Self::Cells(cells) => cells.ground(),
            Self::Lock(lock) => lock.ground(),
            Self::Semaphore(semaphore) => semaphore.ground(),
            Self::Condition(condition) => condition.ground(),
            Self::Event(event) => event.ground(),
            Self::Barrier(barrier) => barrier.ground(),
            Self::Queue(queue) => queue.ground(),
            Self::Pipe(end) => end.ground(),
            Self::List(list) => list.ground(),
            Self::Dict(dict) => dict.ground(),
        }
    }

    /// Whether what one waits for is there: a set event, an item or a closed queue, a message or the pipe's end, a
    /// lock or a permit that is free.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongKind`] where there is nothing of the sort; what the object says.
    pub(crate) fn is_ready(&self, party: Party) -> Outcome<bool> {
        let waited = match self {
            Self::Event(event) => return event.is_set(),
            Self::Lock(lock) => return Ok(!lock.is_held() || lock.depth(party) > 0),
            Self::Semaphore(semaphore) => return Ok(semaphore.value()? > 0),
            Self::Queue(queue) => queue.wait(&Patience::NONE),
            Self::Pipe(end) => end.poll(&Patience::NONE),
            Self::Cells(_) | Self::Condition(_) | Self::Barrier(_) | Self::List(_) | Self::Dict(_) => {
                return Err(Refusal::WrongKind);
            }
        };
        match waited {
            Ok(()) => Ok(true),
            // To take would fail, and at once.
            Err(Refusal::Closed | Refusal::EndOfFile) => Ok(true),
            Err(Refusal::TimedOut | Refusal::Empty) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Whether its bells ring when it becomes ready, for one who can announce itself.
    fn rings(&self) -> bool {
        !matches!(self, Self::Lock(_)) && self.ground().is_writable()
    }

    /// The bells of which one rings when it becomes ready: most have one for those who wait to take.
    fn bells(&self) -> impl Iterator<Item = ObjectBell<'_>> {
        let offsets: &[usize] = match self {
            Self::Pipe(_) => &[header::BELL_A, header::BELL_B],
            _ => &[header::BELL_A],
        };
        offsets.iter().map(|offset| self.ground().bell(*offset))
    }
}

//! Waiting for several objects at once.

use std::time::Duration;

use wasmpool_abi::shared::Refusal;

use super::error::{SharedError, SharedErrorKind};
use super::handle::{for_ever, within};
use super::{Shareable, parties};
use crate::shm::object::Object;
use crate::shm::object::several::{OBJECTS_MAX, wait_for_any};
use crate::shm::object::text::{self, About};

/// Waits until one of several objects is ready (Python's `connection.wait`).
///
/// Returns the indices of all that are; none if `duration` passes first, and without a duration it waits for ever.
///
/// A queue is ready when there is an item or it is closed, a pipe when there is a message or the end, an event when it is
/// set; a lock or a semaphore when it could be acquired. Nothing is taken, so that somebody else may be quicker.
///
/// # Errors
///
/// [`Invalid`](SharedErrorKind::Invalid) for no objects or more than 128; [`WrongKind`](SharedErrorKind::WrongKind)
/// when one is never ready: values, arrays, conditions, barriers, lists, dictionaries.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use std::time::Duration;
/// use wasmpool::shared::wait_any;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let (numbers, stop) = (pool.queue::<i64>("numbers", 8)?, pool.event("stop")?);
/// assert!(wait_any(&[&numbers, &stop], Some(Duration::ZERO))?.is_empty());
/// stop.set()?;
/// assert_eq!(wait_any(&[&numbers, &stop], None)?, [1]);
/// numbers.put(&7)?;
/// assert_eq!(wait_any(&[&numbers, &stop], None)?, [0, 1]);
/// # Ok(())
/// # }
/// ```
pub fn wait_any(objects: &[&dyn Shareable], duration: Option<Duration>) -> Result<Vec<usize>, SharedError> {
    if !(1..=OBJECTS_MAX).contains(&objects.len()) {
        let text = format!("{} objects to wait for: choose between 1 and {OBJECTS_MAX}", objects.len());
        return Err(SharedError::new(SharedErrorKind::Invalid, text));
    }
    let inner: Vec<&Object> = objects.iter().map(|object| &object.entry().object).collect();
    let patience = duration.map_or_else(for_ever, within);
    let mut ready = vec![false; objects.len()];
    let waited =
        parties::of_this_thread().and_then(|party| wait_for_any(&inner, party, &patience, &mut ready));
    match waited {
        Ok(()) => Ok((0..ready.len()).filter(|index| ready[*index]).collect()),
        Err(Refusal::TimedOut) => Ok(Vec::new()),
        Err(refusal) => Err(refused(objects, refusal)),
    }
}

/// A refusal of one of several objects: of the first that cannot be waited for, where that is the reason.
fn refused(objects: &[&dyn Shareable], refusal: Refusal) -> SharedError {
    let entries = objects.iter().map(|object| object.entry());
    let entry = match refusal {
        Refusal::WrongKind => entries.clone().find(|entry| !can_be_waited_for(&entry.object)),
        Refusal::Poisoned => entries.clone().find(|entry| entry.object.ground().check().is_err()),
        _ => None,
    };
    let text = match entry.or_else(|| entries.clone().next()) {
        Some(entry) => text::explain(&entry.name, &entry.spec, refusal, &About::Nothing),
        None => format!("{refusal:?}"),
    };
    SharedError::new(refusal.into(), text)
}

fn can_be_waited_for(object: &Object) -> bool {
    matches!(
        object,
        Object::Event(_) | Object::Lock(_) | Object::Semaphore(_) | Object::Queue(_) | Object::Pipe(_)
    )
}

//! Descriptors that were announced, and how they arrive: in as many frames as it takes, in their order.

use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::channel::control::Control;

/// How long it may take from one frame to the next.
const FRAME_TIME_MAX: Duration = Duration::from_secs(30);

/// Receives a descriptor for each that was `announced`, from frames of type `F`, and hands it on beside what was said
/// of it. As many are open at a time as one frame brings, if `take` closes what it is given.
///
/// # Errors
///
/// What did not come, or what `take` says, in words.
pub(super) fn receive<F: DeserializeOwned, T>(
    control: &Control,
    what: &str,
    announced: &[T],
    mut take: impl FnMut(OwnedFd, &T) -> Result<(), String>,
) -> Result<(), String> {
    let mut announced = announced.iter();
    while announced.len() > 0 {
        let left = announced.len();
        let received = control.receive_with_descriptors::<F>(Some(FRAME_TIME_MAX));
        let (_, descriptors) = received.map_err(|error| format!("{left} {what} did not come: {error}"))?;
        if descriptors.is_empty() || descriptors.len() > left {
            let came = descriptors.len();
            return Err(format!("the supervisor sent {came} {what} where {left} were to come"));
        }
        for (descriptor, told) in descriptors.into_iter().zip(&mut announced) {
            take(descriptor, told)?;
        }
    }
    Ok(())
}

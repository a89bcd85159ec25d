//! Ctrl-C: once to end the job in order, twice to end at once.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit::Exit;

/// Calls `cancel` at the first SIGINT or SIGTERM; at the second the process ends at once.
///
/// Workers are in process groups of their own, so that the terminal's signal reaches only this process; they end
/// with it.
///
/// # Errors
///
/// When the system does not let signals be handled.
pub(super) fn on_interrupt(cancel: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watch = move || {
        let mut arrivals = signals.forever();
        if arrivals.next().is_some() {
            cancel();
        }
        if arrivals.next().is_some() {
            std::process::exit(Exit::Interrupted.code().into());
        }
    };
    std::thread::Builder::new().name("wasmpool-signals".into()).spawn(watch)?;
    Ok(())
}

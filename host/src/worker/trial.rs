//! The trial process: goes into the jail as a worker does, says what came of it, and ends.
//!
//! What a kernel promises and what it does can differ, in containers above all. So `doctor` does not ask: it sends
//! somebody in.

use super::shake_hands;
use crate::channel::control::Control;
use crate::process::jail::Inmate;
use crate::process::reentry;

/// Runs this process as a trial, to its end.
pub(crate) fn main() -> ! {
    let control = Control::from_descriptor(reentry::settle());
    let Ok(mut confinement) = shake_hands(&control, Inmate::Worker) else { std::process::exit(1) };
    confinement.filter();
    let Ok(report) = confinement.lock() else { std::process::exit(1) };
    // Said from inside: it is proof that what a worker needs still works.
    let said = control.send(&report, &[]);
    std::process::exit(i32::from(said.is_err()))
}

//! The processes that are alive, of all pools of this program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::life::Life;
use super::{AnyResult, Process};
use crate::pool::error::{Error, ErrorKind};
use crate::pool::shared::Shared;

/// Most processes of their own that are alive at a time, all pools together. Each has a thread here.
pub const PROCESSES_MAX: usize = 256;

/// How long closing waits for a killed process to be gone.
const GONE_TIME_MAX: Duration = Duration::from_secs(5);

static CHILDREN: Mutex<Vec<Arc<Life>>> = Mutex::new(Vec::new());

fn children() -> MutexGuard<'static, Vec<Arc<Life>>> {
    // Nothing that happens under the lock can leave the list half done.
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The processes that were started and have not ended, of all pools of this program (Python's function of this name).
///
/// Those that nobody holds any more are among them. What they return is not to be had this way.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// # fn main() -> Result<(), wasmpool::Error> {
/// # let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let spin = br#"(module (func (export "spin") (loop (br 0))))"#;
/// let process = pool.load_bytes("spin", spin)?.task::<(), ()>("spin")?.process(())?.named("left alone");
/// process.start()?;
/// drop(process);
/// let children = wasmpool::active_children();
/// assert_eq!(children[0].name(), "left alone");
/// children[0].kill()?;
/// children[0].join(None)?;
/// assert!(wasmpool::active_children().is_empty());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn active_children() -> Vec<Process<AnyResult>> {
    let living = children().clone();
    let is_alive = |life: &Arc<Life>| life.is_alive().unwrap_or(false);
    living.into_iter().filter(is_alive).map(|life| Process { life, gather: None }).collect()
}

/// Lists a process that is about to be started.
///
/// # Errors
///
/// When there are as many as may be.
pub(super) fn enlist(life: &Arc<Life>) -> Result<(), Error> {
    let mut children = children();
    if children.len() >= PROCESSES_MAX {
        let text = format!("{PROCESSES_MAX} processes are alive, as many as may be at once: join some first");
        return Err(Error::new(ErrorKind::Setting, text));
    }
    children.push(Arc::clone(life));
    Ok(())
}

/// Strikes a process off that has ended, or was not started after all.
pub(super) fn strike_off(life: &Life) {
    children().retain(|child| !std::ptr::eq(&**child, life));
}

fn of_pool(pool: &Shared) -> Vec<Arc<Life>> {
    children().iter().filter(|life| std::ptr::eq(life.pool(), pool)).cloned().collect()
}

/// Ends a pool's processes in order: daemons are terminated, the others are waited for.
///
/// Not in the middle of a panic: then nobody is waited for.
pub(crate) fn end_all(pool: &Shared) {
    if std::thread::panicking() {
        return;
    }
    let (daemons, others): (Vec<_>, Vec<_>) = of_pool(pool).into_iter().partition(|life| life.is_daemon());
    for daemon in &daemons {
        // One that is not alive any more needs no end.
        let _ = daemon.terminate();
    }
    for life in others.iter().chain(&daemons) {
        // Each ends by its time limit at the latest, or half a second after it was terminated.
        let _ = life.join(None);
    }
}

/// Kills what is left of a pool's processes, once no more can be started.
pub(crate) fn kill_all(pool: &Shared) {
    let left = of_pool(pool);
    for life in &left {
        life.kill();
    }
    for life in &left {
        // One that does not end within this time hangs in the kernel.
        let _ = life.join(Some(GONE_TIME_MAX));
    }
}

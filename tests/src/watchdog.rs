//! The watchdog: a test that hangs must fail, and say which it was.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Longest time that a test may take on a busy machine, a soak's own time aside.
const TEST_TIME_MAX: Duration = Duration::from_secs(120);

/// Variable that says how long soaks last, in seconds.
const SOAK_VARIABLE: &str = "WASMPOOL_SOAK_SECONDS";

/// How long soaks were asked to last, if they were.
#[must_use]
pub fn soak_time() -> Option<Duration> {
    std::env::var(SOAK_VARIABLE).ok()?.parse().ok().map(Duration::from_secs)
}

/// Aborts the process when it is not dropped in time.
pub struct Watchdog {
    _over: Sender<()>,
}

impl Watchdog {
    /// Watches over the test that runs on this thread.
    pub fn start() -> Self {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let (over, ended) = mpsc::channel::<()>();
        let time_max = TEST_TIME_MAX + soak_time().unwrap_or_default();
        let watch = move || {
            if ended.recv_timeout(time_max) == Err(RecvTimeoutError::Timeout) {
                let text = format!("watchdog: `{test}` hangs, {} s are over\n", time_max.as_secs());
                // Past the capture of test output, which dies with the process.
                let _ = std::io::stderr().write_all(text.as_bytes());
                std::process::abort();
            }
        };
        std::thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a thread");
        Self { _over: over }
    }
}

/// Waits until something becomes true that nobody announces. Only the watchdog ends it otherwise.
pub fn wait_until(mut is_true: impl FnMut() -> bool) {
    while !is_true() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends a thread that goes on until this is set, also when the test that has it fails.
pub struct SetWhenDropped<'a>(pub &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

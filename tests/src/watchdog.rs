//! The watchdog: a test that hangs must fail, and say which it was.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Longest time that a test may take on a busy machine.
const TEST_TIME_MAX: Duration = Duration::from_secs(120);

/// Aborts the process when it is not dropped in time.
pub struct Watchdog {
    _over: Sender<()>,
}

impl Watchdog {
    /// Watches over the test that runs on this thread.
    pub fn start() -> Self {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let (over, ended) = mpsc::channel::<()>();
        let watch = move || {
            if ended.recv_timeout(TEST_TIME_MAX) == Err(RecvTimeoutError::Timeout) {
                let text = format!("watchdog: `{test}` hangs, {} s are over\n", TEST_TIME_MAX.as_secs());
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

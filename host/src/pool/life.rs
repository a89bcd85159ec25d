//! How a pool ends: closed and joined, terminated, or dropped; and pools that live as long as a closure.

use std::time::Duration;

use super::error::{Error, ErrorKind};
use super::handle::{deadline, timed_out};
use super::{Builder, Pool, processes};
use crate::process::nursery;

/// What becomes of the calls of a scope that are under way when it ends; see [`Builder::scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeEnd {
    /// They run to their end.
    Finish,
    /// They run to their end, but for so long at most; then they are stopped.
    FinishWithin(Duration),
    /// They are stopped at once, as at the end of Python's `with` block.
    Terminate,
}

impl Pool {
    /// Takes no new calls from now on. What is under way runs to its end; then the workers end.
    ///
    /// It returns at once; [`join`](Self::join) waits. A call that comes later gets an error of kind
    /// [`ErrorKind::Closed`]. Closing twice is no different from closing once.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let pool = wasmpool::Pool::builder().workers(2).build()?;
    /// # let text = br#"(module (func (export "double") (param i64) (result i64)
    /// #     (i64.mul (local.get 0) (i64.const 2))))"#;
    /// let double = pool.load_bytes("numbers", text)?.task::<i64, i64>("double")?;
    /// let handle = double.map_async(0..1000)?;
    /// pool.close();
    /// assert_eq!(double.apply(1).unwrap_err().kind(), wasmpool::ErrorKind::Closed);
    /// pool.join(None)?;
    /// assert_eq!(handle.get(None)?.len(), 1000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        if self.shared.gate.shut() {
            self.shared.close();
        }
    }

    /// Stops everything and ends the workers.
    ///
    /// Calls that wait or run end with an error of kind [`ErrorKind::Closed`], and every handle comes to its outcome. It
    /// returns at once; [`join`](Self::join) waits until the workers are gone. Terminating twice, or after closing, is no
    /// harm. A [`Process`](crate::Process) goes on: it ends by itself, or with the pool when that is dropped.
    pub fn terminate(&self) {
        self.shared.close();
    }

    /// Waits until the pool has ended, at most so long: all calls and their callbacks, all workers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`] when the pool was neither closed nor terminated, [`ErrorKind::TimedOut`] when the time is
    /// over first; everything goes on then, and joining again is no harm.
    pub fn join(&self, timeout: Option<Duration>) -> Result<(), Error> {
        if !self.shared.gate.is_shut() {
            let text = "the pool is still open, so waiting for its end would last for ever: close or terminate it first";
            return Err(Error::new(ErrorKind::Misuse, text));
        }
        let until = deadline(timeout);
        if !self.shared.gate.wait_for_feeders(until) {
            return Err(timed_out(timeout, "calls are still under way"));
        }
        self.join_feeders();
        if !self.shared.callbacks.wait_until_done(until) {
            return Err(timed_out(timeout, "callbacks are still running"));
        }
        Ok(())
    }

    /// Waits for threads that have ended or are about to.
    fn join_feeders(&self) {
        let feeders = self.shared.staff().take_feeders();
        for feeder in feeders {
            // One that panicked has ended, too.
            let _ = feeder.join();
        }
        // What dead workers held of shared objects is free once this returns.
        nursery::wait_until_told();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        processes::end_all(&self.shared);
        self.shared.close();
        processes::kill_all(&self.shared);
        self.join_feeders();
    }
}

impl Builder {
    /// Builds a pool for a closure and ends it afterwards, as it is told. A panic ends it at once.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::build`], and [`ErrorKind::TimedOut`] when calls had to be stopped that had so much time to
    /// finish.
    ///
    /// # Examples
    ///
    /// ```
    /// wasmpool::test_support!();
    /// use wasmpool::{Pool, ScopeEnd};
    ///
    /// # fn main() -> Result<(), wasmpool::Error> {
    /// # let text = br#"(module (func (export "double") (param i64) (result i64)
    /// #     (i64.mul (local.get 0) (i64.const 2))))"#;
    /// let handle = Pool::builder().workers(2).scope(ScopeEnd::Finish, |pool| {
    ///     pool.load_bytes("numbers", text)?.task::<i64, i64>("double")?.apply_async(21)
    /// })??;
    /// assert_eq!(handle.get(None)?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<T>(self, end: ScopeEnd, body: impl FnOnce(&Pool) -> T) -> Result<T, Error> {
        let pool = self.build()?;
        let value = body(&pool);
        let limit = match end {
            ScopeEnd::Terminate => {
                pool.terminate();
                None
            }
            ScopeEnd::Finish => {
                pool.close();
                None
            }
            ScopeEnd::FinishWithin(limit) => {
                pool.close();
                Some(limit)
            }
        };
        pool.join(limit)?;
        Ok(value)
    }
}

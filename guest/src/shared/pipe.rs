//! One end of a pipe.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmpool_abi::shared::{Kind, NO_LIMIT, Op};

use super::buffers::with_encoded;
use super::error::{InTime, SharedError};
use super::handle::{Handle, decode, encode, limit, limit_or_none, object};

/// One end of a pipe (Python's `Connection`): sends `S` to the other end, and receives `R` from it.
///
/// Each end is granted by a name of its own. Messages arrive whole and in order. When the other end is closed or gone,
/// and all messages have been received, receiving ends with [`EndOfFile`](super::SharedErrorKind::EndOfFile).
///
/// # Examples
///
/// ```no_run
/// use wasmpool_guest::shared::{PipeEnd, SharedError, SharedErrorKind};
/// use wasmpool_guest::task;
///
/// /// Answers texts with their lengths, until the other end has no more.
/// #[task]
/// fn measure() -> Result<(), SharedError> {
///     let pipe = PipeEnd::<usize, String>::open("right")?;
///     loop {
///         match pipe.recv() {
///             Ok(text) => pipe.send(&text.len())?,
///             Err(error) if error.kind() == SharedErrorKind::EndOfFile => return Ok(()),
///             Err(error) => return Err(error),
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct PipeEnd<S, R = S> {
    handle: Handle,
    messages: PhantomData<fn(S) -> R>,
}

object!(PipeEnd<S, R>);

impl<S, R> PipeEnd<S, R> {
    /// Opens the end of a pipe that was granted as `name`.
    ///
    /// # Errors
    ///
    /// When no end of a pipe of this name was granted.
    pub fn open(name: &str) -> Result<Self, SharedError> {
        Ok(Self { handle: Handle::open(name, Kind::Pipe, None)?, messages: PhantomData })
    }

    /// Sends a message; waits while the pipe is full.
    ///
    /// # Errors
    ///
    /// When an end is closed, or the message cannot be encoded or can never fit.
    pub fn send<Q: Serialize + ?Sized>(&self, message: &Q) -> Result<(), SharedError>
    where
        S: Borrow<Q>,
    {
        self.send_within(message, NO_LIMIT)
    }

    /// The same for so long at most; says whether the message was sent.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn send_for<Q: Serialize + ?Sized>(
        &self,
        message: &Q,
        duration: Duration,
    ) -> Result<bool, SharedError>
    where
        S: Borrow<Q>,
    {
        Ok(self.send_within(message, limit(duration)).in_time()?.is_some())
    }

    fn send_within<Q: Serialize + ?Sized>(&self, message: &Q, limit: i64) -> Result<(), SharedError> {
        with_encoded(|bytes| {
            encode(&self.handle, message, bytes)?;
            self.handle.put(bytes, limit)
        })
    }

    /// Receives a message; waits while there is none.
    ///
    /// # Errors
    ///
    /// [`EndOfFile`](super::SharedErrorKind::EndOfFile) after the last; and when the message cannot be decoded, which
    /// loses it.
    pub fn recv(&self) -> Result<R, SharedError>
    where
        R: DeserializeOwned,
    {
        self.handle.get(NO_LIMIT, |bytes| decode(&self.handle, "a message", bytes))?
    }

    /// The same for so long at most; returns nothing if there is no message in time.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv).
    pub fn recv_for(&self, duration: Duration) -> Result<Option<R>, SharedError>
    where
        R: DeserializeOwned,
    {
        let limit = limit(duration);
        self.handle.get(limit, |bytes| decode(&self.handle, "a message", bytes)).and_then(|got| got).in_time()
    }

    /// Sends bytes as they are; waits while the pipe is full.
    ///
    /// # Errors
    ///
    /// When an end is closed, or the bytes can never fit.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SharedError> {
        self.handle.put(bytes, NO_LIMIT)
    }

    /// Receives a message as it is; waits while there is none.
    ///
    /// # Errors
    ///
    /// [`EndOfFile`](super::SharedErrorKind::EndOfFile) after the last.
    pub fn recv_bytes(&self) -> Result<Vec<u8>, SharedError> {
        self.handle.get(NO_LIMIT, <[u8]>::to_vec)
    }

    /// Waits until there is something to receive, if only the end; says whether there is.
    ///
    /// A duration of zero does not wait, and none waits for ever. Nothing is taken.
    ///
    /// # Errors
    ///
    /// When this end is closed.
    pub fn poll(&self, duration: Option<Duration>) -> Result<bool, SharedError> {
        Ok(self.handle.op(Op::Wait, 0, limit_or_none(duration)).in_time()?.is_some())
    }

    /// Closes this end.
    ///
    /// # Errors
    ///
    /// When it is closed already.
    pub fn close(&self) -> Result<(), SharedError> {
        self.handle.ask(Op::Close).map(|_| ())
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

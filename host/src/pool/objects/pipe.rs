//! Ends of pipes.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{decode, encode};
use super::error::SharedError;
use super::handle::{Handle, for_ever, handle, within};
use super::parties;
use crate::shm::object::patience::Patience;
use crate::shm::object::pipe::PipeEnd as Inner;
use crate::shm::object::{Object, Outcome};

/// One end of a pipe (Python's `Connection`): sends `S` and receives `R`.
///
/// Messages arrive whole and in order. When the other end is closed or gone, and all messages have been received,
/// receiving ends with [`EndOfFile`](super::SharedErrorKind::EndOfFile). Of a one-way pipe, what an end cannot do is
/// [`Infallible`](std::convert::Infallible), which cannot be sent or received.
///
/// Made by [`Pool::pipe`](crate::Pool::pipe) and [`Pool::one_way_pipe`](crate::Pool::one_way_pipe). Of a pipe `p`, tasks
/// open the ends as `p.0` and `p.1`.
///
/// # Who uses an end
///
/// The host program uses an end as long as it has a handle for it, a task from opening it until its call ends. Once
/// nobody uses an end any more, the other end comes to its end. So keep the handle of an end that is granted to tasks until
/// they have opened it, and drop it after that, as Python closes the parent's copy.
///
/// # Examples
///
/// ```
/// wasmpool::test_support!();
/// use wasmpool::shared::SharedErrorKind;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = wasmpool::Pool::builder().workers(1).build()?;
/// let (questions, answers) = pool.pipe::<String, usize>("p")?;
/// questions.send("how long is this?")?;
/// answers.send(&answers.recv()?.len())?;
/// assert_eq!(questions.recv()?, 17);
/// drop(answers);
/// assert_eq!(questions.recv().unwrap_err().kind(), SharedErrorKind::EndOfFile);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Python
///
/// Several threads and tasks may send and receive at one end at once. There is a longest message. A sender that dies
/// half-way has sent nothing.
pub struct PipeEnd<S, R = S> {
    handle: Handle,
    presence: Arc<Presence>,
    messages: PhantomData<fn(S) -> R>,
}

/// The two ends of a pipe: the first sends `A` and receives `B`, the second the other way round.
pub type Pipe<A, B = A> = (PipeEnd<A, B>, PipeEnd<B, A>);

handle!(PipeEnd<S, R> { handle, presence, messages }, Pipe(Inner));

impl<S, R> PipeEnd<S, R> {
    pub(super) fn new(handle: Handle) -> Result<Self, SharedError> {
        let presence = Arc::new(Presence::new(handle.clone())?);
        Ok(Self { handle, presence, messages: PhantomData })
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
        self.send_bytes(&encode(&self.handle, message)?)
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
        let message = encode(&self.handle, message)?;
        let party = self.handle.party()?;
        Ok(self.handle.in_time(self.inner().send(party, &message, &within(duration)))?.is_some())
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
        decode(&self.handle, &self.recv_bytes()?)
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
        let received = self.receive(&within(duration))?;
        match self.handle.in_time(received)? {
            Some(message) => decode(&self.handle, &message).map(Some),
            None => Ok(None),
        }
    }

    /// Sends bytes as they are; waits while the pipe is full.
    ///
    /// # Errors
    ///
    /// When an end is closed, or the bytes can never fit.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SharedError> {
        let party = self.handle.party()?;
        self.handle.said(self.inner().send(party, bytes, &for_ever()))
    }

    /// Receives a message as it is; waits while there is none.
    ///
    /// # Errors
    ///
    /// [`EndOfFile`](super::SharedErrorKind::EndOfFile) after the last.
    pub fn recv_bytes(&self) -> Result<Vec<u8>, SharedError> {
        let received = self.receive(&for_ever())?;
        self.handle.said(received)
    }

    fn receive(&self, patience: &Patience<'_>) -> Result<Outcome<Vec<u8>>, SharedError> {
        let party = self.handle.party()?;
        let mut message = Vec::new();
        Ok(self.inner().receive(party, patience, &mut message).map(|()| message))
    }

    /// Waits until there is something to receive, if only the end; says whether there is.
    ///
    /// A duration of zero does not wait, and none waits for ever. Nothing is taken.
    ///
    /// # Errors
    ///
    /// When this end is closed.
    pub fn poll(&self, duration: Option<Duration>) -> Result<bool, SharedError> {
        let patience = duration.map_or_else(for_ever, within);
        Ok(self.handle.in_time(self.inner().poll(&patience))?.is_some())
    }

    /// Closes this end, for everyone who uses it.
    ///
    /// # Errors
    ///
    /// When it is closed already.
    pub fn close(&self) -> Result<(), SharedError> {
        let party = self.handle.party()?;
        self.handle.said(self.inner().close(party))
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// That the host program uses an end; the last of its handles that goes takes this along.
#[derive(Debug)]
struct Presence {
    handle: Handle,
}

impl Presence {
    fn new(handle: Handle) -> Result<Self, SharedError> {
        // Not the thread's own number: handles outlive threads.
        let party = handle.said(parties::of_this_process())?;
        handle.said(end_of(&handle).join(party))?;
        Ok(Self { handle })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Ok(party) = parties::of_this_process() {
            end_of(&self.handle).leave(party);
        }
    }
}

fn end_of(handle: &Handle) -> &Inner {
    match handle.object() {
        Object::Pipe(end) => end,
        other => unreachable!("only handles of pipes come here, not {other:?}"),
    }
}

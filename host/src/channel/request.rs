//! What a call asks of its supervisor: to run further calls, and to wait for them.
//!
//! Requests travel up in the ring of printed lines, in pieces, in order with everything else that the worker says. No
//! answer goes back but the acknowledgement of a wait, and then an order that resumes the call. A request names the
//! call that makes it; whether that call is the one that runs is the supervisor's to judge.
//!
//! ```text
//! u32 length of what follows | u8 what | u32 generation | u32 call | u64 number | ...
//!   submit: u8 length of the task's name | name | inputs, as `wasmpool_abi::nesting` says
//!   wait:   u8 whether the worker can help
//!   forget: nothing
//! ```

use wasmpool_abi::{TASK_NAME_BYTES_MAX, VALUE_BYTES_MAX};

/// Most bytes of a request: the largest inputs and what goes before them.
const REQUEST_BYTES_MAX: usize = VALUE_BYTES_MAX + 512;

/// Bytes of the length before a request.
const LENGTH_BYTES: usize = 4;

/// What a call asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Generation of the order that the call belongs to.
    pub(crate) generation: u32,
    /// Its number in that order.
    pub(crate) call: u32,
    /// Number of the submission, which grows from one to the next.
    pub(crate) number: u64,
    /// What is to be done.
    pub(crate) asks: Asks,
}

/// What is to be done with a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Run these calls.
    Submit {
        /// Name of the task.
        task: String,
        /// The inputs of its calls.
        inputs: Vec<u8>,
    },
    /// Tell what came of them; the call stands still until then.
    Wait {
        /// Whether its worker can run others meanwhile.
        can_help: bool,
    },
    /// Nobody wants them any more.
    Forget,
}

/// A request that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

impl Request {
    /// The request as it travels.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH_BYTES];
        bytes.push(match self.asks {
            Asks::Submit { .. } => 0,
            Asks::Wait { .. } => 1,
            Asks::Forget => 2,
        });
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.call.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        match &self.asks {
            Asks::Submit { task, inputs } => {
                bytes.push(task.len() as u8);
                bytes.extend_from_slice(task.as_bytes());
                bytes.extend_from_slice(inputs);
            }
            Asks::Wait { can_help } => bytes.push(u8::from(*can_help)),
            Asks::Forget => {}
        }
        let length = (bytes.len() - LENGTH_BYTES) as u32;
        bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (what, rest) = bytes.split_first()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (call, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let asks = match (*what, rest) {
            (0, [length, rest @ ..]) => {
                let (task, inputs) = rest.split_at_checked(usize::from(*length))?;
                let task = std::str::from_utf8(task).ok().filter(|task| task.len() <= TASK_NAME_BYTES_MAX)?;
                Asks::Submit { task: task.to_owned(), inputs: inputs.to_vec() }
            }
            (1, [can_help @ (0 | 1)]) => Asks::Wait { can_help: *can_help == 1 },
            (2, []) => Asks::Forget,
            _ => return None,
        };
        Some(Self {
            generation: u32::from_le_bytes(*generation),
            call: u32::from_le_bytes(*call),
            number: u64::from_le_bytes(*number),
            asks,
        })
    }
}

/// Puts requests together from the pieces in which they come.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    bytes: Vec<u8>,
}

impl Assembler {
    /// Takes a piece; returns the request that it completes, if it does.
    ///
    /// # Errors
    ///
    /// [`Garbled`] when no honest worker can have written this.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Option<Request>, Garbled> {
        if self.bytes.is_empty() && piece.len() < LENGTH_BYTES {
            return Err(Garbled);
        }
        self.bytes.extend_from_slice(piece);
        let (length, request) = self.bytes.split_first_chunk().ok_or(Garbled)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > REQUEST_BYTES_MAX || request.len() > length {
            return Err(Garbled);
        }
        if request.len() < length {
            return Ok(None);
        }
        let request = Request::from_bytes(request).ok_or(Garbled)?;
        // A large one leaves no large buffer behind.
        self.bytes = Vec::new();
        Ok(Some(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> [Request; 4] {
        let with = |asks| Request { generation: 7, call: 3, number: 1 << 40, asks };
        [
            with(Asks::Submit { task: "fib".into(), inputs: vec![1; 100_000] }),
            with(Asks::Wait { can_help: true }),
            with(Asks::Wait { can_help: false }),
            with(Asks::Forget),
        ]
    }

    #[test]
    fn requests_come_together_from_pieces() {
        let mut assembler = Assembler::default();
        for request in requests() {
            let bytes = request.to_bytes();
            let mut pieces = bytes.chunks(1000).peekable();
            while let Some(piece) = pieces.next() {
                let complete = pieces.peek().is_none().then(|| request.clone());
                assert_eq!(assembler.take(piece), Ok(complete));
            }
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let long = (REQUEST_BYTES_MAX as u32 + 1).to_le_bytes();
        let mut wait = Request { asks: Asks::Wait { can_help: true }, ..requests()[3].clone() }.to_bytes();
        *wait.last_mut().unwrap() = 2;
        let unknown = [17, 0, 0, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
        for bytes in [&[][..], &[1, 0], &[0; 5], &[1, 0, 0, 0, 0], &long, &wait, &unknown] {
            assert_eq!(Assembler::default().take(bytes), Err(Garbled), "{bytes:?}");
        }
        let mut submit = requests()[0].to_bytes();
        submit[LENGTH_BYTES + 17] = 255;
        submit.truncate(60);
        submit[..LENGTH_BYTES].copy_from_slice(&56u32.to_le_bytes());
        assert_eq!(Assembler::default().take(&submit), Err(Garbled), "a name beyond the end");
    }
}

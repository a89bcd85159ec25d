//! The pull loop: asks for a call, runs it, answers, until there are no more.
//!
//! The protocol is drawn in `wasmpool_abi`. The loop knows the host by a trait, so that tests can be the host.

use std::io::Write;
use std::mem;
use std::sync::{Mutex, PoisonError};

use wasmpool_abi::Done;

/// The host's side of the protocol.
pub(crate) trait Host {
    /// Starts the next call and returns the length of its input, which is now in `buffer` if it fits there.
    fn next(&mut self, buffer: &mut [u8]) -> Option<usize>;

    /// Copies the running call's input to `buffer`, which is at least as long.
    fn fetch(&mut self, buffer: &mut [u8]);

    /// Ends the running call.
    fn done(&mut self, kind: Done, bytes: &[u8]);
}

/// Least room for inputs: enough for most, and cheap to clear in a fresh instance.
const INPUT_BYTES_MIN: usize = 1024;

/// Buffers that grew beyond this are given back after the call, lest one huge call cost an instance its memory.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Memory for inputs and answers, reused from call to call.
struct Buffers {
    /// As long as there is room: the host may write anywhere in it.
    input: Vec<u8>,
    output: Vec<u8>,
}

/// The instance's buffers between two blocks of calls.
static IDLE: Mutex<Buffers> = Mutex::new(Buffers::EMPTY);

/// Serves a block of calls; `call` decodes the input, runs the task and leaves its answer in the empty vector.
pub(crate) fn serve(host: &mut impl Host, call: &mut dyn FnMut(&[u8], &mut Vec<u8>) -> Done) {
    let mut buffers = Buffers::take();
    while let Some(length) = host.next(&mut buffers.input) {
        if length > buffers.input.len() {
            buffers.make_room(length);
            host.fetch(&mut buffers.input);
        }
        let done = call(&buffers.input[..length], &mut buffers.output);
        flush_stdout();
        host.done(done, &buffers.output);
        buffers.tidy();
    }
    buffers.put_back();
}

/// Writes out what `print!` has left unfinished; it would come out in the next call.
pub(crate) fn flush_stdout() {
    // A host that takes no output has its reason; it is not the task's failure.
    let _ = std::io::stdout().flush();
}

impl Buffers {
    const EMPTY: Self = Self { input: Vec::new(), output: Vec::new() };

    fn take() -> Self {
        let mut buffers = {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            mem::replace(&mut *idle, Self::EMPTY)
        };
        if buffers.input.is_empty() {
            buffers.make_room(0);
        }
        buffers
    }

    fn put_back(self) {
        *IDLE.lock().unwrap_or_else(PoisonError::into_inner) = self;
    }

    /// Makes room for an input; at least twice what there was, so that inputs that grow slowly are not each fetched.
    fn make_room(&mut self, bytes: usize) {
        self.input = vec![0; bytes.max(2 * self.input.len()).max(INPUT_BYTES_MIN)];
    }

    fn tidy(&mut self) {
        self.output.clear();
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.capacity() > KEPT_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that checks the order of what it is asked, as a worker does.
    struct Script {
        inputs: std::vec::IntoIter<Vec<u8>>,
        running: Option<Vec<u8>>,
        capacities: Vec<usize>,
        fetches: usize,
        answers: Vec<(Done, Vec<u8>)>,
    }

    impl Script {
        fn new(inputs: Vec<Vec<u8>>) -> Self {
            let inputs = inputs.into_iter();
            Self { inputs, running: None, capacities: Vec::new(), fetches: 0, answers: Vec::new() }
        }
    }

    impl Host for Script {
        fn next(&mut self, buffer: &mut [u8]) -> Option<usize> {
            assert!(self.running.is_none(), "`next` while a call runs");
            self.capacities.push(buffer.len());
            let input = self.inputs.next()?;
            if let Some(place) = buffer.get_mut(..input.len()) {
                place.copy_from_slice(&input);
            }
            let length = input.len();
            self.running = Some(input);
            Some(length)
        }

        fn fetch(&mut self, buffer: &mut [u8]) {
            let input = self.running.as_ref().expect("`fetch` while no call runs");
            buffer[..input.len()].copy_from_slice(input);
            self.fetches += 1;
        }

        fn done(&mut self, kind: Done, bytes: &[u8]) {
            self.running.take().expect("`done` while no call runs");
            self.answers.push((kind, bytes.to_vec()));
        }
    }

    fn echo(host: &mut Script) {
        serve(host, &mut |input, output| {
            assert!(output.is_empty());
            output.extend_from_slice(input);
            Done::Returned
        });
    }

    #[test]
    fn every_input_is_answered_once_and_in_order() {
        let inputs: Vec<_> = (0..50).map(|length| vec![b'x'; length * 100]).collect();
        let mut host = Script::new(inputs.clone());
        echo(&mut host);
        let expected: Vec<_> = inputs.into_iter().map(|input| (Done::Returned, input)).collect();
        assert_eq!(host.answers, expected);
        assert!(host.fetches < 5, "the buffer grows by steps, {} fetches", host.fetches);
    }

    #[test]
    fn a_huge_call_leaves_no_huge_buffer() {
        let mut host = Script::new(vec![vec![1; KEPT_BYTES_MAX + 1], vec![2; 10]]);
        echo(&mut host);
        assert_eq!(host.answers[0].1.len(), KEPT_BYTES_MAX + 1);
        assert_eq!(host.answers[1].1, [2; 10]);
        assert!(host.capacities.iter().all(|&capacity| capacity >= INPUT_BYTES_MIN || capacity == 0));
        assert!(host.capacities[1..].iter().all(|&capacity| capacity <= KEPT_BYTES_MAX));
    }

    #[test]
    fn an_empty_block_ends_at_once() {
        let mut host = Script::new(Vec::new());
        serve(&mut host, &mut |_, _| unreachable!("there is no call"));
        assert!(host.answers.is_empty());
    }
}

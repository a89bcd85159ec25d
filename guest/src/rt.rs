//! What the code written by `#[task]` calls; no part of the public interface.
//!
//! A call is decode, run, encode. Only that much is compiled per task; the loop around it is compiled once.

pub use wasmpool_abi::section::TaskDescription;

pub use crate::arguments::{Arguments, Lent, lend, parameter};
pub use crate::returned::{Answer, Plain, Returned, flags, result};

use wasmpool_abi::{Codec, Done};

use crate::codec;

/// Runs one call: decodes `input` into `A`, and gives it to `task` with the place for the answer.
///
/// `names` are the parameters', for messages. What is to be told to the host is left in `output`, which was empty.
pub fn call<A: Arguments>(
    codec: Codec,
    names: &[&str],
    input: &[u8],
    output: &mut Vec<u8>,
    task: impl FnOnce(A, Answer<'_>) -> Done,
) -> Done {
    match codec::decode(codec, names, input) {
        Ok(arguments) => task(arguments, Answer::new(codec, output)),
        Err(why) => {
            output.extend_from_slice(why.as_bytes());
            Done::Refused
        }
    }
}

/// Serves a block of calls of one task, until the host has no more.
///
/// # Panics
///
/// When the host asks for a codec that this SDK does not know.
#[cfg(target_family = "wasm")]
pub fn serve<A: Arguments>(codec: i32, names: &[&str], mut task: impl FnMut(A, Answer<'_>) -> Done) {
    let codec = Codec::from_code(codec).unwrap_or_else(|| {
        panic!("codec {codec} is unknown to this wasmpool-guest; build the module with a newer one")
    });
    crate::imports::serve(&mut |input, output| call(codec, names, input, output, &mut task));
}

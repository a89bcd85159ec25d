//! What only programs have: arguments, and a stdin with something on it.
//!
//! Tasks have these functions, too, because whatever is linked against a standard library imports them; they have no
//! arguments, and their stdin is at its end.

use super::files::{BLOCK_BYTES, Buffers};
use super::{Guest, Outcome, WasiHost, element};

/// The arguments of a program, its name first.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// How many there are.
    pub(crate) count: u32,
    /// One after the other, each with a zero byte behind it.
    pub(crate) text: Vec<u8>,
}

pub(super) fn args_get<T: WasiHost>(mut guest: Guest<'_, T>, pointers: u32, text: u32) -> Outcome {
    let arguments = std::mem::take(guest.host().arguments());
    let written = write(&mut guest, &arguments, pointers, text);
    *guest.host().arguments() = arguments;
    written
}

fn write<T: WasiHost>(guest: &mut Guest<'_, T>, arguments: &Arguments, pointers: u32, text: u32) -> Outcome {
    if arguments.count == 0 {
        return Ok(());
    }
    guest.write(text, &arguments.text)?;
    let mut address = text;
    for (index, argument) in (0..).zip(arguments.text.split_inclusive(|byte| *byte == 0)) {
        guest.write_u32(element(pointers, index, 4)?, address)?;
        // All of the text lies in memory, so the next address is at most the end of the address space.
        address = address.wrapping_add(argument.len() as u32);
    }
    Ok(())
}

pub(super) fn args_sizes_get<T: WasiHost>(mut guest: Guest<'_, T>, count: u32, text_bytes: u32) -> Outcome {
    let Arguments { count: arguments, text } = guest.host().arguments();
    // The text came in a region of far less than 4 GiB.
    let (arguments, bytes) = (*arguments, text.len() as u32);
    guest.write_u32(count, arguments)?;
    guest.write_u32(text_bytes, bytes)
}

/// Fills the guest's buffers, one after the other, as far as there is something on stdin.
pub(super) fn read_stdin<T: WasiHost>(
    mut guest: Guest<'_, T>,
    iovecs: u32,
    count: u32,
    read: u32,
) -> Outcome {
    let buffers = Buffers::new(&guest, iovecs, count)?;
    let left = usize::try_from(guest.host().stdin_bytes()).unwrap_or(usize::MAX);
    let mut block = vec![0; buffers.bytes.min(left).min(BLOCK_BYTES)];
    let mut total = 0;
    for (address, length) in buffers.pieces(BLOCK_BYTES) {
        let piece = length.min(block.len());
        let took = guest.host().read_stdin(&mut block[..piece]);
        guest.write(address, &block[..took])?;
        total += took;
        if took < length {
            break;
        }
    }
    guest.write_u32(read, total as u32)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Caller;
    use super::*;
    use crate::sandbox::wasi::errno::Errno;

    const SUCCESS: i32 = Errno::Success as i32;
    const FAULT: i32 = Errno::Fault as i32;

    fn with_arguments(arguments: &[&str]) -> Caller {
        let mut caller = Caller::new();
        let text = arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
        caller.store.data_mut().arguments = Arguments { count: arguments.len() as u32, text };
        caller
    }

    #[test]
    fn arguments_are_there_each_time_that_they_are_asked_for() {
        let mut caller = with_arguments(&["app", "", "größer"]);
        for _ in 0..2 {
            assert_eq!(caller.call("args_sizes_get", &[100, 104]), SUCCESS);
            assert_eq!((caller.u32(100), caller.u32(104)), (3, 14));
            assert_eq!(caller.call("args_get", &[200, 300]), SUCCESS);
            assert_eq!([caller.u32(200), caller.u32(204), caller.u32(208)], [300, 304, 305]);
            assert_eq!(caller.bytes(300, 14), "app\0\0größer\0".as_bytes());
        }
    }

    #[test]
    fn arguments_that_do_not_fit_are_a_fault_and_stay() {
        let mut caller = with_arguments(&["app", "b"]);
        assert_eq!(caller.call("args_get", &[200, 2 * 65_536 - 5]), FAULT);
        assert_eq!(caller.call("args_get", &[2 * 65_536 - 4, 300]), FAULT);
        assert_eq!(caller.call("args_get", &[200, 2 * 65_536 - 6]), SUCCESS);
    }

    #[test]
    fn stdin_is_read_piece_by_piece_and_then_at_its_end() {
        let mut caller = Caller::new();
        caller.store.data_mut().stdin = b"hello, world".to_vec();
        caller.put_u32s(0, &[1_000, 5, 2_000, 0, 3_000, 4]);
        assert_eq!((caller.call("fd_read", &[0, 0, 3, 100]), caller.u32(100)), (SUCCESS, 9));
        assert_eq!((caller.bytes(1_000, 5), caller.bytes(3_000, 4)), (b"hello".to_vec(), b", wo".to_vec()));
        assert_eq!((caller.call("fd_read", &[0, 0, 3, 100]), caller.u32(100)), (SUCCESS, 3));
        assert_eq!(caller.bytes(1_000, 3), b"rld");
        assert_eq!((caller.call("fd_read", &[0, 0, 3, 100]), caller.u32(100)), (SUCCESS, 0));
    }

    #[test]
    fn stdin_is_not_lost_over_a_bad_address() {
        let mut caller = Caller::new();
        caller.store.data_mut().stdin = b"hello".to_vec();
        caller.put_u32s(0, &[1_000, 2, 2 * 65_536 - 1, 2]);
        assert_eq!(caller.call("fd_read", &[0, 0, 2, 100]), FAULT);
        assert_eq!(caller.store.data().stdin, b"hello");
    }
}

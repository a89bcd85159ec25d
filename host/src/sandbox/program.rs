//! A program: what a run of a module's `_start` has that calls of tasks have not.
//!
//! Its arguments come in its [`invocation`], and so does its stdin, which stays in the region until the program reads
//! it. What it writes to stdout is its result, collected here. A run that goes wrong leaves nothing: each has an
//! instance of its own, and this goes with it.

use super::wasi::{Arguments, Stop};
use crate::channel::desk::{Desk, Input};
use crate::channel::invocation::{HEAD_BYTES, Head};

/// The streams of the running program.
#[derive(Debug)]
pub(super) struct Program {
    /// Where in the down region the rest of its stdin is.
    stdin_at: usize,
    stdin_bytes: usize,
    stdout: Vec<u8>,
    stdout_bytes_max: usize,
}

impl Program {
    /// What the desk has for a run that it has begun.
    ///
    /// # Errors
    ///
    /// When that is no invocation.
    pub(super) fn new(desk: &Desk, call: u32) -> wasmtime::Result<(Self, Arguments)> {
        let no_invocation = || wasmtime::Error::msg("a program was ordered without an invocation");
        let Input::Bytes { offset, length } = desk.input(call, 0) else { return Err(no_invocation()) };
        let down = desk.regions().0;
        let mut head = [0; HEAD_BYTES];
        if length < HEAD_BYTES {
            return Err(no_invocation());
        }
        down.read(offset, &mut head);
        let head = Head::read(head, length).ok_or_else(no_invocation)?;
        let mut text = vec![0; head.text_bytes as usize];
        down.read(offset + HEAD_BYTES, &mut text);
        let before_stdin = HEAD_BYTES + text.len();
        let program = Self {
            stdin_at: offset + before_stdin,
            stdin_bytes: length - before_stdin,
            stdout: Vec::new(),
            stdout_bytes_max: desk.result_bytes_max(),
        };
        Ok((program, Arguments { count: head.arguments, text }))
    }

    /// Bytes that are left on stdin.
    pub(super) fn stdin_bytes(&self) -> usize {
        self.stdin_bytes
    }

    /// Takes bytes from stdin; returns how many it was, none at its end.
    pub(super) fn read_stdin(&mut self, desk: &Desk, into: &mut [u8]) -> usize {
        let count = into.len().min(self.stdin_bytes);
        desk.regions().0.read(self.stdin_at, &mut into[..count]);
        self.stdin_at += count;
        self.stdin_bytes -= count;
        count
    }

    /// Takes what the program writes to stdout.
    ///
    /// # Errors
    ///
    /// Ends the run when that is more than a result may have, or more than this process has memory for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let fits = bytes.len() <= self.stdout_bytes_max - self.stdout.len();
        if !fits || self.stdout.try_reserve(bytes.len()).is_err() {
            return Err(Stop::ResultTooLarge);
        }
        self.stdout.extend_from_slice(bytes);
        Ok(())
    }

    /// All that it wrote to stdout.
    pub(super) fn into_stdout(self) -> Vec<u8> {
        self.stdout
    }
}

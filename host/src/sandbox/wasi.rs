//! Our own functions of WASI preview 1, for tasks of all kinds.
//!
//! A numeric or SDK task has no arguments and no input; what its language's library still asks for is somewhere to
//! print, the time, the environment it was granted, random bytes, a way to sleep or exit, and the files in the
//! directories that it was granted ([`files`], [`paths`]). A program that is run as a task has arguments and a stdin,
//! too ([`program`]), and what it prints is its result. These functions give just that, in a quarter of the time that
//! wasmtime-wasi takes and without its threads. The one program of `run` is wasmtime-wasi's.
//!
//! What a printed byte, a nanosecond or a variable *is* stays with the host ([`WasiHost`]); this file knows the
//! layouts of preview 1 and trusts nothing that a guest passes. Each address and length is checked by
//! [`super::memory`], lists have limits, and nothing is allocated by a guest's count before it is checked.
//!
//! All of preview 1 is here but sockets and signals: a module that imports one of those is told so when it is loaded
//! ([`super::catalog::Catalog::ungranted_imports`]), not in the middle of a call. Functions on files are there for
//! everyone, because whatever is linked against a standard library imports them; what they reach is what was granted,
//! by default nothing.
//!
//! Layouts: <https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>

pub(crate) mod errno;
mod files;
mod paths;
mod program;

use std::time::Duration;

use wasmtime::{Caller, Linker, Memory};

use self::errno::Errno;
use self::files::{
    fd_advise, fd_allocate, fd_datasync, fd_fdstat_set_rights, fd_filestat_set_size, fd_filestat_set_times,
    fd_pread, fd_prestat_dir_name, fd_prestat_get, fd_pwrite, fd_readdir, fd_renumber, fd_sync, fd_tell,
};
use self::paths::{
    path_create_directory, path_filestat_get, path_filestat_set_times, path_link, path_open, path_readlink,
    path_remove_directory, path_rename, path_symlink, path_unlink_file,
};
pub(crate) use self::program::Arguments;
use self::program::{args_get, args_sizes_get};
use super::driver::{Number, Signature};
use super::files::{At, FIRST, Files};
use super::host_calls::HostCall;
use super::memory::{self, OutOfBounds, Protected};
use crate::channel::ring::Stream;

/// Module name under which guests import these functions.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// Buffers of one `fd_write` or `fd_read`, as POSIX has it.
const IOVECS_MAX: u32 = 1_024;
/// Subscriptions of one `poll_oneoff`.
const SUBSCRIPTIONS_MAX: u32 = 1_024;
/// Bytes that are copied out of or into the guest at a time, on the stack.
const CHUNK_BYTES: usize = 1_024;

/// What these functions need of whoever runs the call; it is the store's data.
pub(crate) trait WasiHost: Protected {
    /// The guest's memory, known once it is instantiated. Without one, whatever takes an address fails.
    fn memory(&self) -> Option<Memory>;

    /// Notes which function it is in.
    fn enters(&mut self, _function: HostCall) {}

    /// Takes what the guest wrote, a piece at a time.
    ///
    /// # Errors
    ///
    /// Ends the call with that reason.
    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop>;

    /// What a program is started with; a task has none.
    fn arguments(&mut self) -> &mut Arguments;

    /// Bytes that are left on stdin.
    fn stdin_bytes(&self) -> u64;

    /// Takes bytes from stdin, as many as there are and `into` holds; returns how many it was.
    fn read_stdin(&mut self, into: &mut [u8]) -> usize;

    /// What the standard streams are, by preview 1's number: what somebody looks at, or what is only collected.
    fn stream_type(&self) -> u8;

    /// The variables that this call was granted.
    fn environment(&self) -> &[(String, String)];

    /// Returns after that time.
    ///
    /// # Errors
    ///
    /// Ends the call with that reason.
    fn sleep(&mut self, duration: Duration) -> Result<(), Stop>;

    /// Fills `out` with random bytes.
    fn random(&mut self, out: &mut [u8]);

    /// Nanoseconds since that clock's beginning.
    fn now(&mut self, clock: Clock) -> u64;

    /// What the guest was granted of the file system, and has opened there.
    fn files(&mut self) -> &mut Files;
}

/// Clocks that a guest can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Time since 1970; can be set back.
    Realtime,
    /// Time since some moment; never goes back.
    Monotonic,
}

/// Why a host function ended the call. It travels as a trap and is found again by `Error::downcast_ref`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The guest called `proc_exit`; 0 means success where a whole program runs.
    #[error("the guest exited with code {0}")]
    Exit(u32),
    /// The call printed more than it may.
    #[error("the call printed more than its limit")]
    OutputTooLarge,
    /// What a program wrote to its stdout is more than a result may have.
    #[error("result too large")]
    ResultTooLarge,
}

/// How a function fails: for the guest to handle, or for good.
enum Failure {
    Errno(Errno),
    Stop(Stop),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<OutOfBounds> for Failure {
    fn from(_: OutOfBounds) -> Self {
        Self::Errno(Errno::Fault)
    }
}

type Outcome = Result<(), Failure>;

macro_rules! number {
    (u32) => {
        Number::I32
    };
    (u64) => {
        Number::I64
    };
}

/// Links functions and knows their types from one list. All of them return an error code.
macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ident),*);)*) => {
        /// Adds all functions to a linker.
        ///
        /// # Errors
        ///
        /// When the linker has one of them already.
        pub(crate) fn add_to_linker<T: WasiHost + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
            $(
                linker.func_wrap(
                    MODULE,
                    stringify!($name),
                    |mut caller: Caller<'_, T>, $($argument: $type),*| {
                        caller.data_mut().enters(const { HostCall::named(stringify!($name)) });
                        finish($name(Guest { caller }, $($argument),*))
                    },
                )?;
            )*
            linker.func_wrap(MODULE, PROC_EXIT, proc_exit)?;
            Ok(())
        }

        /// The names of all functions that can be the last before a worker's death.
        pub(super) const NAMES: [&str; const { [$(stringify!($name)),*].len() }] = [$(stringify!($name)),*];

        /// The type of a function of this name, if there is one.
        pub(crate) fn signature(name: &str) -> Option<Signature> {
            let parameters = match name {
                $(stringify!($name) => vec![$(number!($type)),*],)*
                PROC_EXIT => return Some(Signature { parameters: vec![Number::I32], results: vec![] }),
                _ => return None,
            };
            Some(Signature { parameters, results: vec![Number::I32] })
        }
    };
}

functions! {
    args_get(pointers: u32, text: u32);
    args_sizes_get(count: u32, text_bytes: u32);
    environ_get(pointers: u32, text: u32);
    environ_sizes_get(count: u32, text_bytes: u32);
    clock_res_get(clock: u32, resolution: u32);
    clock_time_get(clock: u32, precision: u64, time: u32);
    fd_advise(fd: u32, offset: u64, length: u64, advice: u32);
    fd_allocate(fd: u32, offset: u64, length: u64);
    fd_close(fd: u32);
    fd_datasync(fd: u32);
    fd_fdstat_get(fd: u32, stat: u32);
    fd_fdstat_set_flags(fd: u32, flags: u32);
    fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
    fd_filestat_get(fd: u32, stat: u32);
    fd_filestat_set_size(fd: u32, bytes: u64);
    fd_filestat_set_times(fd: u32, access_ns: u64, modification_ns: u64, flags: u32);
    fd_pread(fd: u32, iovecs: u32, iovec_count: u32, offset: u64, read: u32);
    fd_prestat_dir_name(fd: u32, path: u32, path_bytes: u32);
    fd_prestat_get(fd: u32, prestat: u32);
    fd_pwrite(fd: u32, iovecs: u32, iovec_count: u32, offset: u64, written: u32);
    fd_read(fd: u32, iovecs: u32, iovec_count: u32, read: u32);
    fd_readdir(fd: u32, buffer: u32, length: u32, cookie: u64, used: u32);
    fd_renumber(from: u32, to: u32);
    fd_seek(fd: u32, offset: u64, whence: u32, position: u32);
    fd_sync(fd: u32);
    fd_tell(fd: u32, position: u32);
    fd_write(fd: u32, iovecs: u32, iovec_count: u32, written: u32);
    path_create_directory(fd: u32, path: u32, path_bytes: u32);
    path_filestat_get(fd: u32, lookup: u32, path: u32, path_bytes: u32, stat: u32);
    path_filestat_set_times(
        fd: u32,
        lookup: u32,
        path: u32,
        path_bytes: u32,
        access_ns: u64,
        modification_ns: u64,
        flags: u32
    );
    path_link(
        fd: u32,
        lookup: u32,
        path: u32,
        path_bytes: u32,
        new_fd: u32,
        new_path: u32,
        new_path_bytes: u32
    );
    path_open(
        fd: u32,
        lookup: u32,
        path: u32,
        path_bytes: u32,
        open: u32,
        rights: u64,
        inheriting: u64,
        flags: u32,
        opened: u32
    );
    path_readlink(fd: u32, path: u32, path_bytes: u32, buffer: u32, length: u32, used: u32);
    path_remove_directory(fd: u32, path: u32, path_bytes: u32);
    path_rename(fd: u32, path: u32, path_bytes: u32, new_fd: u32, new_path: u32, new_path_bytes: u32);
    path_symlink(target: u32, target_bytes: u32, fd: u32, path: u32, path_bytes: u32);
    path_unlink_file(fd: u32, path: u32, path_bytes: u32);
    poll_oneoff(subscriptions: u32, events: u32, count: u32, ready: u32);
    random_get(buffer: u32, length: u32);
    sched_yield();
}

const PROC_EXIT: &str = "proc_exit";

/// The only function that returns nothing, for it does not return.
fn proc_exit(code: u32) -> wasmtime::Result<()> {
    Err(Stop::Exit(code).into())
}

fn finish(outcome: Outcome) -> wasmtime::Result<i32> {
    match outcome {
        Ok(()) => Ok(Errno::Success as i32),
        Err(Failure::Errno(errno)) => Ok(errno as i32),
        Err(Failure::Stop(stop)) => Err(stop.into()),
    }
}

/// The calling guest.
struct Guest<'a, T: 'static> {
    caller: Caller<'a, T>,
}

impl<T: WasiHost> Guest<'_, T> {
    fn host(&mut self) -> &mut T {
        self.caller.data_mut()
    }

    fn memory(&self) -> Result<Memory, Failure> {
        self.caller.data().memory().ok_or(Failure::Errno(Errno::Fault))
    }

    fn read(&self, address: u32, out: &mut [u8]) -> Outcome {
        let memory = self.memory()?;
        Ok(memory::read(&self.caller, memory, address, out)?)
    }

    fn read_array<const N: usize>(&self, address: u32) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Outcome {
        let memory = self.memory()?;
        Ok(memory::write(&mut self.caller, memory, address, bytes)?)
    }

    fn write_u32(&mut self, address: u32, value: u32) -> Outcome {
        self.write(address, &value.to_le_bytes())
    }

    fn write_u64(&mut self, address: u32, value: u64) -> Outcome {
        self.write(address, &value.to_le_bytes())
    }

    fn check(&self, address: u32, length: u32) -> Outcome {
        let memory = self.memory()?;
        Ok(memory::check(&self.caller, memory, address, length as usize)?)
    }

    /// The buffer at a place of a list of buffers: address and length.
    fn iovec(&self, iovecs: u32, index: u32) -> Result<(u32, u32), Failure> {
        let cell = self.read_array::<8>(element(iovecs, index, 8)?)?;
        Ok((u32_at(&cell, 0), u32_at(&cell, 4)))
    }
}

/// Address of an element of a list; addresses do not wrap around.
fn element(list: u32, index: u32, size: u32) -> Result<u32, Failure> {
    let address = index.checked_mul(size).and_then(|offset| list.checked_add(offset));
    address.ok_or(Failure::Errno(Errno::Fault))
}

/// The little-endian number at an offset that is known to be inside.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The same, eight bytes long.
fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

// Environment.

/// Writes `NAME=VALUE` and a zero byte for each variable, and where each begins.
fn environ_get<T: WasiHost>(mut guest: Guest<'_, T>, pointers: u32, text: u32) -> Outcome {
    let mut address = text;
    let mut index = 0;
    while let Some((name, value)) = guest.host().environment().get(index as usize) {
        let variable = format!("{name}={value}\0");
        guest.write_u32(element(pointers, index, 4)?, address)?;
        guest.write(address, variable.as_bytes())?;
        // What was just written lies in memory, so the next address is at most the end of the address space.
        address = address.wrapping_add(variable.len() as u32);
        index += 1;
    }
    Ok(())
}

fn environ_sizes_get<T: WasiHost>(mut guest: Guest<'_, T>, count: u32, text_bytes: u32) -> Outcome {
    let environment = guest.host().environment();
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let variables = u32::try_from(environment.len()).map_err(|_| Errno::Overflow)?;
    let bytes = u32::try_from(bytes).map_err(|_| Errno::Overflow)?;
    guest.write_u32(count, variables)?;
    guest.write_u32(text_bytes, bytes)
}

// Time and chance.

fn clock(id: u32) -> Result<Clock, Failure> {
    match id {
        0 => Ok(Clock::Realtime),
        1 => Ok(Clock::Monotonic),
        // Processor time of process and thread would tell about other calls.
        _ => Err(Errno::Invalid.into()),
    }
}

fn clock_res_get<T: WasiHost>(mut guest: Guest<'_, T>, id: u32, resolution: u32) -> Outcome {
    clock(id)?;
    guest.write_u64(resolution, 1)
}

fn clock_time_get<T: WasiHost>(mut guest: Guest<'_, T>, id: u32, _precision: u64, time: u32) -> Outcome {
    let clock = clock(id)?;
    let now = guest.host().now(clock);
    guest.write_u64(time, now)
}

fn random_get<T: WasiHost>(mut guest: Guest<'_, T>, buffer: u32, length: u32) -> Outcome {
    guest.check(buffer, length)?;
    let mut chunk = [0; CHUNK_BYTES];
    let mut done = 0;
    while done < length {
        let bytes = &mut chunk[..CHUNK_BYTES.min((length - done) as usize)];
        guest.host().random(bytes);
        guest.write(buffer + done, bytes)?;
        done += bytes.len() as u32;
    }
    Ok(())
}

fn sched_yield<T: WasiHost>(_: Guest<'_, T>) -> Outcome {
    std::thread::yield_now();
    Ok(())
}

// Descriptors: 0 is read from, 1 and 2 are written to, the others are files.

const STDIN: u32 = 0;

/// What is neither a terminal nor a file: libraries then write in large pieces.
pub(crate) const FILE_TYPE_UNKNOWN: u8 = 0;
/// What libraries take for a terminal: they write line by line.
pub(crate) const FILE_TYPE_CHARACTER_DEVICE: u8 = 2;
const RIGHT_FD_READ: u64 = 1 << 1;
const RIGHT_FD_WRITE: u64 = 1 << 6;
const RIGHT_POLL: u64 = 1 << 27;

fn stream(fd: u32) -> Result<Stream, Failure> {
    match fd {
        1 => Ok(Stream::Stdout),
        2 => Ok(Stream::Stderr),
        _ => Err(Errno::BadDescriptor.into()),
    }
}

fn is_open(fd: u32) -> Outcome {
    if fd == STDIN { Ok(()) } else { stream(fd).map(|_| ()) }
}

fn fd_write<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, iovecs: u32, count: u32, written: u32) -> Outcome {
    let Ok(stream) = stream(fd) else {
        return files::write_at(guest, fd, At::Cursor, iovecs, count, written);
    };
    if count > IOVECS_MAX {
        return Err(Errno::Invalid.into());
    }
    let mut total = 0u32;
    for index in 0..count {
        let (address, length) = guest.iovec(iovecs, index)?;
        total = total.checked_add(length).ok_or(Errno::Invalid)?;
        print(&mut guest, stream, address, length)?;
    }
    guest.write_u32(written, total)
}

/// Hands a range of the guest's memory to the host, by way of a copy.
fn print<T: WasiHost>(guest: &mut Guest<'_, T>, stream: Stream, address: u32, length: u32) -> Outcome {
    // The whole range first: half a line before an error would be worse than none.
    guest.check(address, length)?;
    let mut chunk = [0; CHUNK_BYTES];
    let mut done = 0;
    while done < length {
        let bytes = &mut chunk[..CHUNK_BYTES.min((length - done) as usize)];
        guest.read(address + done, bytes)?;
        guest.host().write(stream, bytes)?;
        done += bytes.len() as u32;
    }
    Ok(())
}

fn fd_read<T: WasiHost>(guest: Guest<'_, T>, fd: u32, iovecs: u32, count: u32, read: u32) -> Outcome {
    if fd != STDIN {
        return files::read_at(guest, fd, At::Cursor, iovecs, count, read);
    }
    program::read_stdin(guest, iovecs, count, read)
}

/// Closing a standard stream changes nothing: the next call of a kept instance may want to print again.
fn fd_close<T: WasiHost>(guest: Guest<'_, T>, fd: u32) -> Outcome {
    is_open(fd).or_else(|_| files::close(guest, fd))
}

fn fd_seek<T: WasiHost>(guest: Guest<'_, T>, fd: u32, offset: u64, whence: u32, position: u32) -> Outcome {
    if is_open(fd).is_err() {
        return files::seek(guest, fd, offset, whence, position);
    }
    Err(Errno::NoSeek.into())
}

fn fd_fdstat_get<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, stat: u32) -> Outcome {
    if is_open(fd).is_err() {
        return files::status(guest, fd, stat);
    }
    let rights = if fd == STDIN { RIGHT_FD_READ } else { RIGHT_FD_WRITE };
    let mut bytes = [0; 24];
    bytes[0] = guest.host().stream_type();
    bytes[8..16].copy_from_slice(&(rights | RIGHT_POLL).to_le_bytes());
    guest.write(stat, &bytes)
}

/// Appending and not blocking are how these streams are anyway.
fn fd_fdstat_set_flags<T: WasiHost>(guest: Guest<'_, T>, fd: u32, flags: u32) -> Outcome {
    is_open(fd).or_else(|_| files::set_flags(guest, fd, flags))
}

fn fd_filestat_get<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, stat: u32) -> Outcome {
    if is_open(fd).is_err() {
        return files::describe(guest, fd, stat);
    }
    let mut bytes = [0; 64];
    bytes[16] = guest.host().stream_type();
    // One link; device, inode, size and times are zero.
    bytes[24] = 1;
    guest.write(stat, &bytes)
}

// Waiting.

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;
const EVENT_CLOCK: u8 = 0;
const EVENT_FD_READ: u8 = 1;
const EVENT_FD_WRITE: u8 = 2;
const EVENT_FLAG_HANGUP: u8 = 1;
const CLOCK_FLAG_ABSOLUTE: u8 = 1;

/// One thing that a guest waits for.
struct Subscription {
    userdata: u64,
    event: u8,
    /// How long until it is ready; descriptors always are.
    remaining_ns: u64,
    /// What is wrong with it; makes it ready at once.
    errno: Errno,
    /// Bytes that are there to be read.
    bytes: u64,
    /// Nothing will come any more.
    is_at_end: bool,
}

/// Sleeps until the first of the subscriptions is ready and reports all that are by then.
fn poll_oneoff<T: WasiHost>(
    mut guest: Guest<'_, T>,
    subscriptions: u32,
    events: u32,
    count: u32,
    ready: u32,
) -> Outcome {
    // Without any, the wait would never end.
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Invalid.into());
    }
    let subscriptions = (0..count)
        .map(|index| subscription(&mut guest, element(subscriptions, index, SUBSCRIPTION_BYTES)?))
        .collect::<Result<Vec<_>, Failure>>()?;
    let wait_ns = subscriptions.iter().map(|subscription| subscription.remaining_ns).min().unwrap_or(0);
    if wait_ns > 0 {
        guest.host().sleep(Duration::from_nanos(wait_ns))?;
    }
    let mut written = 0;
    for subscription in subscriptions.iter().filter(|subscription| subscription.remaining_ns <= wait_ns) {
        guest.write(element(events, written, EVENT_BYTES)?, &subscription.event())?;
        written += 1;
    }
    guest.write_u32(ready, written)
}

fn subscription<T: WasiHost>(guest: &mut Guest<'_, T>, address: u32) -> Result<Subscription, Failure> {
    let bytes = guest.read_array::<{ SUBSCRIPTION_BYTES as usize }>(address)?;
    let event = bytes[8];
    let fd = u32_at(&bytes, 16);
    let (remaining_ns, errno) = match event {
        EVENT_CLOCK => (remaining_ns(guest, &bytes)?, Errno::Success),
        EVENT_FD_READ if fd == STDIN => (0, Errno::Success),
        EVENT_FD_WRITE if stream(fd).is_ok() => (0, Errno::Success),
        // A file never has to be waited for.
        EVENT_FD_READ | EVENT_FD_WRITE if guest.host().files().status(fd).is_ok() => (0, Errno::Success),
        EVENT_FD_READ | EVENT_FD_WRITE => (0, Errno::BadDescriptor),
        _ => return Err(Errno::Invalid.into()),
    };
    let is_of_stdin = event == EVENT_FD_READ && fd == STDIN;
    let left = if is_of_stdin { guest.host().stdin_bytes() } else { 0 };
    let is_at_end = event == EVENT_FD_READ && fd < FIRST && left == 0;
    Ok(Subscription { userdata: u64_at(&bytes, 0), event, remaining_ns, errno, bytes: left, is_at_end })
}

/// How long a clock's subscription still has to wait.
fn remaining_ns<T: WasiHost>(guest: &mut Guest<'_, T>, bytes: &[u8]) -> Result<u64, Failure> {
    let clock = clock(u32_at(bytes, 16))?;
    let timeout = u64_at(bytes, 24);
    if bytes[40] & CLOCK_FLAG_ABSOLUTE == 0 {
        return Ok(timeout);
    }
    Ok(timeout.saturating_sub(guest.host().now(clock)))
}

impl Subscription {
    fn event(&self) -> [u8; EVENT_BYTES as usize] {
        let mut bytes = [0; EVENT_BYTES as usize];
        bytes[..8].copy_from_slice(&self.userdata.to_le_bytes());
        // The code fits into a byte, and the field's second byte stays zero.
        bytes[8] = self.errno as u8;
        bytes[10] = self.event;
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        if self.is_at_end {
            bytes[24] = EVENT_FLAG_HANGUP;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, ExternType, Module, Store, ValType};

    use super::*;

    /// Records what the guest does; clocks stand still.
    #[derive(Default)]
    pub(super) struct Host {
        memory: Option<Memory>,
        environment: Vec<(String, String)>,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
        slept: Vec<Duration>,
        pub(super) files: Files,
        pub(super) arguments: Arguments,
        /// What is left of it.
        pub(super) stdin: Vec<u8>,
    }

    const OUTPUT_BYTES_MAX: usize = 100_000;
    const NOW_REALTIME: u64 = 1_700_000_000_000_000_000;
    const NOW_MONOTONIC: u64 = 5_000;

    impl Protected for Host {
        fn is_protected(&self, _address: u32, _length: usize) -> bool {
            false
        }
    }

    impl WasiHost for Host {
        fn memory(&self) -> Option<Memory> {
            self.memory
        }

        fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop> {
            let output = match stream {
                Stream::Stdout => &mut self.stdout,
                Stream::Stderr => &mut self.stderr,
            };
            output.extend_from_slice(bytes);
            if output.len() > OUTPUT_BYTES_MAX { Err(Stop::OutputTooLarge) } else { Ok(()) }
        }

        fn arguments(&mut self) -> &mut Arguments {
            &mut self.arguments
        }

        fn stdin_bytes(&self) -> u64 {
            self.stdin.len() as u64
        }

        fn read_stdin(&mut self, into: &mut [u8]) -> usize {
            let count = into.len().min(self.stdin.len());
            into[..count].copy_from_slice(&self.stdin[..count]);
            self.stdin.drain(..count);
            count
        }

        fn stream_type(&self) -> u8 {
            FILE_TYPE_CHARACTER_DEVICE
        }

        fn environment(&self) -> &[(String, String)] {
            &self.environment
        }

        fn sleep(&mut self, duration: Duration) -> Result<(), Stop> {
            self.slept.push(duration);
            if duration > Duration::from_hours(1) { Err(Stop::Exit(77)) } else { Ok(()) }
        }

        fn random(&mut self, out: &mut [u8]) {
            out.fill(0x5a);
        }

        fn now(&mut self, clock: Clock) -> u64 {
            match clock {
                Clock::Realtime => NOW_REALTIME,
                Clock::Monotonic => NOW_MONOTONIC,
            }
        }

        fn files(&mut self) -> &mut Files {
            &mut self.files
        }
    }

    /// A guest with two pages of memory that does nothing but pass calls on.
    pub(super) struct Caller {
        pub(super) store: Store<Host>,
        linker: Linker<Host>,
    }

    const SUCCESS: i32 = Errno::Success as i32;
    const BADF: i32 = Errno::BadDescriptor as i32;
    const FAULT: i32 = Errno::Fault as i32;
    const INVAL: i32 = Errno::Invalid as i32;
    const SPIPE: i32 = Errno::NoSeek as i32;

    impl Caller {
        pub(super) fn new() -> Self {
            let mut caller = Self::without_memory();
            let memory = Memory::new(&mut caller.store, wasmtime::MemoryType::new(2, None)).unwrap();
            caller.store.data_mut().memory = Some(memory);
            caller
        }

        fn without_memory() -> Self {
            let engine = Engine::default();
            let mut linker = Linker::new(&engine);
            add_to_linker(&mut linker).unwrap();
            Self { store: Store::new(&engine, Host::default()), linker }
        }

        /// Calls a function through a real guest, whose arguments are constants.
        fn try_call(&mut self, name: &str, arguments: &[u64]) -> wasmtime::Result<i32> {
            let signature = signature(name).unwrap();
            let types: String =
                signature.parameters.iter().map(|number| format!(" {}", number.name())).collect();
            let constants: String = signature
                .parameters
                .iter()
                .zip(arguments)
                .map(|(number, argument)| match number {
                    Number::I64 => format!("(i64.const {argument})"),
                    _ => format!("(i32.const {})", *argument as u32),
                })
                .collect();
            assert_eq!(signature.parameters.len(), arguments.len(), "{name}");
            let (result, rest) =
                if signature.results.is_empty() { ("", "(i32.const -1)") } else { ("(result i32)", "") };
            let text = format!(
                "(module (import \"{MODULE}\" \"{name}\" (func $f (param{types}) {result}))
                    (func (export \"run\") (result i32) (call $f {constants}) {rest}))"
            );
            let module = Module::new(self.linker.engine(), wat::parse_str(text).unwrap()).unwrap();
            let instance = self.linker.instantiate(&mut self.store, &module).unwrap();
            let run = instance.get_typed_func::<(), i32>(&mut self.store, "run").unwrap();
            run.call(&mut self.store, ())
        }

        pub(super) fn call(&mut self, name: &str, arguments: &[u64]) -> i32 {
            self.try_call(name, arguments).unwrap()
        }

        pub(super) fn put(&mut self, address: u32, bytes: &[u8]) {
            let memory = self.store.data().memory.unwrap();
            memory::write(&mut self.store, memory, address, bytes).unwrap();
        }

        pub(super) fn put_u32s(&mut self, address: u32, values: &[u32]) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.put(address, &bytes);
        }

        pub(super) fn bytes(&self, address: u32, length: usize) -> Vec<u8> {
            let mut bytes = vec![0; length];
            memory::read(&self.store, self.store.data().memory.unwrap(), address, &mut bytes).unwrap();
            bytes
        }

        pub(super) fn u32(&self, address: u32) -> u32 {
            u32_at(&self.bytes(address, 4), 0)
        }

        pub(super) fn u64(&self, address: u32) -> u64 {
            u64_at(&self.bytes(address, 8), 0)
        }
    }

    pub(super) const MEMORY_BYTES: u64 = 2 * 65_536;

    #[test]
    fn signatures_are_those_of_the_linked_functions() {
        let mut caller = Caller::new();
        let linked: Vec<_> =
            caller.linker.iter(&mut caller.store).map(|(_, name, item)| (name.to_owned(), item)).collect();
        assert_eq!(linked.len(), 41);
        for (name, item) in linked {
            let ExternType::Func(ty) = item.ty(&caller.store) else { panic!("{name} is no function") };
            let signature = signature(&name).unwrap();
            let names = |types: Vec<ValType>| types.iter().map(ToString::to_string).collect::<Vec<_>>();
            let ours = |numbers: &[Number]| {
                numbers.iter().map(|number| number.name().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(names(ty.params().collect()), ours(&signature.parameters), "{name}");
            assert_eq!(names(ty.results().collect()), ours(&signature.results), "{name}");
        }
        assert_eq!(signature("sock_accept"), None);
    }

    #[test]
    fn printing_gathers_all_buffers() {
        let mut caller = Caller::new();
        caller.put(200, b"hello, world\n");
        caller.put_u32s(100, &[200, 7, 0, 0, 207, 6]);
        assert_eq!(caller.call("fd_write", &[1, 100, 3, 50]), SUCCESS);
        assert_eq!(caller.call("fd_write", &[2, 100, 1, 54]), SUCCESS);
        assert_eq!((caller.u32(50), caller.u32(54)), (13, 7));
        assert_eq!(caller.store.data().stdout, b"hello, world\n");
        assert_eq!(caller.store.data().stderr, b"hello, ");
    }

    #[test]
    fn printing_more_than_a_chunk_loses_nothing() {
        let mut caller = Caller::new();
        let text: Vec<u8> = (0..5_000u32).map(|i| (i % 251) as u8).collect();
        caller.put(1_001, &text);
        caller.put_u32s(100, &[1_001, 5_000]);
        assert_eq!(caller.call("fd_write", &[1, 100, 1, 50]), SUCCESS);
        assert_eq!(caller.store.data().stdout, text);
    }

    #[test]
    fn printing_without_end_stops_the_call() {
        let mut caller = Caller::new();
        caller.put_u32s(100, &[0, 100_000, 0, 100_000]);
        let error = caller.try_call("fd_write", &[1, 100, 2, 50]).unwrap_err();
        assert_eq!(error.downcast_ref::<Stop>(), Some(&Stop::OutputTooLarge));
    }

    #[test]
    fn bad_pointers_are_faults_and_print_nothing() {
        let mut caller = Caller::new();
        let end = MEMORY_BYTES as u32;
        let buffers = [[end - 1, 2], [end + 1, 0], [u32::MAX, u32::MAX], [0, end + 1]];
        for buffer in buffers {
            caller.put_u32s(100, &buffer);
            assert_eq!(caller.call("fd_write", &[1, 100, 1, 50]), FAULT, "{buffer:?}");
        }
        let end = MEMORY_BYTES;
        let faults: [(&str, &[u64]); 12] = [
            ("fd_write", &[1, end - 7, 1, 50]),
            ("fd_write", &[1, 0xffff_fff8, 2, 50]),
            ("fd_write", &[1, 100, 0, end - 3]),
            ("fd_read", &[0, 100, 0, end]),
            ("clock_time_get", &[0, 0, end - 7]),
            ("clock_res_get", &[0, end]),
            ("random_get", &[end - 1, 2]),
            ("random_get", &[0xffff_ffff, 0xffff_ffff]),
            ("fd_fdstat_get", &[1, end - 23]),
            ("fd_filestat_get", &[1, end - 63]),
            ("args_sizes_get", &[end, 0]),
            ("environ_sizes_get", &[0, end]),
        ];
        for (name, arguments) in faults {
            assert_eq!(caller.call(name, arguments), FAULT, "{name} {arguments:?}");
        }
        assert!(caller.store.data().stdout.is_empty());
    }

    #[test]
    fn lists_have_limits() {
        let mut caller = Caller::new();
        for count in [1_025, 0xffff_ffff] {
            assert_eq!(caller.call("fd_write", &[1, 0, count, 50]), INVAL);
            assert_eq!(caller.call("fd_read", &[0, 0, count, 50]), INVAL);
            assert_eq!(caller.call("poll_oneoff", &[0, 0, count, 50]), INVAL);
        }
        assert_eq!(caller.call("fd_write", &[1, 0, 1_024, 50]), SUCCESS);
        assert_eq!(caller.call("poll_oneoff", &[0, 0, 0, 50]), INVAL);
    }

    #[test]
    fn a_guest_without_memory_gets_faults_not_panics() {
        let mut caller = Caller::without_memory();
        assert_eq!(caller.call("fd_write", &[1, 0, 1, 0]), FAULT);
        assert_eq!(caller.call("clock_time_get", &[0, 0, 0]), FAULT);
        assert_eq!(caller.call("poll_oneoff", &[0, 0, 1, 0]), FAULT);
        assert_eq!(caller.call("sched_yield", &[]), SUCCESS);
    }

    #[test]
    fn an_exit_carries_its_code_through_the_trap() {
        let error = Caller::new().try_call("proc_exit", &[7]).unwrap_err();
        assert_eq!(error.downcast_ref::<Stop>(), Some(&Stop::Exit(7)));
    }

    #[test]
    fn the_environment_is_what_was_granted_and_there_are_no_arguments() {
        let mut caller = Caller::new();
        caller.store.data_mut().environment = vec![("A".into(), "1".into()), ("HOME".into(), String::new())];
        assert_eq!(caller.call("environ_sizes_get", &[0, 4]), SUCCESS);
        assert_eq!((caller.u32(0), caller.u32(4)), (2, 10));
        assert_eq!(caller.call("environ_get", &[16, 32]), SUCCESS);
        assert_eq!((caller.u32(16), caller.u32(20)), (32, 36));
        assert_eq!(caller.bytes(32, 10), b"A=1\0HOME=\0");
        assert_eq!(caller.call("environ_get", &[16, MEMORY_BYTES - 9]), FAULT);
        caller.put_u32s(0, &[9, 9]);
        assert_eq!(caller.call("args_sizes_get", &[0, 4]), SUCCESS);
        assert_eq!((caller.u32(0), caller.u32(4)), (0, 0));
        assert_eq!(caller.call("args_get", &[0, 0]), SUCCESS);
    }

    #[test]
    fn clocks_and_random_bytes_come_from_the_host() {
        let mut caller = Caller::new();
        assert_eq!(caller.call("clock_time_get", &[0, 1, 8]), SUCCESS);
        assert_eq!(caller.call("clock_time_get", &[1, 1, 16]), SUCCESS);
        assert_eq!((caller.u64(8), caller.u64(16)), (NOW_REALTIME, NOW_MONOTONIC));
        for id in [2, 3, 4, 0xffff_ffff] {
            assert_eq!(caller.call("clock_time_get", &[id, 1, 8]), INVAL);
            assert_eq!(caller.call("clock_res_get", &[id, 8]), INVAL);
        }
        assert_eq!(caller.call("random_get", &[100, 3_000]), SUCCESS);
        assert_eq!(caller.bytes(99, 3_002), [&[0][..], &[0x5a; 3_000], &[0]].concat());
    }

    #[test]
    fn there_are_three_descriptors() {
        let mut caller = Caller::new();
        for fd in 0..3 {
            assert_eq!(caller.call("fd_fdstat_get", &[fd, 100]), SUCCESS);
            assert_eq!(caller.bytes(100, 1), [FILE_TYPE_CHARACTER_DEVICE]);
            assert_eq!(caller.u64(108) & RIGHT_FD_WRITE != 0, fd != 0);
            assert_eq!(caller.call("fd_filestat_get", &[fd, 100]), SUCCESS);
            assert_eq!(caller.call("fd_seek", &[fd, 0, 0, 100]), SPIPE);
            assert_eq!(caller.call("fd_fdstat_set_flags", &[fd, 1]), SUCCESS);
            assert_eq!(caller.call("fd_close", &[fd]), SUCCESS);
        }
        for fd in [3, 0xffff_ffff] {
            assert_eq!(caller.call("fd_fdstat_get", &[fd, 100]), BADF);
            assert_eq!(caller.call("fd_filestat_get", &[fd, 100]), BADF);
            assert_eq!(caller.call("fd_seek", &[fd, 0, 0, 100]), BADF);
            assert_eq!(caller.call("fd_close", &[fd]), BADF);
            assert_eq!(caller.call("fd_prestat_get", &[fd, 100]), BADF);
            assert_eq!(caller.call("fd_prestat_dir_name", &[fd, 100, 8]), BADF);
        }
        assert_eq!(caller.call("fd_write", &[0, 0, 0, 100]), BADF);
        assert_eq!(caller.call("fd_read", &[1, 0, 0, 100]), BADF);
        caller.put_u32s(100, &[9]);
        assert_eq!((caller.call("fd_read", &[0, 0, 1, 100]), caller.u32(100)), (SUCCESS, 0));
    }

    fn clock_subscription(userdata: u64, clock: u32, timeout: u64, flags: u16) -> Vec<u8> {
        let mut bytes = vec![0; SUBSCRIPTION_BYTES as usize];
        bytes[..8].copy_from_slice(&userdata.to_le_bytes());
        bytes[16..20].copy_from_slice(&clock.to_le_bytes());
        bytes[24..32].copy_from_slice(&timeout.to_le_bytes());
        bytes[40..42].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    pub(super) fn fd_subscription(userdata: u64, event: u8, fd: u32) -> Vec<u8> {
        let mut bytes = clock_subscription(userdata, fd, 0, 0);
        bytes[8] = event;
        bytes
    }

    #[test]
    fn polling_clocks_sleeps_until_the_first() {
        let mut caller = Caller::new();
        let subscriptions = [
            clock_subscription(1, 1, 3_000_000, 0),
            clock_subscription(2, 1, NOW_MONOTONIC + 1_000_000, 1),
            clock_subscription(3, 0, NOW_REALTIME + 1_000_000, 1),
        ];
        caller.put(1_000, &subscriptions.concat());
        assert_eq!(caller.call("poll_oneoff", &[1_000, 2_000, 3, 50]), SUCCESS);
        assert_eq!(caller.store.data().slept, [Duration::from_millis(1)]);
        assert_eq!((caller.u32(50), caller.u64(2_000), caller.u64(2_032)), (2, 2, 3));
    }

    #[test]
    fn polling_descriptors_never_sleeps() {
        let mut caller = Caller::new();
        let subscriptions = [
            fd_subscription(1, EVENT_FD_WRITE, 1),
            clock_subscription(2, 1, 1_000, 0),
            fd_subscription(3, EVENT_FD_READ, 0),
            fd_subscription(4, EVENT_FD_READ, 1),
            clock_subscription(5, 0, NOW_REALTIME - 1, 1),
        ];
        caller.put(1_000, &subscriptions.concat());
        assert_eq!(caller.call("poll_oneoff", &[1_000, 2_000, 5, 50]), SUCCESS);
        assert!(caller.store.data().slept.is_empty());
        assert_eq!(caller.u32(50), 4);
        let events: Vec<_> =
            (0..4).map(|n| (caller.u64(2_000 + n * 32), caller.bytes(2_008 + n * 32, 3))).collect();
        let bad = Errno::BadDescriptor as u8;
        assert_eq!(
            events,
            [(1, vec![0, 0, 2]), (3, vec![0, 0, 1]), (4, vec![bad, 0, 1]), (5, vec![0, 0, 0])]
        );
    }

    #[test]
    fn a_sleep_can_end_the_call_and_bad_subscriptions_cannot() {
        let mut caller = Caller::new();
        caller.put(1_000, &clock_subscription(1, 1, u64::MAX, 0));
        let error = caller.try_call("poll_oneoff", &[1_000, 2_000, 1, 50]).unwrap_err();
        assert_eq!(error.downcast_ref::<Stop>(), Some(&Stop::Exit(77)));
        for bad in [clock_subscription(1, 2, 0, 0), fd_subscription(1, 3, 0)] {
            caller.put(1_000, &bad);
            assert_eq!(caller.call("poll_oneoff", &[1_000, 2_000, 1, 50]), INVAL);
        }
        caller.put(1_000, &fd_subscription(1, EVENT_FD_WRITE, 1));
        assert_eq!(caller.call("poll_oneoff", &[1_000, MEMORY_BYTES - 31, 1, 50]), FAULT);
        assert_eq!(caller.call("poll_oneoff", &[MEMORY_BYTES - 47, 0, 1, 50]), FAULT);
    }
}

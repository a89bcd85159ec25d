//! Our own functions of WASI preview 1, for numeric and SDK tasks.
//!
//! A task has no files, no arguments and no input; what its language's library still asks for is somewhere to print,
//! the time, the environment it was granted, random bytes and a way to sleep or exit. These functions give just
//! that, in a quarter of the time that wasmtime-wasi takes and without its threads. Programs (`run`) and granted
//! directories are wasmtime-wasi's.
//!
//! What a printed byte, a nanosecond or a variable *is* stays with the host ([`WasiHost`]); this file knows the
//! layouts of preview 1 and trusts nothing that a guest passes. Each address and length is checked by
//! [`super::memory`], lists have limits, and nothing is allocated by a guest's count before it is checked.
//!
//! Functions on paths and directories are absent rather than failing: a module that imports one is told so when it
//! is loaded ([`super::catalog::Catalog::ungranted_imports`]), not in the middle of a call.
//!
//! Layouts: <https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>

use std::time::Duration;

use wasmtime::{Caller, Linker, Memory};

use super::driver::{Number, Signature};
use super::memory::{self, OutOfBounds};

/// Module name under which guests import these functions.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// Buffers of one `fd_write` or `fd_read`, as POSIX has it.
const IOVECS_MAX: u32 = 1_024;
/// Subscriptions of one `poll_oneoff`.
const SUBSCRIPTIONS_MAX: u32 = 1_024;
/// Bytes that are copied out of or into the guest at a time, on the stack.
const CHUNK_BYTES: usize = 1_024;

/// What these functions need of whoever runs the call; it is the store's data.
pub(crate) trait WasiHost {
    /// The guest's memory, known once it is instantiated. Without one, whatever takes an address fails.
    fn memory(&self) -> Option<Memory>;

    /// Takes what the guest wrote, a piece at a time.
    ///
    /// # Errors
    ///
    /// Ends the call with that reason.
    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop>;

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
}

/// Where a guest prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
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
    /// The host cannot go on; the guest is not to blame.
    #[error("{0}")]
    Host(String),
}

/// Error codes of preview 1, those that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
enum Errno {
    Success = 0,
    BadDescriptor = 8,
    Fault = 21,
    Invalid = 28,
    Overflow = 61,
    NoSeek = 70,
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
                    |caller: Caller<'_, T>, $($argument: $type),*| finish($name(Guest { caller }, $($argument),*)),
                )?;
            )*
            linker.func_wrap(MODULE, PROC_EXIT, proc_exit)?;
            Ok(())
        }

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
    fd_close(fd: u32);
    fd_fdstat_get(fd: u32, stat: u32);
    fd_fdstat_set_flags(fd: u32, flags: u32);
    fd_filestat_get(fd: u32, stat: u32);
    fd_prestat_dir_name(fd: u32, path: u32, path_bytes: u32);
    fd_prestat_get(fd: u32, prestat: u32);
    fd_read(fd: u32, iovecs: u32, iovec_count: u32, read: u32);
    fd_seek(fd: u32, offset: u64, whence: u32, position: u32);
    fd_write(fd: u32, iovecs: u32, iovec_count: u32, written: u32);
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

// Arguments and environment.

fn args_get<T: WasiHost>(_: Guest<'_, T>, _pointers: u32, _text: u32) -> Outcome {
    Ok(())
}

fn args_sizes_get<T: WasiHost>(mut guest: Guest<'_, T>, count: u32, text_bytes: u32) -> Outcome {
    guest.write_u32(count, 0)?;
    guest.write_u32(text_bytes, 0)
}

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

// Descriptors: 0 is at its end, 1 and 2 are written to, there are no others.

const STDIN: u32 = 0;

const FILE_TYPE_CHARACTER_DEVICE: u8 = 2;
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
    let stream = stream(fd)?;
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

fn fd_read<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, _iovecs: u32, count: u32, read: u32) -> Outcome {
    if fd != STDIN {
        return Err(Errno::BadDescriptor.into());
    }
    if count > IOVECS_MAX {
        return Err(Errno::Invalid.into());
    }
    guest.write_u32(read, 0)
}

/// Closing a standard stream changes nothing: the next call of a kept instance may want to print again.
fn fd_close<T: WasiHost>(_: Guest<'_, T>, fd: u32) -> Outcome {
    is_open(fd)
}

fn fd_seek<T: WasiHost>(_: Guest<'_, T>, fd: u32, _offset: u64, _whence: u32, _position: u32) -> Outcome {
    is_open(fd)?;
    Err(Errno::NoSeek.into())
}

fn fd_fdstat_get<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, stat: u32) -> Outcome {
    is_open(fd)?;
    let rights = if fd == STDIN { RIGHT_FD_READ } else { RIGHT_FD_WRITE };
    let mut bytes = [0; 24];
    bytes[0] = FILE_TYPE_CHARACTER_DEVICE;
    bytes[8..16].copy_from_slice(&(rights | RIGHT_POLL).to_le_bytes());
    guest.write(stat, &bytes)
}

/// Appending and not blocking are how these streams are anyway.
fn fd_fdstat_set_flags<T: WasiHost>(_: Guest<'_, T>, fd: u32, _flags: u32) -> Outcome {
    is_open(fd)
}

fn fd_filestat_get<T: WasiHost>(mut guest: Guest<'_, T>, fd: u32, stat: u32) -> Outcome {
    is_open(fd)?;
    let mut bytes = [0; 64];
    bytes[16] = FILE_TYPE_CHARACTER_DEVICE;
    // One link; device, inode, size and times are zero.
    bytes[24] = 1;
    guest.write(stat, &bytes)
}

/// There is no directory, and libraries ask from descriptor 3 upwards until they hear so.
fn fd_prestat_get<T: WasiHost>(_: Guest<'_, T>, _fd: u32, _prestat: u32) -> Outcome {
    Err(Errno::BadDescriptor.into())
}

fn fd_prestat_dir_name<T: WasiHost>(_: Guest<'_, T>, _fd: u32, _path: u32, _path_bytes: u32) -> Outcome {
    Err(Errno::BadDescriptor.into())
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
        EVENT_FD_READ | EVENT_FD_WRITE => (0, Errno::BadDescriptor),
        _ => return Err(Errno::Invalid.into()),
    };
    Ok(Subscription { userdata: u64_at(&bytes, 0), event, remaining_ns, errno })
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
        if self.event == EVENT_FD_READ {
            bytes[24] = EVENT_FLAG_HANGUP;
        }
        bytes
    }
}

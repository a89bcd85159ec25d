//! What the host keeps for one instance: its desk, its limits, what it has printed, and where its pull loop stands.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmpool_abi::{Codec, Done, NO_MORE_CALLS};
use wasmtime::{Caller, Linker, Memory, ResourceLimiter};

use super::allowance::Allowance;
use super::files::{Directory, Files};
use super::host_calls::HostCall;
use super::initializer::Errand;
use super::memory::{self, Extent, Protected};
use super::nesting::Nesting;
use super::program::Program;
use super::replay::Replay;
use super::shared::{Belongings, Leftover, Shared};
use super::wasi::{self, Arguments, Clock, Stop, WasiHost};
use crate::channel::control::InstanceLimits;
use crate::channel::desk::{Desk, Input};
use crate::channel::ending::{EndKind, MESSAGE_BYTES_MAX};
use crate::channel::order::Order;
use crate::channel::ring::{LINE_BYTES_MAX, Stream};
use crate::shm::object::CallEnd;

/// Bytes that a table element counts for in the memory limit.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Units of fuel for what the guest does between calls: its start, its `_initialize`, the ways into the pull loop and
/// round it. It has at least so many, and otherwise as many as a call: enough to set a language's library up, and
/// none of it comes out of a call's own.
const FUEL_BETWEEN_CALLS_MIN: u64 = 1_000_000;

/// State of one instance's store.
pub(crate) struct Guest {
    /// The worker's end of the channel; moves on to the next instance when this one goes.
    pub(super) desk: Desk,
    pub(super) memory: Option<Memory>,
    /// Of that memory.
    pub(super) extent: Extent,
    /// Bytes of all memories and tables.
    pub(super) memory_limit: Allowance,
    /// Elements of all tables.
    pub(super) table_limit: Allowance,
    /// The host is making memory for itself, which does not count.
    pub(super) looks_away: bool,
    pub(super) stack_bytes_max: u64,
    /// What a call may use up, where code counts fuel.
    pub(super) fuel: Option<u64>,
    /// Time and chance of the running call, where they are to be the same each time.
    replay: Option<Replay>,
    pub(super) printed: Printed,
    /// The running program, where the module is run as one.
    program: Option<Program>,
    arguments: Arguments,
    pub(super) pull: Pull,
    /// What the guest said before it trapped.
    pub(super) panic: Option<String>,
    /// The call that the accounts (what was printed, refused and said) are about.
    accounted: Option<u32>,
    pub(super) shared: Shared,
    pub(super) nesting: Nesting,
    /// Whether it must not begin another call.
    is_spent: bool,
    /// Whether others will start where it stands when its initializer has run.
    pub(super) is_model: bool,
    /// Closed with the instance.
    files: Files,
    environment: Arc<[(String, String)]>,
}

/// What an instance has printed: lines that are not finished, and how much it was in the running call.
pub(super) struct Printed {
    unfinished: [Vec<u8>; 2],
    bytes: u64,
    pub(super) most: u64,
}

/// How an instance learns that another call begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// It asks for each, and so can tell what it has of one from what it has of another.
    Pulled,
    /// It does not: an export is entered.
    Entered,
}

/// Where the pull loop stands.
pub(super) struct Pull {
    pub(super) codec: Codec,
    /// Claimed for this entry, not yet asked for by the guest.
    pub(super) claimed: Option<u32>,
    /// Asked for, not yet ended.
    pub(super) running: Option<u32>,
    /// Its input is still where it was: not once it has waited for others.
    pub(super) has_input: bool,
    /// Calls that the running entry of a pull loop may still start. None outside of one: a start function, or a task of
    /// numbers, would run them where they were not meant to run, and know what fresh instances must not.
    pub(super) calls_left: u64,
    /// What the running entry is to do instead of calls.
    pub(super) errand: Option<Box<Errand>>,
    timed: bool,
    started: Instant,
}

impl Guest {
    /// The state of a new instance.
    pub(super) fn new(
        desk: Desk,
        limits: &InstanceLimits,
        environment: Arc<[(String, String)]>,
        belongings: Arc<Belongings>,
        directories: &Arc<[Directory]>,
    ) -> Self {
        Self {
            desk,
            memory: None,
            extent: Extent::default(),
            memory_limit: Allowance::new(limits.memory_bytes),
            table_limit: Allowance::new(limits.table_elements),
            looks_away: false,
            stack_bytes_max: limits.stack_bytes,
            fuel: None,
            replay: None,
            printed: Printed { unfinished: [Vec::new(), Vec::new()], bytes: 0, most: u64::MAX },
            program: None,
            arguments: Arguments::default(),
            pull: Pull {
                codec: Codec::Json,
                claimed: None,
                running: None,
                has_input: false,
                calls_left: 0,
                errand: None,
                timed: false,
                started: Instant::now(),
            },
            panic: None,
            accounted: None,
            shared: Shared::new(belongings, limits.objects),
            nesting: Nesting::new(),
            is_spent: false,
            is_model: false,
            files: Files::new(directories),
            environment,
        }
    }

    /// Gets ready for the calls of an order.
    pub(super) fn prepare(&mut self, order: &Order) {
        self.printed.most = order.printed_bytes_max;
        self.fuel = order.fuel;
        self.pull.timed = order.timed;
    }

    /// Has time and chance be those of the job's call with this index, from their beginning on.
    pub(super) fn replay(&mut self, seed: u64, index: u64) {
        self.replay = Some(Replay::new(seed, index));
    }

    /// Gives the instance what the program that it is has been called with.
    ///
    /// # Errors
    ///
    /// When that is no invocation.
    pub(super) fn start_program(&mut self, call: u32) -> wasmtime::Result<()> {
        let (program, arguments) = Program::new(&self.desk, call)?;
        self.program = Some(program);
        // Whatever it leaves behind, no other call is to find.
        self.is_spent = true;
        self.arguments = arguments;
        Ok(())
    }

    /// Whether it is a program that has been started.
    pub(super) fn is_program(&self) -> bool {
        self.program.is_some()
    }

    /// What the program has written to its stdout. It is none any more.
    pub(super) fn end_program(&mut self) -> Vec<u8> {
        self.program.take().map(Program::into_stdout).unwrap_or_default()
    }

    /// What tells this run's time and chance from another's, where they are to be the same each time.
    pub(super) fn replayed_seed(&self) -> Option<u64> {
        self.replay.as_ref().map(Replay::seed)
    }

    /// Units of fuel for what the guest does between calls, where code counts fuel.
    pub(super) fn fuel_between_calls(&self) -> Option<u64> {
        self.fuel.map(|fuel| fuel.max(FUEL_BETWEEN_CALLS_MIN))
    }

    /// Begins a call: names it, and starts its accounts afresh.
    pub(super) fn begin(&mut self, call: u32) {
        self.desk.begin(call);
        self.begin_accounts(Some(call));
        self.nesting.begin();
        if self.pull.timed {
            self.pull.started = Instant::now();
        }
    }

    /// Goes on with the call that has waited for others, which is call 0 of the order that brought the answer.
    pub(super) fn resume(&mut self) {
        self.desk.begin(0);
        if self.pull.running.is_some() {
            self.pull.running = Some(0);
            self.pull.has_input = false;
        }
        // The same call, by another name.
        self.accounted = Some(0);
    }

    /// Begins the accounts of the call that runs now, if they are another one's. Whoever adds to them, or reads them,
    /// asks first: in a batch, the driver goes on to the next call without telling anybody.
    pub(super) fn keep_accounts(&mut self) {
        let call = self.desk.begun();
        if call != self.accounted {
            self.begin_accounts(call);
        }
    }

    fn begin_accounts(&mut self, call: Option<u32>) {
        self.accounted = call;
        self.printed.bytes = 0;
        self.memory_limit.was_refused = false;
        self.table_limit.was_refused = false;
        self.panic = None;
    }

    /// Ends a separately run call.
    pub(super) fn end(&mut self, call: u32, kind: EndKind, bytes: &[u8]) {
        let nanoseconds = if self.pull.timed { self.pull.started.elapsed().as_nanos() as u64 } else { 0 };
        self.finish_lines();
        self.desk.end(call, kind, bytes, nanoseconds);
    }

    /// Lets go of all shared objects that the call has opened; before its result is handed back, so that whoever has
    /// the result finds them free.
    ///
    /// A call that has left views behind may have kept references into them. The instance does not live to see what is
    /// there next, unless it pulls its calls and they are such as it can keep from using.
    pub(super) fn end_sharing(&mut self, end: CallEnd, calls: Calls) {
        self.is_spent |= match (self.shared.end_call(end), calls) {
            (Leftover::Nothing, _) | (Leftover::Atomics, Calls::Pulled) => false,
            (Leftover::Atomics, Calls::Entered) | (Leftover::Slices, _) => true,
        };
    }

    /// Whether the instance must not begin another call.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Whether the guest has opened files that are still open, or closed a directory that it was granted.
    pub(super) fn has_other_files(&self) -> bool {
        self.files.have_changed()
    }

    /// Leaves the instance, which goes after this, whatever it was doing.
    pub(super) fn leave(&mut self) {
        self.finish_lines();
        self.shared.leave();
    }

    /// Passes on lines that the guest has begun and not ended: a call's output is out when the call is.
    pub(super) fn finish_lines(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let unfinished = &mut self.printed.unfinished[stream as usize];
            if !unfinished.is_empty() {
                self.desk.print(stream, unfinished);
                unfinished.clear();
            }
        }
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.keep_accounts();
        if self.looks_away {
            return Ok(fits(desired, maximum));
        }
        let bytes = (desired - current) as u64;
        let is_allowed = fits(desired, maximum) && self.memory_limit.has(bytes);
        if is_allowed {
            self.memory_limit.take(bytes);
        }
        Ok(is_allowed)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // The engine refused a growth that was allowed here. How much it was is not told, so it stays counted: an
        // instance that fills the engine's own limits is at its end anyway.
        self.memory_limit.was_refused |= !self.looks_away;
        drop(error);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.keep_accounts();
        let elements = (desired - current) as u64;
        let bytes = elements.saturating_mul(TABLE_ELEMENT_BYTES);
        // Asked first: the pool's own maximum is this limit, and a refusal has to be remembered as such.
        let has_elements = self.table_limit.has(elements);
        let is_allowed = has_elements && fits(desired, maximum) && self.memory_limit.has(bytes);
        if is_allowed {
            self.table_limit.take(elements);
            self.memory_limit.take(bytes);
        }
        Ok(is_allowed)
    }
}

/// Whether a growth stays below what the module itself allows.
fn fits(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_none_or(|maximum| desired <= maximum)
}

impl Protected for Guest {
    fn is_protected(&self, address: u32, length: usize) -> bool {
        self.shared.views().is_protected(address, length)
    }
}

impl WasiHost for Guest {
    fn enters(&mut self, function: HostCall) {
        self.desk.note_host_call(function.number());
    }

    fn memory(&self) -> Option<Memory> {
        self.memory
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop> {
        if let (Stream::Stdout, Some(program)) = (stream, &mut self.program) {
            return program.write(bytes);
        }
        self.keep_accounts();
        self.printed.bytes += bytes.len() as u64;
        if self.printed.bytes > self.printed.most {
            return Err(Stop::OutputTooLarge);
        }
        let unfinished = &mut self.printed.unfinished[stream as usize];
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            if unfinished.is_empty() {
                self.desk.print(stream, line);
            } else {
                unfinished.extend_from_slice(line);
                self.desk.print(stream, unfinished);
                unfinished.clear();
            }
            rest = &after[1..];
        }
        unfinished.extend_from_slice(rest);
        if unfinished.len() > LINE_BYTES_MAX {
            self.desk.print(stream, unfinished);
            unfinished.clear();
        }
        Ok(())
    }

    fn arguments(&mut self) -> &mut Arguments {
        &mut self.arguments
    }

    fn stdin_bytes(&self) -> u64 {
        self.program.as_ref().map_or(0, |program| program.stdin_bytes() as u64)
    }

    fn read_stdin(&mut self, into: &mut [u8]) -> usize {
        self.program.as_mut().map_or(0, |program| program.read_stdin(&self.desk, into))
    }

    fn stream_type(&self) -> u8 {
        // A task's lines are somebody's to look at as they come.
        match self.program {
            Some(_) => wasi::FILE_TYPE_UNKNOWN,
            None => wasi::FILE_TYPE_CHARACTER_DEVICE,
        }
    }

    fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    fn sleep(&mut self, duration: Duration) -> Result<(), Stop> {
        match &mut self.replay {
            Some(replay) => replay.sleep(duration),
            None => std::thread::sleep(duration),
        }
        Ok(())
    }

    fn random(&mut self, out: &mut [u8]) {
        if let Some(replay) = &mut self.replay {
            return replay.random(out);
        }
        let mut filled = 0;
        while filled < out.len() {
            match rustix::rand::getrandom(&mut out[filled..], rustix::rand::GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("the kernel gives no randomness: {error}"),
            }
        }
    }

    fn now(&mut self, clock: Clock) -> u64 {
        if let Some(replay) = &mut self.replay {
            return replay.now(clock);
        }
        match clock {
            Clock::Realtime => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
            }
            Clock::Monotonic => {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
            }
        }
    }

    fn files(&mut self) -> &mut Files {
        &mut self.files
    }
}

/// Adds the functions of the pull loop.
///
/// # Errors
///
/// When `linker` has functions of these names already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let module = wasmpool_abi::IMPORT_MODULE;
    linker.func_wrap(module, wasmpool_abi::IMPORT_NEXT, next)?;
    linker.func_wrap(module, wasmpool_abi::IMPORT_FETCH, fetch)?;
    linker.func_wrap(module, wasmpool_abi::IMPORT_DONE, done)?;
    linker.func_wrap(module, wasmpool_abi::IMPORT_PANICKED, panicked)?;
    Ok(())
}

/// The names of those that can be the last before a worker's death.
pub(super) const NAMES: [&str; 2] = [wasmpool_abi::IMPORT_NEXT, wasmpool_abi::IMPORT_DONE];

fn next(mut caller: Caller<'_, Guest>, buffer: u32, capacity: u32) -> wasmtime::Result<i64> {
    let guest = caller.data_mut();
    guest.desk.note_host_call(const { HostCall::named(wasmpool_abi::IMPORT_NEXT) }.number());
    if guest.pull.running.is_some() {
        return Err(broken_order("asked for the next call before it ended this one"));
    }
    if guest.pull.errand.is_some() {
        return next_errand(&mut caller, buffer, capacity);
    }
    if guest.pull.calls_left == 0 || guest.is_spent {
        return Ok(NO_MORE_CALLS);
    }
    let claimed = guest.pull.claimed.take().or_else(|| guest.desk.claim(|_| 1).map(|range| range.start));
    let Some(call) = claimed else { return Ok(NO_MORE_CALLS) };
    guest.pull.calls_left -= 1;
    guest.pull.running = Some(call);
    guest.pull.has_input = true;
    guest.begin(call);
    let (input, fuel) = (guest.input(call), guest.fuel);
    refuel(&mut caller, fuel)?;
    if input.len() <= capacity as usize {
        hand_in(&mut caller, &input, buffer)?;
    }
    Ok(input.len() as i64)
}

/// The same for the pull loop of an initializer, which runs no calls.
#[cold]
fn next_errand(caller: &mut Caller<'_, Guest>, buffer: u32, capacity: u32) -> wasmtime::Result<i64> {
    let guest = caller.data_mut();
    let fuel = guest.fuel;
    let input = match &mut guest.pull.errand {
        Some(errand) if errand.is_running() => {
            return Err(broken_order("asked for the next call before it ended this one"));
        }
        Some(errand) => errand.begin(),
        None => None,
    };
    let Some(input) = input.map(PullInput::Errand) else { return Ok(NO_MORE_CALLS) };
    refuel(caller, fuel)?;
    if input.len() <= capacity as usize {
        hand_in(caller, &input, buffer)?;
    }
    Ok(input.len() as i64)
}

fn fetch(mut caller: Caller<'_, Guest>, buffer: u32) -> wasmtime::Result<()> {
    let guest = caller.data();
    if let Some(errand) = guest.pull.errand.as_ref().filter(|errand| errand.is_running()) {
        let input = PullInput::Errand(errand.arguments());
        return hand_in(&mut caller, &input, buffer);
    }
    let call =
        guest.pull.running.ok_or_else(|| broken_order("fetched an input while no call was running"))?;
    if !guest.pull.has_input {
        return Err(broken_order("fetched an input after it had waited for other calls"));
    }
    let input = guest.input(call);
    hand_in(&mut caller, &input, buffer)
}

fn done(mut caller: Caller<'_, Guest>, kind: i32, bytes: u32, length: u32) -> wasmtime::Result<()> {
    caller.data().desk.note_host_call(const { HostCall::named(wasmpool_abi::IMPORT_DONE) }.number());
    let done = Done::from_code(kind).ok_or_else(|| broken_order("ended a call in no known way"))?;
    hand_out(&mut caller, bytes, length as usize, |guest, bytes| {
        if let Some(errand) = guest.pull.errand.as_mut().filter(|errand| errand.is_running()) {
            errand.end(done, &bytes[..bytes.len().min(MESSAGE_BYTES_MAX)]);
            return Ok(());
        }
        let call =
            guest.pull.running.take().ok_or_else(|| broken_order("ended a call while none was running"))?;
        let end = match done {
            Done::Returned => CallEnd::Normal,
            // It may be run again, and must find what it had taken.
            Done::Failed | Done::Refused => CallEnd::Abnormal,
        };
        guest.end_sharing(end, Calls::Pulled);
        match done {
            Done::Returned => guest.end(call, EndKind::Returned, bytes),
            Done::Failed => guest.end_with_message(call, EndKind::Failed, bytes),
            Done::Refused => guest.end_with_message(call, EndKind::Refused, bytes),
        }
        Ok(())
    })?;
    let fuel = caller.data().fuel_between_calls();
    refuel(&mut caller, fuel)
}

/// Gives the guest its fuel for what comes next, where code counts any.
fn refuel(caller: &mut Caller<'_, Guest>, fuel: Option<u64>) -> wasmtime::Result<()> {
    fuel.map_or(Ok(()), |fuel| caller.set_fuel(fuel))
}

fn panicked(mut caller: Caller<'_, Guest>, message: u32, length: u32) -> wasmtime::Result<()> {
    hand_out(&mut caller, message, (length as usize).min(MESSAGE_BYTES_MAX), |guest, message| {
        guest.keep_accounts();
        guest.panic = Some(String::from_utf8_lossy(message).into_owned());
        Ok(())
    })
}

fn broken_order(what: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the task broke the order of the pull loop: it {what}"))
}

/// Copies an input into guest memory.
///
/// Straight from the region, as long as the memory is the guest's alone. Where it has shown a view, some of its pages
/// are other processes' too, and there must be no reference to them: the copy goes by way of our own memory.
fn hand_in(caller: &mut Caller<'_, Guest>, input: &PullInput, address: u32) -> wasmtime::Result<()> {
    if caller.data().shared.views().have_been() {
        let memory = exported_memory(caller)?;
        memory::check_writable(&*caller, memory, address, input.len())?;
        let mut bytes = vec![0; input.len()];
        input.copy(caller.data(), &mut bytes);
        return Ok(memory::write(caller, memory, address, &bytes)?);
    }
    let (memory, guest) = memory_and_guest(caller)?;
    input.copy(guest, slice(memory, address, input.len())?);
    Ok(())
}

/// Has `take` look at bytes of guest memory: at themselves or at a copy, as in [`hand_in`].
fn hand_out(
    caller: &mut Caller<'_, Guest>,
    address: u32,
    length: usize,
    take: impl FnOnce(&mut Guest, &[u8]) -> wasmtime::Result<()>,
) -> wasmtime::Result<()> {
    if caller.data().shared.views().have_been() {
        let memory = exported_memory(caller)?;
        memory::check(&*caller, memory, address, length)?;
        let mut bytes = vec![0; length];
        memory::read(&*caller, memory, address, &mut bytes)?;
        return take(caller.data_mut(), &bytes);
    }
    let (memory, guest) = memory_and_guest(caller)?;
    take(guest, slice(memory, address, length)?)
}

/// The memory that host functions reach.
#[inline]
pub(super) fn exported_memory(caller: &Caller<'_, Guest>) -> wasmtime::Result<Memory> {
    caller.data().memory.ok_or_else(|| wasmtime::Error::msg("the module exports no memory named `memory`"))
}

fn memory_and_guest<'a>(
    caller: &'a mut Caller<'_, Guest>,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Guest)> {
    Ok(exported_memory(caller)?.data_and_store_mut(caller))
}

fn slice(memory: &mut [u8], start: u32, length: usize) -> wasmtime::Result<&mut [u8]> {
    let start = start as usize;
    let range = start..start.saturating_add(length);
    let bytes = memory.len();
    memory.get_mut(range.clone()).ok_or_else(|| {
        wasmtime::Error::msg(format!("the task named bytes {range:?} of a memory of {bytes} bytes"))
    })
}

/// The input of a call on its way into guest memory.
enum PullInput {
    /// Bytes of the down region.
    Region { offset: usize, length: usize },
    /// A number written out here.
    Written { bytes: [u8; 24], length: usize },
    /// What an initializer is given.
    Errand(Arc<[u8]>),
}

impl PullInput {
    fn len(&self) -> usize {
        match self {
            Self::Region { length, .. } | Self::Written { length, .. } => *length,
            Self::Errand(arguments) => arguments.len(),
        }
    }

    fn copy(&self, guest: &Guest, into: &mut [u8]) {
        match self {
            Self::Region { offset, .. } => guest.desk.regions().0.read(*offset, into),
            Self::Written { bytes, length } => into.copy_from_slice(&bytes[..*length]),
            Self::Errand(arguments) => into.copy_from_slice(arguments),
        }
    }
}

impl Guest {
    fn input(&self, call: u32) -> PullInput {
        match self.desk.input(call, 0) {
            Input::Bytes { offset, length } => PullInput::Region { offset, length },
            Input::Number(number) => write_number(self.pull.codec, number),
        }
    }

    fn end_with_message(&mut self, call: u32, kind: EndKind, message: &[u8]) {
        let message = &message[..message.len().min(MESSAGE_BYTES_MAX)];
        let mut bytes = Vec::with_capacity(message.len() + 8);
        crate::channel::ending::Detail::message(String::from_utf8_lossy(message)).write(&mut bytes);
        self.end(call, kind, &bytes);
    }
}

/// An array of one number, as the guest expects its arguments.
fn write_number(codec: Codec, number: i64) -> PullInput {
    let mut bytes = [0; 24];
    let length = match codec {
        Codec::Json => {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(number).as_bytes();
            bytes[0] = b'[';
            bytes[1..=digits.len()].copy_from_slice(digits);
            bytes[digits.len() + 1] = b']';
            digits.len() + 2
        }
        Codec::MessagePack => {
            const ARRAY_OF_ONE: u8 = 0x91;
            const INT_64: u8 = 0xd3;
            bytes[..2].copy_from_slice(&[ARRAY_OF_ONE, INT_64]);
            bytes[2..10].copy_from_slice(&number.to_be_bytes());
            10
        }
    };
    PullInput::Written { bytes, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(codec: Codec, number: i64) -> Vec<u8> {
        match write_number(codec, number) {
            PullInput::Written { bytes, length } => bytes[..length].to_vec(),
            PullInput::Region { .. } | PullInput::Errand(_) => panic!("not a number"),
        }
    }

    #[test]
    fn numbers_are_written_as_arrays_of_one() {
        for number in [0, -1, 7, i64::MIN, i64::MAX] {
            let json: [i64; 1] = serde_json::from_slice(&written(Codec::Json, number)).expect("JSON");
            let packed: [i64; 1] =
                rmp_serde::from_slice(&written(Codec::MessagePack, number)).expect("MessagePack");
            assert_eq!((json, packed), ([number], [number]));
        }
    }
}

//! Functions on byte strings: items of queues, messages of pipes, records of lists and dictionaries.
//!
//! What the guest passes is copied first and looked at afterwards, into memory that the instance keeps for the next
//! time. What an object answers goes to the guest's buffer if it fits, and otherwise stays *staged* until the guest
//! has made room and fetches it.

use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::shared::{RecordOp, Refusal, split_first};
use wasmtime::Caller;

use super::belongings::Belonging;
use super::trouble::Trouble;
use super::waiting::{Sleeper, patience};
use super::{Shared, Stopped, check_room, deliver, fetch, finish, finish_with, place, tell};
use crate::sandbox::guest::Guest;
use crate::shm::object::dict::Dict;
use crate::shm::object::list::List;
use crate::shm::object::spec::Spec;
use crate::shm::object::text::About;
use crate::shm::object::{Object, Party};

/// Bytes of a version, before the record that it belongs to.
const VERSION_BYTES: usize = size_of::<u64>();

/// A range of guest memory.
#[derive(Clone, Copy)]
struct Bytes {
    address: u32,
    length: u32,
}

/// Where an answer goes.
#[derive(Clone, Copy)]
struct Target {
    buffer: u32,
    capacity: u32,
    out: u32,
}

impl Target {
    /// Traps unless an answer can be handed over there.
    fn check(self, caller: &Caller<'_, Guest>) -> Result<(), Stopped> {
        check_room(caller, self.buffer, self.capacity as usize)?;
        place(caller, self.out).map(|_| ())
    }
}

/// `shared_put`
pub(super) fn put(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    bytes: u32,
    length: u32,
    limit: i64,
) -> wasmtime::Result<i32> {
    let answer = take_in(&mut caller, handle, [Bytes { address: bytes, length }]).and_then(|()| {
        let guest = caller.data();
        let (number, belonging) = guest.shared.object(handle)?;
        let sleeper = Sleeper::new(&guest.desk, number);
        let (item, patience) = (&guest.shared.incoming, patience(limit, &sleeper));
        let put = match &belonging.object {
            Object::Queue(queue) => queue.put(belonging.party, item, &patience),
            Object::Pipe(end) => end.send(belonging.party, item, &patience),
            _ => Err(Refusal::WrongKind),
        };
        put.map_err(|refusal| Trouble::new(refusal, About::Bytes(u64::from(length))).into())
    });
    match answer {
        Ok(()) => Ok(0),
        refused => finish_with(&mut caller, handle, refused),
    }
}

/// `shared_get`
pub(super) fn get(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    limit: i64,
    buffer: u32,
    capacity: u32,
    out: u32,
) -> wasmtime::Result<i32> {
    let target = Target { buffer, capacity, out };
    let answer = target.check(&caller).and_then(|()| {
        answer_with(&mut caller, |guest, item| {
            let (number, belonging) = guest.shared.object(handle)?;
            let sleeper = Sleeper::new(&guest.desk, number);
            let patience = patience(limit, &sleeper);
            match &belonging.object {
                Object::Queue(queue) => queue.get(belonging.party, &patience, item)?,
                Object::Pipe(end) => end.receive(belonging.party, &patience, item)?,
                _ => return Err(Refusal::WrongKind.into()),
            }
            Ok(())
        })?;
        hand_over(&mut caller, target)
    });
    match answer {
        Ok(()) => Ok(0),
        refused => finish_with(&mut caller, handle, refused),
    }
}

/// `shared_record`
#[allow(clippy::too_many_arguments, reason = "the contract's, each a number")]
pub(super) fn record(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    op: i32,
    key: u32,
    key_bytes: u32,
    index: i64,
    value: u32,
    value_bytes: u32,
    buffer: u32,
    capacity: u32,
    out: u32,
) -> wasmtime::Result<i32> {
    let target = Target { buffer, capacity, out };
    let value = Bytes { address: value, length: value_bytes };
    let key = Bytes { address: key, length: key_bytes };
    let answer = target
        .check(&caller)
        .and_then(|()| work_on_record(&mut caller, handle, op, key, index, value, target));
    finish_with(&mut caller, handle, answer)
}

/// What a function on records answers.
enum Answered {
    /// Nothing, or a number.
    Number(u64),
    /// A record.
    Record,
}

fn work_on_record(
    caller: &mut Caller<'_, Guest>,
    handle: i32,
    op: i32,
    key: Bytes,
    index: i64,
    value: Bytes,
    target: Target,
) -> Result<(), Stopped> {
    let op = RecordOp::from_code(op)
        .ok_or_else(|| Trouble::invalid("has no operation on records of this number"))?;
    let is_list = matches!(caller.data().shared.object(handle)?.1.object, Object::List(_));
    // A list has no keys: the number in a key's place is a count.
    let inputs = if is_list { [Bytes { address: 0, length: 0 }, value] } else { [key, value] };
    take_in(caller, handle, inputs)?;
    let answered = answer_with(caller, |guest, into| {
        let Belonging { object, party, .. } = guest.shared.object(handle)?.1;
        let (key_bytes, value) = guest.shared.incoming.split_at(inputs[0].length as usize);
        match object {
            Object::List(list) => on_list(list, *party, op, (index, u64::from(key.length)), value, into),
            Object::Dict(dict) => on_dict(dict, *party, op, key_bytes, value, into),
            _ => Err(Refusal::WrongKind.into()),
        }
        .map_err(|trouble| with_index(trouble, is_list, index))
    })?;
    match answered {
        Answered::Record => hand_over(caller, target),
        Answered::Number(number) => {
            tell(place(caller, target.out)?, number);
            Ok(())
        }
    }
}

/// Names the index where that is what is wrong.
fn with_index(trouble: Trouble, is_list: bool, index: i64) -> Trouble {
    match trouble {
        Trouble { refusal: Refusal::OutOfRange, .. } if is_list => {
            Trouble::new(Refusal::OutOfRange, About::Index(index))
        }
        other => other,
    }
}

fn on_list(
    list: &List,
    party: Party,
    op: RecordOp,
    (index, count): (i64, u64),
    value: &[u8],
    into: &mut Vec<u8>,
) -> Result<Answered, Trouble> {
    match op {
        RecordOp::Get => {
            list.get(index, into)?;
            return Ok(Answered::Record);
        }
        RecordOp::GetVersioned => {
            into.extend([0; VERSION_BYTES]);
            let version = list.get(index, into)?;
            into[..VERSION_BYTES].copy_from_slice(&version.to_le_bytes());
            return Ok(Answered::Record);
        }
        RecordOp::Pop => {
            list.pop(party, index, into)?;
            return Ok(Answered::Record);
        }
        RecordOp::All => {
            let first = u64::try_from(index).map_err(|_| Refusal::OutOfRange)?;
            let part = list.all(first, (count != 0).then_some(count), VALUE_BYTES_MAX, into);
            part.map_err(|refusal| too_much(refusal, "ask for fewer records, a slice at a time"))?;
            return Ok(Answered::Record);
        }
        RecordOp::Append => return Ok(Answered::Number(list.append(party, value)?.into())),
        RecordOp::Set => list.set(party, index, value)?,
        RecordOp::Insert => list.insert(party, index, value)?,
        RecordOp::Delete => list.delete(party, index)?,
        RecordOp::Replace => {
            let (version, value) = versioned(value)?;
            list.replace(party, index, version, value)?;
        }
        RecordOp::Extend => list.extend(party, &sequence(value, list.shape().records_max.into())?)?,
        RecordOp::GetOrSet | RecordOp::Contains => return Err(Refusal::WrongKind.into()),
    }
    Ok(Answered::Number(0))
}

fn on_dict(
    dict: &Dict,
    party: Party,
    op: RecordOp,
    key: &[u8],
    value: &[u8],
    into: &mut Vec<u8>,
) -> Result<Answered, Trouble> {
    match op {
        RecordOp::Get => {
            dict.get(key, into)?;
            return Ok(Answered::Record);
        }
        RecordOp::GetVersioned => {
            into.extend([0; VERSION_BYTES]);
            let version = dict.get(key, into)?;
            into[..VERSION_BYTES].copy_from_slice(&version.to_le_bytes());
            return Ok(Answered::Record);
        }
        RecordOp::Pop => {
            dict.pop(party, key, into)?;
            return Ok(Answered::Record);
        }
        RecordOp::GetOrSet => {
            dict.get_or_set(party, key, value, into)?;
            return Ok(Answered::Record);
        }
        RecordOp::All => {
            let all = dict.all(VALUE_BYTES_MAX, into);
            all.map_err(|refusal| too_much(refusal, "look its keys up one by one"))?;
            return Ok(Answered::Record);
        }
        RecordOp::Contains => return Ok(Answered::Number(dict.contains(key)?.into())),
        RecordOp::Set => dict.set(party, key, value)?,
        RecordOp::Delete => dict.delete(party, key)?,
        RecordOp::Replace => {
            let (version, value) = versioned(value)?;
            dict.replace(party, key, version, value)?;
        }
        RecordOp::Extend => {
            let strings = sequence(value, 2 * u64::from(dict.shape().records_max))?;
            let (entries, []) = strings.as_chunks::<2>() else {
                return Err(Trouble::invalid(
                    "takes keys and values in turn: there is a key without a value",
                ));
            };
            let entries: Vec<(&[u8], &[u8])> = entries.iter().map(|[key, value]| (*key, *value)).collect();
            dict.extend(party, &entries)?;
        }
        RecordOp::Append | RecordOp::Insert => return Err(Refusal::WrongKind.into()),
    }
    Ok(Answered::Number(0))
}

/// Says what to do instead where more was asked for than is answered at once.
fn too_much(refusal: Refusal, remedy: &str) -> Trouble {
    match refusal {
        Refusal::TooLarge => {
            let words = format!("does not answer more than {VALUE_BYTES_MAX} bytes at once: {remedy}");
            Trouble::words(Refusal::TooLarge, words)
        }
        other => other.into(),
    }
}

/// A version and the record behind it.
fn versioned(value: &[u8]) -> Result<(u64, &[u8]), Trouble> {
    let split = value.split_first_chunk::<VERSION_BYTES>();
    let (version, value) =
        split.ok_or_else(|| Trouble::invalid("replaces by a value that begins with a version"))?;
    Ok((u64::from_le_bytes(*version), value))
}

/// The byte strings of a sequence; more than `most` fit into no object, whatever they are.
fn sequence(mut bytes: &[u8], most: u64) -> Result<Vec<&[u8]>, Trouble> {
    let mut strings = Vec::new();
    while !bytes.is_empty() {
        let (first, rest) = split_first(bytes)
            .ok_or_else(|| Trouble::invalid("takes a sequence, which this one is not: it ends early"))?;
        if strings.len() as u64 >= most {
            return Err(Refusal::NoRoom.into());
        }
        strings.push(first);
        bytes = rest;
    }
    Ok(strings)
}

/// `shared_staged`
pub(super) fn staged(mut caller: Caller<'_, Guest>, buffer: u32) -> wasmtime::Result<i32> {
    let Shared { outgoing, is_staged, .. } = &mut caller.data_mut().shared;
    let bytes = if std::mem::take(is_staged) { std::mem::take(outgoing) } else { Vec::new() };
    let delivered = deliver(&mut caller, buffer, &bytes).map(|()| bytes.len() as i64);
    caller.data_mut().shared.outgoing = bytes;
    finish(&mut caller, None, delivered).map(|bytes| bytes as i32)
}

/// Copies what the guest passes, one after the other, unless the object could never take so much.
fn take_in<const N: usize>(
    caller: &mut Caller<'_, Guest>,
    handle: i32,
    inputs: [Bytes; N],
) -> Result<(), Stopped> {
    let total: u64 = inputs.iter().map(|input| u64::from(input.length)).sum();
    let spec = &caller.data().shared.object(handle)?.1.spec;
    if total > bytes_max(spec).ok_or(Refusal::WrongKind)? {
        return Err(Trouble::new(Refusal::TooLarge, About::Bytes(total)).into());
    }
    let mut incoming = std::mem::take(&mut caller.data_mut().shared.incoming);
    incoming.clear();
    let mut taken = Ok(());
    for input in inputs {
        let from = incoming.len();
        // Looked at before room is made for it: a guest's number costs nothing.
        taken = taken.and_then(|()| check_readable(caller, input)).and_then(|()| {
            incoming.resize(from + input.length as usize, 0);
            fetch(caller, input.address, &mut incoming[from..])
        });
    }
    caller.data_mut().shared.incoming = incoming;
    taken
}

fn check_readable(caller: &Caller<'_, Guest>, bytes: Bytes) -> Result<(), Stopped> {
    let memory = super::guest_memory(caller)?;
    super::memory::check(caller, memory, bytes.address, bytes.length as usize).map_err(Stopped::out_of_bounds)
}

/// Most bytes that an object could take at once, with what goes along: versions, and the lengths in a sequence.
/// Nothing for one that takes none.
fn bytes_max(spec: &Spec) -> Option<u64> {
    const LENGTH_BYTES: u64 = size_of::<u32>() as u64;
    let most = match spec {
        Spec::Queue(shape) => shape.bytes_max,
        Spec::Pipe { shape, .. } => shape.bytes_max,
        Spec::List(shape) | Spec::Dict { shape, .. } => {
            let lengths = 2 * LENGTH_BYTES * u64::from(shape.records_max);
            shape.bytes_max.saturating_add(lengths).saturating_add(VERSION_BYTES as u64)
        }
        _ => return None,
    };
    Some(most.min((VALUE_BYTES_MAX + VERSION_BYTES) as u64))
}

/// Has an object write its answer to the instance's memory for that.
fn answer_with<T>(
    caller: &mut Caller<'_, Guest>,
    work: impl FnOnce(&Guest, &mut Vec<u8>) -> Result<T, Trouble>,
) -> Result<T, Stopped> {
    let shared = &mut caller.data_mut().shared;
    shared.is_staged = false;
    let mut into = std::mem::take(&mut shared.outgoing);
    into.clear();
    let answer = work(caller.data(), &mut into);
    caller.data_mut().shared.outgoing = into;
    Ok(answer?)
}

/// Hands the answer over, or keeps it until the guest has room.
fn hand_over(caller: &mut Caller<'_, Guest>, target: Target) -> Result<(), Stopped> {
    let answer = std::mem::take(&mut caller.data_mut().shared.outgoing);
    let length = answer.len();
    let fits = length <= target.capacity as usize;
    let delivered = if fits { deliver(caller, target.buffer, &answer) } else { Ok(()) };
    let shared = &mut caller.data_mut().shared;
    shared.outgoing = answer;
    shared.is_staged = !fits;
    delivered?;
    tell(place(caller, target.out)?, length as u64);
    Ok(())
}

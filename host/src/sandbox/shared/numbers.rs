//! Functions on numbers: elements of values and arrays, and everything that takes a number and answers with one.

use wasmpool_abi::shared::{CellOp, Element, Op, Refusal, SliceOp};
use wasmtime::Caller;

use super::belongings::Belonging;
use super::trouble::Trouble;
use super::waiting::{Sleeper, patience};
use super::{Stopped, check_room, deliver, fetch, finish_with, place, tell};
use crate::sandbox::guest::Guest;
use crate::shm::object::Object;
use crate::shm::object::cells::Cells;
use crate::shm::object::lock::{Found, Lock};
use crate::shm::object::patience::Patience;
use crate::shm::object::spec::Spec;
use crate::shm::object::text::About;

/// Bytes that are copied between an array and guest memory at a time: few enough to stay in the nearest cache.
const CHUNK_BYTES: usize = 16 << 10;

/// `shared_cell`
pub(super) fn cell(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    op: i32,
    index: i64,
    a: i64,
    b: i64,
    out: u32,
) -> wasmtime::Result<i32> {
    match operate_on_cell(&caller, handle, op, index, (a, b), out) {
        Ok(()) => Ok(0),
        refused => finish_with(&mut caller, handle, refused),
    }
}

fn operate_on_cell(
    caller: &Caller<'_, Guest>,
    handle: i32,
    op: i32,
    index: i64,
    (a, b): (i64, i64),
    out: u32,
) -> Result<(), Stopped> {
    let place = place(caller, out)?;
    let cells = cells(caller.data(), handle)?;
    let op =
        CellOp::from_code(op).ok_or_else(|| Trouble::invalid("has no atomic operation of this number"))?;
    // A negative index is beyond every array, too.
    let operated = cells.operate(op, index as u64, a as u64, b as u64);
    match operated.map_err(|refusal| Trouble::new(refusal, About::Index(index)))? {
        Ok(before) => {
            tell(place, before);
            Ok(())
        }
        Err(current) => {
            tell(place, current);
            Err(Refusal::Changed.into())
        }
    }
}

fn cells(guest: &Guest, handle: i32) -> Result<&Cells, Trouble> {
    match &guest.shared.object(handle)?.1.object {
        Object::Cells(cells) => Ok(cells),
        _ => Err(Refusal::WrongKind.into()),
    }
}

/// `shared_slice`
pub(super) fn slice(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    op: i32,
    start: i64,
    bytes: u32,
    count: i64,
) -> wasmtime::Result<i32> {
    let mut chunk = std::mem::take(&mut caller.data_mut().shared.incoming);
    let answer = slice_through(&mut caller, &mut chunk, handle, op, (start, count), bytes);
    caller.data_mut().shared.incoming = chunk;
    finish_with(&mut caller, handle, answer)
}

fn slice_through(
    caller: &mut Caller<'_, Guest>,
    chunk: &mut Vec<u8>,
    handle: i32,
    op: i32,
    (start, count): (i64, i64),
    address: u32,
) -> Result<(), Stopped> {
    let op = SliceOp::from_code(op)
        .ok_or_else(|| Trouble::invalid("has no operation on slices of this number"))?;
    let cells = cells(caller.data(), handle)?;
    let (length, size) = (cells.length(), cells.element().bytes());
    let end = start.checked_add(count).filter(|end| start >= 0 && *end >= start && *end as u64 <= length);
    let Some(end) = end else {
        let about = About::Elements(start, start.saturating_add(count));
        return Err(Trouble::new(Refusal::OutOfRange, about).into());
    };
    let elements = start as u64..end as u64;
    if op == SliceOp::Fill {
        return fill(caller, handle, elements, address);
    }
    let total = (count as u64).saturating_mul(size as u64);
    if op == SliceOp::Read {
        check_room(caller, address, usize::try_from(total).unwrap_or(usize::MAX))?;
    }
    chunk.resize(CHUNK_BYTES, 0);
    let mut done = 0;
    while done < total {
        let bytes = (total - done).min(CHUNK_BYTES as u64) as usize;
        let part = &mut chunk[..bytes];
        // A range of more than 4 GiB lies outside of every memory, which the first copy or the check has found.
        let (at, from) = (address.saturating_add(done as u32), elements.start + done / size as u64);
        if op == SliceOp::Read {
            self::cells(caller.data(), handle)?.read(from, part)?;
            deliver(caller, at, part)?;
        } else {
            fetch(caller, at, part)?;
            self::cells(caller.data(), handle)?.write(from, part)?;
        }
        done += bytes as u64;
    }
    Ok(())
}

fn fill(
    caller: &Caller<'_, Guest>,
    handle: i32,
    elements: std::ops::Range<u64>,
    address: u32,
) -> Result<(), Stopped> {
    let cells = cells(caller.data(), handle)?;
    let mut bits = [0; size_of::<u64>()];
    fetch(caller, address, &mut bits[..cells.element().bytes()])?;
    Ok(cells.fill(elements, extended(cells.element(), u64::from_le_bytes(bits)))?)
}

/// A number of an element's size as the 64 bits in which it travels.
fn extended(element: Element, bits: u64) -> u64 {
    match element {
        Element::I8 => i64::from(bits as i8) as u64,
        Element::I16 => i64::from(bits as i16) as u64,
        Element::I32 => i64::from(bits as i32) as u64,
        _ => bits,
    }
}

/// `shared_op`
pub(super) fn op(
    mut caller: Caller<'_, Guest>,
    handle: i32,
    op: i32,
    argument: i64,
    limit: i64,
    out: u32,
) -> wasmtime::Result<i32> {
    let answer = place(&caller, out).and_then(|place| {
        tell(place, operate(caller.data(), handle, op, argument, limit)?);
        Ok(())
    });
    match answer {
        Ok(()) => Ok(0),
        refused => finish_with(&mut caller, handle, refused),
    }
}

fn operate(guest: &Guest, handle: i32, op: i32, argument: i64, limit: i64) -> Result<u64, Trouble> {
    let (number, belonging) = guest.shared.object(handle)?;
    let op = Op::from_code(op).ok_or_else(|| Trouble::invalid("has no operation of this number"))?;
    let sleeper = Sleeper::new(&guest.desk, number);
    let patience = patience(limit, &sleeper);
    match op {
        Op::Kind => Ok(belonging.spec.kind() as u64),
        Op::IsWritable => Ok(u64::from(belonging.object.ground().is_writable())),
        _ => match &belonging.object {
            Object::Cells(cells) => on_cells(belonging, cells, op, &patience),
            Object::Lock(lock) => on_lock(belonging, lock, op, &patience),
            _ => on_others(belonging, op, argument, &patience),
        },
    }
}

fn on_cells(belonging: &Belonging, cells: &Cells, op: Op, patience: &Patience<'_>) -> Result<u64, Trouble> {
    match (op, &belonging.spec) {
        (Op::Element, _) => Ok(cells.element() as u64),
        (Op::Length, Spec::Array { .. }) => Ok(cells.length()),
        (Op::Acquire | Op::Release, _) => on_lock(belonging, cells.lock(), op, patience),
        _ => Err(Refusal::WrongKind.into()),
    }
}

fn on_lock(belonging: &Belonging, lock: &Lock, op: Op, patience: &Patience<'_>) -> Result<u64, Trouble> {
    Ok(match op {
        Op::Acquire => found(lock.acquire(belonging.party, patience)?),
        Op::Release => done(lock.release(belonging.party)?),
        Op::State => u64::from(lock.is_held()),
        _ => return Err(Refusal::WrongKind.into()),
    })
}

fn on_others(belonging: &Belonging, op: Op, argument: i64, patience: &Patience<'_>) -> Result<u64, Trouble> {
    let party = belonging.party;
    let answer = match (&belonging.object, op) {
        (Object::Semaphore(semaphore), Op::Acquire) => done(semaphore.acquire(party, patience)?),
        (Object::Semaphore(semaphore), Op::Release) => done(semaphore.release(party, permits(argument)?)?),
        (Object::Semaphore(semaphore), Op::State) => semaphore.value()?.into(),

        (Object::Condition(condition), Op::Acquire | Op::Release) => {
            return on_lock(belonging, condition.lock(), op, patience);
        }
        (Object::Condition(condition), Op::Wait) => found(condition.wait(party, patience)?),
        (Object::Condition(condition), Op::Notify) => {
            // Negative: all. More than there can be: all.
            condition.notify(party, u32::try_from(argument).unwrap_or(u32::MAX))?.into()
        }

        (Object::Event(event), Op::State) => event.is_set()?.into(),
        (Object::Event(event), Op::Wait) => done(event.wait(patience)?),
        (Object::Event(event), Op::Set) => done(event.set()?),
        (Object::Event(event), Op::Clear) => done(event.clear()?),

        (Object::Barrier(barrier), Op::Capacity) => barrier.parties().into(),
        (Object::Barrier(barrier), Op::State) => barrier.waiting()?.into(),
        (Object::Barrier(barrier), Op::Wait) => barrier.wait(party, patience)?.into(),
        (Object::Barrier(barrier), Op::Abort) => done(barrier.abort()?),
        (Object::Barrier(barrier), Op::Reset) => done(barrier.reset(party)?),
        (Object::Barrier(barrier), Op::IsBroken) => barrier.is_broken()?.into(),

        (Object::Queue(queue), Op::Length) => queue.len()?.into(),
        (Object::Queue(queue), Op::Capacity) => queue.shape().items_max.into(),
        (Object::Queue(queue), Op::Wait) => done(queue.wait(patience)?),
        (Object::Queue(queue), Op::Close) => done(queue.close(party)?),
        (Object::Queue(queue), Op::Acknowledge) => done(queue.acknowledge(party)?),
        (Object::Queue(queue), Op::TaskDone) if queue.shape().joinable => done(queue.task_done(party)?),
        (Object::Queue(queue), Op::Join) if queue.shape().joinable => done(queue.join(patience)?),

        (Object::Pipe(end), Op::Wait) => done(end.poll(patience)?),
        (Object::Pipe(end), Op::Close) => done(end.close(party)?),

        (Object::List(list), Op::Length) => list.len()?.into(),
        (Object::List(list), Op::Capacity) => list.shape().records_max.into(),
        (Object::List(list), Op::Clear) => done(list.clear(party)?),

        (Object::Dict(dict), Op::Length) => dict.len()?.into(),
        (Object::Dict(dict), Op::Capacity) => dict.shape().records_max.into(),
        (Object::Dict(dict), Op::Clear) => done(dict.clear(party)?),

        _ => return Err(Refusal::WrongKind.into()),
    };
    Ok(answer)
}

/// The answer of an operation that has none.
fn done((): ()) -> u64 {
    0
}

/// 1 if the last holder is gone without a release.
fn found(found: Found) -> u64 {
    u64::from(found == Found::Abandoned)
}

fn permits(argument: i64) -> Result<u32, Trouble> {
    let permits = u32::try_from(argument).ok().filter(|permits| *permits > 0);
    permits.ok_or_else(|| Trouble::invalid("can be given back 1 permit or more, up to 2^32 - 1"))
}

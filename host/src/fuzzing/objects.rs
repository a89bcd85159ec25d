//! Pages of shared objects: anything anywhere between operations, of all kinds of objects.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmpool_abi::shared::{CellOp, Element, ViewMode};

use super::Bytes;
use crate::shm::object::ground::Rights;
use crate::shm::object::patience::Patience;
use crate::shm::object::spec::{Orphaned, PipeShape, QueueShape, RecordsShape, Spec};
use crate::shm::object::{CallEnd, Object, Party};
use crate::shm::region::{Region, Writer};

/// Most operations of a run.
const STEPS_MAX: usize = 64;

/// Largest answer that is asked for.
const ANSWER_BYTES_MAX: usize = 1 << 20;

const NOW: Patience<'static> = Patience::NONE;

fn specs() -> [Spec; 16] {
    let records = RecordsShape { records_max: 9, bytes_max: 2048 };
    let queue = |joinable, orphaned| QueueShape { items_max: 5, bytes_max: 2048, joinable, orphaned };
    let pipe = |duplex| PipeShape { bytes_max: 2048, duplex };
    [
        Spec::Value { element: Element::I32 },
        Spec::Array { element: Element::F64, length: 5 },
        Spec::Array { element: Element::Bool, length: 5000 },
        Spec::Lock,
        Spec::RLock,
        Spec::Semaphore { permits: 3, bounded: false },
        Spec::Semaphore { permits: 3, bounded: true },
        Spec::Condition,
        Spec::Event,
        Spec::Barrier { parties: 3 },
        Spec::Queue(queue(false, Orphaned::GivenBack)),
        Spec::Queue(queue(true, Orphaned::Reported)),
        Spec::Pipe { shape: pipe(true), end: 0 },
        Spec::Pipe { shape: pipe(false), end: 1 },
        Spec::List(records),
        Spec::Dict { shape: records, seed: 7, is_namespace: false },
    ]
}

/// The first byte chooses the object, each step begins with a byte that says what is done.
///
/// Every operation comes to an answer or a refusal, at once.
pub(super) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let specs = specs();
    let spec = &specs[usize::from(bytes.u8()) % specs.len()];
    let length = spec.bytes().expect("sizes that any machine has");
    let (region, _) = Region::create("fuzz", length, Writer::Worker).expect("a region");
    let region = Arc::new(region);
    let object = Object::open(spec, Arc::clone(&region), Rights::ReadWrite);
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        let step = bytes.u8();
        let party = Party::new(1 + usize::from(step >> 6)).expect("one of the first parties");
        match step & 0x3f {
            scribble @ 0..24 => write_anywhere(&region, scribble, &mut bytes),
            24 => object.end_call(party, CallEnd::Normal),
            25 => object.end_call(party, CallEnd::Abnormal),
            26 => object.bury(party),
            operation => operate(&object, operation - 27, party, &mut bytes),
        }
    }
    for party in 1..5 {
        object.bury(Party::new(party).expect("one of the first parties"));
    }
}

/// Writes a word, more often near the front, where an object's own words are.
fn write_anywhere(region: &Region, how: u8, bytes: &mut Bytes<'_>) {
    let (place, value) = (usize::from(bytes.u16()), bytes.u64());
    let words = region.len() / 8;
    let near = if how < 16 { words.min(256) } else { words };
    // Not the first word, a mutex: whoever is written there as its holder is waited for, for ten seconds.
    let at = 8 * (place % near).max(1);
    let value = match how % 4 {
        0 => value,
        1 => value & 0xff,
        2 => u64::MAX - (value & 0xff),
        _ => value & 0xffff_ffff,
    };
    region.word64(at).store(value, Ordering::Relaxed);
}

fn operate(object: &Object, operation: u8, party: Party, bytes: &mut Bytes<'_>) {
    let mut into = Vec::new();
    match object {
        Object::Cells(cells) => match operation % 6 {
            0 => {
                let op = CellOp::from_code(i32::from(bytes.u8() % 12)).unwrap_or(CellOp::Get);
                let _ = cells.operate(op, bytes.u16().into(), bytes.u64(), bytes.u64());
            }
            1 => answered(cells.read(bytes.u16().into(), &mut [0; 24])),
            2 => answered(cells.write(bytes.u16().into(), bytes.take(24))),
            3 => answered(cells.fill(bytes.u8().into()..bytes.u16().into(), bytes.u64())),
            4 => {
                let mode = ViewMode::from_code(i32::from(bytes.u8() % 3)).unwrap_or(ViewMode::ALL[0]);
                if let Ok(lease) = cells.lease(party, mode, bytes.u8().into()..bytes.u16().into()) {
                    cells.unlease(party, lease);
                }
            }
            _ => {
                let _ = cells.lock().acquire(party, &NOW);
                let _ = cells.lock().release(party);
            }
        },
        Object::Lock(lock) => match operation % 4 {
            0 => answered(lock.acquire(party, &NOW).map(|_| ())),
            1 => answered(lock.release(party)),
            2 => answered(lock.release_all(party)),
            _ => {
                let _ = (lock.is_held(), lock.depth(party));
            }
        },
        Object::Semaphore(semaphore) => match operation % 3 {
            0 => answered(semaphore.acquire(party, &NOW)),
            1 => answered(semaphore.release(party, bytes.u8().into())),
            _ => answered(semaphore.value()),
        },
        Object::Condition(condition) => match operation % 4 {
            0 => answered(condition.lock().acquire(party, &NOW).map(|_| ())),
            1 => answered(condition.wait(party, &NOW).map(|_| ())),
            2 => answered(condition.notify(party, bytes.u16().into())),
            _ => answered(condition.lock().release(party)),
        },
        Object::Event(event) => match operation % 4 {
            0 => answered(event.set()),
            1 => answered(event.clear()),
            2 => answered(event.is_set()),
            _ => answered(event.wait(&NOW)),
        },
        Object::Barrier(barrier) => match operation % 5 {
            0 => answered(barrier.join(party)),
            1 => answered(barrier.wait(party, &NOW)),
            2 => answered(barrier.abort()),
            3 => answered(barrier.reset(party)),
            _ => answered((barrier.is_broken(), barrier.waiting())),
        },
        Object::Queue(queue) => match operation % 8 {
            0 | 1 => answered(queue.put(party, bytes.short(), &NOW)),
            2 => answered(queue.get(party, &NOW, &mut into)),
            3 => answered(queue.acknowledge(party)),
            4 => answered(queue.task_done(party)),
            5 => answered(queue.take_reported(party)),
            6 => answered(queue.close(party)),
            _ => answered((
                queue.len(),
                queue.is_closed(),
                queue.unfinished(),
                queue.wait(&NOW),
                queue.join(&NOW),
            )),
        },
        Object::Pipe(end) => match operation % 6 {
            0 | 1 => answered(end.send(party, bytes.short(), &NOW)),
            2 => answered(end.receive(party, &NOW, &mut into)),
            3 => answered(end.join(party)),
            4 => answered(end.close(party)),
            _ => answered((end.poll(&NOW), end.leave(party))),
        },
        Object::List(list) => {
            let index = i64::from(bytes.u8().cast_signed());
            match operation % 8 {
                0 | 1 => answered(list.append(party, bytes.short())),
                2 => answered(list.get(index, &mut into).map(|_| ())),
                3 => answered(list.set(party, index, bytes.short())),
                4 => answered(list.insert(party, index, bytes.short())),
                5 => answered(list.pop(party, index, &mut into)),
                6 => answered((list.clear(party), list.delete(party, index))),
                _ => answered((list.len(), list.all(0, None, ANSWER_BYTES_MAX, &mut into))),
            }
        }
        Object::Dict(dict) => {
            let key = bytes.take(2);
            match operation % 8 {
                0 | 1 => answered(dict.set(party, key, bytes.short())),
                2 => answered(dict.get(key, &mut into).map(|_| ())),
                3 => answered(dict.get_or_set(party, key, bytes.short(), &mut into)),
                4 => answered(dict.pop(party, key, &mut into)),
                5 => answered((dict.contains(key), dict.delete(party, key))),
                6 => answered(dict.clear(party)),
                _ => answered((dict.len(), dict.all(ANSWER_BYTES_MAX, &mut into))),
            }
        }
    }
    assert!(into.len() <= ANSWER_BYTES_MAX, "an answer of {} bytes", into.len());
}

/// Whatever it is, it is an answer.
fn answered<T>(_: T) {}

/// For each kind of object every operation, then some of them between words that somebody wrote.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let seed = |kind: u8| {
        let mut seed = vec![kind];
        for operation in 27..35 {
            seed.push(operation);
            seed.extend([3, b'a', b'b', b'c', 0, 0, 1, 0]);
        }
        for scribble in [0, 1, 2, 16] {
            seed.extend([scribble, 8 + kind, 0, 1, 0, 0, 0, 0, 0, 0, 0, 27 + scribble % 8, 1, 7]);
        }
        seed.extend([64 | 27, 2, 8, 9, 64 | 29, 26, 24, 25]);
        seed
    };
    (0..16).map(seed).collect()
}

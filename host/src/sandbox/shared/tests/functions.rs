//! Each function: right, refused, and out of bounds.

use wasmpool_abi::shared::{CellOp, Kind, Op, RecordOp, SliceOp};

use super::*;
use crate::shm::object::patience::{Patience, Unnoticed};

#[test]
fn an_object_is_opened_by_its_name_as_what_it_is() {
    let worker =
        relaying(&[("counter", COUNTER, Rights::ReadWrite), ("data", array(Element::F64, 5), Rights::Read)]);
    let mut guest = worker.guest();
    let counter = guest.open("counter");
    assert!(counter >= 0);
    assert!(guest.open_as("counter", Kind::Value as i64, Element::I64 as i64) >= 0);
    assert_eq!(guest.open_as("counter", Kind::Lock as i64, -1), no(Refusal::WrongKind));
    assert_eq!(guest.text(), "value `counter` is no lock: open it as what it is");
    assert_eq!(guest.open_as("data", -1, Element::I64 as i64), no(Refusal::WrongElement));
    assert_eq!(guest.text(), "array `data` is of f64, not i64: open it as what it is");
    assert_eq!(guest.open_as("data", 99, -1), no(Refusal::Invalid));
    assert_eq!(guest.open_as("data", -1, 99), no(Refusal::Invalid));
    let data = guest.open("data");
    for (handle, op, expected) in [
        (counter, Op::Kind, Kind::Value as u64),
        (counter, Op::Element, Element::I64 as u64),
        (counter, Op::IsWritable, 1),
        (data, Op::Kind, Kind::Array as u64),
        (data, Op::Length, 5),
        (data, Op::IsWritable, 0),
    ] {
        assert_eq!(guest.call(IMPORT_OP, &[handle, op as i64, 0, 0, OUT]), 0, "{op:?}");
        assert_eq!(guest.peek_u64(OUT as u32), expected, "{op:?}");
    }
    assert_eq!(guest.call(IMPORT_OP, &[counter, Op::Length as i64, 0, 0, OUT]), no(Refusal::WrongKind));
    assert_eq!(guest.call(IMPORT_OP, &[counter, 77, 0, 0, OUT]), no(Refusal::Invalid));
}

#[test]
fn a_name_that_was_not_granted_is_told_with_those_that_were() {
    let worker = relaying(&[("counter", COUNTER, Rights::ReadWrite), ("total", COUNTER, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    assert_eq!(guest.open("countr"), no(Refusal::NotGranted));
    assert_eq!(
        guest.text(),
        "no shared object `countr` was granted to this call; did you mean `counter`?; granted: `counter`, `total`"
    );
    assert_eq!(guest.open(&"x".repeat(3000)), no(Refusal::NotGranted));
    assert!(guest.text().contains("granted: `counter`, `total`"));
    let nothing = relaying(&[]);
    let mut guest = nothing.guest();
    assert_eq!(guest.open("counter"), no(Refusal::NotGranted));
    assert!(guest.text().ends_with("nor any other: grant it when the job is submitted"));
}

#[test]
fn a_text_is_cut_to_its_buffer_and_there_is_none_at_first() {
    let worker = relaying(&[]);
    let mut guest = worker.guest();
    assert_eq!(guest.call(IMPORT_REFUSAL, &[TEXT, 100]), 0);
    guest.open("é");
    assert_eq!(guest.call(IMPORT_REFUSAL, &[TEXT, 19]), 18);
    assert_eq!(guest.peek(TEXT as u32, 19), b"no shared object `\0");
}

#[test]
fn only_so_many_are_open_and_closing_makes_room() {
    let worker = relaying(&[("counter", COUNTER, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let handles: Vec<i64> = (0..1024).map(|_| guest.open("counter")).collect();
    assert_eq!(guest.open("counter"), no(Refusal::TooManyOpen));
    assert!(guest.text().contains("cannot be opened: the call has 1024 shared objects open"));
    assert_eq!(guest.call(IMPORT_CLOSE, &[handles[3]]), 0);
    assert_eq!(guest.call(IMPORT_CLOSE, &[handles[3]]), no(Refusal::Invalid));
    assert!(guest.open("counter") >= 0);
}

#[test]
fn a_handle_means_nothing_after_the_call() {
    let worker = relaying(&[("counter", COUNTER, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let handle = guest.open("counter");
    let get = [handle, CellOp::Get as i64, 0, 0, 0, OUT];
    assert_eq!(guest.call(IMPORT_CELL, &get), 0);
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    assert_eq!(guest.call(IMPORT_CELL, &get), no(Refusal::Invalid));
    assert!(guest.text().contains("last until their call ends"));
    guest.open("counter");
    assert_eq!(guest.call(IMPORT_CELL, &get), no(Refusal::Invalid));
}

#[test]
fn elements_are_changed_and_the_value_before_is_told() {
    let worker = relaying(&[("a", array(Element::I32, 3), Rights::ReadWrite), ("r", COUNTER, Rights::Read)]);
    let mut guest = worker.guest();
    let (a, r) = (guest.open("a"), guest.open("r"));
    let mut cell = |op: CellOp, index: i64, x: i64, y: i64, out: i64| {
        let status = guest.call(IMPORT_CELL, &[a, op as i64, index, x, y, out]);
        (status, guest.peek_u64(OUT as u32) as i64)
    };
    assert_eq!(cell(CellOp::Add, 1, -5, 0, OUT), (0, 0));
    assert_eq!(cell(CellOp::Set, 1, 7, 0, OUT), (0, -5));
    assert_eq!(cell(CellOp::Add, 1, 1, 0, 0), (0, -5));
    assert_eq!(cell(CellOp::CompareExchange, 1, 9, 1, OUT), (no(Refusal::Changed), 8));
    assert_eq!(cell(CellOp::CompareExchange, 1, 8, 1, OUT), (0, 8));
    for index in [3, -1, i64::MIN, i64::MAX] {
        assert_eq!(cell(CellOp::Get, index, 0, 0, OUT).0, no(Refusal::OutOfRange));
    }
    assert_eq!(guest.text(), format!("array `a` has no element {}: it has 3, counted from 0", i64::MAX));
    assert_eq!(guest.call(IMPORT_CELL, &[a, 10, 0, 0, 0, OUT]), no(Refusal::Invalid));
    assert_eq!(guest.call(IMPORT_CELL, &[r, CellOp::Add as i64, 0, 1, 0, OUT]), no(Refusal::ReadOnly));
    assert_eq!(guest.text(), "value `r` was granted for reading only: grant it for writing, too");
    assert_eq!(guest.cell(0, 1), 1);
    // A number may lie anywhere, but not outside; and what cannot be told is not done.
    assert_eq!(guest.call(IMPORT_CELL, &[a, CellOp::Get as i64, 1, 0, 0, OUT + 3]), 0);
    assert_eq!(guest.peek_u64(OUT as u32 + 3), 1);
    for out in [65536 - 7, 65536, -1] {
        assert!(guest.try_call(IMPORT_CELL, &[a, CellOp::Add as i64, 1, 1, 0, out]).is_err());
    }
    assert_eq!(guest.cell(0, 1), 1);
}

#[test]
fn slices_are_copied_whole() {
    let length = 20_000;
    let worker =
        relaying(&[("a", array(Element::I16, length), Rights::ReadWrite), ("c", COUNTER, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let a = guest.open("a");
    let numbers: Vec<u8> = (0..length as i16 - 1).flat_map(|number| (number - 9).to_le_bytes()).collect();
    guest.poke(BYTES as u32, &numbers);
    let count = length as i64 - 1;
    let slice = |op: SliceOp, start: i64, at: i64, count: i64| [a, op as i64, start, at, count];
    assert_eq!(guest.call(IMPORT_SLICE, &slice(SliceOp::Write, 1, BYTES, count)), 0);
    assert_eq!((guest.cell(0, 0), guest.cell(0, 1), guest.cell(0, 19_999)), (0, -9, 19_989));
    guest.poke(BYTES as u32, &vec![0; numbers.len()]);
    assert_eq!(guest.call(IMPORT_SLICE, &slice(SliceOp::Read, 1, BYTES + 1, count)), 0);
    assert!(guest.peek(BYTES as u32 + 1, numbers.len()) == numbers);
    guest.poke(OUT as u32, &(-2i16).to_le_bytes());
    assert_eq!(guest.call(IMPORT_SLICE, &slice(SliceOp::Fill, 2, OUT, 100)), 0);
    assert_eq!([1, 2, 101, 102].map(|index| guest.cell(0, index)), [-9, -2, -2, 92]);
    assert_eq!(guest.call(IMPORT_SLICE, &slice(SliceOp::Read, 20_000, BYTES, 0)), 0);
    for (start, count) in [(0, 20_001), (20_000, 1), (-1, 1), (1, -1), (i64::MAX, 1), (1, i64::MAX)] {
        assert_eq!(
            guest.call(IMPORT_SLICE, &slice(SliceOp::Read, start, BYTES, count)),
            no(Refusal::OutOfRange)
        );
    }
    assert!(guest.text().starts_with("array `a` has no elements 1.."), "{}", guest.text());
    for op in [SliceOp::Read, SliceOp::Write] {
        assert!(guest.try_call(IMPORT_SLICE, &slice(op, 0, 65536 - 100, 51)).is_err());
        assert!(guest.try_call(IMPORT_SLICE, &slice(op, 0, -2, 20_000)).is_err());
    }
    assert!(guest.try_call(IMPORT_SLICE, &slice(SliceOp::Fill, 0, 65535, 1)).is_err());
    assert_eq!(guest.call(IMPORT_SLICE, &[a, 3, 0, BYTES, 1]), no(Refusal::Invalid));
}

#[test]
fn items_go_through_a_queue_and_long_ones_are_staged() {
    let worker = relaying(&[("jobs", QUEUE, Rights::ReadWrite), ("c", COUNTER, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let (jobs, counter) = (guest.open("jobs"), guest.open("c"));
    guest.poke(BYTES as u32, b"hello, world");
    assert_eq!(guest.call(IMPORT_GET, &[jobs, 0, BYTES, 10, OUT]), no(Refusal::Empty));
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 5, 0]), 0);
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 12, -1]), 0);
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 0, 0]), 0);
    assert_eq!(guest.call(IMPORT_OP, &[jobs, Op::Length as i64, 0, 0, OUT]), 0);
    assert_eq!(guest.peek_u64(OUT as u32), 3);
    let target = BYTES + 100;
    assert_eq!(guest.call(IMPORT_GET, &[jobs, 0, target, 5, OUT]), 0);
    assert_eq!((guest.peek_u64(OUT as u32), guest.peek(target as u32, 6)), (5, b"hello\0".to_vec()));
    assert_eq!(guest.call(IMPORT_STAGED, &[target]), 0);
    assert_eq!(guest.call(IMPORT_GET, &[jobs, 0, target, 11, OUT]), 0);
    assert_eq!((guest.peek_u64(OUT as u32), guest.peek(target as u32, 6)), (12, b"hello\0".to_vec()));
    assert_eq!(guest.call(IMPORT_STAGED, &[target]), 12);
    assert_eq!(guest.peek(target as u32, 12), b"hello, world");
    assert_eq!(guest.call(IMPORT_STAGED, &[target]), 0);
    assert_eq!(guest.call(IMPORT_GET, &[jobs, -1, target, 0, OUT]), 0);
    assert_eq!(guest.peek_u64(OUT as u32), 0);
    assert_eq!(guest.call(IMPORT_PUT, &[counter, BYTES, 1, 0]), no(Refusal::WrongKind));
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 5000, 0]), no(Refusal::TooLarge));
    assert_eq!(
        guest.text(),
        "queue `jobs` can never hold 5000 bytes at once (4 items, 4096 bytes): make it larger, or the item smaller"
    );
}

#[test]
fn a_full_queue_says_what_to_do_and_bad_addresses_take_nothing() {
    let worker = relaying(&[("jobs", QUEUE, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let jobs = guest.open("jobs");
    for _ in 0..4 {
        assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 5, 0]), 0);
    }
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 5, 0]), no(Refusal::Full));
    assert_eq!(
        guest.text(),
        "queue `jobs` is full (4 items, 4096 bytes): wait for room, take something out, or make it larger"
    );
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, BYTES, 5, 1000]), no(Refusal::TimedOut));
    assert!(guest.try_call(IMPORT_PUT, &[jobs, 65530, 7, 0]).is_err());
    assert!(guest.try_call(IMPORT_GET, &[jobs, 0, 65530, 7, OUT]).is_err());
    assert!(guest.try_call(IMPORT_GET, &[jobs, 0, BYTES, 7, 65530]).is_err());
    assert_eq!(guest.call(IMPORT_OP, &[jobs, Op::Length as i64, 0, 0, OUT]), 0);
    assert_eq!(guest.peek_u64(OUT as u32), 4);
}

#[test]
fn messages_go_through_a_pipe_until_its_other_end_is_gone() {
    let worker = relaying(&[("p", pipe(0), Rights::ReadWrite)]);
    let Object::Pipe(theirs) = &worker.objects[0] else { panic!("a pipe") };
    theirs.join(other()).unwrap();
    let mut guest = worker.guest();
    let p = guest.open("p");
    assert_eq!(guest.open("p") & 1, 1);
    guest.poke(BYTES as u32, b"ping");
    assert_eq!(guest.call(IMPORT_PUT, &[p, BYTES, 4, -1]), 0);
    let mut message = Vec::new();
    let now = Patience::NONE;
    theirs.receive(other(), &now, &mut message).unwrap();
    assert_eq!(message, b"ping");
    theirs.send(other(), b"pong", &now).unwrap();
    assert_eq!(guest.call(IMPORT_OP, &[p, Op::Wait as i64, 0, -1, 0]), 0);
    assert_eq!(guest.call(IMPORT_GET, &[p, 0, BYTES, 100, OUT]), 0);
    assert_eq!(guest.peek(BYTES as u32, 4), b"pong");
    theirs.leave(other());
    assert_eq!(guest.call(IMPORT_GET, &[p, -1, BYTES, 100, OUT]), no(Refusal::EndOfFile));
    assert_eq!(guest.text(), "pipe end `p` is at its end: nobody uses the other end any more");
}

/// Calls `shared_record` with a key at 2000 and a value at `BYTES`; answers status and number.
fn record(
    guest: &mut World<'_>,
    handle: i64,
    op: RecordOp,
    key: &[u8],
    index: i64,
    value: &[u8],
) -> (i64, u64) {
    guest.poke(2000, key);
    guest.poke(BYTES as u32, value);
    let arguments =
        [handle, op as i64, 2000, key.len() as i64, index, BYTES, value.len() as i64, TARGET, 64, OUT];
    let status = guest.call(IMPORT_RECORD, &arguments);
    (status, guest.peek_u64(OUT as u32))
}

const TARGET: i64 = 16_384;

fn sequence_of(strings: &[&[u8]]) -> Vec<u8> {
    strings.iter().flat_map(|string| [&(string.len() as u32).to_le_bytes(), *string].concat()).collect()
}

#[test]
fn records_of_a_list_are_worked_on_by_index() {
    let worker = relaying(&[("l", LIST, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let l = guest.open("l");
    let no_key = b"";
    assert_eq!(record(&mut guest, l, RecordOp::Append, no_key, 0, b"one"), (0, 0));
    assert_eq!(record(&mut guest, l, RecordOp::Append, no_key, 0, b"three"), (0, 1));
    assert_eq!(record(&mut guest, l, RecordOp::Insert, no_key, 1, b"two").0, 0);
    assert_eq!(record(&mut guest, l, RecordOp::Get, no_key, -1, b""), (0, 5));
    assert_eq!(guest.peek(TARGET as u32, 5), b"three");
    assert_eq!(record(&mut guest, l, RecordOp::Set, no_key, 0, &[b'x'; 100]).0, 0);
    assert_eq!(record(&mut guest, l, RecordOp::Get, no_key, 0, b""), (0, 100));
    assert_eq!(guest.call(IMPORT_STAGED, &[TARGET]), 100);
    assert_eq!(guest.peek(TARGET as u32, 100), [b'x'; 100]);
    assert_eq!(record(&mut guest, l, RecordOp::Get, no_key, 3, b"").0, no(Refusal::OutOfRange));
    assert_eq!(guest.text(), "list `l` has no record 3: see its length, which others change, too");
    assert_eq!(record(&mut guest, l, RecordOp::GetVersioned, no_key, 1, b""), (0, 11));
    let versioned = guest.peek(TARGET as u32, 11);
    assert_eq!(&versioned[8..], b"two");
    let replacement = [&versioned[..8], b"2"].concat();
    assert_eq!(record(&mut guest, l, RecordOp::Replace, no_key, 1, &replacement).0, 0);
    assert_eq!(record(&mut guest, l, RecordOp::Replace, no_key, 1, &replacement).0, no(Refusal::Changed));
    assert_eq!(record(&mut guest, l, RecordOp::Replace, no_key, 1, b"short").0, no(Refusal::Invalid));
    assert_eq!(record(&mut guest, l, RecordOp::Extend, no_key, 0, &sequence_of(&[b"4", b"5"])).0, 0);
    assert_eq!(record(&mut guest, l, RecordOp::Extend, no_key, 0, b"nonsense").0, no(Refusal::Invalid));
    assert_eq!(record(&mut guest, l, RecordOp::Extend, no_key, 0, &[0; 36]).0, no(Refusal::NoRoom));
    assert_eq!(record(&mut guest, l, RecordOp::Pop, no_key, 0, b""), (0, 100));
    assert_eq!(record(&mut guest, l, RecordOp::Delete, no_key, 0, b"").0, 0);
    let all = sequence_of(&[b"three", b"4", b"5"]);
    assert_eq!(record(&mut guest, l, RecordOp::All, no_key, 0, b""), (0, all.len() as u64));
    assert_eq!(guest.peek(TARGET as u32, all.len()), all);
    let one = sequence_of(&[b"4"]);
    let some = [l, RecordOp::All as i64, 0, 1, 1, 0, 0, TARGET, 64, OUT];
    assert_eq!(guest.call(IMPORT_RECORD, &some), 0);
    assert_eq!(guest.peek(TARGET as u32, guest.peek_u64(OUT as u32) as usize), one);
    assert_eq!(record(&mut guest, l, RecordOp::Contains, no_key, 0, b"").0, no(Refusal::WrongKind));
    assert!(
        guest
            .try_call(IMPORT_RECORD, &[l, RecordOp::Append as i64, 0, 0, 0, 65530, 7, TARGET, 64, OUT])
            .is_err()
    );
    assert!(guest.try_call(IMPORT_RECORD, &[l, RecordOp::Get as i64, 0, 0, 0, 0, 0, 65530, 7, OUT]).is_err());
}

#[test]
fn records_of_a_dictionary_are_worked_on_by_key() {
    let worker = relaying(&[("d", DICT, Rights::ReadWrite)]);
    let mut guest = worker.guest();
    let d = guest.open("d");
    assert_eq!(record(&mut guest, d, RecordOp::Get, b"k", 0, b"").0, no(Refusal::Missing));
    assert_eq!(guest.text(), "dict `d` has no such key: add it first, or ask whether it is there");
    assert_eq!(record(&mut guest, d, RecordOp::Set, b"k", 0, b"v").0, 0);
    assert_eq!(record(&mut guest, d, RecordOp::GetOrSet, b"k", 0, b"w"), (0, 1));
    assert_eq!(guest.peek(TARGET as u32, 1), b"v");
    assert_eq!(record(&mut guest, d, RecordOp::Contains, b"k", 0, b""), (0, 1));
    assert_eq!(record(&mut guest, d, RecordOp::Contains, b"l", 0, b""), (0, 0));
    let entries = sequence_of(&[b"a", b"1", b"b", b"2"]);
    assert_eq!(record(&mut guest, d, RecordOp::Extend, b"", 0, &entries).0, 0);
    assert_eq!(
        record(&mut guest, d, RecordOp::Extend, b"", 0, &sequence_of(&[b"a"])).0,
        no(Refusal::Invalid)
    );
    assert_eq!(record(&mut guest, d, RecordOp::Replace, b"new", 0, &[0; 8]).0, 0);
    assert_eq!(record(&mut guest, d, RecordOp::Delete, b"new", 0, b"").0, 0);
    assert_eq!(record(&mut guest, d, RecordOp::Pop, b"k", 0, b""), (0, 1));
    let all = record(&mut guest, d, RecordOp::All, b"", 0, b"");
    assert_eq!(all, (0, entries.len() as u64));
    assert_eq!(guest.peek(TARGET as u32, entries.len()), entries);
    assert_eq!(record(&mut guest, d, RecordOp::Append, b"", 0, b"").0, no(Refusal::WrongKind));
    assert_eq!(guest.call(IMPORT_OP, &[d, Op::Clear as i64, 0, 0, 0]), 0);
    assert_eq!(guest.call(IMPORT_OP, &[d, Op::Length as i64, 0, 0, OUT]), 0);
    assert_eq!(guest.peek_u64(OUT as u32), 0);
}

#[test]
fn locks_events_and_the_like_do_what_python_does() {
    let worker = relaying(&[
        ("lock", Spec::Lock, Rights::ReadWrite),
        ("rlock", Spec::RLock, Rights::ReadWrite),
        ("semaphore", Spec::Semaphore { permits: 2, bounded: true }, Rights::ReadWrite),
        ("condition", Spec::Condition, Rights::ReadWrite),
        ("event", Spec::Event, Rights::ReadWrite),
        ("barrier", Spec::Barrier { parties: 1 }, Rights::ReadWrite),
        ("jobs", JOINABLE, Rights::ReadWrite),
        ("counter", COUNTER, Rights::ReadWrite),
    ]);
    let mut guest = worker.guest();
    let expected: &[(&str, Op, i64, i64, u64)] = &[
        ("lock", Op::Acquire, 0, 0, 0),
        ("lock", Op::State, 0, 0, 1),
        ("lock", Op::Release, 0, 0, 0),
        ("lock", Op::Release, 0, no(Refusal::NotHeld), 0),
        ("lock", Op::Wait, 0, no(Refusal::WrongKind), 0),
        ("rlock", Op::Acquire, 0, 0, 0),
        ("rlock", Op::Acquire, 0, 0, 0),
        ("counter", Op::Acquire, 0, 0, 0),
        ("counter", Op::Release, 0, 0, 0),
        ("semaphore", Op::Acquire, 0, 0, 0),
        ("semaphore", Op::State, 0, 0, 1),
        ("semaphore", Op::Release, 1, 0, 0),
        ("semaphore", Op::Release, 1, no(Refusal::TooMany), 0),
        ("semaphore", Op::Release, 0, no(Refusal::Invalid), 0),
        ("semaphore", Op::Release, -1, no(Refusal::Invalid), 0),
        ("condition", Op::Acquire, 0, 0, 0),
        ("condition", Op::Notify, -1, 0, 0),
        ("condition", Op::Release, 0, 0, 0),
        ("event", Op::State, 0, 0, 0),
        ("event", Op::Wait, 0, no(Refusal::TimedOut), 0),
        ("event", Op::Set, 0, 0, 0),
        ("event", Op::Wait, 0, 0, 0),
        ("event", Op::State, 0, 0, 1),
        ("event", Op::Clear, 0, 0, 0),
        ("barrier", Op::Capacity, 0, 0, 1),
        ("barrier", Op::Wait, 0, 0, 0),
        ("barrier", Op::State, 0, 0, 0),
        ("barrier", Op::Abort, 0, 0, 0),
        ("barrier", Op::IsBroken, 0, 0, 1),
        ("barrier", Op::Reset, 0, 0, 0),
        ("jobs", Op::Capacity, 0, 0, 4),
        ("jobs", Op::Join, 0, 0, 0),
        ("jobs", Op::TaskDone, 0, no(Refusal::TooMany), 0),
        ("jobs", Op::Close, 0, 0, 0),
        ("jobs", Op::Wait, 0, no(Refusal::Closed), 0),
        ("counter", Op::Set, 0, no(Refusal::WrongKind), 0),
    ];
    for (name, op, argument, status, answer) in expected {
        let handle = guest.open(name);
        guest.poke(OUT as u32, &[0; 8]);
        let limit = if *op == Op::Wait { 0 } else { -1 };
        assert_eq!(
            guest.call(IMPORT_OP, &[handle, *op as i64, *argument, limit, OUT]),
            *status,
            "{name} {op:?}"
        );
        assert_eq!(guest.peek_u64(OUT as u32), *answer, "{name} {op:?}");
    }
    // What the call still held is free when it ends.
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    let Object::Lock(rlock) = guest.object(1) else { panic!("a lock") };
    assert!(!rlock.is_held());
}

#[test]
fn who_waits_at_a_condition_is_told_of_a_holder_who_died_meanwhile() {
    let worker = relaying(&[("c", Spec::Condition, Rights::ReadWrite)]);
    let Object::Condition(condition) = &worker.objects[0] else { panic!("a condition") };
    let mut guest = worker.guest();
    let c = guest.open("c");
    for (is_buried, expected) in [(false, 0), (true, 1), (false, 0)] {
        assert_eq!(guest.call(IMPORT_OP, &[c, Op::Acquire as i64, 0, -1, OUT]), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while worker.post.sleep().grant() != Some(0) {
                    std::thread::yield_now();
                }
                condition.lock().acquire(other(), &Patience::new(None, &Unnoticed)).unwrap();
                condition.notify(other(), 1).unwrap();
                if is_buried {
                    condition.bury(other());
                } else {
                    condition.lock().release(other()).unwrap();
                }
            });
            assert_eq!(guest.call(IMPORT_OP, &[c, Op::Wait as i64, 0, -1, OUT]), 0);
        });
        assert_eq!(guest.peek_u64(OUT as u32), expected);
        assert_eq!(guest.call(IMPORT_OP, &[c, Op::Release as i64, 0, 0, OUT]), 0);
    }
}

#[test]
fn several_objects_are_waited_for_at_once() {
    let worker = relaying(&[
        ("event", Spec::Event, Rights::ReadWrite),
        ("jobs", QUEUE, Rights::ReadWrite),
        ("lock", Spec::Lock, Rights::ReadWrite),
        ("barrier", Spec::Barrier { parties: 2 }, Rights::ReadWrite),
    ]);
    let Object::Event(event) = &worker.objects[0] else { panic!("an event") };
    let Object::Lock(lock) = &worker.objects[2] else { panic!("a lock") };
    let patience = Patience::NONE;
    lock.acquire(other(), &patience).unwrap();
    let mut guest = worker.guest();
    let handles = ["event", "jobs", "lock", "barrier"].map(|name| guest.open(name) as i32);
    let bytes: Vec<u8> = handles.iter().flat_map(|handle| handle.to_le_bytes()).collect();
    guest.poke(BYTES as u32, &bytes);
    guest.poke(OUT as u32, &[9; 4]);
    assert_eq!(guest.call(IMPORT_WAIT, &[BYTES, 3, 0, OUT]), no(Refusal::TimedOut));
    assert_eq!(guest.text(), "none of these shared objects was ready in time: wait longer");
    assert_eq!(guest.call(IMPORT_WAIT, &[BYTES, 2, 1000, OUT]), no(Refusal::TimedOut));
    assert_eq!(guest.call(IMPORT_WAIT, &[BYTES, 4, 0, OUT]), no(Refusal::WrongKind));
    for count in [0, 1000, -1] {
        assert_eq!(guest.call(IMPORT_WAIT, &[BYTES, count, 0, OUT]), no(Refusal::Invalid));
    }
    assert!(guest.try_call(IMPORT_WAIT, &[65530, 2, 0, OUT]).is_err());
    assert!(guest.try_call(IMPORT_WAIT, &[BYTES, 2, 0, 65535]).is_err());
    assert_eq!(guest.peek(OUT as u32, 4), [9; 4]);
    // It sleeps, says so, and wakes up.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while worker.post.sleep().grant() != Some(0) {
                std::thread::yield_now();
            }
            event.set().unwrap();
        });
        assert_eq!(guest.call(IMPORT_WAIT, &[BYTES, 2, -1, OUT]), 0);
    });
    assert_eq!(guest.peek(OUT as u32, 3), [1, 0, 9]);
    assert_eq!(worker.post.sleep().grant(), None);
    lock.release(other()).unwrap();
    assert_eq!(guest.call(IMPORT_WAIT, &[BYTES, 3, -1, OUT]), 0);
    assert_eq!(guest.peek(OUT as u32, 3), [1, 0, 1]);
}

#[test]
fn a_call_that_sleeps_says_on_what() {
    let worker =
        relaying(&[("counter", COUNTER, Rights::ReadWrite), ("event", Spec::Event, Rights::ReadWrite)]);
    let Object::Event(event) = &worker.objects[1] else { panic!("an event") };
    let mut guest = worker.guest();
    let handle = guest.open("event");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while worker.post.sleep().grant() != Some(1) {
                std::thread::yield_now();
            }
            event.set().unwrap();
        });
        assert_eq!(guest.call(IMPORT_OP, &[handle, Op::Wait as i64, 0, -1, 0]), 0);
    });
    assert_eq!(worker.post.sleep().grant(), None);
}

//! Views, and above all that nothing of them is left when an instance goes.

use wasmpool_abi::shared::{CellOp, ViewMode};

use super::*;
use crate::shm::huge_pages::HUGE_PAGE_BYTES;
use crate::shm::object::cells::Cells;

const SHARED: i64 = ViewMode::Shared as i64;
const READ_ONLY: i64 = ViewMode::ReadOnly as i64;
const EXCLUSIVE: i64 = ViewMode::Exclusive as i64;
const WATCHED: i64 = ViewMode::Watched as i64;

/// A page of memory, and functions that touch it, by plain and by atomic instructions.
const TOUCHING: &str = "
    (memory (export \"memory\") 1)
    (func (export \"load\") (param i32) (result i64) (i64.load (local.get 0)))
    (func (export \"store\") (param i32 i64) (i64.store (local.get 0) (local.get 1)))
    (func (export \"add\") (param i32 i64) (result i64)
        (i64.atomic.rmw.add (local.get 0) (local.get 1)))
    (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export \"size\") (result i32) (memory.size))
    (func (export \"any\") (param $at i32) (param $end i32) (result i64) (local $any i64)
        (loop $again
            (local.set $any (i64.or (local.get $any) (i64.load (local.get $at))))
            (br_if $again
                (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
        (local.get $any))
    (func (export \"trap\") unreachable)";

const LENGTH: u64 = 100_000;

fn worker() -> Worker {
    Worker::new(
        &relay(TOUCHING),
        &[
            ("a", array(Element::I64, LENGTH), Rights::ReadWrite),
            ("r", array(Element::I64, LENGTH), Rights::Read),
            ("l", Spec::Lock, Rights::ReadWrite),
        ],
    )
}

impl World<'_> {
    fn map(&mut self, name: &str, mode: i64, start: i64, end: i64) -> i64 {
        let handle = self.open(name);
        self.call(IMPORT_MAP, &[handle, mode, start, end])
    }

    fn load(&mut self, address: i64) -> i64 {
        self.call("load", &[address])
    }

    /// Whether the 20,000 numbers from here on are zero.
    fn is_zero(&mut self, address: i64) -> bool {
        self.call("any", &[address, address + 8 * 20_000]) == 0
    }

    fn base(&self) -> usize {
        self.store.data().memory.unwrap().data_ptr(&self.store).addr()
    }
}

fn cells(worker: &Worker, object: usize) -> &Cells {
    let Object::Cells(cells) = &worker.objects[object] else { panic!("cells") };
    cells
}

fn set(worker: &Worker, index: u64, number: i64) {
    set_in(worker, 0, index, number);
}

fn set_in(worker: &Worker, object: usize, index: u64, number: i64) {
    cells(worker, object).operate(CellOp::Set, index, number as u64, 0).unwrap().unwrap();
}

#[test]
fn a_view_shows_what_all_share() {
    let worker = worker();
    set(&worker, 700, 41);
    let mut guest = worker.guest();
    let address = guest.map("a", SHARED, 700, 1400);
    assert!(address > 65536, "{address}");
    assert_eq!(address % 8, 0);
    assert_eq!(guest.load(address), 41);
    assert_eq!(guest.call("add", &[address, 1]), 41);
    assert_eq!(guest.cell(0, 700), 42);
    set(&worker, 1399, -7);
    assert_eq!(guest.load(address + 8 * 699), -7);
    assert_eq!(guest.call(IMPORT_UNMAP, &[address]), 0);
    assert_eq!(guest.load(address), 0);
    assert_eq!(guest.cell(0, 700), 42);
    assert_eq!(guest.call(IMPORT_UNMAP, &[address]), no(Refusal::Invalid));
    assert_eq!(
        guest.text(),
        format!("no view begins at {address:#x}: views last until they are unmapped or their call ends")
    );
}

#[test]
fn a_large_view_begins_where_huge_pages_fit() {
    const LENGTH: i64 = 1 << 20;
    let large =
        Worker::new(&relay(TOUCHING), &[("a", array(Element::I64, LENGTH as u64), Rights::ReadWrite)]);
    set(&large, 1_000, 41);
    set(&large, LENGTH as u64 - 1, 43);
    let Object::Cells(cells) = &large.objects[0] else { panic!("cells") };
    let offset = cells.elements_at() + 8_000;
    let mut guest = large.guest();
    for _ in 0..2 {
        let address = guest.map("a", SHARED, 1_000, LENGTH);
        assert_eq!((guest.base() + address as usize) % HUGE_PAGE_BYTES, offset % HUGE_PAGE_BYTES);
        assert_eq!((guest.load(address), guest.load(address + 8 * (LENGTH - 1_001))), (41, 43));
        // Host functions may write to all of it, and to nothing around it.
        let (counter, last_page) = (guest.open("a"), address + 8 * (LENGTH - 1_000) + 4096);
        assert_eq!(guest.call(IMPORT_CELL, &[counter, CellOp::Get as i64, 1_000, 0, 0, address + 8]), 0);
        assert_eq!(guest.cell(0, 1_001), 41);
        for outside in [address - 8192, last_page] {
            assert!(guest.try_call("store", &[outside, 1]).is_err());
            assert!(guest.try_call(IMPORT_CELL, &[counter, CellOp::Get as i64, 0, 0, 0, outside]).is_err());
        }
        set(&large, 1_001, 0);
        assert_eq!(guest.call(IMPORT_UNMAP, &[address]), 0);
        assert_eq!(guest.load(address), 0);
    }
}

#[test]
fn a_store_to_a_view_for_reading_traps_and_host_functions_refuse_it() {
    let worker = worker();
    set(&worker, 0, 41);
    let mut guest = worker.guest();
    let address = guest.map("a", READ_ONLY, 0, 10);
    assert_eq!(guest.load(address), 41);
    let counter = guest.open("a");
    assert!(guest.try_call(IMPORT_CELL, &[counter, CellOp::Get as i64, 0, 0, 0, address]).is_err());
    assert!(guest.try_call(IMPORT_REFUSAL, &[address, 8]).is_err());
    for name in ["store", "add"] {
        let error = guest.try_call(name, &[address, 1]).unwrap_err();
        assert_eq!(*error.downcast_ref::<wasmtime::Trap>().unwrap(), wasmtime::Trap::MemoryOutOfBounds);
    }
    assert_eq!(guest.cell(0, 0), 41);
}

#[test]
fn who_may_only_read_watches_and_changes_nothing() {
    let worker = worker();
    let mut guest = worker.guest();
    let numbers: Vec<i64> = (0..LENGTH as i64).map(|index| index * index).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    cells(&worker, 1).write(0, &bytes).unwrap();
    let address = guest.map("r", WATCHED, 700, LENGTH as i64);
    assert!(address > 0, "{}", guest.text());
    assert_eq!((guest.load(address), guest.load(address + 8 * 99_299)), (700 * 700, 99_999 * 99_999));
    set_in(&worker, 1, 701, -5);
    assert_eq!(guest.load(address + 8), -5);
    set_in(&worker, 1, 701, 701 * 701);
    // Also the elements before, and the room behind, which the guest sees because views are of whole pages.
    for (name, at) in
        [("store", address), ("add", address), ("store", address - 8), ("store", address + 8 * 99_300)]
    {
        let error = guest.try_call(name, &[at, 1]).unwrap_err();
        assert_eq!(*error.downcast_ref::<wasmtime::Trap>().unwrap(), wasmtime::Trap::MemoryOutOfBounds);
    }
    let counter = guest.open("a");
    assert!(guest.try_call(IMPORT_CELL, &[counter, CellOp::Get as i64, 0, 0, 0, address]).is_err());
    let mut after = vec![0; bytes.len()];
    cells(&worker, 1).read(0, &mut after).unwrap();
    assert!(after == bytes, "the array changed");
}

#[test]
fn who_watches_keeps_nobody_out() {
    let worker = worker();
    let mut guest = worker.guest();
    // Whether he might write or not.
    for (object, name) in [(0, "a"), (1, "r")] {
        assert!(guest.map(name, WATCHED, 0, 10) > 0);
        let lease = cells(&worker, object).lease(other(), ViewMode::Exclusive, 0..10).unwrap();
        assert_eq!(guest.map(name, WATCHED, 9, 20), no(Refusal::Leased));
        assert!(guest.map(name, WATCHED, 10, 20) > 0);
        cells(&worker, object).unlease(other(), lease);
        assert!(guest.map(name, WATCHED, 9, 20) > 0);
    }
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    assert!(guest.map("a", EXCLUSIVE, 0, 10) > 0);
}

#[test]
fn what_is_watched_is_gone_with_its_call() {
    let worker = worker();
    let mut guest = worker.guest();
    set_in(&worker, 1, 0, CANARY);
    let address = guest.map("r", WATCHED, 0, LENGTH as i64);
    assert_eq!(guest.load(address), CANARY);
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    assert_eq!(guest.load(address), 0);
    assert_eq!(guest.map("a", EXCLUSIVE, 0, 10), address, "the room is used again, for writing");
    guest.call("store", &[address, 1]);
    guest.call(IMPORT_UNMAP, &[address]);
    assert_eq!((guest.cell(0, 0), guest.cell(1, 0)), (1, CANARY));
}

#[test]
fn an_instance_is_spent_by_views_that_its_calls_cannot_keep_from_using() {
    for (mode, calls, is_spent) in [
        (SHARED, Calls::Pulled, false),
        (WATCHED, Calls::Pulled, false),
        (READ_ONLY, Calls::Pulled, true),
        (EXCLUSIVE, Calls::Pulled, true),
        (SHARED, Calls::Entered, true),
        (WATCHED, Calls::Entered, true),
        (READ_ONLY, Calls::Entered, true),
        (EXCLUSIVE, Calls::Entered, true),
    ] {
        let worker = worker();
        let mut guest = worker.guest();
        let address = guest.map("a", mode, 0, 10);
        guest.call(IMPORT_UNMAP, &[address]);
        guest.store.data_mut().end_sharing(CallEnd::Normal, calls);
        assert!(!guest.store.data().is_spent(), "{mode} {calls:?}, unmapped");
        guest.map("a", mode, 0, 10);
        guest.map("a", SHARED, 20, 30);
        guest.store.data_mut().end_sharing(CallEnd::Normal, calls);
        assert_eq!(guest.store.data().is_spent(), is_spent, "{mode} {calls:?}, left behind");
    }
}

#[test]
fn a_window_without_a_view_is_zeros_that_cannot_be_written_to() {
    let worker = worker();
    let mut guest = worker.guest();
    let address = guest.map("a", EXCLUSIVE, 0, 10);
    guest.call("store", &[address, 5]);
    // Behind the page that holds them.
    assert!(guest.try_call("store", &[address + 4096, 5]).is_err());
    assert_eq!(guest.call(IMPORT_UNMAP, &[address]), 0);
    assert_eq!(guest.load(address), 0);
    assert!(guest.try_call("store", &[address, 5]).is_err());
    assert!(guest.try_call(IMPORT_REFUSAL, &[address, 8]).is_err());
    assert_eq!(guest.cell(0, 0), 5);
}

#[test]
fn views_keep_others_out_as_their_modes_say() {
    let worker = worker();
    let mut guest = worker.guest();
    let read = guest.map("a", READ_ONLY, 0, 10);
    assert!(guest.map("a", READ_ONLY, 5, 15) > 0);
    assert_eq!(guest.map("a", EXCLUSIVE, 9, 20), no(Refusal::Leased));
    assert!(guest.text().starts_with("array `a` cannot give out elements 9..20"), "{}", guest.text());
    assert_eq!(guest.map("a", SHARED, 0, 1), no(Refusal::Leased));
    assert!(guest.map("a", EXCLUSIVE, 15, 20) > 0);
    guest.call(IMPORT_UNMAP, &[read]);
    assert!(guest.map("a", SHARED, 0, 5) > 0);
    // The end of the call gives everything back.
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    assert!(guest.map("a", EXCLUSIVE, 0, LENGTH as i64) > 0);
}

#[test]
fn what_cannot_be_mapped_is_refused_with_a_reason() {
    let worker = worker();
    let mut guest = worker.guest();
    assert_eq!(guest.map("l", SHARED, 0, 1), no(Refusal::WrongKind));
    assert_eq!(guest.map("a", 4, 0, 1), no(Refusal::Invalid));
    assert_eq!(guest.map("a", SHARED, 1, 1), no(Refusal::Invalid));
    assert_eq!(guest.map("a", SHARED, 2, 1), no(Refusal::Invalid));
    for (start, end) in [(-1, 1), (0, LENGTH as i64 + 1), (i64::MIN, i64::MAX)] {
        assert_eq!(guest.map("a", SHARED, start, end), no(Refusal::OutOfRange));
    }
    assert_eq!(guest.map("r", SHARED, 0, 1), no(Refusal::ReadOnly));
    assert_eq!(guest.map("r", EXCLUSIVE, 0, 1), no(Refusal::ReadOnly));
    assert_eq!(guest.map("r", READ_ONLY, 0, 1), no(Refusal::NoView));
    assert!(guest.text().contains("map it for atomic loads"), "{}", guest.text());
    assert_eq!(guest.map("r", WATCHED, 0, LENGTH as i64 + 1), no(Refusal::OutOfRange));
    assert_eq!(guest.call(IMPORT_MAP, &[12345, SHARED, 0, 1]), no(Refusal::Invalid));
    assert_eq!(guest.call("size", &[]), 1);
}

#[test]
fn a_memory_with_a_maximum_or_none_at_all_has_no_views() {
    let grants = [("a", array(Element::I64, LENGTH), Rights::ReadWrite)];
    let bounded = Worker::new(&relay("(memory (export \"memory\") 1 2)"), &grants);
    let mut guest = bounded.guest();
    assert!(guest.map("a", SHARED, 0, 10) > 0);
    assert_eq!(guest.map("a", SHARED, 0, 10), no(Refusal::NoView));
    assert!(guest.text().contains("no more than 2 pages"), "{}", guest.text());
    // The elements are not leased to a view that there is not.
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    assert!(guest.map("a", EXCLUSIVE, 0, 10) > 0);
}

#[test]
fn room_is_used_again_and_does_not_count_as_the_guests_memory() {
    let worker = worker();
    let mut guest = worker.guest();
    // 800,000 bytes and what rounding adds: 13 pages.
    for _ in 0..200 {
        assert!(guest.map("a", SHARED, 0, LENGTH as i64) > 0);
        guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    }
    assert_eq!(guest.call("size", &[]), 1 + 13);
    // It may have 64 pages for itself, whatever is mapped.
    assert_eq!(guest.call("grow", &[63]), 14);
    assert_eq!(guest.call("grow", &[1]), -1);
    for _ in 0..20 {
        assert!(guest.map("a", SHARED, 0, LENGTH as i64) > 0);
    }
}

#[test]
fn copies_of_inputs_and_items_reach_views() {
    let worker = Worker::new(
        &relay(TOUCHING),
        &[("a", array(Element::I64, LENGTH), Rights::ReadWrite), ("jobs", QUEUE, Rights::ReadWrite)],
    );
    let mut guest = worker.guest();
    let address = guest.map("a", EXCLUSIVE, 0, 10);
    let jobs = guest.open("jobs");
    guest.call("store", &[address, 77]);
    assert_eq!(guest.call(IMPORT_PUT, &[jobs, address, 8, 0]), 0);
    assert_eq!(guest.call(IMPORT_GET, &[jobs, 0, address + 8, 8, address + 16]), 0);
    assert_eq!((guest.load(address + 8), guest.load(address + 16)), (77, 8));
    guest.call(IMPORT_UNMAP, &[address]);
    assert_eq!([0, 1, 2].map(|index| guest.cell(0, index)), [77, 77, 8]);
}

const CANARY: i64 = 0x0123_4567_89ab_cdef;

/// Maps views whose windows the instance's reset would write to, and those behind what it would; each holds a canary.
fn leave_canaries(guest: &mut World<'_>) -> Vec<i64> {
    let addresses: Vec<i64> =
        (0..5).map(|view| guest.map("a", EXCLUSIVE, view * 20_000, (view + 1) * 20_000)).collect();
    for (view, address) in addresses.iter().enumerate() {
        assert!(*address > 0, "{}", guest.text());
        assert!(guest.is_zero(*address));
        guest.call("store", &[*address, CANARY + view as i64]);
        guest.call("store", &[*address + 8 * 19_999, CANARY - view as i64]);
    }
    addresses
}

/// Looks for canaries where they must be and where they must not, and removes them.
fn find_canaries(worker: &Worker, next: &mut World<'_>, addresses: &[i64], how: &str) {
    for view in 0..5 {
        assert_eq!(next.cell(0, view * 20_000), CANARY + view as i64, "{how}");
        assert_eq!(next.cell(0, view * 20_000 + 19_999), CANARY - view as i64, "{how}");
        set(worker, view * 20_000, 0);
        set(worker, view * 20_000 + 19_999, 0);
    }
    next.call("grow", &[40]);
    for address in addresses {
        assert!(next.is_zero(*address), "{how}");
        // It is memory as any other.
        next.call("store", &[*address, 1]);
    }
    assert_eq!(next.cell(0, 0), 0, "{how}");
}

/// A way in which an instance goes.
type End = fn(World<'_>);

#[test]
fn nothing_of_a_view_is_left_when_its_instance_goes() {
    let worker = worker();
    let ends: [(&str, End); 5] = [
        ("left and gone", |mut guest| {
            guest.store.data_mut().leave();
            drop(guest.store.into_data());
        }),
        ("dropped", |guest| drop(guest)),
        ("dropped after its call", |mut guest| {
            guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
            drop(guest);
        }),
        ("dropped after a trap", |mut guest| {
            guest.try_call("trap", &[]).unwrap_err();
            drop(guest);
        }),
        ("left after a fault in a view", |mut guest| {
            guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
            let address = guest.map("a", READ_ONLY, 0, 10);
            guest.try_call("store", &[address, 1]).unwrap_err();
            guest.store.data_mut().leave();
            drop(guest.store.into_data());
        }),
    ];
    for (how, end) in ends {
        let mut guest = worker.guest();
        let base = guest.base();
        let addresses = leave_canaries(&mut guest);
        end(guest);
        // The lease of one that was dropped without its call's end is still there, as after a death.
        for object in &worker.objects {
            object.end_call(ours(), CallEnd::Abnormal);
        }
        let mut next = worker.guest();
        assert_eq!(next.base(), base, "{how}: the next tenant came to another place, and finds nothing");
        find_canaries(&worker, &mut next, &addresses, how);
    }
}

#[test]
fn nothing_of_a_view_is_left_for_the_next_call_of_the_same_instance() {
    let worker = worker();
    let mut guest = worker.guest();
    let addresses = leave_canaries(&mut guest);
    guest.store.data_mut().end_sharing(CallEnd::Normal, Calls::Pulled);
    for (view, address) in addresses.iter().enumerate() {
        assert_eq!((guest.load(*address), guest.load(address + 8 * 19_999)), (0, 0));
        assert_eq!(guest.cell(0, view as u64 * 20_000), CANARY + view as i64);
    }
    let again = leave_nothing(&mut guest);
    assert_eq!(again, addresses);
}

fn leave_nothing(guest: &mut World<'_>) -> Vec<i64> {
    (0..5).map(|view| guest.map("a", EXCLUSIVE, view * 20_000, (view + 1) * 20_000)).collect()
}

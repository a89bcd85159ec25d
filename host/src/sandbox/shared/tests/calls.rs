//! Whole calls, as a worker runs them: what their ends do to objects.

use std::time::Duration;

use wasmpool_abi::Codec;
use wasmpool_abi::shared::Op;

use super::*;
use crate::channel::control::{CodeKind, InstanceLimits, NumericEntry, Service, TaskEntries};
use crate::channel::desk::Next;
use crate::channel::ending::EndKind;
use crate::channel::layout::ENTRY_BYTES;
use crate::channel::order::{Entry, Inputs, Order};
use crate::sandbox::tenant::{Plot, Room};
use crate::shm::object::patience::Patience;
use crate::shm::region::sealed_file;

/// Tasks by their numbers: exports of numbers, and pull loops.
const NUMERIC: [&str; 7] =
    ["hold", "hold_and_trap", "view", "view_and_trap", "leave_view", "leave_lease", "leave_nothing"];
const PULL: [&str; 5] = ["pull_hold", "pull_leave", "pull_view", "pull_lease", "pull_nothing"];

const MODULE: &str = r#"(module
    (import "wasmpool" "next" (func $next (param i32 i32) (result i64)))
    (import "wasmpool" "done" (func $done (param i32 i32 i32)))
    (import "wasmpool" "shared_open" (func $open (param i32 i32 i32 i32) (result i64)))
    (import "wasmpool" "shared_op" (func $op (param i32 i32 i64 i64 i32) (result i32)))
    (import "wasmpool" "shared_get" (func $get (param i32 i64 i32 i32 i32) (result i32)))
    (import "wasmpool" "shared_map" (func $map (param i32 i32 i64 i64) (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 16) "lock") (data (i32.const 32) "jobs") (data (i32.const 48) "data")
    (func $opened (param i32) (result i32)
        (i32.wrap_i64 (call $open (local.get 0) (i32.const 4) (i32.const -1) (i32.const -1))))
    (func $must_be_fine (param i32) (if (local.get 0) (then unreachable)))
    ;; Takes the lock and an item.
    (func $take
        (call $must_be_fine (call $op (call $opened (i32.const 16)) (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 0)))
        (call $must_be_fine (call $get (call $opened (i32.const 32)) (i64.const 0) (i32.const 4096) (i32.const 100) (i32.const 0))))
    (func (export "hold") (param i64) (result i64) (call $take) (local.get 0))
    (func (export "hold_and_trap") (param i64) (result i64) (call $take) unreachable)
    ;; Looks at what lies where the views are, maps one there, and writes the argument to its first element.
    (func $write (param i64) (result i64) (local $address i32) (local $before i64)
        (if (i32.gt_u (memory.size) (i32.const 1)) (then (local.set $before (i64.load (i32.const 65536)))))
        (local.set $address (i32.wrap_i64
            (call $map (call $opened (i32.const 48)) (i32.const 2) (i64.const 0) (i64.const 10))))
        (if (i32.lt_s (local.get $address) (i32.const 0)) (then unreachable))
        (i64.store (local.get $address) (local.get 0))
        (local.get $before))
    (func (export "view") (param i64) (result i64) (call $write (local.get 0)))
    ;; Maps a view of some mode that it does not unmap, or none for mode 9, and tells how many calls this instance has had.
    ;; It traps if it finds anything of the view before.
    (global $calls (mut i64) (i64.const 0))
    (func $leave (param $mode i32) (result i64) (local $address i32)
        (if (i32.gt_u (memory.size) (i32.const 1)) (then
            (if (i64.ne (i64.load (i32.const 65536)) (i64.const 0)) (then unreachable))))
        (if (i32.ne (local.get $mode) (i32.const 9)) (then
            (local.set $address (i32.wrap_i64
                (call $map (call $opened (i32.const 48)) (local.get $mode) (i64.const 0) (i64.const 10))))
            (if (i32.lt_s (local.get $address) (i32.const 0)) (then unreachable))
            (i64.store (local.get $address) (i64.const 1))))
        (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
        (global.get $calls))
    (func (export "leave_view") (param i64) (result i64) (call $leave (i32.const 0)))
    (func (export "leave_lease") (param i64) (result i64) (call $leave (i32.const 2)))
    (func (export "leave_nothing") (param i64) (result i64) (call $leave (i32.const 9)))
    (func $leave_all (param $mode i32)
        (loop $again
            (if (i64.ge_s (call $next (i32.const 1024) (i32.const 64)) (i64.const 0)) (then
                (i64.store (i32.const 1024) (call $leave (local.get $mode)))
                (call $done (i32.const 0) (i32.const 1024) (i32.const 8))
                (br $again)))))
    (func (export "pull_view") (param i32) (call $leave_all (i32.const 0)))
    (func (export "pull_lease") (param i32) (call $leave_all (i32.const 2)))
    (func (export "pull_nothing") (param i32) (call $leave_all (i32.const 9)))
    (func (export "view_and_trap") (param i64) (result i64) (drop (call $write (local.get 0))) unreachable)
    (func $loop (param $unfinished i32)
        (loop $again
            (if (i64.ge_s (call $next (i32.const 1024) (i32.const 64)) (i64.const 0)) (then
                (call $take)
                (if (local.get $unfinished) (then return))
                (call $done (i32.const 0) (i32.const 1024) (i32.const 1))
                (br $again)))))
    (func (export "pull_hold") (param i32) (call $loop (i32.const 0)))
    (func (export "pull_leave") (param i32) (call $loop (i32.const 1))))"#;

struct Run {
    room: Room,
    post: Post,
    objects: Vec<Object>,
    generation: u32,
}

impl Run {
    fn new() -> Self {
        let (objects, belongings) = make(&[
            ("lock", Spec::Lock, Rights::ReadWrite),
            ("jobs", QUEUE, Rights::ReadWrite),
            ("data", array(Element::I64, 1000), Rights::ReadWrite),
        ]);
        let numeric = NUMERIC.map(|export| TaskEntries {
            pull: None,
            numeric: Some(NumericEntry { export: export.into(), parameters: 1, results: 1, driver: Some(0) }),
        });
        let pull = PULL.map(|export| TaskEntries { pull: Some(export.into()), numeric: None });
        let service = Service {
            has_drivers: false,
            limits: InstanceLimits { memory_bytes: MEMORY_BYTES, ..InstanceLimits::default() },
            code: CodeKind::default(),
            seed: None,
            keep_resident_bytes: KEEP_RESIDENT_BYTES as u64,
            environment: Vec::new(),
            tasks: numeric.into_iter().chain(pull).collect(),
            stand_ins: Vec::new(),
            initializer: None,
            grants: Vec::new(),
            directories: Vec::new(),
        };
        let wasm = wat::parse_str(MODULE).unwrap();
        let code = compiler_engine(CodeKind::default()).unwrap().precompile_module(&wasm).unwrap();
        let [module, drivers] = [&code[..], &[]].map(|bytes| sealed_file("test", bytes).unwrap());
        let house = Plot::new(service, belongings, Vec::new(), None).unwrap().build(module, drivers).unwrap();
        let (post, [down_fd, up_fd]) = Post::create().unwrap();
        let down = Region::map(down_fd.as_fd(), down::BYTES, Writer::Supervisor).unwrap();
        let up = Region::map(up_fd.as_fd(), up::BYTES, Writer::Worker).unwrap();
        Self { room: Room::new(house, Desk::new(down, up)), post, objects, generation: 0 }
    }

    /// Runs one call for each number from `start` on, and tells how each ended, and the number that it returned.
    fn run(&mut self, task: &str, fresh: bool, start: i64, count: u32) -> Vec<(EndKind, i64)> {
        self.generation += 1;
        let number = NUMERIC.iter().chain(&PULL).position(|name| *name == task).unwrap();
        let order = Order {
            generation: self.generation,
            task: number as u32,
            count,
            entry: if number < NUMERIC.len() { Entry::Each } else { Entry::Pull(Codec::Json) },
            inputs: Inputs::Range { start },
            fresh,
            recycle: 0,
            resumes: false,
            hot: false,
            timed: false,
            printed_bytes_max: 1000,
            result_bytes_max: 1000,
            fuel: None,
            first: 0,
            job: 1,
            attempt: 1,
        };
        self.run_order(&order)
    }

    fn run_order(&mut self, order: &Order) -> Vec<(EndKind, i64)> {
        self.post.send(order);
        let Next::Order(order) = self.room.desk().next() else { panic!("an order was posted") };
        self.room.run(&order);
        assert!(self.post.has_ended(order.generation));
        let mut at = order.count as usize * ENTRY_BYTES;
        let heads = self.post.read_heads(order.generation, 0..order.count, at).unwrap();
        let ends = heads.iter().map(|head| {
            let mut bytes = Vec::new();
            self.post.read_bytes(order.generation, at, head.length, &mut bytes);
            at += head.length;
            let number = bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
            (head.kind, number)
        });
        ends.collect()
    }

    fn put(&self, item: &[u8]) {
        let Object::Queue(queue) = &self.objects[1] else { panic!("a queue") };
        queue.put(other(), item, &Patience::NONE).unwrap();
    }

    fn queued(&self) -> u32 {
        let Object::Queue(queue) = &self.objects[1] else { panic!("a queue") };
        queue.len().unwrap()
    }

    fn is_locked(&self) -> bool {
        let Object::Lock(lock) = &self.objects[0] else { panic!("a lock") };
        lock.is_held()
    }

    fn element(&self) -> i64 {
        let Object::Cells(cells) = &self.objects[2] else { panic!("cells") };
        cells.operate(wasmpool_abi::shared::CellOp::Get, 0, 0, 0).unwrap().unwrap() as i64
    }
}

#[test]
fn a_call_that_returns_lets_go_of_locks_and_is_done_with_its_item() {
    for task in ["hold", "pull_hold"] {
        for fresh in [false, true] {
            let mut run = Run::new();
            for _ in 0..3 {
                run.put(b"item");
            }
            let ends = run.run(task, fresh, 5, 3);
            assert!(ends.iter().all(|(kind, _)| *kind == EndKind::Returned), "{task}: {ends:?}");
            assert_eq!((run.queued(), run.is_locked()), (0, false), "{task}");
        }
    }
}

#[test]
fn a_call_that_ends_otherwise_gives_its_item_back() {
    for (task, kind) in [("hold_and_trap", EndKind::Trapped), ("pull_leave", EndKind::Trapped)] {
        for fresh in [false, true] {
            let mut run = Run::new();
            run.put(b"item");
            let ends = run.run(task, fresh, 5, 3);
            assert!(ends.iter().all(|(end, _)| *end == kind), "{task}: {ends:?}");
            assert_eq!((run.queued(), run.is_locked()), (1, false), "{task}");
        }
    }
}

#[test]
fn views_of_a_call_are_gone_for_the_next() {
    for fresh in [false, true] {
        let mut run = Run::new();
        for round in 0..3 {
            let ends = run.run("view", fresh, 100 + round, 3);
            assert!(ends.iter().all(|end| *end == (EndKind::Returned, 0)), "{ends:?}");
            assert_eq!(run.element(), 102 + round);
            let ends = run.run("view_and_trap", fresh, 200 + round, 3);
            assert!(ends.iter().all(|(kind, _)| *kind == EndKind::Trapped), "{ends:?}");
            assert_eq!(run.element(), 202 + round);
        }
    }
}

#[test]
fn an_instance_ends_with_the_call_that_leaves_a_view_which_the_next_could_use() {
    for (task, calls) in [
        ("leave_nothing", [1, 2, 3]),
        ("leave_view", [1, 1, 1]),
        ("leave_lease", [1, 1, 1]),
        ("pull_nothing", [1, 2, 3]),
        // It could tell that the view is of an earlier call.
        ("pull_view", [1, 2, 3]),
        ("pull_lease", [1, 1, 1]),
    ] {
        let ends = Run::new().run(task, false, 0, 3);
        assert_eq!(ends, calls.map(|calls| (EndKind::Returned, calls)), "{task}");
    }
}

#[test]
fn a_batch_is_refused_where_objects_are_shared() {
    let mut run = Run::new();
    run.generation = 1;
    let order = Order {
        generation: 1,
        task: 0,
        count: 2,
        entry: Entry::Batch,
        inputs: Inputs::Range { start: 0 },
        fresh: false,
        recycle: 0,
        resumes: false,
        hot: false,
        timed: false,
        printed_bytes_max: 1000,
        result_bytes_max: 1000,
        fuel: None,
        first: 0,
        job: 1,
        attempt: 1,
    };
    run.post.send(&order);
    let Next::Order(order) = run.room.desk().next() else { panic!("an order was posted") };
    run.room.run(&order);
    assert_eq!(run.post.finished(1, 2), 2);
    assert!(!run.is_locked());
}

#[test]
fn a_call_may_wait_for_what_comes_later() {
    let worker = relaying(&[("jobs", QUEUE, Rights::ReadWrite)]);
    let Object::Queue(jobs) = &worker.objects[0] else { panic!("a queue") };
    let mut guest = worker.guest();
    let handle = guest.open("jobs");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while worker.post.sleep().grant() != Some(0) {
                std::thread::yield_now();
            }
            jobs.put(other(), b"late", &Patience::NONE).unwrap();
        });
        let limit = Duration::from_mins(1).as_nanos() as i64;
        assert_eq!(guest.call(IMPORT_GET, &[handle, limit, BYTES, 100, OUT]), 0);
    });
    assert_eq!(guest.peek(BYTES as u32, 4), b"late");
    assert_eq!(guest.call(IMPORT_OP, &[handle, Op::Acknowledge as i64, 0, 0, 0]), 0);
}

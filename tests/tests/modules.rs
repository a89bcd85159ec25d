//! Modules: those that cannot be used, what is said of them, and several that share a pool.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmpool::{ErrorKind, Module, Pool, WORKERS_MAX};
use wasmpool_tests::watchdog::{SetWhenDropped, Watchdog};
use wasmpool_tests::{builder, tasks, text};

wasmpool::test_support!();

/// A module whose task adds this number.
fn adder(number: i64) -> String {
    format!(
        r#"(module (func (export "add") (param i64) (result i64) local.get 0 i64.const {number} i64.add))"#
    )
}

#[test]
fn a_module_that_cannot_be_used_is_refused_by_name_with_the_reason() {
    let _watchdog = Watchdog::start();
    let pool = builder(1).build().expect("a pool");
    let directory = tempfile::tempdir().expect("a directory");
    let valid = wat::parse_str(adder(1)).expect("valid");
    let mut invalid = valid.clone();
    // The last instruction before the end: `i64.add` becomes `i64.eqz`, which leaves an i32.
    let at = invalid.iter().rposition(|byte| *byte == 0x7c).expect("an addition");
    invalid[at] = 0x50;
    let cases: [(&str, &[u8], &[&str]); 9] = [
        ("empty.wasm", b"", &["nothing"]),
        ("picture.wasm", b"\x89PNG\r\n\x1a\n", &["PNG"]),
        ("magic.wasm", b"\0asm", &[]),
        ("truncated.wasm", &valid[..valid.len() - 4], &[]),
        ("invalid.wasm", &invalid, &["type mismatch"]),
        ("component.wasm", b"\0asm\x0d\0\x01\0", &["component"]),
        ("typo.wat", b"(module (func (export \"f\") i32.cosnt 1))", &["line 1, column 28"]),
        ("stack.wat", b"(module (func (export \"f\") (result i32)))", &[]),
        (
            "greedy.wat",
            br#"(module (import "env" "launch" (func)) (import "wasi_snapshot_preview1" "path_open" (func))
                (import "wasmpool" "next" (func (param i32))))"#,
            &["`launch` from `env`", "`path_open` from `wasi_snapshot_preview1`", "`next` from `wasmpool`"],
        ),
    ];
    for (name, bytes, says) in cases {
        let path = directory.path().join(name);
        fs::write(&path, bytes).expect("written");
        let by_path = pool.load(&path).expect_err(name);
        let by_bytes = pool.load_bytes(name, bytes).expect_err(name);
        for error in [by_path, by_bytes] {
            assert_eq!(error.kind(), ErrorKind::Module, "{name}: {error}");
            let text = error.to_string();
            assert!(text.contains(name), "{name}: {text}");
            says.iter().for_each(|part| assert!(text.contains(part), "{name}: {part} is missing: {text}"));
            assert!(!text.contains('\u{1b}') && text.len() < 2000, "{name}: {text}");
        }
    }
    let missing = pool.load(directory.path().join("missing.wasm")).expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::Module);
    assert!(missing.to_string().contains("missing.wasm"), "{missing}");
    let source = std::error::Error::source(&missing).expect("the system's reason").to_string();
    assert!(source.contains("No such file"), "{source}");
    assert_eq!(pool.load(directory.path()).expect_err("a directory").kind(), ErrorKind::Module);
    let good = pool.load_bytes("adder", adder(1).as_bytes()).expect("the pool goes on");
    assert_eq!(good.task::<i64, i64>("add").expect("a task").apply(1).expect("a result"), 2);
}

#[test]
fn an_unknown_task_is_refused_with_near_matches_and_all_there_are() {
    let fixture = tasks(1);
    let error = |name: &str| fixture.module.task::<i64, i64>(name).expect_err("unknown");
    assert_eq!(error("cub").kind(), ErrorKind::UnknownTask);
    let text = error("cub").to_string();
    assert!(text.contains("no task `cub`") && text.contains("did you mean `cube`"), "{text}");
    let text = error("world-count").to_string();
    assert!(text.contains("did you mean `word-count`"), "{text}");
    let text = error("qqqqqqqqqqqq").to_string();
    assert!(!text.contains("did you mean") && text.contains("add, "), "{text}");
    let empty = fixture.pool.load_bytes("empty", b"(module)").expect("a module");
    let text = empty.task::<(), ()>("main").expect_err("unknown").to_string();
    assert!(text.contains("no tasks at all"), "{text}");
}

#[test]
fn tasks_are_listed_by_name() {
    let fixture = tasks(1);
    let names: Vec<&str> = fixture.module.task_names().collect();
    assert!(names.is_sorted(), "{names:?}");
    for name in ["cube", "word-count", "fails_on", "spins"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(names.iter().all(|name| !name.contains(':')), "internals are no tasks: {names:?}");
}

#[test]
fn a_wrong_signature_is_refused_before_anything_runs() {
    let fixture = tasks(1);
    type Ask = fn(&Module) -> Option<wasmpool::Error>;
    let cases: [(Ask, &[&str]); 9] = [
        (|module| module.task::<(), i64>("cube").err(), &["cube(number: i64) -> i64", "1", "0"]),
        (|module| module.task::<(i64, i64), i64>("cube").err(), &["takes 1", "2 given"]),
        (|module| module.task::<f64, i64>("cube").err(), &["number: i64", "f64"]),
        (|module| module.task::<i32, i64>("cube").err(), &["number: i64", "i32"]),
        (|module| module.task::<i64, String>("cube").err(), &[]),
        (|module| module.task::<i64, f64>("cube").err(), &["returns i64", "f64"]),
        (|module| module.task::<i64, i64>("add").err(), &["takes 2", "1 given"]),
        (|module| module.task::<(), i64>("traps").err(), &["returns nothing", "i64"]),
        (|module| module.task::<(i64, bool), i64>("add").err(), &["b: i64", "bool"]),
    ];
    for (number, (ask, says)) in cases.iter().enumerate() {
        let Some(error) = ask(&fixture.module) else {
            assert!(says.is_empty(), "case {number} was accepted");
            continue;
        };
        assert_eq!(error.kind(), ErrorKind::Signature, "{error}");
        says.iter().for_each(|part| assert!(error.to_string().contains(part), "case {number}: {error}"));
    }
    let numbers = text(1, "adder", &adder(1));
    for error in [numbers.module.task::<f64, i64>("add").err(), numbers.module.task::<i64, i32>("add").err()]
    {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Signature));
    }
    assert_eq!(
        fixture.module.task::<(i64,), (i64,)>("cube").map(|task| task.name().to_owned()).ok().as_deref(),
        Some("cube")
    );
}

#[test]
fn a_pool_has_at_least_one_worker_and_not_too_many() {
    for workers in [0, WORKERS_MAX + 1, usize::MAX] {
        let error = Pool::builder().workers(workers).build().expect_err("that is no number of workers");
        assert_eq!(error.kind(), ErrorKind::Setting);
        assert!(error.to_string().contains(&workers.to_string()), "{error}");
    }
    let _watchdog = Watchdog::start();
    assert!(Pool::builder().no_cache().build().expect("a pool").workers() >= 1);
}

#[test]
fn a_program_without_init_is_told_what_to_add() {
    let _watchdog = Watchdog::start();
    let output = Command::new(env!("CARGO_BIN_EXE_without-init")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.starts_with("SetUp: "), "{said}");
    assert!(said.contains("wasmpool::init()") && said.contains("main"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn many_modules_share_one_worker_and_several() {
    for workers in [1, 2, 3] {
        let _watchdog = Watchdog::start();
        let pool = builder(workers).build().expect("a pool");
        let modules: Vec<Module> = (0..5)
            .map(|number| {
                pool.load_bytes(&format!("add{number}"), adder(number).as_bytes()).expect("a module")
            })
            .collect();
        std::thread::scope(|scope| {
            for (number, module) in (0..).zip(&modules) {
                scope.spawn(move || {
                    let add = module.task::<i64, i64>("add").expect("a task");
                    for _ in 0..3 {
                        let sums = add.map(0..10_000).expect("results");
                        assert!(
                            sums.into_iter().eq(number..number + 10_000),
                            "{workers} workers, module {number}"
                        );
                        assert_eq!(add.apply(100).expect("a result"), 100 + number);
                    }
                });
            }
        });
    }
}

/// Runs endless jobs of all modules but the last until a call of that one has come back.
fn a_call_beside_endless_jobs(workers: usize, modules: usize) {
    /// Long enough that a call which is served at all has been served.
    const PATIENCE: Duration = Duration::from_secs(15);
    let _watchdog = Watchdog::start();
    let pool = builder(workers).build().expect("a pool");
    let load = |number: usize| {
        let module =
            pool.load_bytes(&format!("add{number}"), adder(number as i64).as_bytes()).expect("a module");
        module.task::<i64, i64>("add").expect("a task")
    };
    let tasks: Vec<_> = (0..modules).map(load).collect();
    let (last, busy) = tasks.split_last().expect("several");
    let is_over = AtomicBool::new(false);
    let started = Instant::now();
    let in_time = std::thread::scope(|scope| {
        for task in busy {
            let going_on = |_: &i64| !is_over.load(Ordering::Relaxed) && started.elapsed() < PATIENCE;
            scope.spawn(move || task.map((0..).take_while(going_on)).expect("results"));
        }
        let _end = SetWhenDropped(&is_over);
        for task in busy {
            task.apply(1).expect("each of them is served");
        }
        last.apply(1).expect("a result");
        started.elapsed() < PATIENCE
    });
    assert!(in_time, "module {modules} of {modules} waits for ever while {workers} workers serve the others");
}

#[test]
fn a_module_is_served_while_another_one_has_endless_work() {
    a_call_beside_endless_jobs(1, 2);
    a_call_beside_endless_jobs(2, 2);
}

#[test]
fn a_module_is_served_while_two_others_have_endless_work() {
    a_call_beside_endless_jobs(1, 3);
}

#[test]
fn a_module_is_served_while_many_others_have_endless_work() {
    a_call_beside_endless_jobs(2, 5);
}

#[test]
fn two_modules_never_share_an_instance() {
    let counter = r#"(module (global $n (mut i64) (i64.const 0))
        (func (export "count") (result i64) global.get $n i64.const 1 i64.add global.set $n global.get $n))"#;
    let fixture = text(1, "one", counter);
    let other = fixture.pool.load_bytes("two", counter.as_bytes()).expect("a module");
    for module in [&fixture.module, &other] {
        assert_eq!(module.task::<(), i64>("count").expect("a task").map([(); 3]).expect("counts"), [1, 2, 3]);
    }
}

#[test]
fn compiled_code_is_kept_and_what_is_damaged_is_compiled_again() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache");
    let entries = || {
        let entries = fs::read_dir(&cache).expect("a cache").map(|entry| entry.expect("an entry").path());
        entries.collect::<Vec<_>>()
    };
    let run = || {
        let pool = builder(1).cache_dir(&cache).build().expect("a pool");
        let module = pool.load_bytes("adder", adder(5).as_bytes()).expect("a module");
        assert_eq!(module.task::<i64, i64>("add").expect("a task").map(0..3).expect("results"), [5, 6, 7]);
    };
    run();
    let [entry] = &entries()[..] else { panic!("one module, one entry: {:?}", entries()) };
    let written = fs::metadata(entry).and_then(|metadata| metadata.modified()).expect("a time");
    let good = fs::read(entry).expect("an entry");
    run();
    let kept = fs::metadata(entry).and_then(|metadata| metadata.modified()).expect("a time");
    assert_eq!(kept, written, "it was taken, not made again");
    for damage in [&good[..good.len() / 2], b"", &[0; 100_000]] {
        fs::write(entry, damage).expect("damaged");
        run();
        assert_eq!(entries().len(), 1);
        assert_ne!(fs::read(entry).expect("an entry"), damage, "it was made again");
    }
}

#[test]
fn a_cache_that_cannot_be_used_costs_nothing_but_time() {
    use std::os::unix::fs::PermissionsExt;
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().expect("a directory");
    let open_to_all = directory.path().join("open");
    fs::create_dir(&open_to_all).expect("a directory");
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o777)).expect("open");
    let file = directory.path().join("file");
    fs::write(&file, "in the way").expect("a file");
    for cache in [open_to_all.clone(), file.join("below"), "/proc/nowhere".into()] {
        let pool = builder(1).cache_dir(&cache).build().expect("a pool");
        let module = pool.load_bytes("adder", adder(5).as_bytes()).expect("a module");
        assert_eq!(module.task::<i64, i64>("add").expect("a task").apply(1).expect("a result"), 6);
    }
    assert_eq!(fs::read_dir(open_to_all).expect("a directory").count(), 0, "others could write there");
}

#[test]
fn a_module_that_begins_with_more_memory_than_it_may_have_is_refused_and_others_go_on() {
    let _watchdog = Watchdog::start();
    let pool = builder(1).max_memory(64 << 20).build().expect("a pool");
    let large = r#"(module (memory 2000) (func (export "one") (result i32) i32.const 1))"#;
    let refused = pool.load_bytes("large", large.as_bytes()).expect_err("too large");
    assert_eq!(refused.kind(), ErrorKind::Module);
    let text = refused.to_string();
    assert!(text.contains("`large`") && text.contains("131072000"), "{text}");
    let small = pool.load_bytes("small", large.replace("2000", "20").as_bytes()).expect("a module");
    assert_eq!(small.task::<(), i32>("one").expect("a task").apply(()).expect("a result"), 1);
}

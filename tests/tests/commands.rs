//! WASI programs as calls, through the library: what a run is given, what comes of it, and that nothing of it stays.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wasmpool::{Builder, Command, DirRights, ErrorKind, FailureKind, Pool, Stdin};
use wasmpool_tests::watchdog::Watchdog;
use wasmpool_tests::{Fixture, Lines, builder, failure, program_path, text, text_in};

wasmpool::test_support!();

/// A pool that is watched over until it is gone.
struct Watched {
    pool: Pool,
    // Last, because fields are dropped in this order.
    _watchdog: Watchdog,
}

fn watched(builder: Builder) -> Watched {
    let watchdog = Watchdog::start();
    Watched { pool: builder.build().expect("a pool"), _watchdog: watchdog }
}

/// A program of `wasm-tasks` in a pool of two workers.
fn program(name: &str) -> (Watched, Command) {
    program_in(builder(2), name)
}

fn program_in(builder: Builder, name: &str) -> (Watched, Command) {
    let wasm = fs::read(program_path(name)).expect("the program that was just built");
    let watched = watched(builder);
    let command = watched.pool.load_bytes(name, &wasm).and_then(|module| module.command());
    (watched, command.expect("a program"))
}

/// A program written as text.
fn command(workers: usize, wat: &str) -> (Fixture, Command) {
    let fixture = text(workers, "program", wat);
    let command = fixture.module.command().expect("a program");
    (fixture, command)
}

fn texts(outputs: Vec<Vec<u8>>) -> Vec<String> {
    outputs.into_iter().map(|output| String::from_utf8(output).expect("text")).collect()
}

/// What a program does with some functions of WASI, in text.
fn with_wasi(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
          (memory (export "memory") 2)
          (global $runs (mut i32) (i32.const 0))
          ;; Writes bytes of memory to a stream.
          (func $write (param $stream i32) (param $address i32) (param $length i32)
            (i32.store (i32.const 0) (local.get $address))
            (i32.store (i32.const 4) (local.get $length))
            (drop (call $fd_write (local.get $stream) (i32.const 0) (i32.const 1) (i32.const 8))))
          ;; Reads at most so many bytes of stdin to address 65536; returns how many.
          (func $read (param $length i32) (result i32)
            (i32.store (i32.const 0) (i32.const 65536))
            (i32.store (i32.const 4) (local.get $length))
            (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (i32.load (i32.const 8)))
          {body})"#
    )
}

#[test]
fn arguments_go_in_and_stdout_comes_back_in_order() {
    let (_fixture, echo) = program("echo");
    let echo = echo.arg("{#}:").args(["{}", "-n", "{{}}"]);
    let inputs: Vec<String> = (0..1000).map(|number| format!("input {number}")).collect();
    let expected: Vec<String> =
        (0..1000).map(|number| format!("{number}: input {number} -n {{}}\n")).collect();
    assert_eq!(texts(echo.map(&inputs).expect("outputs")), expected);
    assert_eq!(echo.apply("one").expect("an output"), b"0: one -n {}\n");
    assert!(echo.map(Vec::<String>::new()).expect("nothing").is_empty());
}

#[test]
fn stdin_is_the_input_or_what_was_chosen() {
    let (_fixture, wc) = program("wc");
    assert_eq!(wc.apply("ignored").expect("an output"), b"0 0 0\n");
    let counted = wc.clone().stdin(Stdin::Input).map(["", "a b\nc\n", "x\0y"]).expect("outputs");
    assert_eq!(texts(counted), ["0 0 0\n", "2 3 6\n", "0 1 3\n"]);
    let same = wc.stdin(Stdin::Bytes(b"three words here".to_vec()));
    assert_eq!(texts(same.map(["", "x"]).expect("outputs")), ["0 3 16\n"; 2]);
}

#[test]
fn any_bytes_pass_through_unchanged_however_many() {
    let (_fixture, cat) = program("cat");
    let cat = cat.stdin(Stdin::Input);
    let bytes: Vec<u8> =
        (0..5 << 20).map(|number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let inputs = [&bytes[..], &[], &bytes[..1], &bytes[7..1 << 20]];
    assert!(cat.map(inputs).expect("outputs").iter().eq(inputs.iter()), "some bytes are others");
}

#[test]
fn a_program_sees_what_it_is_granted_and_its_own_name() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("poem"), "a line\n").expect("written");
    let granting = builder(2).env("COLOR", "blue").dir(directory.path(), "/d", DirRights::ReadOnly);
    let (fixture, variables) = program_in(granting, "variables");
    let told = |command: &Command| String::from_utf8(command.apply("").expect("an output")).expect("text");
    assert_eq!(told(&variables), "COLOR=blue\n0 bytes for [\"variables\"]\n");
    let renamed = variables.argv0("another").arg("x");
    assert_eq!(told(&renamed), "COLOR=blue\n0 bytes for [\"another\", \"x\"]\n");
    let cat = fixture.pool.load(program_path("cat")).and_then(|cat| cat.command()).expect("a program");
    assert_eq!(cat.arg("/d/{}").map(["poem"]).expect("an output"), [b"a line\n"]);
    assert!(Path::new("/etc/passwd").exists());
    let escaped = fixture.pool.load(program_path("cat")).and_then(|cat| cat.command()).expect("a program");
    let failed = failure(escaped.arg("{}").map(["/etc/passwd"]));
    assert_eq!(failed.kind(), FailureKind::Exited(1));
}

#[test]
fn exit_codes_are_outcomes_of_their_own() {
    let (_fixture, exits) = program("exit-with");
    let codes: Vec<i32> = (0..=255).chain([256, 1000, i32::MAX, -1, i32::MIN]).collect();
    let inputs: Vec<String> = codes.iter().map(i32::to_string).collect();
    let outcomes = exits.arg("{}").map_outcomes(&inputs).expect("outcomes");
    for (code, outcome) in codes.into_iter().zip(outcomes) {
        match (code, outcome) {
            (0, outcome) => assert_eq!(outcome.expect("success"), b"exiting with 0\n"),
            (code, outcome) => {
                let failure = outcome.expect_err("a failure");
                assert_eq!(failure.kind(), FailureKind::Exited(code));
                assert_eq!(failure.message(), format!("exited with code {code}"));
            }
        }
    }
}

#[test]
fn stderr_goes_to_the_pools_lines_and_stdout_does_not() {
    let lines = Lines::default();
    let (_fixture, exits) = program_in(builder(1).on_output(lines.taker()), "exit-with");
    let outcomes = exits.arg("{}").map_outcomes(["0", "3"]).expect("outcomes");
    assert!(outcomes[0].is_ok() && outcomes[1].is_err());
    assert_eq!(lines.all(), ["exiting with 0, it says", "exiting with 3, it says"]);
}

#[test]
fn a_failed_run_can_be_tried_again() {
    let (_fixture, exits) = program("exit-with");
    let failed = failure(exits.arg("{}").retries(2).map(["7"]));
    assert_eq!((failed.kind(), failed.attempt()), (FailureKind::Exited(7), 3));
}

#[test]
fn the_lowest_failure_is_the_jobs() {
    let (_fixture, exits) = program("exit-with");
    let failed = failure(exits.arg("{}").map(["0", "0", "9", "0", "4"]));
    assert_eq!((failed.index(), failed.kind()), (2, FailureKind::Exited(9)));
}

/// Prints one byte: how often it has run, as memory, a global and stdin have it.
const REMEMBERS: &str = r#"(func (export "_start")
    (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
    (i32.store8 (i32.const 100) (i32.add (i32.load8_u (i32.const 100)) (i32.const 1)))
    (i32.store8 (i32.const 101) (global.get $runs))
    (i32.store8 (i32.const 102) (memory.grow (i32.const 1)))
    (drop (call $read (i32.const 3)))
    ;; What was not read stays for nobody.
    (i32.store8 (i32.const 103) (i32.load8_u (i32.const 65536)))
    (call $write (i32.const 1) (i32.const 100) (i32.const 4)))"#;

#[test]
fn nothing_of_a_run_is_there_in_the_next() {
    let (_fixture, remembers) = command(1, &with_wasi(REMEMBERS));
    let remembers = remembers.stdin(Stdin::Input);
    let outputs = remembers.map(["secret canary", "", "b", "", ""]).expect("outputs");
    let first = [1, 1, 2];
    for (output, stdin) in outputs.iter().zip([b's', 0, b'b', 0, 0]) {
        assert_eq!((&output[..3], output[3]), (&first[..], stdin));
    }
}

#[test]
fn a_module_is_a_program_and_tasks_at_a_time() {
    let counts = r#"(func (export "_start") (global.set $runs (i32.add (global.get $runs) (i32.const 1))))
        (func (export "runs") (result i32) (global.get $runs))"#;
    let (fixture, program) = command(1, &with_wasi(counts));
    let runs = fixture.module.task::<(), i32>("runs").expect("a task");
    for _ in 0..3 {
        assert_eq!(program.apply("").expect("an output"), b"");
        assert_eq!(runs.apply(()).expect("a number"), 0, "an instance in which the program ran was kept");
    }
}

#[test]
fn traps_and_limits_are_told_apart() {
    let cases = [
        ("(func (export \"_start\") unreachable)", FailureKind::Trapped),
        ("(func $deep (export \"_start\") (call $deep))", FailureKind::StackOverflow),
        ("(func (export \"_start\") (loop $on (br $on)))", FailureKind::TimedOut),
        (
            "(func (export \"_start\") (loop $on (call $write (i32.const 1) (i32.const 0) (i32.const 1000)) (br $on)))",
            FailureKind::ResultTooLarge,
        ),
        (
            "(func (export \"_start\") (loop $on (call $write (i32.const 2) (i32.const 0) (i32.const 1000)) (br $on)))",
            FailureKind::OutputTooLarge,
        ),
        (
            "(func (export \"_start\") (loop $on (drop (call $read (i32.const 1))) (br $on)))",
            FailureKind::TimedOut,
        ),
    ];
    for (body, expected) in cases {
        let (fixture, program) = command(1, &with_wasi(body));
        let program = program.stdin(Stdin::Input).timeout(Duration::from_millis(300));
        // An endless printer is not to be stopped for its time, however busy the machine is.
        let is_timed = expected == FailureKind::TimedOut;
        let program = if is_timed { program } else { program.timeout(Duration::from_secs(100)) };
        let failed = failure(program.map(["in"]));
        assert_eq!(failed.kind(), expected, "{body}: {failed}");
        assert_eq!(program_still_runs(&fixture), b"", "{body}");
    }
}

/// Another program of the same pool, in the worker's next instance.
fn program_still_runs(fixture: &Fixture) -> Vec<u8> {
    let nothing = fixture.pool.load_bytes("nothing", br#"(module (func (export "_start")))"#);
    nothing.and_then(|nothing| nothing.command()).and_then(|nothing| nothing.apply("")).expect("an output")
}

#[test]
fn a_program_may_read_and_print_everything_at_once() {
    let body = r#"(func (export "_start") (call $write (i32.const 1) (i32.const 0) (call $read (i32.const 60000))))"#;
    let (_fixture, program) = command(1, &with_wasi(body));
    let most = 60_000;
    let fits = vec![b'x'; most];
    assert_eq!(program.stdin(Stdin::Input).apply(&fits).expect("an output").len(), most);
}

#[test]
fn streams_say_that_nobody_watches_them_and_stdin_tells_what_is_left() {
    let body = r#"(func (export "_start")
        (drop (call $fd_fdstat_get (i32.const 1) (i32.const 200)))
        (i32.store8 (i32.const 100) (i32.load8_u (i32.const 200)))
        ;; A subscription to stdin: its kind at 8, its descriptor at 16. The event has its bytes at 16, a flag at 24.
        (i32.store8 (i32.const 308) (i32.const 1))
        (drop (call $poll_oneoff (i32.const 300) (i32.const 400) (i32.const 1) (i32.const 500)))
        (i32.store8 (i32.const 101) (i32.load8_u (i32.const 416)))
        (i32.store8 (i32.const 102) (i32.load8_u (i32.const 424)))
        (call $write (i32.const 1) (i32.const 100) (i32.const 3)))"#;
    let (_fixture, program) = command(1, &with_wasi(body));
    let outputs = program.stdin(Stdin::Input).map(["hello", ""]).expect("outputs");
    assert_eq!(outputs, [[0, 5, 0], [0, 0, 1]]);
}

#[test]
fn exiting_with_zero_is_returning() {
    let body = r#"(func (export "_start")
        (i32.store8 (i32.const 100) (i32.const 120))
        (call $write (i32.const 1) (i32.const 100) (i32.const 1))
        (call $proc_exit (i32.const 0)) unreachable)"#;
    let (_fixture, program) = command(1, &with_wasi(body));
    assert_eq!(program.map(["", ""]).expect("outputs"), [b"x", b"x"]);
}

#[test]
fn inputs_that_cannot_be_arguments_are_refused_and_others_run() {
    let (_fixture, echo) = program("echo");
    let outcomes = echo.clone().arg("{}").map_outcomes(["a", "b\0c", "d"]).expect("outcomes");
    let shown: Vec<Result<&[u8], FailureKind>> =
        outcomes.iter().map(|outcome| outcome.as_deref().map_err(|failure| failure.kind())).collect();
    assert_eq!(shown, [Ok(&b"a\n"[..]), Err(FailureKind::Refused), Ok(b"d\n")]);
    assert_eq!(failure(echo.arg("{}").apply("\0")).kind(), FailureKind::Refused);
}

#[test]
fn huge_arguments_arrive_or_are_the_programs_own_failure() {
    let (_fixture, echo) = program("echo");
    let echo = echo.arg("{}");
    let large = "x".repeat(4 << 20);
    assert_eq!(echo.apply(&large).expect("an output").len(), large.len() + 1);
    let (_fixture, echo) = program_in(builder(1).max_memory(2 << 20), "echo");
    let failed = failure(echo.arg("{}").apply(&large));
    let fits =
        matches!(failed.kind(), FailureKind::Exited(_) | FailureKind::Trapped | FailureKind::OutOfMemory);
    assert!(fits, "{failed}");
    let beyond = failure(program("echo").1.arg("{}").apply("x".repeat(65 << 20)));
    assert_eq!(beyond.kind(), FailureKind::Refused);
}

#[test]
fn a_module_without_a_start_is_no_program_and_one_that_wants_more_is_not_loaded() {
    let fixture = text(1, "tasks", r#"(module (func (export "nothing")))"#);
    let error = fixture.module.command().expect_err("no program");
    assert_eq!(error.kind(), ErrorKind::UnknownTask);
    let line =
        "module `tasks` is no WASI command: it exports no _start; it has tasks to call by name: nothing";
    assert_eq!(error.to_string(), line);
    let sockets = r#"(module
        (import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))
        (import "env" "launch" (func))
        (func (export "_start")))"#;
    let error = fixture.pool.load_bytes("sockets", sockets.as_bytes()).expect_err("not loaded");
    assert_eq!(error.kind(), ErrorKind::Module);
    for name in ["`sock_accept` from `wasi_snapshot_preview1`", "`launch` from `env`"] {
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn runs_are_alike_in_a_deterministic_pool() {
    let random = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
          (drop (call $random (i32.const 100) (i32.const 8)))
          (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 8))
          (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let outputs = |workers| {
        let fixture = text_in(builder(workers).deterministic(7), "random", random);
        fixture.module.command().expect("a program").map(vec![""; 20]).expect("outputs")
    };
    let one = outputs(1);
    assert_eq!(one, outputs(3));
    assert_ne!(one[0], one[1]);
}

/// A module of more than 25 MiB, most of it data.
#[test]
fn a_large_program_is_compiled_once() {
    let bytes = 26 << 20;
    let mut wat = String::with_capacity(bytes + 1000);
    wat.push_str(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 600)
        (func (export "_start")
          (i32.store (i32.const 0) (i32.const 27000000)) (i32.store (i32.const 4) (i32.const 5))
          (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))"#);
    wat.push_str("(data (i32.const 1000) \"");
    wat.extend(std::iter::repeat_n('y', bytes));
    wat.push_str("\"))");
    let wasm = wat::parse_str(&wat).expect("a module");
    assert!(wasm.len() > 25 << 20);
    let cache = tempfile::tempdir().expect("a directory");
    let pool = |time_max| builder(1).cache_dir(cache.path()).max_compile_time(time_max);
    // Whoever would compile it again has no time for that.
    for time_max in [Duration::from_secs(60), Duration::from_millis(1)] {
        let watched = watched(pool(time_max));
        let large = watched.pool.load_bytes("large", &wasm).and_then(|module| module.command());
        assert_eq!(large.expect("a program").map(["", "", ""]).expect("outputs"), [b"yyyyy"; 3]);
    }
}

/// Prints how many runs a pool makes a second: `cargo test --release --test commands -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn runs_a_second() {
    const RUNS: usize = 200_000;
    let watched = watched(builder(2));
    for (name, wat) in
        [("nothing", r#"(module (func (export "_start")))"#.to_owned()), ("remembers", with_wasi(REMEMBERS))]
    {
        let module = watched.pool.load_bytes(name, wat.as_bytes()).expect("a module");
        measure(name, &module.command().expect("a program").arg("{}"), RUNS);
    }
    for name in ["echo", "wc"] {
        let module = watched.pool.load(program_path(name)).expect("a module");
        measure(name, &module.command().expect("a program").arg("{}"), RUNS);
    }
}

#[expect(clippy::print_stdout, reason = "what it measures is for people to read")]
fn measure(name: &str, command: &Command, runs: usize) {
    let inputs = || (0..runs).map(|number| number.to_string());
    command.map(inputs().take(1000)).expect("outputs");
    let started = Instant::now();
    command.map(inputs()).expect("outputs");
    let took = started.elapsed();
    println!("{name}: {:.0} runs a second in two workers", runs as f64 / took.as_secs_f64());
}

//! Machines that confine well, less well and not at all: what `doctor` says of them, and whether modules run there.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmpool::{Builder, ErrorKind};
use wasmpool_tests::builder;
use wasmpool_tests::watchdog::Watchdog;

wasmpool::test_support!();

const NUMBERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/modules/numbers.wat");
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/modules/program.wat");

/// Exit code where this machine cannot be used.
const UNUSABLE: i32 = 96;

/// What a kernel lacks: system calls, by number, or by number and first argument, with the error that they give.
#[derive(Clone, Copy)]
struct Lack(&'static [(i64, Option<i32>, i32)]);

const NOTHING: Lack = Lack(&[]);
const LANDLOCK_NOT_BUILT: Lack = Lack(&[(libc::SYS_landlock_create_ruleset, None, libc::ENOSYS)]);
const LANDLOCK_NOT_ENABLED: Lack = Lack(&[(libc::SYS_landlock_create_ruleset, None, libc::EOPNOTSUPP)]);
const LANDLOCK_REFUSED: Lack = Lack(&[(libc::SYS_landlock_restrict_self, None, libc::EPERM)]);
const SECCOMP: Lack = Lack(&[(libc::SYS_seccomp, None, libc::ENOSYS)]);
const NO_NEW_PRIVS: Lack = Lack(&[(libc::SYS_prctl, Some(libc::PR_SET_NO_NEW_PRIVS), libc::EPERM)]);
const CODE_LOCK: Lack = Lack(&[
    (libc::SYS_prctl, Some(libc::PR_SET_MDWE), libc::EINVAL),
    (libc::SYS_prctl, Some(libc::PR_GET_MDWE), libc::EINVAL),
]);

/// Runs the command on a kernel with this lack, with a cache of its own.
fn wasmpool(lack: Lack, arguments: &[&str]) -> Output {
    let cache = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_without-calls"));
    for (number, first, errno) in lack.0 {
        let first = first.map_or_else(String::new, |first| format!("/{first}"));
        command.arg(format!("{number}{first}={errno}"));
    }
    command.arg("--").arg(env!("CARGO_BIN_EXE_wasmpool-under-test")).args(arguments);
    command.stdin(Stdio::null()).env("XDG_CACHE_HOME", cache.path());
    command.output().expect("an output")
}

fn check(lack: Lack, arguments: &[&str], stdout: &str, says: &[&str], code: i32) {
    let output = wasmpool(lack, arguments);
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((&*out, output.status.code()), (stdout, Some(code)), "{arguments:?}: {error}");
    says.iter().for_each(|part| assert!(error.contains(part), "{arguments:?}: {part} is missing: {error}"));
}

/// What `doctor --json` says, and its exit code.
fn doctor(lack: Lack) -> (Value, i32) {
    let output = wasmpool(lack, &["doctor", "--json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report, output.status.code().expect("an exit code"))
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let item = list.as_array().and_then(|list| list.iter().find(|item| item["name"] == name));
    item.unwrap_or_else(|| panic!("{name} is missing: {list}"))
}

#[test]
fn doctor_tells_what_this_machine_gives() {
    let _watchdog = Watchdog::start();
    let (report, code) = doctor(NOTHING);
    let verdict = report["verdict"].as_str().expect("a verdict");
    assert_eq!(code, if verdict == "insecure" { UNUSABLE } else { 0 });
    for layer in ["no_new_privs", "not_dumpable", "no_capabilities", "seccomp", "no_descriptors"] {
        assert_eq!(named(&report["layers"], layer)["given"], true, "{report}");
    }
    let abi = report["landlock_abi"].as_u64().expect("a number");
    assert_eq!(named(&report["layers"], "landlock_files")["given"], abi >= 1);
    assert_eq!(named(&report["layers"], "landlock_scopes")["given"], abi >= 6);
    for layer in report["layers"].as_array().expect("layers") {
        assert_eq!(layer["given"] == false, layer["remedy"].is_string(), "{layer}");
    }
    for item in ["pidfd", "memfd_seals", "address_space", "max_map_count", "overcommit", "cache"] {
        assert!(named(&report["machine"], item)["given"].is_boolean(), "{report}");
    }
    for item in ["cores", "memory", "cgroup_limits"] {
        assert!(named(&report["machine"], item)["value"].is_string(), "{report}");
    }
    assert!(report["confinement_us"].as_u64().is_some_and(|time| time > 0), "{report}");
    let text = wasmpool(NOTHING, &["doctor"]);
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.contains(&format!("confinement: {verdict}: ")), "{text}");
    assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
}

#[test]
fn without_landlock_filters_hold_alone() {
    let _watchdog = Watchdog::start();
    for lack in [LANDLOCK_NOT_BUILT, LANDLOCK_NOT_ENABLED, LANDLOCK_REFUSED] {
        let (report, code) = doctor(lack);
        assert_eq!((&report["verdict"], code), (&"reduced".into(), 0), "{report}");
        assert_eq!(report["verdict_with_directories"], "insecure");
        let files = named(&report["layers"], "landlock_files");
        assert!(files["remedy"].as_str().is_some_and(|remedy| remedy.contains("lsm=")), "{files}");
        let taken_by = &named(&report["rights"], "files")["taken_by"];
        assert_eq!(*taken_by, serde_json::json!(["seccomp", "no_descriptors"]));
        check(lack, &["map", NUMBERS, "identity64", "1..4"], "1\n2\n3\n", &[], 0);
        check(lack, &["run", PROGRAM, "7"], "", &[], 2);
    }
}

#[test]
fn without_filters_nothing_runs_unless_that_is_asked_for() {
    let _watchdog = Watchdog::start();
    for (lack, right) in [(SECCOMP, "io_uring"), (NO_NEW_PRIVS, "start processes")] {
        let (report, code) = doctor(lack);
        assert_eq!((&report["verdict"], code), (&"insecure".into(), UNUSABLE), "{report}");
        assert_eq!(named(&report["rights"], "rare_doors")["taken_by"], serde_json::json!([]));
        let says = ["takes away the right to", right, "seccomp filter", "wasmpool doctor", "--insecure"];
        check(lack, &["map", NUMBERS, "identity64", "1..4"], "", &says, UNUSABLE);
        check(lack, &["run", PROGRAM, "7"], "", &says, UNUSABLE);
        check(lack, &["map", NUMBERS, "identity64", "1..4", "--insecure"], "1\n2\n3\n", &[], 0);
        check(lack, &["run", "--insecure", PROGRAM, "7"], "", &[], 2);
    }
}

#[test]
fn an_older_kernel_confines_with_what_it_has() {
    let _watchdog = Watchdog::start();
    let (report, code) = doctor(CODE_LOCK);
    assert_eq!((&report["verdict"], code), (&"reduced".into(), 0), "{report}");
    assert_eq!(named(&report["rights"], "new_code")["taken_by"], serde_json::json!(["seccomp"]));
    check(CODE_LOCK, &["map", NUMBERS, "identity64", "1..4"], "1\n2\n3\n", &[], 0);
}

#[test]
fn the_command_knows_no_break_outs() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("breaker.wat");
    let text = r#"(module (import "wasmpool_test" "address" (func (param i32) (result i64)))
        (func (export "f") (param i32) (result i32) local.get 0))"#;
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a name");
    check(NOTHING, &["map", path, "f", "1"], "", &["`address` from `wasmpool_test`"], UNUSABLE);
}

/// A module with one function that takes a compiler minutes and gigabytes.
fn huge() -> Vec<u8> {
    let turn = |n: u32| {
        format!(
            "(if (i64.eq (local.get 0) (i64.const {n})) (then (local.set 0 (i64.mul (local.get 0) (i64.const {n})))))"
        )
    };
    let turns: String = (0..60_000).map(turn).collect();
    let text = format!("(module (func (export \"f\") (param i64) (result i64) {turns} local.get 0))");
    wat::parse_str(text).expect("valid")
}

/// What a pool says of the huge module within a limit, which must not be much later than that.
fn refused(limit: fn(Builder) -> Builder, module: &[u8]) -> String {
    let pool = limit(builder(1).no_cache()).build().expect("a pool");
    let started = Instant::now();
    let error = pool.load_bytes("huge", module).expect_err("too much");
    // Generous: compiling it would take minutes.
    assert!(started.elapsed() < Duration::from_secs(30), "{error}: {:?}", started.elapsed());
    assert_eq!(error.kind(), ErrorKind::Module, "{error}");
    let small = pool.load_bytes("small", br#"(module (func (export "f") (result i32) i32.const 7))"#);
    let seven = small.expect("a module").task::<(), i32>("f").expect("a task").apply(());
    assert_eq!(seven.expect("a result"), 7, "the pool goes on");
    error.to_string()
}

#[test]
fn compiling_ends_at_its_limits_and_says_which() {
    let _watchdog = Watchdog::start();
    let module = huge();
    let text = refused(|builder| builder.max_compile_time(Duration::from_secs(2)), &module);
    assert!(text.contains("`huge` took longer than its limit of 2s: raise max_compile_time"), "{text}");
    for (limit, shown) in [
        ((|builder: Builder| builder.max_compile_memory(16 << 20)) as fn(Builder) -> Builder, "16 MiB"),
        (|builder| builder.max_compile_memory(64 << 20), "64 MiB"),
        (|builder| builder.max_compile_memory(40_000_001), "40000001 B"),
    ] {
        let text = refused(limit, &module);
        let says = format!("`huge` took more memory than its limit of {shown}: raise max_compile_memory");
        assert!(text.contains(&says), "{text}");
    }
}

#[test]
fn the_command_limits_compiling_by_flags() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("huge.wasm");
    std::fs::write(&path, huge()).expect("written");
    let path = Path::to_str(&path).expect("a name");
    let says = ["took more memory than its limit of 16 MiB", "--max-compile-memory"];
    check(NOTHING, &["map", path, "f", "1", "--max-compile-memory", "16MiB"], "", &says, UNUSABLE);
    let says = ["took longer than its limit of 500ms", "--max-compile-time"];
    check(NOTHING, &["map", path, "f", "1", "--max-compile-time", "500ms"], "", &says, UNUSABLE);
}

#[test]
#[ignore = "a measurement: run it alone, with --release and --nocapture"]
fn how_long_confinement_takes() {
    use std::io::Write;
    let mut times: Vec<u64> = (0..50).filter_map(|_| doctor(NOTHING).0["confinement_us"].as_u64()).collect();
    times.sort_unstable();
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    let said =
        writeln!(std::io::stderr(), "confinement: {least} us at least, {median} median, {most} at most");
    said.expect("a reader");
}

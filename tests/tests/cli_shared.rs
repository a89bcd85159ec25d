//! Shared objects on the command line: what flags declare, tasks change, and `--print` shows at the end.

use std::io::Write as _;

use rustix::process::Signal;
use wasmpool_tests::cli::{Wasmpool, check, check_prints, check_refuses};
use wasmpool_tests::groups::MemoryGroup;

/// `map tasks.wasm cube 0..2` and these flags.
fn cubes<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&["map", "tasks.wasm", "cube", "0..2"], flags].concat()
}

/// Flags and the end of the error.
type Mistake<'a> = (&'a [&'a str], &'a str);

fn check_mistakes(flag: &str, value_name: &str, mistakes: &[(&str, &str)]) {
    for (value, reason) in mistakes {
        let line = format!("invalid value '{value}' for '{flag} <{value_name}>': {reason}");
        check_refuses(&cubes(&[flag, value]), "", &line, 2);
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let types = "give one of bool, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64";
    let name = "a name is 1 to 128 ASCII letters, digits, `_`, `-` and `.`";
    let whole = "give NAME=TYPE or NAME=TYPE:INITIAL, such as counter=i32:0";
    check_mistakes(
        "--value",
        "NAME=TYPE[:INITIAL]",
        &[
            ("counter", whole),
            ("counter=int:0", &format!("`int` is no type of numbers; {types}")),
            ("counter=u8:256", "256 is out of range for u8 (0..=255)"),
            ("counter=i32:0.5", "`0.5` is no integer; expected i32 (-2147483648..=2147483647)"),
            ("counter=bool:1", "`1` is no bool; give true or false"),
            ("counter=f64:one", "`one` is no number; expected f64, or NaN, Infinity, -Infinity"),
            ("a/b=i32:0", name),
        ],
    );
    let whole = "give NAME=TYPE:LENGTH or NAME=TYPE:[NUMBER,...], such as grid=f64:1000";
    check_mistakes(
        "--array",
        "NAME=TYPE:LENGTH",
        &[
            ("grid", whole),
            ("grid=f64", &format!("the length is missing; {whole}")),
            ("grid=double:3", &format!("`double` is no type of numbers; {types}")),
            ("grid=f64:0", "0 elements: choose between 1 and 8589934592"),
            ("grid=f64:8589934593", "8589934593 elements: choose between 1 and 8589934592"),
            ("grid=u8:[1,256]", "element 2: 256 is out of range for u8 (0..=255)"),
            (
                "grid=f64:-1",
                "`-1` is neither a length nor a list; give a number such as 1000, or [NUMBER,...]",
            ),
        ],
    );
}

#[test]
fn counts_that_cannot_be_are_refused() {
    for (flag, value_name, wrong, expected) in [
        (
            "--semaphore",
            "NAME=PERMITS",
            &["s", "s=-1", "s=2147483648"][..],
            "a number of permits from 0 to 2147483647, such as s=3",
        ),
        (
            "--bounded-semaphore",
            "NAME=PERMITS",
            &["s", "s=x"],
            "a number of permits from 0 to 2147483647, such as s=3",
        ),
        (
            "--barrier",
            "NAME=PARTIES",
            &["b", "b=0", "b=1024"],
            "a number of parties from 1 to 1023, such as b=4",
        ),
        (
            "--queue",
            "NAME=CAPACITY",
            &["q", "q=0", "q=16777217"],
            "a capacity from 1 to 16777216, such as jobs=64",
        ),
        (
            "--joinable-queue",
            "NAME=CAPACITY",
            &["q", "q=0"],
            "a capacity from 1 to 16777216, such as jobs=64",
        ),
        (
            "--list",
            "NAME[=RECORDS]",
            &["l=", "l=0"],
            "a number of records from 1 to 16777216, such as seen=1000",
        ),
        (
            "--dict",
            "NAME[=RECORDS]",
            &["d=16777217"],
            "a number of records from 1 to 16777216, such as seen=1000",
        ),
    ] {
        for value in wrong {
            check_mistakes(flag, value_name, &[(value, &format!("give NAME and {expected}"))]);
        }
    }
}

#[test]
fn names_that_cannot_be_are_refused() {
    let reason = "a name is 1 to 128 ASCII letters, digits, `_`, `-` and `.`";
    for flag in ["--lock", "--rlock", "--condition", "--event", "--pipe", "--namespace", "--print"] {
        check_mistakes(flag, "NAME", &[("", reason), ("l=1", reason), ("größe", reason)]);
    }
}

#[test]
fn what_flags_mean_together_is_checked() {
    let mistakes: &[Mistake<'_>] = &[
        (
            &["--lock", "l", "--lock", "l"],
            "the name l is given by --lock twice; each shared object needs its own",
        ),
        (
            &["--dict", "x", "--value", "x=i32"],
            "the name x is given by --value and --dict; each shared object needs its own",
        ),
        (
            &["--print", "counter"],
            "--print counter: no shared object is declared; add a flag such as --value counter=i32:0",
        ),
        (
            &["--print", "conter", "--value", "counter=i32", "--lock", "l"],
            "--print conter: no shared object has this name; those declared: counter, l",
        ),
        (&["--pipe", "p", "--print", "p"], "--print p: a pipe has two ends; print p.0 or p.1"),
        (
            &["--lock", "l", "--print", "l", "--print", "l"],
            "--print l is given twice; leave one of them away",
        ),
    ];
    for (flags, line) in mistakes {
        check_refuses(&cubes(flags), "", line, 2);
    }
}

#[test]
fn an_array_beyond_this_machines_memory_is_a_set_up_error() {
    let line = "no memory for shared array `grid`: it takes … bytes, and … are available";
    check_refuses(&cubes(&["--array", "grid=f64:8589934592"]), "", line, 96);
}

#[test]
fn an_array_beyond_the_memory_of_its_control_group_is_a_set_up_error() {
    let Ok(group) = MemoryGroup::with_limit(512 << 20) else {
        // Making groups takes root, or a delegated group, and a system that has them.
        return;
    };
    let reserve = |bytes: &str| {
        let command = Wasmpool::new(cubes(&["--array", &format!("grid=u8:{bytes}"), "-j", "1"]));
        command.in_group(&group).run("")
    };
    reserve("268435456").check("0\n1\n", "", 0);
    let line = "wasmpool: no memory for shared array `grid`: it takes … bytes, and … are available\n";
    reserve("1073741824").check("", line, 96);
    // Once more: what was refused took nothing.
    reserve("268435456").check("0\n1\n", "", 0);
}

#[test]
fn every_verb_that_makes_calls_takes_them() {
    check_prints(&cubes(&["--value", "counter=i32:5", "--print", "counter"]), "", "0\n1\ncounter = 5\n");
    check_prints(
        &["starmap", "tasks.wasm", "add", "[1, 2]", "--event", "e", "--print", "e"],
        "",
        "3\ne = false\n",
    );
    check_prints(
        &["apply", "tasks.wasm", "add", "1", "2", "--lock=l", "--print=l"],
        "",
        "3\nl = {\"held\":false}\n",
    );
    check_prints(
        &["map", "tasks.wasm", "cube", "--lock", "-5", "--print", "-5"],
        "2\n",
        "8\n-5 = {\"held\":false}\n",
    );
}

#[test]
fn fresh_objects_of_every_kind_can_be_printed() {
    for (flags, state) in [
        (["--value", "x=bool:true"], "true"),
        (["--value", "x=u64:18446744073709551615"], "18446744073709551615"),
        (["--value", "x=i64:-9223372036854775808"], "-9223372036854775808"),
        (["--value", "x=f32:0.1"], "0.1"),
        (["--value", "x=f64:NaN"], "\"NaN\""),
        (["--array", "x=i16:3"], "[0,0,0]"),
        (["--array", "x=f64:[1,2.5,\"Infinity\"]"], "[1.0,2.5,\"Infinity\"]"),
        (["--lock", "x"], "{\"held\":false}"),
        (["--rlock", "x"], "{\"held\":false}"),
        (["--semaphore", "x=3"], "3"),
        (["--bounded-semaphore", "x=0"], "0"),
        (["--condition", "x"], "null"),
        (["--event", "x"], "false"),
        (["--barrier", "x=4"], "{\"parties\":4,\"waiting\":0,\"broken\":false}"),
        (["--list", "x"], "[]"),
        (["--dict", "x=10"], "{}"),
        (["--namespace", "x"], "{}"),
        (["--queue", "x=64"], "[]"),
        (["--joinable-queue", "x=1"], "[]"),
    ] {
        let [flag, declaration] = flags;
        let arguments = ["apply", "numbers.wat", "seven", flag, declaration, "--print", "x"];
        check_prints(&arguments, "", &format!("7\nx = {state}\n"));
    }
    let arguments = ["apply", "numbers.wat", "seven", "--pipe", "p", "--print", "p.1", "--print", "p.0"];
    check_prints(&arguments, "", "7\np.1 = []\np.0 = []\n");
}

#[test]
fn states_come_last_in_the_order_of_the_flags_whatever_the_format() {
    let flags = ["--print", "b", "--print", "a", "--value", "a=i32:1", "--event", "b"];
    let formatted = |format| [&cubes(&flags)[..], &["--format", format]].concat();
    check_prints(&cubes(&flags), "", "0\n1\nb = false\na = 1\n");
    check_prints(&formatted("array"), "", "[0,1]\nb = false\na = 1\n");
    let ended = Wasmpool::new(formatted("records")).run("");
    assert_eq!(ended.code(), 0, "{}", ended.transcript());
    let states = [r#"{"name":"b","kind":"event","state":false}"#, r#"{"name":"a","kind":"value","state":1}"#];
    assert_eq!(ended.lines()[2..], states, "{}", ended.transcript());
}

#[test]
fn a_task_without_a_result_prints_the_states_alone() {
    let arguments = ["map", "numbers.wat", "consumes", "1", "2", "--value", "c=u8:3", "--print", "c"];
    check_prints(&arguments, "", "c = 3\n");
}

#[test]
fn states_are_printed_also_when_calls_failed() {
    let flags = ["--value", "c=i32:1", "--print", "c"];
    let failing = ["starmap", "tasks.wasm", "panics_on", "[1,2]", "[2,2]", "[3,2]"];
    check(&[&failing[..], &flags].concat(), "", "1\nc = 1\n", "…call 1 panicked …\n…\n", 100);
    let all = [&failing[..], &["--on-error", "continue"], &flags].concat();
    check(&all, "", "1\nnull\n3\nc = 1\n", "…call 1 panicked …\n…\n", 100);
    // An input that is none, behind one that was called.
    check(&[&["map", "tasks.wasm", "cube"][..], &flags].concat(), "2\n[\n", "8\nc = 1\n", "wasmpool: …\n", 2);
}

#[test]
fn states_are_printed_after_the_deadline() {
    let arguments = [
        "apply",
        "tasks.wasm",
        "hold_lock_and_spin",
        "--deadline",
        "1s",
        "--lock",
        "lock",
        "--print",
        "lock",
    ];
    check(&arguments, "", "lock = {\"held\":false}\n", "wasmpool: the job's deadline passed; …\n", 124);
}

#[test]
fn states_are_printed_after_an_interrupt() {
    for signal in [Signal::INT, Signal::TERM] {
        let flags = ["--value", "counter=i32:0", "--print", "counter", "-j", "1"];
        let mut running = Wasmpool::new([&["starmap", "tasks.wasm", "add_to"], &flags[..]].concat()).start();
        let mut stdin = running.take_stdin();
        for number in 1..=3 {
            writeln!(stdin, "[{{\"wasmpool:shared\": \"counter\"}}, {number}]").expect("somebody reads");
        }
        let lines: Vec<String> = (0..3).filter_map(|_| running.line()).collect();
        assert_eq!(lines, ["0", "1", "3"]);
        // It waits for more inputs now.
        running.process().signal(signal);
        running.end().check("counter = 6\n", "", 130);
        drop(stdin);
    }
}

#[test]
fn a_reader_that_has_gone_misses_the_states_quietly() {
    let mut running =
        Wasmpool::new(["map", "tasks.wasm", "cube", "--array", "a=i64:1000000", "--print", "a"]).start();
    running.write("1\n");
    assert_eq!(running.line().as_deref(), Some("1"));
    running.close_stdout();
    running.end().check("", "", 0);
}

#[test]
fn a_full_disk_under_the_states_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let arguments = ["map", "numbers.wat", "consumes", "1", "--value", "c=u8:3", "--print", "c"];
    let ended = Wasmpool::new(arguments).stdout(full).run("");
    ended.check("", "wasmpool: stdout cannot be written: No space left on device (os error 28)\n", 1);
}

#[test]
fn calls_count_together() {
    let arguments =
        ["map", "tasks.wasm", "count_process", "0..4", "--value", "counter=i32:0", "--print", "counter"];
    check_prints(&arguments, "", "counter = 4\n");
    for workers in ["1", "2", "4"] {
        let arguments = [
            "map",
            "tasks.wasm",
            "count_process",
            "0..1000",
            "-j",
            workers,
            "--value",
            "counter=i32:-1000",
            "--print",
            "counter",
        ];
        check_prints(&arguments, "", "counter = 0\n");
    }
}

#[test]
fn lists_keep_what_calls_append() {
    let arguments =
        ["map", "tasks.wasm", "append_to_log", "a", "b \"c\"", "-j1", "--list", "log", "--print", "log"];
    check_prints(&arguments, "", "0\n1\nlog = [\"a\",\"b \\\"c\\\"\"]\n");
}

#[test]
fn queues_show_what_nobody_took() {
    let arguments = ["apply", "tasks.wasm", "put_numbers", "7", "3", "--queue", "jobs=64", "--print", "jobs"];
    check_prints(&arguments, "", "jobs = [7,8,9]\n");
}

#[test]
fn pipe_ends_show_what_nobody_received() {
    let script = r#"[["pipe", "p.0", "send", [1, 2]], ["pipe", "p.0", "send", "x"]]"#;
    let arguments =
        ["map", "tasks.wasm", "shared_ops", script, "--pipe", "p", "--print", "p.1", "--print", "p.0"];
    let ended = Wasmpool::new(arguments).run("");
    assert_eq!(ended.lines()[1..], ["p.1 = [[1,2],\"x\"]", "p.0 = []"], "{}", ended.transcript());
}

#[test]
fn what_a_failed_call_held_is_free_at_the_end() {
    let arguments = ["apply", "tasks.wasm", "hold_lock_and_trap", "--lock", "lock", "--print", "lock"];
    check(&arguments, "", "lock = {\"held\":false}\n", "…\n", 100);
}

#[test]
fn an_object_that_is_not_granted_is_named() {
    let refused = Wasmpool::new(["map", "tasks.wasm", "count_process", "0..4", "--lock", "other"]).run("");
    assert_eq!(refused.code(), 100, "{}", refused.transcript());
    assert!(refused.stderr.contains("counter"), "{}", refused.transcript());
}

//! Initializers, snapshots and recycling from the command line.

use wasmpool_tests::cli::{check, check_prints, check_refuses};

wasmpool::test_support!();

const MODULE: &str = "initialized.wat";

#[test]
fn an_initializer_runs_before_the_calls() {
    check(
        &["map", MODULE, "times", "2", "3", "--initializer", "set=1.5", "-j1"],
        "",
        "3.0\n4.5\n",
        "start\ninit\n",
        0,
    );
    check(&["apply", MODULE, "times", "2", "--initializer", "set=[4]"], "", "8.0\n", "start\ninit\n", 0);
    check(
        &["starmap", MODULE, "times", "[2]", "[3]", "--fresh", "-j1", "--initializer", "set=1"],
        "",
        "2.0\n3.0\n",
        "start\ninit\nstart\ninit\n",
        0,
    );
}

#[test]
fn a_snapshot_has_it_run_once() {
    let common = ["map", MODULE, "times", "0..50", "--fresh", "--snapshot", "--initializer", "set=2"];
    let doubled: String = (0..50).map(|n| format!("{}\n", n * 2)).collect();
    // Floats are printed as such.
    let doubled = doubled.replace('\n', ".0\n");
    check(&common, "", &doubled, "start\ninit\n", 0);
}

#[test]
fn sdk_tasks_are_initialized_with_arguments_of_any_spelling() {
    for arguments in ["prepare_primes=30", "prepare_primes=[30]", r#"prepare_primes={"limit": 30}"#] {
        let line = ["apply", "tasks.wasm", "is_prime", "29", "--snapshot", "--initializer", arguments];
        check(&line, "", "true\n", "found the primes up to 30\n", 0);
    }
}

#[test]
fn instances_are_recycled_after_so_many_calls() {
    let line = ["map", "tasks.wasm", "remembers", "1", "2", "3", "4", "5", "-j1", "--recycle", "2"];
    check_prints(&line, "", "0\n1\n0\n3\n0\n");
}

#[test]
fn a_failing_initializer_is_one_line() {
    for policy in ["stop", "continue"] {
        for snapshot in [&[][..], &["--snapshot"]] {
            let mut line = vec![
                "map",
                "tasks.wasm",
                "cube",
                "0..1000",
                "--on-error",
                policy,
                "--initializer",
                "fails=no words",
            ];
            line.extend(snapshot);
            check(&line, "", "", "wasmpool: initializer `fails` failed: no words\n", 96);
        }
    }
    let line = ["map", MODULE, "times", "1", "--initializer", "trap", "-j1"];
    check(&line, "", "", "start\ninit\nwasmpool: initializer `trap` trapped: …\n…\n", 96);
    let line = ["map", MODULE, "times", "1", "--initializer", "spin", "-j1", "--timeout", "200ms"];
    let said = "start\ninit\nwasmpool: initializer `spin` timed out: ran longer than its limit of 200ms and was stopped\n";
    check(&line, "", "", said, 96);
}

#[test]
fn a_module_without_a_snapshot_says_why() {
    let line = ["map", "tables.wat", "get", "1", "2", "-j1", "--snapshot", "--initializer", "set=5"];
    let said = "wasmpool: no snapshot can be taken: unsupported `table.set` instruction; the initializer runs in every instance\n";
    check(&line, "", "5\n5\n", said, 0);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let of = |flags: &[&'static str]| {
        let mut line = vec!["map", "tasks.wasm", "cube", "1"];
        line.extend(flags);
        line
    };
    check_refuses(
        &of(&["--initializer", "prepare_primes"]),
        "",
        "--initializer prepare_primes: 0 arguments given, task `prepare_primes` takes 1 (limit: u32)",
        2,
    );
    check_refuses(
        &of(&["--initializer", "prepare_primes=[1, 2]"]),
        "",
        "--initializer prepare_primes: 2 arguments given, task `prepare_primes` takes 1 (limit: u32)",
        2,
    );
    check_refuses(
        &of(&["--initializer", "cubes=1"]),
        "",
        "module `tasks.wasm` has no task `cubes`; did you mean `cube`…",
        2,
    );
    check_refuses(
        &of(&["--initializer", "prepare_primes=many"]),
        "",
        "--initializer prepare_primes: not JSON: …",
        2,
    );
    check_refuses(
        &["map", MODULE, "times", "1", "--initializer", r#"set="x""#],
        "",
        "--initializer set: argument 1 (`value`): \"x\" is no number…",
        2,
    );
    check_refuses(&of(&["--initializer", "=1"]), "", "invalid value…the task's name is missing…", 2);
    check_refuses(
        &of(&["--snapshot"]),
        "",
        "--snapshot begins all instances where an initializer ended, and none is given; add --initializer TASK",
        2,
    );
    check_refuses(
        &of(&["--recycle", "0"]),
        "",
        "invalid value '0' for '--recycle <N>'…from 1 to 4294967295…",
        2,
    );
    check_refuses(
        &of(&["--recycle", "2", "--fresh"]),
        "",
        "--recycle keeps an instance for some calls, but --fresh gives each call its own; leave one of them away",
        2,
    );
}

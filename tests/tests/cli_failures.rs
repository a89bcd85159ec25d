//! Calls that do not return: what stdout, stderr and the exit code say about them.

use serde_json::{Value, json};
use wasmpool_tests::cli::{Wasmpool, check, check_prints};

/// Inputs of tasks that fail on an unlucky number, the second of three.
const UNLUCKY: [&str; 3] = ["[1, 2]", "[2, 2]", "[3, 2]"];

fn starmap<'a>(task: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [&["starmap", "tasks.wasm", task], &UNLUCKY[..], flags].concat()
}

/// Every way to fail on the unlucky number, and what stderr says then.
const WAYS: [(&str, &[&str], &str); 4] = [
    ("fails_on", &[], "failed: 2 is unlucky"),
    ("panics_on", &[], "panicked at …this number is unlucky…"),
    ("traps_on", &[], "trapped: …unreachable…"),
    ("spins_on", &["--timeout", "300ms"], "timed out: ran longer than its limit of 300ms and was stopped"),
];

#[test]
fn a_failure_stops_the_rest_and_is_told_with_its_index_and_kind() {
    for (task, flags, reason) in WAYS {
        check(&starmap(task, flags), "", "1\n", &format!("wasmpool: call 1 {reason}\n…"), 100);
    }
}

#[test]
fn under_continue_a_failed_calls_line_is_null() {
    for (task, flags, reason) in WAYS {
        let flags = [&["--on-error", "continue"], flags].concat();
        check(&starmap(task, &flags), "", "1\nnull\n3\n", &format!("wasmpool: call 1 {reason}\n…"), 100);
    }
}

#[test]
fn an_array_stays_valid_json_whatever_fails() {
    check(&starmap("fails_on", &["--format", "array"]), "", "[1]\n", "…", 100);
    check(
        &starmap("fails_on", &["--format", "array", "--on-error", "continue"]),
        "",
        "[1,null,3]\n",
        "…",
        100,
    );
    check(&["starmap", "tasks.wasm", "fails_on", "[1, 1]", "--format", "array"], "", "[]\n", "…", 100);
}

#[test]
fn the_failure_that_stops_a_job_has_its_record_too() {
    let ended = Wasmpool::new(starmap("fails_on", &["--format", "records"])).run("");
    let lines = ended.lines();
    assert_eq!((ended.code(), lines.len()), (100, 2), "{}", ended.transcript());
    assert!(lines[1].contains(r#""index":1,"outcome":"failed""#), "{}", lines[1]);
}

#[test]
fn records_keep_value_and_error_together() {
    for (task, flags, _) in WAYS {
        let flags = [&["--on-error", "continue", "--format", "records", "-j", "2"], flags].concat();
        let ended = Wasmpool::new(starmap(task, &flags)).run("");
        assert_eq!(ended.code(), 100, "{}", ended.transcript());
        let records: Vec<Value> = ended
            .lines()
            .iter()
            .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
            .collect();
        let kind = match task {
            "fails_on" => "failed",
            "panics_on" => "panicked",
            "traps_on" => "trapped",
            _ => "timed out",
        };
        let outcomes: Vec<&Value> = records.iter().map(|record| &record["outcome"]).collect();
        assert_eq!(outcomes, ["returned", kind, "returned"]);
        assert_eq!((&records[0]["value"], &records[2]["value"]), (&json!(1), &json!(3)));
        assert_eq!((&records[1]["index"], &records[1]["attempt"]), (&json!(1), &json!(1)));
        assert_eq!(records[1]["error"]["kind"], kind);
        assert!(records[1]["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(records[1].get("value").is_none(), "{}", records[1]);
    }
}

#[test]
fn the_lowest_failing_index_is_reported_whenever_it_ends() {
    // The higher one fails at once, the lower one after half a second.
    let spins =
        ["starmap", "tasks.wasm", "spins_on", "[1, 1]", "[\"x\", 2]", "--timeout", "500ms", "-j", "2"];
    check(&spins, "", "", "wasmpool: call 0 timed out: …\n", 100);
}

#[test]
fn every_other_ending_has_its_kind_and_message() {
    for (arguments, reason) in [
        (&["exits", "3"][..], "exited with code 3"),
        (&["exits", "0"], "exited with code 0"),
        (&["divides", "1", "0"], "panicked at …attempt to divide by zero…"),
        (&["overflows_stack", "10000000"], "trapped: …"),
        (&["eats_memory", "1000000", "1000000000"], "out of memory: …"),
        (&["eats_memory", "1000000", "10000000", "--max-memory", "4MiB"], "out of memory: …"),
        (&["prints", "1000", "--max-output", "100"], "output too large: … (at most 100 bytes a call)"),
    ] {
        let arguments = [&["apply", "tasks.wasm"], arguments].concat();
        check(&arguments, "", "", &format!("…\nwasmpool: call 0 {reason}\n…"), 100);
    }
    check(
        &["apply", "numbers.wat", "divides", "1", "0"],
        "",
        "",
        "wasmpool: call 0 trapped: …divide by zero…\n…",
        100,
    );
    check(
        &["apply", "numbers.wat", "divides", "-2147483648", "-1"],
        "",
        "",
        "wasmpool: call 0 trapped: …overflow…\n…",
        100,
    );
}

#[test]
fn limits_let_moderate_calls_pass() {
    check_prints(
        &["apply", "tasks.wasm", "eats_memory", "1000000", "10000000", "--max-memory", "64MiB"],
        "",
        "10000000\n",
    );
    check(
        &["apply", "tasks.wasm", "prints", "3", "--max-output", "21"],
        "",
        "",
        "line 1\nline 2\nline 3\n",
        0,
    );
    check_prints(&["apply", "tasks.wasm", "cube", "3", "--timeout", "1h", "--deadline", "1h"], "", "27\n");
}

#[test]
fn a_message_cannot_control_the_terminal() {
    let message = "a\u{1b}[2Jb\nwasmpool: all is well";
    check(
        &["apply", "tasks.wasm", "fails", message],
        "",
        "",
        "wasmpool: call 0 failed: a\\u{1b}[2Jb\\nwasmpool: all is well\n",
        100,
    );
}

#[test]
fn values_of_the_wrong_type_fail_their_own_call_only() {
    for (task, bad, reason) in [
        (["tasks.wasm", "cube"], "1.5", "refused: argument 1 (`number`): 1.5 is no integer, expected i64"),
        (
            ["tasks.wasm", "cube"],
            "\"x\"",
            "refused: argument 1 (`number`): \"x\" is no integer, expected i64",
        ),
        (["tasks.wasm", "cube"], "null", "refused: argument 1 (`number`): null is no integer, expected i64"),
        (
            ["tasks.wasm", "cube"],
            "9223372036854775808",
            "refused: argument 1 (`number`): 9223372036854775808 is out of range for i64 (-9223372036854775808..=9223372036854775807)",
        ),
        (
            ["numbers.wat", "identity32"],
            "4294967295",
            "refused: argument 1…: 4294967295 is out of range for i32 (-2147483648..=2147483647)",
        ),
        (["numbers.wat", "float64"], "1e999", "refused: argument 1…: 1e999 is out of range for f64"),
        (
            ["numbers.wat", "float64"],
            "\"nan\"",
            "refused: argument 1…: \"nan\" is no number, expected f64 or \"NaN\", \"Infinity\", \"-Infinity\"",
        ),
        (["tasks.wasm", "mean"], "7", "refused: …"),
        (["tasks.wasm", "mean"], "[1, \"two\"]", "refused: …"),
        (["tasks.wasm", "bill"], "{\"id\": 1}", "refused: …missing field `customer`…"),
        (["tasks.wasm", "big_result"], "-1", "refused: …"),
    ] {
        let line = format!("wasmpool: call 1 {reason}\n");
        let good = if task[1] == "mean" {
            "[1]"
        } else if task[1] == "big_result" {
            "0"
        } else {
            "1"
        };
        if task[1] == "bill" {
            let order = r#"{"id":1,"customer":"","article":"","count":0,"cents_each":0,"express":false}"#;
            let arguments = ["map", task[0], task[1], order, bad, order, "--on-error", "continue", "--raw"];
            let ended = Wasmpool::new(arguments).run("");
            let receipt = ended.lines()[0].to_owned();
            ended.check(&format!("{receipt}\nnull\n{receipt}\n"), &line, 100);
            continue;
        }
        let stdin = format!("{good}\n{bad}\n{good}\n");
        let ended = Wasmpool::new(["map", task[0], task[1], "--on-error", "continue"]).run(&stdin);
        let result = ended.lines()[0].to_owned();
        assert_ne!(result, "null");
        ended.check(&format!("{result}\nnull\n{result}\n"), &line, 100);
    }
}

#[test]
fn a_result_beyond_the_limits_fails_its_call() {
    check(
        &["map", "tasks.wasm", "big_result", "1", "70000000", "--max-memory", "1GiB"],
        "",
        "\"x\"\n",
        "wasmpool: call 1 result too large: …\n…",
        100,
    );
    check(
        &["map", "tasks.wasm", "deep_result", "2", "129", "--on-error", "continue"],
        "",
        "[[]]\nnull\n",
        "wasmpool: call 1 …deep…\n…",
        100,
    );
    let deepest = format!("{}{}\n", "[".repeat(128), "]".repeat(128));
    check_prints(&["map", "tasks.wasm", "deep_result", "128"], "", &deepest);
}

#[test]
fn an_input_as_deep_as_the_limit_reaches_its_task() {
    let deepest = format!("{}{}\n", "[".repeat(128), "]".repeat(128));
    check_prints(&["map", "tasks.wasm", "echo_nested"], &deepest, &deepest);
}

#[test]
fn retries_are_counted_in_the_attempt() {
    let attempt = |retries: &str, task: &str| {
        let arguments =
            ["starmap", "tasks.wasm", task, "[2, 2]", "--retries", retries, "--on-error", "continue"];
        let ended = Wasmpool::new([&arguments[..], &["--format", "records"]].concat()).run("");
        assert_eq!(ended.code(), 100);
        let record: Value = serde_json::from_slice(&ended.stdout).expect("one record");
        record["attempt"].as_u64().expect("a number")
    };
    for task in ["fails_on", "panics_on", "traps_on"] {
        assert_eq!((attempt("0", task), attempt("3", task)), (1, 4), "{task}");
    }
}

#[test]
fn a_refused_input_is_not_tried_again() {
    let arguments = [
        "map",
        "tasks.wasm",
        "cube",
        "true",
        "--retries",
        "3",
        "--on-error",
        "continue",
        "--format",
        "records",
    ];
    let ended = Wasmpool::new(arguments).run("");
    let record: Value = serde_json::from_slice(&ended.stdout).expect("one record");
    assert_eq!((&record["outcome"], &record["attempt"]), (&json!("refused"), &json!(1)));
}

#[test]
fn after_a_failure_the_instance_is_a_new_one() {
    let inputs =
        ["map", "state.wat", "counts_or_traps", "0", "0", "1", "0", "-j", "1", "--on-error", "continue"];
    check(&inputs, "", "1\n2\nnull\n1\n", "wasmpool: call 2 trapped: …\n…", 100);
}

#[test]
fn the_deadline_ends_the_job_with_its_own_code() {
    let line = "wasmpool: the job's deadline passed; calls that had not ended were stopped\n";
    check(&starmap("spins_on", &["--deadline", "500ms"]), "", "1\n", line, 124);
    check(&starmap("spins_on", &["--deadline", "500ms", "--format", "array"]), "", "[1]\n", line, 124);
}

#[test]
fn the_deadline_ends_a_command_whose_stdin_stays_open() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "--deadline", "500ms"]).start();
    let stdin = running.take_stdin();
    running.end().check(
        "",
        "wasmpool: the job's deadline passed; calls that had not ended were stopped\n",
        124,
    );
    drop(stdin);
}

#[test]
fn the_deadline_ends_a_command_whose_output_nobody_reads() {
    let running =
        Wasmpool::new(["map", "tasks.wasm", "cube", "0..100000000000", "--deadline", "500ms"]).start();
    // Not a byte is read before it has ended.
    running.process().wait();
    assert_eq!(running.end().code(), 124);
}

#[test]
fn many_failures_are_all_told() {
    let inputs: String = (0..1000).map(|number| format!("[{number}, {number}]\n")).collect();
    let ended = Wasmpool::new(["starmap", "tasks.wasm", "traps_on", "--on-error", "continue"]).run(&inputs);
    assert_eq!((ended.code(), ended.stdout.as_slice()), (100, "null\n".repeat(1000).as_bytes()));
    let mut told: Vec<u64> = ended
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("wasmpool: call ")?.split(' ').next()?.parse().ok())
        .collect();
    told.sort_unstable();
    assert!(told.iter().copied().eq(0..1000), "{} calls are told of", told.len());
}

#[test]
fn stopping_at_a_failure_never_breaks_the_command() {
    // Workers are in the middle of handing results over when the failure ends the job.
    for _ in 0..100 {
        check(&starmap("traps_on", &["-j", "2"]), "", "1\n", "wasmpool: call 1 trapped: …\n…", 100);
    }
}

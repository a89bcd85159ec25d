//! What comes out when all goes well: values, formats, orders and inputs of every spelling.

use std::collections::BTreeSet;

use serde_json::Value;
use wasmpool_tests::cli::{Wasmpool, check_prints, check_refuses};

const CUBES: &str = "0\n1\n8\n27\n64\n125\n216\n343\n512\n729\n";

#[test]
fn map_prints_one_result_a_line_in_input_order() {
    check_prints(&["map", "tasks.wasm", "cube", "0..10"], "", CUBES);
    for workers in ["1", "2", "7", "auto"] {
        check_prints(&["map", "-j", workers, "tasks.wasm", "cube", "0..10"], "", CUBES);
    }
    // Flags may stand anywhere.
    check_prints(&["map", "tasks.wasm", "cube", "0..10", "--workers=3", "--fresh"], "", CUBES);
}

#[test]
fn a_short_job_ends_well_every_time() {
    // Its last result is printed while the command ends.
    for _ in 0..300 {
        check_prints(&["map", "tasks.wasm", "cube", "0..3"], "", "0\n1\n8\n");
    }
}

#[test]
fn ranges_have_both_spellings_and_both_signs() {
    for (inputs, expected) in [
        (&["0..=9"][..], CUBES),
        (&["0..5", "5..10"], CUBES),
        (&["-2..2"], "-8\n-1\n0\n1\n"),
        (&["-2..=-1", "7", "3..=3"], "-8\n-1\n343\n27\n"),
        (&["5..5"], ""),
        (&["5..0"], ""),
        (&["9223372036854775807..=9223372036854775807"], "9223372036854775807\n"),
    ] {
        let task =
            if inputs[0].starts_with('9') { ["numbers.wat", "identity64"] } else { ["tasks.wasm", "cube"] };
        check_prints(&[&["map"][..], &task, inputs].concat(), "", expected);
    }
}

#[test]
fn an_empty_range_is_an_empty_output_in_every_format() {
    check_prints(&["map", "tasks.wasm", "cube", "0..0"], "", "");
    check_prints(&["map", "tasks.wasm", "cube", "0..0", "--format", "array"], "", "[]\n");
    check_prints(&["map", "tasks.wasm", "cube", "0..0", "--format", "records"], "", "");
    check_prints(&["map", "tasks.wasm", "cube", "--format", "array"], "", "[]\n");
}

#[test]
fn starmap_takes_arrays_and_objects_of_arguments() {
    check_prints(&["starmap", "tasks.wasm", "add", "[1, 2]", r#"{"b": 2, "a": -5}"#], "", "3\n-3\n");
    check_prints(
        &["starmap", "tasks.wasm", "power"],
        "[2, 10]\n{\"exponent\": -1, \"base\": 2}\n",
        "1024.0\n0.5\n",
    );
    check_prints(&["starmap", "numbers.wat", "swapped", "[1, 2]"], "", "[2,1]\n");
    check_prints(&["starmap", "numbers.wat", "seven", "[]", "[]"], "", "7\n7\n");
}

#[test]
fn apply_makes_one_call() {
    check_prints(&["apply", "tasks.wasm", "add", "1", "-2"], "", "-1\n");
    check_prints(&["apply", "tasks.wasm", "add", r#"{"a": 1, "b": -2}"#], "", "-1\n");
    check_prints(&["apply", "tasks.wasm", "greet", "Ada"], "", "\"Hello, Ada!\"\n");
    check_prints(&["apply", "tasks.wasm", "greet", "Ada", "--raw"], "", "Hello, Ada!\n");
    check_prints(&["apply", "numbers.wat", "seven"], "", "7\n");
}

#[test]
fn objects_bind_a_single_parameter_by_name_too() {
    check_prints(&["map", "tasks.wasm", "cube", r#"{"number": 3}"#], "{\"number\": 4}\n", "27\n");
    check_prints(&["map", "tasks.wasm", "cube"], "{\"number\": 4}\n5\n", "64\n125\n");
}

#[test]
fn words_are_strings_where_the_task_wants_one() {
    check_prints(
        &["map", "tasks.wasm", "echo_text", "Ada", "0..3", "7", "null", r#""quoted""#, r#"{"half": "#, "é"],
        "",
        "\"Ada\"\n\"0..3\"\n\"7\"\n\"null\"\n\"quoted\"\n\"{\\\"half\\\": \"\n\"é\"\n",
    );
    // Only stdin is JSON without exception.
    check_prints(&["map", "tasks.wasm", "echo_text"], "\"a\"\n\n\"b\\n\\u0041\"\r\n", "\"a\"\n\"b\\nA\"\n");
}

#[test]
fn strings_takes_inputs_as_they_stand() {
    let lines = "\"a\"\n\n 7\n\\\n";
    let expected = "\"\\\"a\\\"\"\n\"\"\n\" 7\"\n\"\\\\\"\n";
    check_prints(&["map", "tasks.wasm", "echo_text", "--strings"], lines, expected);
    check_prints(&["map", "tasks.wasm", "echo_text", "--strings", "--raw"], lines, lines);
    check_prints(
        &["map", "tasks.wasm", "echo_text", "--strings", "0..2", "\"a\""],
        "",
        "\"0..2\"\n\"\\\"a\\\"\"\n",
    );
}

#[test]
fn raw_prints_strings_without_quotes_and_all_else_as_json() {
    check_prints(&["map", "tasks.wasm", "first_word", "--raw", "one two", "  "], "", "one\nnull\n");
    check_prints(&["map", "tasks.wasm", "cube", "--raw", "3"], "", "27\n");
    check_prints(&["map", "tasks.wasm", "echo_text", "--raw"], "\"a\\\"b\\\\\\u00e9\"\n", "a\"b\\é\n");
}

#[test]
fn structures_go_in_and_come_out() {
    let circle = r#"{"circle":{"center":{"x":1.0,"y":1.0},"radius":2.0}}"#;
    let moved = r#"{"circle":{"center":{"x":2.0,"y":0.0},"radius":2.0}}"#;
    check_prints(
        &["apply", "tasks.wasm", "moved", circle, r#"{"x": 1, "y": -1}"#],
        "",
        &format!("{moved}\n"),
    );
    check_prints(&["map", "tasks.wasm", "bounding_box", "[]"], "", "null\n");
    check_prints(&["map", "tasks.wasm", "word-count", "the cat the"], "", "{\"cat\":1,\"the\":2}\n");
    let order = r#"{"id":18446744073709551615,"customer":"Ada","article":"screws","count":20,"cents_each":5,"express":true}"#;
    let receipt = r#"{"order":18446744073709551615,"customer":"Ada","text":"20 x screws","cents":100,"shipping_cents":990}"#;
    // One parameter of the task's own type: the object is the argument, not a binding of names.
    check_prints(&["map", "tasks.wasm", "bill", order], "", &format!("{receipt}\n"));
    check_prints(&["map", "tasks.wasm", "bill"], &format!("{order}\n"), &format!("{receipt}\n"));
}

#[test]
fn integers_are_exact() {
    check_prints(
        &["map", "numbers.wat", "identity32", "-2147483648", "2147483647", "-0"],
        "",
        "-2147483648\n2147483647\n0\n",
    );
    let extremes = "-9223372036854775808\n9223372036854775807\n9007199254740993\n";
    check_prints(&["map", "numbers.wat", "identity64"], extremes, extremes);
    check_prints(
        &["map", "tasks.wasm", "echo_numbers", "[-9223372036854775808,9223372036854775807]"],
        "",
        "[-9223372036854775808,9223372036854775807]\n",
    );
    check_prints(
        &["apply", "tasks.wasm", "big_numbers"],
        "",
        "[18446744073709551615,-170141183460469231731687303715884105728]\n",
    );
}

#[test]
fn floats_are_the_shortest_that_read_back_and_json_lacks_three_of_them() {
    let floats =
        "1.0\n-0.0\n0.1\n1e16\n5e-324\n1.7976931348623157e308\n\"NaN\"\n\"Infinity\"\n\"-Infinity\"\n";
    check_prints(&["map", "numbers.wat", "float64"], floats, floats);
    let floats = "1.0\n0.1\n16777216.0\n3.4028235e38\n1e-45\n\"NaN\"\n\"Infinity\"\n\"-Infinity\"\n";
    check_prints(&["map", "numbers.wat", "float32"], floats, floats);
    check_prints(&["map", "numbers.wat", "float64", "-1..2", "3"], "", "-1.0\n0.0\n1.0\n3.0\n");
    check_prints(
        &["apply", "tasks.wasm", "special_floats"],
        "",
        "[\"NaN\",\"Infinity\",\"-Infinity\",0.1]\n",
    );
    check_prints(&["apply", "tasks.wasm", "not_a_number"], "", "\"NaN\"\n");
    check_prints(
        &["map", "tasks.wasm", "echo_floats", r#"["NaN", "-Infinity", 1]"#],
        "",
        "[\"NaN\",\"-Infinity\",1.0]\n",
    );
}

#[test]
fn numeric_tasks_give_arrays_for_several_results_and_no_lines_for_none() {
    let all = "[-1,-9223372036854775808,1.5,\"NaN\"]";
    check_prints(&["starmap", "numbers.wat", "every_type", all], "", &format!("{all}\n"));
    check_prints(&["map", "numbers.wat", "consumes", "0..3"], "", "");
    check_prints(&["map", "numbers.wat", "consumes", "0..3", "--format", "array"], "", "[]\n");
    check_prints(&["apply", "numbers.wat", "nothing"], "", "");
    check_prints(&["map", "tasks.wasm", "sleeps_ms", "0", "1"], "", "");
}

#[test]
fn an_array_is_one_json_value() {
    check_prints(&["map", "tasks.wasm", "cube", "0..4", "--format", "array"], "", "[0,1,8,27]\n");
    check_prints(&["apply", "tasks.wasm", "cube", "3", "--format", "array"], "", "[27]\n");
    let ended = Wasmpool::new(["map", "tasks.wasm", "cube", "0..100000", "--format", "array"]).run("");
    let cubes: Vec<i64> = serde_json::from_slice(&ended.stdout).expect("one JSON array");
    assert!(cubes.iter().copied().eq((0..100_000).map(|number: i64| number.pow(3))));
}

#[test]
fn records_say_everything_about_a_call() {
    let ended =
        Wasmpool::new(["map", "tasks.wasm", "cube", "3..6", "--format", "records", "-j", "2"]).run("");
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""));
    for (index, line) in ended.lines().into_iter().enumerate() {
        let record: Value = serde_json::from_str(line).expect("one JSON object a line");
        let names: BTreeSet<&str> =
            record.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, BTreeSet::from(["attempt", "index", "outcome", "time_us", "value", "worker"]));
        assert_eq!(record["index"], index);
        assert_eq!(record["outcome"], "returned");
        assert_eq!(record["value"], (index + 3).pow(3));
        assert_eq!(record["attempt"], 1);
        assert!(record["worker"].as_u64().is_some_and(|worker| worker < 2), "{line}");
        assert!(record["time_us"].as_f64().is_some_and(|time| time > 0.0), "{line}");
    }
    assert_eq!(ended.lines().len(), 3);
}

#[test]
fn unordered_prints_each_result_once() {
    let ended = Wasmpool::new(["map", "tasks.wasm", "cube", "0..100000", "--unordered", "-j", "4"]).run("");
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""));
    let mut cubes: Vec<i64> = ended.lines().iter().map(|line| line.parse().expect("a number")).collect();
    cubes.sort_unstable();
    assert!(cubes.into_iter().eq((0..100_000).map(|number: i64| number.pow(3))));
}

#[test]
fn unordered_does_not_wait_for_a_slow_call() {
    // The first call never ends; in input order nothing could be printed before it.
    let mut running =
        Wasmpool::new(["starmap", "slow.wat", "spins_on", "[1, 1]", "[2, 1]", "--unordered", "-j", "2"])
            .start();
    assert_eq!(running.line().as_deref(), Some("2"));
}

#[test]
fn fresh_gives_every_call_an_instance_of_its_own() {
    let arguments = ["starmap", "tasks.wasm", "counts_calls", "[]", "[]", "[]", "-j", "1"];
    check_prints(&arguments, "", "1\n2\n3\n");
    check_prints(&[&arguments[..], &["--fresh"]].concat(), "", "1\n1\n1\n");
}

#[test]
fn env_grants_variables_and_nothing_else() {
    let run = |flags: &[&str]| {
        let arguments = [&["map", "tasks.wasm", "environment", "PATH", "GIVEN", "TAKEN"][..], flags].concat();
        Wasmpool::new(arguments).variable("TAKEN", "from here").run("")
    };
    run(&[]).check("null\nnull\nnull\n", "", 0);
    run(&["--env", "GIVEN=a=b", "--env", "TAKEN"]).check("null\n\"a=b\"\n\"from here\"\n", "", 0);
    run(&["--env=GIVEN="]).check("null\n\"\"\nnull\n", "", 0);
}

#[test]
fn inputs_that_are_not_json_are_refused_before_anything_runs() {
    for (arguments, line) in [
        (
            &["map", "tasks.wasm", "cube", "1", "x"][..],
            "input 2: not JSON: expected value at column 1; quote it if a string is meant: '\"x\"'",
        ),
        (&["map", "tasks.wasm", "cube", "[1,]"], "input 1: not JSON: expected value at column 4"),
        (
            &["map", "tasks.wasm", "cube", "1", "{\"a\":\n1"],
            "input 2: not JSON: the value does not end at line 2, column 1",
        ),
        (&["map", "tasks.wasm", "cube", "1..2..3"], "input 1: not JSON: …; write ranges as 0..10 or 0..=9"),
        (&["map", "tasks.wasm", "cube", "0..x"], "input 1: not JSON: …"),
        (
            &["apply", "tasks.wasm", "add", "1", "two"],
            "argument 2: not JSON: expected ident at column 2; quote it if a string is meant: '\"two\"'",
        ),
        (
            &["apply", "tasks.wasm", "cube", "0..3"],
            "argument 1: range 0..3 stands for many inputs, apply makes one call; use map",
        ),
        (
            &["starmap", "tasks.wasm", "add", "0..3"],
            "input 1: range 0..3 gives single integers, starmap takes arrays of arguments; use map",
        ),
        (
            &["starmap", "tasks.wasm", "add", "1"],
            "input 1: starmap takes arrays of arguments, not 1; write [1], or use map",
        ),
        (
            &["map", "numbers.wat", "identity32", "0..3000000000"],
            "input 1: range 0..3000000000 is out of range for i32 (-2147483648..=2147483647)",
        ),
        (
            &["map", "tasks.wasm", "cube", "0..99999999999999999999"],
            "input 1: 99999999999999999999 is out of range; ranges run within -9223372036854775808..=9223372036854775807",
        ),
    ] {
        check_refuses(arguments, "", line, 2);
    }
}

#[test]
fn the_wrong_number_or_names_of_arguments_are_refused_before_anything_runs() {
    for (arguments, line) in [
        (
            &["map", "tasks.wasm", "add", "1"][..],
            "map gives each call one argument, but task `add` takes 2 (a: i64, b: i64); use starmap with arrays of arguments",
        ),
        (
            &["map", "tasks.wasm", "add"],
            "map gives each call one argument, but task `add` takes 2 (a: i64, b: i64); use starmap with arrays of arguments",
        ),
        (
            &["map", "numbers.wat", "seven", "1"],
            "map gives each call one argument, but task `seven` takes 0 (); use apply",
        ),
        (&["apply", "tasks.wasm", "add", "1"], "1 argument given, task `add` takes 2 (a: i64, b: i64)"),
        (&["apply", "tasks.wasm", "cube", "1", "2"], "2 arguments given, task `cube` takes 1 (number: i64)"),
        (&["apply", "numbers.wat", "seven", "1"], "1 argument given, task `seven` takes none"),
        (
            &["starmap", "tasks.wasm", "add", "[1, 2]", "[1, 2, 3]"],
            "input 2: 3 arguments given, task `add` takes 2 (a: i64, b: i64)",
        ),
        (
            &["starmap", "tasks.wasm", "add", r#"{"a": 1}"#],
            "input 1: `b` missing, task `add` takes (a: i64, b: i64)",
        ),
        (
            &["starmap", "tasks.wasm", "power", r#"{"base": 1, "exponnt": 2}"#],
            "input 1: no parameter is called `exponnt`, task `power` takes (base: f64, exponent: i32); did you mean `exponent`?",
        ),
        (
            &["starmap", "numbers.wat", "every_type", r#"{"a": 1}"#],
            "input 1: task `every_type` does not name its parameters (i32, i64, f32, f64); give an array",
        ),
        (
            &["map", "tasks.wasm", "cube", "--strings", "a"],
            "--strings gives task `cube` strings, but it takes (number: i64); leave --strings away",
        ),
    ] {
        check_refuses(arguments, "", line, 2);
    }
}

//! `map` of WASI programs: what each run is given, how its output is printed, and what is refused.

use serde_json::{Value, json};
use wasmpool_tests::cli::{Wasmpool, check, check_prints, check_refuses, place};
use wasmpool_tests::program_path;

/// A command line with the path of a program in the place of `%`.
fn with_program<'a>(program: &'a str, line: &[&'a str]) -> Vec<String> {
    let path = program_path(program);
    let path = path.to_str().expect("a path that is text");
    line.iter().map(|word| word.replace('%', path)).collect()
}

fn run(program: &str, line: &[&str], stdin: &str) -> wasmpool_tests::cli::Ended {
    Wasmpool::new(with_program(program, line)).run(stdin)
}

#[test]
fn each_input_is_an_argument_and_each_output_a_string() {
    let line =
        ["map", "%", "--arg", "-n", "--arg", "{#}={}", "a b", "Ada", "\"q\\n\"", "-2..1", "{\"a\": 1}"];
    let expected = "\"-n 0=a b\\n\"\n\"-n 1=Ada\\n\"\n\"-n 2=q\\n\\n\"\n\"-n 3=-2\\n\"\n\"-n 4=-1\\n\"\n\"-n 5=0\\n\"\n\
                    \"-n 6={\\\"a\\\": 1}\\n\"\n";
    run("echo", &line, "").check(expected, "", 0);
}

#[test]
fn inputs_come_from_stdin_as_json_or_as_plain_lines() {
    run("echo", &["map", "%", "--arg", "{}", "--raw"], "\"a\\tb\"\n7\n[1, 2]\n").check(
        "a\tb\n7\n[1, 2]\n",
        "",
        0,
    );
    run("echo", &["map", "%", "--arg", "{}", "--raw", "--strings"], "\"a\"\n\n7\n").check(
        "\"a\"\n\n7\n",
        "",
        0,
    );
    let stderr = "wasmpool: stdin line 2, column 1: …--strings takes plain lines\n";
    run("echo", &["map", "%", "--arg", "{}", "--raw"], "1\nAda\n").check("1\n", stderr, 2);
    run("echo", &["map", "%", "--arg", "{}"], "").check("", "", 0);
}

#[test]
fn each_input_is_on_stdin_where_that_is_asked_for() {
    run("wc", &["map", "%", "--stdin", "two words", "x", "0..2"], "").check(
        "\"0 2 9\\n\"\n\"0 1 1\\n\"\n\"0 1 1\\n\"\n\"0 1 1\\n\"\n",
        "",
        0,
    );
    run("wc", &["map", "%", "--stdin", "--strings", "--raw"], "a b\n\nccc\n").check(
        "0 2 3\n0 0 0\n0 1 3\n",
        "",
        0,
    );
    // Both at a time, for programs that want their instructions as arguments.
    run("variables", &["map", "%", "--stdin", "--arg", "x{}", "--raw", "abc"], "").check(
        "3 bytes for [\"variables.wasm\", \"xabc\"]\n",
        "",
        0,
    );
}

#[test]
fn raw_output_is_what_the_program_wrote_to_the_byte() {
    let path = place().join("bytes");
    std::fs::write(&path, b"\xff\x00\xfe no line end").expect("written");
    let line = ["map", "%", "--dir", "bytes-are-here::/d::ro", "--arg", "/d/bytes"];
    let directory = place().join("bytes-are-here");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::rename(&path, directory.join("bytes")).expect("moved");
    let raw = run("cat", &[&line[..], &["--arg", "/d/{}", "--raw", "bytes"]].concat(), "");
    assert_eq!((raw.code(), &raw.stdout[..]), (0, &b"\xff\x00\xfe no line end".repeat(2)[..]));
    let stderr = "wasmpool: call 0 bad result: stdout is not UTF-8 at byte 0: --raw prints it as it is\n";
    run("cat", &[&line[..], &["--arg", "/d/{}", "bytes"]].concat(), "").check("", stderr, 100);
}

#[test]
fn an_exit_code_is_a_failure_with_that_code() {
    let line = ["map", "%", "--arg", "{}", "-j", "1"];
    let stderr = "exiting with 0, it says\nexiting with 3, it says\nwasmpool: call 1 exited with code 3\n";
    run("exit-with", &[&line[..], &["0", "3"]].concat(), "").check("\"exiting with 0\\n\"\n", stderr, 100);
    let on = [&line[..], &["--on-error", "continue", "3", "0"]].concat();
    let stdout = "null\n\"exiting with 0\\n\"\n";
    run("exit-with", &on, "").check(stdout, "…\n", 100);
    // Nothing stands for a failed run where bytes are passed on as they are.
    run("exit-with", &[&on[..], &["--raw"]].concat(), "").check("exiting with 0\n", "…\n", 100);
    let records = run("exit-with", &[&on[..], &["--format", "records", "--retries", "1"]].concat(), "");
    let records: Vec<Value> = String::from_utf8(records.stdout.clone())
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!((&records[0]["outcome"], &records[0]["attempt"]), (&json!("exited"), &json!(2)));
    assert_eq!(records[0]["error"]["message"], json!("exited with code 3"));
    assert_eq!(records[1]["value"], json!("exiting with 0\n"));
}

#[test]
fn arrays_variables_and_limits_work_as_with_tasks() {
    let line = ["map", "%", "--arg", "{}", "--format", "array", "a", "b"];
    run("echo", &line, "").check("[\"a\\n\",\"b\\n\"]\n", "", 0);
    let line = ["map", "%", "--arg", "{}", "--raw", "--env", "A=1", "--env", "HERE", "x"];
    let ended = Wasmpool::new(with_program("variables", &line)).variable("HERE", "yes").run("");
    ended.check("A=1\nHERE=yes\n0 bytes for [\"variables.wasm\", \"x\"]\n", "", 0);
    let line = ["map", "%", "--stdin", "--max-result", "3", "abc", "abcd"];
    let stderr = "wasmpool: call 1 result too large: more than 3 bytes on stdout\n…\n";
    run("cat", &line, "").check("\"abc\"\n", stderr, 100);
    check(
        &["map", "endless-program.wat", "--stdin", "--timeout", "200ms", "x"],
        "",
        "",
        "wasmpool: call 0 timed out…\n",
        100,
    );
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let alike = "no --arg holds {} or {#}, so that all runs would be alike; write '{}' where the input belongs, or \
                 give it on stdin with --stdin";
    check_refuses(&["map", "program.wat", "--arg", "x", "1"], "", alike, 2);
    let no_command =
        "module `numbers.wat` is no WASI command: it exports no _start; it has tasks to call by name: …";
    check_refuses(&["map", "numbers.wat", "identity64", "--stdin", "1"], "", no_command, 2);
    check_refuses(&["map", "numbers.wat", "--arg", "{}", "1"], "", no_command, 2);
    let neither = "module `empty.wat` is no WASI command: it exports no _start";
    check_refuses(&["map", "empty.wat", "--arg", "{}", "1"], "", neither, 2);
    let command = "module `program.wat` has no task `x`; it is a WASI command: run it with --arg '{}' or --stdin (in a \
                   program, Module::command)";
    check_refuses(&["map", "program.wat", "x"], "", command, 2);
    let nul = "input 2: argument 1 holds a NUL byte, which no argument can; give the input on stdin instead";
    check_refuses(&["map", "program.wat", "--arg", "{}", "a", r#""a\u0000b""#], "", nul, 2);
    check_prints(&["map", "endless-program.wat", "--stdin"], "", "");
    check_refuses(
        &["map", "sockets-program.wat", "--arg", "{}", "1"],
        "",
        &format!("{SOCKETS}; tasks may …"),
        96,
    );
}

const SOCKETS: &str = "module `sockets-program.wat` imports what it is not given: `sock_accept` from \
                       `wasi_snapshot_preview1`, `launch` from `env`";

#[test]
fn run_refuses_the_same_imports_before_anything_runs() {
    check_refuses(&["run", "sockets-program.wat"], "", &format!("{SOCKETS}; programs may …"), 96);
}

#[test]
fn a_start_that_exits_with_the_number_of_its_arguments_counts_them() {
    let stderr = "wasmpool: call 0 exited with code 3\n";
    check(&["map", "program.wat", "--arg", "{}", "--arg", "b", "1"], "", "", stderr, 100);
}

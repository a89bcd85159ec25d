//! Stdin as a stream, stdout that ends early, disks that are full, and what guests print.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::process::Stdio;

use rustix::pty::OpenptFlags;
use wasmpool_tests::cli::{Wasmpool, check, check_prints, check_refuses};

/// Most memory that a process may have had while it streams: far below what the stream holds as a whole.
const STREAMING_BYTES_MAX: u64 = 600 << 20;

fn full_disk() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("/dev/full")
}

#[test]
fn json_lines_come_from_stdin() {
    check_prints(&["map", "tasks.wasm", "cube"], "1\n2\n3\n", "1\n8\n27\n");
    // The last line needs no end, blank ones and a byte order mark do not count.
    check_prints(&["map", "tasks.wasm", "cube"], "\u{feff}1\r\n\n  \n2 \n3", "1\n8\n27\n");
    check_prints(&["map", "tasks.wasm", "cube"], "", "");
    check_prints(&["starmap", "tasks.wasm", "add"], "[1, 2]\n[3, 4]\n", "3\n7\n");
}

#[test]
fn bad_lines_are_named_and_what_came_before_is_answered() {
    for (stdin, line) in [
        ("1\n2\nx\n4\n", "stdin line 3, column 1: not JSON: expected value; --strings takes plain lines"),
        ("1\n\n2\n[1,]\n", "stdin line 4, column 4: not JSON: expected value"),
        (
            "1\n2\n{\n",
            "stdin line 3, column 1: the value does not end on its line; give one JSON value a line (`jq -c .` does)",
        ),
        ("1\n2\n\"a\0\"\n", "stdin line 3, column 3: a NUL byte; stdin must be UTF-8 text"),
        ("1\n2\n0..5\n", "stdin line 3, column 3: not JSON: invalid number; --strings takes plain lines"),
        ("1\n2\n{\"n\": 3}\n", "stdin line 3: no parameter is called `n`, task `cube` takes (number: i64)"),
    ] {
        check(&["map", "tasks.wasm", "cube"], stdin, "1\n8\n", &format!("wasmpool: {line}\n"), 2);
    }
    let line = "wasmpool: stdin line 2: 1 argument given, task `add` takes 2 (a: i64, b: i64)\n";
    check(&["starmap", "tasks.wasm", "add"], "[1, 2]\n[1]\n", "3\n", line, 2);
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    for arguments in [
        &["map", "tasks.wasm", "cube"][..],
        &["map", "tasks.wasm", "cube", "--fresh"],
        &["map", "tasks.wasm", "cube", "--unordered"],
        &["map", "numbers.wat", "identity64"],
        &["map", "tasks.wasm", "echo_numbers", "-j", "1"],
    ] {
        let mut running = Wasmpool::new(arguments).start();
        for number in 0..20 {
            let (question, answer) = match arguments[2] {
                "cube" => (number.to_string(), (number * number * number).to_string()),
                "echo_numbers" => (format!("[{number}]"), format!("[{number}]")),
                _ => (number.to_string(), number.to_string()),
            };
            running.write(&format!("{question}\n"));
            assert_eq!(running.line(), Some(answer), "{arguments:?}");
        }
        running.end().check("", "", 0);
    }
}

#[test]
fn a_failure_is_told_before_the_next_line_comes() {
    let mut running = Wasmpool::new(["starmap", "tasks.wasm", "fails_on", "--on-error", "continue"]).start();
    for number in 0..5 {
        running.write(&format!("[{number}, {number}]\n"));
        assert_eq!(running.line().as_deref(), Some("null"));
        running.wait_for_stderr(&format!("call {number} failed"), 1);
    }
    assert_eq!(running.end().code(), 100);
}

#[test]
fn a_failure_ends_the_command_though_stdin_stays_open() {
    let mut running = Wasmpool::new(["starmap", "tasks.wasm", "fails_on"]).start();
    let mut stdin = running.take_stdin();
    stdin.write_all(b"[1, 2]\n[2, 2]\n").expect("somebody reads");
    running.end().check("1\n", "wasmpool: call 1 failed: 2 is unlucky\n", 100);
    drop(stdin);
}

#[test]
fn millions_of_lines_pass_through_little_memory() {
    const LINES: i64 = 2_000_000;
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "-j", "2"]).start();
    let mut stdin = BufWriter::new(running.take_stdin());
    let (all_written, everything_read) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        for number in 0..LINES {
            writeln!(stdin, "{number}").expect("somebody reads");
        }
        stdin.flush().expect("somebody reads");
        // Stdin stays open until memory has been looked at.
        let _ = everything_read.recv();
    });
    for number in 0..LINES {
        assert_eq!(running.line(), Some((number.wrapping_mul(number).wrapping_mul(number)).to_string()));
    }
    check_peaks(&running);
    drop(all_written);
    writer.join().expect("all lines are written");
    running.end().check("", "", 0);
}

#[test]
fn a_huge_range_is_never_written_out() {
    for arguments in [
        &["map", "tasks.wasm", "cube", "0..100000000000"][..],
        &["map", "numbers.wat", "float64", "-100000000000..100000000000"],
        &["map", "tasks.wasm", "cube", "0..100000000000", "7"],
        &["map", "tasks.wasm", "cube", "0..100000000000", "--fresh"],
        &["map", "tasks.wasm", "cube", "0..100000000000", "--unordered"],
        &["map", "tasks.wasm", "cube", "0..100000000000", "--format", "records"],
    ] {
        let mut running = Wasmpool::new(arguments).start();
        for _ in 0..100_000 {
            assert!(running.line().is_some());
        }
        check_peaks(&running);
        running.close_stdout();
        running.end().check("", "", 0);
    }
}

fn check_peaks(running: &wasmpool_tests::cli::Running) {
    let workers = running.workers();
    assert!(!workers.is_empty(), "there are workers");
    for process in workers.iter().chain([running.process()]) {
        let peak = process.peak_bytes();
        assert!(peak < STREAMING_BYTES_MAX, "{} MiB", peak >> 20);
    }
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    // Each is at another point of its life when the reader goes.
    for lines in [0, 1, 3, 1000] {
        for _ in 0..20 {
            let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "0..100000000000"]).start();
            for _ in 0..lines {
                assert!(running.line().is_some());
            }
            running.close_stdout();
            running.end().check("", "", 0);
        }
    }
}

#[test]
fn a_reader_that_leaves_ends_the_command_though_stdin_stays_open() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube"]).start();
    let mut stdin = running.take_stdin();
    stdin.write_all(b"1\n").expect("somebody reads");
    assert_eq!(running.line().as_deref(), Some("1"));
    running.close_stdout();
    // A process that another test is just about to start has the pipe's other end open for a moment, and what is
    // written then is no error yet. The command goes on until it hears that nobody reads.
    while stdin.write_all(b"2\n").is_ok() {}
    running.end().check("", "", 0);
}

#[test]
fn a_full_disk_is_an_error_that_names_stdout() {
    let error = "wasmpool: stdout cannot be written: No space left on device (os error 28)\n";
    for arguments in [
        &["map", "tasks.wasm", "cube", "0..10"][..],
        &["map", "tasks.wasm", "cube", "0..10", "--format", "array"],
        &["map", "tasks.wasm", "cube", "0..100000000000"],
        &["apply", "tasks.wasm", "cube", "3"],
        &["inspect", "tasks.wasm"],
    ] {
        Wasmpool::new(arguments).stdout(full_disk()).run("").check("", error, 1);
    }
}

#[test]
fn a_full_disk_ends_the_command_though_stdin_stays_open() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube"]).stdout(full_disk()).start();
    let mut stdin = running.take_stdin();
    stdin.write_all(b"1\n").expect("somebody reads");
    assert_eq!(running.end().code(), 1);
    drop(stdin);
}

#[test]
fn closed_descriptors_end_cleanly() {
    let cubes = "0\n1\n8\n";
    let range = ["map", "tasks.wasm", "cube", "0..3"];
    Wasmpool::new(range).by_shell("<&-").run("").check(cubes, "", 0);
    Wasmpool::new(range).by_shell("2>&-").run("").check(cubes, "", 0);
    Wasmpool::new(["map", "tasks.wasm", "cube"]).by_shell("<&-").run("").check("", "", 0);
    Wasmpool::new(["map", "tasks.wasm", "worker", "0..3"]).by_shell("2>&-").run("").check("", "", 0);
    let failing = ["starmap", "tasks.wasm", "fails_on", "[1, 1]", "[2, 1]", "--on-error", "continue"];
    Wasmpool::new(failing).by_shell("2>&-").run("").check("null\n2\n", "", 100);
    let closed = Wasmpool::new(range).by_shell(">&-").run("");
    assert!(!closed.stderr.contains("panicked"), "{}", closed.transcript());
    Wasmpool::new(range).by_shell("<&- >&- 2>&-").run("").check("", "", closed.code());
}

#[test]
fn a_stderr_that_cannot_be_written_changes_nothing() {
    let failing = ["starmap", "tasks.wasm", "fails_on", "[1, 1]", "[2, 1]", "--on-error", "continue"];
    Wasmpool::new(failing).stderr(full_disk()).run("").check("null\n2\n", "", 100);
    Wasmpool::new(["map", "tasks.wasm", "worker", "0..3"]).stderr(full_disk()).run("").check("", "", 0);
    Wasmpool::new(["map", "missing.wasm", "worker"]).stderr(full_disk()).run("").check("", "", 96);
}

#[test]
fn a_directory_as_stdin_is_an_error_that_names_stdin() {
    let directory = File::open("/").expect("/");
    let ended = Wasmpool::new(["map", "tasks.wasm", "cube"]).stdin(directory).run("");
    ended.check("", "wasmpool: stdin cannot be read: Is a directory (os error 21)\n", 1);
}

#[test]
fn a_terminal_as_stdin_is_answered_with_a_message() {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    rustix::pty::grantpt(&master).expect("a pseudo-terminal");
    rustix::pty::unlockpt(&master).expect("a pseudo-terminal");
    let name = rustix::pty::ptsname(&master, Vec::new()).expect("its name");
    let terminal = || {
        let path = name.to_str().expect("a path of text");
        OpenOptions::new().read(true).write(true).open(path).expect("the other side")
    };
    let line = "wasmpool: no inputs, and stdin is a terminal; give INPUTs after the task, or pipe JSON Lines in (`cat |` \
                to type them)\n";
    Wasmpool::new(["map", "tasks.wasm", "cube"]).stdin(terminal()).run("").check("", line, 2);
    Wasmpool::new(["map", "tasks.wasm", "cube", "3"]).stdin(terminal()).run("").check("27\n", "", 0);
    Wasmpool::new(["apply", "tasks.wasm", "cube", "3"]).stdin(terminal()).run("").check("27\n", "", 0);
}

#[test]
fn stdin_is_left_alone_where_inputs_are_given() {
    let mut running = Wasmpool::new(["map", "tasks.wasm", "cube", "3"]).start();
    let stdin = running.take_stdin();
    running.end().check("27\n", "", 0);
    drop(stdin);
}

#[test]
fn guests_print_to_stderr_and_stdout_holds_results_only() {
    check(&["apply", "tasks.wasm", "prints_to_both", "a text"], "", "", "out: a text\nerr: a text\n", 0);
    check(&["apply", "tasks.wasm", "prints", "3"], "", "", "line 1\nline 2\nline 3\n", 0);
    check(
        &["apply", "tasks.wasm", "calculate_square", "3"],
        "",
        "9\n",
        "Calculating square of 3\nSquare of 3 is 9\n",
        0,
    );
    check(
        &["map", "tasks.wasm", "worker", "0..3", "-j", "1"],
        "",
        "",
        "Worker: 0\nWorker: 1\nWorker: 2\n",
        0,
    );
}

#[test]
fn an_unfinished_line_ends_with_its_call() {
    check(&["map", "tasks.wasm", "prints_unfinished_line", "a", "b", "-j", "1"], "", "", "a\nb\n", 0);
    check(&["map", "tasks.wasm", "prints_unfinished_number", "0..3", "-j", "1"], "", "", "0 \n1 \n2 \n", 0);
    let fresh = ["map", "tasks.wasm", "prints_unfinished_line", "a", "b", "-j", "1", "--fresh"];
    check(&fresh, "", "", "a\nb\n", 0);
}

#[test]
fn lines_of_several_workers_are_never_torn() {
    const CALLS: usize = 300;
    // Longer than a pipe writes at once, and than any buffer of the guest's.
    let text =
        |call: usize| format!("{call}:{}", char::from(b'a' + (call % 26) as u8).to_string().repeat(9000));
    let inputs: String = (0..CALLS).map(|call| format!("{:?}\n", text(call))).collect();
    let ended = Wasmpool::new(["map", "tasks.wasm", "prints_to_both", "-j", "2"]).run(&inputs);
    assert_eq!((ended.code(), ended.stdout.len()), (0, 0));
    let mut told: Vec<&str> = ended.stderr.lines().collect();
    let mut expected: Vec<String> = (0..CALLS)
        .flat_map(|call| ["out", "err"].map(|stream| format!("{stream}: {}", text(call))))
        .collect();
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told.len(), expected.len());
    assert!(told.iter().zip(&expected).all(|(told, expected)| told == expected), "a line is torn or lost");
}

#[test]
fn a_guest_that_prints_much_loses_nothing() {
    for _ in 0..20 {
        let ended = Wasmpool::new(["map", "tasks.wasm", "prints", "20000", "20000", "-j", "1"]).run("");
        assert_eq!((ended.code(), ended.stdout.len()), (0, 0));
        let expected = (0..2).flat_map(|_| (1..=20_000).map(|line| format!("line {line}")));
        let told = ended.stderr.lines().count();
        assert!(ended.stderr.lines().eq(expected), "{told} lines, not those 40000 that were printed");
    }
}

#[test]
fn what_the_last_call_prints_is_never_lost() {
    // The command ends right behind it.
    for _ in 0..100 {
        check(&["apply", "tasks.wasm", "prints", "3"], "", "", "line 1\nline 2\nline 3\n", 0);
    }
}

#[test]
fn a_bad_last_line_is_never_passed_over() {
    // All calls have ended when it comes.
    for _ in 0..100 {
        let line =
            "wasmpool: stdin line 2, column 1: not JSON: expected value; --strings takes plain lines\n";
        check(&["map", "tasks.wasm", "cube"], "1\nx\n", "1\n", line, 2);
    }
}

#[test]
fn a_large_input_and_its_result_pass_whole() {
    let text = "é\u{1F600}x".repeat(500_000);
    let line = serde_json::Value::from(text).to_string() + "\n";
    check_prints(&["map", "tasks.wasm", "echo_text"], &line, &line);
    check_prints(&["map", "tasks.wasm", "echo_text"], &line.repeat(5), &line.repeat(5));
}

#[test]
fn a_line_beyond_the_limit_of_an_input_is_refused() {
    let mut line = "1\n".to_owned();
    line.push_str(&"7".repeat((64 << 20) + 1));
    let error = "wasmpool: stdin line 2: longer than 67108864 bytes, the limit of an input\n";
    check(&["map", "tasks.wasm", "cube"], &line, "1\n", error, 2);
}

#[test]
fn input_that_nests_too_deeply_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check_refuses(
        &["map", "tasks.wasm", "echo_nested"],
        &deep,
        "stdin line 1, column 129: nested deeper than 128 levels",
        2,
    );
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    check_refuses(
        &["map", "tasks.wasm", "echo_nested", &deep],
        "",
        "input 1: nested deeper than 128 levels at column 129",
        2,
    );
}

#[test]
fn stdout_may_be_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let stdout = Stdio::from(file.reopen().expect("a file"));
    Wasmpool::new(["map", "tasks.wasm", "cube", "0..3"]).stdout(stdout).run("").check("", "", 0);
    assert_eq!(std::fs::read_to_string(file.path()).expect("a file"), "0\n1\n8\n");
}

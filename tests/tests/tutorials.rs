//! The tutorials' programs in the README: commands print what it shows, and so do the Python programs.

use std::process::Command;

use wasmpool_tests::cli;
use wasmpool_tests::console::{Readme, Shell, Shown, shown};

/// Lines as they can be compared: without what differs from run to run.
fn comparable(command: &str, lines: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = lines.to_vec();
    if command.starts_with("wasmpool bench ") {
        // What was measured, and what follows from it; also whether starting a pool was worth it.
        lines.retain(|line| !line.starts_with("Starting "));
        lines.iter_mut().for_each(|line| *line = without_measurements(line));
    }
    if command.starts_with("wasmpool spawn ") || command.starts_with("python3 ") {
        // Processes print when they come to it.
        lines.sort();
        lines.iter_mut().for_each(|line| *line = without_process_ids(line));
    }
    lines
}

/// The words of a line without numbers and their units.
fn without_measurements(line: &str) -> String {
    const UNITS: [&str; 7] = ["ns", "us", "ms", "s", "%", "-", "="];
    let word = |word: &&str| {
        let bare = word.trim_end_matches([';', ':', ',', '.', ')']);
        !UNITS.contains(&bare) && !word.starts_with(|first: char| first.is_ascii_digit())
    };
    line.split_whitespace().filter(word).collect::<Vec<_>>().join(" ")
}

/// A line with every number of three digits or more, which is a process id, made the same.
fn without_process_ids(line: &str) -> String {
    let word = |word: &str| {
        let is_id = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        if is_id { "PID".to_owned() } else { word.to_owned() }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_of_the_tutorials_prints_what_is_shown() {
    let commands = shown(&Readme::read().tutorials);
    let shell = Shell::default();
    // Builds wasm-tasks and puts it there as tasks.wasm.
    let place = cli::place();
    for Shown { command, output } in &commands {
        assert!(!output.is_empty(), "{command} shows nothing");
        let printed = shell.run(command, place).concat();
        assert_eq!(comparable(command, &printed), comparable(command, output), "{command}");
    }
}

#[test]
fn the_python_programs_of_the_tutorials_print_what_is_shown() {
    if Command::new("python3").arg("--version").output().is_err() {
        // Nobody has to have it.
        return;
    }
    let document = Readme::read().tutorials;
    let directory = tempfile::tempdir().expect("a directory");
    let programs: Vec<&str> = document.split("```python\n").skip(1).collect();
    assert_eq!(programs.len(), 10, "one for each tutorial");
    for (number, rest) in programs.into_iter().enumerate() {
        let (program, rest) = rest.split_once("```").expect("an end");
        let (_, rest) = rest.split_once("```text\n").expect("an output");
        let (output, _) = rest.split_once("```").expect("an end");
        let name = format!("tutorial_{number}.py");
        std::fs::write(directory.path().join(&name), program).expect("a file");
        let command = format!("python3 {name}");
        // Processes that share an unbuffered stdout tear each other's lines there.
        let buffered = format!("env -u PYTHONUNBUFFERED {command}");
        let printed = Shell::default().run(&buffered, directory.path()).concat();
        let output: Vec<String> = output.lines().map(str::to_owned).collect();
        assert_eq!(comparable(&command, &printed), comparable(&command, &output), "{program}");
    }
}

#[test]
fn only_measurements_and_process_ids_are_left_out() {
    let bench = |line: &str| comparable("wasmpool bench m t", &[line.to_owned()]).concat();
    assert_eq!(bench("pool of 2 workers  1.33 ms  1.17 ms - 1.70 ms  1.85x  93 %"), "pool of workers");
    assert_ne!(bench("pool of 2 workers  1.33 ms"), bench("calls inline  1.33 ms"));
    let spawn = |line: &str| comparable("wasmpool spawn m t", &[line.to_owned()]).concat();
    assert_eq!(spawn("Process-1 is process 27273"), spawn("Process-1 is process 119"));
    assert_ne!(spawn("Square of 4 is 16"), spawn("Square of 4 is 25"));
    assert_ne!(spawn("Process-1 is process 27273"), spawn("Process-2 is process 27273"));
}

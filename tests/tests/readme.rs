//! The README's commands do what the README shows.

use std::path::Path;
use std::process::Command;

use wasmpool_tests::cli;

/// A command of the README and what it shows below it.
#[derive(Debug)]
struct Shown {
    command: String,
    output: Vec<String>,
}

/// All commands in blocks marked `console`.
fn shown(readme: &str) -> Vec<Shown> {
    let mut commands = Vec::new();
    let mut is_console = false;
    for line in readme.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            is_console = kind == "console";
        } else if !is_console {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Shown { command: command.to_owned(), output: Vec::new() });
        } else {
            commands.last_mut().expect("output stands below a command").output.push(line.to_owned());
        }
    }
    commands
}

/// Runs a command in a shell that finds `wasmpool` on its path; what it prints on stdout and on stderr.
fn run(command: &str, directory: &Path, bin: &Path) -> [Vec<String>; 2] {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
    let ended = Command::new("sh").args(["-c", command]).current_dir(directory).env("PATH", path).output();
    let ended = ended.expect("a shell");
    assert!(matches!(ended.status.code(), Some(0 | 100)), "{command}: {ended:?}");
    [ended.stdout, ended.stderr]
        .map(|printed| String::from_utf8(printed).expect("text").lines().map(str::to_owned).collect())
}

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let bin = tempfile::tempdir().expect("a directory");
    let wasmpool = bin.path().join("wasmpool");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wasmpool-under-test"), wasmpool).expect("a link");
    // Builds wasm-tasks and puts it there as tasks.wasm.
    let place = cli::place();
    let mut compared = 0;
    for Shown { command, output } in shown(&readme) {
        // The test that runs this is the second one.
        if command == "cargo test" {
            continue;
        }
        // The release build of the same sources is the continuous integration's business.
        let printed = match command.strip_prefix("cargo run --release -- ") {
            // On stderr it may tell that it builds the tasks.
            Some(arguments) => {
                let [stdout, _] = run(&format!("wasmpool {arguments}"), root, bin.path());
                stdout
            }
            None => run(&command, place, bin.path()).concat(),
        };
        if !output.is_empty() {
            assert_eq!(printed, output, "{command}");
            compared += 1;
        }
    }
    assert!(compared >= 4, "the README shows the output of only {compared} commands");
}

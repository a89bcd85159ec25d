//! The command line itself: help, mistakes in it, and modules that cannot be used.

use std::fs;

use wasmpool_tests::cli::{Wasmpool, check, check_golden, check_prints, check_refuses, place};

#[test]
fn help_is_as_the_golden_files_show_it() {
    check_golden("no-arguments", &[]);
    check_golden("help-short", &["-h"]);
    check_golden("help", &["--help"]);
    for verb in ["map", "starmap", "apply", "spawn", "run", "inspect", "bench", "doctor"] {
        check_golden(&format!("{verb}-help-short"), &[verb, "-h"]);
        check_golden(&format!("{verb}-help"), &[verb, "--help"]);
    }
}

#[test]
fn the_version_is_the_packages() {
    check_prints(&["--version"], "", concat!("wasmpool ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn inspect_shows_what_the_golden_files_say() {
    for module in ["numbers", "slow", "ungranted", "empty"] {
        check_golden(&format!("inspect-{module}"), &["inspect", &format!("{module}.wat")]);
        check_golden(&format!("inspect-{module}-json"), &["inspect", "--json", &format!("{module}.wat")]);
    }
}

#[test]
fn inspect_shows_the_limits_that_flags_give_and_what_goes_beyond_them() {
    let arguments = ["inspect", "--max-table-elements", "9", "--fuel", "5", "--timeout", "90s", "tasks.wasm"];
    let listing = Wasmpool::new(arguments).run("");
    assert_eq!((listing.code(), listing.stderr.as_str()), (0, ""));
    for part in ["5        --fuel", "90s      --timeout", "it cannot be loaded: it begins with "] {
        assert!(listing.lines().iter().any(|line| line.contains(part)), "{part}: {}", listing.transcript());
    }
}

#[test]
fn inspect_lists_the_sdk_tasks_with_their_documentation() {
    let listing = Wasmpool::new(["inspect", "tasks.wasm"]).run("");
    assert_eq!((listing.code(), listing.stderr.as_str()), (0, ""));
    for part in ["cube(number: i64) -> i64", "  sdk  The third power of a number.", "wasmpool.next "] {
        assert!(listing.lines().iter().any(|line| line.contains(part)), "{part}: {}", listing.transcript());
    }
    let listing = Wasmpool::new(["inspect", "--json", "tasks.wasm"]).run("");
    let catalogue: serde_json::Value = serde_json::from_slice(&listing.stdout).expect("one JSON value");
    let tasks = catalogue["tasks"].as_array().expect("a list of tasks");
    let cube = tasks.iter().find(|task| task["name"] == "cube").expect("cube");
    assert_eq!(cube["parameters"], serde_json::json!([{ "name": "number", "type": "i64" }]));
    assert_eq!(cube["kind"], "sdk");
    assert_eq!(cube["documentation"], "The third power of a number.");
}

#[test]
fn mistakes_of_the_command_line_take_one_line_and_exit_2() {
    let workers = "give a number from 1 to 1024, or `auto` for one per usable core";
    for (arguments, line) in [
        (
            &["mop"][..],
            "unrecognized subcommand 'mop'; tip: a similar subcommand exists: 'map' (see `wasmpool --help`)",
        ),
        (
            &["map"],
            "the following required arguments were not provided: <MODULE> <TASK> (see `wasmpool map --help`)",
        ),
        (
            &["map", "tasks.wasm"],
            "the following required arguments were not provided: <TASK> (see `wasmpool map --help`)",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "-j", "0"],
            &format!("invalid value '0' for '--workers <N>': {workers}"),
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "-j", "-1"],
            &format!("invalid value '-1' for '--workers <N>': {workers}"),
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "-j", "1025"],
            &format!("invalid value '1025' for '--workers <N>': {workers}"),
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--unorderd"],
            "unexpected argument '--unorderd' found; tip: a similar argument exists: '--unordered' (see `wasmpool map --help`)",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--format", "xml"],
            "invalid value 'xml' for '--format <FORMAT>' [possible values: lines, array, records]",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--on-error", "ignore"],
            "invalid value 'ignore' for '--on-error <POLICY>' [possible values: stop, continue]",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--timeout", "0"],
            "invalid value '0' for '--timeout <DURATION>': no call can end in no time; leave the flag away for the default",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--timeout", "5 s"],
            "invalid value '5 s' for '--timeout <DURATION>': give a duration such as 250ms, 5s, 1m or 2h",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--max-memory", "64M"],
            "invalid value '64M' for '--max-memory <SIZE>': `M` may mean powers of 1000 or of 1024; write 64MB or 64MiB",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--max-output", "much"],
            "invalid value 'much' for '--max-output <SIZE>': give a size such as 65536, 512KiB, 64MiB or 1GB",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--fuel", "many"],
            "invalid value 'many' for '--fuel <UNITS>': give a whole number such as 1000000",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--fuel", "0"],
            "--fuel 0: choose from 1 to 1000000000000000000",
        ),
        (
            &["apply", "tasks.wasm", "cube", "1", "--max-memory", "1KiB"],
            "--max-memory 1 KiB: choose from 64 KiB to 4 GiB",
        ),
        (&["run", "--max-stack", "1GiB", "program.wat"], "--max-stack 1 GiB: choose from 16 KiB to 16 MiB"),
        (&["inspect", "--max-depth", "1000", "numbers.wat"], "--max-depth 1000: choose from 1 to 256"),
        (
            &["map", "tasks.wasm", "cube", "1", "--timeout", "1m", "--deadline", "5s"],
            "--timeout 1m contradicts --deadline 5s: no call can take longer than its job",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--unordered", "--deterministic"],
            "--unordered prints results as they finish, but --deterministic has them in one order; leave one of them away",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--retries", "-1"],
            "invalid value '-1' for '--retries <N>': invalid digit found in string",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--env", "=x"],
            "invalid value '=x' for '--env <NAME[=VALUE]>': the name is missing; give NAME or NAME=VALUE",
        ),
        (
            &["map", "tasks.wasm", "cube", "1", "--env", "WASMPOOL_UNSET"],
            "--env WASMPOOL_UNSET: not set here, or not UTF-8; give --env WASMPOOL_UNSET=VALUE",
        ),
        (
            &["map", "tasks.wasm", "greet", "1", "--raw", "--format", "array"],
            "--raw prints plain lines, but --format asks for JSON; leave one of them away",
        ),
        (
            &["starmap", "tasks.wasm", "add", "--strings"],
            "--strings gives each call one string, but starmap takes arrays of arguments; use map",
        ),
    ] {
        check_refuses(arguments, "", line, 2);
    }
}

#[test]
fn a_mistake_points_to_the_help_also_when_the_command_has_another_name() {
    let refused = Wasmpool::new(["mop"]).called("pool").run("");
    assert!(refused.stderr.contains("--help`)"), "{}", refused.transcript());
}

#[test]
fn modules_that_cannot_be_used_say_why_and_exit_96() {
    fs::write(place().join("text.wasm"), "just text").expect("a file");
    fs::write(place().join("nothing.wasm"), "").expect("a file");
    let whole = fs::read(place().join("tasks.wasm")).expect("the tasks");
    fs::write(place().join("truncated.wasm"), &whole[..5000]).expect("a file");
    fs::create_dir_all(place().join("directory")).expect("a directory");
    for (module, line) in [
        ("missing.wasm", "module `missing.wasm` cannot be read: No such file or directory (os error 2)"),
        (
            "text.wasm",
            "module `text.wasm` cannot be used: not a WebAssembly module: starts with \"just tex\", expected \\0asm or text",
        ),
        (
            "nothing.wasm",
            "module `nothing.wasm` cannot be used: not a WebAssembly module: starts with nothing, expected \\0asm or text",
        ),
        ("truncated.wasm", "module `truncated.wasm` cannot be used: malformed module: …"),
        ("misspelt.wat", "module `misspelt.wat` cannot be used: invalid module text: … at line 3, column 39"),
        (
            "directory",
            "directory has no Cargo.toml; give a .wasm or .wat file, or the directory of a cargo package",
        ),
    ] {
        for verb in ["map", "apply", "starmap"] {
            check_refuses(&[verb, module, "cube"], "", line, 96);
        }
        if module != "directory" {
            check_refuses(&["inspect", module], "", line, 96);
        }
    }
    check_refuses(
        &["apply", "mistyped.wat", "seven"],
        "",
        "module `mistyped.wat` is not valid: … type mismatch: expected i32, found i64",
        96,
    );
}

#[test]
fn each_import_that_is_not_granted_is_named() {
    let line = "module `ungranted.wat` imports what it is not given: `print` from `env`, `sock_accept` from \
                `wasi_snapshot_preview1`; tasks may import wasmpool's own functions and those of \
                wasi_snapshot_preview1 but sockets and signals";
    check_refuses(&["map", "ungranted.wat", "identity", "0..3"], "", line, 96);
}

#[test]
fn an_unknown_task_is_answered_with_near_ones_and_all_of_them() {
    let tasks = "its tasks: consumes, divides, every_type, float32, float64, identity32, identity64, nothing, seven, \
                 swapped";
    let near = format!("module `numbers.wat` has no task `sevn`; did you mean `seven`?; {tasks}");
    check_refuses(&["apply", "numbers.wat", "sevn"], "", &near, 2);
    let far = format!("module `numbers.wat` has no task `qqqqqqqqqqqq`; {tasks}");
    check_refuses(&["apply", "numbers.wat", "qqqqqqqqqqqq"], "", &far, 2);
    check_refuses(
        &["apply", "empty.wat", "seven"],
        "",
        "module `empty.wat` has no task `seven`; it has no tasks at all",
        2,
    );
    // What no worker could call is no task, and stdin is not waited for.
    check_refuses(&["map", "numbers.wat", "vector"], "", "module `numbers.wat` has no task `vector`; …", 2);
}

#[test]
fn names_that_a_module_chose_cannot_control_the_terminal() {
    for arguments in [
        &["inspect", "hostile-names.wat"][..],
        &["inspect", "--json", "hostile-names.wat"],
        &["inspect", "hostile-import.wat"],
        &["apply", "hostile-names.wat", "clean", "1"],
        &["apply", "hostile-names.wat", "clear\u{1b}[2J", "1", "2"],
        &["apply", "hostile-import.wat", "identity", "1"],
    ] {
        let ended = Wasmpool::new(arguments).run("");
        let shown = ended.transcript();
        // The transcript's first line is what was typed.
        let shown = shown.split_once("\n--- exit").expect("an exit code").1;
        assert!(
            !shown.contains('\u{1b}') && !shown.contains("\nwasmpool: all is well"),
            "{}",
            shown.escape_debug()
        );
        assert!(shown.contains("[2J"), "nothing of the name is shown: {shown}");
    }
}

#[test]
fn inspect_does_not_build_a_directory_unasked() {
    let directory = package("inspected");
    let path = directory.path().to_str().expect("a path of text");
    let line = format!(
        "{path} is a directory; inspect runs nothing, and building it would run its build scripts: add --build to \
         allow that"
    );
    check_refuses(&["inspect", path], "", &line, 2);
    assert!(!directory.path().join("target").exists(), "something was built");
    let built = in_package(["inspect", "--build", path]).run("");
    assert_eq!(built.code(), 0, "{}", built.transcript());
    assert!(built.lines().contains(&"  cube(i64) -> i64  numeric"), "{}", built.transcript());
}

#[test]
fn a_directory_is_built_with_an_announcement_and_afterwards_in_silence() {
    let directory = package("numbers");
    let path = directory.path().to_str().expect("a path of text");
    let cubes = "0\n1\n8\n27\n64\n125\n216\n343\n512\n729\n";
    let run = || in_package(["map", path, "cube", "0..10"]).run("");
    run().check(cubes, &format!("wasmpool: building {path} for wasm32-wasip1\n…\n"), 0);
    run().check(cubes, "", 0);

    fs::write(directory.path().join("src/lib.rs"), "fn broken(").expect("a file");
    let error = format!(
        "wasmpool: building {path} for wasm32-wasip1\n…\nerror: …\n…\nwasmpool: building {path} failed, see above (cargo: exit status: 101)\n"
    );
    run().check("", &error, 96);
}

#[test]
fn a_directory_without_a_library_says_what_is_missing() {
    let directory = package("program");
    fs::rename(directory.path().join("src/lib.rs"), directory.path().join("src/main.rs")).expect("a file");
    let path = directory.path().to_str().expect("a path of text");
    let refused = in_package(["apply", path, "cube", "3"]).run("");
    let line = format!("wasmpool: {path} has no library; tasks stand in src/lib.rs, not in src/main.rs\n");
    refused.check("", &line, 96);
}

/// A cargo package with one task and no dependencies, which builds in half a second.
fn package(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[workspace]\n");
    fs::create_dir(directory.path().join("src")).expect("a directory");
    fs::write(directory.path().join("Cargo.toml"), manifest).expect("a file");
    let library = "#[unsafe(no_mangle)]\npub extern \"C\" fn cube(n: i64) -> i64 {\n    n * n * n\n}\n";
    fs::write(directory.path().join("src/lib.rs"), library).expect("a file");
    directory
}

/// The command as a user runs it, whose cargo builds each package into its own directory.
fn in_package<const N: usize>(arguments: [&str; N]) -> Wasmpool {
    let target =
        std::path::Path::new(arguments.iter().find(|argument| argument.starts_with('/')).expect("a path"))
            .join("target");
    Wasmpool::new(arguments).variable("CARGO_TARGET_DIR", target)
}

#[test]
fn wasm_tasks_is_a_module_by_its_directory() {
    // Built by the harness from the directory already; what it gave is what the other tests use.
    check(
        "map tasks.wasm cube 0..10".split(' ').collect::<Vec<_>>().as_slice(),
        "",
        "0\n1\n8\n27\n64\n125\n216\n343\n512\n729\n",
        "",
        0,
    );
}

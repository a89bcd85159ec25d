//! `run`: a WASI command behaves like a program of its own.

use std::fmt::Write as _;
use std::fs;

use rustix::process::Signal;
use rustix::pty::OpenptFlags;
use wasmpool_tests::cli::{Wasmpool, check, check_refuses};
use wasmpool_tests::program_path;

#[test]
fn a_program_has_the_commands_streams_arguments_and_exit_code() {
    check(&["run", "program.wat"], "hello\n", "hello\n", "", 1);
    check(&["run", "program.wat", "-a", "--env", "b"], "hello\n", "hello\n", "", 4);
    check(&["run", "--max-memory", "64KiB", "program.wat", "7"], "", "", "", 2);
}

#[test]
fn a_trap_is_told_and_exits_as_wasmtime_has_it() {
    check(&["run", "trapping-program.wat"], "", "", "wasmpool: …\n…\n…unreachable…\n…", 134);
}

#[test]
fn a_program_is_held_to_its_limits() {
    check(&["run", "--fuel", "1000000", "program.wat"], "hello\n", "hello\n", "", 1);
    check(&["run", "--fuel", "1", "program.wat"], "hello\n", "", "wasmpool: …\n…\n…fuel…\n…", 134);
    for size in ["16KiB", "16MiB"] {
        let stderr = "wasmpool: …\n…\n…call stack exhausted…\n…";
        check(&["run", "--max-stack", size, "deep-program.wat"], "", "", stderr, 134);
    }
    let line = "module `deep-program.wat` begins with 20 elements in its tables, but may have 19: raise \
                max_table_elements";
    check_refuses(&["run", "--max-table-elements", "19", "deep-program.wat"], "", line, 96);
    let line = "module `program.wat` has 995 bytes, but may have 100: raise max_module";
    check_refuses(&["run", "--max-module", "100", "program.wat"], "", line, 96);
}

#[test]
fn what_is_no_program_is_refused() {
    let line = "wasmpool: `numbers.wat` is no WASI command: it exports no _start; `map` and `apply` call its tasks\n";
    check_refuses(&["run", "numbers.wat"], "", line.trim_start_matches("wasmpool: ").trim_end(), 96);
}

/// Functions of WASI preview 1, with the types of their parameters, all but those that end the program and those
/// that are refused.
const FUNCTIONS: [(&str, &str); 39] = [
    ("args_get", "i32 i32"),
    ("args_sizes_get", "i32 i32"),
    ("environ_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("clock_res_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("fd_advise", "i32 i64 i64 i32"),
    ("fd_allocate", "i32 i64 i64"),
    ("fd_datasync", "i32"),
    ("fd_fdstat_get", "i32 i32"),
    ("fd_fdstat_set_flags", "i32 i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64"),
    ("fd_filestat_get", "i32 i32"),
    ("fd_filestat_set_size", "i32 i64"),
    ("fd_filestat_set_times", "i32 i64 i64 i32"),
    ("fd_pread", "i32 i32 i32 i64 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32"),
    ("fd_renumber", "i32 i32"),
    ("fd_seek", "i32 i64 i32 i32"),
    ("fd_sync", "i32"),
    ("fd_tell", "i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32"),
    ("path_remove_directory", "i32 i32 i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32"),
    ("path_symlink", "i32 i32 i32 i32 i32"),
    ("path_unlink_file", "i32 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("random_get", "i32 i32"),
    ("sched_yield", ""),
];

/// A program that calls each function, on each of its streams and on descriptors that it does not have; then
/// it sleeps for a millisecond, waits for its stdin, and prints what it reads there.
fn program_of_all_functions() -> String {
    let mut imports = String::new();
    let mut calls = String::new();
    for (name, parameters) in FUNCTIONS {
        let import = r#"(import "wasi_snapshot_preview1" ""#;
        writeln!(imports, r#"{import}{name}" (func ${name} (param {parameters}) (result i32)))"#)
            .expect("text");
        let firsts = match name {
            // Reading would take the input away, and descriptors are needed once more.
            "fd_read" | "fd_renumber" => 9..10,
            _ if name.starts_with("clock") => 0..2,
            _ if ["fd_", "path_"].iter().any(|kind| name.starts_with(kind)) => 0..5,
            _ => 64..65,
        };
        for first in firsts {
            let argument = |(place, kind): (usize, &str)| {
                let value = if place == 0 { first } else { 0 };
                format!(" ({kind}.const {value})")
            };
            let arguments: String = parameters.split_whitespace().enumerate().map(argument).collect();
            writeln!(calls, "(drop (call ${name}{arguments}))").expect("text");
        }
    }
    format!(
        r#"(module {imports} (memory (export "memory") 1)
        (func $clear (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)))
        (func (export "_start") {calls}
          (drop (call $random_get (i32.const 0) (i32.const 1024)))
          (call $clear)
          ;; Subscriptions of 48 bytes: tag at 8, then a clock's number at 16 and its time at 24, or a stream's at 16.
          (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 1000000))
          (drop (call $poll_oneoff (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 8192)))
          (call $clear)
          (i32.store8 (i32.const 8) (i32.const 1))
          (drop (call $poll_oneoff (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 8192)))
          (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4096))
          (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          (i32.store (i32.const 4) (i32.load (i32.const 8)))
          (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

#[test]
fn nothing_that_a_program_may_ask_of_wasi_leads_beyond_its_jail() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("everything.wat");
    std::fs::write(&path, program_of_all_functions()).expect("written");
    let path = path.to_str().expect("a name");
    check(&["run", path], "hello\n", "hello\n", "", 0);
}

/// `run` of a program of `wasm-tasks`, with flags before and arguments behind it.
fn run(flags: &[&str], program: &str, arguments: &[&str]) -> Wasmpool {
    let path = program_path(program);
    let path = path.to_str().expect("a path that is text");
    Wasmpool::new([&["run"], flags, &[path], arguments].concat())
}

#[test]
fn whatever_follows_the_module_is_the_programs() {
    run(&[], "echo", &["--", "--env", "-5", "-5..5", "", "x"]).run("").check("-- --env -5 -5..5  x\n", "", 0);
    run(&["--argv0", "me"], "variables", &["--argv0", "x"]).run("in").check(
        "2 bytes for [\"me\", \"--argv0\", \"x\"]\n",
        "",
        0,
    );
}

#[test]
fn a_program_sees_the_granted_environment_and_nothing_else() {
    let ended = run(&["--env", "HERE", "--env", "A=b=c", "--env", "EMPTY="], "variables", &[])
        .variable("HERE", "yes")
        .variable("SECRET", "canary")
        .run("");
    ended.check("A=b=c\nEMPTY=\nHERE=yes\n0 bytes for [\"variables.wasm\"]\n", "", 0);
    let line = "wasmpool: --env GONE: not set here, or not UTF-8; give --env GONE=VALUE\n";
    run(&["--env", "GONE"], "variables", &[]).run("").check("", line, 2);
}

#[test]
fn exit_codes_are_the_programs_own() {
    for (code, seen) in
        [("0", 0), ("1", 1), ("125", 125), ("126", 126), ("255", 255), ("256", 0), ("-1", 255)]
    {
        let stdout = format!("exiting with {code}\n");
        let stderr = format!("exiting with {code}, it says");
        run(&[], "exit-with", &[code]).run("").check(&stdout, &stderr, seen);
    }
}

#[test]
fn large_streams_pass_through_a_program_and_directories_are_as_granted() {
    let text = "a line of some length\n".repeat(500_000);
    run(&[], "cat", &[]).run(&text).check(&text, "", 0);
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("poem"), "roses\n").expect("written");
    let granted = format!("{}::/poems", directory.path().display());
    run(&["--dir", &granted], "cat", &["/poems/poem"]).run("").check("roses\n", "", 0);
    run(&[], "cat", &["/poems/poem"]).run("").check("", "cat: /poems/poem: …\n", 1);
    run(&["--dir", &granted], "cat", &["/poems/../../etc/passwd"]).run("").check("", "cat: …\n", 1);
}

#[test]
fn a_closed_stdin_is_at_its_end() {
    run(&[], "wc", &[]).by_shell("<&-").run("").check("0 0 0\n", "", 0);
}

#[test]
fn a_terminal_is_read_until_its_user_ends_it() {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    rustix::pty::grantpt(&master).expect("a pseudo-terminal");
    rustix::pty::unlockpt(&master).expect("a pseudo-terminal");
    let name = rustix::pty::ptsname(&master, Vec::new()).expect("a name");
    let name = name.to_str().expect("a path that is text");
    let terminal = fs::File::options().read(true).write(true).open(name).expect("the other end");
    let running = run(&[], "wc", &[]).stdin(terminal).start();
    rustix::io::write(&master, b"two words\n\x04").expect("typed");
    running.end().check("1 2 10\n", "", 0);
}

#[test]
fn a_program_is_killed_when_its_time_is_over() {
    let module = "`endless-program.wat`";
    let line = format!("{module} timed out: it ran longer than 200ms");
    check_refuses(&["run", "--timeout", "200ms", "endless-program.wat"], "", &line, 124);
    check(&["run", "--timeout", "1m", "program.wat"], "x", "x", "", 1);
}

#[test]
fn flags_of_wasmtime_that_are_spelt_otherwise_here_are_refused_with_a_remedy() {
    for (flag, remedy) in [("--invoke", "wasmpool apply"), ("-W", "--max-memory"), ("-S", "no sockets")] {
        let line = format!("invalid value 'x' for '…': …{remedy}…");
        check_refuses(&["run", flag, "x", "program.wat"], "", &line, 2);
    }
}

#[test]
fn signals_end_the_program_with_the_command() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut running = run(&[], "cat", &[]).start();
        running.write("line\n");
        assert_eq!(running.line().as_deref(), Some("line"));
        let program = running.program();
        running.process().signal(signal);
        program.wait();
        let ended = running.end();
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{}", ended.transcript());
    }
}

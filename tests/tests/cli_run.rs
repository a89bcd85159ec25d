//! `run`: a WASI command behaves like a program of its own.

use std::fmt::Write as _;

use wasmpool_tests::cli::{check, check_refuses};

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

/// Functions of WASI preview 1, with the types of their parameters, all but those that end the program.
const FUNCTIONS: [(&str, &str); 43] = [
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
    ("sock_accept", "i32 i32 i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32"),
    ("sock_send", "i32 i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
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
            _ if ["fd_", "path_", "sock_"].iter().any(|kind| name.starts_with(kind)) => 0..5,
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

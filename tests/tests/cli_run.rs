//! `run`: a WASI command behaves like a program of its own.

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
fn what_is_no_program_is_refused() {
    let line = "wasmpool: `numbers.wat` is no WASI command: it exports no _start; `map` and `apply` call its tasks\n";
    check_refuses(&["run", "numbers.wat"], "", line.trim_start_matches("wasmpool: ").trim_end(), 96);
}

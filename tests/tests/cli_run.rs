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

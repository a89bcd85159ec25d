//! The `wasmpool` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    wasmpool::init();
    wasmpool::cli::main()
}

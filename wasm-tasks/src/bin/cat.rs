//! Copies files, or its stdin, to its stdout, like `cat`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what programs do")]

use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut paths = std::env::args().skip(1).peekable();
    if paths.peek().is_none() {
        return copy("stdin", Ok(io::stdin()));
    }
    for path in paths {
        let copied = copy(&path, File::open(&path));
        if copied != ExitCode::SUCCESS {
            return copied;
        }
    }
    ExitCode::SUCCESS
}

fn copy(name: &str, from: io::Result<impl Read>) -> ExitCode {
    match from.and_then(|mut from| io::copy(&mut from, &mut io::stdout().lock())) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cat: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

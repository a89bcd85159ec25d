//! Says something on both streams and exits with the code that is its argument.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what programs do")]

fn main() {
    let code = std::env::args().nth(1).and_then(|code| code.parse().ok()).expect("an exit code");
    println!("exiting with {code}");
    eprint!("exiting with {code}, it says");
    std::process::exit(code);
}

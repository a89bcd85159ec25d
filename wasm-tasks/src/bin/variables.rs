//! Prints the environment, and everything else that is a program's own: its arguments and how much stdin it has.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what programs do")]

use std::io::Read;

fn main() -> std::io::Result<()> {
    let mut variables: Vec<(String, String)> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value}");
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    println!("{} bytes for {:?}", bytes.len(), std::env::args().collect::<Vec<_>>());
    Ok(())
}

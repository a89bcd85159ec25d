//! Counts the lines, words and bytes of its stdin, like `wc`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what programs do")]

use std::io::Read;

fn main() -> std::io::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    println!("{lines} {words} {}", bytes.len());
    Ok(())
}

//! Prints its arguments, like `echo`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what programs do")]

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", words.join(" "));
}

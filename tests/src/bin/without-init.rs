//! A program that forgets `wasmpool::init()`. It prints what a pool says to that.

use std::io::Write;

fn main() -> std::io::Result<()> {
    let said = match wasmpool::Pool::builder().workers(1).build() {
        Ok(_) => "a pool was built".to_owned(),
        Err(error) => format!("{:?}: {error}", error.kind()),
    };
    writeln!(std::io::stdout(), "{said}")
}

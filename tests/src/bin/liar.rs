//! The executable of workers that lie; see `wasmpool::lies`.

fn main() {
    wasmpool::lies::main();
}

//! Every mistake is told, also when one function has several.
#![allow(unused_variables, varargs_without_pattern)]

use wasmpool_guest::task;

#[task(nmae = "scale", name = "a b")]
async unsafe extern "C" fn scale<T, const N: usize>(
    (x, y): (f64, f64),
    factor: impl Into<f64>,
    out: &mut Vec<f64>,
) -> impl Iterator<Item = f64>
where
    T: Copy,
{
    [x, y].into_iter()
}

fn main() {}

//! Any one of wasmpool's fuzz targets, which `WASMPOOL_FUZZ_TARGET` names.

#![no_main]

use std::sync::LazyLock;

use wasmpool::fuzzing::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("WASMPOOL_FUZZ_TARGET").expect("WASMPOOL_FUZZ_TARGET names a target");
    target(&name)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));

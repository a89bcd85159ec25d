//! Tells the SDK whether the compiler makes atomic instructions for wasm.
//!
//! `cfg(target_feature = "atomics")` would say so, but stable compilers hide unstable features from it, also when they
//! were told to use them. So the flags themselves are asked.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(wasm_atomics)");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let for_wasm = env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    if for_wasm && atomics_are_on(&flags) {
        println!("cargo::rustc-cfg=wasm_atomics");
    }
}

/// Whether these flags, parted by the unit separator, turn atomic instructions on; of several, the last one counts.
fn atomics_are_on(flags: &str) -> bool {
    let lists =
        flags.split('\x1f').filter_map(|flag| flag.strip_prefix("-C").unwrap_or(flag).split_once('='));
    let mut features =
        lists.filter(|(name, _)| name.trim() == "target-feature").flat_map(|(_, list)| list.split(','));
    features.rfind(|feature| matches!(*feature, "+atomics" | "-atomics")) == Some("+atomics")
}

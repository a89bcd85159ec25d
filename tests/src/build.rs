//! The module `wasm-tasks` and the programs beside it, built once per run, and where this run keeps what it makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const TARGET: &str = "wasm32-wasip1";

/// Where the module is built: beside everything else that cargo builds, with a lock of its own.
fn directory() -> PathBuf {
    crate::directory_of_programs().parent().expect("target").join("wasmpool-tests")
}

/// Path of the module `wasm-tasks`, built if need be.
pub fn tasks_path() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        add_target();
        // The linker's flags are those with which the binary builds directories.
        const LIBRARY: [&str; 5] = ["rustc", "--package", "wasm-tasks", "--lib", "--crate-type=cdylib"];
        build(&LIBRARY, &["--", "-C", "link-arg=-zstack-size=65536"])
    })
}

/// Path of one of the programs of `wasm-tasks`, built if need be.
pub fn program_path(name: &str) -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        add_target();
        let program = build(&["build", "--package", "wasm-tasks", "--bins"], &[]);
        program.parent().expect("target/TRIPLE/release").to_owned()
    });
    directory.join(name).with_extension("wasm")
}

/// The bytes of the module `wasm-tasks`.
pub fn tasks_bytes() -> Vec<u8> {
    fs::read(tasks_path()).expect("the module that was just built")
}

fn add_target() {
    let asked = scrubbed("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let directory = asked.expect("rustc can be run").stdout;
    if !Path::new(String::from_utf8_lossy(&directory).trim()).is_dir() {
        let added = scrubbed("rustup").args(["target", "add", TARGET]).status();
        assert!(added.is_ok_and(|status| status.success()), "the target {TARGET} is missing");
    }
}

/// Builds something of `wasm-tasks`; returns the path of the module that came of it last.
fn build(what: &[&str], behind: &[&str]) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = scrubbed(&cargo);
    command.args(what).args(["--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    // As the binary builds directories.
    command
        .args(["--config", r#"target.wasm32-wasip1.rustflags=["-C", "target-feature=+atomics,+simd128"]"#]);
    command.arg("--target-dir").arg(directory());
    command.args(behind);
    let output = command.stderr(Stdio::inherit()).output().expect("cargo can be run");
    assert!(output.status.success(), "wasm-tasks does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().filter_map(module_in).next_back().expect("cargo names the module")
}

/// The `.wasm` file that a message of cargo names.
fn module_in(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?.iter();
    files.filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// A command that does not see what the outer cargo made for this package and this target.
fn scrubbed(program: &str) -> Command {
    const PREFIXES: [&str; 6] =
        ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_FEATURE_", "DEP_"];
    const NAMES: [&str; 10] = [
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_MAKEFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "MAKEFLAGS",
        "OUT_DIR",
    ];
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let belongs_outside =
            |name: &str| NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if name.to_str().is_some_and(belongs_outside) {
            command.env_remove(name);
        }
    }
    command
}

/// A cache of compiled modules for this process alone.
pub fn cache_directory() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let caches = directory().join("caches");
        remove_caches_of_the_dead(&caches);
        let own = caches.join(std::process::id().to_string());
        fs::create_dir_all(&own).expect("a directory for the cache");
        own
    })
}

/// A test program has no last moment at which it could clean up behind itself, so the next one does.
fn remove_caches_of_the_dead(caches: &Path) {
    for cache in fs::read_dir(caches).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(cache.file_name()).exists() {
            // Another test program may be quicker.
            let _ = fs::remove_dir_all(cache.path());
        }
    }
}

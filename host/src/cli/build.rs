//! Builds a MODULE that is a cargo package: directory in, `.wasm` file out.
//!
//! This runs the package's build scripts and macros with the user's rights, so it is announced; but a build that has
//! nothing to do is silent, because people run tasks far more often than they change them.
//!
//! # How the flags get in
//!
//! `cargo rustc` passes the linker's arguments to the last crate only, so that dependencies are built as always, and
//! `--crate-type cdylib` spares the author an entry in Cargo.toml. A profile of its own, like `release` unless the
//! package defines `[profile.wasmpool]`, gives the result a directory of its own: with `--release` our build and the
//! author's own `cargo build --release --target wasm32-wasip1` overwrite each other's `.wasm` and build again each
//! time.
//!
//! # Atomic and vector instructions
//!
//! Views of shared arrays need atomic ones, and WebAssembly's are a target feature that is off. So are its vectors of
//! 16 bytes, which every engine of today runs: with them a plain loop over numbers takes two thirds of the time. Most
//! of a view's code is generic and compiled into the package itself, but whether it uses atomic instructions is
//! decided in the SDK; so the flag must reach dependencies, too, and goes the way of
//! `target.wasm32-wasip1.rustflags`. A user's `RUSTFLAGS` replace it, and views then do the same by host calls. Rust
//! warns of the flag once per crate, which says nothing about the package, so that these warnings are left out.
//!
//! # What the environment may change
//!
//! Under an outer cargo (`cargo run`, `cargo test`, a build script; seen by `CARGO`), the variables that it made for
//! its own package and its own target are removed, `RUSTFLAGS` among them: they would leak into the module, break it
//! (`-C target-cpu=native`) and make each change between inside and outside a new build. Otherwise the environment is
//! the user's own and stays. `RUSTUP_TOOLCHAIN` stays in either case, since `CARGO` belongs to that toolchain; where
//! it is not set, rustup reads the package's rust-toolchain.toml, because everything runs in its directory.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use serde::Deserialize;

use crate::printable::printable;

const TARGET: &str = "wasm32-wasip1";

/// For every crate of the build; see the module's text.
const FLAGS: &str = r#"target.wasm32-wasip1.rustflags=["-C", "target-feature=+atomics,+simd128"]"#;

/// How Rust's warning of [`FLAGS`] begins.
const FLAGS_WARNING: &str = "warning: unstable feature specified for `-Ctarget-feature`: `atomics`";

/// wasm-ld's default of 1 MiB triples the price of a fresh instance.
const STACK_BYTES: u32 = 65_536;

/// Why there is no module; every message is one line and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("{directory} has no Cargo.toml; give a .wasm or .wat file, or the directory of a cargo package")]
    NotAPackage { directory: String },
    #[error("{directory} has no library; tasks stand in src/lib.rs, not in src/main.rs")]
    NoLibrary { directory: String },
    #[error(
        "{directory} is a workspace without a package of its own; give the directory of one of its members"
    )]
    Workspace { directory: String },
    #[error("{program} cannot be run; install Rust (https://rustup.rs), or give a .wasm file")]
    Run { program: String, source: io::Error },
    #[error("rustc in {directory} does not know the target {TARGET}, see above; it needs Rust 1.78 or later")]
    TargetUnknown { directory: String },
    #[error("the Rust target {TARGET} is missing and {reason}; {remedy}")]
    TargetMissing { reason: String, remedy: String },
    #[error("building {directory} failed, see above (cargo: {status})")]
    Failed { directory: String, status: ExitStatus },
    #[error("building {directory} gave no .wasm file")]
    NoArtifact { directory: String },
    #[error("the messages of cargo cannot be read")]
    Messages(#[source] io::Error),
}

/// Builds the package in `directory` and gives the path of its module.
///
/// `notices` (stderr) gets one line of ours and cargo's own when there is something to build, cargo's errors when it
/// fails, and otherwise nothing.
pub(crate) fn build(directory: &Path, notices: &mut impl Write) -> Result<PathBuf, BuildError> {
    let package = Package::new(directory)?;
    if !package.target_is_installed()? {
        notice(notices, &format!("adding the Rust target {TARGET} (rustup target add {TARGET})"));
        package.add_target()?;
    }
    package.compile(notices)
}

/// A directory with a Cargo.toml.
struct Package<'a> {
    directory: &'a Path,
    /// For messages.
    shown: String,
}

impl<'a> Package<'a> {
    fn new(directory: &'a Path) -> Result<Self, BuildError> {
        let shown = printable(&directory.to_string_lossy(), 200).to_string();
        if directory.join("Cargo.toml").is_file() {
            Ok(Self { directory, shown })
        } else {
            Err(BuildError::NotAPackage { directory: shown })
        }
    }

    /// Asks rustc, which takes 15 ms: the error of a failed build would come after all dependencies.
    fn target_is_installed(&self) -> Result<bool, BuildError> {
        let mut rustc = self.command(&program("RUSTC", "rustc"));
        rustc.args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::inherit());
        let output = run(&mut rustc, |command| command.output())?;
        if !output.status.success() {
            return Err(BuildError::TargetUnknown { directory: self.shown.clone() });
        }
        Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    }

    fn add_target(&self) -> Result<(), BuildError> {
        let output = self.command(OsStr::new("rustup")).args(["target", "add", TARGET]).output();
        let (reason, remedy) = match output {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let reason = format!("rustup cannot add it ({})", printable(rustups_reason(&said), 200));
                (reason, format!("type `rustup target add {TARGET}` in {}", self.shown))
            }
            Err(error) => {
                let remedy = "install your system's package of Rust's standard library for it, or rustup (https://rustup.rs)";
                (format!("rustup cannot be run ({error})"), remedy.to_owned())
            }
        };
        Err(BuildError::TargetMissing { reason, remedy })
    }

    fn compile(&self, notices: &mut impl Write) -> Result<PathBuf, BuildError> {
        let mut cargo = self.cargo();
        let mut child = run(&mut cargo, Command::spawn)?;
        let mut messages = Messages::new(&self.shown, notices);
        let artifact = follow(&mut child, &mut messages).map_err(BuildError::Messages)?;
        let status = child.wait().map_err(BuildError::Messages)?;
        if !status.success() {
            return Err(messages.failure(status));
        }
        artifact.ok_or_else(|| BuildError::NoArtifact { directory: self.shown.clone() })
    }

    fn cargo(&self) -> Command {
        let mut cargo = self.command(&program("CARGO", "cargo"));
        cargo.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET]);
        cargo.args(["--profile", "wasmpool", "--config", "profile.wasmpool.inherits=\"release\""]);
        cargo.args(["--config", FLAGS, "--message-format", "json-render-diagnostics"]);
        if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            cargo.args(["--color", "always"]);
        }
        cargo.args(["--", "-C", &format!("link-arg=-zstack-size={STACK_BYTES}")]);
        cargo.stdout(Stdio::piped()).stderr(Stdio::piped());
        cargo
    }

    /// A command in the package's directory, with an environment that does not depend on an outer cargo.
    fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory).stdin(Stdio::null());
        if std::env::var_os("CARGO").is_some() {
            for (name, _value) in std::env::vars_os() {
                if name.to_str().is_some_and(belongs_to_outer_package) {
                    command.env_remove(name);
                }
            }
        }
        command
    }
}

/// The program that `variable` names, as cargo's own subcommands find theirs.
fn program(variable: &str, default: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| default.into())
}

fn run<T>(command: &mut Command, how: impl FnOnce(&mut Command) -> io::Result<T>) -> Result<T, BuildError> {
    how(command).map_err(|source| {
        let program = printable(&command.get_program().to_string_lossy(), 200).to_string();
        BuildError::Run { program, source }
    })
}

/// Variables that an outer cargo makes for its own package, crate and flags.
fn belongs_to_outer_package(name: &str) -> bool {
    const PREFIXES: [&str; 6] =
        ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_FEATURE_", "DEP_"];
    const NAMES: [&str; 16] = [
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "CARGO_MAKEFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "MAKEFLAGS",
        "MFLAGS",
        "OUT_DIR",
        "TARGET",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "PROFILE",
        "DEBUG",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Reads both of cargo's streams to their ends; gives the module that stdout names.
fn follow<W: Write>(child: &mut Child, messages: &mut Messages<'_, W>) -> io::Result<Option<PathBuf>> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("cargo's streams are no pipes"));
    };
    std::thread::scope(|scope| {
        let artifact = scope.spawn(|| last_artifact(stdout));
        for line in BufReader::new(stderr).split(b'\n') {
            messages.take(&String::from_utf8_lossy(&line?));
        }
        artifact.join().expect("reading messages does not panic")
    })
}

/// The last module is the package's own; those of dependencies that are a cdylib as well come before it.
fn last_artifact(stdout: ChildStdout) -> io::Result<Option<PathBuf>> {
    let mut last = None;
    for line in BufReader::new(stdout).split(b'\n') {
        last = module_in(&line?).or(last);
    }
    Ok(last)
}

/// The `.wasm` file of a `compiler-artifact` message.
fn module_in(message: &[u8]) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    let message: Message = serde_json::from_slice(message).ok()?;
    let mut modules =
        message.filenames.into_iter().filter(|file| file.extension() == Some(OsStr::new("wasm")));
    modules.next().filter(|_| message.reason == "compiler-artifact")
}

/// Decides what of cargo's stderr the user sees: all of it once there is work, nothing before.
struct Messages<'a, W> {
    directory: &'a str,
    notices: &'a mut W,
    announced: bool,
    /// Within a warning that nobody needs.
    skipping: bool,
    held: String,
    known_failure: Option<BuildError>,
}

impl<'a, W: Write> Messages<'a, W> {
    fn new(directory: &'a str, notices: &'a mut W) -> Self {
        Self {
            directory,
            notices,
            announced: false,
            skipping: false,
            held: String::new(),
            known_failure: None,
        }
    }

    fn take(&mut self, line: &str) {
        let plain = without_escapes(line);
        self.known_failure = self.known_failure.take().or_else(|| self.recognised(&plain));
        if self.skips(&plain) {
            return;
        }
        self.held.push_str(line);
        self.held.push('\n');
        if !self.announced && is_work(&plain) {
            self.announced = true;
            notice(self.notices, &format!("building {} for {TARGET}", self.directory));
        }
        if self.announced {
            self.show();
        }
    }

    /// Whether a line belongs to the warning of our own flag, which ends with an empty line, or counts it only.
    fn skips(&mut self, line: &str) -> bool {
        let skips = self.skipping || line.starts_with(FLAGS_WARNING);
        self.skipping = skips && !line.is_empty();
        skips || (line.starts_with("warning: `") && line.contains(" generated 1 warning"))
    }

    /// Failures of which we know a better message than cargo's.
    fn recognised(&self, line: &str) -> Option<BuildError> {
        let directory = self.directory.to_owned();
        if line.starts_with("error: no library targets found") {
            Some(BuildError::NoLibrary { directory })
        } else if line.starts_with("error: ") && line.contains("is a virtual manifest") {
            Some(BuildError::Workspace { directory })
        } else {
            None
        }
    }

    fn failure(&mut self, status: ExitStatus) -> BuildError {
        if let Some(known) = self.known_failure.take() {
            return known;
        }
        self.show();
        BuildError::Failed { directory: self.directory.to_owned(), status }
    }

    fn show(&mut self) {
        // A stderr that cannot be written is no reason not to build.
        let _ = self.notices.write_all(self.held.as_bytes());
        self.held.clear();
    }
}

/// Whether a line of cargo's says that it does something that takes time.
///
/// Cargo's status lines are indented, with one capitalised word in front. `Finished` follows also on nothing, and
/// `Blocking` on another build of the same package, which may have nothing to do either.
fn is_work(line: &str) -> bool {
    let word = line.trim_start().split(' ').next().unwrap_or_default();
    line.starts_with("  ")
        && word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !matches!(word, "Finished" | "Fresh" | "Blocking")
}

/// `line` without colours.
fn without_escapes(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end =
            part.find(|character: char| character.is_ascii_alphabetic()).map_or(part.len(), |end| end + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

/// rustup's reason among its notes and, with `RUST_BACKTRACE`, its stack.
fn rustups_reason(stderr: &str) -> &str {
    stderr.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("no reason given")
}

fn notice(notices: &mut impl Write, text: &str) {
    // A stderr that cannot be written is no reason not to build.
    let _ = writeln!(notices, "wasmpool: {text}");
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn check_messages(lines: &[&str], expected: &str) {
        let mut notices = Vec::new();
        let mut messages = Messages::new("tasks", &mut notices);
        for line in lines {
            messages.take(line);
        }
        assert_eq!(String::from_utf8_lossy(&notices), expected);
    }

    #[test]
    fn a_build_without_work_is_silent() {
        check_messages(&["    Finished `wasmpool` profile [optimized] target(s) in 0.00s"], "");
        check_messages(
            &["    Blocking waiting for file lock on build directory", "    Finished `wasmpool`"],
            "",
        );
        check_messages(&["warning: unused", "  |", "  = note: Compiling", "1 |   Foo", "    Finished x"], "");
    }

    #[test]
    fn work_is_announced_and_nothing_is_lost() {
        check_messages(
            &["warning: edition", "\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m tasks v0.1.0", "error: x"],
            "wasmpool: building tasks for wasm32-wasip1\nwarning: edition\n\
             \u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m tasks v0.1.0\nerror: x\n",
        );
    }

    #[test]
    fn the_warning_of_our_own_flag_is_left_out() {
        check_messages(
            &[
                "   Compiling tasks v0.1.0",
                "\u{1b}[1m\u{1b}[33mwarning\u{1b}[0m: unstable feature specified for `-Ctarget-feature`: `atomics`",
                "  |",
                "  = note: this feature is not stably supported; its behavior can change in the future",
                "",
                "warning: unused",
                "",
                "warning: `tasks` (lib) generated 2 warnings",
                "warning: `other` (lib) generated 1 warning (1 duplicate)",
            ],
            "wasmpool: building tasks for wasm32-wasip1\n   Compiling tasks v0.1.0\nwarning: unused\n\n\
             warning: `tasks` (lib) generated 2 warnings\n",
        );
    }

    #[test]
    fn failures_are_explained_or_shown() {
        let check = |line: &str, shown: &str, expected: &str| {
            let mut notices = Vec::new();
            let mut messages = Messages::new("tasks", &mut notices);
            messages.take(line);
            let failure = messages.failure(ExitStatus::from_raw(101 << 8));
            assert_eq!(failure.to_string(), expected);
            assert_eq!(String::from_utf8_lossy(&notices), shown);
        };
        check(
            "\u{1b}[1m\u{1b}[91merror\u{1b}[0m: no library targets found in package `x`",
            "",
            "tasks has no library; tasks stand in src/lib.rs, not in src/main.rs",
        );
        check(
            "error: manifest path `/x/Cargo.toml` is a virtual manifest, but this",
            "",
            "tasks is a workspace without a package of its own; give the directory of one of its members",
        );
        check(
            "error: failed to parse manifest",
            "error: failed to parse manifest\n",
            "building tasks failed, see above (cargo: exit status: 101)",
        );
    }

    #[test]
    fn the_module_is_found_among_messages() {
        let check = |message: &str, expected: Option<&str>| {
            assert_eq!(module_in(message.as_bytes()), expected.map(PathBuf::from), "{message}");
        };
        let artifact = r#"{"reason":"compiler-artifact","target":{},"filenames":["/t/x.rlib","/t/x.wasm"],"fresh":true}"#;
        check(artifact, Some("/t/x.wasm"));
        check(r#"{"reason":"compiler-artifact","filenames":["/t/libx.rlib"]}"#, None);
        check(r#"{"reason":"build-script-executed","filenames":["/t/x.wasm"]}"#, None);
        check(r#"{"reason":"build-finished","success":true}"#, None);
        check("println! of a macro", None);
    }

    #[test]
    fn rustups_reason_is_found_among_its_notes() {
        let noisy = "info: downloading\nerror: download failed\n\nCaused by:\n    0: 404\n\nStack backtrace:\n  15: x\n";
        assert_eq!(rustups_reason(noisy), "download failed");
        assert_eq!(rustups_reason(""), "no reason given");
    }

    #[test]
    fn only_the_outer_package_is_forgotten() {
        for name in [
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "RUSTFLAGS",
            "OUT_DIR",
            "CARGO_BIN_EXE_wasmpool",
            "TARGET",
        ] {
            assert!(belongs_to_outer_package(name), "{name}");
        }
        for name in [
            "CARGO",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_NET_OFFLINE",
            "RUSTUP_TOOLCHAIN",
            "PATH",
            "RUSTC",
        ] {
            assert!(!belongs_to_outer_package(name), "{name}");
        }
    }

    fn package(sources: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("src")).expect("created");
        for (path, text) in sources {
            std::fs::write(directory.path().join(path), text).expect("written");
        }
        directory
    }

    fn built(directory: &Path) -> (Result<PathBuf, BuildError>, String) {
        let mut notices = Vec::new();
        let result = build(directory, &mut notices);
        (result, String::from_utf8(notices).expect("text"))
    }

    /// Names differ between tests: cargo tells packages in one target directory apart by them.
    fn manifest(name: &str) -> String {
        format!("[workspace]\n[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n")
    }

    #[test]
    fn a_package_becomes_a_module_once() {
        let library = "#[unsafe(no_mangle)]\npub extern \"C\" fn add(n: &std::sync::atomic::AtomicU64) -> u64 {\n\
                       n.fetch_add(7, std::sync::atomic::Ordering::SeqCst)\n}\nfn unused() {}\n";
        let package = package(&[("Cargo.toml", &manifest("wasmpool-test-seven")), ("src/lib.rs", library)]);
        let (module, notices) = built(package.path());
        let module = module.expect("built");
        assert!(notices.starts_with("wasmpool: building /"), "{notices}");
        assert!(notices.contains("Compiling wasmpool-test-seven"), "{notices}");
        let bytes = std::fs::read(&module).expect("a module");
        assert_eq!(bytes[..4], *b"\0asm");
        const I64_ATOMIC_RMW_ADD: [u8; 2] = [0xfe, 0x1f];
        assert!(bytes.windows(2).any(|bytes| bytes == I64_ATOMIC_RMW_ADD), "atomic instructions");

        let (again, notices) = built(package.path());
        assert_eq!(again.expect("built"), module);
        assert_eq!(notices, "");
    }

    #[test]
    fn what_cannot_be_built_is_explained() {
        let check = |sources: &[(&str, &str)], expected: &str| {
            let package = package(sources);
            let (result, notices) = built(package.path());
            let error = result.expect_err("no module").to_string();
            assert!(error.contains(expected), "{error}\n{notices}");
        };
        check(&[], "has no Cargo.toml");
        check(&[("Cargo.toml", "[workspace]\n")], "is a workspace without a package");
        check(
            &[("Cargo.toml", &manifest("wasmpool-test-failure")), ("src/main.rs", "fn main() {}")],
            "has no library",
        );
        check(
            &[("Cargo.toml", &manifest("wasmpool-test-failure")), ("src/lib.rs", "?")],
            "failed, see above (cargo: exit status: 101)",
        );
    }
}

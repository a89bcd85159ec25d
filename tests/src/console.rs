//! Commands that documents show, and what they print.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The README in two parts.
#[derive(Debug)]
pub struct Readme {
    /// The section with the tutorials' programs, which print some lines in any order.
    pub tutorials: String,
    /// All the rest, which is compared to the letter.
    pub rest: String,
}

impl Readme {
    /// Reads it.
    ///
    /// # Panics
    ///
    /// When it is not there, or has no such section.
    #[must_use]
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("README.md");
        let text = std::fs::read_to_string(path).expect("the README");
        let start = text.find("\n## The tutorials").expect("a section of tutorials") + 1;
        let end = text[start..].find("\n## ").map_or(text.len(), |length| start + length);
        Self { tutorials: text[start..end].to_owned(), rest: format!("{}{}", &text[..start], &text[end..]) }
    }
}

/// A command of a document and what that shows below it.
#[derive(Debug)]
pub struct Shown {
    /// As typed, without the prompt.
    pub command: String,
    /// Lines.
    pub output: Vec<String>,
}

/// All commands in blocks marked `console`.
///
/// # Panics
///
/// When such a block begins with output.
#[must_use]
pub fn shown(document: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut is_console = false;
    for line in document.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            is_console = kind == "console";
        } else if !is_console {
            continue;
        } else if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Shown { command: command.to_owned(), output: Vec::new() });
        } else {
            commands.last_mut().expect("output stands below a command").output.push(line.to_owned());
        }
    }
    commands
}

/// A shell that finds the command under test as `wasmpool` on its path.
pub struct Shell {
    bin: TempDir,
}

impl Default for Shell {
    fn default() -> Self {
        let bin = tempfile::tempdir().expect("a directory");
        let told = std::env::var_os("CARGO_BIN_EXE_wasmpool-under-test");
        let command = told.expect("cargo tells tests where the command is");
        std::os::unix::fs::symlink(command, bin.path().join("wasmpool")).expect("a link");
        Self { bin }
    }
}

impl Shell {
    /// Runs a command in a directory; the lines that it prints on stdout and on stderr.
    ///
    /// # Panics
    ///
    /// When it ends otherwise than with all calls returned or some failed.
    #[must_use]
    pub fn run(&self, command: &str, directory: &Path) -> [Vec<String>; 2] {
        let path = format!("{}:{}", self.bin.path().display(), std::env::var("PATH").expect("a path"));
        let ended =
            Command::new("sh").args(["-c", command]).current_dir(directory).env("PATH", path).output();
        let ended = ended.expect("a shell");
        assert!(matches!(ended.status.code(), Some(0 | 100)), "{command}: {ended:?}");
        [ended.stdout, ended.stderr]
            .map(|printed| String::from_utf8(printed).expect("text").lines().map(str::to_owned).collect())
    }
}

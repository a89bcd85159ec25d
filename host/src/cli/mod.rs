//! The command line: from what was typed to calls, and from their ends to lines on stdout.
//!
//! ```text
//! args ──► request ──► inputs ──► (the pool) ──► output ──► stdout
//! as typed  as meant    calls                     lines      exit tells how it went
//!                          build, inspect: what MODULE is
//!                          objects: what the calls share
//!                          bench: what they cost, inline and in pools
//! ```
//!
//! This floor owns everything that a person sees: spelling, help, messages, formats, exit codes. It decides nothing
//! about scheduling and trusts nothing that a module says: every text of a module goes through `printable` before
//! a terminal sees it.
//!
//! Values are JSON from end to end and are never converted on the way, so that integers of any size survive; only
//! numeric tasks leave JSON, in `cells`.

mod args;
mod bench;
mod build;
mod calls;
mod cells;
mod deliver;
mod describe;
mod directory;
mod doctor;
mod exit;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod inputs;
mod inspect;
mod interrupt;
mod json;
mod limits;
mod objects;
mod output;
mod produce;
mod quantity;
mod request;
mod run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::exit::Exit;
use self::request::Request;
use crate::printable::printable;

/// Why the command ends without having done its work: how to exit, and a message with what lies below it.
struct Refusal {
    exit: Exit,
    error: anyhow::Error,
}

impl Refusal {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }
}

/// Most characters of an error message: room for a list of tasks.
const MESSAGE_CHARACTERS_MAX: usize = 8000;

/// Does what the command line asks for, and says on stderr why if it cannot.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match args::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return args::explain(&error).into(),
    };
    let done = Request::new(arguments, |name| std::env::var(name).ok())
        .map_err(|message| Refusal::new(Exit::Usage, anyhow::Error::msg(message)))
        .and_then(|request| match request {
            Request::Calls(calls) => calls::run(&calls).map(Exit::code),
            Request::Run(run, limits) => run::run(&run, &limits),
            Request::Bench(bench) => bench::run(&bench).map(Exit::code),
            Request::Inspect(inspect, limits) => describe::run(&inspect, &limits).map(Exit::code),
            Request::Doctor(doctor) => doctor::run(&doctor).map(Exit::code),
        });
    match done {
        Ok(code) => code.into(),
        Err(refusal) => {
            // Names that a module chose may stand in it.
            let text = format!("{:#}", refusal.error);
            say(&format!("wasmpool: {}", printable(&text, MESSAGE_CHARACTERS_MAX)));
            refusal.exit.into()
        }
    }
}

/// Writes a line to stderr. When nobody can read it, there is nobody to tell.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The file behind a MODULE: a directory with a package is built first.
fn module_file(module: &Path, may_build: bool) -> Result<PathBuf, Refusal> {
    if !module.is_dir() {
        return Ok(module.to_owned());
    }
    if !may_build {
        let text = format!(
            "{} is a directory; inspect runs nothing, and building it would run its build scripts: add --build to \
             allow that",
            module.display()
        );
        return Err(Refusal::new(Exit::Usage, anyhow::Error::msg(text)));
    }
    build::build(module, &mut std::io::stderr()).map_err(|error| Refusal::new(Exit::Unusable, error))
}

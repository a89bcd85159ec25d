//! `run`: a WASI program, once, as if it were a program of its own.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::args::RunArguments;
use super::directory::DirectoryFlag;
use super::exit::Exit;
use super::request::granted;
use super::{Refusal, module_file};
use crate::channel::control::{CodeKind, Control, ControlError, Run, Wishes, WorkerSays};
use crate::pool::compile::{Cache, START_TIME_MAX, artifact, greet};
use crate::pool::directories::{self, GrantedDirectory};
use crate::pool::limits::Limits;
use crate::pool::{self, ErrorKind};
use crate::process::child::{Child, Exit as Ended};
use crate::process::nursery;
use crate::process::reentry::{Executable, Role};

/// Runs the program; the command's exit code is the program's own.
pub(super) fn run(arguments: &RunArguments, limits: &Limits) -> Result<u8, Refusal> {
    let usage = |text: String| Refusal::new(Exit::Usage, anyhow::Error::msg(text));
    let (module, words) = arguments.module_and_arguments().map_err(usage)?;
    let path = module_file(module, true)?;
    let name = pool::module::display_name(&path);
    let unusable = |error: pool::Error| Refusal::new(Exit::Unusable, error);
    let bytes = pool::read_module_named(&path, &name, limits.module_bytes).map_err(unusable)?;
    let (wasm, catalog) = pool::read_catalog(&name, &bytes, limits.module_bytes).map_err(unusable)?;
    if let Some(excess) = pool::module::excess(&catalog, limits) {
        return Err(Refusal::new(Exit::Unusable, anyhow::anyhow!("module {name} {excess}")));
    }
    if !catalog.has_start {
        let text =
            format!("{name} is no WASI command: it exports no _start; `map` and `apply` call its tasks");
        return Err(Refusal::new(Exit::Unusable, anyhow::Error::msg(text)));
    }
    let rule = "programs may import the functions of wasi_snapshot_preview1 but sockets and signals";
    pool::refuse_imports(&name, &catalog.imports_beyond_wasi(), rule).map_err(unusable)?;
    let directories = open(&arguments.dir)?;
    let executable = pool::executable(None).map_err(unusable)?;
    let terms = arguments.jail.compile_terms();
    let kind = CodeKind { counts_fuel: limits.fuel.is_some(), ..CodeKind::default() };
    let code =
        artifact(&wasm, &name, &executable, kind, Cache::of_user().as_ref(), &terms).map_err(unusable)?;
    let environment = granted(arguments.env.clone(), |name| std::env::var(name).ok());
    let environment = environment.map_err(usage)?;
    let program = module.file_name().unwrap_or(module.as_os_str()).to_string_lossy();
    let argv0 = arguments.argv0.as_deref().unwrap_or(&program);
    let words = std::iter::once(argv0.to_owned()).chain(words).collect();
    let run = Run {
        arguments: words,
        environment,
        limits: limits.instance,
        code: kind,
        fuel: limits.fuel,
        directories: directories::describe(&directories),
    };
    let wishes = Wishes { directories: directories::access(&directories), ..terms.wishes };
    let program = Program { run, code, directories, name, wishes, time_max: arguments.timeout };
    program.start(&executable)?.end()
}

/// Opens the directories that the program is granted.
fn open(flags: &[DirectoryFlag]) -> Result<Vec<Arc<GrantedDirectory>>, Refusal> {
    let mut directories = Vec::new();
    for DirectoryFlag { host, guest, rights } in flags {
        let opened = GrantedDirectory::open(host, guest, *rights)
            .and_then(|directory| directories::with_one_more(&mut directories, directory));
        opened.map_err(|error| match error.kind() {
            ErrorKind::Setting => Refusal::new(Exit::Usage, error),
            _ => Refusal::new(Exit::Unusable, error),
        })?;
    }
    Ok(directories)
}

/// A program that is ready to be started.
struct Program {
    run: Run,
    code: pool::module::Artifact,
    directories: Vec<Arc<GrantedDirectory>>,
    name: String,
    wishes: Wishes,
    time_max: Option<Duration>,
}

/// One that runs.
struct Started {
    name: String,
    time_max: Option<Duration>,
    /// Dropping it kills the program.
    child: Child,
    death: Receiver<Ended>,
}

impl Program {
    fn start(self, executable: &Executable) -> Result<Started, Refusal> {
        let Self { run, code, directories, name, wishes, time_max } = self;
        let unusable = |error: anyhow::Error| Refusal::new(Exit::Unusable, error);
        let (control, theirs) = Control::pair().map_err(|error| unusable(error.into()))?;
        let (died, death) = std::sync::mpsc::channel();
        let on_death = Box::new(move |ended| {
            // Whoever waited has given up.
            let _ = died.send(ended);
        });
        let child = nursery::spawn(Role::Command, executable, theirs, on_death);
        let child = child.map_err(|error| unusable(error.into()))?;
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let descriptors = [code.module.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let said = greet(&control, wishes)
            .and_then(|()| control.send(&run, &descriptors))
            .and_then(|()| directories::send(&control, &directories))
            .and_then(|()| control.receive::<WorkerSays>(START_TIME_MAX));
        match said {
            Ok(WorkerSays::Ready) => Ok(Started { name, time_max, child, death }),
            Ok(WorkerSays::Refused(reason) | WorkerSays::Panicked(reason)) => {
                Err(unusable(anyhow::anyhow!("{name} cannot be run: {reason}")))
            }
            Err(ControlError::Closed) => {
                let ended = death.recv_timeout(START_TIME_MAX).unwrap_or(Ended::Unknown);
                Err(unusable(anyhow::anyhow!("{name} cannot be run: its process {ended}")))
            }
            Err(error) => Err(unusable(error.into())),
        }
    }
}

impl Started {
    /// Waits for its end, without a limit as long as the program likes: it has the terminal, and its user can interrupt
    /// it.
    fn end(self) -> Result<u8, Refusal> {
        let ended = match self.time_max {
            None => self.death.recv().map_err(RecvTimeoutError::from),
            Some(limit) => self.death.recv_timeout(limit),
        };
        if ended == Err(RecvTimeoutError::Timeout) {
            drop(self.child);
            let limit = self.time_max.unwrap_or_default();
            let text = format!("{} timed out: it ran longer than {limit:?}", self.name);
            return Err(Refusal::new(Exit::Deadline, anyhow::Error::msg(text)));
        }
        Ok(match ended.unwrap_or(Ended::Unknown) {
            // As the kernel has it for any program: the low eight bits.
            Ended::Code(code) => code as u8,
            Ended::Signal(signal) => 128 + signal as u8,
            Ended::Unknown => Exit::Other.code(),
        })
    }
}

//! `run`: a WASI program, once, as if it were a program of its own.

use std::os::fd::AsFd;
use std::sync::Arc;

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
use crate::process::child::Exit as Ended;
use crate::process::nursery;
use crate::process::reentry::{Executable, Role};

/// Runs the program; the command's exit code is the program's own.
pub(super) fn run(arguments: RunArguments, limits: &Limits) -> Result<u8, Refusal> {
    let path = module_file(&arguments.module, true)?;
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
    let directories = open(&arguments.dir)?;
    let executable = pool::executable(None).map_err(unusable)?;
    let terms = arguments.jail.compile_terms();
    let kind = CodeKind { counts_fuel: limits.fuel.is_some(), ..CodeKind::default() };
    let code =
        artifact(&wasm, &name, &executable, kind, Cache::of_user().as_ref(), &terms).map_err(unusable)?;
    let environment = granted(arguments.env, |name| std::env::var(name).ok());
    let environment = environment.map_err(|text| Refusal::new(Exit::Usage, anyhow::Error::msg(text)))?;
    let program = arguments.module.file_name().unwrap_or(arguments.module.as_os_str());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(arguments.arguments);
    let run = Run {
        arguments: words,
        environment,
        limits: limits.instance,
        code: kind,
        fuel: limits.fuel,
        directories: directories::describe(&directories),
    };
    let wishes = Wishes { directories: directories::access(&directories), ..terms.wishes };
    start(&run, &executable, &code, &directories, &name, wishes)
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

fn start(
    run: &Run,
    executable: &Executable,
    code: &pool::module::Artifact,
    directories: &[Arc<GrantedDirectory>],
    name: &str,
    wishes: Wishes,
) -> Result<u8, Refusal> {
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
        .and_then(|()| control.send(run, &descriptors))
        .and_then(|()| directories::send(&control, directories))
        .and_then(|()| control.receive::<WorkerSays>(START_TIME_MAX));
    match said {
        Ok(WorkerSays::Ready) => {}
        Ok(WorkerSays::Refused(reason) | WorkerSays::Panicked(reason)) => {
            return Err(unusable(anyhow::anyhow!("{name} cannot be run: {reason}")));
        }
        Err(ControlError::Closed) => {
            let ended = death.recv_timeout(START_TIME_MAX).unwrap_or(Ended::Unknown);
            return Err(unusable(anyhow::anyhow!("{name} cannot be run: its process {ended}")));
        }
        Err(error) => return Err(unusable(error.into())),
    }
    // As long as the program likes: it has the terminal, and its user can interrupt it.
    let ended = death.recv().unwrap_or(Ended::Unknown);
    drop(child);
    Ok(match ended {
        Ended::Code(code) => code as u8,
        Ended::Signal(signal) => 128 + signal as u8,
        Ended::Unknown => Exit::Other.code(),
    })
}

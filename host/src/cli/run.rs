//! `run`: a WASI program, once, as if it were a program of its own.

use std::os::fd::AsFd;

use super::args::RunArguments;
use super::exit::Exit;
use super::request::granted;
use super::{Refusal, module_file};
use crate::channel::control::{Control, ControlError, Run, Wishes, WorkerSays};
use crate::pool::compile::{Cache, START_TIME_MAX, artifact, greet};
use crate::pool::{self, MEMORY_BYTES_DEFAULT};
use crate::process::child::Exit as Ended;
use crate::process::nursery;
use crate::process::reentry::Role;

/// Runs the program; the command's exit code is the program's own.
pub(super) fn run(arguments: RunArguments) -> Result<u8, Refusal> {
    let path = module_file(&arguments.module, true)?;
    let name = pool::module::display_name(&path);
    let unusable = |error: pool::Error| Refusal::new(Exit::Unusable, error);
    let bytes = pool::read_module_named(&path, &name).map_err(unusable)?;
    let (wasm, catalog) = pool::read_catalog(&name, &bytes).map_err(unusable)?;
    if !catalog.has_start {
        let text =
            format!("{name} is no WASI command: it exports no _start; `map` and `apply` call its tasks");
        return Err(Refusal::new(Exit::Unusable, anyhow::Error::msg(text)));
    }
    let terms = arguments.jail.compile_terms();
    let code = artifact(&wasm, &name, Cache::of_user().as_ref(), &terms).map_err(unusable)?;
    let environment = granted(arguments.env, |name| std::env::var(name).ok());
    let environment = environment.map_err(|text| Refusal::new(Exit::Usage, anyhow::Error::msg(text)))?;
    let program = arguments.module.file_name().unwrap_or(arguments.module.as_os_str());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(arguments.arguments);
    let run = Run {
        arguments: words,
        environment,
        memory_bytes_max: arguments.max_memory.unwrap_or(MEMORY_BYTES_DEFAULT),
    };
    start(&run, &code, &name, terms.wishes)
}

fn start(run: &Run, code: &pool::module::Artifact, name: &str, wishes: Wishes) -> Result<u8, Refusal> {
    let unusable = |error: anyhow::Error| Refusal::new(Exit::Unusable, error);
    let (control, theirs) = Control::pair().map_err(|error| unusable(error.into()))?;
    let (died, death) = std::sync::mpsc::channel();
    let on_death = Box::new(move |ended| {
        // Whoever waited has given up.
        let _ = died.send(ended);
    });
    let child = nursery::spawn(Role::Command, theirs, on_death).map_err(|error| unusable(error.into()))?;
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let descriptors = [code.module.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let said = greet(&control, wishes)
        .and_then(|()| control.send(run, &descriptors))
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

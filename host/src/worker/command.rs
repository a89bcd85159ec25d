//! The command process: one WASI program, run as if it were a program of its own.
//!
//! The process takes the caller's standard streams for its own, so that the program's output is the command's and
//! nobody stands in between. wasmtime-wasi serves the program; it sees its arguments, the environment variables that
//! were granted, and no files.

use std::os::fd::{AsFd, OwnedFd};

use wasmtime::{Linker, Module, ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::runtime::with_ambient_tokio_runtime;
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use super::shake_hands;
use crate::channel::control::{Control, Run, WorkerSays};
use crate::process::jail::{Confinement, Inmate};
use crate::process::reentry;
use crate::sandbox::engine::{WorkerLimits, worker_engine};
use crate::sandbox::tenant::map_code;

/// Exit code of a program that trapped, as the wasmtime command has it: a shell's for an abort.
const TRAPPED: i32 = 134;

/// State of the program's store.
struct Program {
    wasi: WasiP1Ctx,
    memory_bytes: usize,
    memory_bytes_max: usize,
}

impl ResourceLimiter for Program {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.memory_bytes += desired - current;
        Ok(self.memory_bytes <= self.memory_bytes_max)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool of instances bounds tables.
        Ok(true)
    }
}

/// Runs this process as a command, to its end.
pub(crate) fn main() -> ! {
    let control = Control::from_descriptor(reentry::settle());
    let code = match start(control) {
        Ok((mut store, start)) => exit_code(start.call(&mut store, ())),
        // The supervisor was told, or is gone.
        Err(()) => 1,
    };
    std::process::exit(code)
}

type Start = wasmtime::TypedFunc<(), ()>;

fn start(control: Control) -> Result<(Store<Program>, Start), ()> {
    let confinement = shake_hands(&control, Inmate::Program)?;
    let (run, descriptors) = control.receive_with_descriptors::<Run>(None).map_err(|_| ())?;
    let (control, module) = take_streams(control, descriptors).map_err(|_| ())?;
    let prepared = prepare(&run, module, confinement).map_err(|error| format!("{error:#}"));
    let says = match &prepared {
        Ok(_) => WorkerSays::Ready,
        Err(reason) => WorkerSays::Refused(reason.clone()),
    };
    control.send(&says, &[]).map_err(|_| ())?;
    prepared.map_err(|_| ())
}

/// Puts the caller's streams into their usual places, and the control socket out of theirs.
fn take_streams(control: Control, descriptors: Vec<OwnedFd>) -> Result<(Control, OwnedFd), std::io::Error> {
    let Ok([module, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(descriptors) else {
        return Err(std::io::Error::other("the supervisor sent other descriptors than promised"));
    };
    let moved = rustix::io::fcntl_dupfd_cloexec(control.as_fd(), 3)?;
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    // Descriptor 0 is the program's stdin now, and stays open for it.
    std::mem::forget(control);
    Ok((Control::from_descriptor(moved), module))
}

fn prepare(
    run: &Run,
    module: OwnedFd,
    mut confinement: Confinement,
) -> wasmtime::Result<(Store<Program>, Start)> {
    confinement.admit(&[]).map_err(wasmtime::Error::msg)?;
    let limits = WorkerLimits { memory_bytes_max: run.memory_bytes_max, keep_resident_bytes: 0 };
    let engine = worker_engine(&limits)?;
    // What serves the program's waiting needs descriptors and threads, which it must have before the jail closes.
    with_ambient_tokio_runtime(|| ());
    confinement.filter();
    let module: Module = map_code(&engine, module)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |program: &mut Program| &mut program.wasi)?;
    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stdio().args(&run.arguments).envs(&run.environment).allow_blocking_current_thread(true);
    let program = Program {
        wasi: wasi.build_p1(),
        memory_bytes: 0,
        memory_bytes_max: usize::try_from(run.memory_bytes_max).unwrap_or(usize::MAX),
    };
    let mut store = Store::new(&engine, program);
    store.limiter(|program| program);
    confinement.lock()?;
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance.get_typed_func(&mut store, "_start")?;
    Ok((store, start))
}

fn exit_code(ended: wasmtime::Result<()>) -> i32 {
    let Err(error) = ended else { return 0 };
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return *code;
    }
    use std::io::Write;
    // Nobody is left to tell where the program's own stderr is closed.
    let _ = writeln!(std::io::stderr(), "wasmpool: {error:?}");
    TRAPPED
}

//! The command process: one WASI program, run as if it were a program of its own.
//!
//! The process takes the caller's standard streams for its own, so that the program's output is the command's and
//! nobody stands in between. wasmtime-wasi serves the program; it sees its arguments, and the environment variables and
//! directories that were granted.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use wasmtime::{Linker, Module, ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::runtime::with_ambient_tokio_runtime;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtxBuilder};

use super::{directories, shake_hands};
use crate::channel::control::{Control, DirRights, InstanceLimits, Run, WorkerSays};
use crate::process::jail::{Confinement, Inmate};
use crate::process::{reentry, stack};
use crate::sandbox::allowance::Allowance;
use crate::sandbox::catalog::START_EXPORT;
use crate::sandbox::engine::{WorkerLimits, worker_engine};
use crate::sandbox::files::Directory;
use crate::sandbox::tenant::map_code;
use crate::sandbox::wasi;

/// Exit code of a program that trapped, as the wasmtime command has it: a shell's for an abort.
const TRAPPED: i32 = 134;

/// State of the program's store.
struct Program {
    wasi: WasiP1Ctx,
    memory: Allowance,
    table_elements: Allowance,
}

impl ResourceLimiter for Program {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.memory, current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.table_elements, current, desired))
    }
}

fn grow(allowance: &mut Allowance, current: usize, desired: usize) -> bool {
    let more = (desired - current) as u64;
    let is_allowed = allowance.has(more);
    if is_allowed {
        allowance.take(more);
    }
    is_allowed
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
    let prepared = directories::receive(&control, &run.directories).and_then(|directories| {
        // What the process is born with is complete here, and the engine is not made yet.
        prepare(&run, module, &directories, confinement).map_err(|error| format!("{error:#}"))
    });
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
    directories: &[Directory],
    mut confinement: Confinement,
) -> wasmtime::Result<(Store<Program>, Start)> {
    stack::check_room(run.limits.stack_bytes)?;
    confinement.admit(&directories::granted(directories)).map_err(wasmtime::Error::msg)?;
    let instance = InstanceLimits { nested_calls: 0, ..run.limits };
    let limits = WorkerLimits { instance, code: run.code, keep_resident_bytes: 0 };
    let engine = worker_engine(&limits)?;
    // What serves the program's waiting needs descriptors and threads, which it must have before the jail closes.
    with_ambient_tokio_runtime(|| ());
    confinement.filter();
    let module: Module = map_code(&engine, module)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |program: &mut Program| &mut program.wasi)?;
    // wasmtime-wasi takes codes below 126 for the program's and all others for a fault of its.
    linker.allow_shadowing(true);
    linker.func_wrap(wasi::MODULE, "proc_exit", |code: i32| Err::<(), _>(I32Exit(code).into()))?;
    let mut context = WasiCtxBuilder::new();
    context.inherit_stdio().args(&run.arguments).envs(&run.environment).allow_blocking_current_thread(true);
    for directory in directories {
        grant(&mut context, directory)?;
    }
    let program = Program {
        wasi: context.build_p1(),
        memory: Allowance::new(run.limits.memory_bytes),
        table_elements: Allowance::new(run.limits.table_elements),
    };
    let mut store = Store::new(&engine, program);
    store.limiter(|program| program);
    if let Some(fuel) = run.fuel {
        store.set_fuel(fuel)?;
    }
    confinement.lock()?;
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance.get_typed_func(&mut store, START_EXPORT)?;
    Ok((store, start))
}

/// Gives the program a directory. wasmtime-wasi takes paths only, so it gets the one of the descriptor.
fn grant(wasi: &mut WasiCtxBuilder, directory: &Directory) -> wasmtime::Result<()> {
    let permissions = match directory.rights {
        DirRights::ReadOnly => FsPerms::ReadOnly,
        DirRights::ReadWrite => FsPerms::ReadWrite,
    };
    let descriptor = format!("/proc/self/fd/{}", directory.descriptor.as_raw_fd());
    wasi.preopened_dir(descriptor, &directory.path, permissions)?;
    Ok(())
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

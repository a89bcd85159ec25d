//! The compiler process: compiles one hostile module within limits, hands the code over, and ends.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::{Resource, Rlimit};

use super::shake_hands;
use crate::channel::control::{Compile, CompilerSays, Control};
use crate::process::jail::{Confinement, Inmate};
use crate::process::reentry;
use crate::sandbox::compile::compile;

/// How long a supervisor may take to say what to compile.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Stack for the compiler: deeply nested code needs more than a main thread may have.
const STACK_BYTES: usize = 64 << 20;

/// Runs this process as a compiler, to its end.
pub(crate) fn main() -> ! {
    let control = Control::from_descriptor(reentry::settle());
    let Ok(confinement) = shake_hands(&control, Inmate::Compiler) else { std::process::exit(1) };
    let serve = move || serve(&control, confinement);
    let compiling = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
    let done = compiling.is_ok_and(|compiling| compiling.join().is_ok_and(|result| result.is_ok()));
    std::process::exit(i32::from(!done))
}

fn serve(
    control: &Control,
    mut confinement: Confinement,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (request, descriptors) = control.receive_with_descriptors::<Compile>(Some(REQUEST_TIME_MAX))?;
    let [module, last_words] =
        <[_; 2]>::try_from(descriptors).map_err(|_| "the supervisor sent other descriptors than promised")?;
    rustix::stdio::dup2_stderr(last_words)?;
    let mut wasm = Vec::new();
    File::from(module).read_to_end(&mut wasm)?;
    // Made beforehand, for nothing can be opened from inside the jail.
    let mut files = [empty_file("wasmpool-module")?, empty_file("wasmpool-drivers")?];
    limit(&request, wasm.len() as u64)?;
    confinement.filter();
    if let Err(refusal) = confinement.lock() {
        return Ok(control.send(&CompilerSays::Refused(refusal.to_string()), &[])?);
    }
    match compile(&wasm) {
        Err(error) => control.send(&CompilerSays::Invalid(error.to_string()), &[])?,
        Ok(artifact) => {
            let says = CompilerSays::Compiled { has_drivers: !artifact.drivers.is_empty() };
            for (file, bytes) in files.iter_mut().zip([&artifact.module, &artifact.drivers]) {
                file.write_all(bytes)?;
                file.rewind()?;
            }
            control.send(&says, &[files[0].as_fd(), files[1].as_fd()])?;
        }
    }
    Ok(())
}

/// A file in memory. It is not sealed when it is handed over: the supervisor trusts only the copy that it makes.
fn empty_file(name: &str) -> rustix::io::Result<File> {
    rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map(File::from)
}

/// Takes from this process what compiling does not need, so that a module made to exhaust the compiler cannot.
fn limit(request: &Compile, module_bytes: u64) -> rustix::io::Result<()> {
    let set = |resource, current, maximum| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })
    };
    // What is there before compiling begins is not counted.
    let bytes = request.memory_bytes_max.saturating_add(STACK_BYTES as u64).saturating_add(module_bytes);
    set(Resource::Data, bytes, bytes)?;
    // What is written to files in memory is no data to the kernel.
    set(Resource::Fsize, bytes, bytes)?;
    // The softer limit's signal tells what happened; the harder one's could have come from anybody.
    set(Resource::Cpu, request.cpu_seconds_max, request.cpu_seconds_max.saturating_add(1))
}

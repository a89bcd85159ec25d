//! The compiler process: compiles one hostile module within limits, hands the code over, and ends.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use super::shake_hands;
use crate::channel::control::{Compile, CompilerSays, Control};
use crate::process::reentry;
use crate::sandbox::compile::compile;
use crate::shm::region::sealed_file;

/// How long a supervisor may take to say what to compile.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Stack for the compiler: deeply nested code needs more than a main thread may have.
const STACK_BYTES: usize = 64 << 20;

/// Runs this process as a compiler, to its end.
pub(crate) fn main() -> ! {
    let control = Control::from_descriptor(reentry::settle());
    let Ok(()) = shake_hands(&control) else { std::process::exit(1) };
    let compiling = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || serve(&control));
    let done = compiling.is_ok_and(|compiling| compiling.join().is_ok_and(|result| result.is_ok()));
    std::process::exit(i32::from(!done))
}

fn serve(control: &Control) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (request, mut descriptors) = control.receive_with_descriptors::<Compile>(Some(REQUEST_TIME_MAX))?;
    limit(&request)?;
    let module = descriptors.pop().ok_or("no module came with the request")?;
    let mut wasm = Vec::new();
    File::from(module).read_to_end(&mut wasm)?;
    match compile(&wasm, request.code) {
        Err(error) => control.send(&CompilerSays::Invalid(error.to_string()), &[])?,
        Ok(artifact) => {
            let says = CompilerSays::Compiled { has_drivers: !artifact.drivers.is_empty() };
            let files: Vec<OwnedFd> =
                [("wasmpool-module", &artifact.module), ("wasmpool-drivers", &artifact.drivers)]
                    .iter()
                    .map(|(name, bytes)| sealed_file(name, bytes))
                    .collect::<Result<_, _>>()?;
            control.send(&says, &[files[0].as_fd(), files[1].as_fd()])?;
        }
    }
    Ok(())
}

/// Takes from this process what compiling does not need, so that a module made to exhaust the compiler cannot.
fn limit(request: &Compile) -> rustix::io::Result<()> {
    let most = |value| Rlimit { current: Some(value), maximum: Some(value) };
    rustix::process::setrlimit(Resource::Data, most(request.memory_bytes_max))?;
    rustix::process::setrlimit(Resource::Cpu, most(request.cpu_seconds_max))?;
    rustix::process::setrlimit(Resource::Core, most(0))
}

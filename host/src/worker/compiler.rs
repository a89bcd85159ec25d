//! The compiler process: compiles one hostile module within limits, hands the code over, and ends.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use super::shake_hands;
use crate::channel::control::{Compile, CompilerSays, Control};
use crate::process::jail::{Confinement, Inmate};
use crate::process::reentry;
use crate::sandbox::compile::{CompileError, compile_form};
use crate::sandbox::snapshot::Copied;

/// How long a supervisor may take to say what to compile.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// Stack for the compiler: deeply nested code needs more than a main thread may have.
const STACK_BYTES: usize = 64 << 20;

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Runs this process as a compiler, to its end.
pub(crate) fn main() -> ! {
    let control = Control::from_descriptor(reentry::settle());
    let Ok(confinement) = shake_hands(&control, Inmate::Compiler) else { std::process::exit(1) };
    let serve = move || serve(&control, confinement);
    let compiling = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(serve);
    let done = compiling.map_err(Into::into).and_then(|compiling| match compiling.join() {
        Ok(result) => result,
        // A panic has said its words.
        Err(_) => std::process::exit(1),
    });
    if let Err(error) = done {
        // The supervisor's file, once there is one.
        let _ = writeln!(std::io::stderr(), "{error}");
        std::process::exit(1)
    }
    std::process::exit(0)
}

fn serve(control: &Control, mut confinement: Confinement) -> Result<(), Trouble> {
    let (request, descriptors) = control.receive_with_descriptors::<Compile>(Some(REQUEST_TIME_MAX))?;
    let mut descriptors = descriptors.into_iter();
    let (Some(wasm_file), Some(module), Some(drivers), Some(last_words), region, None) = (
        descriptors.next(),
        descriptors.next(),
        descriptors.next(),
        descriptors.next(),
        descriptors.next().map(File::from),
        descriptors.next(),
    ) else {
        return Err("the supervisor sent other descriptors than promised".into());
    };
    rustix::stdio::dup2_stderr(last_words)?;
    let mut wasm = Vec::new();
    File::from(wasm_file).read_to_end(&mut wasm)?;
    limit(&request, wasm.len() as u64)?;
    confinement.filter();
    // Read while files still can be, and looked into by nobody but this jailed process.
    let copied = region.as_ref().map(Copied::read).transpose();
    if let Err(refusal) = confinement.lock() {
        return Ok(control.send(&CompilerSays::Refused(refusal.to_string()), &[])?);
    }
    let compiled = copied.map_err(CompileError::Unsuitable);
    match compiled.and_then(|copied| compile_form(&wasm, request.code, request.form, copied)) {
        // Told as if it had been noticed too late, which is the more frequent case.
        Err(error @ CompileError::OutOfMemory) => return Err(error.into()),
        Err(CompileError::Unsuitable(reason)) => control.send(&CompilerSays::Unsuitable(reason), &[])?,
        Err(error) => control.send(&CompilerSays::Invalid(error.to_string()), &[])?,
        Ok(artifact) => {
            File::from(module).write_all(&artifact.module)?;
            File::from(drivers).write_all(&artifact.drivers)?;
            control.send(&CompilerSays::Compiled, &[])?;
        }
    }
    Ok(())
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

//! From a module's bytes to machine code. Runs in the compiler process only.
//!
//! Compiling hostile input is the widest attack surface there is, and wasmtime does not count its time or memory as
//! bugs. So this is called in a process of its own, under limits that are not this file's business, and what it
//! returns is handed to workers without the supervisor ever loading it.

use std::borrow::Cow;

use super::outline::COMPONENTS_UNSUPPORTED;
use super::snapshot::{self, Copied};
use super::{catalog, driver, engine};
use crate::channel::control::{CodeKind, Form};

/// First bytes of every WebAssembly binary.
const MAGIC: &[u8] = b"\0asm";
/// What follows them in a component, where a module has its version.
const COMPONENT_LAYER: &[u8] = &[0x0d, 0, 1, 0];
/// Bytes of a module in text form. Its parser makes up to eighty times as many of them, in the process that asks.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Bytes of an unknown file that a message shows.
const SHOWN_BYTES_MAX: usize = 8;

/// Machine code of a module, in the form that the worker engine loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The module itself.
    pub module: Vec<u8>,
    /// Its batch drivers ([`super::driver`]); empty when it has no numeric task.
    pub drivers: Vec<u8>,
}

/// Why there is no machine code. All messages are one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompileError {
    /// Neither a binary nor a text module.
    #[error("not a WebAssembly module: starts with {starts_with}, expected \\0asm or text")]
    NotWasm {
        /// The first bytes, escaped.
        starts_with: String,
    },
    /// A component, where a module was expected.
    #[error("{COMPONENTS_UNSUPPORTED}")]
    Component,
    /// More text than is read.
    #[error(
        "a module text of {bytes} bytes, at most {TEXT_BYTES_MAX} are read: convert it to the binary form first"
    )]
    TextTooLong {
        /// How much there is.
        bytes: usize,
    },
    /// The text format has an error.
    #[error("invalid module text: {message} at line {line}, column {column}")]
    Text {
        /// What is wrong, in the parser's words.
        message: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The module is invalid, or uses what this engine does not offer; tells the byte offset where it is known.
    #[error("{0}")]
    Invalid(String),
    /// The module is valid, but its tasks cannot be listed.
    #[error(transparent)]
    Catalog(#[from] catalog::CatalogError),
    /// There can be no snapshot of the module, and why.
    #[error("{0}")]
    Unsuitable(String),
    /// There was not enough memory, and the compiler noticed in time.
    #[error("out of memory")]
    OutOfMemory,
    /// The engine itself cannot be set up, or failed at its own work.
    #[error("the compiler failed: {0}")]
    Engine(String),
}

/// Compiles a module in one of its forms; `copied` is the instance that a warmed one begins as.
///
/// # Errors
///
/// As [`compile`], and when there can be no snapshot of the module.
pub(crate) fn compile_form(
    wasm: &[u8],
    code: CodeKind,
    form: Form,
    copied: Option<Copied>,
) -> Result<Artifact, CompileError> {
    match (form, copied) {
        (Form::Plain, _) => compile(wasm, code),
        (Form::Instrumented, _) => {
            compile(&snapshot::instrument(wasm).map_err(CompileError::Unsuitable)?, code)
        }
        (Form::Warmed { module_bytes_max }, Some(copied)) => {
            let warmed = snapshot::warm(wasm, copied, module_bytes_max);
            compile(&warmed.map_err(CompileError::Unsuitable)?, code)
        }
        (Form::Warmed { .. }, None) => Err(CompileError::Engine("no instance to begin as".to_owned())),
    }
}

/// Validates and compiles a module in binary form, and the drivers for its numeric tasks.
///
/// # Errors
///
/// When the module is invalid, uses a refused proposal, or its tasks cannot be listed.
pub(crate) fn compile(wasm: &[u8], code: CodeKind) -> Result<Artifact, CompileError> {
    if is_component(wasm) {
        return Err(CompileError::Component);
    }
    let engine = engine::compiler_engine(code).map_err(|error| CompileError::Engine(one_line(&error)))?;
    // The catalog first: it knows our own limits and says plainly which one is exceeded.
    let signatures = catalog::read(wasm)?.signatures;
    let module = engine.precompile_module(wasm).map_err(|error| {
        if error.is::<wasmtime::OutOfMemory>() {
            return CompileError::OutOfMemory;
        }
        CompileError::Invalid(one_line(&error))
    })?;
    let drivers = if signatures.is_empty() {
        Vec::new()
    } else {
        let drivers = driver::generate(&signatures);
        engine.precompile_module(&drivers).map_err(|error| CompileError::Engine(one_line(&error)))?
    };
    Ok(Artifact { module, drivers })
}

/// A module in binary form: the bytes themselves, or what the text in them means.
///
/// The supervisor calls it, too, so the length of a text is bounded: its parser is safe code, and hungry.
///
/// # Errors
///
/// When the bytes are neither, or a component.
pub(crate) fn to_wasm(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CompileError> {
    let wasm = if bytes.starts_with(MAGIC) { Cow::Borrowed(bytes) } else { Cow::Owned(from_text(bytes)?) };
    // `(module binary ...)` can hold anything, so the check comes after the conversion.
    if is_component(&wasm) {
        return Err(CompileError::Component);
    }
    Ok(wasm)
}

fn from_text(bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let text = std::str::from_utf8(bytes).ok().filter(|_| wat::Detect::from_bytes(bytes).is_wasm());
    let Some(text) = text else {
        return Err(CompileError::NotWasm { starts_with: starts_with(bytes) });
    };
    if text_is_component(text) {
        return Err(CompileError::Component);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(CompileError::TextTooLong { bytes: text.len() });
    }
    wat::parse_str(text).map_err(|error| text_error(&error))
}

fn is_component(wasm: &[u8]) -> bool {
    wasm.strip_prefix(MAGIC).is_some_and(|rest| rest.starts_with(COMPONENT_LAYER))
}

/// Whether the first form after white space is a component. Behind a comment it is a syntax error instead.
fn text_is_component(text: &str) -> bool {
    let first = text.trim_start().strip_prefix('(').unwrap_or_default();
    first.trim_start().starts_with("component")
}

/// The first bytes for a message, escaped: `"PK\x03\x04"`, or `nothing`.
fn starts_with(bytes: &[u8]) -> String {
    match &bytes[..bytes.len().min(SHOWN_BYTES_MAX)] {
        [] => "nothing".to_owned(),
        first => format!("\"{}\"", first.escape_ascii()),
    }
}

/// Takes the parser's message apart, which draws the line and an arrow below it.
fn text_error(error: &wat::Error) -> CompileError {
    let drawn = error.to_string();
    let (message, rest) =
        drawn.split_once("\n     --> ").or_else(|| drawn.split_once(" at ")).unwrap_or((&drawn, ""));
    let place = rest.lines().next().unwrap_or_default();
    let mut numbers = place.rsplit(':').map(|number| number.trim().parse().unwrap_or(0));
    let (column, line) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    CompileError::Text { message: message.lines().next().unwrap_or_default().to_owned(), line, column }
}

/// An error with its causes in one line.
fn one_line(error: &wasmtime::Error) -> String {
    let chain: Vec<String> = error
        .chain()
        .map(|cause| cause.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    chain.join(": ")
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;
    use crate::channel::control::InstanceLimits;
    use crate::sandbox::engine::{WorkerLimits, worker_engine};

    fn message(bytes: &[u8]) -> String {
        let error =
            to_wasm(bytes).and_then(|wasm| compile(&wasm, CodeKind::default())).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    }

    #[test]
    fn a_worker_runs_what_was_compiled() {
        let wasm = to_wasm(
            b"(module (func (export \"half\") (param f64) (result f64) \
            (f64.div (local.get 0) (f64.const 2))))",
        )
        .unwrap();
        let artifact = compile(&wasm, CodeKind::default()).unwrap();
        let instance = InstanceLimits { memory_bytes: 1 << 20, ..InstanceLimits::default() };
        let limits = WorkerLimits { instance, code: CodeKind::default(), keep_resident_bytes: 0 };
        let engine = worker_engine(&limits).unwrap();
        // SAFETY: both artifacts come from `compile` of this very process, unchanged.
        #[allow(unsafe_code)]
        let [module, drivers] = [&artifact.module, &artifact.drivers]
            .map(|bytes| unsafe { Module::deserialize(&engine, bytes).unwrap() });
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let half = instance.get_typed_func::<f64, f64>(&mut store, "half").unwrap();
        assert_eq!(half.call(&mut store, 3.0).unwrap(), 1.5);
        assert!(drivers.get_export(&driver::export_packed(0)).is_some());
    }

    #[test]
    fn a_module_without_numeric_tasks_has_no_drivers() {
        let artifact = compile(&to_wasm(b"(module (memory 1))").unwrap(), CodeKind::default()).unwrap();
        assert!(!artifact.module.is_empty() && artifact.drivers.is_empty());
    }

    #[test]
    fn binaries_pass_as_they_are_and_text_is_converted() {
        let wasm = b"\0asm\x01\0\0\0";
        assert!(matches!(to_wasm(wasm), Ok(Cow::Borrowed(bytes)) if bytes == wasm));
        assert_eq!(*to_wasm(b" ;; an empty module\n(module)").unwrap(), *wasm);
    }

    #[test]
    fn messages_name_what_is_wrong_and_where() {
        let cases: [(&[u8], &str); 9] = [
            (b"PK\x03\x04rest of it", "not a WebAssembly module: starts with \"PK\\x03\\x04rest\", expected"),
            (b"", "not a WebAssembly module: starts with nothing, expected \\0asm or text"),
            (b"hello", "not a WebAssembly module: starts with \"hello\""),
            (b"\0asm\x0d\0\x01\0", "components are not supported as MODULE yet"),
            (b"( component)", "components are not supported as MODULE yet"),
            (b"(module binary \"\\00asm\\0d\\00\\01\\00\")", "components are not supported as MODULE yet"),
            (
                b"(module\n  (func (export \"f\")\n    i32.foo))",
                "invalid module text: unknown operator or unexpected token at line 3, column 5",
            ),
            (b"\0asm\x01\0\0\0\x01\x05", "at byte 0x"),
            (b"(module (func (result i32) i64.const 1))", "type mismatch"),
        ];
        for (bytes, expected) in cases {
            let message = message(bytes);
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }

    #[test]
    fn an_invalid_body_is_named_with_its_offset() {
        let message = message(b"(module (func (result i32) i64.const 1))");
        assert!(message.contains("offset") || message.contains("at byte"), "{message}");
    }

    #[test]
    fn long_lines_of_text_still_have_a_place() {
        let text = format!("(module {} (func i32.foo))", "(; comment ;)".repeat(100));
        assert!(message(text.as_bytes()).ends_with("at line 1, column 1316"), "{}", message(text.as_bytes()));
    }
}

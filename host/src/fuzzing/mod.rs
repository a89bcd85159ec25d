//! Fuzz targets: one function per decoder that reads what somebody else wrote.
//!
//! Each takes any bytes at all, does with them what the supervisor would, and panics when something is not as it has
//! to be: an index out of bounds, a call in two places, a character that takes over a terminal. They are built for
//! tests alone. `tests/tests/fuzz.rs` runs them over a corpus and its mutations; `tests/fuzz` lets a coverage-guided
//! fuzzer drive the same functions.

mod bytes;
mod frames;
mod objects;
mod values;

pub(crate) use bytes::Bytes;

/// A decoder under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which its corpus has, too.
    pub name: &'static str,
    /// Takes any bytes.
    ///
    /// # Panics
    ///
    /// When the decoder is wrong.
    pub run: fn(&[u8]),
    /// What honest encoders write: the first corpus.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "task_section", run: crate::cli::fuzzing::task_section, seeds: values::sections },
    Target { name: "module", run: crate::cli::fuzzing::module, seeds: values::modules },
    Target { name: "codes", run: values::codes, seeds: values::code_seeds },
    Target { name: "frames", run: frames::run, seeds: frames::seeds },
    Target { name: "chunk", run: crate::pool::fuzzing::chunk, seeds: crate::pool::fuzzing::seeds },
    Target { name: "results", run: crate::pool::fuzzing::results, seeds: values::results },
    Target { name: "shared_objects", run: objects::run, seeds: objects::seeds },
    Target {
        name: "command_line",
        run: crate::cli::fuzzing::command_line,
        seeds: crate::cli::fuzzing::command_lines,
    },
    Target { name: "inputs", run: crate::cli::fuzzing::inputs, seeds: crate::cli::fuzzing::input_seeds },
    Target { name: "records", run: crate::cli::fuzzing::records, seeds: values::results },
    Target { name: "printed", run: values::printed, seeds: values::lines },
];

/// The target of this name.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn target(name: &str) -> Target {
    *TARGETS.iter().find(|target| target.name == name).expect("the name of a target")
}

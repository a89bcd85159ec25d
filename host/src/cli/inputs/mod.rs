//! From what the user gave to the inputs of calls.
//!
//! ```text
//! -5..5          a range      ──► Piece::Range          one call per integer, never written out
//! '{"a": 1}'     a JSON value ──► bound to parameters ──► Piece::Json("[1]")
//! Ada            a bare word  ──► "Ada", where the task wants a string
//! stdin          JSON Lines   ──► one Piece::Json per line, read as the calls progress
//! ```
//!
//! A program takes texts instead: `-5..5` and `Ada` mean the same to it, `{"a": 1}` is a text of eight characters,
//! and each is one `Piece::Text`.
//!
//! Values are passed on as they were written, byte for byte. What is checked here is what a call could not report
//! better: syntax, nesting, number and names of arguments, ranges against integer types. Whether a value has the
//! right type is seen where it is decoded, by [`cells`](super::cells) or in the guest.

mod bind;
mod kind;
mod lines;
mod range;

pub(crate) use bind::Binder;
pub(crate) use lines::{JsonLines, LINE_BYTES_MAX, refuse_terminal};

use std::fmt;
use std::io;

use crate::printable::{printable, printable_name};

/// What the verb binds an input to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// `map`: the value is the one argument.
    One,
    /// `starmap`, `apply`: an array holds the arguments.
    Many,
    /// `map` of a program: the value is a text. What is no string is the text that it is written with.
    Text,
}

/// How inputs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// JSON, and bare words where the task wants a string.
    Json,
    /// Each input is a string as it stands (`--strings`).
    Strings,
}

/// What the task wants, as far as its module says. `names` and `kinds` are equally long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    /// The task's name.
    pub(crate) task: &'a str,
    /// A parameter without a name cannot be bound by it.
    pub(crate) names: &'a [Option<String>],
    /// Types as written in the task's source (`i64`, `&str`, `Vec<f64>`, `Point`), or wasm's.
    pub(crate) kinds: &'a [String],
}

/// Inputs of one or more calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The integers from `start` on, one call each.
    Range { start: i64, length: u64 },
    /// One call: a JSON array with its arguments in order.
    Json(String),
    /// One run of a program: its input.
    Text(String),
}

impl Piece {
    /// How many calls it gives.
    pub(crate) fn calls(&self) -> u64 {
        match self {
            Self::Range { length, .. } => *length,
            Self::Json(_) | Self::Text(_) => 1,
        }
    }
}

/// Why there is no next input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The user has to change something: exit code 2.
    #[error("{0}")]
    Refused(String),
    /// Exit code 1.
    #[error("stdin cannot be read")]
    Unreadable(#[source] io::Error),
}

impl Parameters<'_> {
    fn count(&self) -> usize {
        self.kinds.len()
    }

    fn arity_error(&self, given: usize) -> String {
        let plural = if given == 1 { "" } else { "s" };
        let task = printable_name(self.task);
        match self.count() {
            0 => format!("{given} argument{plural} given, task `{task}` takes none"),
            wanted => format!("{given} argument{plural} given, task `{task}` takes {wanted} {self}"),
        }
    }
}

/// As in a signature: `(a: i64, b: i64)`.
impl fmt::Display for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.names.iter().zip(self.kinds).map(|(name, kind)| match name {
            Some(name) => format!("{name}: {kind}"),
            None => kind.clone(),
        });
        let parameters: Vec<String> = parameters.collect();
        write!(f, "({})", printable(&parameters.join(", "), 200))
    }
}

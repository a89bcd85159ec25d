//! The command line: from what was typed to calls, and from their ends to lines on stdout.
//!
//! ```text
//! args ──► request ──► inputs ──► (the pool) ──► output ──► stdout
//! as typed  as meant    calls                     lines      exit tells how it went
//!                          build, inspect: what MODULE is
//! ```
//!
//! This floor owns everything that a person sees: spelling, help, messages, formats, exit codes. It decides nothing
//! about scheduling and trusts nothing that a module says: every text of a module goes through [`printable`] before
//! a terminal sees it.
//!
//! Values are JSON from end to end and are never converted on the way, so that integers of any size survive; only
//! numeric tasks leave JSON, in [`cells`].

pub(crate) mod args;
pub(crate) mod build;
pub(crate) mod cells;
pub(crate) mod exit;
pub(crate) mod inputs;
pub(crate) mod inspect;
pub(crate) mod json;
pub(crate) mod output;
pub(crate) mod quantity;
pub(crate) mod request;

//! What a task returned, and how it is told to the host.
//!
//! Whether a task can fail is asked of the compiler, not guessed from a type's name: [`Returned`] has inherent items
//! for `Result`, and every other type falls back on those of the trait [`Plain`]. An alias of `Result` is one, and
//! somebody's own type with that name is not.

use std::convert::Infallible;
use std::fmt::Display;
use std::io::Write;

use serde::Serialize;
use wasmpool_abi::section::{FLAG_FALLIBLE, FLAG_NO_RESULT, FLAG_NUMERIC};
use wasmpool_abi::{Codec, Done};

use crate::codec;

/// What a task returned.
pub struct Returned<R>(pub R);

impl<T, E> Returned<Result<T, E>> {
    /// Whether the task can fail.
    pub const FALLIBLE: bool = true;

    /// The value or the error.
    #[inline]
    pub fn into_result(self) -> Result<T, E> {
        self.0
    }
}

impl Returned<()> {
    /// Whether the task returns nothing.
    pub const NO_RESULT: bool = true;
}

impl<E> Returned<Result<(), E>> {
    /// Whether the task returns nothing.
    pub const NO_RESULT: bool = true;
}

/// What holds for [`Returned`] where it says nothing else itself.
pub trait Plain: Sized {
    /// What was returned.
    type Value;
    /// Whether the task can fail.
    const FALLIBLE: bool = false;
    /// Whether the task returns nothing.
    const NO_RESULT: bool = false;

    /// The value; there is no error.
    ///
    /// # Errors
    ///
    /// None.
    fn into_result(self) -> Result<Self::Value, Infallible>;
}

impl<R> Plain for Returned<R> {
    type Value = R;

    #[inline]
    fn into_result(self) -> Result<R, Infallible> {
        Ok(self.0)
    }
}

/// Compiles for results that can be told to the host.
pub fn result<T: Serialize, E: Display>(_: Result<T, E>) {}

/// The flags of a task's record.
#[must_use]
pub const fn flags(numeric: bool, no_result: bool, fallible: bool) -> u8 {
    let numeric = if numeric { FLAG_NUMERIC } else { 0 };
    let no_result = if no_result { FLAG_NO_RESULT } else { 0 };
    let fallible = if fallible { FLAG_FALLIBLE } else { 0 };
    numeric | no_result | fallible
}

/// The place for a call's answer.
pub struct Answer<'a> {
    codec: Codec,
    bytes: &'a mut Vec<u8>,
}

impl<'a> Answer<'a> {
    /// An answer to be written to `bytes`, which are empty.
    pub(crate) fn new(codec: Codec, bytes: &'a mut Vec<u8>) -> Self {
        Self { codec, bytes }
    }

    /// Writes the answer, and says of what kind it is; a task without a result answers with no bytes.
    pub fn give<T: Serialize, E: Display>(self, result: Result<T, E>, no_result: bool) -> Done {
        match result {
            Ok(_) if no_result => Done::Returned,
            Ok(value) => match codec::encode(self.codec, &value, self.bytes) {
                Ok(()) => Done::Returned,
                Err(why) => self.fail(&format_args!("the result cannot be encoded: {why}")),
            },
            Err(error) => self.fail(&error),
        }
    }

    fn fail(self, why: &dyn Display) -> Done {
        self.bytes.clear();
        if write!(self.bytes, "{why}").is_err() {
            // Memory takes all that is written to it, so it was the error's own `Display` that failed.
            self.bytes.extend_from_slice(b"the task failed with an error that cannot be displayed");
        }
        Done::Failed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;

    use super::*;

    type Alias = Result<i64, String>;

    fn give<T: Serialize, E: Display>(result: Result<T, E>, no_result: bool) -> (Done, String) {
        let mut bytes = Vec::new();
        let done = Answer::new(Codec::Json, &mut bytes).give(result, no_result);
        (done, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_result_is_known_by_its_type_and_not_by_its_name() {
        struct Result;
        let kinds = [
            (Returned::<Alias>::FALLIBLE, Returned::<Alias>::NO_RESULT),
            (Returned::<io::Result<()>>::FALLIBLE, Returned::<io::Result<()>>::NO_RESULT),
            (Returned::<()>::FALLIBLE, Returned::<()>::NO_RESULT),
            (Returned::<i64>::FALLIBLE, Returned::<i64>::NO_RESULT),
            (Returned::<Result>::FALLIBLE, Returned::<Result>::NO_RESULT),
        ];
        assert_eq!(kinds, [(true, false), (true, true), (false, true), (false, false), (false, false)]);
    }

    #[test]
    fn a_value_an_error_and_nothing_are_told_apart() {
        assert_eq!(give(Returned(7).into_result(), false), (Done::Returned, "7".to_owned()));
        assert_eq!(give(Returned(()).into_result(), true), (Done::Returned, String::new()));
        let failed: Alias = Err("no luck".to_owned());
        assert_eq!(give(Returned(failed).into_result(), false), (Done::Failed, "no luck".to_owned()));
    }

    #[test]
    fn a_result_that_cannot_be_encoded_fails_the_call() {
        let keyed = [BTreeMap::from([((1, 2), 3)])];
        let why = "the result cannot be encoded: key must be a string";
        assert_eq!(give(Returned(keyed).into_result(), false), (Done::Failed, why.to_owned()));
    }
}

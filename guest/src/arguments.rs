//! The arguments of a call, decoded one by one so that a message can name the wrong one.
//!
//! A task's arguments are a nested list, `(first, (second, ()))`, so that there may be any number of them.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error, IgnoredAny, SeqAccess, Visitor};

/// A list of arguments, read from a sequence that may come from any codec.
pub trait Arguments: Sized {
    /// Reads the list from `sequence`, which stands behind the first `position` arguments.
    ///
    /// # Errors
    ///
    /// When an argument is wrong or missing, or there are too many: with a message that says which.
    fn read<'de, S: SeqAccess<'de>>(
        sequence: &mut S,
        names: &[&str],
        position: usize,
    ) -> Result<Self, S::Error>;
}

impl<First: DeserializeOwned, Rest: Arguments> Arguments for (First, Rest) {
    fn read<'de, S: SeqAccess<'de>>(
        sequence: &mut S,
        names: &[&str],
        position: usize,
    ) -> Result<Self, S::Error> {
        let first = match sequence.next_element() {
            Ok(Some(first)) => first,
            Ok(None) => return Err(missing(names, position)),
            Err(error) => return Err(wrong(names, position, &error)),
        };
        Ok((first, Rest::read(sequence, names, position + 1)?))
    }
}

impl Arguments for () {
    fn read<'de, S: SeqAccess<'de>>(
        sequence: &mut S,
        names: &[&str],
        position: usize,
    ) -> Result<Self, S::Error> {
        let mut given = position;
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            given += 1;
        }
        if given > position { Err(surplus(names, given)) } else { Ok(()) }
    }
}

#[cold]
fn missing<E: Error>(names: &[&str], position: usize) -> E {
    E::custom(format_args!("missing argument `{}` ({} of {})", names[position], position + 1, names.len()))
}

#[cold]
fn wrong<E: Error>(names: &[&str], position: usize, why: &E) -> E {
    E::custom(format_args!("argument `{}`: {why}", names[position]))
}

#[cold]
fn surplus<E: Error>(names: &[&str], given: usize) -> E {
    match names.len() {
        0 => E::custom(format_args!("too many arguments: {given} given, the task takes none")),
        taken => E::custom(format_args!("too many arguments: {given} given, the task takes {taken}")),
    }
}

/// Reads a list of arguments out of a codec that tells what it finds.
pub(crate) struct List<'a, A> {
    names: &'a [&'a str],
    arguments: PhantomData<A>,
}

impl<'a, A> List<'a, A> {
    /// A reader for parameters of these names.
    pub(crate) const fn new(names: &'a [&'a str]) -> Self {
        Self { names, arguments: PhantomData }
    }
}

impl<'de, A: Arguments> Visitor<'de> for List<'_, A> {
    type Value = A;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of the task's arguments")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<A, S::Error> {
        A::read(&mut sequence, self.names, 0)
    }
}

/// What a task may take by reference: a call decodes the owner, and lends it to the task.
///
/// Beside the types that are their own owners there are `str`, slices and `Path`.
pub trait Lent {
    /// What is decoded.
    type Owner: DeserializeOwned + Borrow<Self>;
}

impl<T: for<'de> Deserialize<'de>> Lent for T {
    type Owner = T;
}

impl Lent for str {
    type Owner = String;
}

impl<T: for<'de> Deserialize<'de>> Lent for [T] {
    type Owner = Vec<T>;
}

impl Lent for Path {
    type Owner = PathBuf;
}

/// Lends an argument to the task.
#[inline]
pub fn lend<T: Lent + ?Sized>(owner: &T::Owner) -> &T {
    owner.borrow()
}

/// Compiles for types that can be decoded.
///
/// Not by `DeserializeOwned`, which means the same, but for which the compiler does not say what to derive.
pub const fn parameter<T: for<'de> Deserialize<'de>>() {}

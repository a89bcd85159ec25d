//! The shape of a caller's types, to be checked against a task before anything runs.
//!
//! `module.task::<(i64, f64), i64>("f")` says how many parameters the caller means and which of them are plain
//! numbers. Rust offers no such reflection, but [`std::any::type_name`] spells tuples and primitive types out, and
//! that is all that is read here. What is not recognised is opaque and is checked when a value is decoded.

/// What is known of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One of the primitive types, by its name.
    Scalar(&'static str),
    /// A tuple of these; the unit is a tuple of none.
    Tuple(Vec<Shape>),
    /// Something else, of which only its own decoder knows.
    Opaque,
}

const SCALARS: [&str; 14] =
    ["bool", "char", "i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128", "f32", "f64"];

impl Shape {
    /// The shape of `T`.
    pub(crate) fn of<T: ?Sized>() -> Self {
        Self::parse(std::any::type_name::<T>())
    }

    fn parse(name: &str) -> Self {
        let name = name.trim();
        if let Some(scalar) = scalar(name) {
            return Self::Scalar(scalar);
        }
        match name.strip_prefix('(').and_then(|name| name.strip_suffix(')')) {
            Some(elements) => Self::Tuple(split(elements).into_iter().map(Self::parse).collect()),
            None => Self::Opaque,
        }
    }

    /// What a task with parameters of these types is given: one per element of a tuple, or the value itself.
    pub(crate) fn arguments(self) -> Vec<Self> {
        match self {
            Self::Tuple(elements) => elements,
            other => vec![other],
        }
    }

    /// Whether a parameter or result written as `kind` in the task's source can be what this is.
    ///
    /// Only two primitive types can be told to differ; everything else may fit.
    pub(crate) fn may_be(&self, kind: &str) -> bool {
        match (self, scalar(kind)) {
            (Self::Scalar(own), Some(other)) => *own == other,
            (Self::Tuple(elements), Some(_)) => !elements.is_empty(),
            _ => true,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scalar(name) => f.write_str(name),
            Self::Tuple(elements) => {
                let elements: Vec<_> = elements.iter().map(ToString::to_string).collect();
                write!(f, "({})", elements.join(", "))
            }
            Self::Opaque => f.write_str("_"),
        }
    }
}

fn scalar(name: &str) -> Option<&'static str> {
    SCALARS.into_iter().find(|scalar| *scalar == name)
}

/// Splits at commas outside of brackets.
fn split(elements: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in elements.char_indices() {
        match character {
            '(' | '<' | '[' => depth += 1,
            ')' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&elements[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&elements[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn tuples_and_scalars_are_recognised() {
        use Shape::{Opaque, Scalar, Tuple};
        assert_eq!(Shape::of::<i64>(), Scalar("i64"));
        assert_eq!(Shape::of::<()>(), Tuple(vec![]));
        assert_eq!(Shape::of::<(i64,)>(), Tuple(vec![Scalar("i64")]));
        assert_eq!(Shape::of::<(f64, String)>(), Tuple(vec![Scalar("f64"), Opaque]));
        assert_eq!(
            Shape::of::<(HashMap<String, (u8, u8)>, [i64; 3], (bool, char))>(),
            Tuple(vec![Opaque, Opaque, Tuple(vec![Scalar("bool"), Scalar("char")])])
        );
        assert_eq!(Shape::of::<Vec<i64>>(), Opaque);
        assert_eq!(Shape::of::<[i64; 2]>(), Opaque);
    }

    #[test]
    fn only_different_scalars_are_known_to_differ() {
        let shape = Shape::of::<i64>();
        assert!(shape.may_be("i64"));
        assert!(!shape.may_be("f64"));
        assert!(shape.may_be("Money"));
        assert!(Shape::of::<String>().may_be("&str"));
        assert!(!Shape::of::<()>().may_be("i64"));
    }
}

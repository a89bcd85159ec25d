//! What a parameter's type, as its source spells it, says about the inputs that it takes.

/// The types that matter to inputs; everything else is for the guest to decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string; an optional one also takes `null`.
    Text { optional: bool },
    /// An integer within these bounds.
    Integer { min: i128, max: i128 },
    /// A floating-point number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A structure, a list, a type of the author's own.
    Opaque,
}

impl Kind {
    /// Reads a type as Rust source, with any spaces, paths and references in it.
    pub(super) fn of(source: &str) -> Self {
        let name = unreferenced(source.trim());
        if let Some(inner) = argument_of(name, "Option") {
            return match Self::of(inner) {
                Self::Text { .. } => Self::Text { optional: true },
                other => other,
            };
        }
        if let Some(inner) = argument_of(name, "Box").or_else(|| argument_of(name, "Cow")) {
            let inner = inner.rsplit_once(',').map_or(inner, |(_lifetime, inner)| inner);
            return match Self::of(inner) {
                Self::Text { optional } => Self::Text { optional },
                _ => Self::Opaque,
            };
        }
        Self::of_path(name)
    }

    fn of_path(name: &str) -> Self {
        let integer = |min, max| Self::Integer { min, max };
        match last_segment(name) {
            "String" | "str" | "char" | "PathBuf" => Self::Text { optional: false },
            "i8" => integer(i8::MIN.into(), i8::MAX.into()),
            "i16" => integer(i16::MIN.into(), i16::MAX.into()),
            // The guest's addresses have 32 bits.
            "i32" | "isize" => integer(i32::MIN.into(), i32::MAX.into()),
            "i64" => integer(i64::MIN.into(), i64::MAX.into()),
            "i128" => integer(i128::MIN, i128::MAX),
            "u8" => integer(0, u8::MAX.into()),
            "u16" => integer(0, u16::MAX.into()),
            "u32" | "usize" => integer(0, u32::MAX.into()),
            "u64" => integer(0, u64::MAX.into()),
            // No range reaches further up.
            "u128" => integer(0, i128::MAX),
            "f32" | "f64" => Self::Float,
            "bool" => Self::Boolean,
            _ => Self::Opaque,
        }
    }
}

/// Without `&`, a lifetime and `mut` in front.
fn unreferenced(name: &str) -> &str {
    let Some(referent) = name.strip_prefix('&') else {
        return name;
    };
    let referent = referent.trim_start();
    let referent = match referent.strip_prefix('\'') {
        Some(lifetime) => lifetime.split_once(' ').map_or("", |(_lifetime, rest)| rest),
        None => referent,
    };
    unreferenced(referent.strip_prefix("mut ").unwrap_or(referent).trim_start())
}

/// `T` of `path::generic<T>`.
fn argument_of<'a>(name: &'a str, generic: &str) -> Option<&'a str> {
    let (path, arguments) = name.split_once('<')?;
    let inner = arguments.trim_end().strip_suffix('>')?;
    (last_segment(path) == generic).then_some(inner.trim())
}

fn last_segment(path: &str) -> &str {
    path.rsplit_once("::").map_or(path, |(_path, last)| last).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: Kind) {
        assert_eq!(Kind::of(source), expected, "{source}");
    }

    #[test]
    fn strings_are_seen_in_every_spelling() {
        for source in
            ["String", "&str", "&'static str", "& 'a str", "& str", "std :: string :: String", "char"]
        {
            check(source, Kind::Text { optional: false });
        }
        for source in ["Box<str>", "Cow<'a, str>", "std::borrow::Cow < 'static , str >"] {
            check(source, Kind::Text { optional: false });
        }
        for source in ["Option<String>", "Option < & 'a str >", "core::option::Option<Box<str>>"] {
            check(source, Kind::Text { optional: true });
        }
    }

    #[test]
    fn scalars_know_their_ranges_and_the_rest_is_opaque() {
        check("i8", Kind::Integer { min: -128, max: 127 });
        check("usize", Kind::Integer { min: 0, max: 4_294_967_295 });
        check("Option<u8>", Kind::Integer { min: 0, max: 255 });
        check("f64", Kind::Float);
        check("bool", Kind::Boolean);
        for source in [
            "Vec<String>",
            "Point",
            "(i64, i64)",
            "[u8; 4]",
            "Box<i64>",
            "",
            "&",
            "&'a",
            "Option<",
            "Option",
            "<>",
        ] {
            check(source, Kind::Opaque);
        }
    }
}

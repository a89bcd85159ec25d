//! Floats that JSON lacks, as the texts `"NaN"`, `"Infinity"` and `"-Infinity"`, in both directions.
//!
//! `serde_json` writes them as `null`, which would make a failed division look like a value that is absent; and it
//! would refuse to read what we write instead. No hook of it sees them, so [`write`] wraps its serializer and [`read`]
//! its deserializer: everything is handed through, wrapped again where there are values inside, until a float comes.
//! Keys of maps are handed through bare, for JSON's are texts anyway.
//!
//! What serde itself buffers before it knows the type (untagged enums, flattened fields) is not read as a float.

mod read;
mod write;

pub(crate) use read::FloatsFromText;
pub(crate) use write::FloatsAsText;

/// The text for a float that is not finite.
fn text(float: f64) -> &'static str {
    if float.is_nan() {
        "NaN"
    } else if float > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// The float that a text stands for.
fn float(text: &str) -> Option<f64> {
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().find(|float| self::text(*float) == text)
}

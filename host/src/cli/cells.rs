//! Between JSON and the 64-bit cells in which numeric tasks take their arguments and give their results.
//!
//! ```text
//! cell   i32: sign-extended    i64: as it is    f32: its bits, upper half zero    f64: its bits
//! ```
//!
//! Integers are exact and signed, as wasm has them. JSON has no NaN and no infinities: the strings `"NaN"`,
//! `"Infinity"` and `"-Infinity"` stand for them in both directions.

use serde_json::value::RawValue;

use super::json;
use crate::printable::{printable, printable_name};
use crate::sandbox::driver::Number;

/// Appends a cell for each argument in `arguments_json`, a JSON array, to `out`.
///
/// `names` are for messages only; it may be shorter than `numbers`.
///
/// # Errors
///
/// A message that names the argument, its value and what was expected. `out` is then as before.
pub(crate) fn cells(
    arguments_json: &str,
    numbers: &[Number],
    names: &[Option<String>],
    out: &mut Vec<u64>,
) -> Result<(), String> {
    let (arguments, count) =
        json::elements(arguments_json, numbers.len()).map_err(|fault| fault.problem.to_string())?;
    if count != numbers.len() {
        return Err(format!("{count} arguments given, {} expected", numbers.len()));
    }
    let before = out.len();
    for (index, (argument, number)) in arguments.iter().zip(numbers).enumerate() {
        match cell(argument, *number) {
            Ok(cell) => out.push(cell),
            Err(reason) => {
                out.truncate(before);
                let name = names.get(index).and_then(Option::as_deref);
                let name = name.map(|name| format!(" (`{}`)", printable_name(name))).unwrap_or_default();
                return Err(format!("argument {}{name}: {reason}", index + 1));
            }
        }
    }
    Ok(())
}

/// Appends results as JSON: nothing for none, a number for one, an array for several.
pub(crate) fn write_cells(cells: &[u64], numbers: &[Number], out: &mut Vec<u8>) {
    match (cells, numbers) {
        ([], _) => {}
        ([cell], [number]) => write_cell(*cell, *number, out),
        _ => {
            for (index, (cell, number)) in cells.iter().zip(numbers).enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                write_cell(*cell, *number, out);
            }
            out.push(b']');
        }
    }
}

fn cell(argument: &RawValue, number: Number) -> Result<u64, String> {
    let text = argument.get();
    match number {
        Number::I32 => integer(text, number, i32::MIN.into(), i32::MAX.into()).map(i64::cast_unsigned),
        Number::I64 => integer(text, number, i64::MIN, i64::MAX).map(i64::cast_unsigned),
        Number::F32 => match named_float(text) {
            // The double is one of three that every width has.
            Some(float) => Ok((float as f32).to_bits().into()),
            None => match text.parse::<f32>() {
                Ok(float) if float.is_finite() => Ok(float.to_bits().into()),
                parsed => Err(no_float(text, number, parsed.is_ok())),
            },
        },
        Number::F64 => match named_float(text) {
            Some(float) => Ok(float.to_bits()),
            None => match text.parse::<f64>() {
                Ok(float) if float.is_finite() => Ok(float.to_bits()),
                parsed => Err(no_float(text, number, parsed.is_ok())),
            },
        },
    }
}

fn integer(text: &str, number: Number, min: i64, max: i64) -> Result<i64, String> {
    let parsed: Result<i64, _> = text.parse();
    match parsed {
        Ok(integer) if (min..=max).contains(&integer) => Ok(integer),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
            Err(format!("{} is out of range for {number} ({min}..={max})", printable(text, 40)))
        }
        _ => Err(format!("{} is no integer, expected {number}", printable(text, 40))),
    }
}

fn named_float(text: &str) -> Option<f64> {
    match text {
        "\"NaN\"" => Some(f64::NAN),
        "\"Infinity\"" => Some(f64::INFINITY),
        "\"-Infinity\"" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn no_float(text: &str, number: Number, is_number: bool) -> String {
    let shown = printable(text, 40);
    if is_number {
        format!("{shown} is out of range for {number}")
    } else {
        format!(r#"{shown} is no number, expected {number} or "NaN", "Infinity", "-Infinity""#)
    }
}

fn write_cell(cell: u64, number: Number, out: &mut Vec<u8>) {
    match number {
        // The upper half only repeats the sign.
        Number::I32 => out.extend_from_slice(itoa::Buffer::new().format(cell as i32).as_bytes()),
        Number::I64 => out.extend_from_slice(itoa::Buffer::new().format(cell.cast_signed()).as_bytes()),
        Number::F32 => write_float(f32::from_bits(cell as u32), out),
        Number::F64 => write_float(f64::from_bits(cell), out),
    }
}

/// The shortest decimal that reads back as the same float of the same width.
pub(super) fn write_float<F: ryu::Float + Into<f64>>(float: F, out: &mut Vec<u8>) {
    let wide: f64 = float.into();
    let text: &[u8] = match wide {
        _ if wide.is_finite() => {
            return out.extend_from_slice(ryu::Buffer::new().format_finite(float).as_bytes());
        }
        _ if wide.is_nan() => b"\"NaN\"",
        _ if wide > 0.0 => b"\"Infinity\"",
        _ => b"\"-Infinity\"",
    };
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use Number::{F32, F64, I32, I64};

    use super::*;

    fn read(arguments: &str, numbers: &[Number]) -> Result<Vec<u64>, String> {
        let mut out = vec![7];
        let read = cells(arguments, numbers, &[Some("n".to_owned()), None], &mut out);
        assert_eq!(out.remove(0), 7);
        assert!(read.is_ok() || out.is_empty());
        read.map(|()| out)
    }

    fn check_refused(arguments: &str, numbers: &[Number], expected: &str) {
        assert_eq!(read(arguments, numbers), Err(expected.to_owned()), "{arguments}");
    }

    fn check_round_trip(json: &str, numbers: &[Number]) {
        let arguments = if json.starts_with('[') { json.to_owned() } else { format!("[{json}]") };
        let cells = read(&arguments, numbers);
        let mut out = Vec::new();
        write_cells(&cells.expect("numbers"), numbers, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), json);
    }

    #[test]
    fn numbers_come_back_as_they_went_in() {
        for json in ["0", "-1", "2147483647", "-2147483648"] {
            check_round_trip(json, &[I32]);
        }
        for json in ["9007199254740993", "9223372036854775807", "-9223372036854775808"] {
            check_round_trip(json, &[I64]);
        }
        for json in [
            "1.0",
            "-0.0",
            "0.1",
            "1e16",
            "5e-324",
            "1.7976931348623157e308",
            "\"NaN\"",
            "\"Infinity\"",
            "\"-Infinity\"",
        ] {
            check_round_trip(json, &[F64]);
        }
        for json in ["1.0", "0.1", "16777216.0", "3.4028235e38", "1e-45", "\"NaN\"", "\"-Infinity\""] {
            check_round_trip(json, &[F32]);
        }
        check_round_trip("[1,-2,0.5,\"NaN\"]", &[I32, I64, F32, F64]);
        check_round_trip("", &[]);
    }

    #[test]
    fn cells_have_the_documented_bits() {
        assert_eq!(read("[-1]", &[I32]), Ok(vec![u64::MAX]));
        assert_eq!(read("[-1]", &[I64]), Ok(vec![u64::MAX]));
        assert_eq!(read("[-0]", &[I64]), Ok(vec![0]));
        assert_eq!(read("[-1.5]", &[F32]), Ok(vec![0xbfc0_0000]));
        assert_eq!(read("[2]", &[F64]), Ok(vec![0x4000_0000_0000_0000]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        check_refused(
            "[4294967296]",
            &[I32],
            "argument 1 (`n`): 4294967296 is out of range for i32 (-2147483648..=2147483647)",
        );
        check_refused(
            "[1, 18446744073709551615]",
            &[I32, I64],
            "argument 2: 18446744073709551615 is out of range for i64 (-9223372036854775808..=9223372036854775807)",
        );
        check_refused("[3.0]", &[I64], "argument 1 (`n`): 3.0 is no integer, expected i64");
        check_refused("[1e3]", &[I32], "argument 1 (`n`): 1e3 is no integer, expected i32");
        check_refused("[\"3\"]", &[I64], "argument 1 (`n`): \"3\" is no integer, expected i64");
        check_refused("[null]", &[I64], "argument 1 (`n`): null is no integer, expected i64");
        check_refused("[1e999]", &[F64], "argument 1 (`n`): 1e999 is out of range for f64");
        check_refused("[1e39]", &[F32], "argument 1 (`n`): 1e39 is out of range for f32");
        check_refused(
            "[\"nan\"]",
            &[F64],
            r#"argument 1 (`n`): "nan" is no number, expected f64 or "NaN", "Infinity", "-Infinity""#,
        );
        check_refused(
            "[[1]]",
            &[F32],
            r#"argument 1 (`n`): [1] is no number, expected f32 or "NaN", "Infinity", "-Infinity""#,
        );
        check_refused("[1]", &[I64, I64], "1 arguments given, 2 expected");
        check_refused("[", &[I64], "not JSON: the value does not end");
    }
}

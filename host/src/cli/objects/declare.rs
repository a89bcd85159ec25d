//! Flags that declare shared objects, as typed: `counter=i32:0`, `jobs=64`, `l`.
//!
//! The parsers' errors are the ends of clap's: `invalid value 'x' for '--lock <NAME>': ` and then ours.

use wasmpool_abi::is_task_name;
use wasmpool_abi::shared::{Element, OBJECT_NAME_BYTES_MAX};

use super::super::args::without_guard;
use super::super::json;
use crate::pool::objects::create::dict as new_dict;
use crate::pool::objects::{PipeOptions, QueueOptions, RecordOptions};
use crate::printable::printable;
use crate::shm::object::spec::{ITEMS_MAX, PipeShape, RecordsShape, Spec};

/// Most permits of a semaphore.
const PERMITS_MAX: u32 = i32::MAX.cast_unsigned();

/// Most parties of a barrier.
const BARRIER_PARTIES_MAX: u32 = crate::shm::object::PARTIES_MAX as u32 - 1;

/// A shared object that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) form: Form,
}

/// What it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// Numbers: the first ones as the bits in which guests have them, the rest 0.
    Cells { spec: Spec, initial: Vec<u64> },
    /// Two objects, one for each end.
    Pipe(PipeShape),
    /// Anything else.
    Fresh(Spec),
}

/// `--value NAME=TYPE[:INITIAL]`.
pub(crate) fn value(text: &str) -> Result<Declaration, String> {
    const EXPECTED: &str = "give NAME=TYPE or NAME=TYPE:INITIAL, such as counter=i32:0";
    let (name, typed) = split(text, EXPECTED)?;
    let (kind, initial) = typed.split_once(':').map_or((typed, None), |(kind, number)| (kind, Some(number)));
    let element = element(kind)?;
    let initial = initial.map(|initial| number(initial, element)).transpose()?;
    let form = Form::Cells { spec: Spec::Value { element }, initial: initial.into_iter().collect() };
    Ok(Declaration { name: checked(name)?, form })
}

/// `--array NAME=TYPE:LENGTH`, or `NAME=TYPE:[NUMBER,...]`.
pub(crate) fn array(text: &str) -> Result<Declaration, String> {
    const EXPECTED: &str = "give NAME=TYPE:LENGTH or NAME=TYPE:[NUMBER,...], such as grid=f64:1000";
    let (name, typed) = split(text, EXPECTED)?;
    let (kind, content) = typed.split_once(':').unwrap_or((typed, ""));
    let element = element(kind)?;
    let (length, initial) = match content {
        "" => return Err(format!("the length is missing; {EXPECTED}")),
        list if list.starts_with('[') => {
            let initial = numbers(list, element)?;
            (initial.len() as u64, initial)
        }
        length => (read_length(length)?, Vec::new()),
    };
    let spec = Spec::Array { element, length };
    spec.check()?;
    let form = Form::Cells { spec, initial };
    Ok(Declaration { name: checked(name)?, form })
}

/// `--lock NAME`.
pub(crate) fn lock(text: &str) -> Result<Declaration, String> {
    plain(text, Spec::Lock)
}

/// `--rlock NAME`.
pub(crate) fn rlock(text: &str) -> Result<Declaration, String> {
    plain(text, Spec::RLock)
}

/// `--semaphore NAME=PERMITS`.
pub(crate) fn semaphore(text: &str) -> Result<Declaration, String> {
    counted(text, "a number of permits", 0..=PERMITS_MAX, "s=3", |permits| Spec::Semaphore {
        permits,
        bounded: false,
    })
}

/// `--bounded-semaphore NAME=PERMITS`.
pub(crate) fn bounded_semaphore(text: &str) -> Result<Declaration, String> {
    counted(text, "a number of permits", 0..=PERMITS_MAX, "s=3", |permits| Spec::Semaphore {
        permits,
        bounded: true,
    })
}

/// `--condition NAME`.
pub(crate) fn condition(text: &str) -> Result<Declaration, String> {
    plain(text, Spec::Condition)
}

/// `--event NAME`.
pub(crate) fn event(text: &str) -> Result<Declaration, String> {
    plain(text, Spec::Event)
}

/// `--barrier NAME=PARTIES`.
pub(crate) fn barrier(text: &str) -> Result<Declaration, String> {
    let allowed = 1..=BARRIER_PARTIES_MAX;
    counted(text, "a number of parties", allowed, "b=4", |parties| Spec::Barrier { parties })
}

/// `--queue NAME=CAPACITY`.
pub(crate) fn queue(text: &str) -> Result<Declaration, String> {
    counted(text, "a capacity", 1..=ITEMS_MAX, "jobs=64", |items_max| queue_of(items_max, false))
}

/// `--joinable-queue NAME=CAPACITY`.
pub(crate) fn joinable_queue(text: &str) -> Result<Declaration, String> {
    counted(text, "a capacity", 1..=ITEMS_MAX, "jobs=64", |items_max| queue_of(items_max, true))
}

/// `--pipe NAME`.
pub(crate) fn pipe(text: &str) -> Result<Declaration, String> {
    let name = checked(without_guard(text))?;
    let name_bytes_max = OBJECT_NAME_BYTES_MAX - end_name("", 0).len();
    if name.len() > name_bytes_max {
        return Err(format!(
            "a pipe's name has at most {name_bytes_max} characters, for its ends have longer ones"
        ));
    }
    Ok(Declaration { name, form: Form::Pipe(PipeOptions::new().shape(true)) })
}

/// `--list NAME[=RECORDS]`.
pub(crate) fn list(text: &str) -> Result<Declaration, String> {
    recorded(text, Spec::List)
}

/// `--dict NAME[=RECORDS]`.
pub(crate) fn dict(text: &str) -> Result<Declaration, String> {
    recorded(text, |shape| new_dict(shape, false))
}

/// `--namespace NAME`.
pub(crate) fn namespace(text: &str) -> Result<Declaration, String> {
    plain(text, new_dict(RecordOptions::new().shape(), true))
}

/// `--print NAME`.
pub(crate) fn print(text: &str) -> Result<String, String> {
    checked(without_guard(text))
}

/// Name of an end of a pipe: its number behind the pipe's name.
pub(crate) fn end_name(pipe: &str, end: u8) -> String {
    format!("{pipe}.{end}")
}

fn plain(text: &str, spec: Spec) -> Result<Declaration, String> {
    Ok(Declaration { name: checked(without_guard(text))?, form: Form::Fresh(spec) })
}

fn counted(
    text: &str,
    what: &str,
    allowed: std::ops::RangeInclusive<u32>,
    example: &str,
    spec: impl FnOnce(u32) -> Spec,
) -> Result<Declaration, String> {
    let expected =
        || format!("give NAME and {what} from {} to {}, such as {example}", allowed.start(), allowed.end());
    let (name, count) = split(text, &expected())?;
    let name = checked(name)?;
    match count.parse() {
        Ok(count) if allowed.contains(&count) => Ok(Declaration { name, form: Form::Fresh(spec(count)) }),
        _ => Err(expected()),
    }
}

fn recorded(text: &str, spec: impl FnOnce(RecordsShape) -> Spec) -> Result<Declaration, String> {
    let text = without_guard(text);
    if !text.contains('=') {
        return plain(text, spec(RecordOptions::new().shape()));
    }
    counted(text, "a number of records", 1..=ITEMS_MAX, "seen=1000", |count| spec(records(count)))
}

fn queue_of(items_max: u32, is_joinable: bool) -> Spec {
    Spec::Queue(QueueOptions::new(items_max as usize).shape(is_joinable))
}

fn records(records_max: u32) -> RecordsShape {
    RecordOptions::new().records(records_max as usize).shape()
}

fn split<'a>(text: &'a str, expected: &str) -> Result<(&'a str, &'a str), String> {
    without_guard(text).split_once('=').ok_or_else(|| expected.to_owned())
}

fn checked(name: &str) -> Result<String, String> {
    if is_task_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!("a name is 1 to {OBJECT_NAME_BYTES_MAX} ASCII letters, digits, `_`, `-` and `.`"))
}

fn element(name: &str) -> Result<Element, String> {
    let known = Element::ALL.iter().find(|element| element.name() == name);
    known.copied().ok_or_else(|| {
        let names: Vec<&str> = Element::ALL.iter().map(|element| element.name()).collect();
        format!("`{}` is no type of numbers; give one of {}", printable(name, 40), names.join(", "))
    })
}

fn read_length(text: &str) -> Result<u64, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(length) if is_number => Ok(length),
        _ if is_number => Err("more elements than a 64-bit number can count".to_owned()),
        _ => Err(format!(
            "`{}` is neither a length nor a list; give a number such as 1000, or [NUMBER,...]",
            printable(text, 40)
        )),
    }
}

fn numbers(list: &str, element: Element) -> Result<Vec<u64>, String> {
    let (numbers, _) = json::elements(list, usize::MAX).map_err(|fault| fault.problem.to_string())?;
    let read = |(position, text): (usize, &&serde_json::value::RawValue)| {
        number(text.get(), element).map_err(|reason| format!("element {position}: {reason}"))
    };
    (1..).zip(&numbers).map(read).collect()
}

/// The bits in which a guest has a number.
fn number(text: &str, element: Element) -> Result<u64, String> {
    let shown = printable(text, 40);
    let name = element.name();
    match element {
        Element::Bool => match text {
            "true" => Ok(1),
            "false" => Ok(0),
            _ => Err(format!("`{shown}` is no bool; give true or false")),
        },
        Element::F32 | Element::F64 => match float(text, element) {
            Some(float) if element == Element::F32 => Ok((float as f32).to_bits().into()),
            Some(float) => Ok(float.to_bits()),
            None if is_json_number(text) => Err(format!("{shown} is out of range for {name}")),
            None => Err(format!("`{shown}` is no number; expected {name}, or NaN, Infinity, -Infinity")),
        },
        _ => {
            let (min, max) = integer_range(element);
            let is_integer =
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            match text.parse::<i128>() {
                // Its lower half is what a sign- or zero-extended number is.
                Ok(integer) if is_integer && (min..=max).contains(&integer) => Ok(integer as u64),
                _ if is_integer => Err(format!("{shown} is out of range for {name} ({min}..={max})")),
                _ => Err(format!("`{shown}` is no integer; expected {name} ({min}..={max})")),
            }
        }
    }
}

fn integer_range(element: Element) -> (i128, i128) {
    let bits = 8 * element.bytes();
    let is_signed = matches!(element, Element::I8 | Element::I16 | Element::I32 | Element::I64);
    if is_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// A number within the range of its type. Parsed at the width of the type, lest it be rounded twice; every `f32` is
/// an `f64`, too.
fn float(text: &str, element: Element) -> Option<f64> {
    match text.trim_matches('"') {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ if !is_json_number(text) => return None,
        _ => {}
    }
    let float = match element {
        Element::F32 => text.parse::<f32>().ok()?.into(),
        _ => text.parse().ok()?,
    };
    f64::is_finite(float).then_some(float)
}

fn is_json_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && !text.ends_with(json::WHITESPACE)
        && json::check(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parser = fn(&str) -> Result<Declaration, String>;

    fn check(parser: Parser, text: &str, name: &str, form: Form) {
        let expected = Declaration { name: name.to_owned(), form };
        assert_eq!(parser(text), Ok(expected), "{text}");
    }

    fn check_value(text: &str, element: Element, initial: &[u64]) {
        let initial = initial.to_vec();
        check(value, &format!("v={text}"), "v", Form::Cells { spec: Spec::Value { element }, initial });
    }

    fn check_refused(parser: Parser, text: &str, expected: &str) {
        assert_eq!(parser(text), Err(expected.to_owned()), "{text}");
    }

    #[test]
    fn values_have_a_type_and_may_have_a_first_number() {
        check_value("i32", Element::I32, &[]);
        check_value("i32:-1", Element::I32, &[u64::MAX]);
        check_value("u8:255", Element::U8, &[255]);
        check_value("i64:-9223372036854775808", Element::I64, &[1 << 63]);
        check_value("u64:18446744073709551615", Element::U64, &[u64::MAX]);
        check_value("bool:true", Element::Bool, &[1]);
        check_value("bool:false", Element::Bool, &[0]);
        check_value("f64:-1.5e3", Element::F64, &[(-1500_f64).to_bits()]);
        check_value("f64:3", Element::F64, &[3_f64.to_bits()]);
        check_value("f32:0.1", Element::F32, &[0.1_f32.to_bits().into()]);
        check_value("f32:-Infinity", Element::F32, &[f32::NEG_INFINITY.to_bits().into()]);
        check_value("f64:\"NaN\"", Element::F64, &[f64::NAN.to_bits()]);
    }

    #[test]
    fn every_type_has_its_range() {
        for element in Element::ALL.iter().filter(|element| **element != Element::Bool) {
            let name = element.name();
            if matches!(element, Element::F32 | Element::F64) {
                check_refused(
                    value,
                    &format!("v={name}:1e999"),
                    &format!("1e999 is out of range for {name}"),
                );
                continue;
            }
            let (min, max) = integer_range(*element);
            for (number, is_allowed) in [(min, true), (min - 1, false), (max, true), (max + 1, false)] {
                assert_eq!(value(&format!("v={name}:{number}")).is_ok(), is_allowed, "{name} {number}");
            }
        }
        check_refused(value, "v=i8:128", "128 is out of range for i8 (-128..=127)");
        check_refused(value, "v=f32:1e39", "1e39 is out of range for f32");
        check_refused(
            value,
            "v=u64:99999999999999999999999999999999999999999",
            "9999999999999999999999999999999999999999… is out of range for u64 (0..=18446744073709551615)",
        );
    }

    #[test]
    fn what_is_no_value_is_refused() {
        const EXPECTED: &str = "give NAME=TYPE or NAME=TYPE:INITIAL, such as counter=i32:0";
        const TYPES: &str = "bool, i8, u8, i16, u16, i32, u32, i64, u64, f32, f64";
        check_refused(value, "counter", EXPECTED);
        check_refused(value, "", EXPECTED);
        check_refused(value, "c=int", &format!("`int` is no type of numbers; give one of {TYPES}"));
        check_refused(value, "c=", &format!("`` is no type of numbers; give one of {TYPES}"));
        check_refused(value, "c=7", &format!("`7` is no type of numbers; give one of {TYPES}"));
        check_refused(value, "c=i32:1.0", "`1.0` is no integer; expected i32 (-2147483648..=2147483647)");
        check_refused(value, "c=i8:", "`` is no integer; expected i8 (-128..=127)");
        check_refused(value, "c=i8:+1", "`+1` is no integer; expected i8 (-128..=127)");
        check_refused(value, "c=bool:1", "`1` is no bool; give true or false");
        for text in ["", "one", "inf", "nan", "1.", ".5", "+1", " 1", "1 ", "0x1", "\"1\"", "[1]"] {
            let expected = format!("`{text}` is no number; expected f64, or NaN, Infinity, -Infinity");
            check_refused(value, &format!("c=f64:{text}"), &expected);
        }
        let name = "a name is 1 to 128 ASCII letters, digits, `_`, `-` and `.`";
        for text in ["=i32", "größe=i32", "a b=i32", &format!("{}=i32", "a".repeat(129))] {
            check_refused(value, text, name);
        }
    }

    #[test]
    fn arrays_have_a_length_or_first_numbers() {
        let cells = |element, length, initial: &[u64]| Form::Cells {
            spec: Spec::Array { element, length },
            initial: initial.to_vec(),
        };
        check(array, "grid=f64:1000", "grid", cells(Element::F64, 1000, &[]));
        check(array, "a=u8:68719476736", "a", cells(Element::U8, 1 << 36, &[]));
        check(array, "p=u8:[2, 3,5]", "p", cells(Element::U8, 3, &[2, 3, 5]));
        check(array, "b=bool:[true,false]", "b", cells(Element::Bool, 2, &[1, 0]));
        let floats = [1_f64.to_bits(), f64::NAN.to_bits()];
        check(array, "f=f64:[1.0,\"NaN\"]", "f", cells(Element::F64, 2, &floats));
    }

    #[test]
    fn what_is_no_array_is_refused() {
        const EXPECTED: &str = "give NAME=TYPE:LENGTH or NAME=TYPE:[NUMBER,...], such as grid=f64:1000";
        check_refused(array, "grid", EXPECTED);
        check_refused(array, "grid=f64", &format!("the length is missing; {EXPECTED}"));
        check_refused(array, "grid=f64:", &format!("the length is missing; {EXPECTED}"));
        for (content, count) in [("0", "0"), ("[]", "0"), ("8589934593", "8589934593")] {
            let expected = format!("{count} elements: choose between 1 and 8589934592");
            check_refused(array, &format!("grid=f64:{content}"), &expected);
        }
        for length in ["-1", "1e3", "+1", "many", "1.0"] {
            let expected = format!(
                "`{length}` is neither a length nor a list; give a number such as 1000, or [NUMBER,...]"
            );
            check_refused(array, &format!("grid=f64:{length}"), &expected);
        }
        check_refused(array, "grid=f64:18446744073709551616", "more elements than a 64-bit number can count");
        check_refused(array, "p=u8:[2,300]", "element 2: 300 is out of range for u8 (0..=255)");
        check_refused(array, "p=u8:[2,null]", "element 2: `null` is no integer; expected u8 (0..=255)");
        check_refused(array, "p=u8:[2,", "not JSON: the value does not end");
        check_refused(array, "p=u8:[2]]", "not JSON: trailing characters");
    }

    #[test]
    fn names_alone_declare_objects_without_sizes() {
        check(lock, "l", "l", Form::Fresh(Spec::Lock));
        check(rlock, "l", "l", Form::Fresh(Spec::RLock));
        check(condition, "c.1", "c.1", Form::Fresh(Spec::Condition));
        check(event, "\0-5", "-5", Form::Fresh(Spec::Event));
        for parser in [lock, rlock, condition, event, pipe, list, dict, namespace] {
            check_refused(parser, "a b", "a name is 1 to 128 ASCII letters, digits, `_`, `-` and `.`");
        }
        for parser in [lock, rlock, condition, event, pipe, namespace] {
            check_refused(parser, "l=1", "a name is 1 to 128 ASCII letters, digits, `_`, `-` and `.`");
        }
    }

    #[test]
    fn counts_stay_within_their_ranges() {
        let semaphore_of = |permits, bounded| Form::Fresh(Spec::Semaphore { permits, bounded });
        check(semaphore, "s=3", "s", semaphore_of(3, false));
        check(semaphore, "s=0", "s", semaphore_of(0, false));
        check(bounded_semaphore, "s=2147483647", "s", semaphore_of(2_147_483_647, true));
        check(barrier, "b=4", "b", Form::Fresh(Spec::Barrier { parties: 4 }));
        check(queue, "jobs=64", "jobs", Form::Fresh(queue_of(64, false)));
        check(joinable_queue, "jobs=1", "jobs", Form::Fresh(queue_of(1, true)));
        check(list, "log", "log", Form::Fresh(Spec::List(RecordOptions::new().shape())));
        check(list, "log=5", "log", Form::Fresh(Spec::List(records(5))));

        let permits = "give NAME and a number of permits from 0 to 2147483647, such as s=3";
        let parties = "give NAME and a number of parties from 1 to 1023, such as b=4";
        let capacity = "give NAME and a capacity from 1 to 16777216, such as jobs=64";
        let count = "give NAME and a number of records from 1 to 16777216, such as seen=1000";
        for (parser, expected, wrong) in [
            (semaphore as Parser, permits, &["s", "s=", "s=-1", "s=2147483648", "s=1.5", "s=x"][..]),
            (bounded_semaphore, permits, &["s", "s=2147483648"]),
            (barrier, parties, &["b", "b=0", "b=1024", "b=4=5"]),
            (queue, capacity, &["jobs", "jobs=0", "jobs=16777217", "jobs=99999999999999999999"]),
            (joinable_queue, capacity, &["jobs", "jobs=0"]),
            (list, count, &["log=", "log=0", "log=16777217"]),
            (dict, count, &["seen=", "seen=0"]),
        ] {
            wrong.iter().for_each(|text| check_refused(parser, text, expected));
        }
    }

    #[test]
    fn a_pipe_leaves_room_for_its_ends_names() {
        let name = "p".repeat(126);
        check(pipe, &name, &name, Form::Pipe(PipeOptions::new().shape(true)));
        assert_eq!(end_name(&name, 1).len(), OBJECT_NAME_BYTES_MAX);
        let expected = "a pipe's name has at most 126 characters, for its ends have longer ones";
        check_refused(pipe, &"p".repeat(127), expected);
    }
}

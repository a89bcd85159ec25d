//! What is left in an object, as JSON.
//!
//! | kind | state |
//! |---|---|
//! | value | a number, `true` or `false` |
//! | array, list | an array |
//! | queue, joinable queue, pipe end | an array of what nobody took, oldest first; it is taken |
//! | dict, namespace | an object, in the order in which keys were added |
//! | lock, rlock | `{"held":false}` |
//! | semaphore, bounded semaphore | the permits that are left |
//! | event | `true` when it is set |
//! | barrier | `{"parties":4,"waiting":0,"broken":false}` |
//! | condition | `null`: it has none |
//!
//! It is JSON whatever a guest left there: what cannot be shown is `null`, and [`write`] says so.

use std::fmt::Display;
use std::io::{self, Write};

use wasmpool_abi::shared::{Element, Refusal, split_first};

use super::super::cells::write_float;
use super::record::{write_key, write_value};
use crate::pool::objects::{Entry, parties};
use crate::shm::object::barrier::Barrier;
use crate::shm::object::cells::Cells;
use crate::shm::object::dict::Dict;
use crate::shm::object::list::List;
use crate::shm::object::patience::Patience;
use crate::shm::object::pipe::PipeEnd;
use crate::shm::object::queue::Queue;
use crate::shm::object::spec::Spec;
use crate::shm::object::text::{self, About};
use crate::shm::object::{Object, Outcome};

/// Bytes of an array that are copied at a time.
const BYTES_AT_ONCE: usize = 1 << 16;

/// Writes the state; says what of it could not be shown.
///
/// It is the caller's affair that nobody changes it meanwhile.
pub(super) fn write(entry: &Entry, out: &mut impl Write) -> io::Result<Option<String>> {
    let mut page = Page { entry, out, problem: None };
    match &entry.object {
        Object::Cells(cells) => page.cells(cells)?,
        Object::Lock(lock) => write!(page.out, r#"{{"held":{}}}"#, lock.is_held())?,
        Object::Semaphore(semaphore) => page.shown(semaphore.value())?,
        Object::Condition(_) => page.null()?,
        Object::Event(event) => page.shown(event.is_set())?,
        Object::Barrier(barrier) => page.barrier(barrier)?,
        Object::Queue(queue) => page.queue(queue)?,
        Object::Pipe(end) => page.pipe(end)?,
        Object::List(list) => page.list(list)?,
        Object::Dict(dict) => page.dict(dict)?,
    }
    Ok(page.problem)
}

/// The place where one state is written.
struct Page<'a, W> {
    entry: &'a Entry,
    out: &'a mut W,
    /// The first thing that could not be shown.
    problem: Option<String>,
}

impl<W: Write> Page<'_, W> {
    fn null(&mut self) -> io::Result<()> {
        self.out.write_all(b"null")
    }

    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    fn note_refusal(&mut self, refusal: Refusal) {
        self.note(text::explain(&self.entry.name, &self.entry.spec, refusal, &About::Nothing));
    }

    fn shown(&mut self, state: Outcome<impl Display>) -> io::Result<()> {
        match state {
            Ok(state) => write!(self.out, "{state}"),
            Err(refusal) => {
                self.note_refusal(refusal);
                self.null()
            }
        }
    }

    fn cells(&mut self, cells: &Cells) -> io::Result<()> {
        let is_array = matches!(self.entry.spec, Spec::Array { .. });
        if !is_array {
            return self.elements(cells);
        }
        self.out.write_all(b"[")?;
        self.elements(cells)?;
        self.out.write_all(b"]")
    }

    fn elements(&mut self, cells: &Cells) -> io::Result<()> {
        let (element, length) = (cells.element(), cells.length());
        let mut bytes = vec![0; BYTES_AT_ONCE];
        let mut json = Vec::new();
        let mut start = 0;
        while start < length {
            let count = (length - start).min((BYTES_AT_ONCE / element.bytes()) as u64);
            let bytes = &mut bytes[..count as usize * element.bytes()];
            let read = cells.read(start, bytes);
            json.clear();
            for (index, element_bytes) in (start..).zip(bytes.chunks_exact(element.bytes())) {
                if index > 0 {
                    json.push(b',');
                }
                match read {
                    Ok(()) => write_element(element_bytes, element, &mut json),
                    Err(_) => json.extend_from_slice(b"null"),
                }
            }
            if let Err(refusal) = read {
                self.note_refusal(refusal);
            }
            self.out.write_all(&json)?;
            start += count;
        }
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier) -> io::Result<()> {
        write!(self.out, r#"{{"parties":{},"waiting":"#, barrier.parties())?;
        self.shown(barrier.waiting())?;
        self.out.write_all(br#","broken":"#)?;
        self.shown(barrier.is_broken())?;
        self.out.write_all(b"}")
    }

    fn queue(&mut self, queue: &Queue) -> io::Result<()> {
        let party = match parties::of_this_thread() {
            Ok(party) => party,
            Err(refusal) => {
                self.note_refusal(refusal);
                return self.null();
            }
        };
        let items_max = u64::from(queue.shape().items_max);
        self.records(items_max, |_, record| queue.get(party, &Patience::NONE, record))?;
        // The last one is in hand; if that cannot be said, so much the worse for nobody.
        let _ = queue.acknowledge(party);
        Ok(())
    }

    fn pipe(&mut self, end: &PipeEnd) -> io::Result<()> {
        let party = match parties::of_this_thread() {
            Ok(party) => party,
            Err(refusal) => {
                self.note_refusal(refusal);
                return self.null();
            }
        };
        let messages_max = match self.entry.spec {
            Spec::Pipe { shape, .. } => shape.bytes_max,
            _ => 0,
        };
        self.records(messages_max, |_, record| end.receive(party, &Patience::NONE, record))
    }

    fn list(&mut self, list: &List) -> io::Result<()> {
        match list.len() {
            Ok(length) => {
                self.records(length.into(), |index, record| list.get(index.cast_signed(), record).map(drop))
            }
            Err(refusal) => {
                self.note_refusal(refusal);
                self.null()
            }
        }
    }

    /// An array of up to `count_max` records, as `next` gives them by their indices, until there are no more.
    fn records(
        &mut self,
        count_max: u64,
        mut next: impl FnMut(u64, &mut Vec<u8>) -> Outcome<()>,
    ) -> io::Result<()> {
        let (mut record, mut json) = (Vec::new(), Vec::new());
        self.out.write_all(b"[")?;
        for index in 0..count_max {
            record.clear();
            match next(index, &mut record) {
                Ok(()) => {}
                Err(Refusal::Empty | Refusal::TimedOut | Refusal::Closed | Refusal::EndOfFile) => break,
                Err(refusal) => {
                    self.note_refusal(refusal);
                    break;
                }
            }
            json.clear();
            if index > 0 {
                json.push(b',');
            }
            self.value(&record, &format_args!("[{index}]"), &mut json);
            self.out.write_all(&json)?;
        }
        self.out.write_all(b"]")
    }

    fn dict(&mut self, dict: &Dict) -> io::Result<()> {
        let mut all = Vec::new();
        if let Err(refusal) = dict.all(usize::MAX, &mut all) {
            self.note_refusal(refusal);
            return self.null();
        }
        let (mut rest, mut json) = (&all[..], Vec::new());
        self.out.write_all(b"{")?;
        let mut is_first = true;
        while let Some((key, value)) = take_pair(&mut rest) {
            json.clear();
            if !is_first {
                json.push(b',');
            }
            let name_at = json.len();
            if let Err(reason) = write_key(key, &mut json) {
                self.note(format!("a key cannot be shown: {reason}; it is left out"));
                continue;
            }
            let name = String::from_utf8_lossy(&json[name_at..]).into_owned();
            json.push(b':');
            self.value(value, &format_args!("[{name}]"), &mut json);
            self.out.write_all(&json)?;
            is_first = false;
        }
        self.out.write_all(b"}")
    }

    /// One record; `null` when it cannot be shown.
    fn value(&mut self, record: &[u8], place: &dyn Display, json: &mut Vec<u8>) {
        if let Err(reason) = write_value(record, json) {
            self.note(format!("{place} cannot be shown: {reason}; it is null here"));
            json.extend_from_slice(b"null");
        }
    }
}

/// Takes a key and its value off a sequence; none at its end.
fn take_pair<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (key, behind) = split_first(rest)?;
    let (value, behind) = split_first(behind)?;
    *rest = behind;
    Some((key, value))
}

fn write_element(bytes: &[u8], element: Element, json: &mut Vec<u8>) {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(wide);
    let mut digits = itoa::Buffer::new();
    let text = match element {
        Element::F32 => return write_float(f32::from_bits(bits as u32), json),
        Element::F64 => return write_float(f64::from_bits(bits), json),
        Element::Bool if bits == 0 => "false",
        Element::Bool => "true",
        Element::I8 => digits.format(bits as i8),
        Element::I16 => digits.format(bits as i16),
        Element::I32 => digits.format(bits as i32),
        Element::I64 => digits.format(bits.cast_signed()),
        Element::U8 | Element::U16 | Element::U32 | Element::U64 => digits.format(bits),
    };
    json.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::declare::{self, Declaration, Form};
    use super::*;
    use crate::pool::objects::Registry;

    fn entry(declaration: Result<Declaration, String>) -> Arc<Entry> {
        let declaration = declaration.expect("a declaration");
        let (Form::Fresh(spec) | Form::Cells { spec, .. }) = declaration.form else { panic!("a pipe") };
        Registry::new().create(&declaration.name, spec).expect("memory for an object")
    }

    fn shown(entry: &Entry) -> (String, Option<String>) {
        let mut out = Vec::new();
        let problem = write(entry, &mut out).expect("a vector takes every write");
        (String::from_utf8(out).expect("text"), problem)
    }

    fn check(entry: &Entry, expected: &str) {
        assert_eq!(shown(entry), (expected.to_owned(), None));
    }

    fn packed(value: impl serde::Serialize) -> Vec<u8> {
        rmp_serde::to_vec_named(&value).expect("it can be written")
    }

    #[test]
    fn elements_of_every_type_are_exact() {
        for (bytes, element, expected) in [
            (&[255][..], Element::I8, "-1"),
            (&[255], Element::U8, "255"),
            (&[1], Element::Bool, "true"),
            (&[0, 128], Element::I16, "-32768"),
            (&[255; 2], Element::U16, "65535"),
            (&[255; 4], Element::I32, "-1"),
            (&[255; 4], Element::U32, "4294967295"),
            (&[255; 8], Element::I64, "-1"),
            (&[255; 8], Element::U64, "18446744073709551615"),
            (&0.1_f32.to_le_bytes(), Element::F32, "0.1"),
            (&f64::NAN.to_le_bytes(), Element::F64, "\"NaN\""),
        ] {
            let mut json = Vec::new();
            write_element(bytes, element, &mut json);
            assert_eq!(String::from_utf8_lossy(&json), expected, "{element:?}");
        }
    }

    #[test]
    fn arrays_are_read_in_pieces() {
        let count = BYTES_AT_ONCE / 2 + 3;
        let array = entry(declare::array(&format!("a=u16:{count}")));
        check(&array, &format!("[{}]", vec!["0"; count].join(",")));
    }

    #[test]
    fn lists_and_dictionaries_keep_their_order() {
        let party = parties::of_this_thread().expect("a number");
        let list = entry(declare::list("l"));
        let Object::List(inner) = &list.object else { panic!("{list:?}") };
        inner.append(party, &packed((1, "a"))).expect("room");
        inner.append(party, &packed(Option::<u8>::None)).expect("room");
        check(&list, r#"[[1,"a"],null]"#);

        let dict = entry(declare::dict("d"));
        let Object::Dict(inner) = &dict.object else { panic!("{dict:?}") };
        inner.set(party, &packed("z"), &packed(1)).expect("room");
        inner.set(party, &packed(2), &packed([2.5])).expect("room");
        check(&dict, r#"{"z":1,"2":[2.5]}"#);
    }

    #[test]
    fn what_is_no_value_is_null_and_told() {
        let party = parties::of_this_thread().expect("a number");
        let list = entry(declare::list("l"));
        let Object::List(inner) = &list.object else { panic!("{list:?}") };
        for record in [&packed(1)[..], &[0x92], &packed(3), &[0xc1]] {
            inner.append(party, record).expect("room");
        }
        let problem = "[1] cannot be shown: it is not MessagePack: it ends early; it is null here";
        assert_eq!(shown(&list), ("[1,null,3,null]".to_owned(), Some(problem.to_owned())));

        let dict = entry(declare::dict("d"));
        let Object::Dict(inner) = &dict.object else { panic!("{dict:?}") };
        inner.set(party, &[0x92], &packed(1)).expect("room");
        inner.set(party, &packed("a"), &vec![0x91; 1_000_000]).expect("room");
        inner.set(party, &packed("b"), &packed(2)).expect("room");
        let problem = "a key cannot be shown: it is not MessagePack: it ends early; it is left out";
        assert_eq!(shown(&dict), (r#"{"a":null,"b":2}"#.to_owned(), Some(problem.to_owned())));
    }
}

//! The records of lists, dictionaries and namespaces.

use wasmpool_abi::shared::{Kind, RecordOp, Refusal, split_first};

use super::give;
use super::object::{Body, Object, Record};

/// What an operation on a record answers.
pub(super) enum Reply {
    Number(i64),
    Bytes(Vec<u8>),
}

impl Reply {
    /// The number, or the length of the bytes, which go to the buffer.
    pub(super) fn in_place(self, buffer: &mut [u8]) -> i64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => give(bytes, buffer),
        }
    }
}

fn records(object: &mut Object) -> Result<&mut Vec<Record>, Refusal> {
    match &mut object.body {
        Body::Records(records) => Ok(records),
        _ => Err(Refusal::WrongKind),
    }
}

/// Where an index is; as in Python, negative ones count from the end.
fn position(length: usize, index: i64) -> Result<usize, Refusal> {
    let index = if index < 0 { index + length as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < length).ok_or(Refusal::OutOfRange)
}

pub(super) fn work(
    object: &mut Object,
    op: RecordOp,
    key: &[u8],
    index: i64,
    value: &[u8],
) -> Result<Reply, Refusal> {
    let is_list = object.kind == Kind::List;
    let records = records(object)?;
    let place = if is_list {
        position(records.len(), index)
    } else {
        records.iter().position(|record| record.key == key).ok_or(Refusal::Missing)
    };
    let last = records.len();
    match op {
        RecordOp::Get => Ok(Reply::Bytes(records[place?].value.clone())),
        RecordOp::Set => match place {
            Ok(place) => {
                records[place].set(value);
                Ok(Reply::Number(0))
            }
            Err(Refusal::Missing) => add(records, last, key, value),
            Err(refusal) => Err(refusal),
        },
        RecordOp::Append => add(records, last, key, value),
        RecordOp::Insert => {
            let place = if index == last as i64 { last } else { place? };
            add(records, place, key, value)
        }
        RecordOp::Delete => {
            records.remove(place?);
            Ok(Reply::Number(0))
        }
        RecordOp::Pop => Ok(Reply::Bytes(records.remove(place?).value)),
        RecordOp::GetOrSet => {
            if place.is_err() {
                add(records, last, key, value)?;
            }
            Ok(Reply::Bytes(records[place.unwrap_or(last)].value.clone()))
        }
        RecordOp::GetVersioned => {
            let record = &records[place?];
            Ok(Reply::Bytes([&record.version.to_le_bytes()[..], &record.value].concat()))
        }
        RecordOp::Replace => replace(records, place, key, value),
        RecordOp::Extend => extend(records, is_list, value),
        RecordOp::All => Ok(Reply::Bytes(sequence(records, is_list))),
        RecordOp::Contains => Ok(Reply::Number(place.is_ok().into())),
    }
}

fn add(records: &mut Vec<Record>, place: usize, key: &[u8], value: &[u8]) -> Result<Reply, Refusal> {
    records.insert(place, Record::new(key, value));
    Ok(Reply::Number(place as i64))
}

fn replace(
    records: &mut Vec<Record>,
    place: Result<usize, Refusal>,
    key: &[u8],
    value: &[u8],
) -> Result<Reply, Refusal> {
    let (version, value) = value.split_first_chunk().ok_or(Refusal::Invalid)?;
    match (place, u64::from_le_bytes(*version)) {
        (Ok(place), version) if records[place].version == version => {
            records[place].set(value);
            Ok(Reply::Number(0))
        }
        (Err(Refusal::Missing), 0) => add(records, records.len(), key, value),
        (Err(refusal @ Refusal::OutOfRange), _) => Err(refusal),
        _ => Err(Refusal::Changed),
    }
}

fn extend(records: &mut Vec<Record>, is_list: bool, mut parts: &[u8]) -> Result<Reply, Refusal> {
    while !parts.is_empty() {
        let (first, rest) = split_first(parts).ok_or(Refusal::Invalid)?;
        if is_list {
            records.push(Record::new(&[], first));
            parts = rest;
            continue;
        }
        let (value, rest) = split_first(rest).ok_or(Refusal::Invalid)?;
        match records.iter_mut().find(|record| record.key == first) {
            Some(record) => record.set(value),
            None => records.push(Record::new(first, value)),
        }
        parts = rest;
    }
    Ok(Reply::Number(0))
}

/// `count` records of a list from `first` on; 0 is all there are.
pub(super) fn part(object: &mut Object, first: i64, count: usize) -> Result<Vec<u8>, Refusal> {
    let records = records(object)?;
    let first = usize::try_from(first).map_err(|_| Refusal::OutOfRange)?.min(records.len());
    let end = if count == 0 { records.len() } else { first.saturating_add(count).min(records.len()) };
    Ok(sequence(&records[first..end], true))
}

fn sequence(records: &[Record], is_list: bool) -> Vec<u8> {
    let mut sequence = Vec::new();
    let mut add = |part: &[u8]| {
        sequence.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        sequence.extend_from_slice(part);
    };
    for record in records {
        if !is_list {
            add(&record.key);
        }
        add(&record.value);
    }
    sequence
}

//! What nested calls are given and what they return: between a guest's bytes and a job's inputs and results.
//!
//! Guests speak MessagePack. Results of SDK tasks pass through as they are, for the guest that reads them is as much at
//! their mercy as at its own. Tasks of numbers take and return cells, so their values are converted here, and one that
//! cannot be is that call's failure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::nesting::{Ending, split_list};

use super::BYTES_MAX;
use crate::pool::decode::as_uninit;
use crate::pool::outcome::{Failure, FailureKind};
use crate::pool::sink::{Form, Results, Sink};
use crate::pool::source::Block;
use crate::sandbox::catalog::Numeric;
use crate::sandbox::driver::Number;

/// Most bytes of a failure's message that a guest is told.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// How many bytes a module's nested calls hold.
#[derive(Debug, Default)]
pub(crate) struct NestedBytes(Arc<AtomicU64>);

/// A share of them, given back when it goes.
#[derive(Debug)]
pub(super) struct Held {
    all: Arc<AtomicU64>,
    bytes: AtomicU64,
}

impl NestedBytes {
    /// Holds so many more, if there is room.
    pub(super) fn hold(&self, bytes: u64) -> Option<Held> {
        let held = Held { all: Arc::clone(&self.0), bytes: AtomicU64::new(0) };
        held.add(bytes).then_some(held)
    }
}

impl Held {
    fn add(&self, bytes: u64) -> bool {
        // Relaxed: a count that guards nothing but itself.
        let more = |held: u64| held.checked_add(bytes).filter(|held| *held <= BYTES_MAX);
        let has_room = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if has_room {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        has_room
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.all.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

/// A number as guests write it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Integer(i64),
    Float(f64),
}

/// The inputs of a submission's calls, and those that the task cannot take, with the reason.
pub(super) fn input_block(inputs: &[u8], numeric: Option<&Numeric>) -> (Block, Vec<(u64, String)>) {
    let (lengths, bytes) = split_list(inputs).unwrap_or_default();
    let lengths = lengths.iter().map(|length| u32::from_le_bytes(*length) as usize);
    let Some(numeric) = numeric else {
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        return (Block::Blobs { ends: ends.collect(), bytes: bytes.to_vec() }, Vec::new());
    };
    let parameters = &numeric.signature.parameters;
    // A task without parameters has a cell for nothing, so that its calls can be counted.
    let width = parameters.len().max(1);
    let (mut cells, mut refused, mut start) = (Vec::new(), Vec::new(), 0);
    for (index, length) in (0..).zip(lengths) {
        match cells_of(&bytes[start..start + length], parameters) {
            Ok(input) => cells.extend(input),
            Err(reason) => refused.push((index, reason)),
        }
        cells.resize(width * (index as usize + 1), 0);
        start += length;
    }
    (Block::Cells { width: parameters.len(), cells }, refused)
}

fn cells_of(input: &[u8], parameters: &[Number]) -> Result<Vec<u64>, String> {
    let scalars: Vec<Scalar> =
        rmp_serde::from_slice(input).map_err(|_| format!("the task takes {} numbers", parameters.len()))?;
    if scalars.len() != parameters.len() {
        return Err(format!("{} numbers given, the task takes {}", scalars.len(), parameters.len()));
    }
    scalars.into_iter().zip(parameters).map(|(scalar, number)| cell(scalar, *number)).collect()
}

fn cell(scalar: Scalar, number: Number) -> Result<u64, String> {
    match (number, scalar) {
        (Number::I64, Scalar::Integer(value)) => Ok(value as u64),
        (Number::I32, Scalar::Integer(value)) => i32::try_from(value)
            .map(|value| i64::from(value) as u64)
            .map_err(|_| format!("the task takes an i32, not {value}")),
        (Number::F64, Scalar::Integer(value)) => Ok((value as f64).to_bits()),
        (Number::F64, Scalar::Float(value)) => Ok(value.to_bits()),
        (Number::F32, Scalar::Integer(value)) => Ok(u64::from((value as f32).to_bits())),
        (Number::F32, Scalar::Float(value)) => Ok(u64::from((value as f32).to_bits())),
        (Number::I64 | Number::I32, Scalar::Float(value)) => {
            Err(format!("the task takes an integer, not {value}"))
        }
    }
}

fn scalar(cell: [u8; 8], number: Number) -> Scalar {
    let bits = u64::from_le_bytes(cell);
    match number {
        Number::I64 => Scalar::Integer(bits as i64),
        Number::I32 => Scalar::Integer(i64::from(bits as i32)),
        Number::F64 => Scalar::Float(f64::from_bits(bits)),
        Number::F32 => Scalar::Float(f64::from(f32::from_bits(bits as u32))),
    }
}

/// A result of numbers as guests read it: none at all, the one, or an array.
fn value_of(cells: &[[u8; 8]], numbers: &[Number]) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let scalars: Vec<Scalar> =
        cells.iter().zip(numbers).map(|(cell, number)| scalar(*cell, *number)).collect();
    match &scalars[..] {
        [] => Ok(Vec::new()),
        [scalar] => rmp_serde::to_vec(scalar),
        _ => rmp_serde::to_vec(&scalars),
    }
}

/// The results of one submission's calls.
pub(super) struct Answers {
    /// What its cells mean, where results come in cells.
    numbers: Option<Vec<Number>>,
    results: Mutex<Vec<Vec<u8>>>,
    held: Held,
}

impl Answers {
    /// Room for the results of so many calls.
    pub(super) fn new(calls: usize, numeric: Option<&Numeric>, held: Held) -> Self {
        let numbers = numeric.map(|numeric| numeric.signature.results.clone());
        Self { numbers, results: Mutex::new(vec![Vec::new(); calls]), held }
    }

    /// The answer of a submission all of whose calls have returned.
    pub(super) fn returned(&self) -> Vec<u8> {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let total = results.iter().map(|result| result.len() + 4).sum::<usize>() + 8;
        if total > VALUE_BYTES_MAX {
            let text = format!(
                "{total} bytes of results, at most {VALUE_BYTES_MAX} are allowed: submit fewer at once"
            );
            return failed(Ending::LimitReached, 0, &text);
        }
        let mut answer = Vec::with_capacity(total);
        answer.extend_from_slice(&(Ending::Returned as u32).to_le_bytes());
        answer.extend_from_slice(&(results.len() as u32).to_le_bytes());
        results.iter().for_each(|result| answer.extend_from_slice(&(result.len() as u32).to_le_bytes()));
        results.iter().for_each(|result| answer.extend_from_slice(result));
        answer
    }

    fn put(&self, index: u64, result: Vec<u8>) -> Result<(), Failure> {
        if !self.held.add(result.len() as u64) {
            let text =
                format!("the pool holds {BYTES_MAX} bytes for nested calls of this module and no more");
            return Err(Failure::new(index, FailureKind::ResultTooLarge, text));
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = results.get_mut(index as usize) {
            *place = result;
        }
        Ok(())
    }

    fn put_cells(&self, index: u64, cells: &[[u8; 8]], numbers: &[Number]) -> Result<(), Failure> {
        let unreadable = |reason: String| {
            Failure::new(index, FailureKind::BadResult, format!("its result is unreadable: {reason}"))
        };
        if cells.len() != numbers.len() {
            return Err(unreadable(format!("{} cells are not {} numbers", cells.len(), numbers.len())));
        }
        let value = value_of(cells, numbers).map_err(|error| unreadable(error.to_string()))?;
        self.put(index, value)
    }
}

impl Sink for Answers {
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        let mut failures = Vec::new();
        match (results.form, &self.numbers) {
            (Form::Cells { width, read }, numbers) => {
                let mut cells = vec![[0; 8]; results.count * width];
                read(0, as_uninit(cells.as_flattened_mut()));
                let numbers = numbers.as_deref().unwrap_or_default();
                for (call, index) in (0..results.count).zip(first..) {
                    let cells = &cells[call * width..(call + 1) * width];
                    failures.extend(self.put_cells(index, cells, numbers).err());
                }
            }
            (Form::Values { heads, bytes }, numbers) => {
                let mut start = 0;
                for (head, index) in heads.iter().zip(first..) {
                    let value = &bytes[start..start + head.length];
                    start += head.length;
                    let put = match numbers {
                        Some(numbers) => self.put_cells(index, value.as_chunks().0, numbers),
                        None => self.put(index, value.to_vec()),
                    };
                    failures.extend(put.err());
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    fn failed(&self, _failure: &Failure) {
        // The first failure ends the job, which keeps it.
    }
}

/// An answer that tells of a failure.
pub(super) fn failed(ending: Ending, index: u64, message: &str) -> Vec<u8> {
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    let mut answer = (ending as u32).to_le_bytes().to_vec();
    answer.extend_from_slice(&index.to_le_bytes());
    answer.extend_from_slice(message.as_bytes());
    answer
}

/// How a guest is told of a failure of this kind.
pub(super) fn ending_of(kind: FailureKind) -> Ending {
    match kind {
        FailureKind::Failed => Ending::Failed,
        FailureKind::Refused => Ending::Refused,
        FailureKind::Panicked => Ending::Panicked,
        FailureKind::Trapped | FailureKind::BadResult => Ending::Trapped,
        FailureKind::Exited(_) => Ending::Exited,
        FailureKind::TimedOut => Ending::TimedOut,
        FailureKind::WorkerLost(_) => Ending::WorkerLost,
        FailureKind::Starved => Ending::Starved,
        FailureKind::Cancelled => Ending::Cancelled,
        FailureKind::OutOfMemory
        | FailureKind::OutOfFuel
        | FailureKind::StackOverflow
        | FailureKind::OutOfTables
        | FailureKind::OutputTooLarge
        | FailureKind::ResultTooLarge
        | FailureKind::ResultTooDeep => Ending::LimitReached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::driver::Signature;

    fn list(inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = (inputs.len() as u32).to_le_bytes().to_vec();
        inputs.iter().for_each(|input| bytes.extend_from_slice(&(input.len() as u32).to_le_bytes()));
        inputs.iter().for_each(|input| bytes.extend_from_slice(input));
        bytes
    }

    fn numeric(parameters: &[Number], results: &[Number]) -> Numeric {
        let signature = Signature { parameters: parameters.to_vec(), results: results.to_vec() };
        Numeric { export: "f".into(), signature, driver: None }
    }

    #[test]
    fn inputs_of_numbers_become_cells_and_others_are_refused() {
        let inputs = list(&[
            rmp_serde::to_vec(&(-1, 2.5)).unwrap(),
            rmp_serde::to_vec(&(1,)).unwrap(),
            rmp_serde::to_vec(&(1i64 << 40, 1.0)).unwrap(),
            vec![0xc1],
            rmp_serde::to_vec(&(7, 3)).unwrap(),
        ]);
        let (block, refused) = input_block(&inputs, Some(&numeric(&[Number::I32, Number::F64], &[])));
        let Block::Cells { width: 2, cells } = block else { panic!("not cells of two") };
        assert_eq!((cells[0] as i64, f64::from_bits(cells[1])), (-1, 2.5));
        assert_eq!((cells[8], f64::from_bits(cells[9])), (7, 3.0));
        assert_eq!(refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(refused[1].1, "the task takes an i32, not 1099511627776");
    }

    #[test]
    fn inputs_of_sdk_tasks_stay_as_they_are() {
        let (block, refused) = input_block(&list(&[b"ab".to_vec(), Vec::new(), b"c".to_vec()]), None);
        let Block::Blobs { ends, bytes } = block else { panic!("not blobs") };
        assert_eq!((&ends[..], &bytes[..], refused.len()), (&[2, 2, 3][..], &b"abc"[..], 0));
    }

    #[test]
    fn results_of_numbers_become_values() {
        let cells = [(-3i64).to_le_bytes(), u64::from(1.5f32.to_bits()).to_le_bytes()];
        let both = value_of(&cells, &[Number::I64, Number::F32]).unwrap();
        assert_eq!(rmp_serde::from_slice::<(i64, f32)>(&both).unwrap(), (-3, 1.5));
        let one = value_of(&cells[..1], &[Number::I32]).unwrap();
        assert_eq!(rmp_serde::from_slice::<i32>(&one).unwrap(), -3);
        assert_eq!(value_of(&[], &[]).unwrap(), b"");
    }

    #[test]
    fn what_is_held_is_given_back() {
        let all = NestedBytes::default();
        let held = all.hold(BYTES_MAX - 10).expect("room");
        assert!(all.hold(11).is_none());
        assert!(held.add(10));
        assert!(!held.add(1));
        drop(held);
        assert!(all.hold(BYTES_MAX).is_some());
        assert!(all.hold(u64::MAX).is_none());
    }

    #[test]
    fn answers_are_results_in_order_or_one_failure() {
        let all = NestedBytes::default();
        let answers = Answers::new(2, None, all.hold(0).unwrap());
        answers.put(1, b"b".to_vec()).unwrap();
        answers.put(0, b"aa".to_vec()).unwrap();
        let answer = answers.returned();
        let (lengths, bytes) = split_list(&answer[4..]).unwrap();
        assert_eq!((lengths, bytes), (&[2u32.to_le_bytes(), 1u32.to_le_bytes()][..], &b"aab"[..]));
        let failure = failed(Ending::TooDeep, 3, &"é".repeat(MESSAGE_BYTES_MAX));
        assert_eq!((&failure[..5], failure[12..].len()), (&[12, 0, 0, 0, 3][..], MESSAGE_BYTES_MAX));
    }
}

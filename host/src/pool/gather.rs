//! Gathering results into one `Vec`, each written to its own place by whichever thread has it.
//!
//! Room is made in parts that never move, so that threads write to one part while another is added. When the number
//! of calls is known beforehand there is one part, and it becomes the caller's `Vec` without a copy.
#![allow(unsafe_code)]

use std::any::TypeId;
use std::cell::UnsafeCell;
use std::collections::TryReserveError;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Range;
use std::sync::{Mutex, PoisonError, RwLock};

use serde::de::DeserializeOwned;

use super::decode::ResultForm;
use super::outcome::Failure;
use super::sink::{Form, Results, Sink};
use crate::sandbox::driver::Number;
use crate::schedule::spans::Spans;

/// Fewest results for which a further part is made.
const PART_RESULTS_MIN: usize = 1 << 12;

/// Bytes from which a part is worth asking for huge pages.
const HUGE_BYTES_MIN: usize = 2 << 20;

/// Collects a job's results.
pub(crate) struct Gather<R> {
    parts: RwLock<Vec<Part<R>>>,
    /// Which results have been written, so that they can be dropped; kept only where dropping means something.
    written: Mutex<Spans>,
    failures: Mutex<Vec<Failure>>,
    form: ResultForm,
}

/// Room for consecutive results.
struct Part<R> {
    /// Index of its first result.
    first: usize,
    room: Vec<UnsafeCell<MaybeUninit<R>>>,
}

// SAFETY: a place is written through a shared reference by one thread only: `returned` gets each call once, which is
// what `Sink` promises. It is read only by `finish`, which owns everything. `R` crosses threads, hence `Send`.
unsafe impl<R: Send> Sync for Part<R> {}

impl<R> Part<R> {
    fn new(first: usize, results: usize) -> Result<Self, TryReserveError> {
        let mut room = Vec::new();
        room.try_reserve_exact(results)?;
        // SAFETY: the elements are `MaybeUninit`, which need no initialising, and the capacity was just reserved.
        unsafe { room.set_len(results) };
        let part = Self { first, room };
        part.prefer_huge_pages();
        Ok(part)
    }

    fn end(&self) -> usize {
        self.first + self.room.len()
    }

    /// Asks for huge pages: touching fresh small ones costs more than computing what goes there.
    fn prefer_huge_pages(&self) {
        let bytes = size_of_val(self.room.as_slice());
        if bytes < HUGE_BYTES_MIN {
            return;
        }
        let page = rustix::param::page_size();
        let start = self.room.as_ptr().cast::<u8>().addr().next_multiple_of(page);
        let end = (self.room.as_ptr().addr() + bytes) / page * page;
        let address = self.room.as_ptr().with_addr(start).cast::<std::ffi::c_void>().cast_mut();
        // SAFETY: the advice covers whole pages inside this allocation and changes nothing that a program can see.
        let _ = unsafe { rustix::mm::madvise(address, end - start, rustix::mm::Advice::LinuxHugepage) };
    }

    /// The place of result `index`.
    fn place(&self, index: usize) -> *mut MaybeUninit<R> {
        self.room[index - self.first].get()
    }
}

impl<R> Gather<R> {
    /// Makes room for `expected` results; more is made as they are announced.
    ///
    /// # Errors
    ///
    /// When there is no memory for so many.
    pub(crate) fn new(expected: usize, form: ResultForm) -> Result<Self, TryReserveError> {
        let gather = Self {
            parts: RwLock::new(Vec::new()),
            written: Mutex::default(),
            failures: Mutex::default(),
            form,
        };
        if expected > 0 {
            gather.reserve(expected)?;
        }
        Ok(gather)
    }

    /// Makes room for results below `total`. Call it before the calls are announced.
    ///
    /// # Errors
    ///
    /// When there is no memory for so many.
    pub(crate) fn reserve(&self, total: usize) -> Result<(), TryReserveError> {
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let end = parts.last().map_or(0, Part::end);
        if total > end {
            // Doubling keeps the parts few.
            let results = if end == 0 { total } else { (total - end).max(end).max(PART_RESULTS_MIN) };
            parts.push(Part::new(end, results)?);
        }
        Ok(())
    }

    fn note_written(&self, results: Range<u64>) {
        if std::mem::needs_drop::<R>() {
            self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(results);
        }
    }

    /// Takes the parts out; what was written to them is nobody's to drop any more.
    fn into_parts(mut self) -> Vec<Part<R>> {
        *self.written.get_mut().unwrap_or_else(PoisonError::into_inner) = Spans::default();
        std::mem::take(self.parts.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// All results, in order.
    ///
    /// # Safety
    ///
    /// All results below `total` have been written, and nobody writes any more.
    pub(crate) unsafe fn finish(self, total: usize) -> Vec<R> {
        let mut parts = self.into_parts();
        if parts.len() == 1 {
            let part = parts.remove(0);
            // SAFETY: the caller promises that the first `total` results are there.
            return unsafe { into_results(part.room, total) };
        }
        let mut results = Vec::with_capacity(total);
        for part in parts {
            let count = part.room.len().min(total - results.len());
            // SAFETY: as above, for this part's share.
            results.append(&mut unsafe { into_results(part.room, count) });
        }
        results
    }

    /// The outcomes of all calls, in order.
    ///
    /// # Safety
    ///
    /// All calls below `total` have returned or failed, and nobody writes any more.
    pub(crate) unsafe fn finish_outcomes(self, total: usize) -> Vec<Result<R, Failure>> {
        let failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failures: std::collections::HashMap<u64, Failure> =
            failures.into_iter().map(|failure| (failure.index(), failure)).collect();
        let mut outcomes = Vec::with_capacity(total);
        for part in self.into_parts() {
            for index in part.first..part.end().min(total) {
                outcomes.push(match failures.remove(&(index as u64)) {
                    Some(failure) => Err(failure),
                    // SAFETY: what has not failed has returned, and is read once: its part goes right after.
                    None => Ok(unsafe { part.place(index).cast::<R>().read() }),
                });
            }
        }
        outcomes
    }
}

/// Turns the first `count` elements into results and forgets the rest.
///
/// # Safety
///
/// They are initialised.
unsafe fn into_results<R>(room: Vec<UnsafeCell<MaybeUninit<R>>>, count: usize) -> Vec<R> {
    let mut room = ManuallyDrop::new(room);
    let (pointer, capacity) = (room.as_mut_ptr(), room.capacity());
    // SAFETY: the allocation is a vector's, with this capacity; `UnsafeCell<MaybeUninit<R>>` has the layout of `R`;
    // the caller promises that the first `count` elements are initialised.
    unsafe { Vec::from_raw_parts(pointer.cast(), count, capacity) }
}

impl<R> Drop for Gather<R> {
    fn drop(&mut self) {
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let written = self.written.get_mut().unwrap_or_else(PoisonError::into_inner);
        for span in written.iter() {
            for index in span {
                let index = index as usize;
                if let Some(part) = parts.iter().find(|part| (part.first..part.end()).contains(&index)) {
                    // SAFETY: the span says that it was written, and whoever takes results out clears the spans first.
                    unsafe { part.place(index).cast::<R>().drop_in_place() };
                }
            }
        }
    }
}

impl<R: DeserializeOwned + Send> Gather<R> {
    /// Writes one result to its place.
    fn put(&self, parts: &[Part<R>], index: u64, result: R) {
        let index = index as usize;
        if let Some(part) = parts.iter().find(|part| (part.first..part.end()).contains(&index)) {
            // SAFETY: the place is inside its part, and this thread alone writes it, as `Sink` promises.
            unsafe { part.place(index).write(MaybeUninit::new(result)) };
        }
    }

    /// Whether result cells are, bit for bit, what `R` looks like in memory.
    fn is_cells(&self) -> bool {
        let of = typeid::of::<R>();
        match self.form.numbers() {
            [Number::I64] => of == TypeId::of::<i64>(),
            [Number::F64] => of == TypeId::of::<f64>(),
            _ => false,
        }
    }

    fn copy_cells(&self, first: u64, count: usize, read: &dyn Fn(usize, &mut [MaybeUninit<u8>])) {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < count {
            let index = first as usize + done;
            let Some(part) = parts.iter().find(|part| (part.first..part.end()).contains(&index)) else {
                return;
            };
            let here = (part.end() - index).min(count - done);
            let bytes = part.place(index).cast::<MaybeUninit<u8>>();
            // SAFETY: `here` results lie in the part from this place on; the cells of a part are contiguous, and
            // any bytes may be written to them. Nobody else writes or reads them, as `Sink` promises.
            let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, here * size_of::<R>()) };
            read(done, bytes);
            done += here;
        }
    }

    fn accept(&self, index: u64, result: R) {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        self.put(&parts, index, result);
        self.note_written(index..index + 1);
    }
}

impl<R: DeserializeOwned + Send> Sink for Gather<R> {
    fn returned(&self, first: u64, results: Results<'_>) -> Result<(), Vec<Failure>> {
        match results.form {
            Form::Cells { read, .. } if self.is_cells() => {
                self.copy_cells(first, results.count, read);
                Ok(())
            }
            form => {
                let results = Results { form, ..results };
                let refused = self.form.read(first, &results, |index, result| self.accept(index, result));
                if refused.is_empty() { Ok(()) } else { Err(refused) }
            }
        }
    }

    fn failed(&self, failure: &Failure) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::outcome::FailureKind;
    use super::*;

    fn put<R: DeserializeOwned + Send>(gather: &Gather<R>, first: u64, cells: &[i64]) -> usize {
        let read = |at: usize, into: &mut [MaybeUninit<u8>]| {
            let bytes: Vec<u8> = cells[at..].iter().flat_map(|cell| cell.to_le_bytes()).collect();
            into.iter_mut().zip(bytes).for_each(|(into, byte)| {
                into.write(byte);
            });
        };
        let form = Form::Cells { width: 1, read: &read };
        let results = Results { count: cells.len(), form, worker: 0, attempts: &HashMap::new() };
        gather.returned(first, results).map_or_else(|refused| refused.len(), |()| 0)
    }

    #[test]
    fn results_land_in_their_places_in_any_order_and_across_parts() {
        let gather = Gather::<i64>::new(3, ResultForm::Numbers(vec![Number::I64])).expect("room");
        gather.reserve(5000).expect("room");
        let cells: Vec<i64> = (0..5000).map(|cell| cell * cell).collect();
        put(&gather, 4000, &cells[4000..]);
        put(&gather, 0, &cells[..2]);
        put(&gather, 2, &cells[2..4000]);
        // SAFETY: all of the 5000 results were put just now.
        assert_eq!(unsafe { gather.finish(5000) }, cells);
    }

    #[test]
    fn results_are_decoded_where_the_type_is_another() {
        let gather = Gather::<Option<i64>>::new(2, ResultForm::Numbers(vec![Number::I64])).expect("room");
        put(&gather, 0, &[7, -7]);
        // SAFETY: both results were put just now.
        assert_eq!(unsafe { gather.finish(2) }, [Some(7), Some(-7)]);
    }

    #[test]
    fn unreadable_results_are_failures() {
        let gather = Gather::<String>::new(2, ResultForm::Numbers(vec![Number::I64])).expect("room");
        assert_eq!(put(&gather, 0, &[7, 8]), 2);
    }

    #[test]
    fn what_was_written_is_dropped_with_the_rest() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        static ALIVE: AtomicUsize = AtomicUsize::new(0);
        struct Counted;
        impl<'de> serde::Deserialize<'de> for Counted {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                i64::deserialize(from)?;
                ALIVE.fetch_add(1, Ordering::Relaxed);
                Ok(Self)
            }
        }
        impl Drop for Counted {
            fn drop(&mut self) {
                ALIVE.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let gather = Gather::<Counted>::new(10, ResultForm::Numbers(vec![Number::I64])).expect("room");
        put(&gather, 2, &[1, 2, 3]);
        assert_eq!(ALIVE.load(Ordering::Relaxed), 3);
        drop(gather);
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn outcomes_keep_failures_in_their_places() {
        let gather = Gather::<i64>::new(3, ResultForm::Numbers(vec![Number::I64])).expect("room");
        put(&gather, 0, &[1]);
        put(&gather, 2, &[3]);
        gather.failed(&Failure::new(1, FailureKind::Trapped, "boom"));
        // SAFETY: two results were put and one call failed.
        let outcomes = unsafe { gather.finish_outcomes(3) };
        assert_eq!(outcomes[0], Ok(1));
        assert_eq!(outcomes[1].as_ref().map_err(Failure::kind), Err(FailureKind::Trapped));
        assert_eq!(outcomes[2], Ok(3));
    }
}

//! Values and arrays: numbers in shared memory, changed by atomic operations, with a lock for longer stories.
//!
//! ```text
//!     0  header   see `ground`; the lock's words in it
//!   192  leases   see `leases`
//!  8192  elements, packed, to the end of their last page
//! ```
//!
//! An element is an atomic of its own size and never torn. [`Cells::operate`] is one atomic step on one element, in
//! one order that all parties agree on (see `element`). [`Cells::read`], [`Cells::write`] and [`Cells::fill`] treat
//! each element as one step and promise nothing about the order between them.
//!
//! There is nothing to repair after a death: every operation on elements is one store, or many that are independent.
//! The pages hold no number but the elements, and all bit patterns are elements.

use std::ops::Range;

use wasmpool_abi::shared::{CellOp, Element, Refusal, ViewMode};

use super::ground::{Ground, PAGE_BYTES};
use super::leases::{self, Access, Leases};
use super::lock::Lock;
use super::{Outcome, Party, element};

/// Where the elements begin.
const ELEMENTS_AT: usize = leases::END.next_multiple_of(PAGE_BYTES);

/// Bytes of the region: pages of words, then the elements on pages of their own, so that these can be mapped alone.
pub(crate) fn bytes(element: Element, length: u64) -> Option<usize> {
    let elements = usize::try_from(length).ok()?.checked_mul(element.bytes())?;
    let bytes = elements.checked_next_multiple_of(PAGE_BYTES)?.checked_add(ELEMENTS_AT)?;
    isize::try_from(bytes).is_ok().then_some(bytes)
}

/// A value (one element) or an array.
#[derive(Debug)]
pub(crate) struct Cells {
    ground: Ground,
    element: Element,
    length: u64,
    lock: Lock,
}

/// A range of elements that a view uses; it is given back by [`Cells::unlease`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Its place in the object's table.
    index: u32,
}

impl Cells {
    /// An array of `length` elements on `ground`, which has [`bytes`] bytes.
    pub(crate) fn open(ground: Ground, element: Element, length: u64) -> Self {
        let lock = Lock::open(ground.clone(), true);
        Self { ground, element, length, lock }
    }

    /// Its pages.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Type of its elements.
    pub(crate) fn element(&self) -> Element {
        self.element
    }

    /// How many elements it has.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Its lock, re-entrant; no operation below takes it.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Does one atomic operation on one element; answers the value before.
    ///
    /// `operand`, `new` and the answer are the contract's 64 bits. For [`CellOp::CompareExchange`], `operand` is what
    /// the element is compared with, bit for bit; if it differs, the answer is `Ok(Err(current))`.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], [`Refusal::Invalid`], [`Refusal::ReadOnly`] (for all but `Get`),
    /// [`Refusal::Leased`], [`Refusal::Poisoned`].
    #[inline]
    pub(crate) fn operate(
        &self,
        op: CellOp,
        index: u64,
        operand: u64,
        new: u64,
    ) -> Outcome<Result<u64, u64>> {
        let access = if op == CellOp::Get { Access::Read } else { Access::Write };
        if index >= self.length {
            return Err(Refusal::OutOfRange);
        }
        self.admit(access, index..index + 1)?;
        element::operate(self.ground.region(), self.offset(index), self.element, op, operand, new)
    }

    /// Copies elements out, packed; `into.len()` is a multiple of the element's size.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], [`Refusal::Invalid`] for a torn last element, [`Refusal::Leased`],
    /// [`Refusal::Poisoned`].
    pub(crate) fn read(&self, start: u64, into: &mut [u8]) -> Outcome<()> {
        let elements = self.elements(start, into.len())?;
        self.admit(Access::Read, elements)?;
        self.ground.region().load(self.offset(start), into);
        if self.element == Element::Bool {
            // A view lets a guest store any byte; readers are promised a bool.
            for byte in into {
                *byte = u8::from(*byte != 0);
            }
        }
        Ok(())
    }

    /// Copies elements in, packed; `from.len()` is a multiple of the element's size.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and [`Refusal::ReadOnly`]; [`Refusal::Invalid`] also for a bool that is neither 0 nor 1.
    pub(crate) fn write(&self, start: u64, from: &[u8]) -> Outcome<()> {
        let elements = self.elements(start, from.len())?;
        if self.element == Element::Bool && from.iter().any(|byte| *byte > 1) {
            return Err(Refusal::Invalid);
        }
        self.admit(Access::Write, elements)?;
        self.ground.region().store(self.offset(start), from);
        Ok(())
    }

    /// Sets all of `elements` to one number, given as the contract's 64 bits.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn fill(&self, elements: Range<u64>, bits: u64) -> Outcome<()> {
        self.check_range(&elements)?;
        let pattern = repeated(element::narrow(self.element, bits)?, self.element.bytes());
        self.admit(Access::Write, elements.clone())?;
        let count = self.offset(elements.end) - self.offset(elements.start);
        self.ground.region().repeat(self.offset(elements.start), count, pattern);
        Ok(())
    }

    /// Succeeds if nobody has an exclusive lease of any of these `elements` now; one may be taken at any time.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], [`Refusal::Leased`], [`Refusal::Poisoned`].
    pub(crate) fn check_readable(&self, elements: Range<u64>) -> Outcome<()> {
        self.check_range(&elements)?;
        self.admit(Access::Read, elements)
    }

    /// Takes a lease for a view of `elements`.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutOfRange`], [`Refusal::Leased`] when another view is in its way, [`Refusal::TooManyOpen`] when
    /// there are as many as there can be, [`Refusal::Invalid`] for [`ViewMode::Watched`], which needs none, and what entering the object can come to: [`Refusal::ReadOnly`],
    /// [`Refusal::Poisoned`], [`Refusal::TimedOut`].
    pub(crate) fn lease(&self, party: Party, mode: ViewMode, elements: Range<u64>) -> Outcome<Lease> {
        self.check_range(&elements)?;
        let index = self.leases().take(party, mode, elements)?;
        Ok(Lease { index })
    }

    /// Gives a lease back.
    pub(crate) fn unlease(&self, party: Party, lease: Lease) {
        self.leases().give_back(party, lease.index);
    }

    /// Where in the region (and so in its file) the elements begin; a multiple of the page size.
    pub(crate) fn elements_at(&self) -> usize {
        ELEMENTS_AT
    }

    /// Gives back all leases and the lock, at the end of a call of a living party.
    pub(crate) fn end_call(&self, party: Party) {
        if self.ground.is_writable() {
            self.leases().give_back_all(party);
        }
        self.lock.end_call(party);
    }

    /// The same for a party that is dead, and wakes everyone.
    pub(crate) fn bury(&self, party: Party) {
        self.leases().give_back_all(party);
        self.lock.bury(party);
    }

    #[inline]
    fn admit(&self, access: Access, elements: Range<u64>) -> Outcome<()> {
        match access {
            Access::Read => self.ground.check()?,
            Access::Write => self.ground.check_writable()?,
        }
        self.leases().admit(access, elements)
    }

    fn leases(&self) -> Leases<'_> {
        Leases::new(&self.ground)
    }

    /// The elements that `bytes` bytes from `start` are.
    fn elements(&self, start: u64, bytes: usize) -> Outcome<Range<u64>> {
        if !bytes.is_multiple_of(self.element.bytes()) {
            return Err(Refusal::Invalid);
        }
        let count = (bytes / self.element.bytes()) as u64;
        let elements = start..start.checked_add(count).ok_or(Refusal::OutOfRange)?;
        self.check_range(&elements)?;
        Ok(elements)
    }

    fn check_range(&self, elements: &Range<u64>) -> Outcome<()> {
        let is_inside = elements.start <= elements.end && elements.end <= self.length;
        if is_inside { Ok(()) } else { Err(Refusal::OutOfRange) }
    }

    /// Where an element is that exists, or where the last one ends.
    #[inline]
    fn offset(&self, index: u64) -> usize {
        // Cannot overflow: `bytes` found room for all of them.
        ELEMENTS_AT + index as usize * self.element.bytes()
    }
}

/// The lowest `bytes` bytes of a number, over and over.
fn repeated(bits: u64, bytes: usize) -> u64 {
    let ones = match bytes {
        1 => 0x0101_0101_0101_0101,
        2 => 0x0001_0001_0001_0001,
        4 => 0x0000_0001_0000_0001,
        _ => 1,
    };
    let kept = if bytes == 8 { bits } else { bits & ((1 << (8 * bytes)) - 1) };
    kept * ones
}

#[cfg(test)]
mod tests;

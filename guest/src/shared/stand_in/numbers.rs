//! The numbers of values and arrays, and the views of them.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use wasmpool_abi::shared::{CellOp, Element as Code, Refusal, ViewMode};

use crate::shared::element::Element;

/// Numbers, in memory that stays where it is.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) element: Code,
    pub(super) length: usize,
    /// As many words as the numbers take; atomic, so that they can be changed through any number of references.
    memory: Arc<[AtomicU64]>,
    views: Vec<View>,
}

#[derive(Debug)]
struct View {
    mode: ViewMode,
    range: Range<usize>,
    address: usize,
    /// Let go of only when the view is: one that is leaked must not outlive its memory, even if the objects do not live
    /// as long.
    memory: ManuallyDrop<Arc<[AtomicU64]>>,
}

impl Numbers {
    pub(super) fn new<T: Element>(initial: &[T]) -> Self {
        let words = (initial.len() * T::CODE.bytes()).div_ceil(8);
        let memory = (0..words).map(|_| AtomicU64::new(0)).collect();
        let mut numbers = Self { element: T::CODE, length: initial.len(), memory, views: Vec::new() };
        for (index, number) in initial.iter().enumerate() {
            let _ = numbers.cell(CellOp::Set, index as i64, number.to_bits(), 0);
        }
        numbers
    }

    fn address(&self, index: usize) -> usize {
        self.memory.as_ptr().expose_provenance() + index * self.element.bytes()
    }

    fn range(&self, start: i64, count: usize) -> Result<Range<usize>, Refusal> {
        let start = usize::try_from(start).map_err(|_| Refusal::OutOfRange)?;
        let end = start.checked_add(count).filter(|end| *end <= self.length).ok_or(Refusal::OutOfRange)?;
        Ok(start..end)
    }

    /// Whether no view of these elements forbids this.
    fn is_free(&self, range: &Range<usize>, mode: ViewMode) -> bool {
        let overlaps = |view: &&View| view.range.start < range.end && range.start < view.range.end;
        self.views.iter().filter(overlaps).all(|view| match (view.mode, mode) {
            (ViewMode::Watched, _) => true,
            (ViewMode::Exclusive, _) => false,
            (_, ViewMode::Watched) => true,
            (theirs, mode) => theirs == mode,
        })
    }

    pub(super) fn cell(
        &mut self,
        op: CellOp,
        index: i64,
        a: i64,
        b: i64,
    ) -> Result<Result<i64, i64>, Refusal> {
        use crate::shared::element::sealed::Cell;

        let range = self.range(index, 1)?;
        let reads = op == CellOp::Get && self.is_free(&range, ViewMode::ReadOnly);
        if !reads && !self.is_free(&range, ViewMode::Shared) {
            return Err(Refusal::Leased);
        }
        let address = self.address(range.start);
        macro_rules! apply {
            ($($code:ident: $type:ty),+) => {
                match self.element {
                    $(Code::$code => {
                        let cell = std::ptr::with_exposed_provenance_mut::<$type>(address);
                        // SAFETY: the address is that of an element of `memory`, aligned for it; and whoever else accesses
                        // it, does so by atomic operations, or has a lease, which was refused above.
                        unsafe { <$type>::apply(cell, op, a, b) }
                    })+
                }
            };
        }
        Ok(apply!(
            Bool: bool, I8: i8, U8: u8, I16: i16, U16: u16, I32: i32, U32: u32, I64: i64, U64: u64, F32: f32,
            F64: f64
        ))
    }

    pub(super) fn read(&mut self, start: i64, bytes: &mut [u8], size: usize) -> Result<(), Refusal> {
        self.range(start, bytes.len() / size)?;
        for (index, place) in (start..).zip(bytes.chunks_exact_mut(size)) {
            let (Ok(bits) | Err(bits)) = self.cell(CellOp::Get, index, 0, 0)?;
            place.copy_from_slice(&bits.to_le_bytes()[..size]);
        }
        Ok(())
    }

    pub(super) fn write(&mut self, start: i64, bytes: &[u8], size: usize) -> Result<(), Refusal> {
        self.range(start, bytes.len() / size)?;
        for (index, bytes) in (start..).zip(bytes.chunks_exact(size)) {
            let mut bits = [0; 8];
            bits[..size].copy_from_slice(bytes);
            let _ = self.cell(CellOp::Set, index, i64::from_le_bytes(bits), 0)?;
        }
        Ok(())
    }

    pub(super) fn map(&mut self, mode: ViewMode, start: i64, end: i64) -> Result<i64, Refusal> {
        let count = usize::try_from(end - start).map_err(|_| Refusal::Invalid)?;
        let range = self.range(start, count)?;
        if !self.is_free(&range, mode) {
            return Err(Refusal::Leased);
        }
        let address = self.address(range.start);
        let memory = ManuallyDrop::new(Arc::clone(&self.memory));
        self.views.push(View { mode, range, address, memory });
        Ok(address as i64)
    }

    /// Takes a view away, if there is one at this address.
    pub(super) fn unmap(&mut self, address: usize) -> bool {
        let place = self.views.iter().position(|view| view.address == address);
        let view = place.map(|place| self.views.swap_remove(place));
        view.map(|view| ManuallyDrop::into_inner(view.memory)).is_some()
    }
}

//! One element of a value or an array: an atomic of the element's own size.
//!
//! All operations are sequentially consistent. The same elements can appear in a guest's own memory, where its
//! atomic instructions are so by definition, and who sets one flag and looks at another expects it (with less, both
//! of two parties can find the other's flag unset). It costs nothing here: a read-modify-write is one locked
//! instruction in every order, `Set` is one because it answers the value before, and `Get` is a plain load.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use wasmpool_abi::shared::{CellOp, Element, Refusal};

use super::Outcome;
use crate::shm::region::Region;

/// The value before; for a comparison that failed, the value that was found instead.
pub(super) type Before = Result<u64, u64>;

/// Does `op` on the element at `offset`.
///
/// # Errors
///
/// [`Refusal::Invalid`] for an operand that is no number of the type, and for an operation that the type lacks.
#[inline]
pub(super) fn operate(
    region: &Region,
    offset: usize,
    element: Element,
    op: CellOp,
    operand: u64,
    new: u64,
) -> Outcome<Before> {
    match element {
        Element::Bool => bool(region.word(offset), op, operand, new),
        Element::I8 => i8(region.word(offset), op, operand, new),
        Element::U8 => u8(region.word(offset), op, operand, new),
        Element::I16 => i16(region.word(offset), op, operand, new),
        Element::U16 => u16(region.word(offset), op, operand, new),
        Element::I32 => i32(region.word(offset), op, operand, new),
        Element::U32 => u32(region.word(offset), op, operand, new),
        Element::I64 => i64(region.word(offset), op, operand, new),
        Element::U64 => u64(region.word(offset), op, operand, new),
        Element::F32 => f32(region.word(offset), op, operand, new),
        Element::F64 => f64(region.word(offset), op, operand, new),
    }
}

/// The bits of one element, if the contract's 64 bits are a number of its type.
///
/// # Errors
///
/// [`Refusal::Invalid`] if they are not.
pub(super) fn narrow(element: Element, bits: u64) -> Outcome<u64> {
    let kept = match element {
        Element::Bool => bits & 1,
        Element::I8 => bits as i8 as u64,
        Element::U8 => bits as u8 as u64,
        Element::I16 => bits as i16 as u64,
        Element::U16 => bits as u16 as u64,
        Element::I32 => bits as i32 as u64,
        Element::U32 | Element::F32 => bits as u32 as u64,
        Element::I64 | Element::U64 | Element::F64 => bits,
    };
    if kept == bits { Ok(bits) } else { Err(Refusal::Invalid) }
}

macro_rules! integers {
    ($($number:ident: $atomic:ty),+ $(,)?) => {$(
        #[inline]
        fn $number(cell: &$atomic, op: CellOp, operand: u64, new: u64) -> Outcome<Before> {
            // `as` extends the sign of the signed and zeros of the unsigned.
            let widen = |number: $number| number as u64;
            let narrow = |bits: u64| match bits as $number {
                number if widen(number) == bits => Ok(number),
                _ => Err(Refusal::Invalid),
            };
            if op == CellOp::Get {
                return Ok(Ok(widen(cell.load(SeqCst))));
            }
            let operand = narrow(operand)?;
            let before = match op {
                CellOp::Get => cell.load(SeqCst),
                CellOp::Set => cell.swap(operand, SeqCst),
                CellOp::Add => cell.fetch_add(operand, SeqCst),
                CellOp::Sub => cell.fetch_sub(operand, SeqCst),
                CellOp::And => cell.fetch_and(operand, SeqCst),
                CellOp::Or => cell.fetch_or(operand, SeqCst),
                CellOp::Xor => cell.fetch_xor(operand, SeqCst),
                CellOp::Min => cell.fetch_min(operand, SeqCst),
                CellOp::Max => cell.fetch_max(operand, SeqCst),
                CellOp::CompareExchange => {
                    let found = cell.compare_exchange(operand, narrow(new)?, SeqCst, SeqCst);
                    return Ok(found.map(widen).map_err(widen));
                }
            };
            Ok(Ok(widen(before)))
        }
    )+};
}
integers! {
    i8: AtomicI8, u8: AtomicU8, i16: AtomicI16, u16: AtomicU16,
    i32: AtomicI32, u32: AtomicU32, i64: AtomicI64, u64: AtomicU64,
}

macro_rules! floats {
    ($($float:ident: $bits:ident in $atomic:ty),+ $(,)?) => {$(
        #[inline]
        fn $float(cell: &$atomic, op: CellOp, operand: u64, new: u64) -> Outcome<Before> {
            let narrow = |bits: u64| $bits::try_from(bits).map_err(|_| Refusal::Invalid);
            if op == CellOp::Get {
                return Ok(Ok(cell.load(SeqCst).into()));
            }
            let bits = narrow(operand)?;
            let number = $float::from_bits(bits);
            let before = match op {
                CellOp::Get => cell.load(SeqCst),
                CellOp::Set => cell.swap(bits, SeqCst),
                CellOp::Add => float_update!(cell, $float, |now| now + number),
                CellOp::Sub => float_update!(cell, $float, |now| now - number),
                CellOp::Min => float_update!(cell, $float, |now| now.min(number)),
                CellOp::Max => float_update!(cell, $float, |now| now.max(number)),
                CellOp::And | CellOp::Or | CellOp::Xor => return Err(Refusal::Invalid),
                CellOp::CompareExchange => {
                    let found = cell.compare_exchange(bits, narrow(new)?, SeqCst, SeqCst);
                    return Ok(found.map(u64::from).map_err(u64::from));
                }
            };
            Ok(Ok(before.into()))
        }
    )+};
}

/// Replaces a float by what becomes of it, as one step. A try that fails means that another's succeeded.
macro_rules! float_update {
    ($cell:ident, $float:ident, |$now:ident| $next:expr) => {{
        let mut bits = $cell.load(SeqCst);
        loop {
            let $now = $float::from_bits(bits);
            match $cell.compare_exchange_weak(bits, $next.to_bits(), SeqCst, SeqCst) {
                Ok(before) => break before,
                Err(other) => bits = other,
            }
        }
    }};
}
floats! { f32: u32 in AtomicU32, f64: u64 in AtomicU64 }

/// A view lets a guest store any byte, so that everything but 0 is taken for true, and comparisons are logical.
fn bool(cell: &AtomicU8, op: CellOp, operand: u64, new: u64) -> Outcome<Before> {
    let narrow = |bits: u64| narrow(Element::Bool, bits).map(|bits| bits == 1);
    let mut byte = cell.load(SeqCst);
    if op == CellOp::Get {
        return Ok(Ok((byte != 0).into()));
    }
    let (operand, new) = (narrow(operand)?, narrow(if op == CellOp::CompareExchange { new } else { 0 })?);
    loop {
        let now = byte != 0;
        let next = match op {
            CellOp::Get | CellOp::Add | CellOp::Sub => return Err(Refusal::Invalid),
            CellOp::Set => operand,
            CellOp::And | CellOp::Min => now & operand,
            CellOp::Or | CellOp::Max => now | operand,
            CellOp::Xor => now ^ operand,
            CellOp::CompareExchange if now != operand => return Ok(Err(now.into())),
            CellOp::CompareExchange => new,
        };
        match cell.compare_exchange_weak(byte, next.into(), SeqCst, SeqCst) {
            Ok(_) => return Ok(Ok(now.into())),
            Err(other) => byte = other,
        }
    }
}

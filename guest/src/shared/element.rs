//! The types of numbers that a value or an array can have.
#![allow(unsafe_code, reason = "atomic operations on memory that the host has mapped go through its address")]

use std::fmt::Debug;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering,
};

use wasmpool_abi::shared::{CellOp, Element as Code};

/// A type of number that shared memory can hold: `bool`, `i8` to `i64`, `u8` to `u64`, `f32` and `f64`.
pub trait Element: sealed::Cell + Copy + PartialEq + Debug + Default + 'static {}

/// An [`Element`] that can be added: all but `bool`.
///
/// Its every bit pattern is a number, which is why plain slices of it can be had of memory that others write, too.
pub trait Number: Element {}

/// An [`Element`] that has bits of its own to work on: all but `f32` and `f64`.
pub trait Bits: Element {}

pub(super) mod sealed {
    use wasmpool_abi::shared::{CellOp, Element as Code};

    /// What the SDK has to know of an element; nobody else can implement it.
    pub trait Cell: Sized {
        #[doc(hidden)]
        const CODE: Code;

        /// As it travels to the host.
        #[doc(hidden)]
        fn to_bits(self) -> i64;

        /// As it travels from the host.
        #[doc(hidden)]
        fn from_bits(bits: i64) -> Self;

        /// Does on memory what the host's `shared_cell` does; `Err` is what a failed exchange has found.
        ///
        /// # Safety
        ///
        /// `cell` is aligned, points to memory of the element's size that can be read and written for as long as this
        /// takes, and meanwhile nobody accesses it but by atomic operations.
        #[doc(hidden)]
        unsafe fn apply(cell: *mut Self, op: CellOp, a: i64, b: i64) -> Result<i64, i64>;
    }
}

/// WebAssembly has no weaker one.
const ORDER: Ordering = Ordering::SeqCst;

macro_rules! integers {
    ($($type:ident: $code:ident, $atomic:ident;)+) => {$(
        impl Element for $type {}
        impl Number for $type {}
        impl Bits for $type {}

        impl sealed::Cell for $type {
            const CODE: Code = Code::$code;

            #[inline]
            fn to_bits(self) -> i64 {
                self as i64
            }

            #[inline]
            fn from_bits(bits: i64) -> Self {
                bits as Self
            }

            // Always, so that of all operations the one that is meant remains.
            #[inline(always)]
            unsafe fn apply(cell: *mut Self, op: CellOp, a: i64, b: i64) -> Result<i64, i64> {
                // SAFETY: the caller promises what this asks for: alignment, life, and that all access is atomic.
                let cell = unsafe { $atomic::from_ptr(cell) };
                let (a, b) = (a as Self, b as Self);
                let before = match op {
                    CellOp::Get => cell.load(ORDER),
                    CellOp::Set => cell.swap(a, ORDER),
                    CellOp::Add => cell.fetch_add(a, ORDER),
                    CellOp::Sub => cell.fetch_sub(a, ORDER),
                    CellOp::And => cell.fetch_and(a, ORDER),
                    CellOp::Or => cell.fetch_or(a, ORDER),
                    CellOp::Xor => cell.fetch_xor(a, ORDER),
                    CellOp::Min => cell.fetch_min(a, ORDER),
                    CellOp::Max => cell.fetch_max(a, ORDER),
                    CellOp::CompareExchange => match cell.compare_exchange(a, b, ORDER, ORDER) {
                        Ok(before) => before,
                        Err(found) => return Err(found.to_bits()),
                    },
                };
                Ok(before.to_bits())
            }
        }
    )+};
}

integers! {
    i8: I8, AtomicI8;
    u8: U8, AtomicU8;
    i16: I16, AtomicI16;
    u16: U16, AtomicU16;
    i32: I32, AtomicI32;
    u32: U32, AtomicU32;
    i64: I64, AtomicI64;
    u64: U64, AtomicU64;
}

macro_rules! floats {
    ($($type:ident: $code:ident, $bits:ident, $atomic:ident;)+) => {$(
        impl Element for $type {}
        impl Number for $type {}

        impl sealed::Cell for $type {
            const CODE: Code = Code::$code;

            #[inline]
            fn to_bits(self) -> i64 {
                $type::to_bits(self) as i64
            }

            #[inline]
            fn from_bits(bits: i64) -> Self {
                $type::from_bits(bits as $bits)
            }

            // Always, so that of all operations the one that is meant remains.
            #[inline(always)]
            unsafe fn apply(cell: *mut Self, op: CellOp, a: i64, b: i64) -> Result<i64, i64> {
                // SAFETY: the caller promises what this asks for: alignment, life, and that all access is atomic.
                let cell = unsafe { $atomic::from_ptr(cell.cast()) };
                let change = |change: &dyn Fn($type, $type) -> $type| {
                    let a = <Self as sealed::Cell>::from_bits(a);
                    cell.update(ORDER, ORDER, |bits| change($type::from_bits(bits), a).to_bits())
                };
                let before = match op {
                    CellOp::Get => cell.load(ORDER),
                    CellOp::Set => cell.swap(a as $bits, ORDER),
                    CellOp::Add => change(&|number, a| number + a),
                    CellOp::Sub => change(&|number, a| number - a),
                    CellOp::Min => change(&|number, a| number.min(a)),
                    CellOp::Max => change(&|number, a| number.max(a)),
                    CellOp::CompareExchange => {
                        match cell.compare_exchange(a as $bits, b as $bits, ORDER, ORDER) {
                            Ok(before) => before,
                            Err(found) => return Err(found as i64),
                        }
                    }
                    CellOp::And | CellOp::Or | CellOp::Xor => unreachable!("a float is not `Bits`"),
                };
                Ok(before as i64)
            }
        }
    )+};
}

floats! {
    f32: F32, u32, AtomicU32;
    f64: F64, u64, AtomicU64;
}

impl Element for bool {}
impl Bits for bool {}

/// Its memory is reached as bytes, since others may have written more there than 0 and 1.
impl sealed::Cell for bool {
    const CODE: Code = Code::Bool;

    #[inline]
    fn to_bits(self) -> i64 {
        self.into()
    }

    #[inline]
    fn from_bits(bits: i64) -> Self {
        bits != 0
    }

    #[inline(always)]
    unsafe fn apply(cell: *mut Self, op: CellOp, a: i64, b: i64) -> Result<i64, i64> {
        // SAFETY: the caller's promise for a `bool` is the same as for a `u8`, which has its size and alignment.
        unsafe { u8::apply(cell.cast(), op, a, b) }
    }
}

//! The types of numbers that a value or an array can have.

use std::fmt::Debug;

use wasmpool_abi::shared::Element as Code;

/// A number that shared memory can hold: `bool`, integers to 64 bits, floats.
///
/// These are `bool`, `i8` to `i64`, `u8` to `u64`, `f32` and `f64`.
pub trait Element: sealed::Cell + Copy + PartialEq + Debug + Default + Send + Sync + 'static {}

/// An [`Element`] that can be added: all but `bool`.
pub trait Number: Element {}

/// An [`Element`] that has bits of its own to work on: all but `f32` and `f64`.
pub trait Bits: Element {}

pub(crate) mod sealed {
    use wasmpool_abi::shared::Element as Code;

    /// What the library has to know of an element; nobody else can implement it.
    pub trait Cell: Sized {
        #[doc(hidden)]
        const CODE: Code;

        /// As an operation takes it: integers extended to 64 bits, floats as their pattern.
        #[doc(hidden)]
        fn to_bits(self) -> u64;

        /// As an operation answers it.
        #[doc(hidden)]
        fn from_bits(bits: u64) -> Self;

        /// Appends elements as they lie in shared memory.
        #[doc(hidden)]
        fn pack(elements: &[Self], into: &mut Vec<u8>);

        /// Reads elements as they lie in shared memory: `bytes` has as many as `into`.
        #[doc(hidden)]
        fn unpack(bytes: &[u8], into: &mut [Self]);
    }
}

/// Copies whole elements between memory of the two forms; the compiler makes one copy of it.
macro_rules! packing {
    ($to:expr, $from:expr) => {
        fn pack(elements: &[Self], into: &mut Vec<u8>) {
            into.extend(elements.iter().flat_map($to));
        }

        fn unpack(bytes: &[u8], into: &mut [Self]) {
            let (elements, _) = bytes.as_chunks();
            for (element, bytes) in into.iter_mut().zip(elements) {
                *element = $from(bytes);
            }
        }
    };
}

macro_rules! integers {
    ($($type:ident: $code:ident;)+) => {$(
        impl Element for $type {}
        impl Number for $type {}
        impl Bits for $type {}

        impl sealed::Cell for $type {
            const CODE: Code = Code::$code;

            #[inline]
            fn to_bits(self) -> u64 {
                self as u64
            }

            #[inline]
            fn from_bits(bits: u64) -> Self {
                bits as Self
            }

            packing!(|element| element.to_le_bytes(), |bytes: &[u8; size_of::<Self>()]| Self::from_le_bytes(*bytes));
        }
    )+};
}

integers! {
    i8: I8;
    u8: U8;
    i16: I16;
    u16: U16;
    i32: I32;
    u32: U32;
    i64: I64;
    u64: U64;
}

macro_rules! floats {
    ($($type:ident: $code:ident, $bits:ident;)+) => {$(
        impl Element for $type {}
        impl Number for $type {}

        impl sealed::Cell for $type {
            const CODE: Code = Code::$code;

            #[inline]
            fn to_bits(self) -> u64 {
                $type::to_bits(self).into()
            }

            #[inline]
            fn from_bits(bits: u64) -> Self {
                $type::from_bits(bits as $bits)
            }

            packing!(|element| element.to_le_bytes(), |bytes: &[u8; size_of::<Self>()]| Self::from_le_bytes(*bytes));
        }
    )+};
}

floats! {
    f32: F32, u32;
    f64: F64, u64;
}

impl Element for bool {}
impl Bits for bool {}

/// Others may have written more into its byte than 0 and 1.
impl sealed::Cell for bool {
    const CODE: Code = Code::Bool;

    #[inline]
    fn to_bits(self) -> u64 {
        self.into()
    }

    #[inline]
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }

    packing!(|element| [u8::from(*element)], |bytes: &[u8; 1]| bytes[0] != 0);
}

#[cfg(test)]
mod tests {
    use super::sealed::Cell;
    use super::*;

    fn check<T: Element>(elements: &[T]) {
        let mut bytes = Vec::new();
        T::pack(elements, &mut bytes);
        assert_eq!(bytes.len(), elements.len() * T::CODE.bytes());
        let mut read = vec![T::default(); elements.len()];
        T::unpack(&bytes, &mut read);
        assert_eq!(read, elements);
        let read: Vec<T> = elements.iter().map(|element| T::from_bits(element.to_bits())).collect();
        assert_eq!(read, elements);
    }

    #[test]
    fn elements_of_all_types_come_back_as_they_went() {
        check(&[i8::MIN, -1, 0, i8::MAX]);
        check(&[0, u8::MAX]);
        check(&[i16::MIN, -1, i16::MAX]);
        check(&[0, u16::MAX]);
        check(&[i32::MIN, -1, i32::MAX]);
        check(&[0, u32::MAX]);
        check(&[i64::MIN, -1, i64::MAX]);
        check(&[0, u64::MAX]);
        check(&[0.1f32, -0.0, f32::INFINITY]);
        check(&[0.1f64, -0.0, f64::MIN]);
        check(&[true, false]);
    }

    #[test]
    fn a_strange_byte_is_a_true_bool() {
        let mut read = [false; 2];
        bool::unpack(&[7, 0], &mut read);
        assert_eq!(read, [true, false]);
    }
}

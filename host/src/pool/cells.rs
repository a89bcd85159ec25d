//! Numbers as cells: between a caller's types and the eight-byte cells of numeric tasks.
//!
//! A cell is a little-endian `u64`: an `i64`, an `i32` sign-extended, the bits of an `f64`, or the bits of an `f32`
//! in its lower half. The types are serde's, so that a tuple of numbers needs no trait of ours; what is not a number
//! is refused with the name of the parameter's place.

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::ser::{self, Impossible, Serialize, Serializer};

use crate::sandbox::driver::Number;

/// A value cannot become cells, or cells cannot become a value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CellError(String);

impl ser::Error for CellError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl de::Error for CellError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Appends a value's cells: the value itself for one number, a tuple's elements in order.
///
/// # Errors
///
/// When the value does not consist of just these numbers.
pub(crate) fn write<A: Serialize>(
    value: &A,
    numbers: &[Number],
    cells: &mut Vec<u64>,
) -> Result<(), CellError> {
    let start = cells.len();
    let mut writer = Writer { numbers, written: 0, cells };
    let result = value.serialize(&mut writer).and_then(|()| {
        let written = writer.written;
        if written == numbers.len() {
            Ok(())
        } else {
            Err(CellError(format!("{written} numbers given, the task takes {}", numbers.len())))
        }
    });
    match result {
        // So that calls can be counted by cells, a call without parameters has one that means nothing.
        Ok(()) if numbers.is_empty() => cells.push(0),
        Ok(()) => {}
        Err(error) => {
            cells.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

struct Writer<'a> {
    numbers: &'a [Number],
    written: usize,
    cells: &'a mut Vec<u64>,
}

impl Writer<'_> {
    #[inline]
    fn put(&mut self, number: Number, cell: u64, given: &dyn std::fmt::Display) -> Result<(), CellError> {
        match self.numbers.get(self.written) {
            Some(wanted) if *wanted == number => {
                self.cells.push(cell);
                self.written += 1;
                Ok(())
            }
            Some(wanted) => Err(self.refuse(wanted.name(), given)),
            None => Err(CellError(format!("the task takes only {} numbers", self.numbers.len()))),
        }
    }

    #[cold]
    fn refuse(&self, wanted: &str, given: &dyn std::fmt::Display) -> CellError {
        CellError(format!("argument {}: {given} given, expected {wanted}", self.written + 1))
    }

    /// An integer of another width, if the wanted one can hold it.
    fn put_integer(&mut self, value: i128) -> Result<(), CellError> {
        let wanted = self.numbers.get(self.written).copied();
        match (wanted, i64::try_from(value), i32::try_from(value)) {
            (Some(Number::I64), Ok(value), _) => self.put(Number::I64, value as u64, &value),
            (Some(Number::I32), _, Ok(value)) => self.put(Number::I32, i64::from(value) as u64, &value),
            (Some(wanted), ..) => Err(self.refuse(wanted.name(), &value)),
            (None, ..) => self.put(Number::I64, 0, &value),
        }
    }

    fn refuse_kind<T>(&self, given: &str) -> Result<T, CellError> {
        let wanted = self.numbers.get(self.written).map_or("nothing", |number| number.name());
        Err(self.refuse(wanted, &given))
    }
}

impl Serializer for &mut Writer<'_> {
    type Ok = ();
    type Error = CellError;
    type SerializeSeq = Impossible<(), CellError>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), CellError>;
    type SerializeTupleVariant = Impossible<(), CellError>;
    type SerializeMap = Impossible<(), CellError>;
    type SerializeStruct = Impossible<(), CellError>;
    type SerializeStructVariant = Impossible<(), CellError>;

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), CellError> {
        if self.numbers.get(self.written) == Some(&Number::I64) {
            self.cells.push(value as u64);
            self.written += 1;
            return Ok(());
        }
        self.put_integer(i128::from(value))
    }

    fn serialize_i32(self, value: i32) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_i16(self, value: i16) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_i8(self, value: i8) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_u8(self, value: u8) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_u16(self, value: u16) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_u32(self, value: u32) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_u64(self, value: u64) -> Result<(), CellError> {
        self.put_integer(i128::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), CellError> {
        self.put(Number::F64, value.to_bits(), &value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), CellError> {
        if self.numbers.get(self.written) == Some(&Number::F64) {
            return self.serialize_f64(f64::from(value));
        }
        self.put(Number::F32, u64::from(value.to_bits()), &value)
    }

    fn serialize_bool(self, _value: bool) -> Result<(), CellError> {
        self.refuse_kind("a truth value")
    }

    fn serialize_char(self, _value: char) -> Result<(), CellError> {
        self.refuse_kind("a character")
    }

    fn serialize_str(self, _value: &str) -> Result<(), CellError> {
        self.refuse_kind("a string")
    }

    fn serialize_bytes(self, _value: &[u8]) -> Result<(), CellError> {
        self.refuse_kind("bytes")
    }

    fn serialize_none(self) -> Result<(), CellError> {
        self.refuse_kind("nothing")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), CellError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), CellError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), CellError> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), CellError> {
        self.refuse_kind("a variant")
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), CellError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), CellError> {
        self.refuse_kind("a variant")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, CellError> {
        self.refuse_kind("a sequence")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, CellError> {
        Ok(self)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, CellError> {
        self.refuse_kind("a structure")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, CellError> {
        self.refuse_kind("a variant")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, CellError> {
        self.refuse_kind("a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, CellError> {
        self.refuse_kind("a structure")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, CellError> {
        self.refuse_kind("a variant")
    }
}

impl ser::SerializeTuple for &mut Writer<'_> {
    type Ok = ();
    type Error = CellError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CellError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), CellError> {
        Ok(())
    }
}

/// Reads a call's result: one number by itself, several as a tuple, none as the unit.
///
/// # Errors
///
/// When the type is made of something else.
#[inline]
pub(crate) fn read<R: de::DeserializeOwned>(cells: &[[u8; 8]], numbers: &[Number]) -> Result<R, CellError> {
    R::deserialize(Reader { cells, numbers })
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    cells: &'a [[u8; 8]],
    numbers: &'a [Number],
}

impl Reader<'_> {
    #[inline]
    fn visit<'de, V: Visitor<'de>>(cell: [u8; 8], number: Number, visitor: V) -> Result<V::Value, CellError> {
        let bits = u64::from_le_bytes(cell);
        match number {
            Number::I64 => visitor.visit_i64(bits as i64),
            Number::I32 => visitor.visit_i32(bits as i32),
            Number::F64 => visitor.visit_f64(f64::from_bits(bits)),
            Number::F32 => visitor.visit_f32(f32::from_bits(bits as u32)),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = CellError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        match (self.cells, self.numbers) {
            ([], _) => visitor.visit_unit(),
            ([cell], [number, ..]) => Self::visit(*cell, *number, visitor),
            _ => visitor.visit_seq(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CellError> {
        visitor.visit_seq(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CellError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, CellError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Reader<'_> {
    type Error = CellError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, CellError> {
        let (Some((cell, cells)), Some((number, numbers))) =
            (self.cells.split_first(), self.numbers.split_first())
        else {
            return Ok(None);
        };
        let element = Reader { cells: std::slice::from_ref(cell), numbers: std::slice::from_ref(number) };
        (self.cells, self.numbers) = (cells, numbers);
        seed.deserialize(element).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::Number::{F32, F64, I32, I64};
    use super::*;

    fn cells<A: Serialize>(value: A, numbers: &[Number]) -> Result<Vec<u64>, String> {
        let mut cells = Vec::new();
        write(&value, numbers, &mut cells).map_err(|error| error.to_string())?;
        Ok(cells)
    }

    fn value<R: de::DeserializeOwned>(cells: &[u64], numbers: &[Number]) -> Result<R, String> {
        let cells: Vec<_> = cells.iter().map(|cell| cell.to_le_bytes()).collect();
        read(&cells, numbers).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_become_cells_and_come_back() {
        assert_eq!(cells(-3i64, &[I64]), Ok(vec![-3i64 as u64]));
        assert_eq!(cells(-3i32, &[I32]), Ok(vec![-3i64 as u64]));
        assert_eq!(
            cells((1.5f64, 2.5f32), &[F64, F32]),
            Ok(vec![1.5f64.to_bits(), u64::from(2.5f32.to_bits())])
        );
        assert_eq!(cells((), &[]), Ok(vec![0]));
        assert_eq!(value(&[-3i64 as u64], &[I64]), Ok(-3i64));
        assert_eq!(value(&[-3i64 as u64], &[I32]), Ok(-3i32));
        assert_eq!(value(&[1.5f64.to_bits(), 7], &[F64, I64]), Ok((1.5f64, 7i64)));
        assert_eq!(value(&[7], &[I64]), Ok((7i64,)));
        assert_eq!(value(&[], &[]), Ok(()));
    }

    #[test]
    fn integers_of_another_width_fit_or_are_refused() {
        assert_eq!(cells(7u8, &[I64]), Ok(vec![7]));
        assert_eq!(
            cells(1i64 << 40, &[I32]),
            Err("argument 1: 1099511627776 given, expected i32".to_owned())
        );
    }

    #[test]
    fn other_values_are_refused_with_their_place() {
        assert_eq!(
            cells((1i64, "x"), &[I64, F64]),
            Err("argument 2: a string given, expected f64".to_owned())
        );
        assert_eq!(cells((1i64, 2i64), &[I64]), Err("the task takes only 1 numbers".to_owned()));
        assert_eq!(cells(1i64, &[I64, I64]), Err("1 numbers given, the task takes 2".to_owned()));
        assert_eq!(cells(1i64, &[F64]), Err("argument 1: 1 given, expected f64".to_owned()));
        assert!(value::<String>(&[1], &[I64]).is_err());
    }

    #[test]
    fn a_refused_value_leaves_no_cells_behind() {
        let mut written = vec![9];
        assert!(write(&(1i64, "x"), &[I64, I64], &mut written).is_err());
        assert_eq!(written, [9]);
    }
}

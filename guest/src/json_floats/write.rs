//! The serializer that writes them.

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A JSON serializer, or one that it made for the inside of a value.
pub(crate) struct FloatsAsText<S>(pub(crate) S);

/// A value inside of another.
struct Inside<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Inside<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(FloatsAsText(serializer))
    }
}

/// Methods that hand a value through as it is.
macro_rules! hand_through {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method(self, $($argument: $kind),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($argument),*)
        }
    )*};
}

/// Methods that open a compound value, whose inside is wrapped.
macro_rules! open {
    ($($method:ident($($argument:ident: $kind:ty),*) -> $compound:ident;)*) => {$(
        fn $method(self, $($argument: $kind),*) -> Result<Self::$compound, S::Error> {
            self.0.$method($($argument),*).map(FloatsAsText)
        }
    )*};
}

impl<S: Serializer> Serializer for FloatsAsText<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = FloatsAsText<S::SerializeSeq>;
    type SerializeTuple = FloatsAsText<S::SerializeTuple>;
    type SerializeTupleStruct = FloatsAsText<S::SerializeTupleStruct>;
    type SerializeTupleVariant = FloatsAsText<S::SerializeTupleVariant>;
    type SerializeMap = FloatsAsText<S::SerializeMap>;
    type SerializeStruct = FloatsAsText<S::SerializeStruct>;
    type SerializeStructVariant = FloatsAsText<S::SerializeStructVariant>;

    fn serialize_f32(self, float: f32) -> Result<S::Ok, S::Error> {
        if float.is_finite() {
            self.0.serialize_f32(float)
        } else {
            self.0.serialize_str(super::text(float.into()))
        }
    }

    fn serialize_f64(self, float: f64) -> Result<S::Ok, S::Error> {
        if float.is_finite() { self.0.serialize_f64(float) } else { self.0.serialize_str(super::text(float)) }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Inside(value))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Inside(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Inside(value))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    hand_through! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    open! {
        serialize_seq(length: Option<usize>) -> SerializeSeq;
        serialize_tuple(length: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, length: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, length: usize
        ) -> SerializeTupleVariant;
        serialize_map(length: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, length: usize) -> SerializeStruct;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, length: usize
        ) -> SerializeStructVariant;
    }
}

/// A compound of which each element is one value.
macro_rules! elements {
    ($($compound:ident::$method:ident;)*) => {$(
        impl<S: $compound> $compound for FloatsAsText<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Inside(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

/// A compound whose values have names.
macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl<S: $compound> $compound for FloatsAsText<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.0.serialize_field(name, &Inside(value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
                self.0.skip_field(name)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl<S: SerializeMap> SerializeMap for FloatsAsText<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Inside(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    enum Reading {
        None,
        One(f64),
        Two(f32, f32),
        Named { value: f64 },
    }

    #[derive(Serialize)]
    struct Wrapped(f64);

    #[derive(Serialize)]
    struct Pair(f64, f64);

    #[derive(Serialize)]
    struct Everything {
        list: Vec<f64>,
        tuple: (f64, u8),
        wrapped: Wrapped,
        pair: Pair,
        readings: [Reading; 4],
        map: BTreeMap<&'static str, f64>,
        some: Option<f64>,
        none: Option<f64>,
        unit: (),
        #[serde(flatten)]
        flat: BTreeMap<&'static str, f32>,
    }

    fn json(value: &impl Serialize) -> String {
        let mut output = Vec::new();
        value.serialize(FloatsAsText(&mut serde_json::Serializer::new(&mut output))).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn floats_that_json_lacks_are_texts_at_every_place() {
        let everything = Everything {
            list: vec![f64::NAN, 0.5, f64::NEG_INFINITY],
            tuple: (f64::INFINITY, 1),
            wrapped: Wrapped(f64::NAN),
            pair: Pair(-f64::NAN, 1.0),
            readings: [
                Reading::None,
                Reading::One(f64::NAN),
                Reading::Two(f32::NAN, 2.5),
                Reading::Named { value: f64::INFINITY },
            ],
            map: BTreeMap::from([("key", f64::NAN)]),
            some: Some(f64::NAN),
            none: None,
            unit: (),
            flat: BTreeMap::from([("flat", f32::NEG_INFINITY)]),
        };
        let expected = concat!(
            r#"{"list":["NaN",0.5,"-Infinity"],"tuple":["Infinity",1],"wrapped":"NaN","pair":["NaN",1.0],"#,
            r#""readings":["None",{"One":"NaN"},{"Two":["NaN",2.5]},{"Named":{"value":"Infinity"}}],"#,
            r#""map":{"key":"NaN"},"some":"NaN","none":null,"unit":null,"flat":"-Infinity"}"#,
        );
        assert_eq!(json(&everything), expected);
    }

    #[test]
    fn everything_else_is_as_serde_json_writes_it() {
        let values = (("text", 'c', true, ()), Some(u64::MAX), i128::MIN, [1.5f32, -0.0], Reading::None);
        assert_eq!(json(&values), serde_json::to_string(&values).unwrap());
        assert_eq!(json(&format_args!("{:?}", "a\"b")), r#""\"a\\\"b\"""#);
    }
}

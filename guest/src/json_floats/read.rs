//! The deserializer that reads them.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};

/// A JSON deserializer, or anything through which it and a type speak with each other.
pub(crate) struct FloatsFromText<T>(pub(crate) T);

/// Methods that read a value into the visitor, which is wrapped for what may be inside.
macro_rules! hand_through {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* FloatsFromText(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for FloatsFromText<D> {
    type Error = D::Error;

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Float(visitor))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Float(visitor))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    hand_through! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }
}

/// The visitor of a float, to which a text is one too.
struct Float<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Float<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<V::Value, E> {
        self.0.visit_i64(integer)
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<V::Value, E> {
        self.0.visit_u64(integer)
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<V::Value, E> {
        self.0.visit_f64(float)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        match super::float(text) {
            Some(float) => self.0.visit_f64(float),
            None => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

/// Methods that take a value with nothing inside.
macro_rules! take {
    ($($method:ident($kind:ty);)*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for FloatsFromText<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    take! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_str(&str);
        visit_borrowed_str(&'de str);
        visit_string(String);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(FloatsFromText(some))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(FloatsFromText(inside))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(FloatsFromText(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(FloatsFromText(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(FloatsFromText(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for FloatsFromText<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(FloatsFromText(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for FloatsFromText<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(FloatsFromText(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for FloatsFromText<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(FloatsFromText(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for FloatsFromText<A> {
    type Error = A::Error;
    type Variant = FloatsFromText<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, contents) = self.0.variant_seed(seed)?;
        Ok((name, FloatsFromText(contents)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for FloatsFromText<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(FloatsFromText(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, FloatsFromText(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, FloatsFromText(visitor))
    }
}

#[cfg(test)]
mod tests {
    #![expect(dead_code, reason = "fields are compared as they are printed")]

    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    enum Reading {
        None,
        One(f64),
        Two(f32, f32),
        Named { value: f64 },
    }

    #[derive(Debug, Deserialize)]
    struct Wrapped(f64);

    #[derive(Debug, Deserialize)]
    struct Everything {
        list: Vec<f64>,
        tuple: (f64, u8),
        wrapped: Wrapped,
        readings: [Reading; 4],
        map: BTreeMap<String, f64>,
        some: Option<f32>,
        none: Option<f64>,
        text: String,
        exact: (i128, u64, bool, char),
    }

    fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
        T::deserialize(FloatsFromText(&mut serde_json::Deserializer::from_str(json)))
    }

    #[test]
    fn texts_are_floats_at_every_place_of_a_float_and_nowhere_else() {
        let json = r#"{
            "list": ["NaN", 0.5, "-Infinity", 7, -7],
            "tuple": ["Infinity", 1],
            "wrapped": "NaN",
            "readings": ["None", {"One": "NaN"}, {"Two": ["-Infinity", 2.5]}, {"Named": {"value": "Infinity"}}],
            "map": {"NaN": "NaN"},
            "some": "Infinity",
            "none": null,
            "text": "NaN",
            "exact": [-170141183460469231731687303715884105728, 18446744073709551615, true, "c"]
        }"#;
        let expected = Everything {
            list: vec![f64::NAN, 0.5, f64::NEG_INFINITY, 7.0, -7.0],
            tuple: (f64::INFINITY, 1),
            wrapped: Wrapped(f64::NAN),
            readings: [
                Reading::None,
                Reading::One(f64::NAN),
                Reading::Two(f32::NEG_INFINITY, 2.5),
                Reading::Named { value: f64::INFINITY },
            ],
            map: BTreeMap::from([("NaN".to_owned(), f64::NAN)]),
            some: Some(f32::INFINITY),
            none: None,
            text: "NaN".to_owned(),
            exact: (i128::MIN, u64::MAX, true, 'c'),
        };
        // NaN is not equal to itself, but its print is.
        assert_eq!(format!("{:?}", read::<Everything>(json).unwrap()), format!("{expected:?}"));
    }

    #[test]
    fn other_texts_are_refused_as_ever() {
        for json in [r#""nan""#, r#""1.5""#, "null", "true", "[1.0]"] {
            let bare = serde_json::from_str::<f64>(json).unwrap_err().to_string();
            let (bare, _) = bare.split_once(" at line").unwrap();
            let wrapped = read::<f64>(json).unwrap_err().to_string();
            assert!(wrapped.starts_with(bare), "{wrapped:?} is not {bare:?}");
        }
    }
}

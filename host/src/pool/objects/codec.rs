//! Items and records as bytes: MessagePack, structures as maps with field names, as guests write them.

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, IgnoredAny};

use super::error::{SharedError, SharedErrorKind};
use super::handle::Handle;

/// Deepest nesting of a value.
const DEPTH_MAX: usize = 128;

type MessagePack<'de> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'de, [u8]>>;

/// Writes a value for an object.
///
/// # Errors
///
/// [`SharedErrorKind::Unencodable`].
pub(super) fn encode<T: Serialize + ?Sized>(handle: &Handle, value: &T) -> Result<Vec<u8>, SharedError> {
    rmp_serde::to_vec_named(value).map_err(|why| {
        let text = format!("a value for `{}` cannot be encoded: {why}", handle.name());
        SharedError::new(SharedErrorKind::Unencodable, text)
    })
}

/// Reads a value that anyone may have written.
///
/// # Errors
///
/// [`SharedErrorKind::Undecodable`].
pub(super) fn decode<T: DeserializeOwned>(handle: &Handle, bytes: &[u8]) -> Result<T, SharedError> {
    from_message_pack(bytes).map_err(|why| {
        let text =
            format!("an item of `{}` cannot be read as the type that was asked for: {why}", handle.name());
        SharedError::new(SharedErrorKind::Undecodable, text)
    })
}

fn from_message_pack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut message_pack = MessagePack::from_read_ref(bytes);
    // It counts what is below the innermost array, too.
    message_pack.set_max_depth(DEPTH_MAX + 1);
    let value = T::deserialize(&mut message_pack).map_err(|why| why.to_string())?;
    // The deserializer tells no place, but at the end there is no further marker to read.
    match IgnoredAny::deserialize(&mut message_pack) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err("trailing bytes behind the value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_nest_as_deep_as_the_limit_and_no_deeper() {
        let nested = |levels| [vec![0x91; levels - 1], vec![0x90]].concat();
        assert!(from_message_pack::<serde_json::Value>(&nested(DEPTH_MAX)).is_ok());
        assert!(from_message_pack::<serde_json::Value>(&nested(DEPTH_MAX + 1)).is_err());
        assert!(from_message_pack::<serde_json::Value>(&nested(1 << 20)).is_err());
    }

    #[test]
    fn what_is_cut_or_too_long_or_lies_about_its_length_is_refused() {
        let bytes = rmp_serde::to_vec_named(&(1, "two")).expect("it can be written");
        assert_eq!(from_message_pack::<(i64, String)>(&bytes), Ok((1, "two".to_owned())));
        for length in 0..bytes.len() {
            assert!(from_message_pack::<(i64, String)>(&bytes[..length]).is_err(), "cut at {length}");
        }
        assert!(from_message_pack::<(i64, String)>(&[&bytes[..], &[1]].concat()).is_err());
        assert!(from_message_pack::<Vec<u64>>(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}

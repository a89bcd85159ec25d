//! Arguments as a task expects them: always one array.

use serde::Serialize;

use super::encode;

/// Appends the array: a tuple is it already, anything else is its one element, and the unit is none.
///
/// # Errors
///
/// Why the value cannot be encoded.
pub(super) fn write_arguments<A: Serialize>(arguments: &A, bytes: &mut Vec<u8>) -> Result<(), String> {
    const ARRAY_OF_NONE: u8 = 0x90;
    match std::any::type_name::<A>() {
        "()" => {
            bytes.push(ARRAY_OF_NONE);
            Ok(())
        }
        // The compiler's name for a tuple, and for nothing else, begins so.
        tuple if tuple.starts_with('(') => encode(arguments, bytes),
        _ => encode(&(arguments,), bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<A: Serialize>(arguments: A) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_arguments(&arguments, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn arguments_are_one_array() {
        assert_eq!(written(()), [0x90]);
        assert_eq!(written(7), [0x91, 7]);
        assert_eq!(written((7,)), [0x91, 7]);
        assert_eq!(written((7, true)), [0x92, 7, 0xc3]);
        assert_eq!(written([7, 8]), [0x91, 0x92, 7, 8]);
        assert_eq!(written(vec![(7, 8)]), [0x91, 0x91, 0x92, 7, 8]);
        assert_eq!(written(((7, 8),)), [0x91, 0x92, 7, 8]);
        assert_eq!(written("a"), [0x91, 0xa1, b'a']);
    }
}

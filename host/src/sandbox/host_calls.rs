//! The functions that guests call, by number: a worker notes which one was entered last, and its supervisor names it
//! when the worker dies.

use super::{guest, nesting, shared, wasi};

/// A function that guests call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostCall(u32);

/// All functions, in the order of their numbers.
const TABLES: [&[&str]; 4] = [&guest::NAMES, &shared::NAMES, &wasi::NAMES, &nesting::NAMES];

impl HostCall {
    /// The function of this name.
    ///
    /// # Panics
    ///
    /// When there is none; in a constant, that is an error of the compiler's.
    pub(super) const fn named(name: &str) -> Self {
        let (mut number, mut table) = (0, 0);
        while table < TABLES.len() {
            let mut index = 0;
            while index < TABLES[table].len() {
                if is_same(TABLES[table][index], name) {
                    return Self(number);
                }
                (number, index) = (number + 1, index + 1);
            }
            table += 1;
        }
        panic!("a host function without a number")
    }

    /// Its number, which is never 0.
    pub(crate) const fn number(self) -> u32 {
        self.0 + 1
    }

    /// The name of the function of this number, if it is one.
    pub(crate) fn name_of(number: u32) -> Option<&'static str> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        TABLES.iter().flat_map(|names| names.iter()).nth(index).copied()
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_number_of_its_own() {
        let names: Vec<&str> = TABLES.concat();
        for (index, name) in names.iter().enumerate() {
            let number = HostCall::named(name).number();
            assert_eq!(number as usize, index + 1, "{name}");
            assert_eq!(HostCall::name_of(number), Some(*name));
        }
        assert_eq!(HostCall::name_of(0), None);
        assert_eq!(HostCall::name_of(names.len() as u32 + 1), None);
        assert_eq!(HostCall::name_of(u32::MAX), None);
    }
}

//! Arithmetic, with several arguments and with results that may fail.

use wasmpool_guest::task;

/// Adds two numbers.
#[task]
pub fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// Raises a number to a power.
#[task]
pub fn power(base: f64, exponent: i32) -> f64 {
    base.powi(exponent)
}

/// The third power of a number.
///
/// Fails where that needs more than 64 bits.
#[task]
pub fn checked_cube(number: i64) -> Result<i64, String> {
    number.checked_pow(3).ok_or_else(|| format!("{number} cubed needs more than 64 bits"))
}

/// Arithmetic mean.
///
/// Fails for an empty list, which has none.
#[task]
pub fn mean(values: Vec<f64>) -> Result<f64, String> {
    if values.is_empty() {
        return Err("the mean of no values is undefined".to_owned());
    }
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// A float that JSON lacks.
#[task]
pub fn not_a_number() -> f64 {
    f64::NAN
}

/// Floats that JSON lacks, inside of a list.
#[task]
pub fn special_floats() -> Vec<f64> {
    vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1]
}

/// Integers that do not fit a float, nor each other's type.
#[task]
pub fn big_numbers() -> (u64, i128) {
    (u64::MAX, i128::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_powers_are_exact() {
        assert_eq!(add(2, -3), -1);
        assert_eq!(power(2.0, -2), 0.25);
    }

    #[test]
    fn a_cube_that_does_not_fit_fails() {
        assert_eq!(checked_cube(-2_000_000), Ok(-8_000_000_000_000_000_000));
        assert_eq!(checked_cube(3_000_000), Err("3000000 cubed needs more than 64 bits".to_owned()));
    }

    #[test]
    fn a_mean_needs_values() {
        assert_eq!(mean(vec![1.0, 2.0]), Ok(1.5));
        assert_eq!(mean(Vec::new()), Err("the mean of no values is undefined".to_owned()));
    }
}

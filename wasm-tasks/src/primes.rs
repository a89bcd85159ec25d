//! A table that is dear to make and cheap to look at: what initializers are for.

use std::sync::Mutex;

use wasmpool_guest::shared::Value;
use wasmpool_guest::task;

/// Whether each number is prime, up to the last one; empty before it is made.
static PRIMES: Mutex<Vec<bool>> = Mutex::new(Vec::new());

/// Finds all primes up to `limit`. Meant to run once in each instance, or once for all.
#[task]
pub fn prepare_primes(limit: u32) -> Result<(), String> {
    let mut primes = PRIMES.lock().map_err(|error| error.to_string())?;
    *primes = sieve(limit as usize);
    println!("found the primes up to {limit}");
    Ok(())
}

/// Looks up whether a number is prime.
#[task]
pub fn is_prime(number: u32) -> Result<bool, String> {
    let primes = PRIMES.lock().map_err(|error| error.to_string())?;
    let found = primes.get(number as usize).copied();
    found.ok_or_else(|| format!("{number} is beyond the table of {} numbers", primes.len()))
}

/// Fails the first few times that it runs anywhere, as the shared value `name` counts them.
#[task]
pub fn fails_at_first(name: &str, times: i64) -> Result<(), String> {
    let value = Value::<i64>::open(name).map_err(|error| error.to_string())?;
    let before = value.fetch_add(1).map_err(|error| error.to_string())?;
    if before < times { Err(format!("failed {} times", before + 1)) } else { Ok(()) }
}

fn sieve(limit: usize) -> Vec<bool> {
    let mut primes = vec![true; limit + 1];
    primes.iter_mut().take(2).for_each(|number| *number = false);
    for number in 2..=limit.isqrt() {
        if primes[number] {
            primes[number * number..].iter_mut().step_by(number).for_each(|multiple| *multiple = false);
        }
    }
    primes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sieve_keeps_the_primes() {
        let primes: Vec<usize> =
            sieve(30).iter().enumerate().filter_map(|(number, prime)| prime.then_some(number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!((sieve(0), sieve(1)), (vec![false], vec![false, false]));
    }

    #[test]
    fn numbers_beyond_the_table_are_an_error() {
        prepare_primes(10).unwrap();
        assert_eq!((is_prime(7), is_prime(9)), (Ok(true), Ok(false)));
        assert_eq!(is_prime(11), Err("11 is beyond the table of 11 numbers".to_owned()));
    }
}

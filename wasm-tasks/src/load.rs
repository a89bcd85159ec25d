//! Work for a core, for benchmarks and for tests that need a call to take its time.

use std::hint::black_box;

use wasmpool_guest::task;

/// Counts the primes below a limit, by trial division: slow on purpose.
#[task]
pub fn count_primes(limit: i64) -> i64 {
    let primes = (2..limit).filter(|&number| is_prime(number));
    primes.count() as i64
}

fn is_prime(number: i64) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| number % divisor != 0)
}

/// Turns round so many times, and returns a number that depends on every turn.
#[task]
pub fn spin_for_iterations(iterations: i64) -> i64 {
    (0..iterations).fold(0, |state: i64, turn| black_box(state.wrapping_mul(31).wrapping_add(turn)))
}

/// The same through the pull loop, which a task needs that may fail: for fewer than no turns.
#[task]
pub fn spin_checked(iterations: i64) -> Result<i64, String> {
    if iterations < 0 {
        Err(format!("{iterations} turns cannot be made"))
    } else {
        Ok(spin_for_iterations(iterations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_counted_below_the_limit() {
        assert_eq!([0, 2, 3, 11, 12, 100].map(count_primes), [0, 0, 1, 4, 5, 25]);
    }

    #[test]
    fn spinning_depends_on_every_turn() {
        assert_eq!([0, 1, 2, 3].map(spin_for_iterations), [0, 0, 1, 33]);
        assert_eq!([3, -1].map(spin_checked), [Ok(33), Err("-1 turns cannot be made".to_owned())]);
    }
}

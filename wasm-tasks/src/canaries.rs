//! Canaries: marks that a call leaves wherever it can, and a hunter that looks for them in all memory that there is.
//!
//! A mark is sixteen bytes that are known in a disguise only, so that arguments are no marks. Whoever is to prove that
//! nothing of a call is left for the next one plants in one and hunts in the other.

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Mutex;
use std::{array, env, mem};

use wasmpool_guest::shared::{Array, Queue, SharedError};
use wasmpool_guest::task;

/// Marks that are left in one place.
const MARKS: usize = 64;

/// Marks in memory that is given back: four megabytes of them.
const FREED_MARKS: usize = (4 << 20) / MARK_BYTES;

/// Bytes of a mark.
const MARK_BYTES: usize = 16;

/// The mark behind a disguise.
fn mark(disguise: (u64, u64)) -> (u64, u64) {
    (disguise.0 ^ 0x9e37_79b9_7f4a_7c15, disguise.1.rotate_left(17) ^ 0xd1b5_4a32_d192_ed03)
}

fn marks(disguise: (u64, u64)) -> [(u64, u64); MARKS] {
    array::from_fn(|_| mark(disguise))
}

static PLANTED: Mutex<[(u64, u64); MARKS]> = Mutex::new([(0, 0); MARKS]);

thread_local! {
    static OF_THREAD: Cell<[(u64, u64); MARKS]> = const { Cell::new([(0, 0); MARKS]) };
}

/// Leaves marks in this place: `heap`, `freed heap`, `statics`, `thread`, `stack`, `output`, `environment`.
#[task]
pub fn plants(place: &str, disguise: (u64, u64)) -> Result<(), String> {
    match place {
        "heap" => mem::forget(black_box(Box::new(marks(disguise)))),
        "freed heap" => drop(black_box(vec![mark(disguise); FREED_MARKS])),
        // Nobody reads them, so that they would not be written to, either.
        "statics" => *black_box(&PLANTED).lock().map_err(|error| error.to_string())? = marks(disguise),
        "thread" => OF_THREAD.with(|cell| black_box(cell).set(marks(disguise))),
        "stack" => drop(black_box(plants_deep(disguise, 20))),
        "output" => {
            let mut output = io::stdout().lock();
            output.write_all(&bytes(disguise)).map_err(|error| error.to_string())?;
        }
        "environment" => {
            let text: String = bytes(disguise).iter().map(|byte| char::from(byte % 26 + b'a')).collect();
            // SAFETY: an instance has one thread, and nothing of the environment is borrowed.
            #[allow(unsafe_code)]
            unsafe {
                env::set_var("WASMPOOL_CANARY", text);
            }
        }
        place => return Err(format!("there is no place called {place}")),
    }
    Ok(())
}

fn bytes(disguise: (u64, u64)) -> [u8; MARK_BYTES] {
    let (first, second) = mark(disguise);
    array::from_fn(|at| if at < 8 { first.to_le_bytes()[at] } else { second.to_le_bytes()[at - 8] })
}

/// Marks frames of the stack below those that any task usually has.
#[inline(never)]
fn plants_deep(disguise: (u64, u64), depth: usize) -> u64 {
    let frame = black_box(marks(disguise));
    if depth == 0 { frame[0].0 } else { plants_deep(disguise, depth - 1) ^ frame[depth % MARKS].1 }
}

/// Leaves marks in the same place, and panics.
#[task]
pub fn plants_and_panics(place: &str, disguise: (u64, u64)) {
    plants(place, disguise).unwrap_or_else(|error| panic!("{error}"));
    panic!("planted");
}

/// Leaves marks in the same place, and turns round for ever.
#[task]
pub fn plants_and_spins(place: &str, disguise: (u64, u64)) {
    plants(place, disguise).unwrap_or_else(|error| panic!("{error}"));
    crate::hostile::spins();
}

/// Leaves marks in the array "array" and the queue "queue", and in all memory that they pass on their way.
#[task]
pub fn plants_in_shared(disguise: (u64, u64)) -> Result<(), SharedError> {
    let (first, second) = mark(disguise);
    let pairs: Vec<u64> = [first, second].repeat(1000);
    let array = Array::<u64>::open("array")?;
    array.write(0, &pairs)?;
    let queue = Queue::<Vec<u64>>::open("queue")?;
    queue.put(&pairs)?;
    queue.get().map(drop)
}

/// How many marks there are in all memory, after it has grown to so many bytes.
#[task]
pub fn hunts(disguise: (u64, u64), bytes: usize) -> usize {
    let grown = black_box(reserved(bytes));
    let (first, second) = mark(disguise);
    let found = hunt(first, second);
    drop(grown);
    found
}

/// Whether the variable is set that [`plants`] sets.
#[task]
pub fn hunts_in_environment() -> bool {
    env::var_os("WASMPOOL_CANARY").is_some()
}

/// Memory that nobody has written to.
fn reserved(bytes: usize) -> Vec<u8> {
    Vec::with_capacity(bytes)
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)]
fn hunt(first: u64, second: u64) -> usize {
    let end = core::arch::wasm32::memory_size(0) * 65_536;
    // Address zero is nobody's.
    let is_mark = |at: &usize| {
        // SAFETY: all bytes below the memory's size can be read, and any bytes are numbers.
        let low = unsafe { core::ptr::without_provenance::<u64>(*at).read_unaligned() };
        low == first && {
            // SAFETY: as above.
            let high = unsafe { core::ptr::without_provenance::<u64>(at + 8).read_unaligned() };
            high == second
        }
    };
    (1..end - MARK_BYTES).filter(is_mark).count()
}

#[cfg(not(target_arch = "wasm32"))]
fn hunt(_: u64, _: u64) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disguise_is_no_mark() {
        let disguise = (1, 2);
        assert_ne!(mark(disguise), disguise);
        assert_ne!(mark(disguise), mark((2, 1)));
    }

    #[test]
    fn places_are_known_by_name() {
        assert_eq!(plants("statics", (1, 2)), Ok(()));
        assert_eq!(PLANTED.lock().map(|planted| planted[MARKS - 1]).ok(), Some(mark((1, 2))));
        assert!(plants("nowhere", (1, 2)).is_err());
    }
}

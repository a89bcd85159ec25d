//! What lists and dictionaries are put through alike: deaths at every point, garbage in the pages, torn records.

use std::fmt::Debug;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use wasmpool_abi::shared::{Refusal, split_first};

use super::*;
use crate::shm::object::crash;
use crate::shm::object::pages::{Pages, pages, party};

/// Sizes at which everything is full soon.
pub(in super::super) const SMALL: RecordsShape = RecordsShape { records_max: 6, bytes_max: 32 * 12 };

/// Sizes at which nothing is.
pub(in super::super) const LARGE: RecordsShape = RecordsShape { records_max: 1000, bytes_max: 1 << 20 };

/// A list or a dictionary.
pub(in super::super) trait Container: Sized + Send + Sync {
    fn bytes(shape: RecordsShape) -> Option<usize>;
    fn open(ground: Ground, shape: RecordsShape) -> Self;
    fn records(&self) -> &Records;
    fn length(&self) -> Outcome<u32>;
    fn everything(&self) -> Outcome<Vec<u8>>;
    fn bury(&self, party: Party);
    /// Adds something that was not there yet, with a record of one granule.
    fn grow(&self, party: Party, number: u32) -> Outcome<()>;
    /// Removes something.
    fn shrink(&self, party: Party) -> Outcome<()>;
}

/// The same object as three processes see it.
pub(in super::super) struct Opened<T> {
    pub(in super::super) ours: T,
    pub(in super::super) theirs: T,
    pub(in super::super) reader: T,
}

pub(in super::super) fn open<T: Container>(shape: RecordsShape) -> Opened<T> {
    let Pages { ours, theirs, reader } = pages(T::bytes(shape).expect("a size"));
    Opened { ours: T::open(ours, shape), theirs: T::open(theirs, shape), reader: T::open(reader, shape) }
}

/// Takes a sequence apart.
pub(in super::super) fn split(mut sequence: &[u8]) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    while !sequence.is_empty() {
        let (first, rest) = split_first(sequence).expect("a sequence");
        elements.push(first.to_vec());
        sequence = rest;
    }
    elements
}

/// Removes one record after the other; then no room is in use, and there can be as many as ever.
fn can_be_used_up<T: Container>(object: &T, party: Party) {
    while object.shrink(party).is_ok() {}
    assert_eq!(object.length(), Ok(0));
    assert!(object.records().heap.is_empty(), "room is lost");
    for number in 0..SMALL.records_max {
        object.grow(party, number).unwrap();
    }
    assert_eq!(object.grow(party, SMALL.records_max), Err(Refusal::NoRoom));
}

/// Lets `operation` die at every point: what is left is the object before it or after it.
pub(in super::super) fn dies_well<T: Container>(
    prepare: impl Fn(&T),
    operation: impl Fn(&T, Party) -> Outcome<()>,
) -> u32 {
    let (dead, next) = (party(1), party(2));
    let contents = |object: &T| (object.length().unwrap(), object.everything().unwrap());
    let untouched = open::<T>(SMALL);
    prepare(&untouched.ours);
    let before = contents(&untouched.ours);
    let done = operation(&untouched.ours, dead);
    let after = contents(&untouched.ours);
    crash::at_every_point(|death| {
        let Opened { ours, theirs, reader } = open::<T>(SMALL);
        prepare(&ours);
        if let Some(lived) = death.strike(|| operation(&ours, dead)) {
            assert_eq!(lived, done);
        }
        let left = contents(&reader);
        assert!(left == before || left == after, "half done, as readers see it");
        theirs.bury(dead);
        assert_eq!(contents(&reader), left, "a burial changes nothing");
        // This one repairs.
        let grown = theirs.grow(next, 1000);
        if grown.is_ok() {
            assert_eq!(theirs.length().unwrap(), left.0 + 1);
            assert!(theirs.everything().unwrap().starts_with(&left.1));
        } else {
            assert_eq!(grown, Err(Refusal::NoRoom));
            assert_eq!(contents(&theirs), left);
        }
        assert_eq!(contents(&reader), contents(&theirs));
        can_be_used_up(&theirs, next);
    })
}

/// Lets a repair die at every point; the next one repairs again.
pub(in super::super) fn repairs_well<T: Container>(prepare: impl Fn(&T)) -> u32 {
    crash::at_every_point(|death| {
        let Opened { ours, theirs, reader } = open::<T>(SMALL);
        prepare(&ours);
        let before = ours.everything().unwrap();
        ours.records().ground.word32(header::MUTEX).store(1, Ordering::Relaxed);
        ours.bury(party(1));
        death.strike(|| ours.grow(party(2), 2000));
        assert!(reader.everything().unwrap().starts_with(&before));
        theirs.bury(party(2));
        let grown = theirs.grow(party(3), 3000);
        assert!(matches!(grown, Ok(()) | Err(Refusal::NoRoom)), "{grown:?}");
        assert!(reader.everything().unwrap().starts_with(&before));
        can_be_used_up(&theirs, party(3));
    })
}

/// A word of the pages and what somebody scribbles there.
#[derive(Clone, Debug)]
pub(in super::super) struct Scribble {
    word: proptest::sample::Index,
    value: u64,
}

pub(in super::super) fn scribbles() -> impl Strategy<Value = Vec<Scribble>> {
    let value = prop_oneof![
        Just(0),
        Just(u64::MAX),
        0_u64..20,
        any::<u64>(),
        // Places that can be.
        (0_u64..14, 0_u64..80).prop_map(|(granule, bytes)| granule << 32 | bytes),
        (0_u64..7).prop_map(|length| 1 << 63 | length),
    ];
    let scribble =
        (any::<proptest::sample::Index>(), value).prop_map(|(word, value)| Scribble { word, value });
    proptest::collection::vec(scribble, 1..80)
}

/// Writes into the pages, but not where that makes others wait, as a stopped process also could.
pub(in super::super) fn scribble(ground: &Ground, scribble: &Scribble) {
    let at = header::BYTES + 8 * scribble.word.index(150);
    let at = if at == QUIET { STATE } else { at };
    ground.word64(at).store(scribble.value, Ordering::Relaxed);
    // Go on where the first find would have ended it.
    ground.word32(header::POISONED).store(0, Ordering::Relaxed);
}

/// A value that shows whether it is whole.
pub(in super::super) fn sealed(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.extend((0..bytes).map(|at| (number as usize + at) as u8));
    value
}

/// The number of a value, if it is whole.
pub(in super::super) fn unseal(value: &[u8]) -> u64 {
    let (number, rest) = value.split_first_chunk().expect("a number");
    let number = u64::from_le_bytes(*number);
    assert_eq!(sealed(number, rest.len()), value, "torn");
    number
}

/// Several processes at once; when the writers are finished, `look` is called no more.
pub(in super::super) fn all_at_once<T: Container>(
    opened: &Opened<T>,
    write: impl Fn(&T, Party) + Sync,
    look: impl Fn(&T) + Sync,
) {
    std::thread::scope(|scope| {
        let (write, look) = (&write, &look);
        let writers = [
            scope.spawn(move || write(&opened.ours, party(1))),
            scope.spawn(move || write(&opened.theirs, party(2))),
        ];
        let looking = [&opened.reader, &opened.theirs];
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for object in looking {
                let done = &done;
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        look(object);
                    }
                });
            }
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            for writer in ended {
                writer.expect("a writer");
            }
        });
    });
}

/// A refusal that the state of an object explains; all others fail.
pub(in super::super) fn expected<T: Debug>(done: Outcome<T>, allowed: &[Refusal]) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(refusal) if allowed.contains(&refusal) => None,
        Err(refusal) => panic!("{refusal:?}"),
    }
}

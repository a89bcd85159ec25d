//! The heap: room is found, given back and told apart from what cannot be.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use wasmpool_abi::shared::Refusal;

use crate::shm::object::ground::{Ground, Rights};
use crate::shm::object::heap::{CURSOR, GRANULE_BYTES, GRANULES_MAX, Heap, Place, granules_of};
use crate::shm::object::spec;
use crate::shm::region::{Region, Writer};

fn heap(bytes_max: u64) -> Heap {
    let offset = 192;
    let bytes = offset + Heap::bytes(bytes_max).expect("it fits");
    let (region, _fd) = Region::create("heap", bytes, Writer::Worker).expect("a region");
    Heap::open(Ground::new(Arc::new(region), Rights::ReadWrite), offset, bytes_max)
}

fn text(heap: &Heap, place: Place) -> Vec<u8> {
    let mut bytes = Vec::new();
    heap.read(place, &mut bytes);
    bytes
}

#[test]
fn strings_keep_their_bytes() {
    let heap = heap(4096);
    let strings: Vec<Vec<u8>> = (0..12).map(|length| vec![length; usize::from(length) * 7]).collect();
    let places: Vec<Place> = strings
        .iter()
        .map(|string| {
            let place = heap.allocate(string.len()).expect("room");
            heap.write(place, 0, string);
            place
        })
        .collect();
    for (place, string) in places.iter().zip(&strings) {
        assert_eq!(&text(&heap, *place), string);
    }
}

#[test]
fn a_string_is_written_in_pieces() {
    let heap = heap(100);
    let place = heap.allocate(40).expect("room");
    heap.write(place, 0, &[1; 20]);
    heap.write(place, 20, &[2; 20]);
    assert_eq!(text(&heap, place), [[1; 20], [2; 20]].concat());
}

#[test]
fn all_bytes_can_be_used_at_once_or_one_by_one() {
    for bytes_max in [1, 32, 33, 64 * 32, 64 * 32 + 1, 100 * 32, 1000 * 32] {
        let heap = heap(bytes_max);
        let granules = bytes_max.div_ceil(GRANULE_BYTES);
        for round in 0..3 {
            let whole = heap.allocate(bytes_max as usize).expect("room for one");
            assert_eq!(heap.allocate(0), None, "{bytes_max} bytes, round {round}");
            heap.free(whole);
            let places: Vec<Place> = (0..granules).map(|_| heap.allocate(round).expect("room")).collect();
            assert_eq!(heap.allocate(0), None, "{bytes_max} bytes, round {round}");
            places.into_iter().for_each(|place| heap.free(place));
        }
        assert!(heap.fits(bytes_max as usize));
        assert!(!heap.fits((granules * GRANULE_BYTES) as usize + 1));
    }
}

#[test]
fn a_run_across_the_cursor_is_found() {
    let heap = heap(10 * 32);
    let places: Vec<Place> = (0..10).map(|_| heap.allocate(1).expect("room")).collect();
    // The cursor is at the end of the sixth; around it, four are free.
    (3..7).for_each(|index| heap.free(places[index]));
    heap.ground.word32(heap.offset + CURSOR).store(6, Relaxed);
    assert_eq!(heap.allocate(4 * 32), Some(Place::new(3, 4 * 32)));
}

#[test]
fn places_outside_are_refused() {
    let heap = heap(100 * 32);
    assert_eq!(heap.check(Place::new(99, 32).0), Ok(Place::new(99, 32)));
    for place in [Place::new(99, 33), Place::new(100, 0), Place::new(0, 100 * 32 + 1), Place(u64::MAX)] {
        assert_eq!(heap.check(place.0), Err(Refusal::Poisoned));
        assert_eq!(heap.keep(place), Err(Refusal::Poisoned));
    }
}

#[test]
fn what_is_kept_is_not_given_out_again() {
    let heap = heap(200 * 32);
    let places: Vec<Place> = (0..20).map(|_| heap.allocate(10 * 32).expect("room")).collect();
    heap.clear();
    let kept: Vec<Place> = places.iter().copied().step_by(2).collect();
    for place in &kept {
        assert_eq!(heap.keep(*place), Ok(()));
    }
    assert_eq!(heap.keep(Place::new(5, 1)), Err(Refusal::Poisoned), "it overlaps");
    for _ in 0..10 {
        let place = heap.allocate(10 * 32).expect("room");
        assert!(!kept.contains(&place));
    }
    assert_eq!(heap.allocate(0), None);
}

#[test]
fn heaps_too_large_for_their_places_are_refused() {
    assert_eq!(Heap::bytes(u64::MAX), None);
    assert_eq!(Heap::bytes((GRANULES_MAX + 1) * GRANULE_BYTES), None);
    assert!(Heap::bytes(spec::BYTES_MAX).is_some());
}

proptest! {
    /// Against a model that knows nothing of words and cursors.
    #[test]
    fn places_never_overlap_and_no_room_is_lost(
        granules in 1_u64..300,
        steps in prop::collection::vec((any::<bool>(), 0_usize..1200, any::<prop::sample::Index>()), 0..200),
    ) {
        let heap = heap(granules * GRANULE_BYTES);
        let mut in_use = vec![false; granules as usize];
        let mut places = Vec::new();
        for (frees, bytes, index) in steps {
            if frees && !places.is_empty() {
                let place: Place = places.swap_remove(index.index(places.len()));
                in_use[place.granule() as usize..place.end() as usize].fill(false);
                heap.free(place);
                continue;
            }
            let count = granules_of(bytes as u64) as usize;
            match heap.allocate(bytes) {
                Some(place) => {
                    prop_assert_eq!(heap.check(place.0), Ok(place));
                    prop_assert_eq!(place.bytes(), bytes);
                    let run = &mut in_use[place.granule() as usize..place.end() as usize];
                    prop_assert!(run.iter().all(|used| !used));
                    run.fill(true);
                    places.push(place);
                }
                None => prop_assert!(
                    in_use.len() < count || in_use.windows(count).all(|run| run.contains(&true)),
                    "there was room for {} granules", count
                ),
            }
        }
    }

    #[test]
    fn scribbled_words_lead_nowhere_else(
        words in prop::collection::vec((0_usize..30, any::<u64>()), 0..20),
        sizes in prop::collection::vec(0_usize..2000, 0..20),
    ) {
        let heap = heap(1000 * GRANULE_BYTES);
        for (index, word) in words {
            heap.ground.word64(heap.offset + index * 8).store(word, Relaxed);
        }
        for bytes in sizes {
            if let Some(place) = heap.allocate(bytes) {
                prop_assert!(heap.check(place.0).is_ok());
                heap.write(place, 0, &vec![1; bytes]);
                heap.free(place);
            }
        }
    }
}

//! Barriers: a round is complete for all, or broken for all.

use loom::thread;
use wasmpool_abi::shared::Refusal;

use super::super::object::barrier::Barrier;
use super::super::object::patience::Patience;
use super::super::{check, ground, party};

#[test]
fn all_parties_meet_at_a_barrier_in_each_round() {
    check(3, || {
        let ground = ground();
        let rounds = |barrier: &Barrier, number: usize| {
            [(); 2].map(|()| barrier.wait(party(number), &Patience::endless()).expect("the other comes"))
        };
        let other = {
            let barrier = Barrier::open(ground.clone(), 2);
            thread::spawn(move || rounds(&barrier, 2))
        };
        let ours = rounds(&Barrier::open(ground, 2), 1);
        let theirs = other.join().expect("it ends");
        assert_eq!([ours[0] + theirs[0], ours[1] + theirs[1]], [1, 1]);
    });
}

/// Two parties wait at a barrier, the first as patiently as said, while something else happens to it.
///
/// That is done by a thread of its own: done by the first one, it was not tried in between.
fn meets_or_breaks(
    first: fn() -> Patience<'static>,
    meanwhile: impl Fn(&Barrier) + Clone + Sync + Send + 'static,
) {
    check(2, move || {
        let ground = ground();
        let other = {
            let barrier = Barrier::open(ground.clone(), 2);
            thread::spawn(move || barrier.wait(party(2), &Patience::short()))
        };
        let third = {
            let (barrier, meanwhile) = (Barrier::open(ground.clone(), 2), meanwhile.clone());
            thread::spawn(move || meanwhile(&barrier))
        };
        let ours = Barrier::open(ground, 2).wait(party(1), &first());
        third.join().expect("it ends");
        match (ours, other.join().expect("it ends")) {
            (Ok(index), Ok(other_index)) => assert_eq!(index + other_index, 1),
            (Err(Refusal::Broken), Err(Refusal::Broken)) => {}
            odd => panic!("one met, the other did not: {odd:?}"),
        }
    });
}

#[test]
fn a_round_is_complete_for_all_or_broken_for_all_when_time_is_over() {
    meets_or_breaks(Patience::short, |_| {});
}

#[test]
fn a_round_is_complete_for_all_or_broken_for_all_when_it_is_reset() {
    meets_or_breaks(Patience::short, |barrier| barrier.reset(party(3)).expect("writable"));
}

#[test]
fn a_round_is_complete_for_all_or_broken_for_all_when_somebody_dies() {
    meets_or_breaks(Patience::endless, |barrier| {
        barrier.join(party(3)).expect("writable");
        barrier.bury(party(3));
    });
}

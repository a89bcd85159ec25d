use proptest::prelude::*;
use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::shared::Refusal;

use super::*;
use crate::shm::object::pages::party;
use crate::shm::object::records::tests::{
    Container, LARGE, Opened, SMALL, Scribble, all_at_once, dies_well, expected, open, repairs_well,
    scribble, scribbles, sealed, split, unseal,
};

impl Container for List {
    fn bytes(shape: RecordsShape) -> Option<usize> {
        super::bytes(shape)
    }

    fn open(ground: Ground, shape: RecordsShape) -> Self {
        Self::open(ground, shape)
    }

    fn records(&self) -> &Records {
        &self.records
    }

    fn length(&self) -> Outcome<u32> {
        self.len()
    }

    fn everything(&self) -> Outcome<Vec<u8>> {
        let mut all = Vec::new();
        self.all(0, None, usize::MAX, &mut all).map(|()| all)
    }

    fn bury(&self, party: Party) {
        self.bury(party);
    }

    fn grow(&self, party: Party, number: u32) -> Outcome<()> {
        self.append(party, &number.to_le_bytes()).map(drop)
    }

    fn shrink(&self, party: Party) -> Outcome<()> {
        self.delete(party, 0)
    }
}

fn values(list: &List) -> Vec<Vec<u8>> {
    split(&list.everything().unwrap())
}

fn get(list: &List, index: i64) -> Outcome<(Version, Vec<u8>)> {
    let mut value = Vec::new();
    list.get(index, &mut value).map(|version| (version, value))
}

#[derive(Clone, Debug)]
enum Step {
    Get(i64),
    Set(i64, Vec<u8>),
    Replace(i64, bool, Vec<u8>),
    Append(Vec<u8>),
    Extend(Vec<Vec<u8>>),
    Insert(i64, Vec<u8>),
    Delete(i64),
    Pop(i64),
    Clear,
    Part(u64, Option<u64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = || -8_i64..8;
    let value = || proptest::collection::vec(any::<u8>(), 0..70);
    let step = prop_oneof![
        1 => index().prop_map(Step::Get),
        1 => (index(), value()).prop_map(|(index, value)| Step::Set(index, value)),
        1 => (index(), any::<bool>(), value()).prop_map(|(index, now, value)| Step::Replace(index, now, value)),
        3 => value().prop_map(Step::Append),
        2 => proptest::collection::vec(value(), 0..4).prop_map(Step::Extend),
        3 => (index(), value()).prop_map(|(index, value)| Step::Insert(index, value)),
        1 => index().prop_map(Step::Delete),
        1 => index().prop_map(Step::Pop),
        1 => Just(Step::Clear),
        1 => (0_u64..8, proptest::option::of(prop_oneof![0_u64..8, Just(u64::MAX)]))
            .prop_map(|(first, count)| Step::Part(first, count)),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What Python says to an index.
fn at(model: &[Vec<u8>], index: i64) -> Outcome<usize> {
    let index = if index < 0 { index + model.len() as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < model.len()).ok_or(Refusal::OutOfRange)
}

/// Does a step on the list and on the model; both say the same.
fn take(list: &List, model: &mut Vec<Vec<u8>>, step: Step) {
    let me = party(1);
    // What has no room changes nothing.
    let fits = |done: Outcome<()>| expected(done, &[Refusal::NoRoom]).is_some();
    match step {
        Step::Get(index) => {
            let expected = at(model, index).map(|index| model[index].clone());
            assert_eq!(get(list, index).map(|(_, value)| value), expected);
        }
        Step::Set(index, value) => match at(model, index) {
            Ok(found) if fits(list.set(me, index, &value)) => model[found] = value,
            Ok(_) => {}
            Err(refusal) => assert_eq!(list.set(me, index, &value), Err(refusal)),
        },
        Step::Replace(index, now, value) => {
            let Ok((version, _)) = get(list, index) else { return };
            let version = if now { version } else { version - 1 };
            match list.replace(me, index, version, &value) {
                Err(Refusal::Changed) => assert!(!now),
                done if fits(done) => {
                    assert!(now);
                    let found = at(model, index).unwrap();
                    model[found] = value;
                    assert_ne!(get(list, index).unwrap().0, version);
                }
                _ => {}
            }
        }
        Step::Append(value) => {
            if let Some(index) = expected(list.append(me, &value), &[Refusal::NoRoom]) {
                assert_eq!(index as usize, model.len());
                model.push(value);
            }
        }
        Step::Extend(values) => {
            let slices: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            if fits(list.extend(me, &slices)) {
                model.extend(values);
            }
        }
        Step::Insert(index, value) => {
            if fits(list.insert(me, index, &value)) {
                let at = if index < 0 { index + model.len() as i64 } else { index };
                model.insert(at.clamp(0, model.len() as i64) as usize, value);
            }
        }
        Step::Delete(index) => {
            assert_eq!(list.delete(me, index), at(model, index).map(|index| drop(model.remove(index))));
        }
        Step::Pop(index) => {
            let mut popped = b"before".to_vec();
            let expected = at(model, index).map(|index| model.remove(index));
            assert_eq!(list.pop(me, index, &mut popped), expected.clone().map(drop));
            assert_eq!(popped, [b"before", &expected.unwrap_or_default()[..]].concat());
        }
        Step::Clear => {
            list.clear(me).unwrap();
            model.clear();
        }
        Step::Part(first, count) => {
            let mut part = Vec::new();
            list.all(first, count, usize::MAX, &mut part).unwrap();
            let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap());
            let expected: Vec<_> = model.iter().skip(first as usize).take(count).cloned().collect();
            assert_eq!(split(&part), expected);
        }
    }
}

proptest! {
    #[test]
    fn it_is_a_list_as_python_has_them(steps in steps()) {
        let opened = open::<List>(SMALL);
        let mut model = Vec::new();
        for (turn, step) in steps.into_iter().enumerate() {
            take(if turn % 2 == 0 { &opened.ours } else { &opened.theirs }, &mut model, step);
            prop_assert_eq!(opened.reader.len(), Ok(model.len() as u32));
            prop_assert_eq!(&values(&opened.reader), &model);
        }
    }

    #[test]
    fn garbage_in_the_pages_harms_nobody(scribbles in scribbles(), steps in steps()) {
        let list = open::<List>(SMALL).ours;
        list.extend(party(1), &[b"a", b"bc", &[7; 50]]).unwrap();
        for (step, one) in steps.into_iter().zip(scribbles.iter().cycle()) {
            ruin(&list, one, step);
        }
    }
}

fn ruin(list: &List, one: &Scribble, step: Step) {
    let me = party(1);
    scribble(list.ground(), one);
    let _ = list.everything();
    // The refusals are as random as the garbage.
    let _ = match step {
        Step::Get(index) => get(list, index).map(drop),
        Step::Set(index, value) => list.set(me, index, &value),
        Step::Replace(index, _, value) => list.replace(me, index, 3, &value),
        Step::Append(value) => list.append(me, &value).map(drop),
        Step::Extend(values) => list.extend(me, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        Step::Insert(index, value) => list.insert(me, index, &value),
        Step::Delete(index) => list.delete(me, index),
        Step::Pop(index) => list.pop(me, index, &mut Vec::new()),
        Step::Clear => {
            // A death instead: repairs see garbage, too.
            list.ground().word32(0).store(9, Ordering::Relaxed);
            list.bury(party(9));
            Ok(())
        }
        Step::Part(first, count) => list.all(first, count, usize::MAX, &mut Vec::new()),
    };
}

#[test]
fn every_change_survives_the_death_of_who_makes_it() {
    let three = |list: &List| list.extend(party(3), &[b"first", &[2; 60], b"third"]).unwrap();
    let nearly_full = |list: &List| list.extend(party(3), &[&[1; 100], &[2; 100]]).unwrap();
    let points = [
        dies_well(three, |list, me| list.set(me, 1, &[9; 40])),
        dies_well(three, |list, me| list.replace(me, 0, get(list, 0)?.0, b"other")),
        dies_well(three, |list, me| list.append(me, b"fourth").map(drop)),
        dies_well(three, |list, me| list.extend(me, &[b"fourth", &[5; 33], b""])),
        dies_well(nearly_full, |list, me| list.extend(me, &[b"third", &[4; 33], &[5; 100]])),
        dies_well(three, |list, me| list.insert(me, 1, b"between")),
        dies_well(three, |list, me| list.insert(me, 0, b"before")),
        dies_well(three, |list, me| list.delete(me, 0)),
        dies_well(three, |list, me| list.delete(me, -1)),
        dies_well(three, |list, me| list.pop(me, 1, &mut Vec::new())),
        dies_well(three, |list, me| list.clear(me)),
    ];
    assert!(points.iter().all(|points| *points >= 4), "{points:?}");
}

#[test]
fn a_repair_survives_the_death_of_who_makes_it() {
    let points = repairs_well(|list: &List| {
        list.extend(party(3), &[b"first", &[2; 60], b"third"]).unwrap();
        list.insert(party(3), 1, b"x").unwrap();
    });
    assert!(points >= 8, "{points} points");
}

#[test]
fn versions_are_never_used_again_not_even_after_a_repair() {
    let list = open::<List>(SMALL).ours;
    list.append(party(1), b"a").unwrap();
    let (first, _) = get(&list, 0).unwrap();
    assert_ne!(first, 0);
    list.set(party(1), 0, b"b").unwrap();
    list.set(party(1), 0, b"a").unwrap();
    assert_eq!(list.replace(party(1), 0, first, b"c"), Err(Refusal::Changed));
    let (second, _) = get(&list, 0).unwrap();
    // Somebody sets the counter back and dies.
    list.ground().word64(208).store(0, Ordering::Relaxed);
    list.ground().word32(0).store(7, Ordering::Relaxed);
    list.bury(party(7));
    list.set(party(1), 0, b"a").unwrap();
    assert!(get(&list, 0).unwrap().0 > second);
}

#[test]
fn what_can_never_fit_is_told_from_what_has_no_room_now() {
    let list = open::<List>(SMALL).ours;
    let bytes_max = SMALL.bytes_max as usize - VALUE;
    assert_eq!(list.append(party(1), &vec![0; bytes_max + 1]), Err(Refusal::TooLarge));
    assert_eq!(list.append(party(1), &vec![0; bytes_max]), Ok(0));
    assert_eq!(list.append(party(1), b""), Err(Refusal::NoRoom));
    assert_eq!(list.set(party(1), 0, b""), Err(Refusal::NoRoom), "both have to have room");
    list.clear(party(1)).unwrap();
    for index in 0..SMALL.records_max {
        assert_eq!(list.append(party(1), b"x"), Ok(index));
    }
    assert_eq!(list.append(party(1), b""), Err(Refusal::NoRoom));
    assert_eq!(list.insert(party(1), 0, b""), Err(Refusal::NoRoom));
    for shape in [
        RecordsShape { records_max: 0, bytes_max: 1 },
        RecordsShape { records_max: 1 << 25, bytes_max: 1 },
        RecordsShape { records_max: 1, bytes_max: u64::MAX },
    ] {
        assert_eq!(bytes(shape), None);
    }
}

#[test]
fn who_may_only_read_reads() {
    let Opened { ours, reader, .. } = open::<List>(SMALL);
    ours.append(party(1), b"x").unwrap();
    let me = party(2);
    assert_eq!(get(&reader, -1).unwrap().1, b"x");
    let refused = Err(Refusal::ReadOnly);
    assert_eq!(reader.append(me, b""), Err(Refusal::ReadOnly));
    assert_eq!(reader.set(me, 0, b""), refused);
    assert_eq!(reader.insert(me, 0, b""), refused);
    assert_eq!(reader.delete(me, 0), refused);
    assert_eq!(reader.clear(me), refused);
    assert_eq!(values(&reader), [b"x"]);
}

#[test]
fn readers_find_no_torn_record_while_everything_changes() {
    let opened = open::<List>(RecordsShape { records_max: 12, bytes_max: 1 << 10 });
    let write = |list: &List, me: Party| {
        for round in 0..4_000_u64 {
            let number = round * 2 + me.number() as u64;
            let value = sealed(number, (round % 60) as usize);
            let index = (round % 5) as i64;
            let done = match round % 8 {
                0 | 1 => list.append(me, &value).map(drop),
                2 => list.insert(me, index, &value),
                3 | 4 => list.set(me, index, &value),
                5 => list.delete(me, index),
                6 => list.pop(me, -1, &mut Vec::new()),
                _ => list.extend(me, &[&value, &value]),
            };
            expected(done, &[Refusal::OutOfRange, Refusal::NoRoom]);
            if round % 100 == 99 {
                list.clear(me).unwrap();
            }
        }
    };
    let look = |list: &List| {
        if let Some((_, value)) = expected(get(list, 2), &[Refusal::OutOfRange]) {
            unseal(&value);
        }
        for value in values(list) {
            unseal(&value);
        }
    };
    all_at_once(&opened, write, look);
}

#[test]
fn everything_is_read_as_of_one_instant() {
    const ENTRIES: usize = 8;
    let opened = open::<List>(LARGE);
    let zero = sealed(0, 3);
    opened.ours.extend(party(1), &[&zero[..]; ENTRIES]).unwrap();
    let write = |list: &List, me: Party| {
        if me == party(2) {
            return;
        }
        for round in 1..3_000 {
            for index in 0..ENTRIES {
                list.set(me, index as i64, &sealed(round, (round % 40) as usize)).unwrap();
            }
            // The first becomes the last: a list without it is seen, too.
            if round % 16 == 0 {
                let mut value = Vec::new();
                list.pop(me, 0, &mut value).unwrap();
                list.append(me, &value).unwrap();
            }
        }
    };
    let look = |list: &List| {
        let numbers: Vec<u64> = values(list).iter().map(|value| unseal(value)).collect();
        assert!(matches!(numbers.len(), ENTRIES | 7), "{numbers:?}");
        // Entries are set from the first to the last, one round after the other.
        assert!(numbers.is_sorted_by(|a, b| a >= b), "{numbers:?}");
        assert!(numbers[0] - numbers[numbers.len() - 1] <= 1, "{numbers:?}");
    };
    all_at_once(&opened, write, look);
}

#[test]
fn updates_by_version_all_count() {
    const ROUNDS: u64 = 3_000;
    let opened = open::<List>(SMALL);
    opened.ours.append(party(1), &sealed(0, 10)).unwrap();
    let write = |list: &List, me: Party| {
        for _ in 0..ROUNDS {
            loop {
                let (version, value) = get(list, 0).unwrap();
                let next = sealed(unseal(&value) + 1, 10);
                if expected(list.replace(me, 0, version, &next), &[Refusal::Changed]).is_some() {
                    break;
                }
            }
        }
    };
    all_at_once(&opened, write, |list| assert!(unseal(&get(list, 0).unwrap().1) <= 2 * ROUNDS));
    assert_eq!(unseal(&get(&opened.reader, 0).unwrap().1), 2 * ROUNDS);
}

#[test]
fn readers_with_much_to_copy_get_the_quiet_they_ask_for() {
    let opened = open::<List>(RecordsShape { records_max: 2000, bytes_max: 4 << 20 });
    for number in 0..2000 {
        opened.ours.append(party(1), &sealed(number, 1000)).unwrap();
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (done, ours) = (&done, &opened.ours);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                ours.set(party(1), 7, &sealed(7, 900)).unwrap();
            }
        });
        for _ in 0..3 {
            assert_eq!(values(&opened.theirs).len(), 2000);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn quiet_that_nobody_asked_for_ends() {
    let list = open::<List>(SMALL).ours;
    list.ground().word64(216).store(u64::MAX, Ordering::Relaxed);
    list.append(party(1), b"x").unwrap();
    assert_eq!(list.ground().word64(216).load(Ordering::Relaxed), 0);
}

#[test]
fn no_more_is_answered_at_once_than_was_allowed() {
    let list = open::<List>(SMALL).ours;
    list.extend(party(1), &[b"one", b"", b"three"]).unwrap();
    let bytes = list.everything().unwrap().len();
    let all = |first, most| list.all(first, None, most, &mut b"before".to_vec());
    assert_eq!(
        (all(0, bytes), all(0, bytes - 1), all(1, bytes - 1)),
        (Ok(()), Err(Refusal::TooLarge), Ok(()))
    );
}

#[test]
fn a_record_has_a_largest_size_however_much_room_there_is() {
    let list = open::<List>(RecordsShape { bytes_max: 2 * VALUE_BYTES_MAX as u64, ..SMALL }).ours;
    let zeros = vec![0; VALUE_BYTES_MAX + 1];
    assert_eq!(list.append(party(1), &zeros), Err(Refusal::TooLarge));
    assert_eq!(list.append(party(1), &zeros[1..]), Ok(0));
}

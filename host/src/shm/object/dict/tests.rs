use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use wasmpool_abi::VALUE_BYTES_MAX;
use wasmpool_abi::shared::Refusal;

use super::*;
use crate::shm::object::pages::party;
use crate::shm::object::records::tests::{
    Container, LARGE, Opened, SMALL, Scribble, all_at_once, dies_well, expected, open, repairs_well,
    scribble, scribbles, sealed, split, unseal,
};

impl Container for Dict {
    fn bytes(shape: RecordsShape) -> Option<usize> {
        super::bytes(shape)
    }

    fn open(ground: Ground, shape: RecordsShape) -> Self {
        Self::open(ground, shape, 0x5eed)
    }

    fn records(&self) -> &Records {
        &self.records
    }

    fn length(&self) -> Outcome<u32> {
        self.len()
    }

    fn everything(&self) -> Outcome<Vec<u8>> {
        let mut all = Vec::new();
        self.all(usize::MAX, &mut all).map(|()| all)
    }

    fn bury(&self, party: Party) {
        self.bury(party);
    }

    fn grow(&self, party: Party, number: u32) -> Outcome<()> {
        self.set(party, &number.to_le_bytes(), b"abc")
    }

    fn shrink(&self, party: Party) -> Outcome<()> {
        let first = split(&self.everything()?).into_iter().next().ok_or(Refusal::Missing)?;
        self.delete(party, &first)
    }
}

type Model = Vec<(Vec<u8>, Vec<u8>)>;

fn items(dict: &Dict) -> Model {
    let flat = split(&dict.everything().unwrap());
    flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn get(dict: &Dict, key: &[u8]) -> Outcome<(Version, Vec<u8>)> {
    let mut value = Vec::new();
    dict.get(key, &mut value).map(|version| (version, value))
}

#[derive(Clone, Debug)]
enum Step {
    Get(Vec<u8>),
    Set(Vec<u8>, Vec<u8>),
    Replace(Vec<u8>, bool, Vec<u8>),
    GetOrSet(Vec<u8>, Vec<u8>),
    Extend(Model),
    Delete(Vec<u8>),
    Pop(Vec<u8>),
    Clear,
}

/// Few keys, so that they meet again; some of them long, one of them empty.
fn key() -> impl Strategy<Value = Vec<u8>> {
    (0_u8..12).prop_map(|number| vec![number; usize::from(number % 4) * 9 + usize::from(number / 4)])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = || proptest::collection::vec(any::<u8>(), 0..50);
    let step = prop_oneof![
        2 => key().prop_map(Step::Get),
        6 => (key(), value()).prop_map(|(key, value)| Step::Set(key, value)),
        3 => (key(), any::<bool>(), value()).prop_map(|(key, now, value)| Step::Replace(key, now, value)),
        2 => (key(), value()).prop_map(|(key, value)| Step::GetOrSet(key, value)),
        2 => proptest::collection::vec((key(), value()), 0..4).prop_map(Step::Extend),
        4 => key().prop_map(Step::Delete),
        2 => key().prop_map(Step::Pop),
        1 => Just(Step::Clear),
    ];
    proptest::collection::vec(step, 1..80)
}

fn find<'a>(model: &'a mut Model, key: &[u8]) -> Option<&'a mut Vec<u8>> {
    model.iter_mut().find(|(other, _)| other == key).map(|(_, value)| value)
}

fn put(model: &mut Model, key: Vec<u8>, value: Vec<u8>) {
    match find(model, &key) {
        Some(old) => *old = value,
        None => model.push((key, value)),
    }
}

fn remove(model: &mut Model, key: &[u8]) -> Outcome<Vec<u8>> {
    let at = model.iter().position(|(other, _)| other == key).ok_or(Refusal::Missing)?;
    Ok(model.remove(at).1)
}

/// Does a step on the dictionary and on the model; both say the same.
fn take(dict: &Dict, model: &mut Model, step: Step) {
    let me = party(1);
    // What has no room changes nothing.
    let fits = |done: Outcome<()>| expected(done, &[Refusal::NoRoom]).is_some();
    match step {
        Step::Get(key) => {
            let expected = find(model, &key).cloned();
            assert_eq!(dict.contains(&key), Ok(expected.is_some()));
            assert_eq!(get(dict, &key).map(|(_, value)| value), expected.ok_or(Refusal::Missing));
        }
        Step::Set(key, value) => {
            if fits(dict.set(me, &key, &value)) {
                put(model, key, value);
            }
        }
        Step::Replace(key, now, value) => {
            let version = get(dict, &key).map_or(0, |(version, _)| version);
            let version = if now { version } else { version + 1 };
            match dict.replace(me, &key, version, &value) {
                Err(Refusal::Changed) => assert!(!now),
                done if fits(done) => {
                    assert!(now);
                    assert_ne!(get(dict, &key).unwrap().0, version);
                    put(model, key, value);
                }
                _ => {}
            }
        }
        Step::GetOrSet(key, value) => {
            let mut got = b"before".to_vec();
            if fits(dict.get_or_set(me, &key, &value, &mut got)) {
                let now = find(model, &key).cloned().unwrap_or_else(|| {
                    model.push((key, value.clone()));
                    value
                });
                assert_eq!(got, [b"before", &now[..]].concat());
            } else {
                assert_eq!(got, b"before");
            }
        }
        Step::Extend(entries) => {
            let slices: Vec<(&[u8], &[u8])> =
                entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            if fits(dict.extend(me, &slices)) {
                for (key, value) in entries {
                    put(model, key, value);
                }
            }
        }
        Step::Delete(key) => assert_eq!(dict.delete(me, &key), remove(model, &key).map(drop)),
        Step::Pop(key) => {
            let mut popped = b"before".to_vec();
            let expected = remove(model, &key);
            assert_eq!(dict.pop(me, &key, &mut popped), expected.clone().map(drop));
            assert_eq!(popped, [b"before", &expected.unwrap_or_default()[..]].concat());
        }
        Step::Clear => {
            dict.clear(me).unwrap();
            model.clear();
        }
    }
}

proptest! {
    #[test]
    fn it_is_a_dictionary_as_python_has_them(steps in steps()) {
        let opened = open::<Dict>(SMALL);
        let mut model = Vec::new();
        for (turn, step) in steps.into_iter().enumerate() {
            take(if turn % 2 == 0 { &opened.ours } else { &opened.theirs }, &mut model, step);
            prop_assert_eq!(opened.reader.len(), Ok(model.len() as u32));
            prop_assert_eq!(&items(&opened.reader), &model);
            for (key, value) in &model {
                prop_assert_eq!(&get(&opened.reader, key).unwrap().1, value);
            }
        }
    }

    #[test]
    fn garbage_in_the_pages_harms_nobody(scribbles in scribbles(), steps in steps()) {
        let dict = open::<Dict>(SMALL).ours;
        dict.extend(party(1), &[(b"a", b"1"), (b"b", &[2; 50]), (&[1; 9], b"")]).unwrap();
        for (step, one) in steps.into_iter().zip(scribbles.iter().cycle()) {
            ruin(&dict, one, step);
        }
    }
}

fn ruin(dict: &Dict, one: &Scribble, step: Step) {
    let me = party(1);
    scribble(dict.ground(), one);
    let _ = (dict.everything(), dict.len());
    // The refusals are as random as the garbage.
    let _ = match step {
        Step::Get(key) => get(dict, &key).map(drop),
        Step::Set(key, value) => dict.set(me, &key, &value),
        Step::Replace(key, _, value) => dict.replace(me, &key, 3, &value),
        Step::GetOrSet(key, value) => dict.get_or_set(me, &key, &value, &mut Vec::new()),
        Step::Extend(entries) => {
            let slices: Vec<(&[u8], &[u8])> =
                entries.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            dict.extend(me, &slices)
        }
        Step::Delete(key) => dict.delete(me, &key),
        Step::Pop(key) => dict.pop(me, &key, &mut Vec::new()),
        Step::Clear => {
            // A death instead: repairs see garbage, too.
            dict.ground().word32(0).store(9, Ordering::Relaxed);
            dict.bury(party(9));
            Ok(())
        }
    };
}

fn three(dict: &Dict) {
    dict.extend(party(3), &[(b"a", b"1"), (b"b", &[2; 50]), (b"c", b"3")]).unwrap();
}

/// Records that were removed, in a way that leaves as many removed slots as there can be.
fn worn(dict: &Dict) {
    for number in 0..40_u32 {
        dict.grow(party(3), number).unwrap();
        if number >= 3 {
            dict.delete(party(3), &(number - 3).to_le_bytes()).unwrap();
        }
    }
}

#[test]
fn every_change_survives_the_death_of_who_makes_it() {
    let points = [
        dies_well(three, |dict, me| dict.set(me, b"b", b"other")),
        dies_well(three, |dict, me| dict.set(me, b"d", b"new")),
        dies_well(three, |dict, me| dict.replace(me, b"a", get(dict, b"a")?.0, &[9; 60])),
        dies_well(three, |dict, me| dict.replace(me, b"x", 0, b"new")),
        dies_well(three, |dict, me| dict.get_or_set(me, b"x", b"new", &mut Vec::new())),
        dies_well(three, |dict, me| dict.extend(me, &[(b"a", b"x"), (b"new", b"y"), (b"a", &[7; 40])])),
        dies_well(three, |dict, me| dict.extend(me, &[(b"a", b"x"), (b"y", b"y"), (b"z", &[7; 300])])),
        dies_well(three, |dict, me| dict.delete(me, b"a")),
        dies_well(three, |dict, me| dict.pop(me, b"b", &mut Vec::new())),
        dies_well(three, |dict, me| dict.clear(me)),
        dies_well(worn, |dict, me| dict.delete(me, &38_u32.to_le_bytes())),
        dies_well(worn, |dict, me| dict.set(me, b"new", b"x")),
        dies_well(worn, |dict, me| dict.extend(me, &[(b"new", b"x"), (b"newer", b"y")])),
        dies_well(worn, |dict, me| dict.clear(me)),
    ];
    assert!(points.iter().all(|points| *points >= 4), "{points:?}");
}

#[test]
fn cleaning_up_survives_the_death_of_who_does_it() {
    let mut cleaned = 0;
    for left in 1..6_u32 {
        // Keys that wear the table out in different ways; some of the last deletions clean up.
        for start in 0..30 {
            let prepare = |dict: &Dict| {
                for number in start..start + 6 {
                    dict.grow(party(3), number).unwrap();
                }
                for number in start..start + left {
                    dict.delete(party(3), &number.to_le_bytes()).unwrap();
                }
            };
            let points = dies_well(prepare, |dict: &Dict, me| dict.delete(me, &(start + left).to_le_bytes()));
            cleaned += u32::from(points > 12);
        }
    }
    assert!(cleaned > 0, "nothing was cleaned up");
}

#[test]
fn a_repair_survives_the_death_of_who_makes_it() {
    let points = [repairs_well(three), repairs_well(worn)];
    assert!(points.iter().all(|points| *points >= 8), "{points:?}");
}

#[test]
fn a_table_of_removed_slots_stays_quick_and_right() {
    let dict = open::<Dict>(LARGE).ours;
    for number in 0..20_000_u32 {
        dict.grow(party(1), number).unwrap();
        if number >= 900 {
            dict.delete(party(1), &(number - 900).to_le_bytes()).unwrap();
        }
    }
    assert_eq!(dict.len(), Ok(900));
    let (_, removed) = dict.sizes().unwrap();
    assert!(removed <= slots_of(LARGE) as u64 / 4, "{removed} removed slots");
    for number in 0..20_000_u32 {
        assert_eq!(dict.contains(&number.to_le_bytes()), Ok(number >= 19_100));
    }
}

#[test]
fn keys_keep_the_order_in_which_they_came() {
    let dict = open::<Dict>(LARGE).ours;
    for number in (0..500_u32).rev() {
        dict.grow(party(1), number).unwrap();
    }
    dict.set(party(1), &7_u32.to_le_bytes(), b"other").unwrap();
    dict.delete(party(1), &9_u32.to_le_bytes()).unwrap();
    dict.grow(party(1), 9).unwrap();
    let keys: Vec<u32> =
        items(&dict).iter().map(|(key, _)| u32::from_le_bytes(key[..].try_into().unwrap())).collect();
    let mut expected: Vec<u32> = (0..500).rev().filter(|number| *number != 9).collect();
    expected.push(9);
    assert_eq!(keys, expected);
}

#[test]
fn what_can_never_fit_is_told_from_what_has_no_room_now() {
    let dict = open::<Dict>(SMALL).ours;
    let bytes_max = SMALL.bytes_max as usize - KEY - 1;
    assert_eq!(dict.set(party(1), b"k", &vec![0; bytes_max + 1]), Err(Refusal::TooLarge));
    assert_eq!(dict.set(party(1), b"k", &vec![0; bytes_max]), Ok(()));
    assert_eq!(dict.set(party(1), b"l", b""), Err(Refusal::NoRoom));
    dict.clear(party(1)).unwrap();
    for number in 0..SMALL.records_max {
        assert_eq!(dict.set(party(1), &[number as u8], b""), Ok(()));
    }
    assert_eq!(dict.set(party(1), b"one more", b""), Err(Refusal::NoRoom));
    assert_eq!(dict.set(party(1), &[0], b"what is there can change"), Ok(()));
    assert_eq!(bytes(RecordsShape { records_max: 1 << 25, bytes_max: 1 }), None);
    assert!(bytes(RecordsShape { records_max: 1 << 24, bytes_max: 64 << 30 }).is_some());
}

#[test]
fn who_may_only_read_reads() {
    let Opened { ours, reader, .. } = open::<Dict>(SMALL);
    three(&ours);
    let me = party(2);
    assert_eq!(get(&reader, b"a").unwrap().1, b"1");
    assert_eq!(reader.contains(b"x"), Ok(false));
    assert_eq!(reader.get_or_set(me, b"a", b"", &mut Vec::new()), Ok(()));
    assert_eq!(reader.get_or_set(me, b"x", b"", &mut Vec::new()), Err(Refusal::ReadOnly));
    assert_eq!(reader.set(me, b"a", b""), Err(Refusal::ReadOnly));
    assert_eq!(reader.delete(me, b"a"), Err(Refusal::ReadOnly));
    assert_eq!(reader.clear(me), Err(Refusal::ReadOnly));
    assert_eq!(reader.len(), Ok(3));
}

#[test]
fn readers_find_no_torn_record_while_everything_changes() {
    let opened = open::<Dict>(RecordsShape { records_max: 12, bytes_max: 1 << 11 });
    let write = |dict: &Dict, me: Party| {
        for round in 0..4_000_u64 {
            let number = round * 2 + me.number() as u64;
            let value = sealed(number, (round % 60) as usize);
            let key = [(number % 17) as u8; 3];
            let done = match round % 8 {
                0..3 => dict.set(me, &key, &value),
                3 => dict.get_or_set(me, &key, &value, &mut Vec::new()),
                4 | 5 => dict.delete(me, &key),
                6 => dict.pop(me, &key, &mut Vec::new()),
                _ => dict.extend(me, &[(&key, &value), (b"another", &value)]),
            };
            expected(done, &[Refusal::Missing, Refusal::NoRoom]);
            if round % 100 == 99 {
                dict.clear(me).unwrap();
            }
        }
    };
    let look = |dict: &Dict| {
        if let Some((_, value)) = expected(get(dict, &[4; 3]), &[Refusal::Missing]) {
            unseal(&value);
        }
        let items = items(dict);
        for (key, value) in &items {
            assert!(key == b"another" || key.len() == 3 && key[0] == key[2] && key[0] < 17, "{key:?}");
            unseal(value);
        }
        assert!(items.len() <= 12 && dict.len().unwrap() <= 12);
    };
    all_at_once(&opened, write, look);
}

#[test]
fn everything_is_read_as_of_one_instant() {
    const KEYS: u64 = 8;
    let opened = open::<Dict>(RecordsShape { records_max: 16, bytes_max: 1 << 12 });
    let write = |dict: &Dict, me: Party| {
        if me == party(2) {
            return;
        }
        for round in 1..2_000 {
            for key in 0..KEYS {
                dict.set(me, &[key as u8], &sealed(round, (round % 40) as usize)).unwrap();
            }
            // Added and removed one after the other: at any time, those that are there are neighbours.
            for key in 0..KEYS {
                dict.set(me, &[100 + key as u8], &sealed(round, 0)).unwrap();
            }
            for key in 0..KEYS {
                dict.delete(me, &[100 + key as u8]).unwrap();
            }
        }
    };
    let look = |dict: &Dict| {
        let items = items(dict);
        let (passing, staying): (Vec<_>, Vec<_>) = items.iter().partition(|(key, _)| key[0] >= 100);
        let numbers: Vec<u64> = staying.iter().map(|(_, value)| unseal(value)).collect();
        assert!(numbers.is_sorted_by(|a, b| a >= b), "{numbers:?}");
        assert!(numbers.first().is_none_or(|first| first - numbers[numbers.len() - 1] <= 1), "{numbers:?}");
        let keys: Vec<u8> = passing.iter().map(|(key, _)| key[0]).collect();
        assert!(keys.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{keys:?}");
        assert!(keys.first().is_none_or(|first| *first == 100 || keys.last() == Some(&107)), "{keys:?}");
    };
    all_at_once(&opened, write, look);
}

#[test]
fn updates_by_version_all_count() {
    const ROUNDS: u64 = 3_000;
    let opened = open::<Dict>(SMALL);
    let write = |dict: &Dict, me: Party| {
        for _ in 0..ROUNDS {
            loop {
                let (version, number) =
                    get(dict, b"counter").map_or((0, 0), |(version, value)| (version, unseal(&value)));
                let next = sealed(number + 1, 10);
                if expected(dict.replace(me, b"counter", version, &next), &[Refusal::Changed]).is_some() {
                    break;
                }
            }
        }
    };
    all_at_once(&opened, write, |dict| drop(expected(get(dict, b"counter"), &[Refusal::Missing])));
    assert_eq!(unseal(&get(&opened.reader, b"counter").unwrap().1), 2 * ROUNDS);
}

#[test]
fn of_all_who_add_a_key_one_does() {
    let opened = open::<Dict>(LARGE);
    let winners: Vec<AtomicBool> = (0..500).map(|_| AtomicBool::new(false)).collect();
    let write = |dict: &Dict, me: Party| {
        for key in 0..500_u32 {
            let mine = [me.number() as u8];
            if expected(dict.replace(me, &key.to_le_bytes(), 0, &mine), &[Refusal::Changed]).is_some() {
                assert!(!winners[key as usize].swap(true, Ordering::Relaxed), "two have added {key}");
            }
        }
    };
    all_at_once(&opened, write, |dict| assert!(dict.len().unwrap() <= 500));
    assert_eq!(opened.reader.len(), Ok(500));
}

#[test]
fn no_more_is_answered_at_once_than_was_allowed() {
    let dict = open::<Dict>(SMALL).ours;
    dict.extend(party(1), &[(b"one", b"1"), (b"", b""), (b"three", b"3")]).unwrap();
    let bytes = dict.everything().unwrap().len();
    let all = |most| dict.all(most, &mut b"before".to_vec());
    assert_eq!((all(bytes), all(bytes - 1)), (Ok(()), Err(Refusal::TooLarge)));
}

#[test]
fn a_record_has_a_largest_size_with_its_key_however_much_room_there_is() {
    let dict = open::<Dict>(RecordsShape { bytes_max: 2 * VALUE_BYTES_MAX as u64, ..SMALL }).ours;
    let zeros = vec![0; VALUE_BYTES_MAX];
    assert_eq!(dict.set(party(1), b"k", &zeros), Err(Refusal::TooLarge));
    assert_eq!(dict.set(party(1), b"k", &zeros[1..]), Ok(()));
}

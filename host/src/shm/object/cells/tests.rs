use std::sync::atomic::Ordering;

use proptest::prelude::*;
use wasmpool_abi::shared::{CellOp, Element, Refusal, ViewMode};

use super::*;
use crate::shm::object::crash;
use crate::shm::object::leases::LEASES_MAX;
use crate::shm::object::pages::{Pages, pages, party};

const INTEGERS: [Element; 8] = [
    Element::I8,
    Element::U8,
    Element::I16,
    Element::U16,
    Element::I32,
    Element::U32,
    Element::I64,
    Element::U64,
];

struct Opened {
    ours: Cells,
    theirs: Cells,
    reader: Cells,
}

fn open(element: Element, length: u64) -> Opened {
    let Pages { ours, theirs, reader } = pages(bytes(element, length).expect("a size"));
    Opened {
        ours: Cells::open(ours, element, length),
        theirs: Cells::open(theirs, element, length),
        reader: Cells::open(reader, element, length),
    }
}

fn get(cells: &Cells, index: u64) -> u64 {
    cells.operate(CellOp::Get, index, 0, 0).unwrap().unwrap()
}

fn set(cells: &Cells, index: u64, value: u64) -> Outcome<Result<u64, u64>> {
    cells.operate(CellOp::Set, index, value, 0)
}

/// What a number is after it went through an element of this type.
fn wrap(element: Element, number: i128) -> i128 {
    match element {
        Element::I8 => i128::from(number as i8),
        Element::U8 => i128::from(number as u8),
        Element::I16 => i128::from(number as i16),
        Element::U16 => i128::from(number as u16),
        Element::I32 => i128::from(number as i32),
        Element::U32 => i128::from(number as u32),
        Element::I64 => i128::from(number as i64),
        Element::U64 => i128::from(number as u64),
        other => panic!("{other:?} is no integer"),
    }
}

/// What an operation makes of an integer, and whether it does anything.
fn model(element: Element, op: CellOp, now: i128, operand: i128, new: i128) -> Option<i128> {
    let next = match op {
        CellOp::Get => now,
        CellOp::Set => operand,
        CellOp::Add => now + operand,
        CellOp::Sub => now - operand,
        CellOp::And => now & operand,
        CellOp::Or => now | operand,
        CellOp::Xor => now ^ operand,
        CellOp::Min => now.min(operand),
        CellOp::Max => now.max(operand),
        CellOp::CompareExchange if now == operand => new,
        CellOp::CompareExchange => return None,
    };
    Some(wrap(element, next))
}

proptest! {
    #[test]
    fn integers_do_what_arithmetic_modulo_their_size_does(
        element in proptest::sample::select(&INTEGERS[..]),
        steps in proptest::collection::vec(
            (proptest::sample::select(CellOp::ALL), prop_oneof![-2_i128..3, any::<i128>()], any::<i128>()), 1..60),
    ) {
        let opened = open(element, 3);
        let mut now = 0_i128;
        for (op, operand, new) in steps {
            let (operand, new) = (wrap(element, operand), wrap(element, new));
            let answer = opened.ours.operate(op, 1, operand as u64, new as u64);
            let expected = match model(element, op, now, operand, new) {
                Some(next) => {
                    let before = now;
                    now = next;
                    Ok(before as u64)
                }
                None => Err(now as u64),
            };
            prop_assert_eq!(answer, Ok(expected));
            prop_assert_eq!(get(&opened.theirs, 1), now as u64);
            prop_assert_eq!((get(&opened.reader, 0), get(&opened.reader, 2)), (0, 0), "neighbours");
        }
    }

    #[test]
    fn floats_do_what_floats_do(a in any::<f64>(), b in any::<f64>()) {
        let wide = open(Element::F64, 1).ours;
        let narrow = open(Element::F32, 1).ours;
        let (a32, b32) = (a as f32, b as f32);
        for (op, next, next32) in [
            (CellOp::Add, a + b, a32 + b32),
            (CellOp::Sub, a - b, a32 - b32),
            (CellOp::Min, a.min(b), a32.min(b32)),
            (CellOp::Max, a.max(b), a32.max(b32)),
        ] {
            set(&wide, 0, a.to_bits()).unwrap().unwrap();
            prop_assert_eq!(wide.operate(op, 0, b.to_bits(), 0), Ok(Ok(a.to_bits())));
            prop_assert_eq!(get(&wide, 0), next.to_bits());
            set(&narrow, 0, a32.to_bits().into()).unwrap().unwrap();
            prop_assert_eq!(narrow.operate(op, 0, b32.to_bits().into(), 0), Ok(Ok(a32.to_bits().into())));
            prop_assert_eq!(get(&narrow, 0), u64::from(next32.to_bits()));
        }
    }

    #[test]
    fn garbage_in_the_pages_harms_nobody(
        words in proptest::collection::vec((0..ELEMENTS_AT / 8 + 2, any::<u64>()), 1..200),
    ) {
        let cells = open(Element::U8, 16).ours;
        for (word, value) in words {
            // The mutex itself is left alone: a scribbled holder is waited for, by design.
            if word != 0 {
                cells.ground.word64(word * 8).store(value, Ordering::Relaxed);
            }
            let _ = cells.operate(CellOp::Add, 3, 1, 0);
            let _ = cells.fill(0..16, 1);
            if let Ok(lease) = cells.lease(party(1), ViewMode::Exclusive, 2..5) {
                cells.unlease(party(1), lease);
            }
            cells.leases().give_back_all(party(2));
        }
    }
}

#[test]
fn an_operand_that_is_no_number_of_the_type_is_refused() {
    let invalid = Err(Refusal::Invalid);
    for (element, operands) in [
        (Element::Bool, &[2, u64::MAX][..]),
        (Element::I8, &[128, 0xff, (-129_i64) as u64]),
        (Element::U8, &[256, 300, u64::MAX]),
        (Element::I16, &[0x8000, 0xffff]),
        (Element::U16, &[0x1_0000, u64::MAX]),
        (Element::I32, &[0x8000_0000, u64::from(u32::MAX)]),
        (Element::U32, &[1 << 32, u64::MAX]),
        (Element::F32, &[1 << 32, 1_f64.to_bits()]),
    ] {
        let cells = open(element, 2).ours;
        for operand in operands {
            for op in CellOp::ALL.iter().filter(|op| **op != CellOp::Get) {
                assert_eq!(cells.operate(*op, 0, *operand, 0), invalid, "{op:?} {operand:#x} {element:?}");
            }
            assert_eq!(cells.operate(CellOp::CompareExchange, 0, 0, *operand), invalid);
            assert_eq!(cells.fill(0..1, *operand), Err(Refusal::Invalid));
            assert_eq!(cells.operate(CellOp::Get, 0, *operand, *operand), Ok(Ok(0)));
        }
    }
    for element in [Element::F32, Element::F64] {
        for op in [CellOp::And, CellOp::Or, CellOp::Xor] {
            assert_eq!(open(element, 1).ours.operate(op, 0, 0, 0), invalid);
        }
    }
}

#[test]
fn a_bool_is_true_or_false_whatever_a_view_stored() {
    let cells = open(Element::Bool, 4).ours;
    for op in [CellOp::Add, CellOp::Sub] {
        assert_eq!(cells.operate(op, 0, 1, 0), Err(Refusal::Invalid));
    }
    assert_eq!(cells.write(0, &[0, 1, 2]), Err(Refusal::Invalid));
    let stored = |byte| cells.ground.region().store(cells.elements_at(), &[byte]);
    stored(6);
    assert_eq!(get(&cells, 0), 1);
    let mut read = [9; 4];
    cells.read(0, &mut read).unwrap();
    assert_eq!(read, [1, 0, 0, 0]);
    assert_eq!(cells.operate(CellOp::CompareExchange, 0, 1, 0), Ok(Ok(1)));
    stored(6);
    assert_eq!(cells.operate(CellOp::And, 0, 1, 0), Ok(Ok(1)));
    assert_eq!(cells.operate(CellOp::Xor, 0, 1, 0), Ok(Ok(1)));
    assert_eq!(cells.operate(CellOp::CompareExchange, 0, 1, 0), Ok(Err(0)));
}

#[test]
fn elements_end_with_the_length() {
    let cells = open(Element::U16, 5).ours;
    assert_eq!(cells.operate(CellOp::Get, 5, 0, 0), Err(Refusal::OutOfRange));
    assert_eq!(cells.operate(CellOp::Set, u64::MAX, 0, 0), Err(Refusal::OutOfRange));
    for (start, count) in [(5, 1), (4, 2), (0, 6), (u64::MAX, 1), (6, 0)] {
        assert_eq!(cells.read(start, &mut vec![0; count * 2]), Err(Refusal::OutOfRange));
        assert_eq!(cells.write(start, &vec![0; count * 2]), Err(Refusal::OutOfRange));
    }
    assert_eq!(cells.fill(4..6, 0), Err(Refusal::OutOfRange));
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tried")]
    let reversed = 3..2;
    assert_eq!(cells.fill(reversed, 0), Err(Refusal::OutOfRange));
    assert_eq!(cells.lease(party(1), ViewMode::Shared, 0..6), Err(Refusal::OutOfRange));
    assert_eq!(cells.read(0, &mut [0; 3]), Err(Refusal::Invalid));
    assert_eq!(cells.read(5, &mut []), Ok(()));
    assert_eq!(bytes(Element::U64, u64::MAX), None);
    assert_eq!(bytes(Element::U64, 1 << 60), None);
    assert_eq!(bytes(Element::U64, 0), Some(ELEMENTS_AT));
}

#[test]
fn who_may_only_read_reads() {
    let opened = open(Element::I32, 8);
    opened.ours.fill(0..8, 7).unwrap();
    assert_eq!(get(&opened.reader, 3), 7);
    let mut read = [0; 8];
    opened.reader.read(1, &mut read).unwrap();
    assert_eq!(read, [7, 0, 0, 0, 7, 0, 0, 0]);
    assert_eq!(set(&opened.reader, 0, 1), Err(Refusal::ReadOnly));
    assert_eq!(opened.reader.write(0, &[0; 4]), Err(Refusal::ReadOnly));
    assert_eq!(opened.reader.fill(0..1, 1), Err(Refusal::ReadOnly));
    assert_eq!(opened.reader.lease(party(1), ViewMode::ReadOnly, 0..1), Err(Refusal::ReadOnly));
    for cells in [&opened.ours, &opened.reader] {
        assert_eq!(cells.lease(party(1), ViewMode::Watched, 0..1), Err(Refusal::Invalid));
    }
    opened.reader.end_call(party(1));
}

#[test]
fn runs_of_every_start_and_length_are_filled_written_and_read() {
    for element in Element::ALL.iter().copied() {
        let size = element.bytes();
        for start in 0..9 {
            for count in 0..20 {
                let opened = open(element, 32);
                let elements = start as u64..(start + count) as u64;
                opened.ours.fill(elements, 1).unwrap();
                let one = &1_u64.to_le_bytes()[..size];
                let mut read = vec![0; 32 * size];
                opened.theirs.read(0, &mut read).unwrap();
                let mut expected = vec![0; 32 * size];
                for index in start..start + count {
                    expected[index * size..][..size].copy_from_slice(one);
                }
                assert_eq!(read, expected, "{element:?} {start} {count}");
                opened.ours.write(start as u64, &vec![0; count * size]).unwrap();
                opened.reader.read(0, &mut read).unwrap();
                assert_eq!(read, vec![0; 32 * size]);
            }
        }
    }
}

#[test]
fn concurrent_additions_all_count() {
    const ROUNDS: u64 = 100_000;
    for element in [Element::U8, Element::I16, Element::U32, Element::I64, Element::F32, Element::F64] {
        let opened = open(element, 3);
        let one = match element {
            Element::F32 => 1_f32.to_bits().into(),
            Element::F64 => 1_f64.to_bits(),
            _ => 1,
        };
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for cells in [&opened.ours, &opened.theirs, &opened.ours] {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..ROUNDS {
                        cells.operate(CellOp::Add, 1, one, 0).unwrap().unwrap();
                    }
                });
            }
        });
        let total = get(&opened.reader, 1);
        match element {
            Element::F32 => assert_eq!(f32::from_bits(total as u32), (3 * ROUNDS) as f32),
            Element::F64 => assert_eq!(f64::from_bits(total), (3 * ROUNDS) as f64),
            _ => assert_eq!(i128::from(total as i64), wrap(element, i128::from(3 * ROUNDS)), "{element:?}"),
        }
    }
}

#[test]
fn bulk_copies_tear_no_element() {
    // Few elements are nothing but ends, which are copied in other pieces.
    let cases =
        [(Element::U16, 3), (Element::U16, 29), (Element::U32, 1), (Element::U32, 29), (Element::U64, 29)];
    for (element, count) in cases {
        let size = element.bytes();
        let opened = open(element, 40);
        std::thread::scope(|scope| {
            let write = |byte: u8, cells: &Cells| {
                let run = vec![byte; count * size];
                let bits = u64::from_le_bytes([byte; 8]) >> (64 - 8 * size);
                for round in 0..60_000 {
                    cells.write(3 + round % 2, &run).unwrap();
                    cells.fill(3..3 + count as u64, bits).unwrap();
                }
            };
            let writers = [
                scope.spawn(move || write(0x11, &opened.ours)),
                scope.spawn(move || write(0xee, &opened.theirs)),
            ];
            let mut read = vec![0; count * size];
            while !writers.iter().all(|writer| writer.is_finished()) {
                opened.reader.read(3, &mut read).unwrap();
                for element in read.chunks(size) {
                    assert!(element.iter().all(|byte| *byte == element[0]), "torn: {element:x?}");
                }
            }
        });
    }
}

/// What is refused while a lease of some mode is held, by whomever.
#[test]
fn leases_keep_others_away_as_their_mode_says() {
    use ViewMode::{Exclusive, ReadOnly, Shared};
    for (held, views, reads, writes) in [
        (Shared, &[Shared][..], true, true),
        (ReadOnly, &[ReadOnly], true, false),
        (Exclusive, &[], false, false),
    ] {
        for other in [party(1), party(2)] {
            let opened = open(Element::U32, 100);
            let lease = opened.ours.lease(party(1), held, 10..20).unwrap();
            for wanted in [Shared, ReadOnly, Exclusive] {
                for range in [9..11, 19..30, 12..13, 0..100] {
                    let got = opened.theirs.lease(other, wanted, range);
                    let Ok(second) = got else {
                        assert_eq!(got, Err(Refusal::Leased));
                        assert!(!views.contains(&wanted), "{held:?} refuses {wanted:?}");
                        continue;
                    };
                    assert!(views.contains(&wanted), "{held:?} allows {wanted:?}");
                    opened.theirs.unlease(other, second);
                }
                for range in [0..10, 20..100, 15..15] {
                    let beside = opened.theirs.lease(other, wanted, range).unwrap();
                    opened.theirs.unlease(other, beside);
                }
            }
            let check = |got: Outcome<()>, allowed: bool| {
                assert_eq!(got, if allowed { Ok(()) } else { Err(Refusal::Leased) }, "{held:?}");
            };
            check(opened.theirs.operate(CellOp::Get, 10, 0, 0).map(drop), reads);
            check(opened.theirs.operate(CellOp::Add, 19, 1, 0).map(drop), writes);
            check(opened.reader.read(0, &mut [0; 44]), reads);
            check(opened.theirs.write(19, &[0; 8]), writes);
            check(opened.theirs.fill(0..100, 1), writes);
            opened.theirs.fill(0..10, 1).unwrap();
            opened.theirs.operate(CellOp::Add, 20, 1, 0).unwrap().unwrap();
            opened.ours.unlease(party(1), lease);
            assert_eq!(opened.theirs.leases().bar_index(), 0);
            opened.theirs.fill(0..100, 1).unwrap();
        }
    }
}

#[test]
fn nobody_gives_back_the_lease_of_another() {
    let cells = open(Element::U8, 10).ours;
    let lease = cells.lease(party(1), ViewMode::Exclusive, 0..10).unwrap();
    cells.unlease(party(2), Lease { index: lease.index });
    cells.unlease(party(1), Lease { index: 100_000 });
    assert_eq!(cells.operate(CellOp::Get, 0, 0, 0), Err(Refusal::Leased));
}

#[test]
fn leases_end_with_their_number_with_the_call_and_with_the_party() {
    let opened = open(Element::U8, 10);
    let cells = &opened.ours;
    for number in 0..LEASES_MAX {
        cells.lease(party(1 + number % 2), ViewMode::ReadOnly, 0..10).unwrap();
    }
    assert_eq!(cells.lease(party(3), ViewMode::ReadOnly, 0..10), Err(Refusal::TooManyOpen));
    cells.end_call(party(1));
    assert_eq!(cells.leases().owners(), vec![2; LEASES_MAX / 2]);
    assert_eq!(set(cells, 0, 1), Err(Refusal::Leased));
    opened.theirs.bury(party(2));
    opened.theirs.bury(party(2));
    assert_eq!(cells.leases().owners(), vec![0; 0]);
    assert_eq!(cells.leases().bar_index(), 0);
    set(cells, 0, 1).unwrap().unwrap();
    cells.lease(party(3), ViewMode::Exclusive, 0..10).unwrap();
}

#[test]
fn a_lease_is_taken_or_not_whenever_its_taker_dies() {
    for mode in [ViewMode::Shared, ViewMode::ReadOnly, ViewMode::Exclusive] {
        let points = crash::at_every_point(|death| {
            let opened = open(Element::U8, 10);
            death.strike(|| opened.ours.lease(party(1), mode, 2..5));
            let stores = opened.theirs.operate(CellOp::Add, 3, 1, 0);
            assert!(matches!(stores, Ok(Ok(0)) | Err(Refusal::Leased)));
            opened.theirs.bury(party(1));
            assert_eq!(opened.theirs.leases().bar_index(), 0);
            assert!(opened.theirs.operate(CellOp::Add, 3, 1, 0).is_ok());
            let all: Vec<_> =
                (0..LEASES_MAX).map(|_| opened.theirs.lease(party(2), mode, 0..0).unwrap()).collect();
            assert_eq!(all.len(), LEASES_MAX);
        });
        assert!(points >= 4, "{points} points");
    }
}

/// Whoever holds an exclusive lease finds that nobody else has one, and that host calls are barred.
#[test]
fn leases_come_and_go_without_overlap() {
    let opened = open(Element::U64, 4);
    let busy = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for (number, cells) in [(1, &opened.ours), (2, &opened.theirs), (3, &opened.ours)] {
            let busy = &busy;
            scope.spawn(move || {
                for round in 0..3_000 {
                    let mode = if round % 3 == 0 { ViewMode::Shared } else { ViewMode::Exclusive };
                    let Ok(lease) = cells.lease(party(number), mode, 0..4) else { continue };
                    if mode == ViewMode::Exclusive {
                        assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two exclusive leases");
                        assert_eq!(cells.operate(CellOp::Get, 0, 0, 0), Err(Refusal::Leased));
                        busy.fetch_sub(1, Ordering::SeqCst);
                    }
                    cells.unlease(party(number), lease);
                }
            });
        }
    });
    assert_eq!(opened.ours.leases().owners(), vec![0; 0]);
}

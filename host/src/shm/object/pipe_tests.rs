use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::super::crash::at_every_point;
use super::super::ground::Rights;
use super::super::patience::Unnoticed;
use super::*;
use crate::shm::region::{Region, Writer};

const ONE_WAY: PipeShape = PipeShape { bytes_max: 256, duplex: false };
const DUPLEX: PipeShape = PipeShape { duplex: true, ..ONE_WAY };

fn party(number: usize) -> Party {
    Party::new(number).expect("a number of a party")
}

/// Both ends, each mapped by a process of its own, and joined by parties 1 (end 0) and 2 (end 1).
fn pipe(shape: PipeShape) -> [PipeEnd; 2] {
    let bytes = bytes(shape).expect("it fits");
    let (_ours, fd) = Region::create("pipe", bytes, Writer::Worker).expect("a region");
    [0, 1].map(|end| {
        let region = Region::map(fd.as_fd(), bytes, Writer::Worker).expect("a mapping");
        let end_of_pipe = PipeEnd::open(Ground::new(Arc::new(region), Rights::ReadWrite), shape, end);
        end_of_pipe.join(party(usize::from(end) + 1)).expect("joined");
        end_of_pipe
    })
}

fn send(end: &PipeEnd, message: &[u8]) -> Outcome<()> {
    end.send(party(usize::from(end.end) + 1), message, &Patience::NONE)
}

fn receive(end: &PipeEnd) -> Outcome<Vec<u8>> {
    let mut message = Vec::new();
    end.receive(party(usize::from(end.end) + 1), &Patience::NONE, &mut message).map(|()| message)
}

/// Long enough for every machine: running out of it is a failure.
fn long() -> Patience<'static> {
    Patience::new(Some(Duration::from_secs(60)), &Unnoticed)
}

#[test]
fn messages_go_both_ways_in_order() {
    let [left, right] = pipe(DUPLEX);
    for round in 0..20 {
        for (from, to) in [(&left, &right), (&right, &left)] {
            assert_eq!(receive(to), Err(Refusal::Empty));
            assert_eq!(to.poll(&Patience::NONE), Err(Refusal::TimedOut));
            for index in 0..4 {
                assert_eq!(send(from, &[round, index]), Ok(()));
            }
            assert_eq!(to.poll(&Patience::NONE), Ok(()));
            for index in 0..4 {
                assert_eq!(receive(to), Ok(vec![round, index]));
            }
        }
    }
}

#[test]
fn a_one_way_pipe_refuses_the_other_way() {
    let [receiver, sender] = pipe(ONE_WAY);
    assert_eq!(send(&receiver, b"x"), Err(Refusal::ReadOnly));
    assert_eq!(receive(&sender), Err(Refusal::ReadOnly));
    assert_eq!(sender.poll(&Patience::NONE), Err(Refusal::ReadOnly));
    assert_eq!(send(&sender, b"x"), Ok(()));
    assert_eq!(receive(&receiver), Ok(b"x".to_vec()));
}

#[test]
fn bytes_are_bounded() {
    let [receiver, sender] = pipe(ONE_WAY);
    assert_eq!(send(&sender, &[0; 257]), Err(Refusal::TooLarge));
    for _ in 0..8 {
        assert_eq!(send(&sender, b""), Ok(()));
    }
    assert_eq!(send(&sender, b""), Err(Refusal::Full));
    for _ in 0..8 {
        assert_eq!(receive(&receiver), Ok(Vec::new()));
    }
    assert_eq!(send(&sender, &[0; 256]), Ok(()));
}

#[test]
fn an_end_that_all_have_left_is_gone() {
    type Leave = fn(&PipeEnd, Party);
    let ways: [Leave; 4] = [
        |end, party| end.leave(party),
        |end, party| end.end_call(party),
        |end, party| end.bury(party),
        |end, party| end.close(party).expect("closed"),
    ];
    for leave in ways {
        let [receiver, sender] = pipe(ONE_WAY);
        send(&sender, b"last").expect("room");
        leave(&sender, party(2));
        assert_eq!(receiver.poll(&Patience::NONE), Ok(()));
        assert_eq!(receive(&receiver), Ok(b"last".to_vec()));
        assert_eq!(receiver.poll(&Patience::NONE), Ok(()));
        assert_eq!(receive(&receiver), Err(Refusal::EndOfFile));

        let [receiver, sender] = pipe(ONE_WAY);
        leave(&receiver, party(1));
        assert_eq!(send(&sender, b"x"), Err(Refusal::EndOfFile));
    }
}

#[test]
fn an_end_is_there_while_anyone_is_joined_or_nobody_ever_was() {
    let [receiver, sender] = pipe(ONE_WAY);
    sender.join(party(1023)).expect("joined");
    sender.leave(party(2));
    assert_eq!(receive(&receiver), Err(Refusal::Empty));
    sender.leave(party(1023));
    assert_eq!(receive(&receiver), Err(Refusal::EndOfFile));
    sender.join(party(2)).expect("a call that is tried again");
    assert_eq!(receive(&receiver), Err(Refusal::Empty));

    let (region, _fd) =
        Region::create("pipe", bytes(ONE_WAY).expect("it fits"), Writer::Worker).expect("a region");
    let alone = PipeEnd::open(Ground::new(Arc::new(region), Rights::ReadWrite), ONE_WAY, 0);
    assert_eq!(receive(&alone), Err(Refusal::Empty));
}

#[test]
fn a_closed_end_refuses_its_own() {
    let [left, right] = pipe(DUPLEX);
    send(&right, b"unheard").expect("room");
    left.close(party(1)).expect("closed");
    assert_eq!(send(&left, b"x"), Err(Refusal::Closed));
    assert_eq!(receive(&left), Err(Refusal::Closed));
    assert_eq!(left.poll(&Patience::NONE), Err(Refusal::Closed));
    assert_eq!(send(&right, b"x"), Err(Refusal::EndOfFile));
}

#[test]
fn a_death_leaves_whole_messages_and_all_room() {
    let check = |right: &PipeEnd, at_most: std::ops::RangeInclusive<usize>| {
        let living = party(9);
        right.join(living).expect("joined");
        let mut messages = Vec::new();
        let mut message = Vec::new();
        while right.receive(living, &Patience::NONE, &mut message).is_ok() {
            messages.push(std::mem::take(&mut message));
        }
        assert!(at_most.contains(&messages.len()), "{messages:?}");
        assert!(messages.iter().all(|message| message == &[5; 100]));
    };
    let fits_again = |left: &PipeEnd, right: &PipeEnd| {
        let living = party(9);
        left.join(living).expect("joined");
        left.send(living, &[1; 256], &Patience::NONE).expect("all room is free");
        right.receive(living, &Patience::NONE, &mut Vec::new()).expect("it is there");
    };
    let points = at_every_point(|death| {
        let [left, right] = pipe(DUPLEX);
        send(&left, &[5; 100]).expect("room");
        let lived = death.strike(|| send(&left, &[5; 100]).expect("room")).is_some();
        left.bury(party(1));
        check(&right, if lived { 2..=2 } else { 1..=2 });
        fits_again(&left, &right);
    });
    assert!(points >= 5);
    let points = at_every_point(|death| {
        let [left, right] = pipe(DUPLEX);
        send(&left, &[5; 100]).expect("room");
        send(&left, &[5; 100]).expect("room");
        let lived = death.strike(|| receive(&right).expect("a message")).is_some();
        right.bury(party(2));
        check(&right, if lived { 1..=1 } else { 1..=2 });
        fits_again(&left, &right);
    });
    assert!(points >= 4);
    at_every_point(|death| {
        let [left, right] = pipe(DUPLEX);
        let operate = || {
            left.join(party(7)).expect("joined");
            left.leave(party(1));
            left.close(party(7)).expect("closed");
        };
        death.strike(operate);
        left.bury(party(7));
        left.bury(party(1));
        assert_eq!(receive(&right), Err(Refusal::EndOfFile));
    });
}

#[test]
fn two_processes_talk_until_one_leaves() {
    const MESSAGES: u32 = 5000;
    let [left, right] = pipe(DUPLEX);
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| {
            let mut message = Vec::new();
            while right.receive(party(2), &long(), &mut message).is_ok() {
                right.send(party(2), &message, &long()).expect("room in time");
                message.clear();
            }
            right.leave(party(2));
        });
        scope.spawn(|| {
            for number in 0..MESSAGES {
                let mut message = number.to_le_bytes().to_vec();
                message.resize(4 + number as usize % 90, 1);
                left.send(party(1), &message, &long()).expect("room in time");
            }
        });
        let mut message = Vec::new();
        for number in 0..MESSAGES {
            message.clear();
            left.receive(party(3), &long(), &mut message).expect("a message in time");
            assert_eq!(message[..4], number.to_le_bytes());
            assert_eq!(message.len(), 4 + number as usize % 90);
        }
        left.leave(party(1));
        echo.join().expect("it ends");
        assert_eq!(left.receive(party(3), &long(), &mut message), Err(Refusal::EndOfFile));
    });
}

#[test]
fn scribbled_words_spoil_the_pipe_and_nothing_else() {
    // Every word in turn, with values from harmless to wild; the mutex is left alone, for its holder is waited for.
    for word in 1..(INBOXES + 1024) / 8 {
        for value in [1, u64::MAX, 1 << 32 | 5, u64::MAX / 2] {
            let [left, right] = pipe(DUPLEX);
            send(&left, b"message").expect("room");
            left.ground.word64(word * 8).store(value, Relaxed);
            // Its next holder repairs.
            left.ground.word32(header::MUTEX).store(1 << 30, Relaxed);
            let _ = (send(&left, &[1; 64]), receive(&right), receive(&right), right.poll(&Patience::NONE));
            left.bury(party(1));
            right.end_call(party(2));
        }
    }
}

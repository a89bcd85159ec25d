//! Events: nobody misses one.

use loom::sync::atomic::Ordering;
use loom::thread;

use super::super::object::event::Event;
use super::super::object::ground::header;
use super::super::object::patience::Patience;
use super::super::{check, ground};

#[test]
fn an_event_that_is_set_and_cleared_lets_those_go_who_waited_before() {
    check(4, || {
        let ground = ground();
        let waiter = {
            let ground = ground.clone();
            thread::spawn(move || Event::open(ground).wait(&Patience::endless()).expect("it is set"))
        };
        let event = Event::open(ground.clone());
        // Who has announced itself has begun to wait.
        let has_begun = ground.word32(header::BELL_A + 4).load(Ordering::Acquire) == 1;
        event.set().expect("writable");
        if has_begun {
            event.clear().expect("writable");
        }
        waiter.join().expect("it ends");
    });
}

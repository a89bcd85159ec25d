//! What is particular to handles, alone and in threads; races that processes run as well stand in `races`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::handle::Handle;
use super::super::*;
use crate::shm::object::several::OBJECTS_MAX;
use crate::shm::object::spec::Spec;

/// A time in which everything here is long over.
const LONG: Duration = Duration::from_secs(60);

fn handle(spec: Spec) -> Handle {
    Handle::new(Registry::new().create("it", spec).expect("it can be made"))
}

/// The same object, for a handle of another type.
fn another(object: &dyn Shareable) -> Handle {
    Handle::new(Arc::clone(object.entry()))
}

fn counter() -> Value<i64> {
    Value::new(handle(Spec::Value { element: wasmpool_abi::shared::Element::I64 }))
}

fn queue_spec(items: usize, joinable: bool) -> Spec {
    Spec::Queue(QueueOptions::new(items).bytes(64 << 10).shape(joinable))
}

fn pipe() -> (PipeEnd<i64>, PipeEnd<i64>) {
    let shape = PipeOptions::new().bytes(4096).shape(true);
    let ends = Registry::new().create_pipe("it", shape).expect("it can be made");
    let [first, second] = ends.map(|entry| PipeEnd::new(Handle::new(entry)).expect("it can be joined"));
    (first, second)
}

#[test]
fn a_thread_that_ends_gives_back_its_lock_and_the_next_is_told() {
    let lock = Lock::new(handle(Spec::Lock));
    thread::scope(|threads| {
        threads.spawn(|| lock.acquire().unwrap()).join().unwrap();
    });
    let guard = lock.lock_for(LONG).unwrap().expect("it is free");
    assert!(guard.owner_died());
    drop(guard);
    assert!(!lock.lock_for(LONG).unwrap().expect("it is free").owner_died());
}

#[test]
fn a_thread_that_ends_gives_back_its_permits() {
    let semaphore = BoundedSemaphore::new(handle(Spec::Semaphore { permits: 2, bounded: true }));
    thread::scope(|threads| {
        threads.spawn(|| semaphore.acquire().unwrap().keep()).join().unwrap();
    });
    assert_eq!(semaphore.available(), Ok(2));
}

#[test]
fn a_lock_of_another_thread_is_not_free() {
    let lock = RLock::new(handle(Spec::RLock));
    let _guard = lock.lock().unwrap();
    thread::scope(|threads| {
        threads.spawn(|| {
            assert!(lock.try_lock().unwrap().is_none());
            assert!(lock.lock_for(Duration::from_millis(1)).unwrap().is_none());
            assert_eq!(lock.release().unwrap_err().kind(), SharedErrorKind::NotHeld);
        });
    });
}

#[test]
fn a_notified_thread_goes_on() {
    let (condition, number) = (Condition::new(handle(Spec::Condition)), counter());
    thread::scope(|threads| {
        let waiting = threads.spawn(|| {
            let guard = condition.lock().unwrap();
            guard.wait_until(|| Ok(number.get()? == 3), Some(LONG)).unwrap()
        });
        for _ in 0..3 {
            let guard = condition.lock().unwrap();
            number.fetch_add(1).unwrap();
            guard.notify(1).unwrap();
        }
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn an_event_wakes_all_who_wait() {
    let event = Event::new(handle(Spec::Event));
    thread::scope(|threads| {
        let waiting: Vec<_> = (0..4).map(|_| threads.spawn(|| event.wait_for(LONG))).collect();
        event.set().unwrap();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Ok(true));
        }
    });
}

#[test]
fn a_queue_can_have_no_room_for_an_item_without_being_full() {
    let queue = Queue::<Vec<u8>>::new(handle(Spec::Queue(QueueOptions::new(2).bytes(256).shape(false))));
    assert_eq!(queue.try_put(&vec![7; 200]), Ok(true));
    assert_eq!(queue.try_put(&vec![7; 200]), Ok(false));
    assert_eq!(queue.is_full(), Ok(false));
    assert_eq!(queue.try_put(&vec![7]), Ok(true));
    assert_eq!(queue.is_full(), Ok(true));
}

#[test]
fn an_item_that_is_something_else_is_an_error_and_gone() {
    let queue = Queue::<String>::new(handle(queue_spec(4, false)));
    queue.put("text").unwrap();
    queue.put("more").unwrap();
    let numbers = Queue::<u64>::new(another(&queue));
    assert_eq!(numbers.get().unwrap_err().kind(), SharedErrorKind::Undecodable);
    assert_eq!(queue.get(), Ok("more".to_owned()));
}

#[test]
fn an_item_that_cannot_be_encoded_is_an_error_of_put() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no form for it"))
        }
    }
    let queue = Queue::<Broken>::new(handle(queue_spec(4, false)));
    let error = queue.put(&Broken).unwrap_err();
    assert_eq!(error.kind(), SharedErrorKind::Unencodable);
    assert_eq!(error.to_string(), "a value for `it` cannot be encoded: no form for it");
    assert_eq!(queue.len(), Ok(0));
}

#[test]
fn an_item_that_can_never_fit_is_refused() {
    let queue = Queue::<Vec<u8>>::new(handle(queue_spec(4, false)));
    let error = queue.put(&vec![0; 1 << 20]).unwrap_err();
    assert_eq!(error.kind(), SharedErrorKind::TooLarge);
}

#[test]
fn structures_travel_with_their_field_names() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Point {
        x: i32,
    }
    let queue = Queue::<Point>::new(handle(queue_spec(4, false)));
    queue.put(&Point { x: 3 }).unwrap();
    let any = Queue::<serde_json::Value>::new(another(&queue));
    assert_eq!(any.get(), Ok(serde_json::json!({"x": 3})));
}

#[test]
fn an_end_of_a_pipe_is_used_until_its_last_handle_goes() {
    let (first, second) = pipe();
    let copy = second.clone();
    drop(second);
    first.send(&1).unwrap();
    thread::scope(|threads| {
        threads.spawn(move || {
            assert_eq!(copy.recv(), Ok(1));
            copy.send(&2).unwrap();
        });
        assert_eq!(first.recv_for(LONG), Ok(Some(2)));
        assert_eq!(first.recv().unwrap_err().kind(), SharedErrorKind::EndOfFile);
    });
}

#[test]
fn a_pipe_survives_the_thread_that_made_it() {
    let (first, second) = thread::spawn(pipe).join().unwrap();
    first.send(&1).unwrap();
    assert_eq!(second.recv(), Ok(1));
    assert_eq!(second.poll(Some(Duration::ZERO)), Ok(false));
}

#[test]
fn bytes_go_through_a_pipe_as_they_are() {
    let (first, second) = pipe();
    first.send_bytes(b"\x00\xff").unwrap();
    first.send_bytes(b"").unwrap();
    assert_eq!(second.recv_bytes(), Ok(vec![0, 255]));
    assert_eq!(second.recv_bytes(), Ok(vec![]));
    assert_eq!(first.send_bytes(&[0; 8192]).unwrap_err().kind(), SharedErrorKind::TooLarge);
}

#[test]
fn a_wait_for_several_ends_with_the_first_that_is_ready() {
    let queue = Queue::<u32>::new(handle(queue_spec(4, false)));
    let (event, lock) = (Event::new(handle(Spec::Event)), Lock::new(handle(Spec::Lock)));
    thread::scope(|threads| {
        let waiting = threads.spawn(|| wait_any(&[&queue, &event], Some(LONG)));
        queue.put(&1).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(vec![0]));
    });
    assert_eq!(wait_any(&[&event, &lock, &queue], Some(LONG)), Ok(vec![1, 2]));
    assert_eq!(wait_any(&[&event], Some(Duration::from_millis(1))), Ok(vec![]));
}

#[test]
fn what_is_never_ready_cannot_be_waited_for() {
    let (event, counter) = (Event::new(handle(Spec::Event)), counter());
    let error = wait_any(&[&event, &counter], Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), SharedErrorKind::WrongKind);
    assert!(error.to_string().starts_with("value `it`"), "{error}");
    assert_eq!(wait_any(&[], None).unwrap_err().kind(), SharedErrorKind::Invalid);
    let many: Vec<&dyn Shareable> = vec![&event; OBJECTS_MAX + 1];
    assert_eq!(wait_any(&many, None).unwrap_err().kind(), SharedErrorKind::Invalid);
}

#[test]
fn handles_go_to_other_threads_and_guards_do_not() {
    fn is_everywhere<T: Send + Sync + Clone>() {}
    struct Local(std::marker::PhantomData<*const ()>);
    is_everywhere::<Value<i32>>();
    is_everywhere::<Array<bool>>();
    is_everywhere::<Queue<Local>>();
    is_everywhere::<PipeEnd<Local>>();
    is_everywhere::<Dict<Local, Local>>();
    is_everywhere::<Namespace>();
    // Of two ways to answer there is one too many for a type that is `Send`, and it is not compiled.
    trait Ambiguous<A> {
        fn answer() {}
    }
    impl<T> Ambiguous<()> for T {}
    impl<T: Send> Ambiguous<u8> for T {}
    <LockGuard<'_> as Ambiguous<_>>::answer();
    <ConditionGuard<'_> as Ambiguous<_>>::answer();
    <Permit<'_> as Ambiguous<_>>::answer();
    let _ = Local(std::marker::PhantomData);
}

#[test]
fn a_handle_travels_as_a_map_with_its_name() {
    let json = serde_json::to_value((counter(), 1)).expect("JSON");
    assert_eq!(json, serde_json::json!([{"wasmpool:shared": "it"}, 1]));
}

#[test]
fn names_and_sizes_are_checked_before_memory_is_asked_for() {
    let registry = Registry::new();
    let _lock = registry.create("taken", Spec::Lock).expect("it can be made");
    let big = |items| Spec::Queue(QueueOptions::new(items).shape(false));
    for (name, spec, expected) in [
        ("a b", Spec::Event, "`a b` cannot be the name of a shared event: use 1 to"),
        ("", Spec::Event, "`` cannot be the name of a shared event: use 1 to"),
        ("taken", Spec::Event, "the pool has a shared lock named `taken` already: choose another name"),
        ("q", big(0), "shared queue `q` cannot have 0 items: choose between 1 and 16777216"),
        ("q", big(1 << 40), "shared queue `q` cannot have 4294967295 items: choose between 1 and 16777216"),
    ] {
        let error = registry.create(name, spec).expect_err("it cannot be made");
        assert_eq!(error.kind(), ErrorKind::Setting);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn a_name_is_free_again_when_its_object_is_gone() {
    let registry = Registry::new();
    let first = registry.create("it", Spec::Lock).expect("it can be made");
    let handle = Lock::new(Handle::new(Arc::clone(&first)));
    drop(first);
    assert!(registry.create("it", Spec::Lock).is_err(), "a handle is enough to keep it");
    drop(handle);
    assert!(registry.create("it", Spec::Event).is_ok());
}

#[test]
fn the_ends_of_a_pipe_have_names_of_their_own() {
    let registry = Registry::new();
    let shape = PipeOptions::new().shape(true);
    let _taken = registry.create("q.1", Spec::Lock).expect("it can be made");
    assert!(registry.create_pipe("q", shape).is_err(), "one of its names is taken");
    let ends = registry.create_pipe("p", shape).expect("it can be made");
    assert_eq!(ends.each_ref().map(|end| end.name.as_str()), ["p.0", "p.1"]);
    assert!(registry.create("p.0", Spec::Lock).is_err());
    assert!(registry.create("p", Spec::Lock).is_ok());
    assert!(registry.create_pipe("q", shape).is_err());
}

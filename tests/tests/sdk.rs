//! Tasks written with the SDK: any values in and out, and the same answers by whichever way they are called.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasmpool::{Module, Pool};
use wasmpool_tests::{builder, failure, tasks, tasks_bytes, tasks_in, ways_to_keep_instances};

wasmpool::test_support!();

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nested(Vec<Nested>);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Circle { center: Point, radius: f64 },
    Rectangle(Point, Point),
    Polygon(Vec<Point>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct BoundingBox {
    // Not in the guest's order: fields travel by name.
    greatest: Point,
    least: Point,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    express: bool,
    cents_each: u64,
    count: u32,
    article: String,
    customer: String,
    id: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    order: u64,
    cents: u64,
    text: String,
}

/// Runs a task over these inputs in all ways, and compares with what it should return.
fn check<A, R>(name: &str, pairs: &[(A, R)])
where
    A: Serialize + Clone,
    R: DeserializeOwned + Send + 'static + PartialEq + Debug + Clone,
{
    let (inputs, wanted): (Vec<A>, Vec<R>) = pairs.iter().cloned().unzip();
    for (way, of) in ways_to_keep_instances() {
        let fixture = tasks_in(of(builder(2)));
        let task = fixture.module.task::<A, R>(name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(task.map(inputs.clone()).expect("results"), wanted, "{way} {name}");
        let many = task.map(inputs.iter().cycle().take(300).cloned()).expect("results");
        assert!(many.iter().eq(wanted.iter().cycle().take(300)), "{way} {name}: many");
        for (input, wanted) in pairs {
            assert_eq!(task.apply(input.clone()).expect("a result"), *wanted, "{way} {name}: apply");
        }
    }
}

fn same<T: Clone>(values: &[T]) -> Vec<(T, T)> {
    values.iter().map(|value| (value.clone(), value.clone())).collect()
}

#[test]
fn values_come_back_as_they_went() {
    let texts = ["", "a", "größe 世界 🦀", "\0\n\"\\\u{1b}[31m", &"long ".repeat(5000)].map(str::to_owned);
    check("echo_text", &same(&texts));
    check("echo_bytes", &same(&[vec![], vec![0u8, 255, 128], vec![7; 20_000]]));
    check("echo_numbers", &same(&[vec![], vec![i64::MIN, -1, 0, 1, i64::MAX], vec![5; 3000]]));
    check("echo_floats", &same(&[vec![], vec![0.1, -0.0, f64::INFINITY, f64::MIN_POSITIVE / 2.0]]));
    let nested = |depth| (1..depth).fold(Nested(vec![]), |inside, _| Nested(vec![Nested(vec![]), inside]));
    check("echo_nested", &same(&[nested(1), nested(2), nested(60)]));
}

#[test]
fn structures_and_enums_travel_by_name() {
    let at = |x, y| Point { x, y };
    let circle = Shape::Circle { center: at(0.0, 0.0), radius: 2.0 };
    let rectangle = Shape::Rectangle(at(5.0, 1.0), at(4.0, 3.0));
    let polygon = Shape::Polygon(vec![at(0.0, -7.0), at(1.0, 1.0)]);
    let bounds = BoundingBox { least: at(-2.0, -7.0), greatest: at(5.0, 3.0) };
    check(
        "bounding_box",
        &[(vec![circle.clone(), rectangle, polygon], Some(bounds)), (vec![Shape::Polygon(vec![])], None)],
    );
    let moved = Shape::Circle { center: at(1.0, -1.0), radius: 2.0 };
    check("moved", &[((circle, at(1.0, -1.0)), moved)]);
    let order = Order {
        express: true,
        cents_each: 5,
        count: 20,
        article: "screws".to_owned(),
        customer: "Ada".to_owned(),
        id: u64::MAX,
    };
    check("bill", &[(order, Receipt { order: u64::MAX, cents: 100, text: "20 x screws".to_owned() })]);
}

#[test]
fn texts_maps_options_and_lists_are_results() {
    check("greet", &[("Ada", "Hello, Ada!".to_owned()), ("", "Hello, !".to_owned())]);
    let counts = BTreeMap::from([("the".to_owned(), 2u32), ("cat".to_owned(), 1)]);
    check("word-count", &[("The cat the", counts), ("", BTreeMap::new())]);
    check("first_word", &[(" a b", Some("a".to_owned())), (" ", None)]);
    check("mean", &[(vec![1.0, 2.0], 1.5)]);
    check("big_numbers", &[((), (u64::MAX, i128::MIN))]);
    check("worker", &[(1i64, ()), (2, ())]);
    let fixture = tasks(1);
    let special =
        fixture.module.task::<(), Vec<f64>>("special_floats").expect("a task").apply(()).expect("floats");
    assert!(special[0].is_nan() && special[1..] == [f64::INFINITY, f64::NEG_INFINITY, 0.1]);
    assert!(
        fixture.module.task::<(), f64>("not_a_number").expect("a task").apply(()).expect("a float").is_nan()
    );
}

#[test]
fn large_values_pass_one_by_one_and_many_at_once() {
    let fixture = tasks(2);
    let echo = fixture.module.task::<String, String>("echo_text").expect("a task");
    let large = |bytes: usize, letter: &str| letter.repeat(bytes);
    let (one, result) = (large(60 << 20, "a"), echo.apply(large(60 << 20, "a")).expect("a result"));
    assert!(result == one, "60 MiB changed on their way");
    let texts: Vec<String> = (0..40)
        .map(|n| large((n % 5) << 20, char::from(b'a' + n as u8 % 26).encode_utf8(&mut [0; 4])))
        .collect();
    assert!(echo.map(texts.clone()).expect("results") == texts, "80 MiB changed on their way");
    let big = fixture.module.task::<u64, String>("big_result").expect("a task");
    let lengths: Vec<usize> = big.map(vec![10 << 20; 20]).expect("results").iter().map(String::len).collect();
    assert_eq!(lengths, [10 << 20; 20]);
    let small: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    assert!(echo.map(small.clone()).expect("results") == small);
}

#[test]
fn results_are_as_deep_as_they_may_be() {
    let fixture = tasks(1);
    let deep = fixture.module.task::<u32, Nested>("deep_result").expect("a task");
    let depth = |nested: &Nested| {
        let mut levels = 1;
        let mut inside = nested;
        while let Some(next) = inside.0.first() {
            (inside, levels) = (next, levels + 1);
        }
        levels
    };
    assert_eq!(depth(&deep.apply(100).expect("a result")), 100);
    failure(deep.apply(500));
}

/// The same module with all its tasks entered by the pull loop: nobody finds its section and its exports of numbers.
fn pulled(pool: &Pool) -> Module {
    let mut bytes = tasks_bytes();
    for (name, other) in [("wasmpool.tasks", "wasmpool.taskx"), ("wasmpool:numeric:", "wasmpool:numerix:")] {
        let (name, other) = (name.as_bytes(), other.as_bytes());
        let places: Vec<usize> =
            (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
        assert!(!places.is_empty(), "the module has changed, and so should this test");
        places.into_iter().for_each(|at| bytes[at..at + other.len()].copy_from_slice(other));
    }
    pool.load_bytes("pulled", &bytes).expect("a module whose section was stripped")
}

/// Compares what a task returns or fails with when it is called in both ways.
fn compare<A: Serialize + Clone, R>(numbers: &Module, pulled: &Module, name: &str, inputs: &[A])
where
    R: DeserializeOwned + Send + 'static + PartialEq + Debug,
{
    let of = |module: &Module| {
        let task = module.task::<A, R>(name).unwrap_or_else(|error| panic!("{error}"));
        let outcomes = task.map_outcomes(inputs.to_vec()).expect("outcomes");
        let told = |outcome: wasmpool::Outcome<R>| {
            outcome.map_err(|failed| (failed.index(), failed.kind(), failed.message().to_owned()))
        };
        outcomes.into_iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(of(numbers), of(pulled), "{name}");
}

#[test]
fn a_task_gives_the_same_answer_by_the_batch_driver_and_by_the_pull_loop() {
    for (_, of) in ways_to_keep_instances() {
        let fixture = tasks_in(of(builder(2)));
        let pulled = pulled(&fixture.pool);
        let ours = &fixture.module;
        let integers = [0i64, 1, -1, 7, 1 << 20, -(1 << 20)];
        compare::<_, i64>(ours, &pulled, "cube", &integers);
        compare::<_, i64>(ours, &pulled, "square", &integers);
        compare::<_, i64>(ours, &pulled, "spin_for_iterations", &integers[..4]);
        compare::<_, i64>(ours, &pulled, "count_primes", &integers[..4]);
        compare::<_, i64>(ours, &pulled, "add", &[(1i64, 2i64), (i64::MAX - 1, 1), (-5, 5)]);
        compare::<_, f64>(ours, &pulled, "power", &[(2.0f64, 10i32), (0.5, -3), (-1.5, 3)]);
        let pairs: Vec<(i64, i64)> = (0..600).map(|n| (n, n % 50)).collect();
        compare::<_, i64>(ours, &pulled, "divides", &pairs);
        compare::<_, i64>(ours, &pulled, "panics_on", &pairs);
        compare::<_, i64>(ours, &pulled, "traps_on", &pairs);
        let cube = pulled.task::<i64, i64>("cube").expect("a task");
        assert!(cube.map(-500..500).expect("results").into_iter().eq((-500..500i64).map(|n| n.pow(3))));
    }
}

#[test]
fn instances_are_kept_renewed_or_recycled_as_asked_for() {
    let fixture = tasks(1);
    let pulled = pulled(&fixture.pool);
    for (name, module) in [("numbers", &fixture.module), ("pulled", &pulled)] {
        let counts = module.task::<(), u64>("counts_calls").expect("a task");
        assert_eq!(counts.map([(); 5]).expect("counts"), [1, 2, 3, 4, 5], "{name}");
        assert_eq!(counts.clone().fresh(true).map([(); 5]).expect("counts"), [1; 5], "{name}");
        assert_eq!(counts.clone().fresh(true).apply(()).expect("a count"), 1, "{name}");
    }
    for recycle in [1, 2, 4] {
        let fixture = tasks_in(builder(1).recycle(recycle));
        for module in [&fixture.module, &self::pulled(&fixture.pool)] {
            let counts = module.task::<(), u64>("counts_calls").expect("a task");
            let wanted: Vec<u64> = (0..10).map(|call| call % u64::from(recycle) + 1).collect();
            assert_eq!(counts.map([(); 10]).expect("counts"), wanted, "recycled after {recycle}");
        }
    }
}

#[test]
fn a_kept_instance_remembers_and_a_fresh_one_does_not() {
    let fixture = tasks(1);
    let remembers = fixture.module.task::<i64, i64>("remembers").expect("a task");
    assert_eq!(remembers.map(1..5).expect("values"), [0, 1, 2, 3]);
    assert_eq!(remembers.apply(9).expect("a value"), 4);
    assert_eq!(remembers.fresh(true).map(1..5).expect("values"), [0; 4]);
}

#[test]
fn instances_see_the_time_and_different_random_numbers() {
    let fixture = tasks(2);
    let random = fixture.module.task::<(), u64>("random").expect("a task").fresh(true);
    let mut numbers = random.map([(); 50]).expect("numbers");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 50);
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    let before = now();
    let seen = fixture.module.task::<(), u64>("now").expect("a task").apply(()).expect("a time");
    assert!((before..=now()).contains(&u128::from(seen)));
}

//! Several at once on one object: nothing is lost, nobody is there twice, and everyone who waits goes on.
//!
//! A race is a function of the company that runs it: threads of this process, or threads and processes in turn. What
//! one player does stands in [`PARTS`], by name, so that another process can be told it.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::super::*;
use super::any::{Any, Given};
use super::player::{Company, Player, Task};
use super::stage::Stage;
use super::{deaths, scribbler};

/// A time in which everything here is long over.
const LONG: Duration = Duration::from_secs(100);

/// Players of most races.
const PLAYERS: usize = 4;

/// What one player does, given which numbers; the answer is what it saw.
type Part = fn(&Stage, &mut Given<'_>) -> Json;

/// All parts.
const PARTS: [(&str, Part); 22] = [
    ("count", count),
    ("add to elements", add_to_elements),
    ("change under a lock", change_under_a_lock),
    ("crowd", crowd),
    ("take turns", take_turns),
    ("pass the flag", pass_the_flag),
    ("meet", meet),
    ("put", put),
    ("take all", take_all),
    ("work off", work_off),
    ("put and join", put_and_join),
    ("ping", ping),
    ("pong", pong),
    ("append", append),
    ("update records", update_records),
    ("set attributes", set_attributes),
    ("insert in front", insert_in_front),
    ("work to death", deaths::work_to_death),
    ("work", scribbler::work),
    ("count in time", scribbler::count_in_time),
    ("try to write", scribbler::try_to_write),
    ("scribble", scribbler::scribble),
];

/// The part of this name.
pub(super) fn part(name: &str) -> Part {
    PARTS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("there is no part {name}")).1
}

/// Has all parts played at once, and answers what they came to, in their order.
fn play(players: &mut [Box<dyn Player>], parts: &[Task]) -> Vec<Json> {
    assert_eq!(players.len(), parts.len());
    players.iter_mut().zip(parts).for_each(|(player, part)| player.begin(part.clone()));
    let ends = players.iter_mut().zip(parts);
    ends.map(|(player, part)| player.end().unwrap_or_else(|failure| panic!("{failure} in {part:?}")))
        .collect()
}

/// The same part for all, which is also told its number among them.
fn play_alike(players: &mut [Box<dyn Player>], part: &str, given: &[Json]) -> Vec<Json> {
    let numbered = |number: usize| {
        let mut given = given.to_vec();
        given.insert(0, json!(number));
        Task::part(part, &given)
    };
    let parts: Vec<Task> = (0..players.len()).map(numbered).collect();
    play(players, &parts)
}

/// Handles by name and kind.
macro_rules! handles {
    ($($name:ident: $kind:ident => $handle:ty),+ $(,)?) => {$(
        fn $name(stage: &Stage, name: &str) -> $handle {
            match stage.any(name) {
                Any::$kind(handle) => handle,
                _ => panic!("{name} is something else"),
            }
        }
    )+};
}
handles! {
    value: Value => Value<i64>,
    array: Array => Array<f64>,
    semaphore: Semaphore => Semaphore,
    condition: Condition => Condition,
    event: Event => Event,
    barrier: Barrier => Barrier,
    queue: Queue => Queue<Json>,
    joinable: JoinableQueue => JoinableQueue<Json>,
    pipe: Pipe => PipeEnd<Json>,
    list: List => List<Json>,
    dict: Dict => Dict<Json, Json>,
    namespace: Namespace => Namespace,
}

/// Makes tests of races: one in threads, and one between processes.
macro_rules! races {
    ($($race:ident),+ $(,)?) => {
        mod in_threads {
            $(#[test] fn $race() { super::$race(super::Company::Threads); })+
        }
        mod between_processes {
            $(#[test] fn $race() { super::$race(super::Company::Processes); })+
        }
    };
}
races! {
    no_count_is_lost,
    no_sum_in_an_array_is_lost,
    what_a_lock_protects_is_changed_by_one_at_a_time,
    no_more_hold_permits_than_there_are,
    notified_parties_take_turns,
    an_event_wakes_who_waits_each_time,
    each_party_of_a_meeting_has_a_number_of_its_own,
    every_item_is_taken_once_and_in_the_order_of_its_producer,
    joining_waits_for_the_last_item_to_be_done,
    messages_go_back_and_forth,
    no_record_is_lost,
    no_change_to_a_record_is_lost,
    attributes_do_not_get_mixed_up,
}

fn no_count_is_lost(company: Company) {
    let stage = Stage::with(["counter = value 0"]);
    play_alike(&mut company.players(&stage, PLAYERS), "count", &[json!(2000)]);
    assert_eq!(value(&stage, "counter").get(), Ok(2 * 2000 * PLAYERS as i64));
}

fn count(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (_, rounds, counter) = (given.size(), given.size(), value(stage, "counter"));
    for _ in 0..rounds {
        counter.fetch_add(1).unwrap();
        counter.update(|number| number + 1).unwrap();
    }
    Json::Null
}

fn no_sum_in_an_array_is_lost(company: Company) {
    let stage = Stage::with(["sums = array [0, 0, 0]"]);
    play_alike(&mut company.players(&stage, PLAYERS), "add to elements", &[json!(1000)]);
    assert_eq!(array(&stage, "sums").to_vec(), Ok(vec![2000.0, 4000.0, 6000.0]));
}

fn add_to_elements(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (_, rounds, sums) = (given.size(), given.size(), array(stage, "sums"));
    for round in 0..rounds * 3 {
        sums.fetch_add(round % 3, (round % 3 + 1) as f64 / 2.0).unwrap();
    }
    Json::Null
}

fn what_a_lock_protects_is_changed_by_one_at_a_time(company: Company) {
    for lock in ["l = lock", "l = rlock", "l = condition", "l = value 0"] {
        let stage = Stage::with([lock, "counter = value 0"]);
        play_alike(&mut company.players(&stage, PLAYERS), "change under a lock", &[json!(500)]);
        assert_eq!(value(&stage, "counter").get(), Ok(500 * PLAYERS as i64), "{lock}");
    }
}

fn change_under_a_lock(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (_, rounds, counter) = (given.size(), given.size(), value(stage, "counter"));
    for _ in 0..rounds {
        assert_eq!(stage.perform("l", "lock", &[]), Ok(json!({ "owner_died": false })));
        // Two steps: whoever comes between them is seen in the sum.
        let number = counter.get().unwrap();
        counter.set(number + 1).unwrap();
        stage.perform("l", "release", &[]).unwrap();
    }
    Json::Null
}

fn no_more_hold_permits_than_there_are(company: Company) {
    let stage = Stage::with(["permits = semaphore 2", "inside = value 0"]);
    let crowds = play_alike(&mut company.players(&stage, PLAYERS), "crowd", &[json!(300)]);
    assert!(crowds.iter().all(|most| *most == json!(1) || *most == json!(2)), "{crowds:?}");
    assert_eq!(semaphore(&stage, "permits").available(), Ok(2));
    assert_eq!(value(&stage, "inside").get(), Ok(0));
}

fn crowd(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (_, rounds, permits) = (given.size(), given.size(), semaphore(stage, "permits"));
    let (inside, mut most) = (value(stage, "inside"), 0);
    for _ in 0..rounds {
        let permit = permits.acquire_for(LONG).unwrap().expect("a permit in time");
        most = most.max(inside.fetch_add(1).unwrap() + 1);
        inside.fetch_sub(1).unwrap();
        drop(permit);
    }
    json!(most)
}

fn notified_parties_take_turns(company: Company) {
    let stage = Stage::with(["turn = condition", "number = value 0"]);
    play_alike(&mut company.players(&stage, 3), "take turns", &[json!(3), json!(100)]);
    assert_eq!(value(&stage, "number").get(), Ok(300));
}

fn take_turns(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (mine, players, rounds) = (given.integer(), given.integer(), given.integer());
    let (turn, number) = (condition(stage, "turn"), value(stage, "number"));
    for _ in 0..rounds {
        let guard = turn.lock().unwrap();
        assert!(guard.wait_until(|| Ok(number.get()? % players == mine), Some(LONG)).unwrap());
        number.set(number.get().unwrap() + 1).unwrap();
        guard.notify_all().unwrap();
    }
    Json::Null
}

fn an_event_wakes_who_waits_each_time(company: Company) {
    let stage = Stage::with(["0 = event", "1 = event"]);
    event(&stage, "0").set().unwrap();
    play_alike(&mut company.players(&stage, 2), "pass the flag", &[json!(300)]);
    assert_eq!(event(&stage, "0").is_set(), Ok(true));
    assert_eq!(event(&stage, "1").is_set(), Ok(false));
}

fn pass_the_flag(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (number, rounds) = (given.size(), given.size());
    let [mine, other] = [number, 1 - number].map(|number| event(stage, &number.to_string()));
    for _ in 0..rounds {
        assert_eq!(mine.wait_for(LONG), Ok(true));
        mine.clear().unwrap();
        other.set().unwrap();
    }
    Json::Null
}

fn each_party_of_a_meeting_has_a_number_of_its_own(company: Company) {
    let stage = Stage::with(["b = barrier 4"]);
    let met = play_alike(&mut company.players(&stage, 4), "meet", &[json!(100)]);
    for round in 0..100 {
        let mut numbers: Vec<u64> = met.iter().map(|met| met[round].as_u64().expect("a number")).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3], "round {round}");
    }
}

fn meet(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (_, rounds, barrier) = (given.size(), given.size(), barrier(stage, "b"));
    (0..rounds).map(|_| barrier.wait_for(LONG).unwrap()).collect()
}

fn every_item_is_taken_once_and_in_the_order_of_its_producer(company: Company) {
    const ITEMS: u64 = 300;
    let stage = Stage::with(["q = queue 8"]);
    // Of producers and of consumers, one is of this process and one of another, where there is another.
    let mut consumers = company.players(&stage, 2);
    let mut producers = company.players(&stage, 2);
    consumers.iter_mut().for_each(|consumer| consumer.begin(Task::part("take all", &[])));
    play_alike(&mut producers, "put", &[json!(ITEMS)]);
    queue(&stage, "q").close().unwrap();
    let taken: Vec<Vec<(u64, u64)>> = consumers
        .iter_mut()
        .map(|consumer| serde_json::from_value(consumer.end().expect("items")).expect("pairs"))
        .collect();
    for (consumer, producer) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let items = taken[consumer].iter().filter(|item| item.0 == producer).map(|item| item.1);
        assert!(items.is_sorted(), "in order");
    }
    let mut all = taken.concat();
    all.sort_unstable();
    let expected = (0..2).flat_map(|producer| (0..ITEMS).map(move |item| (producer, item)));
    assert_eq!(all, expected.collect::<Vec<_>>());
}

fn put(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (number, items, queue) = (given.size(), given.size(), queue(stage, "q"));
    (0..items).for_each(|item| assert_eq!(queue.put_for(&json!([number, item]), LONG), Ok(true)));
    Json::Null
}

fn take_all(stage: &Stage, _: &mut Given<'_>) -> Json {
    queue(stage, "q").iter().collect::<Result<_, _>>().unwrap()
}

fn joining_waits_for_the_last_item_to_be_done(company: Company) {
    let stage = Stage::with(["q = joinable_queue 4"]);
    let mut players = company.players(&stage, 3);
    let parts =
        [Task::part("put and join", &[json!(100)]), Task::part("work off", &[]), Task::part("work off", &[])];
    let [_, first, second] = &play(&mut players, &parts)[..] else { panic!("three came to something") };
    assert_eq!(first.as_u64().unwrap() + second.as_u64().unwrap(), (0..100).sum::<u64>());
    assert_eq!(joinable(&stage, "q").unfinished(), Ok(0));
}

fn put_and_join(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (items, queue) = (given.size(), joinable(stage, "q"));
    for item in 0..items {
        assert_eq!(queue.put_for(&json!(item), LONG), Ok(true));
    }
    assert_eq!(queue.join_for(LONG), Ok(true));
    assert_eq!(queue.unfinished(), Ok(0));
    queue.close().unwrap();
    Json::Null
}

fn work_off(stage: &Stage, _: &mut Given<'_>) -> Json {
    let (queue, mut sum) = (joinable(stage, "q"), 0);
    for item in &queue {
        sum += item.unwrap().as_u64().unwrap();
        assert!(queue.unfinished().unwrap() > 0);
        queue.task_done().unwrap();
    }
    json!(sum)
}

fn messages_go_back_and_forth(company: Company) {
    let stage = Stage::with(["p = pipe"]);
    let parts = [Task::part("ping", &[json!(300)]), Task::part("pong", &[json!(300)])];
    play(&mut company.players(&stage, 2), &parts);
    assert_eq!(pipe(&stage, "p.0").poll(Some(Duration::ZERO)), Ok(false));
}

fn ping(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (rounds, end) = (given.size(), pipe(stage, "p.0"));
    for round in 0..rounds {
        end.send(&json!({ "ping": round })).unwrap();
        assert_eq!(end.recv_for(LONG), Ok(Some(json!({ "pong": round }))));
    }
    Json::Null
}

fn pong(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (rounds, end) = (given.size(), pipe(stage, "p.1"));
    for _ in 0..rounds {
        let message = end.recv_for(LONG).unwrap().expect("a message in time");
        end.send(&json!({ "pong": message["ping"] })).unwrap();
    }
    Json::Null
}

fn no_record_is_lost(company: Company) {
    const RECORDS: usize = 200;
    let stage = Stage::with([format!("log = list {}", PLAYERS * RECORDS).as_str()]);
    play_alike(&mut company.players(&stage, PLAYERS), "append", &[json!(RECORDS)]);
    let log = list(&stage, "log").to_vec().unwrap();
    assert_eq!(log.len(), PLAYERS * RECORDS);
    for player in 0..PLAYERS {
        let own = log.iter().filter(|record| record[0] == json!(player)).map(|record| &record[1]);
        assert!(own.eq((0..RECORDS).map(|index| json!(index)).collect::<Vec<_>>().iter()), "of {player}");
    }
}

fn append(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (number, records, log) = (given.size(), given.size(), list(stage, "log"));
    for index in 0..records {
        let at = log.push(&json!([number, index])).unwrap();
        // Nobody takes anything away: what was added stays where it is.
        assert_eq!(log.get(at as i64), Ok(json!([number, index])));
    }
    Json::Null
}

fn no_change_to_a_record_is_lost(company: Company) {
    let stage = Stage::with(["l = list", "d = dict"]);
    list(&stage, "l").push(&json!(0)).unwrap();
    play_alike(&mut company.players(&stage, PLAYERS), "update records", &[json!(200)]);
    assert_eq!(list(&stage, "l").get(0), Ok(json!(200 * PLAYERS)));
    let dict = dict(&stage, "d");
    assert_eq!(dict.get(&json!("count")), Ok(Some(json!(200 * PLAYERS))));
    assert_eq!(dict.len(), Ok(1 + PLAYERS));
}

fn update_records(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (number, rounds) = (given.size(), given.size());
    let (list, dict, own) = (list(stage, "l"), dict(stage, "d"), json!(["own", number]));
    let more = |count: Json| json!(count.as_u64().unwrap() + 1);
    for round in 0..rounds {
        list.update(0, more).unwrap();
        dict.update_entry(&json!("count"), |count| count.map_or(json!(1), more)).unwrap();
        // Keys come and go around the one that all change.
        dict.insert(&own, &json!(round)).unwrap();
        assert_eq!(dict.pop(&own), Ok(Some(json!(round))));
    }
    dict.insert(&own, &Json::Null).unwrap();
    Json::Null
}

fn attributes_do_not_get_mixed_up(company: Company) {
    let stage = Stage::with(["n = namespace"]);
    play_alike(&mut company.players(&stage, PLAYERS), "set attributes", &[json!(200)]);
    assert_eq!(namespace(&stage, "n").len(), Ok(PLAYERS));
}

fn set_attributes(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (number, rounds, all) = (given.size(), given.size(), namespace(stage, "n"));
    let own = format!("of_{number}");
    for round in 0..rounds {
        all.set(&own, &json!([number, round])).unwrap();
        assert_eq!(all.get(&own), Ok(json!([number, round])));
        let others = format!("of_{}", (number + 1) % PLAYERS);
        match all.get::<Json>(&others) {
            Ok(found) => assert_eq!(found[0], json!((number + 1) % PLAYERS)),
            Err(error) => assert_eq!(error.kind(), SharedErrorKind::Missing),
        }
    }
    Json::Null
}

fn insert_in_front(stage: &Stage, given: &mut Given<'_>) -> Json {
    let (records, log) = (given.size(), list(stage, "l"));
    (0..records).for_each(|record| log.insert(0, &json!(record)).unwrap());
    Json::Null
}

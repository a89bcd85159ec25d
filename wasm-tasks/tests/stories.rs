//! Tasks that are tested natively find what they will find in a pool: a `TestPool` is held to the stories to which the
//! host's own handles are.
#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use serde_json::{Value as Json, json};
use wasm_tasks::shared::script::shared_ops;
use wasmpool_guest::shared::testing::TestPool;

const STORIES: &str = include_str!("../../host/src/pool/objects/tests/expectations.txt");

/// The stories that a `TestPool` does not tell: its pipes lead both ways, and its lists and dictionaries have room.
const NOT_TOLD: [&str; 3] = ["= one_way_pipe", "= list 2", "= dict 2"];

/// Steps of a script, and what each answers.
struct Table {
    pool: TestPool,
    kinds: Vec<(String, String)>,
    steps: Vec<Vec<Json>>,
    answers: Vec<(String, Result<Json, String>)>,
}

#[test]
fn a_test_pool_tells_the_same_stories_as_a_pool() {
    let is_told = |story: &&str| !NOT_TOLD.iter().any(|omitted| story.contains(omitted));
    let mut told = 0;
    for story in STORIES.split("\n\n").filter(is_told) {
        let lines = story.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut table =
            Table { pool: TestPool::new(), kinds: Vec::new(), steps: Vec::new(), answers: Vec::new() };
        lines.for_each(|line| table.read(line));
        told += usize::from(!table.steps.is_empty());
        table.check();
    }
    assert!(told > 30, "{told} stories");
}

impl Table {
    fn read(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').unwrap();
        if let Some(made) = rest.strip_prefix("= ") {
            let (kind, given) = made.split_once(' ').unwrap_or((made, ""));
            return self.make(name, kind, &arguments(given));
        }
        let at = rest.find(" -> ").or_else(|| rest.find(" ! ")).unwrap();
        let (performed, expected) = rest.split_at(at);
        let expected = match expected.strip_prefix(" -> ") {
            Some(answer) => Ok(serde_json::from_str(answer).unwrap()),
            None => Err(expected.trim_start_matches(" ! ").to_owned()),
        };
        let (operation, given) = performed.split_once(' ').unwrap_or((performed, ""));
        let kind = self.kinds.iter().find(|(made, _)| made == name).unwrap().1.clone();
        let (operation, given, expected) = translate(&kind, operation, arguments(given), expected);
        let step = [json!(kind), json!(name), json!(operation)].into_iter().chain(given).collect();
        self.steps.push(step);
        self.answers.push((line.to_owned(), expected));
    }

    fn make(&mut self, name: &str, kind: &str, given: &[Json]) {
        let size = || given[0].as_u64().unwrap();
        let pool = std::mem::take(&mut self.pool);
        let mut script_kind = kind;
        self.pool = match kind {
            "value" => {
                script_kind = "value:i64";
                pool.value(name, given[0].as_i64().unwrap())
            }
            "array" => {
                script_kind = "array:f64";
                let elements: Vec<f64> = serde_json::from_value(given[0].clone()).unwrap();
                pool.array(name, &elements)
            }
            "lock" => pool.lock(name),
            "rlock" => pool.rlock(name),
            "semaphore" => pool.semaphore(name, size() as u32),
            "bounded_semaphore" => pool.bounded_semaphore(name, size() as u32),
            "condition" => pool.condition(name),
            "event" => pool.event(name),
            "barrier" => pool.barrier(name, size() as u32),
            "queue" => pool.queue(name, size() as usize),
            "joinable_queue" => pool.joinable_queue(name, size() as usize),
            "list" => pool.list(name),
            "dict" => pool.dict(name),
            "namespace" => pool.namespace(name),
            "pipe" => {
                let ends = [0, 1].map(|end| format!("{name}.{end}"));
                self.kinds.extend(ends.clone().map(|end| (end, kind.to_owned())));
                pool.pipe(&ends[0], &ends[1])
            }
            other => panic!("there is no kind {other}"),
        };
        self.kinds.push((name.to_owned(), script_kind.to_owned()));
    }

    /// Does all steps in one call.
    fn check(&self) {
        let answers = self.pool.run(|| shared_ops(self.steps.clone()));
        let mut wrong = String::new();
        for ((line, expected), answer) in self.answers.iter().zip(answers) {
            let answer = serde_json::to_value(answer).unwrap();
            let came_to = match answer.get("err") {
                Some(kind) => Err(kind.as_str().unwrap().to_owned()),
                None => Ok(answer["ok"].clone()),
            };
            if came_to != *expected {
                wrong += &format!("{line}\n  came to {answer}\n");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

fn arguments(text: &str) -> Vec<Json> {
    serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().unwrap()
}

/// An operation of the stories in the words of a script, where they differ.
fn translate(
    kind: &str,
    operation: &str,
    given: Vec<Json>,
    expected: Result<Json, String>,
) -> (String, Vec<Json>, Result<Json, String>) {
    let number = expected.as_ref().ok().and_then(Json::as_i64).unwrap_or(0);
    let (operation, given) = match (kind, operation) {
        // A script says what the new number is, and the answer is the one before.
        ("value:i64", "update_double") => ("update", vec![json!(number * 2)]),
        // It says by how much, and the answer is the new number.
        ("list", "update_double") => ("update", vec![given[0].clone(), json!(number / 2)]),
        ("dict", "update_count") => ("update_entry", vec![given[0].clone(), json!(1)]),
        (_, operation) => (operation.strip_suffix("_kept").unwrap_or(operation), given),
    };
    let expected = expected.map(|answer| match operation {
        "compare_exchange" => match (answer.get("Ok"), answer.get("Err")) {
            (Some(before), _) => json!({ "before": before }),
            (_, found) => json!({ "found": found }),
        },
        _ => answer,
    });
    (operation.to_owned(), given, expected)
}

//! The snapshots that tests/c/snapshots.c takes, held to docs/snapshot.schema.json.

use crate::json::Json;
use crate::suites;
use crate::support::root;

macro_rules! snapshots {
    ($($case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                check(&suites::run("snapshots", stringify!($case)));
            }
        )+

        #[test]
        fn all_cases_are_run() {
            suites::compare("snapshots", &[$(stringify!($case)),+]);
        }
    };
}

snapshots!(
    threads_at_work,
    tasks_that_run_tasks,
    many_are_counted,
    taken_ahead_are_named,
    tasks_of_tasks_are_named,
    looks_lose_nothing,
    closing_pools_name_what_they_have,
    detached_and_broken,
    processes_at_work,
    attempts_in_processes,
    loops_with_work,
    loops_name_what_they_run,
    views_with_work,
    commands_of_threads_and_processes,
    length_is_told,
    snapshots_while_threads_run,
    snapshots_while_processes_run,
    statistics_of_threads,
    stolen_tasks_are_counted,
    statistics_of_processes,
);

fn check(said: &str) {
    let schema = std::fs::read_to_string(root().join("docs/snapshot.schema.json")).expect("read");
    let schema = Json::parse(&schema).expect("JSON");
    let mut last = Json::Null;
    for line in said.lines() {
        if line.starts_with('{') {
            last = Json::parse(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            fits(&last, &schema, "snapshot");
            is_whole(&last);
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["expect", key, value] => {
                let value: f64 = value.parse().expect("a number");
                assert_eq!(last.get(key).number(), value, "{line}");
            }
            ["worker", state, count] => {
                let is = |worker: &&Json| worker.get("state").text() == state;
                let found = last.get("workers").list().iter().filter(is).count();
                let count: usize = count.parse().expect("a number");
                assert_eq!(found, count, "{line}: {last:?}");
            }
            ["task", .., state, worker, attempt] => {
                let name = words[1..words.len() - 3].join(" ");
                let found = last
                    .get("tasks")
                    .list()
                    .iter()
                    .any(|task| is_task(task, &name, state, worker, attempt));
                assert!(found, "{line}: {last:?}");
            }
            _ => panic!("{line}"),
        }
    }
}

/// "-" as a name: it has none; as a worker: any or none; "+": one.
fn is_task(task: &Json, name: &str, state: &str, worker: &str, attempt: &str) -> bool {
    let number = |json: &Json| match json {
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let named = match task.get("name") {
        Json::Text(text) => text == name,
        _ => name == "-",
    };
    let at = number(task.get("worker"));
    let there = match worker {
        "-" => true,
        "+" => at.is_some(),
        worker => at.as_deref() == Some(worker),
    };
    named
        && there
        && task.get("state").text() == state
        && (task.get("run_ns") == &Json::Null || state == "running")
        && number(task.get("attempt")).as_deref() == Some(attempt)
}

/// Shown and omitted are all, where nothing moves meanwhile.
fn is_whole(snapshot: &Json) {
    assert!(snapshot.get("tasks").list().len() <= 256);
    for task in snapshot.get("tasks").list() {
        if let Json::Number(ran) = task.get("run_ns") {
            // The clocks of two processes' stamps differ by what a look takes.
            assert!(*ran <= task.get("age_ns").number() + 1e6, "{task:?}");
        }
    }
}

/// The few words of JSON Schema that the file uses.
fn fits(value: &Json, schema: &Json, at: &str) {
    let Json::Object(words) = schema else { panic!("{at}: no schema") };
    for (word, rule) in words.iter() {
        match word.as_str() {
            "$schema" | "title" | "description" => {}
            "type" => {
                let types = match rule {
                    Json::Text(one) => vec![one.as_str()],
                    several => several.list().iter().map(Json::text).collect(),
                };
                assert!(types.contains(&type_of(value)), "{at} is {value:?}, not {types:?}");
            }
            "enum" => assert!(rule.list().contains(value), "{at} is {value:?}"),
            "minimum" => {
                if let Json::Number(number) = value {
                    assert!(*number >= rule.number(), "{at} is {number}");
                }
            }
            "required" => rule.list().iter().for_each(|key| _ = value.get(key.text())),
            "properties" => {
                let Json::Object(members) = value else { continue };
                for (key, member) in members {
                    // Whatever is written stands in the schema.
                    fits(member, rule.get(key), &format!("{at}.{key}"));
                }
            }
            "items" => value.list().iter().for_each(|item| fits(item, rule, &format!("{at}[]"))),
            other => panic!("{other} in the schema"),
        }
    }
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.fract() == 0.0 => "integer",
        Json::Number(_) => "number",
        Json::Text(_) => "string",
        Json::List(_) => "array",
        Json::Object(_) => "object",
    }
}

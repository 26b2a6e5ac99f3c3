//! docs/testing.md names cases that exist.

use crate::support::root;

#[test]
fn every_named_case_exists() {
    let text = std::fs::read_to_string(root().join("docs/testing.md")).expect("docs/testing.md");
    let tables = text.split("## Behaviours").nth(1).expect("the tables");
    let named = tables.split('`').filter_map(|word| word.split_once("::"));
    let mut count = 0;
    for (suite, case) in named {
        let (path, mark) = if suite == "examples" {
            place_of_example_test(case)
        } else {
            (format!("tests/c/{suite}.c"), format!("CASE({case})"))
        };
        let program = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(program.contains(&mark), "{suite}::{case} does not exist");
        count += 1;
    }
    assert!(count > 30, "only {count} cases are named");
}

/// The file of a test of the example programs, and what stands there.
fn place_of_example_test(path: &str) -> (String, String) {
    match path.split_once("::") {
        Some((module, name)) => {
            (format!("tests/it/examples/{module}.rs"), format!("#[test]\nfn {name}()"))
        }
        None => ("tests/it/examples.rs".to_owned(), format!("#[test]\nfn {path}()")),
    }
}

/// `suite/case` in the pages about faults, of worker processes: the program has that case; with a `*`, one that begins so.
#[test]
fn every_case_that_shows_a_promise_exists() {
    let mut count = 0;
    for page in ["docs/reliability.md", "docs/faults.md"] {
        let text = std::fs::read_to_string(root().join(page)).expect("a page");
        for (suite, case) in text.split('`').filter_map(|word| word.split_once('/')) {
            let Ok(program) = std::fs::read_to_string(root().join(format!("tests/c/{suite}.c")))
            else {
                continue;
            };
            if !program.contains("remains.h") {
                continue; // elsewhere macros make names
            }
            let wanted = case.strip_suffix('*').unwrap_or(case);
            assert!(program.contains(wanted), "{page}: {suite}/{case} does not exist");
            count += 1;
        }
    }
    assert!(count > 60, "only {count} cases are named");
}

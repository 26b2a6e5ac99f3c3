//! docs/testing.md names cases that exist.

use crate::support::root;

#[test]
fn every_named_case_exists() {
    let text = std::fs::read_to_string(root().join("docs/testing.md")).expect("docs/testing.md");
    let tables = text.split("## Behaviours").nth(1).expect("the tables");
    let named = tables.split('`').filter_map(|word| word.split_once("::"));
    let mut count = 0;
    for (suite, case) in named {
        let path = root().join(format!("tests/c/{suite}.c"));
        let program = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(program.contains(&format!("CASE({case})")), "{suite}::{case} does not exist");
        count += 1;
    }
    assert!(count > 30, "only {count} cases are named");
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

//! What the pages of the project link to is there: files, and headings in them.

use crate::support::root;
use std::fs;
use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for dir in ["", "docs", "docs/guide", "benches"] {
        for entry in fs::read_dir(root().join(dir)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// The targets of `[text](target)`, outside of blocks of code.
fn targets(page: &str) -> Vec<String> {
    let mut in_code = false;
    let text = page.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code
    });
    let text: String = text.map(|line| format!("{line}\n")).collect();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// The anchor that a heading gets: words in small letters with '-' between them.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    kept.filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() })
        .collect()
}

fn has_anchor(page: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(page).expect("a page");
    text.lines().any(|line| line.starts_with('#') && anchor(line) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for target in targets(&text).iter().filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a directory").join(file)
            };
            let there = path.exists() && (heading.is_empty() || has_anchor(&path, heading));
            assert!(there, "{}: there is no {target}", page.display());
            count += 1;
        }
    }
    assert!(count > 30, "only {count} links were found");
}

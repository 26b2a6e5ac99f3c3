//! The sources of the library as the tests on them see them: line by line, and once more with
//! everything blanked that is no code of the library.

use crate::support::root;
use std::path::Path;

pub(crate) struct Source {
    /// Below src/, with '/'.
    pub(crate) path: String,
    /// As they stand in the file.
    pub(crate) lines: Vec<String>,
    /// The same lines without comments, texts and test modules.
    pub(crate) code: Vec<String>,
}

impl Source {
    /// The first part of the path: what `crate::` is followed by to get here.
    pub(crate) fn room(&self) -> &str {
        let first = self.path.split('/').next().expect("a path");
        first.trim_end_matches(".rs")
    }

    /// Where a line stands, for messages; `place` counts from 0.
    pub(crate) fn at(&self, place: usize) -> String {
        format!("src/{}:{}: {}", self.path, place + 1, self.lines[place].trim())
    }

    /// The places of the code lines that contain `word`, not as a part of a longer name.
    pub(crate) fn places_of(&self, word: &str) -> Vec<usize> {
        let places = self.code.iter().enumerate();
        places.filter(|(_, line)| has_word(line, word)).map(|(place, _)| place).collect()
    }
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let goes_on = after.is_some_and(is_word) && word.ends_with(is_word);
        !(before.is_some_and(is_word) || goes_on)
    })
}

pub(crate) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What only test builds have.
const FOR_TESTS: &[&str] = &["models.rs", "tests.rs", "fuzzing.rs"];

/// All of src/ but for the above.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join("src"), "", &mut found);
    found.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(found.len() > 30, "src/ was not found");
    found
}

fn collect(dir: &Path, prefix: &str, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(dir).expect("src/") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        if entry.path().is_dir() && name != "models" {
            collect(&entry.path(), &format!("{prefix}{name}/"), found);
        } else if name.ends_with(".rs") && !FOR_TESTS.contains(&name.as_str()) {
            let text = std::fs::read_to_string(entry.path()).expect("a source");
            found.push(Source {
                path: format!("{prefix}{name}"),
                lines: text.lines().map(str::to_owned).collect(),
                code: without_tests(&blank(&text)),
            });
        }
    }
}

/// Blanks modules of tests and of the model checker, `#[cfg(test)] mod … { … }`, which end where a
/// line is just "}" as far to the left.
fn without_tests(code: &str) -> Vec<String> {
    let mut inside: Option<String> = None;
    let mut marked = false;
    let mut result = Vec::new();
    for line in code.lines() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        if let Some(end) = &inside {
            if line == end.as_str() {
                inside = None;
            }
            result.push(String::new());
            continue;
        }
        let opens = trimmed.contains("mod ") && trimmed.ends_with('{');
        if marked && opens {
            inside = Some(format!("{indent}}}"));
        }
        marked = trimmed.starts_with("#[cfg(test)]")
            || trimmed.starts_with("#[cfg(all(test")
            || trimmed.starts_with("#[cfg(loom)]")
            || (marked && trimmed.starts_with('#'));
        result.push(if inside.is_some() { String::new() } else { line.to_owned() });
    }
    result
}

/// Replaces what stands in comments and between quotes by spaces; lines stay where they are.
fn blank(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let end = end_of_blank(&letters, at);
        let keep = end == at;
        let end = end.max(at + 1);
        for &letter in &letters[at..end] {
            result.push(if keep || letter == '\n' { letter } else { ' ' });
        }
        at = end;
    }
    result
}

/// Where the comment, text or character that begins at `at` ends; `at`: there is none.
fn end_of_blank(letters: &[char], at: usize) -> usize {
    let next = |offset: usize| letters.get(at + offset).copied().unwrap_or('\0');
    let after_name = at > 0 && is_word(letters[at - 1]);
    match (letters[at], next(1)) {
        ('/', '/') => find(letters, at, "\n"),
        ('/', '*') => find(letters, at, "*/"),
        ('"', _) => end_of_text(letters, at),
        ('r', '"' | '#') if !after_name || letters[at - 1] == 'b' || letters[at - 1] == 'c' => {
            let hashes = letters[at + 1..].iter().take_while(|&&letter| letter == '#').count();
            if next(1 + hashes) != '"' {
                return at; // r#fn
            }
            let end: String = std::iter::once('"').chain((0..hashes).map(|_| '#')).collect();
            find(letters, at + 2 + hashes, &end)
        }
        // 'x', '\n', '\u{1F600}'; a lifetime has no second quote.
        ('\'', '\\') => find(letters, at + 3, "'"),
        ('\'', _) if next(2) == '\'' => at + 3,
        _ => at,
    }
}

fn end_of_text(letters: &[char], at: usize) -> usize {
    let mut place = at + 1;
    while place < letters.len() && letters[place] != '"' {
        place += if letters[place] == '\\' { 2 } else { 1 };
    }
    (place + 1).min(letters.len())
}

/// Behind the next `end`, but a line's end stays.
fn find(letters: &[char], from: usize, end: &str) -> usize {
    let wanted: Vec<char> = end.chars().collect();
    let behind = if end == "\n" { 0 } else { wanted.len() };
    let found = letters[from..].windows(wanted.len()).position(|window| window == wanted);
    found.map_or(letters.len(), |place| from + place + behind)
}

#[test]
fn only_code_is_left() {
    let text = "let a = \"x // \\\" y\"; // c\nfn f<'a>() { '\"'; r#\"a\"b\"#; r#fn /* \" */ }\nok";
    let left = blank(text);
    assert_eq!(left.lines().count(), 3);
    assert!(!left.contains('"') && !left.contains(" c") && !left.contains(" y"), "{left}");
    assert!(left.contains("fn f<'a>()") && left.contains("r#fn") && left.ends_with("ok"), "{left}");
    let code = without_tests("a\n#[cfg(test)]\nmod tests {\n    b\n}\nc");
    assert_eq!(code, ["a", "#[cfg(test)]", "", "", "", "c"]);
    assert!(has_word("use crate::log;", "log") && !has_word("catalog", "log"));
}

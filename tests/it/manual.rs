//! The doc comments of src/ffi are the manual: each export's says everything a C programmer
//! has to know.

use crate::sources::{Source, is_word, sources};
use crate::support::root;
use std::collections::BTreeSet;

/// What can become of a pointer, or why it does not matter.
const OWNERSHIP: &[&str] = &["owned", "borrowed", "retained", "copied", "moved", "written"];

struct Export {
    at: String,
    name: String,
    /// The doc comment, line by line.
    doc: String,
    /// Name and type.
    parameters: Vec<(String, String)>,
    result: String,
}

fn exports() -> Vec<Export> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.room() == "ffi") {
        found.extend(source.places_of("no_mangle").into_iter().map(|place| export(source, place)));
    }
    assert!(found.len() >= 99, "only {} exports were found", found.len());
    found
}

fn export(source: &Source, place: usize) -> Export {
    let above = source.lines[..place].iter().rev();
    let mut doc: Vec<&str> =
        above.map_while(|line| line.strip_prefix("///")).map(str::trim).collect();
    doc.reverse();
    let code = source.code[place + 1..].join(" ");
    let (head, rest) = code.split_once('(').expect("a parameter list");
    let (parameters, rest) = rest.split_once(')').expect("its end");
    let result = rest.split_once('{').expect("a body").0.trim().trim_start_matches("->").trim();
    let parameters = parameters.split(',').filter_map(|parameter| parameter.split_once(':'));
    Export {
        at: source.at(place + 1),
        name: head.rsplit(' ').next().expect("a name").to_owned(),
        // A section's heading is no part of the first function's text.
        doc: doc
            .into_iter()
            .filter(|line| !line.starts_with("---- "))
            .collect::<Vec<_>>()
            .join("\n"),
        parameters: parameters
            .map(|(name, kind)| {
                let name = name.trim().trim_start_matches("r#");
                (name.to_owned(), kind.trim().to_owned())
            })
            .collect(),
        result: result.to_owned(),
    }
}

impl Export {
    fn lacks(&self, what: impl std::fmt::Display) -> String {
        format!("{} lacks {what}", self.at)
    }

    /// The text of `@param name`, or of `@return`, up to the next tag or the last line.
    fn tag(&self, tag: &str) -> Option<String> {
        let mut lines = self.doc.lines().skip_while(|line| {
            line.strip_prefix(tag).is_none_or(|rest| rest.chars().next().is_some_and(is_word))
        });
        let first = lines.next()?.strip_prefix(tag)?;
        let more = lines.take_while(|line| {
            !line.starts_with('@') && !line.starts_with("Thread:") && !line.is_empty()
        });
        Some(std::iter::once(first).chain(more).collect::<Vec<_>>().join(" "))
    }

    /// The doc comment as one line.
    fn words(&self) -> String {
        self.doc.replace('\n', " ")
    }
}

#[test]
fn every_export_says_what_it_does_where_and_since_when() {
    let mut wrong = Vec::new();
    for export in exports() {
        let words = export.words();
        let first = export.doc.lines().find(|line| !line.is_empty()).unwrap_or("");
        if first.is_empty() || first.starts_with('@') || first.starts_with("Thread:") {
            wrong.push(export.lacks("what it does"));
        }
        for part in ["Thread: ", "Blocks: ", "Since: "] {
            if words.matches(part).count() != 1 {
                wrong.push(export.lacks(format_args!("one {part:?}")));
            }
        }
        if !export.doc.ends_with('.') {
            wrong.push(export.lacks("the end of its last sentence"));
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_parameter_is_explained() {
    let mut wrong = Vec::new();
    for export in exports() {
        for (name, kind) in &export.parameters {
            let of_object = kind.starts_with('*');
            let Some(text) = export.tag(&format!("@param {name}")) else {
                // A number or a function may be explained where its neighbour is.
                if of_object || !export.doc.contains(&format!("`{name}`")) {
                    wrong.push(export.lacks(format_args!("@param {name}")));
                }
                continue;
            };
            if of_object && !OWNERSHIP.iter().any(|word| text.contains(word)) {
                wrong.push(export.lacks(format_args!("who owns {name}: {OWNERSHIP:?}")));
            }
        }
        let known = |name: &str| export.parameters.iter().any(|parameter| parameter.0 == name);
        for line in export.doc.lines().filter_map(|line| line.strip_prefix("@param ")) {
            let name = line.split(' ').next().unwrap_or("");
            if !known(name) {
                wrong.push(export.lacks(format_args!("the parameter {name}, which it explains")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_result_is_explained() {
    let mut wrong = Vec::new();
    for export in exports().iter().filter(|export| !export.result.is_empty()) {
        let Some(text) = export.tag("@return") else {
            wrong.push(export.lacks("@return"));
            continue;
        };
        let by_reference = text.contains("As cfut_");
        let refused = text.contains("CFUT_ENOTSUP: ") && text.contains("come with a later version");
        let whole = by_reference || refused;
        if export.result == "cfut_status" {
            if !whole && !text.contains("CFUT_OK") {
                wrong.push(export.lacks("CFUT_OK"));
            }
            let pointers = export.parameters.iter().any(|(_, kind)| kind.starts_with('*'));
            let optional = export.name == "cfut_set_log"; // takes NULL everywhere
            if pointers && !whole && !optional && !text.contains("CFUT_EINVAL") {
                wrong.push(export.lacks("CFUT_EINVAL, and it has pointers"));
            }
        }
        if export.result.starts_with('*')
            && !["owned", "borrowed"].iter().any(|word| text.contains(word))
        {
            wrong.push(export.lacks("who owns the result"));
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

/// Names in the manual are names of the interface: `CFUT_X`, `cfut_x()`, or `_X` after one.
#[test]
fn every_name_in_the_manual_exists() {
    let header = std::fs::read_to_string(root().join("include/cfutures.h")).expect("the header");
    let mut code = String::new();
    let mut rest = header.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("the end of a comment").1;
    }
    code.push_str(rest);
    let mut names: BTreeSet<&str> = code.split(|letter| !is_word(letter)).collect();
    names.insert("CFUT_CHECK"); // in the environment
    let mut wrong = Vec::new();
    for (place, line) in header.lines().enumerate() {
        for word in line.split(|letter| !is_word(letter)) {
            let ours = word.starts_with("CFUT_") || word.starts_with("cfut_");
            let family = word.ends_with('_') && names.iter().any(|name| name.starts_with(word));
            if ours && !names.contains(word) && !family {
                wrong.push(format!("include/cfutures.h:{}: {word}", place + 1));
            }
            let short = word.starts_with('_')
                && word.len() > 2
                && word.ends_with(|letter: char| letter.is_ascii_uppercase());
            if short && !names.iter().any(|name| name.ends_with(word)) {
                wrong.push(format!("include/cfutures.h:{}: {word}", place + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

//! What a header of the library declares, read from its text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) struct Declarations {
    /// The header without its comments.
    pub(crate) code: String,
}

impl Declarations {
    pub(crate) fn read(path: &Path) -> Declarations {
        let text = std::fs::read_to_string(path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Declarations { code: without_comments(&text) }
    }

    /// Each function as it is declared, without `CFUT_API` and the semicolon.
    pub(crate) fn prototypes(&self) -> Vec<&str> {
        let (_, functions) = self.code.split_once("extern \"C\"").expect("the functions");
        let declarations = functions.split("CFUT_API").skip(1);
        declarations.map(|text| text.split(';').next().expect("a semicolon").trim()).collect()
    }

    pub(crate) fn functions(&self) -> BTreeSet<String> {
        self.prototypes().into_iter().map(name_of).collect()
    }

    /// Name and value of what the header defines and what takes no arguments.
    pub(crate) fn constants(&self) -> Vec<(String, String)> {
        self.code
            .lines()
            .filter_map(|line| line.strip_prefix("#define "))
            .filter_map(|line| line.split_once(' '))
            .filter(|(name, _)| name.starts_with("CFUT_") && name.chars().all(is_word))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// The constants that are part of the interface: the version is to change, and `CFUT_API` is
    /// for the compiler.
    pub(crate) fn lasting_constants(&self) -> Vec<(String, String)> {
        let mut constants = self.constants();
        constants.retain(|(name, _)| !name.starts_with("CFUT_VERSION") && name != "CFUT_API");
        constants
    }

    pub(crate) fn opaque_types(&self) -> BTreeSet<String> {
        let types = self.code.lines().filter_map(|line| line.strip_prefix("typedef struct "));
        types.map(|line| line.split_whitespace().next().expect("a name").to_owned()).collect()
    }

    pub(crate) fn function_types(&self) -> BTreeSet<String> {
        let pointers = self.code.split("(*").skip(1).filter(|text| text.starts_with("cfut_"));
        pointers.map(|text| text.split(')').next().expect("a name").to_owned()).collect()
    }
}

/// The functions of a header, by name, with the version that their comments name.
pub(crate) fn symbols_since(header: &str) -> BTreeMap<String, String> {
    let (_, functions) = header.split_once("extern \"C\"").expect("the functions");
    let mut symbols = BTreeMap::new();
    for declaration in functions.split("/**").skip(1) {
        let (comment, code) = declaration.split_once("*/").expect("the end of a comment");
        let (_, since) = comment.rsplit_once("Since: ").expect("a version");
        let since: String = since.chars().take_while(|letter| !letter.is_whitespace()).collect();
        let name = name_of(code.split_once("CFUT_API").expect("a function").1);
        symbols.insert(name, since.trim_end_matches('.').to_owned());
    }
    symbols
}

/// The function that a prototype declares.
fn name_of(prototype: &str) -> String {
    let before = prototype.split('(').next().expect("a parenthesis");
    before.rsplit(|letter| !is_word(letter)).next().expect("a name").to_owned()
}

pub(crate) fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut code = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("the end of a comment").1;
    }
    code + rest
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

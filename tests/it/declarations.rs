//! What a header of the library declares, read from its text.

use std::collections::BTreeSet;
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
        let prototypes = self.prototypes().into_iter();
        prototypes
            .map(|prototype| {
                let before = prototype.split('(').next().expect("a parenthesis");
                before.rsplit(|letter| !is_word(letter)).next().expect("a name").to_owned()
            })
            .collect()
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

//! The committed headers are what cbindgen makes of the sources: cfutures.h for compilers, and
//! cfutures.ffi.h for what reads declarations without a preprocessor; and the list of symbols.

use crate::declarations::{symbols_since, without_comments};
use std::fmt::Write;
use std::path::Path;

const HEADER: &str = "include/cfutures.h";
const FFI_HEADER: &str = "include/cfutures.ffi.h";

pub(crate) fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    config.after_includes = config.after_includes.map(|text| with_version(&text));
    // The order of these files is the order of the header's sections.
    let files = [
        "types", "library", "options", "executor", "loops", "task", "submit", "map", "future",
        "group", "queue", "promise", "buffer", "worker", "blocking",
    ];
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in files {
        builder = builder.with_src(root.join(format!("src/ffi/{file}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().expect("cbindgen reads src/ffi").write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

/// The version stands in Cargo.toml and nowhere else.
fn with_version(text: &str) -> String {
    let filled = text
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    assert!(!filled.contains('@'), "cbindgen.toml has a mark that nobody fills in");
    filled
}

/// What `cdef` of cffi and of LuaJIT reads as it is: no macros, no attributes, no comments but the
/// titles, each declaration on a line of its own.
fn generate_ffi() -> String {
    let header = generate();
    let mut text = format!(
        "/* cfutures {}: the declarations of cfutures.h, which is the manual, for what reads C without a\n \
         * preprocessor: cdef of cffi, ffi.cdef of LuaJIT. One declaration a line.\n \
         * SPDX-License-Identifier: MIT OR Apache-2.0\n \
         * Generated with cfutures.h: `make header`. */\n\n",
        env!("CARGO_PKG_VERSION")
    );
    let (constants, declarations) = header.split_once("/* ---- 1. Types").expect("the types");
    text.push_str(&constants_as_enum(&code_of(constants)));
    text.push('\n');
    let code = code_of(declarations.split_once("*/").expect("the end of the title").1);
    let others = ["extern \"C\" {", "}"];
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let code = lines.filter(|line| !others.contains(line)).collect::<Vec<_>>().join(" ");
    for declaration in code.replace("CFUT_API", "").split_terminator(';') {
        let words: Vec<_> = declaration.split_whitespace().collect();
        if !words.is_empty() {
            writeln!(text, "{};", words.join(" ")).expect("a string");
        }
    }
    text
}

/// The numbers that the header defines. Its version as text and its macros with arguments have no
/// form without a preprocessor.
fn constants_as_enum(defines: &str) -> String {
    let mut text = String::from("enum {\n");
    let whole = defines.replace("\\\n", " ");
    for line in whole.lines().filter_map(|line| line.strip_prefix("#define CFUT_")) {
        let Some((name, value)) = line.split_once(char::is_whitespace) else { continue };
        let value = match (name, value.trim()) {
            ("VERSION_NUMBER", _) => version_number().to_string(),
            ("VERSION" | "API", _) => continue,
            ("DETACH", "INT32_MIN") => {
                text.push_str("    CFUT_DETACH = -2147483647 - 1,\n"); // the number itself is no int to LuaJIT
                continue;
            }
            (_, value) => value.replace("INT64_C", "").trim_matches(['(', ')', 'u']).to_owned(),
        };
        if !name.contains('(') && !value.is_empty() {
            assert!(value.parse::<i32>().is_ok(), "CFUT_{name} is {value}, not an int");
            writeln!(text, "    CFUT_{name} = {value},").expect("a string");
        }
    }
    // C89 and old parsers want no comma at the end.
    text.truncate(text.len() - ",\n".len());
    text + "\n};\n"
}

fn version_number() -> i32 {
    let parts = [
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
        env!("CARGO_PKG_VERSION_PATCH"),
    ];
    parts.iter().fold(0, |number, part| (number << 8) | part.parse::<i32>().expect("a number"))
}

/// The code alone, without the comments of either form.
fn code_of(text: &str) -> String {
    let lines = without_comments(text);
    lines.lines().map(|line| format!("{}\n", line.split("//").next().expect("a part"))).collect()
}

/// `CFUT_BLESS=1` (make header) writes it instead.
fn is_fresh(name: &str, fresh: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("CFUT_BLESS").is_some() {
        std::fs::write(&path, fresh).expect("header written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "{name} is not what src/ffi says; run `make header`");
}

#[test]
fn header_is_fresh() {
    is_fresh(HEADER, &generate());
}

#[test]
fn header_for_other_languages_is_fresh() {
    is_fresh(FFI_HEADER, &generate_ffi());
}

/// The names that the shared library exports, each with the version it came with: what a package's
/// symbols file is made of, and what a review of an interface looks at.
#[test]
fn symbol_list_is_fresh() {
    let symbols = symbols_since(&generate());
    let list: String = symbols.iter().map(|(name, since)| format!("{name} {since}\n")).collect();
    is_fresh("abi/symbols", &list);
}

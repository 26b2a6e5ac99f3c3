//! The committed header is what cbindgen makes of the sources.

use crate::declarations::symbols_since;
use std::path::Path;

const HEADER: &str = "include/cfutures.h";

fn generate() -> String {
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

/// `CFUT_BLESS=1` (make header) writes it instead.
#[test]
fn header_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(HEADER);
    let fresh = generate();
    if std::env::var_os("CFUT_BLESS").is_some() {
        std::fs::write(&path, fresh).expect("header written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "{HEADER} is not what src/ffi says; run `make header`");
}

/// The names that the shared library exports, each with the version it came with: what a package's
/// symbols file is made of, and what a review of an interface looks at.
#[test]
fn symbol_list_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = std::fs::read_to_string(root.join(HEADER)).expect("the header");
    let fresh: String =
        symbols_since(&header).iter().map(|(name, since)| format!("{name} {since}\n")).collect();
    let path = root.join("abi/symbols");
    if std::env::var_os("CFUT_BLESS").is_some() {
        std::fs::write(&path, fresh).expect("list written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, fresh, "abi/symbols is not what {HEADER} says; run `make header`");
}

//! The committed header is what cbindgen makes of the sources.

use std::path::Path;

const HEADER: &str = "include/cfutures.h";

pub(crate) fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
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

//! The files of packages say what the library says: versions, the soname in names of packages,
//! and the symbols with the version that each came with.

use crate::header;
use crate::json::Json;
use crate::support::{root, soname, succeed};
use std::fmt::Write;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The Debian package of the library.
fn package() -> String {
    soname().replace(".so.", "")
}

/// Function and the version in its comment's `Since`.
fn functions() -> Vec<(String, String)> {
    let header = header::generate();
    let mut found = Vec::new();
    for (place, _) in header.match_indices("\nCFUT_API") {
        let before = &header[..place];
        let since = before.rfind("Since: ").map(|at| &before[at + "Since: ".len()..]);
        let since = since.and_then(|text| text.split_once(".\n")).expect("Since").0;
        let declaration = header[place..].split('(').next().expect("a parenthesis");
        let name = declaration.rsplit([' ', '*', '\n']).next().expect("a name");
        found.push((name.to_owned(), since.to_owned()));
    }
    found.sort();
    found
}

/// `CFUT_BLESS=1` (make header) writes it instead.
#[test]
fn debian_symbols_are_those_of_the_header() {
    let name = package();
    let mut fresh =
        format!("{} {name} #MINVER#\n* Build-Depends-Package: libcfutures-dev\n", soname());
    for (function, since) in functions() {
        let _ = writeln!(fresh, " {function}@Base {since}");
    }
    let path = format!("packaging/debian/{name}.symbols");
    if std::env::var_os("CFUT_BLESS").is_some() {
        std::fs::write(root().join(path), fresh).expect("symbols written");
        return;
    }
    assert!(read(&path) == fresh, "{path} is not what src/ffi says; run `make header`");
}

#[test]
fn version_is_that_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    for (path, words) in [
        ("packaging/debian/changelog", format!("cfutures ({version}-")),
        ("packaging/rpm/cfutures.spec", format!("Version:        {version}\n")),
        (
            "packaging/rpm/cfutures.spec",
            format!("%global abi {}\n", soname().replace("libcfutures.so.", "")),
        ),
        ("packaging/man/cfutures-worker.1", format!("\"cfutures {version}\"")),
        ("Cargo.lock", format!("name = \"cfutures\"\nversion = \"{version}\"")),
    ] {
        let text = read(path);
        assert!(text.contains(&words), "{path} lacks {words:?}");
    }
}

#[test]
fn debian_names_the_package_for_the_soname() {
    let name = package();
    assert!(read("packaging/debian/control").contains(&format!("\nPackage: {name}\n")));
    let others: Vec<_> = std::fs::read_dir(root().join("packaging/debian"))
        .expect("packaging/debian")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|file| file.starts_with("libcfutures0") || file.starts_with("libcfutures1"))
        .filter(|file| !file.starts_with(&format!("{name}.")))
        .collect();
    assert!(others.is_empty(), "files of another soname: {others:?}");
}

/// `make sbom`: the crates that are linked in, each with the checksum that Cargo.lock has.
#[test]
fn sbom_names_what_is_linked_in() {
    let said = succeed(&mut Command::new(root().join("packaging/sbom")));
    let json = Json::parse(&said).expect("JSON");
    let lock = read("Cargo.lock");
    let mut names = Vec::new();
    for component in json.get("components").list() {
        let name = component.get("name").text();
        names.push(name);
        if name == "rust-std" {
            continue;
        }
        let entry = format!("name = \"{name}\"\nversion = \"{}\"", component.get("version").text());
        let entry = lock.split("[[package]]").find(|other| other.contains(&entry));
        let sum = component.get("hashes").list()[0].get("content").text();
        assert!(entry.expect("an entry of Cargo.lock").contains(sum), "{name}: {sum}");
    }
    for direct in ["crossbeam-deque", "libc", "once_cell", "rust-std"] {
        assert!(names.contains(&direct), "{direct} is missing: {names:?}");
    }
    for test_only in ["cbindgen", "proptest", "cc"] {
        assert!(!names.contains(&test_only), "{test_only} is not linked in");
    }
    let edges = json.get("dependencies").list();
    assert_eq!(edges.len(), names.len() + 1, "one entry for each, and for the library");
    for edge in edges {
        for needed in edge.get("dependsOn").list() {
            let known = edges.iter().any(|other| other.get("ref").text() == needed.text());
            assert!(known, "{} is needed and not listed", needed.text());
        }
    }
}

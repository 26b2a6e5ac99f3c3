//! The binary interface: what the built library exports, what it asks of the system, and that
//! header, library and the table in tests/c/abi.c say the same.

use crate::declarations::Declarations;
use crate::elf::{self, Object};
use crate::support::{build, build_static, library_dir, program, root, soname, succeed};
use std::collections::BTreeSet;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn library() -> Object {
    Object::read(&library_dir().join("libcfutures.so"))
}

fn header() -> Declarations {
    Declarations::read(&root().join("include/cfutures.h"))
}

fn defined(name: &str) -> String {
    let constants = header().constants();
    let found = constants.iter().find(|constant| constant.0 == name);
    found.unwrap_or_else(|| panic!("the header has no {name}")).1.clone()
}

/// The names in the lines `MACRO(...)` of tests/c/abi.c; `place` is the argument.
fn table_of(macro_name: &str, place: usize) -> BTreeSet<String> {
    let text = read("tests/c/abi.c");
    let lines = text.lines().filter_map(|line| {
        let arguments = line.strip_prefix(macro_name)?.strip_prefix('(')?;
        Some(arguments.split([',', ')']).nth(place)?.trim().to_owned())
    });
    lines.collect()
}

#[test]
fn exports_are_the_functions_of_the_header() {
    let exports = library().exports();
    let others: Vec<&str> = exports
        .iter()
        .filter(|symbol| symbol.kind != elf::GLOBAL_FUNCTION)
        .map(|symbol| symbol.name.as_str())
        .collect();
    assert!(others.is_empty(), "not a plain global function: {others:?}");
    let names: BTreeSet<String> = exports.into_iter().map(|symbol| symbol.name).collect();
    assert_eq!(names, header().functions());
}

#[test]
fn exports_are_those_of_the_list() {
    let names: BTreeSet<String> =
        library().exports().into_iter().map(|symbol| symbol.name).collect();
    let list = read("abi/symbols");
    let listed = list.lines().map(|line| line.split_once(' ').expect("a version").0.to_owned());
    assert_eq!(names, listed.collect());
}

#[test]
fn every_name_of_the_header_stands_in_the_table() {
    let header = header();
    assert_eq!(header.functions(), table_of("FUNCTION", 1));
    let constants: BTreeSet<String> =
        header.lasting_constants().into_iter().map(|(name, _)| name).collect();
    assert_eq!(constants, table_of("CONSTANT", 0));
    assert_eq!(header.opaque_types(), table_of("OPAQUE", 0));
    assert_eq!(header.function_types(), table_of("FUNCTION_TYPE", 1));
}

#[test]
fn types_constants_and_status_names_are_as_written_down() {
    let said = succeed(&mut program(&build("tests/c/abi.c")));
    assert_eq!(said.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn version_of_the_header_is_that_of_the_package() {
    assert_eq!(defined("CFUT_VERSION"), format!("\"{}\"", env!("CARGO_PKG_VERSION")));
    assert_eq!(defined("CFUT_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MAJOR"));
    assert_eq!(defined("CFUT_VERSION_MINOR"), env!("CARGO_PKG_VERSION_MINOR"));
    assert_eq!(defined("CFUT_VERSION_PATCH"), env!("CARGO_PKG_VERSION_PATCH"));
}

/// Constants stand in cbindgen.toml and again in Rust.
#[test]
fn numbers_of_keys_and_statuses_are_those_of_the_sources() {
    let header = header().constants();
    let value = |name: &str| {
        let found = header.iter().find(|constant| constant.0 == name);
        let text = &found.unwrap_or_else(|| panic!("the header has no {name}")).1;
        text.trim_matches(['(', ')']).parse::<i64>().expect("a number")
    };
    let mut known = BTreeSet::new();
    for file in ["src/ffi/keys.rs", "src/ffi/status.rs"] {
        for line in read(file).lines() {
            // `NAME = number, …;` inside a table
            let Some((name, rest)) = line.trim().split_once(" = ") else { continue };
            let number = rest.split(',').next().and_then(|number| number.parse::<i64>().ok());
            let Some(number) = number.filter(|_| line.ends_with(';')) else { continue };
            let name = format!("CFUT_{name}");
            assert_eq!(value(&name), number, "{name} in {file}");
            known.insert(name);
        }
    }
    let tables = ["CFUT_OPT_", "CFUT_TASK_", "CFUT_INFO_", "CFUT_STAT_", "CFUT_E"];
    for (name, _) in &header {
        let listed = tables.iter().any(|table| name.starts_with(table));
        assert!(!listed || known.contains(name), "{name} is unknown to src/ffi");
    }
    assert!(known.len() >= 75, "the tables have only {} entries: were they found?", known.len());
}

#[test]
fn soname_has_the_abi_version() {
    assert_eq!(library().texts(elf::DT_SONAME), [soname()]);
}

#[test]
fn library_is_never_unloaded() {
    let flags = library().tag(elf::DT_FLAGS_1).unwrap_or(0);
    assert!(flags & elf::DF_1_NODELETE != 0, "DT_FLAGS_1 is {flags:#x}");
}

#[test]
fn code_is_neither_written_nor_data_run() {
    let library = library();
    assert_eq!(library.tag(elf::DT_TEXTREL), None);
    assert_eq!(library.tag(elf::DT_FLAGS).unwrap_or(0) & elf::DF_TEXTREL, 0);
    for segment in &library.segments {
        let (write, run) = (segment.flags & elf::PF_W != 0, segment.flags & elf::PF_X != 0);
        assert!(!(write && run), "a segment of kind {:#x} is both", segment.kind);
    }
    let of_kind = |kind| library.segments.iter().filter(move |segment| segment.kind == kind);
    let stacks: Vec<u32> = of_kind(elf::PT_GNU_STACK).map(|segment| segment.flags).collect();
    assert_eq!(stacks.len(), 1, "no word on the stack: it would be executable");
    assert_eq!(stacks[0] & elf::PF_X, 0, "an executable stack");
    assert_eq!(of_kind(elf::PT_GNU_RELRO).count(), 1, "tables of addresses stay writable");
}

#[test]
fn only_the_c_library_and_the_unwinder_are_needed() {
    let library = library();
    let mut needed = library.texts(elf::DT_NEEDED);
    // The dynamic linker is named where its thread-local storage is asked for directly.
    needed.retain(|name| !name.starts_with("ld-linux"));
    needed.sort();
    assert_eq!(needed, ["libc.so.6", "libgcc_s.so.1"]);
    assert_eq!(library.texts(elf::DT_RPATH), [""; 0]);
    assert_eq!(library.texts(elf::DT_RUNPATH), [""; 0]);
}

/// The oldest C library that a build of this project runs with. It is 2.34 because that one moved
/// the thread functions to other symbol versions, which every build on it or a newer one has.
const GLIBC: [u32; 2] = [2, 34];

#[test]
fn no_newer_c_library_is_needed_than_promised() {
    let versions = library().wanted_versions();
    let numbers = versions.iter().filter_map(|name| name.strip_prefix("GLIBC_"));
    let numbers: Vec<Vec<u32>> = numbers
        .map(|name| name.split('.').map(|part| part.parse().expect("a number")).collect())
        .collect();
    assert!(numbers.len() > 3, "versions were not found: {versions:?}");
    let newer: Vec<_> = numbers.iter().filter(|version| version[..] > GLIBC[..]).collect();
    assert!(
        newer.is_empty(),
        "docs/abi.md promises glibc {GLIBC:?}, and these are newer: {newer:?}"
    );
}

// ---- the static library ----

#[test]
fn static_library_in_a_program() {
    let output = build_static("tests/c/behaviours.c", "static_behaviours", &[]);
    let needed = Object::read(&output).texts(elf::DT_NEEDED);
    assert!(!needed.iter().any(|name| name.contains("cfutures")), "{needed:?}");
    succeed(program(&output).arg("a02_submit"));
}

#[test]
fn static_library_in_a_plugin() {
    let arguments = ["-shared", "-fPIC", "-Wl,-z,nodelete", "-Wl,-z,defs"];
    let plugin = build_static("tests/c/plugin.c", "static_plugin.so", &arguments);
    let object = Object::read(&plugin);
    assert_eq!(object.tag(elf::DT_TEXTREL), None);
    assert!(object.exports().iter().any(|symbol| symbol.name == "plugin_sum_of_squares"));
    succeed(program(&build("tests/c/host.c")).arg(plugin));
}

/// A host may have loaded another copy of the library already; the plugin keeps to its own.
#[test]
fn static_library_that_a_plugin_hides() {
    let arguments =
        ["-shared", "-fPIC", "-Wl,-z,nodelete", "-Wl,-z,defs", "-Wl,--exclude-libs,ALL"];
    let plugin = build_static("tests/c/plugin.c", "hiding_plugin.so", &arguments);
    let names: Vec<String> =
        Object::read(&plugin).exports().into_iter().map(|symbol| symbol.name).collect();
    assert_eq!(names, ["plugin_sum_of_squares"]);
    succeed(program(&build("tests/c/host.c")).arg(plugin));
}

//! Link arguments of the shared library, and the version of its ABI. Writes nothing and needs nothing but cargo.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The tests compile C programs for it.
    println!("cargo:rustc-env=TARGET_FOR_TESTS={}", env::var("TARGET").unwrap_or_default());

    // While the major version is 0, each minor version is an ABI of its own.
    let major = env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    let minor = env::var("CARGO_PKG_VERSION_MINOR").unwrap_or_default();
    let abi = if major == "0" { format!("0.{minor}") } else { major };
    println!("cargo:rustc-env=CFUT_ABI={abi}");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcfutures.so.{abi}");
        // Worker threads run our code and may outlive dlclose().
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

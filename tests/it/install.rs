//! What `make install` puts where, and that programs outside the tree find it: by a plain compiler,
//! pkg-config, CMake and Meson, as C and C++, shared and static, also after the tree has moved. The
//! library is the one that cargo has just built for the tests.

use crate::elf::{self, Object};
use crate::snippets::blocks;
use crate::support::{
    compiler, describe, library_dir, root, run, skipped, soname, succeed, work_dir,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What the consumer prints if all is well.
const GOOD: &str = "thread 25, command hello\nprocess 36, another one\n";

fn abi() -> String {
    soname().replace("libcfutures.so.", "")
}

fn worker_in(libexec: &Path) -> PathBuf {
    libexec.join(format!("cfutures-{}/cfutures-worker", abi()))
}

/// An empty directory, for the test of this name.
fn directory(name: &str) -> PathBuf {
    let path = work_dir().join("install").join(name);
    let _ = fs::remove_dir_all(&path); // of an earlier run
    fs::create_dir_all(&path).expect("directory");
    path
}

/// A whole installation is large. What a failed test has left stays, to be looked at.
fn done_with(name: &str) {
    let _ = fs::remove_dir_all(work_dir().join("install").join(name));
}

/// What cargo has built, as `make` lays it out.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let place = directory("built");
        for name in ["libcfutures.so", "libcfutures.a"] {
            symlink(library_dir().join(name), place.join(name)).expect("link");
        }
        symlink(env!("CARGO_BIN_EXE_cfutures-worker"), place.join("cfutures-worker"))
            .expect("link");
        succeed(make(&place).arg(place.join("native-static-libs")));
        place
    })
}

/// `make`, with a built library that it takes as it is.
fn make(built: &Path) -> Command {
    let mut command = Command::new("make");
    // This test may itself have been started by make.
    command.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("CARGO_BUILD_TARGET");
    for place in ["PREFIX", "LIBDIR", "INCLUDEDIR", "LIBEXECDIR", "MANDIR", "DOCDIR", "DESTDIR"] {
        command.env_remove(place);
    }
    command.arg("-C").arg(root()).arg(format!("library={}", built.display()));
    command.arg("-o").arg(built.join("libcfutures.so"));
    command
}

fn install(settings: &[String]) {
    succeed(make(built()).arg("install").args(settings));
}

fn prefix(path: &Path) -> String {
    format!("PREFIX={}", path.display())
}

/// An installation that tests only read.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let place = directory("common").join("usr");
        install(&[prefix(&place)]);
        place
    })
}

/// A copy of the project outside the tree.
fn project(place: &Path) -> PathBuf {
    let target = place.join("project");
    fs::create_dir_all(&target).expect("directory");
    for entry in fs::read_dir(root().join("tests/install")).expect("tests/install") {
        let path = entry.expect("entry").path();
        fs::copy(&path, target.join(path.file_name().expect("a name"))).expect("copied");
    }
    target
}

/// The first line of what it says of its version; None, and a line that says so, if it is not there.
fn tool(name: &str) -> Option<String> {
    let output = Command::new(name).arg("--version").output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        skipped(&format!("no {name} here: that it finds an installed cfutures is not tested"));
        return None;
    };
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

fn run_consumer(program: &Path, jobs: &Path) -> Output {
    run(Command::new(program).arg(jobs).env_remove("LD_LIBRARY_PATH"))
}

fn is_good(program: &Path, jobs: &Path) {
    let output = run_consumer(program, jobs);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said == GOOD,
        "{}",
        describe(&Command::new(program), &output)
    );
}

/// What a plain compiler makes in `bin` of an installation: its programs look for the library
/// beside themselves, in ../lib, so that they can move with it.
struct Plain {
    program: PathBuf,
    jobs: PathBuf,
}

fn plain(prefix: &Path, lib: &str) -> Plain {
    let bin = prefix.join("bin");
    fs::create_dir_all(&bin).expect("directory");
    let sources = project(prefix);
    let build = |source: &str, output: &Path, more: &[&str]| {
        let mut command = compiler(false);
        command.arg("-std=gnu11").arg("-I").arg(prefix.join("include")).args(more);
        command.arg(sources.join(source)).arg("-o").arg(output);
        command.arg("-L").arg(prefix.join(lib)).arg("-lcfutures");
        succeed(command.arg(format!("-Wl,-rpath,$ORIGIN/../{lib}")));
    };
    let (program, jobs) = (bin.join("consumer"), bin.join("jobs.so"));
    build("jobs.c", &jobs, &["-shared", "-fPIC"]);
    build("consumer.c", &program, &[]);
    Plain { program, jobs }
}

fn files_below(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(place).expect("directory") {
        let path = entry.expect("entry").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn links_of_the_library() {
    let lib = installed().join("lib");
    let file = format!("libcfutures.so.{}", env!("CARGO_PKG_VERSION"));
    assert!(!lib.join(&file).is_symlink());
    assert_eq!(fs::read_link(lib.join(soname())).expect("link").to_str(), Some(file.as_str()));
    let link = fs::read_link(lib.join("libcfutures.so")).expect("link");
    assert_eq!(link.to_str(), Some(soname().as_str()));
}

#[test]
fn everything_is_there() {
    let there = |name: &str| assert!(installed().join(name).exists(), "{name} is missing");
    for header in fs::read_dir(root().join("include")).expect("include") {
        there(&format!("include/{}", header.expect("entry").file_name().to_str().expect("name")));
    }
    for name in ["man3/cfut_future_wait.3", "man7/cfutures.7", "man1/cfutures-worker.1"] {
        there(&format!("share/man/{name}"));
    }
    for name in ["libcfutures.a", "pkgconfig/cfutures.pc", "cmake/cfutures/cfuturesConfig.cmake"] {
        there(&format!("lib/{name}"));
    }
    there("share/doc/cfutures/examples/primes.c");
    let header = fs::read_to_string(root().join("include/cfutures.h")).expect("header");
    let links = files_below(&installed().join("share/man/man3"));
    let links = links.iter().filter(|path| path.is_symlink()).count();
    assert_eq!(links, header.matches("\nCFUT_API").count(), "pages of functions");
}

#[test]
fn worker_says_its_version() {
    let mut command = Command::new(worker_in(&installed().join("libexec")));
    let said = succeed(command.arg("--version").env_remove("LD_LIBRARY_PATH"));
    assert_eq!(said, format!("cfutures-worker {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn plain_compiler_and_a_moved_tree() {
    let place = directory("moved");
    let (before, after) = (place.join("before"), place.join("after/wards"));
    install(&[prefix(&before)]);
    let Plain { program, jobs } = plain(&before, "lib");
    is_good(&program, &jobs);
    fs::create_dir_all(after.parent().expect("parent")).expect("directory");
    fs::rename(&before, &after).expect("moved");
    is_good(&after.join("bin/consumer"), &after.join("bin/jobs.so"));
    for file in files_below(&after).iter().filter(|file| !file.starts_with(after.join("bin"))) {
        let bytes = fs::read(file).expect("file");
        let old = before.to_str().expect("UTF-8").as_bytes();
        let names_it = bytes.windows(old.len()).any(|part| part == old);
        assert!(!names_it, "{} names the directory it was installed in", file.display());
    }
    by_pkg_config(&after, "pkg_config_moved");
    by_cmake(&after, "cmake_moved");
    done_with("moved");
}

/// Where programs of other names for directories put things; the pool finds its worker in each.
#[test]
fn directories_as_distributions_name_them() {
    let architecture = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let cases = [
        ("lib64", "libexec"),
        (&architecture, "libexec"),
        (&architecture, "lib/libexec"),
        ("lib", "lib"),
        ("lib/of/another/name", "lib/of/libexec"),
        (&architecture, &architecture),
    ];
    for (number, (lib, libexec)) in cases.into_iter().enumerate() {
        let usr = directory(&format!("named_{number}")).join("usr");
        install(&[
            prefix(&usr),
            format!("LIBDIR={}", usr.join(lib).display()),
            format!("LIBEXECDIR={}/", usr.join(libexec).display()),
        ]);
        assert!(worker_in(&usr.join(libexec)).exists());
        let Plain { program, jobs } = plain(&usr, lib);
        is_good(&program, &jobs);
        done_with(&format!("named_{number}"));
    }
}

#[test]
fn directories_where_the_worker_would_be_lost_are_refused() {
    for (setting, words) in [
        ("LIBEXECDIR=/opt/elsewhere", "would not find cfutures-"),
        ("LIBDIR=/opt/elsewhere/lib", "would not find cfutures-"),
        ("LIBDIR=lib", "LIBDIR=lib is not an absolute path"),
        ("LIBDIR=/usr/../lib", "name the directory itself"),
        ("PREFIX=", "PREFIX= is not an absolute path"),
    ] {
        let place = directory("refused");
        let mut command = make(built());
        command.arg("install").arg(format!("DESTDIR={}", place.display()));
        let output = run(command.arg("PREFIX=/usr").arg(setting));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{setting}: {said}");
        assert_eq!(files_below(&place), [""; 0].map(PathBuf::from));
    }
}

#[test]
fn staged_below_destdir_and_removed_again() {
    let place = directory("destdir");
    let settings = [format!("DESTDIR={}", place.display()), "PREFIX=/opt/cfutures".to_owned()];
    install(&settings);
    let staged = place.join("opt/cfutures");
    let count = files_below(&staged).len();
    assert_eq!(count, files_below(installed()).len());
    for file in files_below(&staged) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        assert!(!text.contains(place.to_str().expect("UTF-8")), "{}", file.display());
    }
    let Plain { program, jobs } = plain(&staged, "lib");
    is_good(&program, &jobs);
    for made in ["bin", "project"] {
        fs::remove_dir_all(staged.join(made)).expect("removed");
    }
    // What is not ours stays, also in our directories.
    let others = ["lib/libother.so", "share/doc/cfutures/note"].map(|name| staged.join(name));
    for other in &others {
        fs::write(other, "").expect("written");
    }
    succeed(make(built()).arg("uninstall").args(&settings));
    assert_eq!(files_below(&place), others);
    done_with("destdir");
}

/// The flags it gives, for a program that is linked so.
fn flags(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("cfutures");
    succeed(&mut command).split_whitespace().map(str::to_owned).collect()
}

fn by_pkg_config(prefix: &Path, name: &str) {
    if tool("pkg-config").is_none() {
        return;
    }
    let sources = project(&directory(name));
    assert_eq!(flags(prefix, &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let jobs = sources.join("jobs.so");
    let mut command = compiler(false);
    command.args(["-std=gnu11", "-shared", "-fPIC"]).arg(sources.join("jobs.c"));
    succeed(command.args(flags(prefix, &["--cflags", "--libs"])).arg("-o").arg(&jobs));
    let (shared, cpp) = (sources.join("shared"), sources.join("cpp"));
    for (program, language) in [(&shared, "c"), (&cpp, "c++")] {
        let mut command = compiler(language == "c++");
        command.arg(if language == "c" { "-std=gnu11" } else { "-std=gnu++17" });
        command.args(["-x", language]).arg(sources.join("consumer.c")).args(["-x", "none"]);
        command.args(flags(prefix, &["--cflags", "--libs"])).arg("-o").arg(program);
        succeed(command.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display())));
        is_good(program, &jobs);
    }
    // Inside the program, which is its own worker: nothing is found, or needed, at run time.
    let inside = sources.join("inside");
    let mut command = compiler(false);
    command.args(["-std=gnu11", "-DIS_ITS_OWN_WORKER"]).arg(sources.join("consumer.c"));
    command.args(flags(prefix, &["--cflags"])).arg(prefix.join("lib/libcfutures.a"));
    let private = flags(prefix, &["--libs-only-l", "--static"]);
    command.args(private.iter().filter(|flag| *flag != "-lcfutures")).arg("-o").arg(&inside);
    succeed(&mut command);
    is_good_inside(&inside);
}

/// A program that has the library inside, and is its own worker: it needs nothing else.
fn is_good_inside(program: &Path) {
    let needed = Object::read(program).texts(elf::DT_NEEDED);
    assert!(!needed.iter().any(|name| name.contains("cfutures")), "{needed:?}");
    is_good(program, Path::new("none"));
}

/// What CMakeLists.txt and meson.build of tests/install make.
fn all_are_good(build: &Path) {
    for program in ["consumer_shared", "consumer_cpp"] {
        is_good(&build.join(program), &build.join("jobs.so"));
    }
    is_good_inside(&build.join("consumer_static"));
}

#[test]
fn pkg_config() {
    by_pkg_config(installed(), "pkg_config");
}

/// The commands of README.md that build its program with an installed library.
#[test]
fn commands_of_the_readme() {
    let blocks = blocks("README.md");
    let program = blocks.iter().find(|block| block.mark == "c").expect("a program");
    let (place, prefix) = (directory("readme"), installed());
    fs::write(place.join("square.c"), &program.text).expect("a source");
    let mut count = 0;
    for block in blocks.iter().filter(|block| block.text.starts_with("gcc square.c -o square ")) {
        let by_pkg_config = block.text.contains("$(pkg-config ");
        if block.text.contains("target/release") || by_pkg_config && tool("pkg-config").is_none() {
            continue;
        }
        let text = block.text.replace("/opt/cfutures", prefix.to_str().expect("UTF-8"));
        let mut shell = Command::new("sh");
        shell.arg("-ec").arg(text + "./square\n").current_dir(&place);
        shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        if by_pkg_config {
            shell.env("LD_LIBRARY_PATH", prefix.join("lib")); // in place of ldconfig
        }
        assert_eq!(succeed(&mut shell), "25\n", "README.md:{}", block.line);
        count += 1;
    }
    assert!(count > 0);
    done_with("readme");
}

fn by_cmake(prefix: &Path, name: &str) {
    let Some(_) = tool("cmake") else { return };
    let sources = project(&directory(name));
    let build = sources.join("build");
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    let mut command = Command::new("cmake");
    command.arg("-S").arg(&sources).arg("-B").arg(&build);
    command.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    command.arg(format!("-DVERSION_MAJOR_MINOR={major}.{minor}"));
    succeed(command.arg(format!("-DVERSION_WHOLE={}", env!("CARGO_PKG_VERSION"))));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    all_are_good(&build);
}

#[test]
fn cmake() {
    by_cmake(installed(), "cmake");
}

#[test]
fn meson() {
    if tool("meson").and(tool("ninja")).and(tool("pkg-config")).is_none() {
        return;
    }
    let sources = project(&directory("meson"));
    let build = sources.join("build");
    let path = installed().join("lib/pkgconfig");
    let mut command = Command::new("meson");
    succeed(command.arg("setup").arg(&build).arg(&sources).env("PKG_CONFIG_PATH", path));
    succeed(Command::new("ninja").arg("-C").arg(&build));
    all_are_good(&build);
}

/// No shared library at all, not even the system's: the unwinder's has another name then.
#[test]
fn static_program() {
    let sources = project(&directory("static"));
    let program = sources.join("consumer");
    let mut command = compiler(false);
    command.args(["-std=gnu11", "-static", "-DIS_ITS_OWN_WORKER"]);
    command.arg("-I").arg(installed().join("include")).arg(sources.join("consumer.c"));
    command.arg(installed().join("lib/libcfutures.a"));
    command.args(["-lgcc_eh", "-lpthread", "-ldl", "-lm"]).arg("-o").arg(&program);
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("cannot find -l") {
        skipped("no static C library here: a program without shared libraries is not tested");
        return;
    }
    assert!(output.status.success(), "{}", describe(&command, &output));
    is_good(&program, Path::new("none"));
}

// ---- an installation that lacks something ----

/// A pool and a command both say where they have looked.
#[test]
fn no_worker_program() {
    let usr = directory("no_worker").join("usr");
    install(&[prefix(&usr)]);
    let Plain { program, jobs } = plain(&usr, "lib");
    fs::remove_file(worker_in(&usr.join("libexec"))).expect("removed");
    let output = run_consumer(&program, &jobs);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CFUT_ENOENT"), "{said}");
    let lib = usr.join("lib");
    let places = [
        format!("not beside the library in {}", lib.display()),
        format!("../libexec/cfutures-{}", abi()),
        "cfut_worker_main()".to_owned(),
    ];
    for place in places {
        assert!(said.contains(&place), "{said:?} lacks {place:?}");
    }
    done_with("no_worker");
}

/// The worker program is there, but what it loads is not: it says so, and the task fails.
#[test]
fn worker_without_its_library() {
    let usr = directory("no_library").join("usr");
    install(&[prefix(&usr)]);
    let worker = worker_in(&usr.join("libexec"));
    let Plain { program, jobs } = plain(&usr, "lib");
    fs::remove_file(worker.with_file_name(soname())).expect("removed");
    let output = run(Command::new(&worker).arg("--version").env_remove("LD_LIBRARY_PATH"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("cfutures-worker: ") && said.contains(&soname()), "{said}");
    let output = run_consumer(&program, &jobs);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&soname()) && said.contains("ended before it was ready"), "{said}");
    done_with("no_library");
}

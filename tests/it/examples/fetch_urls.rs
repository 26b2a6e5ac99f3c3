//! fetch_urls against an HTTP server of this file's own, on 127.0.0.1.

use super::{directory, result};
use crate::support::{build_with_libraries, program, succeed};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// None without libcurl.
fn built() -> Option<PathBuf> {
    build_with_libraries("examples-c/fetch_urls.c", &["-pedantic", "-Wshadow"])
}

/// What the handlers of a server share.
#[derive(Default)]
struct Seen {
    inside: usize,
    most: usize,
    said: BTreeSet<String>,
}

type Shared = Arc<(Mutex<Seen>, Condvar)>;

/// An HTTP server on a port that the kernel chose; its threads end with the process.
struct Server {
    port: u16,
    shared: Shared,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Shared::default();
        let handlers = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.expect("a client"), Arc::clone(&handlers));
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Server { port, shared }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let Some(path) = read_request(&mut stream) else { return };
    let (lock, changed) = &**shared;
    let (kind, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    match kind {
        "bytes" => answer(&mut stream, "200 OK", rest.parse().expect("a number")),
        "fail" => answer(&mut stream, "500 Internal Server Error", 3),
        "missing" => answer(&mut stream, "404 Not Found", 0),
        // Closes without a word, or in the middle of one.
        "drop" => {}
        "cut" => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")),
        "nonsense" => drop(stream.write_all(b"what do you want?\r\n\r\n")),
        // Answers nothing for as long as the client is there.
        "slow" => drop(stream.read(&mut [0])),
        // Answers once the test says so.
        "when" => {
            let mut seen = lock.lock().expect("lock");
            while !seen.said.contains(rest) {
                seen = changed.wait(seen).expect("lock");
            }
            drop(seen);
            answer(&mut stream, "200 OK", 1);
        }
        // Answers once so many clients are, or were, inside at once.
        "crowd" => {
            let wanted: usize = rest.split('/').next().expect("a number").parse().expect("number");
            let mut seen = lock.lock().expect("lock");
            seen.inside += 1;
            seen.most = seen.most.max(seen.inside);
            changed.notify_all();
            while seen.most < wanted {
                seen = changed.wait(seen).expect("lock");
            }
            drop(seen);
            thread::sleep(std::time::Duration::from_millis(5)); // for others that should not come
            lock.lock().expect("lock").inside -= 1;
            answer(&mut stream, "200 OK", 0);
        }
        other => panic!("no such path: {other}"),
    }
}

/// The path of a GET request.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).expect("UTF-8");
    Some(request.strip_prefix("GET ")?.split(' ').next()?.to_owned())
}

fn answer(stream: &mut TcpStream, status: &str, bytes: usize) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n");
    // A client may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b'x'; bytes]));
}

/// The program with these URLs. None without libcurl.
fn fetcher(name: &str, options: &[&str], urls: &[String]) -> Option<Command> {
    let built = built()?;
    let file = directory(name).join("urls");
    fs::write(&file, urls.join("\n")).expect("a list");
    let mut command = program(&built);
    command.env_remove("http_proxy").env("no_proxy", "*").args(options).arg(file);
    Some(command)
}

/// Runs it; exit code and lines.
fn fetch(name: &str, options: &[&str], urls: &[String]) -> Option<(i32, Vec<String>)> {
    let (code, printed, complaint) = result(&mut fetcher(name, options, urls)?);
    assert_eq!(complaint, "");
    Some((code, printed.lines().map(str::to_owned).collect()))
}

#[test]
fn fetch_urls_tells_status_or_error() {
    let server = Server::start();
    let url = |path: &str| server.url(path);
    let (nobody, odd) = ("http://127.0.0.1:1/".to_owned(), "odd://host/".to_owned());
    let urls = [
        "# a comment, and an empty line".to_owned(),
        String::new(),
        url("/bytes/0"),
        url("/bytes/1000000"),
        url("/fail"),
        url("/missing"),
        url("/drop"),
        url("/cut"),
        url("/nonsense"),
        nobody.clone(),
        odd.clone(),
    ];
    let options = ["--timeout", "1000", "--at-once", "3"];
    let Some((code, lines)) = fetch("fetch_statuses", &options, &urls) else { return };
    assert_eq!(code, 1, "{lines:?}");
    assert_eq!(lines.len(), 9, "{lines:?}");
    let has = |line: String| assert!(lines.contains(&line), "{lines:?} lacks {line:?}");
    has(format!("200         0 {}", url("/bytes/0")));
    has(format!("200   1000000 {}", url("/bytes/1000000")));
    has(format!("500         3 {}", url("/fail")));
    has(format!("404         0 {}", url("/missing")));
    for url in [url("/drop"), url("/cut"), url("/nonsense"), nobody, odd] {
        let start = format!("ERROR {url}: ");
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{lines:?} lacks {start:?}");
    }
}

#[test]
fn fetch_urls_does_not_wait_for_ever() {
    let server = Server::start();
    let urls = [server.url("/slow"), server.url("/slow")];
    let options = ["--timeout", "0.2", "--at-once", "1"];
    let Some((code, lines)) = fetch("fetch_slow", &options, &urls) else { return };
    assert_eq!(code, 1, "{lines:?}");
    assert_eq!(lines, urls.map(|url| format!("ERROR {url}: took too long")));
}

#[test]
fn fetch_urls_prints_each_as_it_ends() {
    let server = Server::start();
    let urls = ["a", "b", "c"].map(|name| server.url(&format!("/when/{name}")));
    let Some(mut command) = fetcher("fetch_order", &["--at-once", "3"], &urls) else { return };
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    // Each line is there before the next answer is given.
    for name in ["c", "a", "b"] {
        let (lock, changed) = &*server.shared;
        lock.lock().expect("lock").said.insert(name.to_owned());
        changed.notify_all();
        let line = lines.next().expect("a line").expect("UTF-8");
        assert_eq!(line, format!("200         1 {}", server.url(&format!("/when/{name}"))));
    }
    assert!(lines.next().is_none());
    assert!(child.wait().expect("an end").success());
}

#[test]
fn fetch_urls_at_most_so_many_at_once() {
    for at_once in [1, 4] {
        let server = Server::start();
        let path = |number| server.url(&format!("/crowd/{at_once}/{number}"));
        let urls: Vec<_> = (0..20).map(path).collect();
        let options = ["--at-once", &at_once.to_string()];
        let Some((code, lines)) = fetch("fetch_crowd", &options, &urls) else { return };
        assert_eq!((code, lines.len()), (0, 20));
        assert_eq!(server.shared.0.lock().expect("lock").most, at_once);
    }
}

#[test]
fn fetch_urls_refuses_bad_arguments() {
    let Some(built) = built() else { return };
    let refuses = |arguments: &[&str], words: &str| {
        let (code, printed, complaint) = result(program(&built).args(arguments));
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint:?} lacks {words:?}");
    };
    refuses(&[], "one FILE is wanted");
    refuses(&["a", "b"], "one FILE is wanted");
    refuses(&["/nowhere/at/all"], "No such file or directory");
    for number in ["0", "-1", "x", "2000", ""] {
        refuses(&["--at-once", number, "/dev/null"], "--at-once");
    }
    for time in ["0", "-1", "x", "1e9"] {
        refuses(&["--timeout", time, "/dev/null"], "--timeout");
    }
    refuses(&["--sideways", "/dev/null"], "usage");
    assert_eq!(succeed(program(&built).arg("/dev/null")), "");
    let help = succeed(program(&built).arg("--help"));
    assert!(help.starts_with("usage: fetch_urls "), "{help}");
}

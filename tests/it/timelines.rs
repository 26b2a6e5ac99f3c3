//! The files that tests/c/timelines.c writes, read as a viewer would.

use crate::json::Json;
use crate::suites;
use std::collections::BTreeMap;
use std::path::Path;

macro_rules! timelines {
    ($($case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                check(&suites::run("timelines", stringify!($case)));
            }
        )+

        #[test]
        fn all_cases_are_run() {
            suites::compare("timelines", &[$(stringify!($case)),+]);
        }
    };
}

timelines!(
    tasks_of_threads,
    names_are_escaped,
    names_of_functions,
    tasks_of_a_loop,
    ends_of_every_kind,
    tasks_of_other_threads,
    tasks_of_processes,
    deaths_and_kills_of_processes,
    attempts_in_processes,
    worker_processes_lack_the_file,
    threads_and_processes_share_a_file,
    file_is_emptied,
    files_that_cannot_be_written,
    disk_that_is_full,
    disk_that_is_full_beside_processes,
    released_only,
    other_processes_are_refused,
);

/// What the case says of its files.
fn check(said: &str) {
    let mut file = None;
    for line in said.lines() {
        if let Some(path) = line.strip_prefix("file ") {
            file = Some(Timeline::read(Path::new(path)));
            continue;
        }
        let (what, count) = line.rsplit_once(' ').expect("a count");
        let count: usize = count.parse().expect("a number");
        let file = file.as_ref().expect("a file first");
        let is = match what.split_once(' ').unwrap_or((what, "")) {
            ("slices", _) => file.slices().count(),
            ("outcome", name) => file.slices().filter(|slice| slice.outcome() == name).count(),
            ("named", name) => file.slices().filter(|slice| slice.name() == name).count(),
            ("marks", name) => {
                let marks = file.marks(name);
                assert!(marks >= count, "{line}, but {marks}");
                continue;
            }
            ("rows", _) => {
                let rows = file.rows().len();
                assert!(rows >= count, "{line}, but {rows}");
                continue;
            }
            _ => panic!("{line}"),
        };
        assert_eq!(is, count, "{line}");
    }
}

/// A file that has been read, and in which each event is as the format has it.
struct Timeline(Vec<Json>);

#[derive(Clone, Copy)]
struct Slice<'a>(&'a Json);

impl Slice<'_> {
    fn name(&self) -> &str {
        self.0.get("name").text()
    }

    fn outcome(&self) -> &str {
        self.0.get("args").get("outcome").text()
    }

    fn row(&self) -> (i64, i64) {
        (self.0.get("pid").number() as i64, self.0.get("tid").number() as i64)
    }

    /// In nanoseconds.
    fn span(&self) -> (u64, u64) {
        let nanoseconds = |key| (self.0.get(key).number() * 1000.0).round() as u64;
        (nanoseconds("ts"), nanoseconds("ts") + nanoseconds("dur"))
    }
}

impl Timeline {
    fn read(path: &Path) -> Timeline {
        let text = std::fs::read_to_string(path).expect("the file, as UTF-8");
        let file = match Json::parse(&text) {
            Ok(file) => file,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        std::fs::remove_file(path).expect("removed");
        let timeline = Timeline(file.list().to_vec());
        timeline.0.iter().for_each(check_event);
        timeline.check_rows();
        timeline
    }

    fn slices(&self) -> impl Iterator<Item = Slice<'_>> {
        self.0.iter().filter(|event| event.get("ph").text() == "X").map(Slice)
    }

    fn marks(&self, name: &str) -> usize {
        let is = |event: &&Json| event.get("ph").text() == "i" && event.get("name").text() == name;
        self.0.iter().filter(is).count()
    }

    /// The slices of each row.
    fn rows(&self) -> BTreeMap<(i64, i64), Vec<Slice<'_>>> {
        let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for slice in self.slices() {
            rows.entry(slice.row()).or_default().push(slice);
        }
        rows
    }

    /// Slices of a row follow one another, or one lies within the other.
    fn check_rows(&self) {
        for slices in self.rows().values_mut() {
            slices.sort_by_key(|slice| (slice.span().0, std::cmp::Reverse(slice.span().1)));
            let mut open: Vec<u64> = Vec::new();
            for slice in slices {
                let (begin, end) = slice.span();
                while open.last().is_some_and(|&outer| outer <= begin) {
                    open.pop();
                }
                assert!(open.last().is_none_or(|&outer| end <= outer), "overlaps: {:?}", slice.0);
                open.push(end);
            }
        }
    }
}

fn check_event(event: &Json) {
    event.get("name").text();
    for key in ["ts", "pid", "tid"] {
        assert!(event.get(key).number() >= 0.0, "{event:?}");
    }
    let has = |keys: &[&str]| keys.iter().for_each(|key| _ = event.get("args").get(key));
    match event.get("ph").text() {
        "X" => {
            assert!(
                event.get("dur").number() >= 0.0 && event.get("ts").number() > 0.0,
                "{event:?}"
            );
            has(&["queued_us", "outcome", "attempt"]);
        }
        "M" if event.get("name").text() == "events_lost" => panic!("{event:?}"),
        "M" => has(&["name"]),
        "C" => has(&["queued", "running"]),
        "i" => assert_eq!(event.get("s").text(), "t"),
        other => panic!("phase {other}"),
    }
}

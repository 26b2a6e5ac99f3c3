//! The manual pages are made from the header: its preface is cfutures(7), and each of its sections
//! a page of section 3, found under the names of its functions. So they say what the header says.

use crate::header;
use crate::support::root;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Page and one line about it, for each section of the header.
const PAGES: &[(&str, &str, &str)] = &[
    ("0", "constants", "constants and statuses"),
    ("13", "keys", "options of executors and tasks, figures"),
    ("1", "types", "handles, and the functions a program gives"),
    ("2", "library", "version, errors, log, end of the library's work"),
    ("3", "executors", "thread pools, process pools, views, loops"),
    ("4", "tasks", "what to run, and how"),
    ("5", "submit", "hand tasks to an executor"),
    ("6", "map", "a function for each of many inputs, and parallel loops"),
    ("7", "futures", "wait for, read and cancel the outcome of a task"),
    ("8", "several", "wait for several futures, completion queues"),
    ("9", "promises", "what a task answers through"),
    ("10", "buffers", "bytes that are handed over, not copied"),
    ("11", "workers", "programs and functions of worker processes"),
    ("12", "blocking", "tasks that block elsewhere"),
];

/// A declaration of the header, and what stands above it.
struct Item {
    doc: Vec<String>,
    code: String,
}

impl Item {
    fn function(&self) -> Option<&str> {
        let code = self.code.strip_prefix("CFUT_API")?;
        code.split('(').next()?.rsplit([' ', '*', '\n']).next()
    }

    /// A function, or the name that a typedef ends with or has in parentheses.
    fn title(&self) -> String {
        if let Some(name) = self.function() {
            return format!("{name}()");
        }
        if let Some((_, rest)) = self.code.split_once("(*") {
            return rest.split(')').next().expect("a name").to_owned();
        }
        let words = self.code.trim_end_matches(';').split_whitespace();
        words.last().expect("a name").to_owned()
    }
}

#[derive(Default)]
struct Section {
    items: Vec<Item>,
    /// Lines of the sections that have only constants.
    constants: Vec<String>,
}

/// What a line says about where a section begins.
fn number_of(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(['/', '*', ' ']).strip_prefix("---- ")?;
    rest.split_once('.').map(|(number, _)| number)
}

fn sections(header: &str) -> BTreeMap<String, Section> {
    let mut found: BTreeMap<String, Section> = BTreeMap::new();
    let mut number = None;
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if let Some(other) = number_of(line) {
            number = Some(other.to_owned());
            continue;
        }
        if line == "/**" {
            let doc: Vec<&str> = lines.by_ref().take_while(|line| *line != " */").collect();
            let mut doc: Vec<String> =
                doc.iter().map(|line| line[2..].trim_start_matches(' ').to_owned()).collect();
            if let Some(other) = number_of(&doc[0]) {
                number = Some(other.to_owned());
                doc.drain(..2);
            }
            let mut code = String::new();
            for line in lines.by_ref() {
                code.push_str(line);
                if line.ends_with(';') {
                    break;
                }
                code.push('\n');
            }
            if let Some(number) = &number {
                let section = found.entry(number.clone()).or_default();
                section.items.push(Item { doc, code });
            }
        } else if matches!(number.as_deref(), Some("0" | "13")) {
            let section = found.entry(number.clone().expect("a section")).or_default();
            section.constants.push(line.to_owned());
        }
    }
    found
}

/// Text as roff has it: hyphens of code are minus signs, and `word` is in italics.
fn escape(line: &str) -> String {
    let mut text = line.replace('\\', "\\e").replace('-', "\\-");
    while let Some((before, after)) = text.split_once('`') {
        let Some((word, after)) = after.split_once('`') else { break };
        text = format!("{before}\\fI{word}\\fR{after}");
    }
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// Paragraphs, parameters, and code, which is indented.
fn roff(lines: &[String]) -> String {
    let mut page = String::new();
    let mut code = false;
    for line in lines {
        if code != line.starts_with("    ") && !line.is_empty() {
            code = !code;
            page.push_str(if code { ".nf\n.RS\n" } else { ".RE\n.fi\n" });
        }
        if code {
            let _ = writeln!(page, "{}", escape(line.strip_prefix("    ").unwrap_or("")));
        } else if line.is_empty() {
            page.push_str(".PP\n");
        } else if let Some(rest) = line.strip_prefix("@param ") {
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let _ = writeln!(page, ".TP\n.I {}\n{}", escape(name), escape(rest));
        } else if let Some(rest) = line.strip_prefix("@return ") {
            let _ = writeln!(page, ".TP\n.B returns\n{}", escape(rest));
        } else if line.starts_with("Thread: ") {
            let _ = writeln!(page, ".PP\n{}", escape(line));
        } else {
            let _ = writeln!(page, "{}", escape(line));
        }
    }
    // .PP before .TP or a heading is one empty line too many.
    for other in [".TP\n", ".PP\n", ".nf\n"] {
        page = page.replace(&format!(".PP\n{other}"), other);
    }
    page
}

fn heading(name: &str, section: u8) -> String {
    format!(
        ".\\\" Made from include/cfutures.h by `make header`; change the doc comments in src/ffi.\n\
         .TH {name} {section} \"\" \"cfutures {}\" \"cfutures\"\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn see_also(own: &str) -> String {
    let mut names = vec!["cfutures\\-worker (1)".to_owned()];
    names.extend(PAGES.iter().map(|page| format!("cfutures\\-{} (3)", page.1)));
    names.push("cfutures (7)".to_owned());
    names.retain(|name| !name.starts_with(&format!("{own} (")));
    let last = names.len() - 1;
    let lines = names.iter().enumerate();
    let lines =
        lines.map(|(at, name)| format!(".BR {name}{}\n", if at < last { " ," } else { "" }));
    format!(".SH SEE ALSO\n{}", lines.collect::<String>())
}

fn page_of(name: &str, about: &str, section: &Section) -> String {
    let own = format!("cfutures\\-{name}");
    let functions: Vec<&str> = section.items.iter().filter_map(Item::function).collect();
    let names: Vec<&str> = std::iter::once(own.as_str()).chain(functions).collect();
    let mut page = heading(&format!("cfutures-{name}"), 3);
    let _ = writeln!(page, ".SH NAME\n{} \\- {}", names.join(",\n"), escape(about));
    page.push_str(".SH SYNOPSIS\n.nf\n.B #include <cfutures.h>\n.sp\n");
    for item in &section.items {
        let code = item.code.strip_prefix("CFUT_API").unwrap_or(&item.code).trim_start();
        for line in code.lines() {
            let _ = writeln!(page, "{}", escape(line));
        }
    }
    page.push_str(".sp\nLink with \\-lcfutures.\n.fi\n.SH DESCRIPTION\n");
    let constants = section.constants.join("\n");
    if !constants.is_empty() {
        page.push_str(".nf\n");
        for line in constants.trim().lines() {
            let _ = writeln!(page, "{}", escape(line));
        }
        page.push_str(".fi\n");
    }
    for item in &section.items {
        let _ = writeln!(page, ".SS {}", escape(&item.title()));
        page.push_str(&roff(&item.doc));
    }
    page + &see_also(&own)
}

/// A paragraph of the preface that begins in capitals begins a section.
fn title_of(line: &str) -> Option<(&str, &str)> {
    let capitals = line.find(|letter: char| !letter.is_ascii_uppercase() && letter != ' ')?;
    let end = if line[capitals..].starts_with('.') {
        capitals
    } else {
        line[..capitals].rfind(' ').unwrap_or(0)
    };
    let title = line[..end].trim();
    (title.len() > 3).then(|| (title, line[end..].trim_start_matches(['.', ' '])))
}

fn model(header: &str) -> String {
    let preface = header.split("THE MODEL").nth(1).expect("the model");
    let preface = preface.split(" */").next().expect("its end");
    let mut page = heading("cfutures", 7);
    page.push_str(".SH NAME\ncfutures \\- thread pools, process pools and futures\n");
    page.push_str(".SH SYNOPSIS\n.B #include <cfutures.h>\n.SH THE MODEL\n");
    let mut lines: Vec<String> = Vec::new();
    for line in preface.lines().skip(1) {
        let line = line.strip_prefix(" *").unwrap_or("");
        let line = line.strip_prefix(' ').unwrap_or(line);
        let begins = lines.last().is_none_or(String::is_empty);
        match title_of(line).filter(|_| begins) {
            Some((title, rest)) => {
                page.push_str(&roff(&lines));
                let _ = writeln!(page, ".SH {title}");
                lines = vec![rest.to_owned()];
            }
            // A table: a word, and what it means.
            None if line.starts_with("  ") && !line.starts_with("    ") => {
                let (word, meaning) = line.trim().split_once(' ').expect("word and meaning");
                page.push_str(&roff(&std::mem::take(&mut lines)));
                let _ = writeln!(page, ".TP\n.B {word}\n{}", escape(meaning.trim()));
            }
            None => lines.push(line.to_owned()),
        }
    }
    page.push_str(&roff(&lines));
    while let Some(rest) = page.strip_suffix(".PP\n") {
        page.truncate(rest.len());
    }
    page.replace(".PP\n.SH", ".SH") + &see_also("cfutures")
}

fn pages() -> Vec<(String, String)> {
    let header = header::generate();
    let sections = sections(&header);
    let known: Vec<&str> = PAGES.iter().map(|page| page.0).collect();
    for number in sections.keys() {
        assert!(known.contains(&number.as_str()), "section {number} of the header has no page");
    }
    let mut all = vec![("cfutures.7".to_owned(), model(&header))];
    for (number, name, about) in PAGES {
        let section = sections.get(*number).unwrap_or_else(|| panic!("no section {number}"));
        all.push((format!("cfutures-{name}.3"), page_of(name, about, section)));
    }
    all
}

/// `CFUT_BLESS=1` (make header) writes them instead.
#[test]
fn manual_pages_are_those_of_the_header() {
    let place = root().join("packaging/man");
    for (name, fresh) in pages() {
        let path = place.join(&name);
        if std::env::var_os("CFUT_BLESS").is_some() {
            std::fs::write(&path, fresh).expect("page written");
            continue;
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == fresh, "{name} is not what src/ffi says; run `make header`");
    }
}

/// Each function of the header is found under its own name.
#[test]
fn every_function_of_the_header_has_a_page() {
    let functions: usize = header::generate().matches("\nCFUT_API").count();
    let pages = pages();
    let names = pages.iter().filter_map(|(_, text)| {
        let names = text.split(".SH NAME\n").nth(1)?.split(" \\- ").next()?;
        Some(names.split(",\n").filter(|name| name.starts_with("cfut_")).count())
    });
    assert_eq!(names.sum::<usize>(), functions);
}

/// By the program that shows them, where there is one.
#[test]
fn pages_are_good_roff() {
    let place = root().join("packaging/man");
    let mut count = 0;
    for entry in std::fs::read_dir(place).expect("packaging/man") {
        let path = entry.expect("an entry").path();
        let mut command = std::process::Command::new("groff");
        let output = command.args(["-man", "-Tutf8", "-ww", "-z"]).arg(&path).output();
        let Ok(output) = output else {
            crate::support::skipped("no groff here: manual pages are not looked at");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", path.display());
        count += 1;
    }
    assert!(count >= PAGES.len() + 2, "only {count} pages");
}

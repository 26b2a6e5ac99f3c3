//! What a command is made of. The environment is that of the host when the command is made.

use crate::error::{Error, Lossy, Result, fail};
use crate::future::outside::Program;
use crate::platform::process;
use crate::transport::entry;
use crate::transport::program::texts;

pub(crate) fn new(program: &[u8]) -> Result<Program> {
    if program.is_empty() {
        return fail!(Invalid, "the program of a command is \"\"");
    }
    let mut words = Vec::new();
    let mut environment = Vec::new();
    push(&mut words, &[program])?;
    for variable in process::environment() {
        if !entry::is_entry(variable) {
            push(&mut environment, &[variable.to_bytes()])?;
        }
    }
    Ok(Program { words, environment, directory: Vec::new() })
}

pub(crate) fn add_argument(program: &mut Program, argument: &[u8]) -> Result<()> {
    push(&mut program.words, &[argument])
}

/// Adds a variable, or changes it.
pub(crate) fn set_variable(program: &mut Program, name: &[u8], value: &[u8]) -> Result<()> {
    if name.is_empty() || name.contains(&b'=') {
        return fail!(
            Invalid,
            "the name of a variable is \"{}\"; it has at least one character, and no '='",
            Lossy(name)
        );
    }
    let mut changed = Vec::new();
    for variable in texts(&program.environment) {
        let rest = variable.to_bytes().strip_prefix(name);
        if !rest.is_some_and(|rest| rest.starts_with(b"=")) {
            push(&mut changed, &[variable.to_bytes()])?;
        }
    }
    push(&mut changed, &[name, b"=", value])?;
    program.environment = changed;
    Ok(())
}

pub(crate) fn set_directory(program: &mut Program, directory: &[u8]) -> Result<()> {
    if directory.is_empty() {
        return fail!(Invalid, "CFUT_TASK_DIRECTORY is \"\"");
    }
    let mut changed = Vec::new();
    push(&mut changed, &[directory])?;
    program.directory = changed;
    Ok(())
}

/// Puts one text, with its NUL, at the end of a list.
fn push(list: &mut Vec<u8>, parts: &[&[u8]]) -> Result<()> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + 1;
    list.try_reserve(length).map_err(|_| Error::no_memory("a command", length))?;
    parts.iter().for_each(|part| list.extend_from_slice(part));
    list.push(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_changed_in_place_of_the_hosts() {
        let mut program = new(b"sh").expect("a program");
        program.environment.clear();
        for (name, value) in [(b"AB", &b"1"[..]), (b"AC", b"2"), (b"AB", b"x=y")] {
            set_variable(&mut program, name, value).expect("set");
        }
        assert_eq!(program.environment, b"AC=2\0AB=x=y\0");
        for name in [&b""[..], b"=", b"A=B"] {
            assert!(set_variable(&mut program, name, b"").is_err());
        }
    }
}

//! How a function is named in another process: by its module and its place there, or by a name.
//!
//! A number stands for each function a pool has seen. A worker is told what the number means
//! before it is first used there.

use crate::error::{Error, Kind, Lossy, Result};
use crate::future::cell::TaskFn;
use crate::platform::module;
use crate::transport::function::FunctionRef;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Without a seed of chance: the keys are the host's own, and the system may refuse chance.
type Map<K> = HashMap<K, u32, BuildHasherDefault<DefaultHasher>>;

pub(super) struct Functions {
    by_address: Map<usize>,
    by_name: Map<Vec<u8>>,
    /// What a worker is told, by number.
    encoded: Vec<Vec<u8>>,
}

/// How a task names its function.
#[derive(Clone, Copy)]
pub(super) enum Name<'a> {
    Function(TaskFn),
    Registered(&'a [u8]),
}

impl Functions {
    pub(super) fn new() -> Functions {
        Functions { by_address: Map::default(), by_name: Map::default(), encoded: Vec::new() }
    }

    pub(super) fn find(&self, name: Name<'_>) -> Option<u32> {
        match name {
            Name::Function(function) => self.by_address.get(&(function as usize)).copied(),
            Name::Registered(text) => self.by_name.get(text).copied(),
        }
    }

    /// Notes what `encode` made.
    pub(super) fn insert(&mut self, name: Name<'_>, encoded: Vec<u8>) -> Result<u32> {
        if let Some(known) = self.find(name) {
            return Ok(known);
        }
        let no_memory = || Error::no_memory("the table of functions", encoded.len());
        let number = self.encoded.len() as u32;
        self.encoded.try_reserve(1).map_err(|_| no_memory())?;
        match name {
            Name::Function(function) => {
                self.by_address.try_reserve(1).map_err(|_| no_memory())?;
                self.by_address.insert(function as usize, number);
            }
            Name::Registered(text) => {
                let mut key = Vec::new();
                key.try_reserve_exact(text.len()).map_err(|_| no_memory())?;
                key.extend_from_slice(text);
                self.by_name.try_reserve(1).map_err(|_| no_memory())?;
                self.by_name.insert(key, number);
            }
        }
        self.encoded.push(encoded);
        Ok(number)
    }

    pub(super) fn encoded(&self, number: u32) -> &[u8] {
        self.encoded.get(number as usize).map_or(&[], Vec::as_slice)
    }
}

/// What a worker is told of a function. `main_is_there`: the workers are this program.
pub(super) fn encode(name: Name<'_>, main_is_there: bool) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let written = match name {
        Name::Registered(text) => FunctionRef::Named(text).encode(&mut bytes),
        Name::Function(function) => {
            let address = function as *const std::ffi::c_void;
            let Some(located) = module::locate(address) else {
                return Err(unreachable_function("it lies in no loaded module"));
            };
            if located.main && !main_is_there {
                return Err(unreachable_function(
                    "it is in the program itself: call cfut_worker_main() at the top of main(), \
                     or put it into a shared object, or register it by name in the worker program",
                ));
            }
            let reference = FunctionRef::Located {
                main: located.main,
                path: located.path.as_bytes(),
                identity: located.identity.as_bytes(),
                offset: located.offset,
            };
            reference.encode(&mut bytes)
        }
    };
    match written {
        Some(()) => Ok(bytes),
        None => match name {
            Name::Registered(text) if text.len() > 4000 => Err(Error::new(
                Kind::NotFound,
                format_args!("no such task: {}", Lossy(&text[..40])),
            )),
            _ => Err(Error::no_memory("the table of functions", 512)),
        },
    }
}

fn unreachable_function(why: &str) -> Error {
    Error::new(
        Kind::NotFound,
        format_args!("the function cannot be reached in a worker process: {why}"),
    )
}

//! The functions that the host has given numbers to.

use super::registry;
use crate::error::{self, Lossy, Result, fail};
use crate::future::cell::TaskFn;
use crate::future::extra::Text;
use crate::platform::module::{self, Identity, Name};
use crate::transport::bytes::Reader;
use crate::transport::function::FunctionRef;
use std::ffi::c_void;

/// What a number means here.
enum Meaning {
    Nothing,
    Function(TaskFn),
    /// It could not be found, and why.
    Missing(Text),
}

/// By number; the host counts from 0.
pub(super) struct Functions(Vec<Meaning>);

/// More are a host gone astray.
const MOST: usize = 1 << 20;

impl Functions {
    pub(super) fn new() -> Functions {
        Functions(Vec::new())
    }

    /// Takes the payload of a DEFINE record in. None: it is none, or there is no memory.
    pub(super) fn define(&mut self, payload: &[u8]) -> Option<()> {
        let mut from = Reader(payload);
        let number = from.u32()? as usize;
        let reference = FunctionRef::decode(&mut from)?;
        if !from.is_empty() || number >= MOST {
            return None;
        }
        if number >= self.0.len() {
            self.0.try_reserve(number + 1 - self.0.len()).ok()?;
            self.0.resize_with(number + 1, || Meaning::Nothing);
        }
        self.0[number] = match resolve(&reference) {
            Ok(function) => Meaning::Function(function),
            Err(_) => Meaning::Missing(error::with_last(Text::copy)?),
        };
        Some(())
    }

    /// None: the number was never defined. Err: why there is no such function here.
    pub(super) fn find(&self, number: u32) -> Option<std::result::Result<TaskFn, &Text>> {
        match self.0.get(number as usize)? {
            Meaning::Nothing => None,
            Meaning::Function(function) => Some(Ok(*function)),
            Meaning::Missing(why) => Some(Err(why)),
        }
    }
}

/// The function as it is known in this process; modules are loaded for it.
pub(super) fn resolve(reference: &FunctionRef<'_>) -> Result<TaskFn> {
    match *reference {
        FunctionRef::Named(name) => registry::resolve(name),
        FunctionRef::Located { main, path, identity, offset } => {
            let (Some(path), Some(identity)) = (Name::copy(path), Identity::from_bytes(identity))
            else {
                return fail!(NotFound, "a function's place is not understood");
            };
            match module::find(main, path.as_c_str(), &identity, offset) {
                // SAFETY: the place of a task function of the host's, in the same build.
                Ok(place) => Ok(unsafe { std::mem::transmute::<*const c_void, TaskFn>(place) }),
                Err(reason) => fail!(NotFound, "{}", Lossy(reason.as_bytes())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::bytes::Sink;

    fn definition(number: u32, name: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.u32(number).expect("memory");
        FunctionRef::Named(name).encode(&mut bytes).expect("memory");
        bytes
    }

    #[test]
    fn numbers_mean_what_was_defined() {
        let mut functions = Functions::new();
        functions.define(&definition(3, b"libc.so.6:getpid")).expect("a definition");
        functions.define(&definition(1, b"no such name")).expect("a definition");
        assert!(matches!(functions.find(3), Some(Ok(_))));
        let why = functions.find(1).expect("defined").expect_err("missing");
        assert!(why.as_bytes().windows(12).any(|part| part == b"no such name"));
        for unknown in [0, 2, 4, u32::MAX] {
            assert!(functions.find(unknown).is_none());
        }
        assert!(functions.define(&definition(u32::MAX, b"x")).is_none());
        assert!(functions.define(b"ab").is_none());
    }
}

//! How a function is named to another process.

use super::bytes::{Reader, Sink};

/// The longest registered name or "module:symbol".
pub(crate) const NAME_LIMIT: usize = 4096 + 512;
/// The longest path of a module.
pub(crate) const PATH_LIMIT: usize = 4096;
/// The longest identity of a module.
pub(crate) const IDENTITY_LIMIT: usize = 64;

/// A reference that another process can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionRef<'a> {
    /// A registered name, or "module:symbol".
    Named(&'a [u8]),
    /// A place in a module that both processes can load.
    Located {
        /// The module is the program itself.
        main: bool,
        path: &'a [u8],
        /// What tells this module from another of its path; `platform::module` makes sense of it.
        identity: &'a [u8],
        offset: u64,
    },
}

const NAMED: u32 = 1;
const LOCATED: u32 = 2;

impl<'a> FunctionRef<'a> {
    /// Appends the reference. None: no room, or a part is empty where it may not be, or too long.
    pub(crate) fn encode(&self, out: &mut impl Sink) -> Option<()> {
        match *self {
            FunctionRef::Named(name) => {
                out.u32(NAMED)?;
                out.counted(text(name)?, NAME_LIMIT)
            }
            FunctionRef::Located { main, path, identity, offset } => {
                out.u32(LOCATED)?;
                out.u32(main.into())?;
                out.u64(offset)?;
                out.counted(identity, IDENTITY_LIMIT)?;
                out.counted(text(path)?, PATH_LIMIT)
            }
        }
    }

    /// Takes a reference from the front.
    pub(crate) fn decode(from: &mut Reader<'a>) -> Option<FunctionRef<'a>> {
        match from.u32()? {
            NAMED => Some(FunctionRef::Named(text(from.counted(NAME_LIMIT)?)?)),
            LOCATED => {
                let main = match from.u32()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                let offset = from.u64()?;
                let identity = from.counted(IDENTITY_LIMIT)?;
                let path = text(from.counted(PATH_LIMIT)?)?;
                Some(FunctionRef::Located { main, path, identity, offset })
            }
            _ => None,
        }
    }
}

/// C would take a text with a NUL for a shorter one, and an empty one for nothing.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty() && !bytes.contains(&0)).then_some(bytes)
}

//! Which areas of this process the host has been told of.
//!
//! | made by | for | told | free again | end |
//! |---|---|---|---|---|
//! | `pool` | results of tasks | before the first record that names it | the host says so | `AreaPool` |
//! | the user | a shared buffer that a task answers with | as above | never used again | DEAD, when the user and the host have no use for it |
//!
//! An area of the user's is declared dead only when the host has read all results: it looks for
//! an area that a result names after it has read the result.

use crate::future::buffer::BufferRef;
use crate::platform::Errno;
use crate::platform::area::Area;
use crate::platform::fd::Fd;
use crate::shared::Shared;
use crate::transport::areas::AreaPool;

pub(super) struct Areas {
    pool: AreaPool,
    /// Areas of `pool` that the host does not know: number and descriptor.
    untold: Vec<(u64, Fd)>,
    /// Areas of the user's that the host knows.
    lent: Vec<Shared<Area>>,
}

impl Areas {
    pub(super) fn new() -> Areas {
        Areas { pool: AreaPool::new(), untold: Vec::new(), lent: Vec::new() }
    }

    /// An area for a result, as a buffer; `visible` as in `BufferRef::of_area`.
    pub(super) fn take(&mut self, size: usize, visible: bool) -> Result<BufferRef, Errno> {
        let no_memory = Errno(libc::ENOMEM);
        self.untold.try_reserve(1).map_err(|_| no_memory)?;
        let taken = self.pool.take(size)?;
        if let Some(descriptor) = taken.descriptor {
            self.untold.push((taken.area.id(), descriptor));
        }
        let area = taken.area.clone();
        let buffer = BufferRef::of_area(taken.area, None, size, visible);
        if buffer.is_none() {
            area.mark_free();
        }
        buffer.ok_or(no_memory)
    }

    /// Has `tell` send the descriptor of a buffer's area, unless the host has it; afterwards a
    /// record may name it, and the host says when it is free.
    pub(super) fn hand_over(
        &mut self,
        buffer: &BufferRef,
        area: &Shared<Area>,
        tell: impl FnOnce(u64, &Fd) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let number = area.id();
        if let Some(place) = self.untold.iter().position(|untold| untold.0 == number) {
            tell(number, &self.untold[place].1)?;
            self.untold.swap_remove(place);
        } else if buffer.is_of_the_user() && !self.lent.iter().any(|lent| lent.id() == number) {
            self.lent.try_reserve(1).map_err(|_| Errno(libc::ENOMEM))?;
            tell(number, buffer.area_fd().ok_or(Errno(libc::EBADF))?)?;
            self.lent.push(area.clone());
        }
        buffer.hand_area_over();
        Ok(())
    }

    /// Lets go of what is not needed. `all_read`: the host has read every result.
    pub(super) fn trim(&mut self, all_read: bool) {
        self.pool.trim();
        if all_read {
            self.lent.retain_mut(|area| {
                let needed = area.get_mut().is_none();
                if !needed {
                    area.mark_dead();
                }
                needed
            });
        }
    }
}

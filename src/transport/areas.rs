//! The areas of one link: those that this side makes, and those that it has been sent.
//!
//! One of each for each direction of each link: an area is never shown to two workers, so one
//! that has gone astray cannot write into another's data.

use crate::platform::Errno;
use crate::platform::area::Area;
use crate::platform::fd::Fd;
use crate::shared::Shared;

/// The smallest area; others are powers of two times this, up to `LARGEST`.
const SMALLEST: usize = 16 * 1024;
/// Areas above this are made to measure, and not kept.
const LARGEST: usize = 64 * 1024 * 1024;
/// As much is kept for later.
const KEPT: usize = 64 * 1024 * 1024;
/// As many areas may be known of the other side: each is a mapping of this process.
const MOST_KNOWN: usize = 16 * 1024;
/// As many areas are looked at for a free one before a new one is made.
const LOOKS: usize = 64;

/// The creator's side.
#[derive(Default)]
pub(crate) struct AreaPool {
    /// All that are not dead, in use or free.
    areas: Vec<Shared<Area>>,
    /// Where the next search begins.
    cursor: usize,
    /// So many areas call for the next `trim`.
    trim_at: usize,
}

/// An area to write into.
pub(crate) struct Taken {
    pub(crate) area: Shared<Area>,
    /// The reader does not know the area: this goes to it before the record that names it.
    pub(crate) descriptor: Option<Fd>,
}

impl AreaPool {
    pub(crate) const fn new() -> AreaPool {
        AreaPool { areas: Vec::new(), cursor: 0, trim_at: 0 }
    }

    /// An area of at least `size` bytes, in use. What it holds is left over from earlier data.
    pub(crate) fn take(&mut self, size: usize) -> Result<Taken, Errno> {
        let class = class_of(size);
        if let Some(area) = self.find_free(class) {
            return Ok(Taken { area, descriptor: None });
        }
        if self.areas.len() >= self.trim_at {
            self.trim();
            self.trim_at = (self.areas.len() * 2).max(LOOKS);
        }
        self.areas.try_reserve(1).map_err(|_| Errno(libc::ENOMEM))?;
        let (area, fd) = Area::create(class)?;
        let area = Shared::try_new(area).ok_or(Errno(libc::ENOMEM))?;
        self.areas.push(area.clone());
        Ok(Taken { area, descriptor: Some(fd) })
    }

    fn find_free(&mut self, class: usize) -> Option<Shared<Area>> {
        for _ in 0..self.areas.len().min(LOOKS) {
            self.cursor = (self.cursor + 1) % self.areas.len();
            let area = &self.areas[self.cursor];
            if area.size() == class && area.is_free() {
                area.reuse();
                return Some(area.clone());
            }
        }
        None
    }

    /// The reader has never heard of this area: neither its descriptor nor a record that
    /// names it was sent.
    pub(crate) fn take_back(&mut self, area: &Shared<Area>) {
        area.mark_dead();
        self.areas.retain(|kept| kept.id() != area.id());
    }

    /// Gives up free areas beyond what is kept, and those too large to be kept.
    pub(crate) fn trim(&mut self) {
        let mut kept = 0;
        self.areas.retain(|area| {
            if !area.is_free() {
                return true;
            }
            let keep = area.size() <= LARGEST && kept + area.size() <= KEPT;
            if keep {
                kept += area.size();
            } else {
                area.mark_dead();
            }
            keep
        });
    }
}

impl Drop for AreaPool {
    fn drop(&mut self) {
        // Those in use are still to be read: a record that names one may be on its way.
        for area in self.areas.iter().filter(|area| area.is_free()) {
            area.mark_dead();
        }
    }
}

fn class_of(size: usize) -> usize {
    if size > LARGEST { size } else { size.max(SMALLEST).next_power_of_two() }
}

/// The reader's side.
#[derive(Default)]
pub(crate) struct AreaCache {
    /// By number.
    areas: Vec<Shared<Area>>,
    /// Numbers of areas that were dead when this side last found its ring empty.
    noted: Vec<u64>,
}

impl AreaCache {
    pub(crate) const fn new() -> AreaCache {
        AreaCache { areas: Vec::new(), noted: Vec::new() }
    }

    /// The area that the other side has sent under this number.
    pub(crate) fn get(&self, id: u64) -> Option<&Shared<Area>> {
        let place = self.areas.binary_search_by_key(&id, |area| area.id());
        place.ok().map(|place| &self.areas[place])
    }

    /// Takes an area in. EPROTO for one that is none, or has a number that is known or 0: the
    /// sender has gone astray. ENOBUFS where this process keeps too many of them, ENOMEM
    /// without memory: the record that names it cannot be read.
    pub(crate) fn insert(&mut self, fd: Fd, id: u64) -> Result<(), Errno> {
        let place = match self.areas.binary_search_by_key(&id, |area| area.id()) {
            Err(place) if id != 0 => place,
            _ => return Err(Errno(libc::EPROTO)),
        };
        if self.areas.len() >= MOST_KNOWN {
            return Err(Errno(libc::ENOBUFS));
        }
        self.areas.try_reserve(1).map_err(|_| Errno(libc::ENOMEM))?;
        let area = Area::adopt(fd, id)?;
        self.areas.insert(place, Shared::try_new(area).ok_or(Errno(libc::ENOMEM))?);
        Ok(())
    }

    /// Forgets areas that the creator has given up, where it does that only after their use here is
    /// over: an argument's lasts until its task has been answered.
    pub(crate) fn sweep(&mut self) {
        self.areas.retain(|area| !area.is_dead());
    }

    /// The same where it may give an area up whose record has not been read yet. Called when the
    /// ring of records has just been found empty: what was dead at the call before had its record
    /// in the ring by then, and that has been read since.
    pub(crate) fn sweep_read(&mut self) {
        if self.areas.is_empty() {
            return;
        }
        if !self.noted.is_empty() {
            let noted = std::mem::take(&mut self.noted);
            self.areas.retain(|area| !noted.contains(&area.id()));
            self.noted = noted;
            self.noted.clear();
        }
        for area in &self.areas {
            // Without memory it is noted another time.
            if area.is_dead() && self.noted.try_reserve(1).is_ok() {
                self.noted.push(area.id());
            }
        }
    }
}

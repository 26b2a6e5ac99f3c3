//! What a pool tells its supervisor and its workers once: written by the host into sealed memory,
//! read in place by both.

use super::bytes::{Reader, Sink};
use super::function::FunctionRef;
use super::link::PROTOCOL;
use crate::platform::Errno;
use crate::platform::fd::Fd;
use crate::platform::shm::Shm;
use std::ffi::CStr;

/// The longest text: as long as the kernel lets an argument or a variable be.
const TEXT: usize = 128 * 1024;
/// The longest list.
const LIST: u32 = 64 * 1024;
/// The most data of an initializer.
pub(crate) const DATA_LIMIT: usize = 1 << 30;

/// How a supervisor makes workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum StartMethod {
    ForkServer = 1,
    Spawn = 2,
}

/// What every worker runs before its first task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Initializer<'a> {
    pub(crate) function: FunctionRef<'a>,
    pub(crate) data: &'a [u8],
}

/// Texts one after the other; counts and bounds were checked when it was decoded.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'a> {
    count: u32,
    rest: Reader<'a>,
}

/// What is told. A limit of 0 is none.
#[derive(Clone, Copy)]
pub(crate) struct WorkerConfig<'a> {
    pub(crate) name: &'a CStr,
    pub(crate) start_method: StartMethod,
    pub(crate) depth: u32,
    pub(crate) nice: Option<i32>,
    /// What becomes of the workers' standard streams: a number of `process_pool`.
    pub(crate) output: u32,
    /// Bytes of address space.
    pub(crate) memory_limit: u64,
    /// Seconds of processor time.
    pub(crate) cpu_limit: u64,
    /// Bytes of resident memory after which a worker is replaced.
    pub(crate) rss_limit: u64,
    /// How long a worker looks for a task before it sleeps.
    pub(crate) spin_ns: u64,
    pub(crate) initializer: Option<Initializer<'a>>,
    /// The worker program.
    pub(crate) program: &'a CStr,
    /// Modules that the supervisor loads before it makes workers.
    pub(crate) preload: Texts<'a>,
    /// Arguments and complete environment of an exec'd worker.
    pub(crate) argv: Texts<'a>,
    pub(crate) envp: Texts<'a>,
}

const MAGIC: u32 = 0x6366_4346; // "cfCF"

impl<'a> WorkerConfig<'a> {
    /// The config in sealed memory, to be sent along with `Start`. ENOMEM without memory; E2BIG
    /// where a text or list is too long.
    pub(crate) fn store(&self) -> Result<Fd, Errno> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes)?;
        Shm::frozen(c"cfutures-config", &bytes)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), Errno> {
        let size = self.size().ok_or(Errno(libc::E2BIG))?;
        out.try_reserve(size).map_err(|_| Errno(libc::ENOMEM))?;
        self.write(out).ok_or(Errno(libc::E2BIG))
    }

    /// Bytes that are enough.
    fn size(&self) -> Option<usize> {
        let mut size = 1024usize;
        let texts = [self.preload, self.argv, self.envp];
        let fixed = [self.name, self.program].map(|text| text.to_bytes_with_nul().len());
        let lists = texts.map(|texts| texts.rest.0.len());
        for part in fixed.into_iter().chain(lists) {
            size = size.checked_add(part)?;
        }
        match self.initializer {
            None => Some(size),
            Some(initializer) => size.checked_add(initializer.data.len())?.checked_add(16 * 1024),
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        out.u32(MAGIC)?;
        out.u32(PROTOCOL)?;
        out.u32(self.start_method as u32)?;
        out.u32(self.depth)?;
        out.u32(self.nice.is_some().into())?;
        out.i32(self.nice.unwrap_or(0))?;
        out.u32(self.output)?;
        out.u64(self.memory_limit)?;
        out.u64(self.cpu_limit)?;
        out.u64(self.rss_limit)?;
        out.u64(self.spin_ns)?;
        out.c_text(self.name, TEXT)?;
        out.c_text(self.program, TEXT)?;
        for texts in [self.preload, self.argv, self.envp] {
            out.u32(texts.count)?;
            out.put(texts.rest.0)?;
        }
        out.u32(self.initializer.is_some().into())?;
        if let Some(Initializer { function, data }) = self.initializer {
            function.encode(out)?;
            out.counted(data, DATA_LIMIT)?;
        }
        Some(())
    }

    /// The config in memory that the host has sent: keep `shm` as long as it is used.
    pub(crate) fn open(shm: &'a Shm) -> Option<WorkerConfig<'a>> {
        // SAFETY: mapped as long as `shm` is borrowed. Nobody writes there: it is sealed, or,
        // without seals, the host is done with it.
        let bytes = unsafe { std::slice::from_raw_parts(shm.address().as_ptr(), shm.size()) };
        WorkerConfig::decode(bytes)
    }

    /// None: no config of this protocol.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<WorkerConfig<'a>> {
        let mut from = Reader(bytes);
        if from.u32()? != MAGIC || from.u32()? != PROTOCOL {
            return None;
        }
        let start_method = match from.u32()? {
            1 => StartMethod::ForkServer,
            2 => StartMethod::Spawn,
            _ => return None,
        };
        let depth = from.u32()?;
        let (has_nice, nice) = (flag(&mut from)?, from.i32()?);
        let config = WorkerConfig {
            start_method,
            depth,
            nice: has_nice.then_some(nice),
            output: from.u32()?,
            memory_limit: from.u64()?,
            cpu_limit: from.u64()?,
            rss_limit: from.u64()?,
            spin_ns: from.u64()?,
            name: from.c_text(TEXT)?,
            program: from.c_text(TEXT)?,
            preload: Texts::take(&mut from)?,
            argv: Texts::take(&mut from)?,
            envp: Texts::take(&mut from)?,
            initializer: if flag(&mut from)? {
                let function = FunctionRef::decode(&mut from)?;
                Some(Initializer { function, data: from.counted(DATA_LIMIT)? })
            } else {
                None
            },
        };
        from.is_empty().then_some(config)
    }
}

fn flag(from: &mut Reader<'_>) -> Option<bool> {
    match from.u32()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

impl<'a> Texts<'a> {
    #[cfg(test)]
    pub(crate) const NONE: Texts<'static> = Texts { count: 0, rest: Reader(&[]) };

    /// `texts`, put into `memory` one after the other. ENOMEM without memory; E2BIG where one
    /// or their number is too large.
    pub(crate) fn collect<'t>(
        texts: impl IntoIterator<Item = &'t CStr>,
        memory: &'a mut Vec<u8>,
    ) -> Result<Texts<'a>, Errno> {
        let mut count = 0;
        memory.clear();
        for text in texts {
            let length = text.to_bytes_with_nul().len();
            if length > TEXT || count == LIST {
                return Err(Errno(libc::E2BIG));
            }
            memory.c_text(text, TEXT).ok_or(Errno(libc::ENOMEM))?;
            count += 1;
        }
        Ok(Texts { count, rest: Reader(memory) })
    }

    fn take(from: &mut Reader<'a>) -> Option<Texts<'a>> {
        let count = from.u32()?;
        if count > LIST {
            return None;
        }
        let begin = from.0;
        for _ in 0..count {
            from.c_text(TEXT)?;
        }
        let length = begin.len() - from.0.len();
        Some(Texts { count, rest: Reader(&begin[..length]) })
    }

    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        self.count = self.count.checked_sub(1)?;
        self.rest.c_text(TEXT)
    }
}

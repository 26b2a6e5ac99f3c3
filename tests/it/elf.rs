//! As much of the ELF format as the tests ask for: 64 bits, little endian, see `elf(5)`.
//! Everything is found by way of the program headers, as the dynamic linker does it.

use std::path::Path;

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_GNU_STACK: u32 = 0x6474_e551;
pub(crate) const PT_GNU_RELRO: u32 = 0x6474_e552;
const PT_DYNAMIC: u32 = 2;

pub(crate) const PF_X: u32 = 1;
pub(crate) const PF_W: u32 = 2;

pub(crate) const DT_NEEDED: u64 = 1;
pub(crate) const DT_SONAME: u64 = 14;
pub(crate) const DT_RPATH: u64 = 15;
pub(crate) const DT_TEXTREL: u64 = 22;
pub(crate) const DT_RUNPATH: u64 = 29;
pub(crate) const DT_FLAGS: u64 = 30;
pub(crate) const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DT_VERNEEDNUM: u64 = 0x6fff_ffff;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

pub(crate) const DF_TEXTREL: u64 = 4;
pub(crate) const DF_1_NODELETE: u64 = 8;

/// A function, and who may see it: `STT_FUNC`, `STB_GLOBAL`, `STV_DEFAULT`.
pub(crate) const GLOBAL_FUNCTION: (u8, u8) = (1 << 4 | 2, 0);

pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    offset: usize,
    address: u64,
    size: usize,
}

/// A name that the object defines for others.
pub(crate) struct Symbol {
    pub(crate) name: String,
    /// `st_info` and the visibility of `st_other`.
    pub(crate) kind: (u8, u8),
}

pub(crate) struct Object {
    bytes: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
    dynamic: Vec<(u64, u64)>,
}

impl Object {
    pub(crate) fn read(path: &Path) -> Object {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(bytes.starts_with(b"\x7fELF\x02\x01"), "{path:?} is no 64-bit little-endian ELF");
        let mut object = Object { bytes, segments: Vec::new(), dynamic: Vec::new() };
        let table = object.number(32, 8) as usize;
        let (size, count) = (object.number(54, 2) as usize, object.number(56, 2) as usize);
        object.segments = (0..count).map(|place| object.segment(table + place * size)).collect();
        object.dynamic = object.dynamic_section();
        object
    }

    fn number(&self, at: usize, size: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.bytes[at..at + size]);
        u64::from_le_bytes(bytes)
    }

    fn segment(&self, at: usize) -> Segment {
        Segment {
            kind: self.number(at, 4) as u32,
            flags: self.number(at + 4, 4) as u32,
            offset: self.number(at + 8, 8) as usize,
            address: self.number(at + 16, 8),
            size: self.number(at + 32, 8) as usize,
        }
    }

    fn dynamic_section(&self) -> Vec<(u64, u64)> {
        let found = self.segments.iter().find(|segment| segment.kind == PT_DYNAMIC);
        let section = found.expect("no dynamic section");
        (section.offset..section.offset + section.size)
            .step_by(16)
            .map(|at| (self.number(at, 8), self.number(at + 8, 8)))
            .take_while(|&(tag, _)| tag != 0)
            .collect()
    }

    /// Where in the file the byte at a virtual address stands.
    fn offset(&self, address: u64) -> usize {
        let holds = |segment: &&Segment| {
            segment.kind == PT_LOAD
                && (segment.address..segment.address + segment.size as u64).contains(&address)
        };
        let segment = self.segments.iter().find(holds).expect("an address in no segment");
        segment.offset + (address - segment.address) as usize
    }

    fn text(&self, at: usize) -> String {
        let end = self.bytes[at..].iter().position(|&byte| byte == 0).expect("a NUL");
        String::from_utf8_lossy(&self.bytes[at..at + end]).into_owned()
    }

    /// The value of a tag of the dynamic section that stands there once or not at all.
    pub(crate) fn tag(&self, wanted: u64) -> Option<u64> {
        self.dynamic.iter().find(|&&(tag, _)| tag == wanted).map(|&(_, value)| value)
    }

    /// All values of a tag, as texts.
    pub(crate) fn texts(&self, wanted: u64) -> Vec<String> {
        let strings = self.offset(self.tag(DT_STRTAB).expect("string table"));
        let values = self.dynamic.iter().filter(|&&(tag, _)| tag == wanted);
        values.map(|&(_, value)| self.text(strings + value as usize)).collect()
    }

    /// The symbols of the dynamic table that stand for something in this object.
    pub(crate) fn exports(&self) -> Vec<Symbol> {
        let table = self.offset(self.tag(DT_SYMTAB).expect("symbol table"));
        let strings = self.offset(self.tag(DT_STRTAB).expect("string table"));
        let defined = (1..self.symbol_count()).map(|place| table + place * 24).filter(|&at| {
            let (local, section) = (self.bytes[at + 4] >> 4 == 0, self.number(at + 6, 2));
            !local && section != 0
        });
        defined
            .map(|at| Symbol {
                name: self.text(strings + self.number(at, 4) as usize),
                kind: (self.bytes[at + 4], self.bytes[at + 5] & 3),
            })
            .collect()
    }

    /// The symbol versions that the object wants of other objects: `GLIBC_2.34`.
    pub(crate) fn wanted_versions(&self) -> Vec<String> {
        let strings = self.offset(self.tag(DT_STRTAB).expect("string table"));
        let Some(first) = self.tag(DT_VERNEED) else { return Vec::new() };
        let (mut file, mut found) = (self.offset(first), Vec::new());
        for _ in 0..self.tag(DT_VERNEEDNUM).unwrap_or(0) {
            let mut version = file + self.number(file + 8, 4) as usize;
            for _ in 0..self.number(file + 2, 2) {
                found.push(self.text(strings + self.number(version + 8, 4) as usize));
                version += self.number(version + 12, 4) as usize;
            }
            file += self.number(file + 12, 4) as usize;
        }
        found
    }

    /// No header says how long the table is; the hash tables do.
    fn symbol_count(&self) -> usize {
        if let Some(hash) = self.tag(DT_HASH) {
            return self.number(self.offset(hash) + 4, 4) as usize;
        }
        let hash = self.offset(self.tag(DT_GNU_HASH).expect("a hash table"));
        let [buckets, first, bloom] = [0, 4, 8].map(|at| self.number(hash + at, 4) as usize);
        let chains = hash + 16 + bloom * 8;
        let starts = (0..buckets).map(|place| self.number(chains + place * 4, 4) as usize);
        let Some(mut last) = starts.max().filter(|&start| start >= first) else { return first };
        // A chain ends with an entry whose lowest bit is set.
        while self.number(chains + (buckets + last - first) * 4, 4) & 1 == 0 {
            last += 1;
        }
        last + 1
    }
}

//! Reads a bbolt file, the database of the Go core, without writing to it.
//!
//! A bbolt file is a sequence of pages. Two of them are meta pages: the valid one with the higher transaction ID names the
//! root bucket. A bucket is a B+ tree of branch and leaf pages, or a single page inside the value that names it.
//!
//! The file comes from outside, so nothing in it is trusted: every offset, count and page number is checked, keys must be in
//! order, no page may be reached twice, and what one read may cost is limited. Pages are read one at a time; a file of a
//! gigabyte takes no more memory than a small one.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const PAGE_HEADER: usize = 16;
const META_LENGTH: usize = 64;
const ELEMENT: usize = 16;
const BUCKET_HEADER: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const BUCKET_VALUE: u32 = 0x01;

/// A page with its overflow pages; no record that is read here comes near this.
const LARGEST_PAGE: u64 = 16 << 20;
/// Everything that one bucket may cost.
const MOST_BYTES: u64 = 256 << 20;
const MOST_PAGES: usize = 100_000;
const DEEPEST: usize = 32;

/// A file, or bytes in memory.
pub trait ReadAt {
    /// Length in bytes.
    ///
    /// # Errors
    /// The length could not be read.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from this offset on.
    ///
    /// # Errors
    /// The bytes could not be read; `UnexpectedEof` if they lie past the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = std::os::windows::fs::FileExt::seek_read(self, buffer, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset += read as u64;
            buffer = buffer.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Why a file could not be read as a bbolt database.
#[derive(Debug, thiserror::Error)]
pub enum BoltError {
    #[error("could not read it: {0}")]
    Io(#[from] io::Error),
    #[error("it is not a bbolt database")]
    NotBolt,
    #[error("its format version is {0}, and only version {VERSION} is known")]
    UnknownVersion(u32),
    #[error("it is truncated: {length} bytes, expected at least {expected}")]
    Truncated { length: u64, expected: u64 },
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("reading it would take too long: {0}")]
    TooLarge(String),
}

/// The valid meta page with the higher transaction ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meta {
    page_size: u64,
    root: u64,
    /// One more than the last page in use.
    high_water: u64,
    transaction: u64,
}

/// An open database.
#[derive(Debug)]
pub struct Bolt<R> {
    source: R,
    meta: Meta,
}

/// What is called for every key of a bucket, in order: `None` for the value of a key that is a bucket itself.
type Visitor<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> ControlFlow<()> + 'a;

impl<R: ReadAt> Bolt<R> {
    /// Reads the meta pages.
    ///
    /// # Errors
    /// [`BoltError`].
    pub fn open(source: R) -> Result<Bolt<R>, BoltError> {
        let meta = newest_meta(&source)?;
        let length = source.length()?;
        let expected = meta.high_water.saturating_mul(meta.page_size);
        if length < expected {
            return Err(BoltError::Truncated { length, expected });
        }
        Ok(Bolt { source, meta })
    }

    /// The transaction that wrote what is read. It rises with every change.
    pub fn transaction(&self) -> u64 {
        self.meta.transaction
    }

    /// Whether no transaction has been committed since the file was opened.
    ///
    /// bbolt never writes to a page that the newest transaction uses. So if the newest transaction is still the one that was
    /// opened, everything read so far is consistent, even if another process has the file open for writing.
    ///
    /// # Errors
    /// [`BoltError`].
    pub fn is_current(&self) -> Result<bool, BoltError> {
        Ok(newest_meta(&self.source)? == self.meta)
    }

    /// The names of all top-level buckets.
    ///
    /// # Errors
    /// [`BoltError`].
    pub fn buckets(&self) -> Result<Vec<Vec<u8>>, BoltError> {
        let mut names = Vec::new();
        self.walk_root(&mut |name, value, _| {
            if value.is_none() {
                names.push(name.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(names)
    }

    /// Visits the keys of a top-level bucket until the visitor breaks. `false` if there is no such bucket.
    ///
    /// # Errors
    /// [`BoltError`]; what was visited before it may be incomplete.
    pub fn visit(&self, bucket: &[u8], visitor: &mut Visitor<'_>) -> Result<bool, BoltError> {
        let mut found = None;
        self.walk_root(&mut |name, value, raw| {
            if name != bucket {
                return Ok(ControlFlow::Continue(()));
            }
            if value.is_some() {
                return Err(damaged(format!("`{}` is not a bucket", String::from_utf8_lossy(bucket))));
            }
            found = Some(raw.to_vec());
            Ok(ControlFlow::Break(()))
        })?;
        let Some(raw) = found else { return Ok(false) };
        let mut each = |key: &[u8], value: Option<&[u8]>, _: &[u8]| Ok(visitor(key, value));
        let mut walk = Walk::new(self, &mut each);
        match u64_at(&raw, 0)? {
            0 => {
                let page = raw.get(BUCKET_HEADER..).ok_or_else(|| damaged("an inline bucket without a page"))?;
                walk.leaf(page).map(drop)?;
            }
            root => walk.page(root, 0).map(drop)?,
        }
        Ok(true)
    }

    fn walk_root(&self, each: &mut Each<'_>) -> Result<(), BoltError> {
        Walk::new(self, each).page(self.meta.root, 0).map(drop)
    }

    /// One page with its overflow pages.
    fn read_page(&self, number: u64, budget: &mut u64) -> Result<Vec<u8>, BoltError> {
        if number < 2 || number >= self.meta.high_water {
            return Err(damaged(format!("page {number} does not exist")));
        }
        let offset = number * self.meta.page_size;
        let mut header = [0; PAGE_HEADER];
        self.source.read_at(offset, &mut header)?;
        if u64_at(&header, 0)? != number {
            return Err(damaged(format!("page {number} has another number")));
        }
        let pages = u64::from(u32_at(&header, 12)?) + 1;
        if pages > self.meta.high_water - number {
            return Err(damaged(format!("page {number} continues past the end")));
        }
        let length = pages * self.meta.page_size;
        if length > LARGEST_PAGE || length > *budget {
            return Err(BoltError::TooLarge(format!("page {number} has {length} bytes")));
        }
        *budget -= length;
        let mut page = vec![0; usize::try_from(length).map_err(|_| damaged("a page is too large"))?];
        self.source.read_at(offset, &mut page)?;
        Ok(page)
    }
}

/// Key, value (`None` for a bucket), and the bytes behind the key.
type Each<'a> = dyn FnMut(&[u8], Option<&[u8]>, &[u8]) -> Result<ControlFlow<()>, BoltError> + 'a;

/// One traversal of a tree, with what it may still cost.
struct Walk<'a, 'b, R> {
    bolt: &'a Bolt<R>,
    each: &'a mut Each<'b>,
    seen: HashSet<u64>,
    budget: u64,
    last_key: Option<Vec<u8>>,
}

impl<'a, 'b, R: ReadAt> Walk<'a, 'b, R> {
    fn new(bolt: &'a Bolt<R>, each: &'a mut Each<'b>) -> Walk<'a, 'b, R> {
        Walk {
            bolt,
            each,
            seen: HashSet::new(),
            budget: MOST_BYTES,
            last_key: None,
        }
    }

    fn page(&mut self, number: u64, depth: usize) -> Result<ControlFlow<()>, BoltError> {
        if depth > DEEPEST || !self.seen.insert(number) {
            return Err(damaged(format!("page {number} is reached in a circle")));
        }
        if self.seen.len() > MOST_PAGES {
            return Err(BoltError::TooLarge(format!("more than {MOST_PAGES} pages")));
        }
        let page = self.bolt.read_page(number, &mut self.budget)?;
        match u16_at(&page, 8)? {
            LEAF => self.leaf(&page),
            BRANCH => self.branch(&page, depth),
            flags => Err(damaged(format!("page {number} has the unexpected type {flags:#x}"))),
        }
    }

    fn branch(&mut self, page: &[u8], depth: usize) -> Result<ControlFlow<()>, BoltError> {
        let count = usize::from(u16_at(page, 10)?);
        if count == 0 {
            return Err(damaged("a branch page without branches"));
        }
        for index in 0..count {
            let child = u64_at(page, PAGE_HEADER + index * ELEMENT + 8)?;
            if self.page(child, depth + 1)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn leaf(&mut self, page: &[u8]) -> Result<ControlFlow<()>, BoltError> {
        if u16_at(page, 8)? != LEAF {
            return Err(damaged("an inline bucket is not a leaf page"));
        }
        for index in 0..usize::from(u16_at(page, 10)?) {
            let element = PAGE_HEADER + index * ELEMENT;
            let is_bucket = u32_at(page, element)? & BUCKET_VALUE != 0;
            let start = element.saturating_add(size_at(page, element + 4)?);
            let middle = start.saturating_add(size_at(page, element + 8)?);
            let end = middle.saturating_add(size_at(page, element + 12)?);
            let outside = || damaged("a record lies outside its page");
            let key = page.get(start..middle).ok_or_else(outside)?;
            let value = page.get(middle..end).ok_or_else(outside)?;
            if self.last_key.as_deref().is_some_and(|last| last >= key) {
                return Err(damaged("its keys are not in order"));
            }
            self.last_key = Some(key.to_vec());
            if (self.each)(key, (!is_bucket).then_some(value), value)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The first meta page is at the start; where the second is depends on the page size, which the first may no longer tell.
fn newest_meta(source: &impl ReadAt) -> Result<Meta, BoltError> {
    let first = meta_at(source, 0, None);
    let sizes: Vec<u64> = match &first {
        Ok(meta) => vec![meta.page_size],
        Err(_) => (10..=16).map(|shift| 1 << shift).collect(),
    };
    let second = sizes.into_iter().find_map(|size| meta_at(source, size, Some(size)).ok());
    match (first, second) {
        (Ok(first), Some(second)) if second.transaction > first.transaction => Ok(second),
        (Ok(first), _) => Ok(first),
        (Err(_), Some(second)) => Ok(second),
        (Err(error), None) => Err(error),
    }
}

fn meta_at(source: &impl ReadAt, offset: u64, size: Option<u64>) -> Result<Meta, BoltError> {
    let mut page = [0; PAGE_HEADER + META_LENGTH];
    source.read_at(offset, &mut page).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => BoltError::NotBolt,
        _ => BoltError::Io(error),
    })?;
    let meta = page.get(PAGE_HEADER..).unwrap_or_default();
    if u32_at(meta, 0)? != MAGIC {
        return Err(BoltError::NotBolt);
    }
    let version = u32_at(meta, 4)?;
    if version != VERSION {
        return Err(BoltError::UnknownVersion(version));
    }
    let checked = meta.get(..META_LENGTH - 8).unwrap_or_default();
    if u64_at(meta, META_LENGTH - 8)? != fnv_1a(checked) || u16_at(&page, 8)? != META {
        return Err(damaged("the checksum of its meta page is wrong"));
    }
    let page_size = u64::from(u32_at(meta, 8)?);
    let plausible = page_size.is_power_of_two() && (1 << 10..=1 << 16).contains(&page_size);
    if !plausible || size.is_some_and(|size| size != page_size) {
        return Err(damaged(format!("its page size is {page_size}")));
    }
    let high_water = u64_at(meta, 40)?;
    if high_water > u64::MAX / page_size {
        return Err(damaged("it claims too many pages"));
    }
    Ok(Meta {
        page_size,
        root: u64_at(meta, 16)?,
        high_water,
        transaction: u64_at(meta, 48)?,
    })
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn damaged(what: impl Into<String>) -> BoltError {
    BoltError::Damaged(what.into())
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], BoltError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or_else(|| damaged("a page ends too early"))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BoltError> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BoltError> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, BoltError> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}

fn size_at(bytes: &[u8], at: usize) -> Result<usize, BoltError> {
    usize::try_from(u32_at(bytes, at)?).map_err(|_| damaged("a record is too large"))
}

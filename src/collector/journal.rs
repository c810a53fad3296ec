//! The journal: an accepted report is on disk before the sender gets its response, and stays there until the database
//! has it.
//!
//! A record consists of its length, its CRC-32 and its entries as JSON. A record cut short by a crash ends its segment.
//! Segments are numbered, and each start opens a new one, so that nothing is ever written after a torn record.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::collector::store::{Entry, Position};

/// Size in bytes at which a segment is closed.
const SEGMENT: u64 = 32 << 20;
/// Maximum size of a record in bytes; a larger length means damage.
const LONGEST_RECORD: u32 = 16 << 20;
const HEADER: u64 = 8;

fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.journal"))
}

/// The numbers of the existing segments, in order.
///
/// # Errors
/// The system's error.
pub fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".journal")).and_then(|name| name.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes the journal.
pub struct Writer {
    directory: PathBuf,
    file: File,
    end: Position,
    /// A write failed and its partial data could not be removed: the bytes after `end` are undefined.
    torn: bool,
}

impl Writer {
    /// Opens a new segment after all existing ones.
    ///
    /// # Errors
    /// The system's error.
    pub fn open(directory: &Path) -> io::Result<Writer> {
        crate::os::files::create_private_dir(directory)?;
        let number = segments(directory)?.last().map_or(1, |last| last + 1);
        Writer::begin(directory, number)
    }

    /// Opens a new segment after all existing ones and after `position`.
    ///
    /// # Errors
    /// The system's error.
    pub fn open_after(directory: &Path, position: Option<Position>) -> io::Result<Writer> {
        crate::os::files::create_private_dir(directory)?;
        let last = segments(directory)?.last().copied().max(position.map(|position| position.segment));
        Writer::begin(directory, last.map_or(1, |last| last + 1))
    }

    fn begin(directory: &Path, number: u64) -> io::Result<Writer> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let file = options.open(segment_path(directory, number))?;
        #[cfg(unix)]
        File::open(directory)?.sync_all()?;
        Ok(Writer {
            directory: directory.to_path_buf(),
            file,
            end: Position {
                segment: number,
                offset: 0,
            },
            torn: false,
        })
    }

    /// Writes records and syncs them to disk. No crash loses them after this returns.
    ///
    /// # Errors
    /// The system's error. None of the records is then in the journal.
    pub fn append(&mut self, records: &[Vec<Entry>]) -> io::Result<Position> {
        if self.torn || self.end.offset >= SEGMENT {
            *self = Writer::begin(&self.directory, self.end.segment + 1)?;
        }
        let mut bytes = Vec::new();
        for record in records {
            let text = serde_json::to_vec(record).map_err(io::Error::other)?;
            let length = u32::try_from(text.len()).ok().filter(|length| *length <= LONGEST_RECORD);
            let length = length.ok_or_else(|| io::Error::other("a record is too long"))?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(crc32fast::hash(&text).to_le_bytes());
            bytes.extend(text);
        }
        let result = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = result {
            // Nothing may read a partly written record: its senders get an error.
            self.torn = true;
            self.file.set_len(self.end.offset)?;
            self.file.seek(SeekFrom::Start(self.end.offset))?;
            self.file.sync_data()?;
            self.torn = false;
            return Err(error);
        }
        self.end.offset += bytes.len() as u64;
        Ok(self.end)
    }

    /// Opens a new segment, unless the current one is empty. Returns whether it did.
    ///
    /// # Errors
    /// The system's error.
    pub fn rotate(&mut self) -> io::Result<bool> {
        if self.end.offset == 0 {
            return Ok(false);
        }
        *self = Writer::begin(&self.directory, self.end.segment + 1)?;
        Ok(true)
    }

    /// The position after the last record.
    pub fn end(&self) -> Position {
        self.end
    }
}

/// Reads the journal from a position.
pub struct Reader {
    directory: PathBuf,
    next: Position,
    open: Option<(u64, BufReader<File>)>,
}

impl Reader {
    /// Starts at a position.
    pub fn new(directory: &Path, from: Position) -> Reader {
        Reader {
            directory: directory.to_path_buf(),
            next: from,
            open: None,
        }
    }

    /// The next records up to `end`, about `most` entries in total, and the position after them.
    ///
    /// # Errors
    /// The system's error.
    pub fn batch(&mut self, end: Position, most: usize) -> io::Result<(Vec<Entry>, Position)> {
        let mut entries = Vec::new();
        while self.next < end && entries.len() < most {
            match self.record(end)? {
                Some(record) => entries.extend(record),
                None => match self.next_segment(end)? {
                    Some(segment) => {
                        self.next = Position { segment, offset: 0 };
                        self.open = None;
                    }
                    None => break,
                },
            }
        }
        Ok((entries, self.next))
    }

    fn next_segment(&self, end: Position) -> io::Result<Option<u64>> {
        let all = segments(&self.directory)?;
        Ok(all.into_iter().find(|number| *number > self.next.segment && *number <= end.segment))
    }

    /// The record at the current position; `None` at the end of the segment.
    fn record(&mut self, end: Position) -> io::Result<Option<Vec<Entry>>> {
        let limit = if self.next.segment == end.segment { end.offset } else { u64::MAX };
        if self.next.offset >= limit || !self.open_segment()? {
            return Ok(None);
        }
        let Some((_, file)) = &mut self.open else { return Ok(None) };
        match read_record(file) {
            Ok(Some((entries, length))) => {
                self.next.offset += length;
                Ok(Some(entries))
            }
            Ok(None) => {
                self.open = None;
                Ok(None)
            }
            Err(error) => {
                self.open = None;
                Err(error)
            }
        }
    }

    fn open_segment(&mut self) -> io::Result<bool> {
        if self.open.as_ref().is_some_and(|(number, _)| *number == self.next.segment) {
            return Ok(true);
        }
        let mut file = match File::open(segment_path(&self.directory, self.next.segment)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.next.offset))?;
        self.open = Some((self.next.segment, BufReader::with_capacity(64 << 10, file)));
        Ok(true)
    }
}

/// Reads a record and its length on disk; `None` if it is incomplete.
fn read_record(file: &mut impl Read) -> io::Result<Option<(Vec<Entry>, u64)>> {
    let mut header = [0_u8; HEADER as usize];
    if !read_whole(file, &mut header)? {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h] = header;
    let (length, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if length > LONGEST_RECORD {
        return Ok(None);
    }
    let mut text = vec![0; length as usize];
    if !read_whole(file, &mut text)? || crc32fast::hash(&text) != sum {
        return Ok(None);
    }
    let entries = serde_json::from_slice(&text).map_err(io::Error::other)?;
    Ok(Some((entries, HEADER + u64::from(length))))
}

fn read_whole(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The end of everything an earlier process wrote: the first position of the segment after the last one.
///
/// # Errors
/// The system's error.
pub fn end_of_all(directory: &Path) -> io::Result<Position> {
    Ok(Position {
        segment: segments(directory)?.last().map_or(0, |last| last + 1),
        offset: 0,
    })
}

/// Deletes the segments that lie entirely before a position.
///
/// # Errors
/// The system's error.
pub fn delete_before(directory: &Path, position: Position) -> io::Result<()> {
    for number in segments(directory)?.into_iter().filter(|number| *number < position.segment) {
        fs::remove_file(segment_path(directory, number))?;
    }
    Ok(())
}

/// Number of bytes in the journal that the database does not have yet.
///
/// # Errors
/// The system's error.
pub fn backlog(directory: &Path, position: Position) -> io::Result<u64> {
    let mut bytes = 0;
    for number in segments(directory)?.into_iter().filter(|number| *number >= position.segment) {
        let length = fs::metadata(segment_path(directory, number))?.len();
        bytes += if number == position.segment { length.saturating_sub(position.offset) } else { length };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::report::Day;

    fn entry(count: u64) -> Entry {
        Entry::Count {
            day: Day(20_000),
            name: "rejected:json".to_owned(),
            count,
            entry: 7,
            of_line: false,
        }
    }

    #[test]
    fn reading_starts_at_any_position() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path()).unwrap();
        let middle = writer.append(&[vec![entry(1)], vec![entry(2), entry(3)]]).unwrap();
        drop(writer);
        let mut writer = Writer::open(directory.path()).unwrap();
        let end = writer.append(&[vec![entry(4)]]).unwrap();
        let all = Reader::new(directory.path(), Position::default()).batch(end, 100).unwrap();
        assert_eq!(all, ((1..=4).map(entry).collect(), end));
        let rest = Reader::new(directory.path(), middle).batch(end, 100).unwrap();
        assert_eq!(rest, (vec![entry(4)], end));
        let few = Reader::new(directory.path(), Position::default()).batch(end, 1).unwrap();
        assert_eq!(few.0, [entry(1)]);
        assert!(backlog(directory.path(), middle).unwrap() > 0);
        delete_before(directory.path(), end).unwrap();
        assert_eq!(segments(directory.path()).unwrap(), [2]);
        assert_eq!(backlog(directory.path(), end).unwrap(), 0);
    }

    #[test]
    fn a_new_segment_lets_the_old_one_be_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path()).unwrap();
        assert!(!writer.rotate().unwrap());
        writer.append(&[vec![entry(1)]]).unwrap();
        assert!(writer.rotate().unwrap());
        let (read, position) = Reader::new(directory.path(), Position::default()).batch(writer.end(), 100).unwrap();
        assert_eq!((read, position), (vec![entry(1)], writer.end()));
        delete_before(directory.path(), position).unwrap();
        assert_eq!(segments(directory.path()).unwrap(), [2]);
        let end = writer.append(&[vec![entry(2)]]).unwrap();
        assert_eq!(Reader::new(directory.path(), position).batch(end, 100).unwrap().0, [entry(2)]);
    }

    #[test]
    fn a_torn_record_ends_its_segment_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path()).unwrap();
        writer.append(&[vec![entry(1)]]).unwrap();
        let whole = fs::metadata(segment_path(directory.path(), 1)).unwrap().len();
        writer.append(&[vec![entry(2)]]).unwrap();
        drop(writer);
        for length in whole..2 * whole {
            File::options().write(true).open(segment_path(directory.path(), 1)).unwrap().set_len(length).unwrap();
            let mut writer = Writer::open(directory.path()).unwrap();
            let end = writer.append(&[vec![entry(3)]]).unwrap();
            let read = Reader::new(directory.path(), Position::default()).batch(end, 100).unwrap();
            assert_eq!(read, (vec![entry(1), entry(3)], end));
            fs::remove_file(segment_path(directory.path(), 2)).unwrap();
            File::options().append(true).open(segment_path(directory.path(), 1)).unwrap().write_all(&[7]).unwrap();
        }
    }
}

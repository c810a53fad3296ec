//! Packs bodies: small numbers in few bytes, strings as numbers of a table.

use std::collections::HashMap;

use crate::collector::repeat::Kept;
use crate::collector::report::{
    Client, Facts, Id, KINDS, LAUNCHES, Moment, Reached, SYSTEMS, kind_index, launch_index,
};
use crate::telemetry::payload;

/// Maximum number of distinct version numbers. They come from outside; further ones become [`OVERFLOW`].
pub const MOST_VERSIONS: usize = 16_384;
/// Maximum number of distinct paths. They have a budget of their own, because one report can contain many: they must
/// not leave later versions without a number.
pub const MOST_PATHS: usize = 1024;
/// Replaces a string that did not fit into the table.
pub const OVERFLOW: &str = "other";
/// Replaces the version of a development build, which does not count as a person's.
const OVERFLOW_DEVELOPMENT: &str = "other-dev";

/// Version numbers, client names and paths by number. A number never changes its string.
#[derive(Debug, Default)]
pub struct Words {
    numbers: HashMap<String, u64>,
    words: Vec<String>,
    /// Each string as the name of a client.
    clients: Vec<Client>,
    /// Strings with this number and above are not in the database yet.
    pub stored: usize,
    /// Number of strings of each sort from outside.
    versions: usize,
    paths: usize,
}

/// The kind of a string, which decides its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Version,
    Path,
    /// One of a closed list: a client, or a replacement.
    Closed,
}

impl Sort {
    fn of(word: &str) -> Sort {
        if [OVERFLOW, OVERFLOW_DEVELOPMENT, ""].contains(&word) || Client::new(word).name() == word {
            Sort::Closed
        } else if payload::is_version(word) {
            Sort::Version
        } else {
            Sort::Path
        }
    }
}

impl Words {
    /// The number of a string. A new string gets one.
    pub fn number(&mut self, word: &str) -> u64 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let is_full = match Sort::of(word) {
            Sort::Version => self.versions >= MOST_VERSIONS,
            Sort::Path => self.paths >= MOST_PATHS,
            Sort::Closed => false,
        };
        if is_full {
            return self.number(if word.contains("-dev") { OVERFLOW_DEVELOPMENT } else { OVERFLOW });
        }
        self.push(word)
    }

    /// Adds a string from the database, where it has its number already.
    pub fn restore(&mut self, word: &str) -> u64 {
        match self.numbers.get(word) {
            Some(number) => *number,
            None => self.push(word),
        }
    }

    fn push(&mut self, word: &str) -> u64 {
        self.count(Sort::of(word), 1);
        let number = self.words.len() as u64;
        self.numbers.insert(word.to_owned(), number);
        self.words.push(word.to_owned());
        self.clients.push(Client::new(word));
        number
    }

    fn count(&mut self, sort: Sort, change: isize) {
        let count = match sort {
            Sort::Version => &mut self.versions,
            Sort::Path => &mut self.paths,
            Sort::Closed => return,
        };
        *count = count.saturating_add_signed(change);
    }

    /// The string of a number.
    pub(super) fn spelled(&self, number: u64) -> &str {
        usize::try_from(number).ok().and_then(|number| self.words.get(number)).map_or(OVERFLOW, String::as_str)
    }

    /// The client of a number.
    pub(super) fn client_of(&self, number: u64) -> Client {
        let known = usize::try_from(number).ok().and_then(|number| self.clients.get(number)).copied();
        known.unwrap_or_else(|| Client::new(OVERFLOW))
    }

    /// The strings that are not in the database yet, with their numbers.
    pub fn new_words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.words.iter().enumerate().skip(self.stored).map(|(number, word)| (number, word.as_str()))
    }

    /// Marks all strings as stored.
    pub fn all_stored(&mut self) {
        self.stored = self.words.len();
    }

    /// Drops the strings from `count` on, because their transaction failed.
    pub fn truncate(&mut self, count: usize) {
        for word in self.words.split_off(count.min(self.words.len())) {
            self.numbers.remove(&word);
            self.count(Sort::of(&word), -1);
        }
        self.clients.truncate(self.words.len());
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

/// Machines by number, in both directions. The store fills it on demand.
pub trait Machines {
    /// The number of a machine, from 1 on.
    fn number(&self, machine: Id) -> u64;
    /// The machine of a number.
    fn machine(&self, number: u64) -> Option<Id>;
}

/// The blob was not written by this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database has a damaged entry: restore a backup, or run `mcpproxy-collector verify`")]
pub struct Damaged;

/// The first byte of every blob.
pub(super) const FORM: u8 = 1;

/// The bytes of a blob that is being written.
#[derive(Default)]
pub struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63).cast_unsigned());
    }
}

/// The bytes of a blob that are not read yet.
pub struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.0.split_first().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Damaged> {
        T::try_from(self.number()?).map_err(|_| Damaged)
    }

    fn signed(&mut self) -> Result<i64, Damaged> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Damaged> {
        let length = self.small()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Damaged)
    }

    fn eight(&mut self) -> Result<u64, Damaged> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Damaged)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*first))
    }
}

/// Packs the bodies of one id.
pub fn pack_bodies(bodies: &[Kept], words: &mut Words, machines: &impl Machines) -> Vec<u8> {
    let mut writer = Writer(vec![FORM]);
    let mut before = 0;
    for body in bodies {
        let received = body.received().0;
        writer.signed(received - before);
        before = received;
        pack_body(&mut writer, body, words, machines);
    }
    writer.0
}

fn pack_body(writer: &mut Writer, body: &Kept, words: &mut Words, machines: &impl Machines) {
    let facts = &body.facts;
    writer.0.extend(body.hash.to_le_bytes());
    let more = body.repeats() > 0 || !body.unknown.is_empty();
    let bits = kind_index(facts.kind) as u64
        | (launch_index(facts.launch) as u64) << 3
        | (facts.system.index() as u64) << 6
        | u64::from(facts.reached.0) << 8
        | u64::from(body.suspect) << 12
        | u64::from(body.machine.is_some()) << 13
        | u64::from(facts.skew.is_some()) << 14
        | u64::from(more) << 15;
    writer.0.extend((bits as u16).to_le_bytes());
    writer.0.push(facts.schema);
    writer.number(words.number(&facts.version));
    writer.number(u64::from(facts.calls));
    if let Some(skew) = facts.skew {
        writer.signed(i64::from(skew));
    }
    if let Some(machine) = body.machine {
        writer.number(machines.number(machine));
    }
    writer.number(facts.clients.len() as u64);
    for client in &facts.clients {
        writer.number(words.number(client.name()));
    }
    if more {
        writer.number(body.unknown.len() as u64);
        for path in &body.unknown {
            writer.number(words.number(path));
        }
        writer.number(body.repeats() as u64);
        for repeat in body.receipts.iter().skip(1) {
            writer.signed(repeat.0 - body.received().0);
        }
    }
}

/// Unpacks the bodies of one id.
///
/// # Errors
/// [`Damaged`].
pub fn unpack_bodies(blob: &[u8], words: &Words, machines: &impl Machines) -> Result<Vec<Kept>, Damaged> {
    let mut reader = Reader(blob);
    if reader.byte()? != FORM {
        return Err(Damaged);
    }
    let mut bodies = Vec::with_capacity(blob.len() / 20 + 1);
    let mut before = 0_i64;
    while !reader.0.is_empty() {
        before = before.checked_add(reader.signed()?).ok_or(Damaged)?;
        bodies.push(unpack_body(&mut reader, Moment(before), words, machines)?);
    }
    Ok(bodies)
}

fn unpack_body(
    reader: &mut Reader<'_>,
    received: Moment,
    words: &Words,
    machines: &impl Machines,
) -> Result<Kept, Damaged> {
    let hash = reader.eight()?;
    let bits = u16::from_le_bytes([reader.byte()?, reader.byte()?]);
    let schema = reader.byte()?;
    let version = words.spelled(reader.number()?).to_owned();
    let calls = reader.small()?;
    let skew = match bits & 1 << 14 {
        0 => None,
        _ => Some(i32::try_from(reader.signed()?).map_err(|_| Damaged)?),
    };
    let machine = match bits & 1 << 13 {
        0 => None,
        _ => Some(machines.machine(reader.number()?).ok_or(Damaged)?),
    };
    let clients = (0..reader.number()?)
        .map(|_| reader.number().map(|number| words.client_of(number)))
        .collect::<Result<_, _>>()?;
    let (mut unknown, mut receipts) = (Vec::new(), vec![received]);
    if bits & 1 << 15 != 0 {
        for _ in 0..reader.number()? {
            unknown.push(words.spelled(reader.number()?).to_owned());
        }
        for _ in 0..reader.number()? {
            receipts.push(Moment(received.0.checked_add(reader.signed()?).ok_or(Damaged)?));
        }
    }
    let facts = Facts {
        kind: *KINDS.get(usize::from(bits & 7)).ok_or(Damaged)?,
        launch: *LAUNCHES.get(usize::from(bits >> 3 & 7)).ok_or(Damaged)?,
        system: *SYSTEMS.get(usize::from(bits >> 6 & 3)).ok_or(Damaged)?,
        version,
        schema,
        reached: Reached((bits >> 8 & 15) as u8),
        clients,
        calls,
        skew,
    };
    Ok(Kept {
        machine,
        receipts,
        hash,
        suspect: bits & 1 << 12 != 0,
        facts,
        unknown,
    })
}

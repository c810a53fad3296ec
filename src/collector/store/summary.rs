//! Packs the summary of an installation: small numbers in few bytes, strings as numbers of a table or as they are.

use std::cell::RefCell;

use super::codec::{Damaged, FORM, Reader, Words, Writer};
use crate::collector::installation::{ActiveDay, Installation};
use crate::collector::report::{Client, Day, KINDS, LAUNCHES, Reached, SYSTEMS, kind_index, launch_index};

/// How strings are written in a summary.
pub trait Spelling {
    /// Appends a string.
    fn put(&mut self, word: &str, to: &mut Writer);
}

/// How strings of a summary are read.
pub trait Reading {
    /// The next string.
    ///
    /// # Errors
    /// [`Damaged`].
    fn word<'a>(&'a self, from: &mut Reader<'a>) -> Result<&'a str, Damaged>;
    /// The next string, as the name of a client.
    ///
    /// # Errors
    /// [`Damaged`].
    fn client(&self, from: &mut Reader<'_>) -> Result<Client, Damaged>;
}

impl Spelling for Words {
    fn put(&mut self, word: &str, to: &mut Writer) {
        to.number(self.number(word));
    }
}

impl Reading for Words {
    fn word<'a>(&'a self, from: &mut Reader<'a>) -> Result<&'a str, Damaged> {
        Ok(self.spelled(from.number()?))
    }

    fn client(&self, from: &mut Reader<'_>) -> Result<Client, Damaged> {
        Ok(self.client_of(from.number()?))
    }
}

/// Strings as they are: for a database that several collectors fill, which cannot agree on numbers.
#[derive(Debug, Default)]
pub struct Inline {
    /// The clients read so far, because checking a name takes longer than finding it here.
    clients: RefCell<Vec<Client>>,
}

impl Spelling for Inline {
    fn put(&mut self, word: &str, to: &mut Writer) {
        to.number(word.len() as u64);
        to.0.extend(word.as_bytes());
    }
}

impl Reading for Inline {
    fn word<'a>(&'a self, from: &mut Reader<'a>) -> Result<&'a str, Damaged> {
        from.text()
    }

    fn client(&self, from: &mut Reader<'_>) -> Result<Client, Damaged> {
        let name = from.text()?;
        let mut known = self.clients.borrow_mut();
        if let Some(client) = known.iter().find(|client| client.name() == name) {
            return Ok(*client);
        }
        let client = Client::new(name);
        if client.name() == name {
            known.push(client);
        }
        Ok(client)
    }
}

/// Packs the summary of an installation.
pub fn pack_summary(installation: &Installation, words: &mut impl Spelling) -> Vec<u8> {
    let mut writer = Writer(vec![FORM]);
    let bits = kind_index(installation.kind) as u64
        | (installation.system.index() as u64) << 3
        | u64::from(installation.suspect) << 5
        | u64::from(installation.reached.0) << 6;
    writer.number(bits);
    writer.0.extend([installation.schemas.0, installation.schemas.1]);
    words.put(&installation.version, &mut writer);
    for number in [
        installation.bodies,
        installation.repeats,
        installation.skewed,
        installation.badly_skewed,
    ] {
        writer.number(u64::from(number));
    }
    writer.number(installation.calls);
    writer.number(installation.clients.len() as u64);
    for client in &installation.clients {
        words.put(client.name(), &mut writer);
    }
    writer.number(installation.unknown.len() as u64);
    for (path, count) in &installation.unknown {
        words.put(path, &mut writer);
        writer.number(u64::from(*count));
    }
    let mut before = Day(0);
    for active in &installation.days {
        writer.number(u64::from(active.day.since(before)));
        writer.0.push((kind_index(active.kind) | launch_index(active.launch) << 3) as u8);
        before = active.day;
    }
    writer.0
}

/// Unpacks the summary of an installation.
///
/// # Errors
/// [`Damaged`].
pub fn unpack_summary(blob: &[u8], words: &Words) -> Result<Installation, Damaged> {
    let mut installation = Installation::default();
    unpack_summary_into(blob, words, &mut installation)?;
    Ok(installation)
}

/// As [`unpack_summary`], but replaces an existing installation and reuses its memory.
///
/// # Errors
/// [`Damaged`]. The installation is then inconsistent.
pub fn unpack_summary_into(blob: &[u8], words: &impl Reading, installation: &mut Installation) -> Result<(), Damaged> {
    let mut reader = Reader(blob);
    if reader.byte()? != FORM {
        return Err(Damaged);
    }
    let bits = reader.number()?;
    installation.kind = *KINDS.get((bits & 7) as usize).ok_or(Damaged)?;
    installation.system = *SYSTEMS.get((bits >> 3 & 3) as usize).ok_or(Damaged)?;
    installation.suspect = bits & 1 << 5 != 0;
    installation.reached = Reached((bits >> 6 & 15) as u8);
    installation.schemas = (reader.byte()?, reader.byte()?);
    installation.version.clear();
    installation.version.push_str(words.word(&mut reader)?);
    installation.bodies = reader.small()?;
    installation.repeats = reader.small()?;
    installation.skewed = reader.small()?;
    installation.badly_skewed = reader.small()?;
    installation.calls = reader.number()?;
    installation.clients.clear();
    for _ in 0..reader.number()? {
        installation.clients.push(words.client(&mut reader)?);
    }
    installation.unknown.clear();
    for _ in 0..reader.number()? {
        let path = words.word(&mut reader)?.to_owned();
        *installation.unknown.entry(path).or_default() += reader.small::<u32>()?;
    }
    unpack_days(&mut reader, &mut installation.days)
}

fn unpack_days(reader: &mut Reader<'_>, days: &mut Vec<ActiveDay>) -> Result<(), Damaged> {
    days.clear();
    let mut before = Day(0);
    while !reader.0.is_empty() {
        before = before.plus(reader.small()?);
        let bits = usize::from(reader.byte()?);
        days.push(ActiveDay {
            day: before,
            kind: *KINDS.get(bits & 7).ok_or(Damaged)?,
            launch: *LAUNCHES.get(bits >> 3 & 7).ok_or(Damaged)?,
        });
    }
    Ok(())
}

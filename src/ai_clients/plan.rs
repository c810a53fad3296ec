//! What is to be done to a client's file, from its bytes.

use serde_json::{Map, Value};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::format::entries::{Entries, ParseError};
use crate::ai_clients::format::{entries, with_entry, without_entry};
use crate::ai_clients::known_clients::{Client, ENTRY_NAME};

/// What becomes of a file, under which name our entry is in it, and how that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub change: Change,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Nothing,
    Write(Vec<u8>),
    /// The file was not there before our entry was.
    Delete,
}

/// What was done (contract: core-http §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    /// Our entry is there and says what it must.
    AlreadyThere,
    Removed,
    Restored,
    Deleted,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::AlreadyThere => "already_exists",
            Action::Removed => "removed",
            Action::Restored => "restored",
            Action::Deleted => "deleted",
        }
    }
}

/// Why a file stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no entry to write, and why.
    NoEntry(String),
    /// Not every client takes such a name for a server.
    BadName(String),
    /// An entry of this name leads elsewhere.
    Taken(String),
    /// There is no entry of ours; one of this name may lead elsewhere.
    NotFound {
        elsewhere: Option<String>,
    },
    /// It is no longer what connecting left.
    Conflict,
    Malformed(ParseError),
}

impl From<ParseError> for Refusal {
    fn from(mistake: ParseError) -> Refusal {
        Refusal::Malformed(mistake)
    }
}

/// A copy of the file, made before a change.
pub struct Backup {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The name of the entry that leads to `proxy`: the asked one, or our usual one, or the first.
pub fn ours(entries: &Entries, proxy: &Proxy, asked: Option<&str>) -> Option<String> {
    let mut leading = entries.iter().filter(|(_, entry)| proxy.is_named_by(entry)).map(|(name, _)| name);
    let found = match asked {
        Some(asked) => leading.find(|name| *name == asked),
        None => leading.clone().find(|name| *name == ENTRY_NAME).or_else(|| leading.next()),
    };
    found.cloned()
}

/// Sets our entry. `bytes` is `None` for a file that is not there.
pub fn connect(
    client: &Client,
    proxy: &Proxy,
    bytes: Option<&[u8]>,
    asked: Option<&str>,
    force: bool,
) -> Result<Plan, Refusal> {
    let entry = client.entry(proxy).map_err(Refusal::NoEntry)?;
    if let Some(name) = asked.filter(|name| !is_name(name)) {
        return Err(Refusal::BadName(name.to_owned()));
    }
    let bytes = bytes.unwrap_or_default();
    let entries = entries(client, bytes)?;
    let found = ours(&entries, proxy, asked);
    let name = found.clone().unwrap_or_else(|| asked.unwrap_or(ENTRY_NAME).to_owned());
    let plan = |change, action| Plan {
        name: name.clone(),
        change,
        action,
    };
    let action = match value_of(&entries, &name) {
        // What a person added to our entry stays.
        Some(there) if found.is_some() && says(there, &entry) => {
            return Ok(plan(Change::Nothing, Action::AlreadyThere));
        }
        Some(_) if found.is_none() && !force => return Err(Refusal::Taken(name)),
        Some(_) => Action::Updated,
        None => Action::Created,
    };
    Ok(plan(Change::Write(with_entry(client, bytes, &name, &entry)?), action))
}

/// Takes our entry away: to the bytes of before where nobody changed them since, or else out of what is there now.
pub fn disconnect(
    client: &Client,
    proxy: &Proxy,
    bytes: Option<&[u8]>,
    asked: Option<&str>,
    backups: &[Backup],
) -> Result<Plan, Refusal> {
    let Some(bytes) = bytes else { return Err(Refusal::NotFound { elsewhere: None }) };
    let found = entries(client, bytes)?;
    let Some(name) = ours(&found, proxy, asked) else {
        let name = asked.unwrap_or(ENTRY_NAME);
        let elsewhere = value_of(&found, name).map(|_| name.to_owned());
        return Err(Refusal::NotFound { elsewhere });
    };
    let clean = |backup: &&Backup| entries(client, &backup.bytes).is_ok_and(|found| value_of(&found, &name).is_none());
    let change = match replayed(client, bytes, &found, &name, backups.iter().filter(clean)) {
        Some(change) => change,
        None => Change::Write(without_entry(client, bytes, &name)?),
    };
    Ok(Plan {
        name,
        change,
        action: Action::Removed,
    })
}

/// Brings back what was there before our entry, if nothing else has changed since.
pub fn undo(
    client: &Client,
    proxy: &Proxy,
    bytes: Option<&[u8]>,
    asked: Option<&str>,
    backups: &[Backup],
) -> Result<Plan, Refusal> {
    let Some(bytes) = bytes else { return Err(Refusal::NotFound { elsewhere: None }) };
    let found = entries(client, bytes)?;
    let usual = asked.unwrap_or(ENTRY_NAME);
    // The replay shows that the entry is ours, even where it leads to an address of long ago.
    let there = || value_of(&found, usual).map(|_| usual.to_owned());
    let name = ours(&found, proxy, asked).or_else(there).ok_or(Refusal::NotFound { elsewhere: None })?;
    let change = replayed(client, bytes, &found, &name, backups.iter()).ok_or(Refusal::Conflict)?;
    let action = if change == Change::Delete { Action::Deleted } else { Action::Restored };
    Ok(Plan { name, change, action })
}

/// The bytes from which setting the entry `name` led to `bytes`.
fn replayed<'a>(
    client: &Client,
    bytes: &[u8],
    found: &Entries,
    name: &str,
    mut backups: impl Iterator<Item = &'a Backup>,
) -> Option<Change> {
    let entry = value_of(found, name)?.as_object()?;
    let leads_here =
        |before: &[u8]| before != bytes && with_entry(client, before, name, entry).is_ok_and(|after| after == bytes);
    match backups.find(|backup| leads_here(&backup.bytes)) {
        Some(backup) => Some(Change::Write(backup.bytes.clone())),
        None => leads_here(b"").then_some(Change::Delete),
    }
}

fn value_of<'a>(entries: &'a Entries, name: &str) -> Option<&'a Value> {
    entries.iter().find(|(found, _)| found == name).map(|(_, entry)| entry)
}

/// Whether every client takes such a name: 1 to 64 letters, digits, `-` and `_`.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether an entry says all that it must.
fn says(there: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| match (there.get(key), value) {
        (Some(there), Value::Object(fields)) => says(there, fields),
        (there, value) => there == Some(value),
    })
}

//! Decides how to change a client's file, from its bytes.

use serde_json::{Map, Value};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::format::entries::{Entries, ParseError};
use crate::ai_clients::format::{entries, with_entry, without_entry};
use crate::ai_clients::known_clients::{Client, ENTRY_NAME};
use crate::contract::words::ConnectAction;

/// A planned change, the name of our entry, and the action to report.
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
    /// The file did not exist before our entry was added.
    Delete,
}

/// The reported action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    /// Our entry exists and is correct.
    AlreadyThere,
    Removed,
    Restored,
    Deleted,
}

impl From<Action> for ConnectAction {
    fn from(action: Action) -> ConnectAction {
        match action {
            Action::Created => ConnectAction::Created,
            Action::Updated => ConnectAction::Updated,
            Action::AlreadyThere => ConnectAction::AlreadyExists,
            Action::Removed => ConnectAction::Removed,
            Action::Restored => ConnectAction::Restored,
            Action::Deleted => ConnectAction::Deleted,
        }
    }
}

/// Why a file is not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Our entry cannot be built; holds the reason.
    NoEntry(String),
    /// Not every client accepts this server name.
    BadName(String),
    /// An entry with this name points to another server.
    Taken(String),
    /// There is no entry of ours; one with its name may point to another server.
    NotFound {
        elsewhere: Option<String>,
    },
    /// The file changed after it was connected.
    Conflict,
    Malformed(ParseError),
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Refusal {
        Refusal::Malformed(error)
    }
}

/// A copy of the file from before a change.
pub struct Backup {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The name of the entry that points to `proxy`: the requested one, else our default name, else the first.
pub fn ours(entries: &Entries, proxy: &Proxy, requested: Option<&str>) -> Option<String> {
    let mut candidates = entries.iter().filter(|(_, entry)| proxy.is_target_of(entry)).map(|(name, _)| name);
    let found = match requested {
        Some(requested) => candidates.find(|name| *name == requested),
        None => candidates.clone().find(|name| *name == ENTRY_NAME).or_else(|| candidates.next()),
    };
    found.cloned()
}

/// Adds or updates our entry. `bytes` is `None` if the file does not exist.
pub fn connect(
    client: &Client,
    proxy: &Proxy,
    bytes: Option<&[u8]>,
    requested: Option<&str>,
    force: bool,
) -> Result<Plan, Refusal> {
    let entry = client.entry(proxy).map_err(Refusal::NoEntry)?;
    if let Some(name) = requested.filter(|name| !is_name(name)) {
        return Err(Refusal::BadName(name.to_owned()));
    }
    let bytes = bytes.unwrap_or_default();
    let entries = entries(client, bytes)?;
    let found = ours(&entries, proxy, requested);
    let name = found.clone().unwrap_or_else(|| requested.unwrap_or(ENTRY_NAME).to_owned());
    let plan = |change, action| Plan {
        name: name.clone(),
        change,
        action,
    };
    let action = match value_of(&entries, &name) {
        // Fields that the user added to our entry stay.
        Some(existing) if found.is_some() && includes(existing, &entry) => {
            return Ok(plan(Change::Nothing, Action::AlreadyThere));
        }
        Some(_) if found.is_none() && !force => return Err(Refusal::Taken(name)),
        Some(_) => Action::Updated,
        None => Action::Created,
    };
    Ok(plan(Change::Write(with_entry(client, bytes, &name, &entry)?), action))
}

/// Removes our entry: restores a backup if nothing else changed since, otherwise edits the current file.
pub fn disconnect(
    client: &Client,
    proxy: &Proxy,
    bytes: Option<&[u8]>,
    requested: Option<&str>,
    backups: &[Backup],
) -> Result<Plan, Refusal> {
    let Some(bytes) = bytes else { return Err(Refusal::NotFound { elsewhere: None }) };
    let found = entries(client, bytes)?;
    let Some(name) = ours(&found, proxy, requested) else {
        let name = requested.unwrap_or(ENTRY_NAME);
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

/// Restores the file from before our entry was added, if nothing else has changed since.
pub fn undo(
    client: &Client,
    proxy: &Proxy,
    bytes: Option<&[u8]>,
    requested: Option<&str>,
    backups: &[Backup],
) -> Result<Plan, Refusal> {
    let Some(bytes) = bytes else { return Err(Refusal::NotFound { elsewhere: None }) };
    let found = entries(client, bytes)?;
    let default = requested.unwrap_or(ENTRY_NAME);
    // The replay proves that the entry is ours, even if it points to a former address.
    let by_name = || value_of(&found, default).map(|_| default.to_owned());
    let name = ours(&found, proxy, requested).or_else(by_name).ok_or(Refusal::NotFound { elsewhere: None })?;
    let change = replayed(client, bytes, &found, &name, backups.iter()).ok_or(Refusal::Conflict)?;
    let action = if change == Change::Delete { Action::Deleted } else { Action::Restored };
    Ok(Plan { name, change, action })
}

/// The backup to which adding the entry `name` gives exactly `bytes`.
fn replayed<'a>(
    client: &Client,
    bytes: &[u8],
    found: &Entries,
    name: &str,
    mut backups: impl Iterator<Item = &'a Backup>,
) -> Option<Change> {
    let entry = value_of(found, name)?.as_object()?;
    let produces =
        |before: &[u8]| before != bytes && with_entry(client, before, name, entry).is_ok_and(|after| after == bytes);
    match backups.find(|backup| produces(&backup.bytes)) {
        Some(backup) => Some(Change::Write(backup.bytes.clone())),
        None => produces(b"").then_some(Change::Delete),
    }
}

fn value_of<'a>(entries: &'a Entries, name: &str) -> Option<&'a Value> {
    entries.iter().find(|(found, _)| found == name).map(|(_, entry)| entry)
}

/// Whether every client accepts this name: 1 to 64 letters, digits, `-` or `_`.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether an entry contains all wanted fields.
fn includes(existing: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(key, value)| match (existing.get(key), value) {
        (Some(existing), Value::Object(fields)) => includes(existing, fields),
        (existing, value) => existing == Some(value),
    })
}

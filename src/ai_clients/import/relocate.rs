//! Removes imported entries from a client's file, and restores them byte for byte.

use crate::ai_clients::format::entries::ParseError;
use crate::ai_clients::format::{entries, without_entry};
use crate::ai_clients::known_clients::Client;
use crate::ai_clients::plan::Backup;

/// The file without some entries. Every other byte stays.
///
/// # Errors
/// [`ParseError`]: an entry cannot be removed automatically.
pub fn without(client: &Client, bytes: &[u8], names: &[String]) -> Result<Vec<u8>, ParseError> {
    names.iter().try_fold(bytes.to_vec(), |bytes, name| without_entry(client, &bytes, name))
}

/// The newest backup from which removing entries gives exactly the current file, and the names of these entries.
pub fn restored<'a>(client: &Client, bytes: &[u8], backups: &'a [Backup]) -> Option<(&'a Backup, Vec<String>)> {
    let now = entries(client, bytes).ok()?;
    backups.iter().find_map(|backup| {
        let before = entries(client, &backup.bytes).ok()?;
        let is_gone = |name: &String| !now.iter().any(|(found, _)| found == name);
        let removed: Vec<String> = before.into_iter().map(|(name, _)| name).filter(is_gone).collect();
        let gives_now = !removed.is_empty() && without(client, &backup.bytes, &removed).is_ok_and(|left| left == bytes);
        gives_now.then_some((backup, removed))
    })
}

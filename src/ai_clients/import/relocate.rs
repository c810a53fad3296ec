//! Removes imported entries from a client's file, and restores them byte for byte.

use crate::ai_clients::entry::Proxy;
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
/// MCPProxy's own entry was not moved but disconnected, so a backup with it does not count.
pub fn restored<'a>(
    client: &Client,
    proxy: &Proxy,
    bytes: &[u8],
    backups: &'a [Backup],
) -> Option<(&'a Backup, Vec<String>)> {
    let now = entries(client, bytes).ok()?;
    backups.iter().find_map(|backup| {
        let before = entries(client, &backup.bytes).ok()?;
        let is_gone = |name: &String| !now.iter().any(|(found, _)| found == name);
        let removed: Vec<_> = before.into_iter().filter(|(name, _)| is_gone(name)).collect();
        if removed.iter().any(|(_, entry)| proxy.is_target_of(entry)) {
            return None;
        }
        let removed: Vec<String> = removed.into_iter().map(|(name, _)| name).collect();
        let gives_now = !removed.is_empty() && without(client, &backup.bytes, &removed).is_ok_and(|left| left == bytes);
        gives_now.then_some((backup, removed))
    })
}

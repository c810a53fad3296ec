//! Reads the files to import from, and removes imported entries from clients' files.

use std::io;
use std::path::{Path, PathBuf};

use crate::ai_clients::backups::{self, backups, keep_backup};
use crate::ai_clients::edit::config_path;
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::read::{Source, read};
use crate::ai_clients::import::relocate;
use crate::ai_clients::known_clients::{CLIENTS, Client, Homes};
use crate::ai_clients::plan::Change;
use crate::ai_clients::refusal::located;
use crate::os::files::Replaced;

/// The servers in a client's configuration; `None` if it has no configuration file.
///
/// # Errors
/// The file could not be read; the message says why.
pub fn of_client(client: &Client, homes: &Homes) -> Result<Option<Source>, String> {
    let path = config_path(client, homes).path;
    match backups::read(&path) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => parsed(&bytes, Some(client.id), &path).map(Some),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

/// The servers of all clients, and the errors of files that cannot be read. Guarded files are not opened.
pub fn of_all(homes: &Homes) -> (Vec<Source>, Vec<String>) {
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for client in CLIENTS.iter().filter(|client| !config_path(client, homes).guarded) {
        match of_client(client, homes) {
            Ok(source) => sources.extend(source),
            Err(error) => errors.push(error),
        }
    }
    (sources, errors)
}

/// The servers in a file. The name of a client's or project's file tells its format.
///
/// # Errors
/// The file could not be read; the message says why.
pub fn of_file(path: &Path, client: Option<&str>) -> Result<Source, String> {
    match backups::read(path) {
        Ok(Some(bytes)) => parsed(&bytes, client.or_else(|| project_client(path)), path),
        Ok(None) => Err(format!("could not read `{}`: no such file", path.display())),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The project that a project's file belongs to.
pub fn workspace(path: &Path) -> Option<&Path> {
    let directory = path.parent()?;
    match project_client(path)? {
        "claude-code" => Some(directory),
        _ => directory.parent(),
    }
}

/// The client of `.mcp.json`, `.vscode/mcp.json` and `.cursor/mcp.json`.
fn project_client(path: &Path) -> Option<&'static str> {
    let directory = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    match (path.file_name()?.to_str()?, directory) {
        (".mcp.json", _) => Some("claude-code"),
        ("mcp.json", Some(".vscode")) => Some("vscode"),
        ("mcp.json", Some(".cursor")) => Some("cursor"),
        _ => None,
    }
}

fn parsed(bytes: &[u8], client: Option<&str>, path: &Path) -> Result<Source, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| format!("could not read `{}`: it is not UTF-8 text; save it as UTF-8", path.display()))?;
    let file_name = path.file_name().and_then(|name| name.to_str());
    read(text, client, file_name, &path.display().to_string()).map_err(|error| located(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("could not read `{}`: {error}", path.display())
}

/// A change to a client's file.
#[derive(Debug, PartialEq, Eq)]
pub struct Relocated {
    pub path: PathBuf,
    /// The names of the removed or restored entries.
    pub names: Vec<String>,
    /// The copy of the file from before the change.
    pub backup: Option<PathBuf>,
}

/// Removes entries from a client's file and keeps a backup.
///
/// # Errors
/// The file could not be changed and is as before; the message says why.
pub fn remove(client: &Client, homes: &Homes, names: &[String]) -> Result<Relocated, String> {
    let (path, before) = current(client, homes)?;
    let after = relocate::without(client, &before, names).map_err(|error| located(&path, &error))?;
    replace(path, &before, after, names.to_vec())
}

/// Restores the entries that [`remove`] removed, if nothing else in the file changed since.
///
/// # Errors
/// The file could not be changed and is as before; the message says why.
pub fn restore(client: &Client, homes: &Homes, proxy: &Proxy) -> Result<Relocated, String> {
    let (path, before) = current(client, homes)?;
    let found = backups(&path);
    let Some((backup, names)) = relocate::restored(client, proxy, &before, &found) else {
        return Err(format!("could not restore `{}`: it changed since, or nothing was moved from it", path.display()));
    };
    replace(path, &before, backup.bytes.clone(), names)
}

fn current(client: &Client, homes: &Homes) -> Result<(PathBuf, Vec<u8>), String> {
    let path = config_path(client, homes).path;
    match backups::read(&path) {
        Ok(Some(bytes)) => Ok((path, bytes)),
        Ok(None) => Err(format!("could not read `{}`: no such file", path.display())),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn replace(path: PathBuf, before: &[u8], after: Vec<u8>, names: Vec<String>) -> Result<Relocated, String> {
    let change = Change::Write(after);
    let failed = |error: io::Error| format!("could not change `{}`: {error}", path.display());
    let backup = keep_backup(&path, Some(before), &change).map_err(failed)?;
    match backups::write(&path, Some(before), &change).map_err(failed)? {
        Replaced::Done => Ok(Relocated { path, names, backup }),
        Replaced::ChangedMeanwhile => Err(format!(
            "could not change `{}`: another program changed it at the same time; try again",
            path.display()
        )),
    }
}

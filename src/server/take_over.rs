//! Takes over the Go core's data directory once, before any server starts; later tries again to read missing data.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::document::EditError;
use crate::config::store::{ConfigStore, StoreError};
use crate::contract::instance_root::InstanceRoot;
use crate::os::files;
use crate::takeover::database::{self, InUse, Since};
use crate::takeover::imported::ImportedApprovals;
use crate::takeover::plan::{Database, Edit, Takeover, plan};
use crate::takeover::record::Record;
use crate::takeover::records::Activation;
use crate::telemetry::store::{InstallerMark, Memory, Window};
use crate::upstream::approvals::Approvals;

/// Maximum size of the record. It contains a few kilobytes for each server.
const LARGEST: u64 = 16 << 20;

/// Why the takeover failed. The core must not serve then, because tools that the user had disabled could become
/// available.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    #[error("{0}")]
    Config(#[from] StoreError),
    #[error("could not write `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The state of the takeover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is nothing to take over.
    Nothing,
    /// The takeover was done, now or earlier.
    Done(Box<Record>),
}

/// Takes over everything that is not taken over yet, or that the Go core has changed since.
///
/// # Errors
/// [`TakeOverError`]
pub fn take_over(root: &InstanceRoot, store: &ConfigStore, now: String) -> Result<State, TakeOverError> {
    let before = read_record(root);
    let finished = before.as_ref().filter(|record| record.complete);
    let document = store.value()?;
    let database = match (go_database(root, document.as_ref()), finished) {
        (Err(reason), _) => Database::Unreadable(reason),
        (Ok(path), None) => database::read(&path, InUse::Refuse),
        (Ok(path), Some(record)) => match database::since(&path, record.transaction) {
            Since::Same => return still_valid(root, record, None),
            Since::Unreadable(reason) => return still_valid(root, record, Some(reason)),
            Since::Changed => database::read(&path, InUse::Refuse),
        },
    };
    match (finished, &database) {
        // The Go core was used in between, but its database cannot be read now: the earlier takeover stays valid.
        (Some(record), Database::Unreadable(reason)) => return still_valid(root, record, Some(reason.clone())),
        (Some(record), Database::Missing) => return still_valid(root, record, None),
        _ => {}
    }
    if database == Database::Missing && before.is_none() {
        return Ok(State::Nothing);
    }
    let Some(document) = document else { return Ok(State::Nothing) };
    let mut takeover = plan(&document, &database, &approved_here(root));
    if let Some(record) = finished {
        takeover.edits.retain(|edit| !record.plan.made(edit));
    }
    let is_as_before = before.as_ref().is_some_and(|before| before.plan.unreadable == takeover.plan.unreadable);
    if let (Database::Unreadable(_), Some(before), true) = (&database, &before, is_as_before) {
        return Ok(State::Done(Box::new(before.clone())));
    }
    carry_out(root, store, &takeover)?;
    let record = Record {
        taken_over_at: now,
        complete: !matches!(database, Database::Unreadable(_)),
        transaction: match &database {
            Database::Read(records) => records.transaction,
            _ => 0,
        },
        // The tray shows the summary again only if it has changed.
        shown: finished.is_some_and(|record| record.shown && record.plan == takeover.plan),
        // Otherwise, its counts would be added a second time.
        carried_over: finished.is_some_and(|record| record.carried_over),
        unknown_since: None,
        plan: takeover.plan,
    };
    write_record(root, &record)?;
    Ok(State::Done(Box::new(record)))
}

/// Keeps an earlier takeover, and records whether the Go core may have changed something since.
fn still_valid(root: &InstanceRoot, record: &Record, unknown_since: Option<String>) -> Result<State, TakeOverError> {
    let now = Record {
        unknown_since,
        ..record.clone()
    };
    if now != *record {
        write_record(root, &now)?;
    }
    Ok(State::Done(Box::new(now)))
}

/// Says that the Go core may have changed something that is not known.
pub fn unknown_since(reason: &str) -> String {
    format!(
        "the Go core's `config.db` can no longer be read ({reason}): approvals, and tools that you turned off there since the \
         takeover, are not known here"
    )
}

/// The Go core's database: in the data directory, or where the configuration of `~/.mcpproxy` says. A directory that the
/// user has moved still contains the old path, so a missing database there does not count.
///
/// # Errors
/// It is not known where the database is, and why.
fn go_database(root: &InstanceRoot, document: Option<&Value>) -> Result<PathBuf, String> {
    let own = root.go_database();
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    let named = document.and_then(|document| document.get("data_dir")).and_then(Value::as_str).unwrap_or_default();
    let elsewhere = Path::new(named).join("config.db");
    if named.is_empty() || (exists(&own) && !root.is_default()) {
        Ok(own)
    } else if Path::new(named).is_absolute() {
        Ok(if exists(&elsewhere) { elsewhere } else { own })
    } else if exists(&own) {
        Ok(own)
    } else {
        Err(format!("`data_dir` is `{named}`, which is not an absolute path"))
    }
}

/// The servers whose tools this core has listed and compared.
fn approved_here(root: &InstanceRoot) -> BTreeSet<String> {
    Approvals::load(&root.tool_approvals()).servers()
}

/// Returns the takeover that would be done now. Reads the database even while it is in use.
///
/// # Errors
/// The configuration cannot be read.
pub fn preview(root: &InstanceRoot, store: &ConfigStore) -> Result<Option<Takeover>, TakeOverError> {
    let Some(document) = store.value()? else { return Ok(None) };
    let database = match go_database(root, Some(&document)) {
        Ok(path) => database::read(&path, InUse::Read),
        Err(reason) => Database::Unreadable(reason),
    };
    match database {
        Database::Missing => Ok(None),
        database => Ok(Some(plan(&document, &database, &approved_here(root)))),
    }
}

/// Saves restrictions on tools first, then the record: an interrupted takeover is done again.
fn carry_out(root: &InstanceRoot, store: &ConfigStore, takeover: &Takeover) -> Result<(), TakeOverError> {
    let path = root.takeover_approvals();
    ImportedApprovals::write(&path, &takeover.approvals).map_err(|source| TakeOverError::Io { path, source })?;
    if !takeover.edits.is_empty() {
        store.edit(|document| {
            for edit in &takeover.edits {
                match edit {
                    Edit::TurnOff { server, tool } => document.switch_tool(server, tool, false)?,
                    Edit::Disable { server } => document.set_in_server(server, "enabled", false.into())?,
                    Edit::Quarantine { server } => document.set_in_server(server, "quarantined", true.into())?,
                    Edit::HidePrompts { server } => document.set_in_server(server, "expose_prompts", false.into())?,
                }
            }
            Ok::<(), EditError>(())
        })?;
    }
    Ok(())
}

/// Reads the record of the takeover. An unreadable record counts as none, so the takeover is done again.
pub fn read_record(root: &InstanceRoot) -> Option<Record> {
    let bytes = files::read_bounded(&root.takeover(), LARGEST).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Replaces the record.
///
/// # Errors
/// The system's error.
pub fn write_record(root: &InstanceRoot, record: &Record) -> Result<(), TakeOverError> {
    let path = root.takeover();
    let written = serde_json::to_vec_pretty(record).map_err(io::Error::from);
    written
        .and_then(|bytes| files::replace_private(&path, &bytes))
        .map_err(|source| TakeOverError::Io { path, source })
}

/// Returns the Go core's activation, if its database can be read.
pub fn activation(root: &InstanceRoot, store: &ConfigStore) -> Option<Memory> {
    let document = store.value().ok().flatten();
    match database::read(&go_database(root, document.as_ref()).ok()?, InUse::Read) {
        Database::Read(records) => Some(memory(records.activation)),
        _ => None,
    }
}

fn memory(activation: Activation) -> Memory {
    let window = |(count, start): (u64, i64)| Window { count, start };
    Memory {
        connected_server: activation.connected_server,
        mcp_client: activation.mcp_client,
        retrieve_tools_call: activation.retrieve_tools_call,
        clients: activation.clients,
        retrieve_tools_calls: window(activation.retrieve_tools_calls),
        tokens_saved: window(activation.tokens_saved),
        installer: if activation.installer_pending { InstallerMark::Pending } else { InstallerMark::None },
        ..Memory::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;

    fn home() -> (tempfile::TempDir, InstanceRoot, ConfigStore) {
        let directory = tempfile::tempdir().unwrap();
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/full/dot-mcpproxy");
        for file in ["config.db", "mcp_config.json"] {
            std::fs::copy(recorded.join(file), directory.path().join(file)).unwrap();
        }
        let root = InstanceRoot::resolve(Path::new("/home/ann"), directory.path().to_str());
        let store = ConfigStore::new(root.config());
        (directory, root, store)
    }

    fn done(state: State) -> Record {
        let State::Done(record) = state else { panic!("nothing was taken over") };
        *record
    }

    fn document(root: &InstanceRoot) -> Value {
        serde_json::from_slice(&std::fs::read(root.config()).unwrap()).unwrap()
    }

    #[test]
    fn a_home_is_taken_over_once_and_what_the_go_core_needs_stays_as_it_was() {
        let (_directory, root, store) = home();
        let (database, before) = (std::fs::read(root.go_database()).unwrap(), document(&root));
        let record = done(take_over(&root, &store, "now".into()).unwrap());
        assert!(record.complete && record.transaction == 139);
        let mut after = document(&root);
        assert_eq!(after["mcpServers"][2]["disabled_tools"], serde_json::json!(["echo", "get-sum"]));
        after["mcpServers"][2].as_object_mut().unwrap().remove("disabled_tools");
        assert_eq!(after, before);
        assert_eq!(std::fs::read(root.go_database()).unwrap(), database);
        // A tool that the user has enabled again stays enabled.
        store.edit(|document| document.switch_tool("everything", "echo", true)).unwrap();
        assert_eq!(done(take_over(&root, &store, "later".into()).unwrap()), record);
        assert_eq!(document(&root)["mcpServers"][2]["disabled_tools"], serde_json::json!(["get-sum"]));
    }

    #[test]
    fn what_the_go_core_changed_afterwards_is_taken_over_and_what_a_person_changed_here_stays() {
        let (_directory, root, store) = home();
        let mut record = done(take_over(&root, &store, "now".into()).unwrap());
        // In the earlier database, only `echo` was off; the user has turned it on here since.
        let everything = record.plan.servers.iter_mut().find(|server| server.name == "everything").unwrap();
        everything.tools.iter_mut().find(|tool| tool.name == "get-sum").unwrap().becomes =
            crate::takeover::plan::ToolState::Callable;
        (record.transaction, record.shown, record.carried_over) = (138, true, true);
        write_record(&root, &record).unwrap();
        for tool in ["echo", "get-sum"] {
            store.edit(|document| document.switch_tool("everything", tool, true)).unwrap();
        }
        let again = done(take_over(&root, &store, "later".into()).unwrap());
        assert_eq!((again.transaction, again.shown, again.taken_over_at.as_str()), (139, false, "later"));
        assert_eq!(document(&root)["mcpServers"][2]["disabled_tools"], serde_json::json!(["get-sum"]));
        assert!(ImportedApprovals::load(&root.takeover_approvals()).unwrap().get("changing").is_some());
        // If the Go core was only started, the tray does not show the summary again.
        write_record(
            &root,
            &Record {
                transaction: 138,
                shown: true,
                ..again
            },
        )
        .unwrap();
        let same = done(take_over(&root, &store, "last".into()).unwrap());
        assert!(same.shown && same.transaction == 139);
        std::fs::write(root.go_database(), "damaged").unwrap();
        let unknown = done(take_over(&root, &store, "x".into()).unwrap());
        assert_eq!(unknown.unknown_since.as_deref(), Some("it is not a bbolt database"));
        let still = Record {
            unknown_since: None,
            ..unknown
        };
        assert_eq!(still, same, "what is known still holds");
    }

    #[test]
    fn unreadable_data_blocks_tools_until_it_can_be_read() {
        let (_directory, root, store) = home();
        let held = std::fs::File::options().read(true).write(true).open(root.go_database()).unwrap();
        held.lock().unwrap();
        let record = done(take_over(&root, &store, "now".into()).unwrap());
        assert!(!record.complete && record.plan.unreadable.is_some());
        let imported = ImportedApprovals::load(&root.takeover_approvals()).unwrap();
        assert!(imported.holds_all("everything") && imported.holds_all("auto"));
        // The report is not shown again as long as nothing changes.
        write_record(&root, &Record { shown: true, ..record }).unwrap();
        assert!(done(take_over(&root, &store, "later".into()).unwrap()).shown);
        drop(held);
        let record = done(take_over(&root, &store, "at last".into()).unwrap());
        assert!(record.complete && !record.shown);
        assert!(!ImportedApprovals::load(&root.takeover_approvals()).unwrap().holds_all("everything"));
        assert_eq!(document(&root)["mcpServers"][2]["disabled_tools"], serde_json::json!(["echo", "get-sum"]));
    }

    #[test]
    fn a_new_installation_has_nothing_to_take_over() {
        let (_directory, root, store) = home();
        std::fs::remove_file(root.go_database()).unwrap();
        assert_eq!(take_over(&root, &store, "now".into()).unwrap(), State::Nothing);
        assert!(!root.takeover().exists());
        std::fs::remove_file(root.config()).unwrap();
        assert_eq!(take_over(&root, &store, "now".into()).unwrap(), State::Nothing);
        assert!(preview(&root, &store).unwrap().is_none());
    }

    #[test]
    fn the_database_is_where_the_configuration_says() {
        let (directory, root, store) = home();
        let elsewhere = directory.path().join("elsewhere");
        let name = |path: &Path| {
            let path = path.to_str().unwrap().to_owned();
            let set = |document: &mut Document| {
                document.set("data_dir", path.clone().into());
                Ok(())
            };
            store.edit(set).unwrap();
        };
        name(&elsewhere);
        assert!(preview(&root, &store).unwrap().is_some(), "a moved directory still has the old path");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::rename(root.go_database(), elsewhere.join("config.db")).unwrap();
        let record = done(take_over(&root, &store, "now".into()).unwrap());
        assert!(record.complete && activation(&root, &store).is_some());
        assert_eq!(document(&root)["mcpServers"][2]["disabled_tools"], serde_json::json!(["echo", "get-sum"]));
    }

    #[test]
    fn a_database_that_cannot_be_found_blocks_tools() {
        let (_directory, root, store) = home();
        let set = |document: &mut Document| {
            document.set("data_dir", "${env:DATA}/mcp".into());
            Ok(())
        };
        store.edit(set).unwrap();
        assert!(done(take_over(&root, &store, "now".into()).unwrap()).complete, "the one in this directory counts");
        for file in [root.takeover(), root.go_database()] {
            std::fs::remove_file(file).unwrap();
        }
        let record = done(take_over(&root, &store, "now".into()).unwrap());
        assert!(!record.complete && record.plan.unreadable.unwrap().contains("`${env:DATA}/mcp`"));
    }

    #[test]
    fn the_activation_comes_along() {
        let (_directory, root, store) = home();
        let memory = activation(&root, &store).unwrap();
        assert!(memory.connected_server && memory.mcp_client && memory.retrieve_tools_call);
        assert_eq!((memory.clients, memory.tokens_saved.count), (vec!["claude-code".to_owned()], 2400));
    }
}

//! Reads and edits the configuration file, always starting from its current content.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::document::{Document, EditError};
use crate::config::{Config, ConfigError};
use crate::contract::failure::FailureKind;
use crate::contract::names;
use crate::os::files::{self, Replaced};

/// Far larger than any real configuration.
const MAX_SIZE: u64 = 16 << 20;

/// Why the configuration was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the configuration {0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Edit(#[from] EditError),
    #[error("could not {operation} the configuration `{}`: {source}", path.display())]
    Io {
        path: PathBuf,
        operation: &'static str,
        source: io::Error,
    },
    #[error("could not change the configuration `{}`: it would become invalid ({problem})", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error("could not change the configuration `{}`: another program keeps writing it; try again in a moment", path.display())]
    Contended { path: PathBuf },
    /// A core runs, but could not be asked to make the change. It would not notice the edit, or undo it.
    #[error("could not change the configuration `{}`: MCPProxy is running but not responding: {problem}", path.display())]
    NotResponding { path: PathBuf, problem: String },
}

impl StoreError {
    /// The kind that decides how each protocol reports it.
    pub fn kind(&self) -> FailureKind {
        match self {
            StoreError::Edit(EditError::Unknown(_)) => FailureKind::NotFound,
            StoreError::Edit(EditError::Exists(_) | EditError::LastOne(_) | EditError::Changed(_)) => {
                FailureKind::Conflict
            }
            StoreError::Unreadable { .. } | StoreError::Edit(EditError::Shape(_)) => FailureKind::Invalid,
            StoreError::Contended { .. } => FailureKind::Conflict,
            StoreError::Config(_) | StoreError::Io { .. } | StoreError::NotResponding { .. } => FailureKind::Internal,
        }
    }
}

/// How often an edit is retried when another program writes the file at the same time.
const ATTEMPTS: u32 = 5;

/// The configuration file of one instance.
#[derive(Debug, Clone)]
pub struct ConfigStore {
    path: PathBuf,
}

impl ConfigStore {
    /// The store of a file, which need not exist.
    pub fn new(path: PathBuf) -> ConfigStore {
        ConfigStore { path }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. A missing file means all defaults.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(&self) -> Result<Config, StoreError> {
        Ok(Config::parse(&self.path, &self.read()?.unwrap_or_default())?)
    }

    /// The content of the file with secrets masked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn masked(&self) -> Result<serde_json::Value, StoreError> {
        Ok(Document::parse(&self.read()?.unwrap_or_default())?.masked())
    }

    /// Like [`masked`](ConfigStore::masked), without the servers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn masked_settings(&self) -> Result<serde_json::Value, StoreError> {
        let mut document = self.document()?;
        document.remove("mcpServers");
        Ok(document.masked())
    }

    /// The file as a document.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn document(&self) -> Result<Document, StoreError> {
        Ok(Document::parse(&self.read()?.unwrap_or_default())?)
    }

    /// The file as a value with every key; `None` without a file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn value(&self) -> Result<Option<serde_json::Value>, StoreError> {
        self.read()?.map(|text| self.value_of(&text)).transpose()
    }

    /// The text of the file; `None` without a file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn text(&self) -> Result<Option<String>, StoreError> {
        self.read()
    }

    /// A text of the file as a value with every key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn value_of(&self, text: &str) -> Result<serde_json::Value, StoreError> {
        Config::parse(&self.path, text)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(serde_json::from_str(text).unwrap_or_default())
    }

    /// Reads the file for a running core. A missing or empty file is an error: it is being written, or was lost.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load_written(&self) -> Result<Config, StoreError> {
        match self.read()? {
            Some(text) if text.trim().is_empty() => Err(StoreError::Config(ConfigError {
                path: self.path.clone(),
                line: 1,
                column: 1,
                problem: "the file is empty; expected an object of settings".to_owned(),
            })),
            Some(text) => Ok(Config::parse(&self.path, &text)?),
            None => Err(self.failed("read", io::ErrorKind::NotFound.into())),
        }
    }

    /// Reads the file. Creates it for a new installation, and adds the API key if missing.
    ///
    /// # Errors
    /// [`StoreError`]; an invalid file is never changed.
    pub fn load_or_create(&self) -> Result<Config, StoreError> {
        let Some(text) = self.read()? else {
            let document = Document::new(names::DEFAULT_LISTEN, &new_api_key());
            self.write(None, &document)?;
            return self.load();
        };
        let config = Config::parse(&self.path, &text)?;
        self.make_private();
        if config.api_key.as_deref().is_some_and(|key| !key.is_empty()) {
            return Ok(config);
        }
        self.edit(|document| {
            document.set_api_key(&new_api_key());
            Ok(())
        })
    }

    /// Reads the file, changes the document, checks the result and replaces the file. Retries if another program wrote
    /// the file in between.
    ///
    /// # Errors
    /// [`StoreError`]; the file is then unchanged.
    pub fn edit(&self, change: impl Fn(&mut Document) -> Result<(), EditError>) -> Result<Config, StoreError> {
        for _ in 0..ATTEMPTS {
            let before = self.read()?;
            let text = before.as_deref().unwrap_or_default();
            Config::parse(&self.path, text)?;
            let mut document = Document::parse(text)?;
            change(&mut document)?;
            let config = Config::parse(&self.path, &document.text()).map_err(|error| StoreError::Unreadable {
                path: self.path.clone(),
                problem: error.problem,
            })?;
            if self.write(before.as_deref(), &document)? == Replaced::Done {
                return Ok(config);
            }
        }
        Err(StoreError::Contended {
            path: self.path.clone(),
        })
    }

    fn read(&self) -> Result<Option<String>, StoreError> {
        let bytes = match files::read_bounded(&self.path, MAX_SIZE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("read", source)),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
                Err(StoreError::Config(ConfigError {
                    path: self.path.clone(),
                    line: valid.split(|byte| *byte == b'\n').count(),
                    column: valid.rsplit(|byte| *byte == b'\n').next().map_or(1, |line| line.len() + 1),
                    problem: "the file is not UTF-8".into(),
                }))
            }
        }
    }

    /// Takes other users' permissions away: the file holds the API key and may hold secrets of servers.
    fn make_private(&self) {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&self.path).map_or(0, |file| file.permissions().mode());
            let private = std::fs::Permissions::from_mode(mode & 0o700);
            if mode & 0o077 != 0
                && let Err(error) = std::fs::set_permissions(&self.path, private)
            {
                tracing::warn!("could not make `{}` private: {error}", self.path.display());
            }
        }
    }

    fn write(&self, before: Option<&str>, document: &Document) -> Result<Replaced, StoreError> {
        files::replace_private_if(&self.path, before.map(str::as_bytes), document.text().as_bytes())
            .map_err(|source| self.failed("write", source))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> StoreError {
        StoreError::Io {
            path: self.path.clone(),
            operation,
            source,
        }
    }
}

/// 64 hex digits, like the Go core's keys, from two random UUIDs (244 random bits).
fn new_api_key() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(directory: &tempfile::TempDir) -> ConfigStore {
        ConfigStore::new(directory.path().join("mcp_config.json"))
    }

    #[test]
    fn a_new_installation_gets_a_file_with_a_key_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let config = store(&directory).load_or_create().unwrap();
        assert_eq!(config.api_key.as_deref().map(str::len), Some(64));
        assert_eq!(store(&directory).load_or_create().unwrap(), config);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        files::replace_private(store.path(), b"{ \"listen\": ").unwrap();
        assert!(matches!(store.load_or_create(), Err(StoreError::Config(_))));
        assert!(store.edit(|_| Ok(())).is_err());
        assert_eq!(std::fs::read(store.path()).unwrap(), b"{ \"listen\": ");
        files::replace_private(store.path(), b"{\n\xff").unwrap();
        let Err(StoreError::Config(error)) = store.load() else {
            panic!("not UTF-8 must not load")
        };
        assert_eq!((error.line, error.column), (2, 1));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_becomes_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        std::fs::write(store.path(), "{\"api_key\": \"k\"}").unwrap();
        std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        store.load_or_create().unwrap();
        assert_eq!(std::fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_edit_starts_from_what_is_on_disk_now() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        store.load_or_create().unwrap();
        files::replace_private(store.path(), b"{\"api_key\":\"k\",\"mine\":1}").unwrap();
        let entry = serde_json::json!({"name": "a", "command": "x"});
        store.edit(|document| document.add_server("a", entry.clone())).unwrap();
        assert!(std::fs::read_to_string(store.path()).unwrap().contains("\"mine\": 1"));
    }

    #[test]
    fn what_a_person_saves_during_an_edit_is_in_the_file_afterwards_with_the_edit() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        store.load_or_create().unwrap();
        let saves = std::cell::Cell::new(0);
        let config = store
            .edit(|document| {
                if saves.replace(1) == 0 {
                    let text = br#"{"api_key":"k","mcpServers":[{"name":"by-hand","command":"x"}]}"#;
                    std::fs::write(store.path(), text).unwrap();
                }
                document.add_server("by-rest", serde_json::json!({"name": "by-rest", "command": "y"}))
            })
            .unwrap();
        let names: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["by-hand", "by-rest"]);
        assert_eq!(store.load().unwrap(), config);
        // Gives up if another program never stops writing.
        let contended = store.edit(|document| {
            saves.set(saves.get() + 1);
            std::fs::write(store.path(), format!("{{\"api_key\":\"{}\"}}", saves.get())).unwrap();
            document.add_server("c", serde_json::json!({"name": "c", "command": "z"}))
        });
        assert!(matches!(contended, Err(StoreError::Contended { .. })));
    }

    #[test]
    fn an_empty_or_missing_file_says_nothing_to_a_running_core() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        assert!(matches!(store.load_written(), Err(StoreError::Io { .. })));
        std::fs::write(store.path(), " \n").unwrap();
        assert!(matches!(store.load_written(), Err(StoreError::Config(_))));
        store.load_or_create().unwrap();
        assert_eq!(store.load_written().unwrap(), store.load().unwrap());
    }
}

//! One function for each action on a server. REST and the tools for models call them.

mod approve;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Map, Value, json};

use crate::config::document::{Document, EditError};
use crate::config::store::StoreError;
use crate::config::{Config, ServerConfig};
use crate::contract::review::ReviewConflict;
use crate::control::actor::acting;
use crate::control::live_config::LiveConfig;
use crate::control::review::ReviewedEntry;
use crate::os::sync::lock;
use crate::upstream::approvals::PendingTool;
use crate::upstream::approved_versions::ApprovedVersions;
use crate::upstream::error::SignInError;
use crate::upstream::offers::OfferApprovals;
use crate::upstream::pool::UpstreamPool;

/// Changes servers.
pub struct ServerControl {
    config: Arc<LiveConfig>,
    pool: Arc<UpstreamPool>,
    offers: Arc<OfferApprovals>,
    versions: Arc<ApprovedVersions>,
    /// The tools of servers that were inspected, each with the fingerprint of the entry that was started.
    inspected: Mutex<BTreeMap<String, (String, Vec<PendingTool>)>>,
    /// The versions of each server that the user has seen in a review.
    shown: Mutex<BTreeMap<String, Shown>>,
    /// Where answers of registries are stored.
    registry_cache: PathBuf,
}

/// The origin of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A model, with the name of its AI client.
    Model(String),
    /// The user, at the command line, in the tray or on the page.
    Person(&'static str),
    /// Another program, over REST.
    Rest,
}

impl Origin {
    /// Whether this origin may approve a server in the same request that adds it.
    pub(super) fn may_approve(&self) -> bool {
        matches!(self, Origin::Person(_))
    }

    fn is_model(&self) -> bool {
        matches!(self, Origin::Model(_))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Model(client) => write!(formatter, "model in {}", client.chars().take(60).collect::<String>()),
            Origin::Person(place) => formatter.write_str(place),
            Origin::Rest => formatter.write_str("REST"),
        }
    }
}

/// Number of versions of an entry that are kept to show what has changed since the review.
const REMEMBERED: usize = 8;

#[derive(Default)]
struct Shown {
    /// Versions of the entry by fingerprint, the most recently shown one last.
    entries: VecDeque<(String, ReviewedEntry)>,
    /// Fingerprints of the shown tools, by name.
    tools: Option<BTreeMap<String, String>>,
}

impl Shown {
    fn remember(&mut self, entry: ReviewedEntry) {
        let fingerprint = entry.fingerprint();
        self.entries.retain(|(known, _)| *known != fingerprint);
        self.entries.push_back((fingerprint, entry));
        if self.entries.len() > REMEMBERED {
            self.entries.pop_front();
        }
    }
}

/// The user has not confirmed a danger.
#[derive(Debug)]
pub struct Unconfirmed(pub Box<ReviewConflict>);

impl std::error::Error for Unconfirmed {}

impl std::fmt::Display for Unconfirmed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<String> = self.0.unconfirmed.iter().map(|one| format!("`{}`", one.key)).collect();
        write!(formatter, "a danger needs a confirmation of its own: name {} in `confirmed`", keys.join(", "))
    }
}

/// Why a server was not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveServerError {
    #[error("the server has changed since it was shown: review it again")]
    Changed(Box<ReviewConflict>),
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// The tools could not be approved.
    #[error(transparent)]
    Tools(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ServerControl {
    pub fn new(config: Arc<LiveConfig>, pool: Arc<UpstreamPool>, offers: Arc<OfferApprovals>) -> ServerControl {
        let beside = config.store().path().parent().map(Path::to_path_buf).unwrap_or_default();
        ServerControl {
            registry_cache: beside.join("registry-cache"),
            config,
            offers,
            versions: pool.approvals().versions(),
            pool,
            inspected: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    /// Sets where answers of registries are stored; by default beside the configuration file.
    #[must_use]
    pub fn with_registry_cache(self, registry_cache: PathBuf) -> ServerControl {
        ServerControl { registry_cache, ..self }
    }

    pub(super) fn registry_cache(&self) -> PathBuf {
        self.registry_cache.clone()
    }

    /// Returns the configuration.
    pub fn config(&self) -> &LiveConfig {
        &self.config
    }

    /// Returns the pool of upstream servers.
    pub fn pool(&self) -> &UpstreamPool {
        &self.pool
    }

    /// Adds a server: `entry` is an entry of `mcpServers`, all keys of which are kept. The server needs approval unless
    /// the configuration turns approvals off, or the user approves it in the same request.
    ///
    /// # Errors
    /// [`StoreError`], for example if the name exists already or the entry is invalid.
    pub async fn add(&self, name: &str, entry: Map<String, Value>, origin: &Origin) -> Result<(), StoreError> {
        self.add_all(vec![(name.to_owned(), entry)], origin).await
    }

    /// Adds several servers like [`ServerControl::add`] in one edit: either all or none.
    ///
    /// # Errors
    /// [`StoreError`], for example if a name exists already or an entry is invalid.
    pub async fn add_all(&self, entries: Vec<(String, Map<String, Value>)>, origin: &Origin) -> Result<(), StoreError> {
        let quarantines = self.config.current().quarantines();
        let prepared = |(name, mut entry): (String, Map<String, Value>)| {
            entry.entry("enabled").or_insert(Value::Bool(true));
            let approved = origin.may_approve() && entry.get("quarantined") == Some(&Value::Bool(false));
            if origin.is_model() || (quarantines && !approved) {
                entry.insert("quarantined".to_owned(), Value::Bool(true));
            }
            (name, Value::Object(entry))
        };
        let entries: Vec<(String, Value)> = entries.into_iter().map(prepared).collect();
        let edit = self.config.edit(move |document| {
            entries.iter().try_for_each(|(name, entry)| document.add_new_server(name, entry.clone()))
        });
        acting(origin.to_string(), edit).await
    }

    /// Merges a part of a configuration: objects are merged, other values replaced. A server that is new or runs
    /// something else needs approval, unless the user approves it in the same request.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn merge(&self, part: Map<String, Value>, origin: &Origin) -> Result<(), StoreError> {
        let quarantines = self.config.current().quarantines();
        let holds = quarantines && !origin.may_approve() && part.contains_key("mcpServers");
        let edit = self.config.edit(move |document| {
            let mut before = document.clone();
            document.merge(part.clone())?;
            if holds { hold_changed(&mut before, document) } else { Ok(()) }
        });
        acting(origin.to_string(), edit).await
    }

    /// Removes a server and its entry.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let server = name.to_owned();
        self.config.edit(move |document| document.remove_server(&server)).await?;
        lock(&self.inspected).remove(name);
        let (versions, server) = (self.versions.clone(), name.to_owned());
        let _ = tokio::task::spawn_blocking(move || versions.forget(&server)).await;
        Ok(())
    }

    /// Starts or stops a server. Its entry is kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), StoreError> {
        self.set(name, "enabled", json!(enabled)).await
    }

    /// Stops a server until the user approves it again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn quarantine(&self, name: &str) -> Result<(), StoreError> {
        self.set(name, "quarantined", json!(true)).await
    }

    /// Returns the current entry from the file, unparsed and parsed.
    async fn entry(&self, name: &str) -> Result<(ReviewedEntry, Option<ServerConfig>), StoreError> {
        let (store, name) = (self.config.store().clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let mut document = store.document()?;
            let entry = entry_of(&mut document, &name)?;
            let config = Config::parse(store.path(), &document.text()).ok();
            Ok((entry, config.and_then(|config| config.servers.into_iter().find(|server| server.name == name))))
        });
        read.await.unwrap_or_else(|_| Err(EditError::Shape("reading the file was aborted".to_owned()).into()))
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<String, Shown>> {
        lock(&self.shown)
    }

    /// Restarts a server.
    ///
    /// # Errors
    /// [`EditError::Unknown`]
    pub fn restart(&self, name: &str) -> Result<(), StoreError> {
        known(name, self.pool.restart(name))
    }

    /// Changes settings of a server. It needs approval again, because it may now run another program or run in another
    /// place.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn patch(&self, name: &str, changes: Map<String, Value>, origin: &Origin) -> Result<(), StoreError> {
        let (before, _) = self.entry(name).await?;
        {
            let mut shown = self.shown();
            let shown = shown.entry(name.to_owned()).or_default();
            // An approval without a fingerprint must refer to the version before this change.
            if shown.entries.is_empty() {
                shown.remember(before);
            }
        }
        let name = name.to_owned();
        let edit = self.config.edit(move |document| {
            for (key, value) in &changes {
                document.set_in_server(&name, key, value.clone())?;
            }
            document.set_in_server(&name, "quarantined", json!(true))
        });
        acting(origin.to_string(), edit).await
    }

    /// Merges a part into a server's entry: objects are merged, `null` removes a key. The server needs approval again,
    /// unless the user makes the change.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn merge_entry(&self, name: &str, part: Map<String, Value>, origin: &Origin) -> Result<(), StoreError> {
        let holds = self.config.current().quarantines() && !origin.may_approve();
        let name = name.to_owned();
        let edit = self.config.edit(move |document| {
            document.merge_in_server(&name, &part)?;
            if holds { document.set_in_server(&name, "quarantined", json!(true)) } else { Ok(()) }
        });
        acting(origin.to_string(), edit).await
    }

    /// Enables or disables one tool of a server.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn set_tool_enabled(&self, name: &str, tool: &str, enabled: bool) -> Result<(), StoreError> {
        let (name, tool) = (name.to_owned(), tool.to_owned());
        self.config.edit(move |document| document.switch_tool(&name, &tool, enabled)).await
    }

    /// Begins a sign-in. Returns the URL where the user continues.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn sign_in(&self, name: &str) -> Result<String, SignInError> {
        self.pool.sign_in(name).await
    }

    /// Deletes a server's tokens and restarts it.
    ///
    /// # Errors
    /// [`EditError::Unknown`]
    pub fn sign_out(&self, name: &str) -> Result<(), StoreError> {
        known(name, self.pool.sign_out(name))
    }

    async fn set(&self, name: &str, key: &'static str, value: Value) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.config.edit(move |document| document.set_in_server(&name, key, value.clone())).await
    }
}

/// Sets every server that is new, runs something else, or needed approval before, to need approval.
pub(super) fn hold_changed(before: &mut Document, document: &mut Document) -> Result<(), EditError> {
    for name in document.server_names()? {
        let known = entry_of(before, &name).ok();
        let same = known
            .is_some_and(|known| entry_of(document, &name).is_ok_and(|now| now.fingerprint() == known.fingerprint()));
        let was_approved = before.get_in_server(&name, "quarantined").ok().flatten() != Some(&json!(true));
        if !same || !was_approved {
            document.set_in_server(&name, "quarantined", json!(true))?;
        }
    }
    Ok(())
}

fn entry_of(document: &mut Document, name: &str) -> Result<ReviewedEntry, EditError> {
    let global = document.clone();
    Ok(ReviewedEntry::new(document.entry(name)?, |key| global.get(key).cloned()))
}

fn known(name: &str, found: bool) -> Result<(), StoreError> {
    if found { Ok(()) } else { Err(EditError::Unknown(name.to_owned()).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::store::ConfigStore;
    use crate::contract::review::ApproveServer;
    use crate::contract::review_text::{self, Subject};
    use crate::upstream::approvals::Approvals;
    use crate::upstream::oauth::token_store::TokenStore;

    struct Core {
        _directory: tempfile::TempDir,
        control: ServerControl,
    }

    fn core() -> Core {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let store = ConfigStore::new(path.join("mcp_config.json"));
        let config = Arc::new(store.load_or_create().unwrap());
        let tokens = TokenStore::load(&path.join("tokens"), None, Arc::default());
        let pool =
            Arc::new(UpstreamPool::new(path, path, Approvals::load(&path.join("approvals")), tokens, Arc::default()));
        let live = Arc::new(LiveConfig::new(store, config, pool.clone(), Box::new(|_| ())));
        Core {
            control: ServerControl::new(live, pool, Arc::new(OfferApprovals::load(&path.join("offers")))),
            _directory: directory,
        }
    }

    fn entry(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn approval(fingerprint: Option<String>) -> ApproveServer {
        ApproveServer {
            fingerprint,
            ..ApproveServer::default()
        }
    }

    fn quarantined(core: &Core, name: &str) -> bool {
        core.control.config().current().servers.iter().any(|server| server.name == name && server.quarantined)
    }

    #[tokio::test]
    async fn an_approval_covers_only_the_reviewed_version() {
        let core = core();
        let harmless = entry(json!({"name": "a", "command": "true", "enabled": false}));
        core.control.add("a", harmless, &Origin::Model("c".into())).await.unwrap();
        let shown = core.control.review("a").await.unwrap();
        assert_eq!((shown.needs_approval, shown.added_by.as_deref()), (true, Some("model in c")));
        core.control.patch("a", entry(json!({"command": "rm"})), &Origin::Model("c".into())).await.unwrap();
        // Neither the fingerprint of the reviewed version nor a missing fingerprint approves the other program.
        for fingerprint in [Some(shown.fingerprint.clone()), None] {
            let Err(ApproveServerError::Changed(conflict)) = core.control.approve("a", approval(fingerprint)).await
            else {
                panic!("approved what was not shown");
            };
            assert!(quarantined(&core, "a"));
            assert_eq!(conflict.changes.first().map(|change| change.field.as_str()), Some("command"));
        }
        let now = core.control.review("a").await.unwrap();
        core.control.approve("a", approval(Some(now.fingerprint))).await.unwrap();
        assert!(!quarantined(&core, "a"));
    }

    #[tokio::test]
    async fn only_this_program_writes_a_servers_history() {
        let core = core();
        let model = Origin::Model("c".into());
        core.control.add("a", entry(json!({"name": "a", "command": "true", "enabled": false})), &model).await.unwrap();
        let before = core.control.review("a").await.unwrap();
        let forged = json!({"mcpServers": [
            {"name": "a", "command": "true", "enabled": false, "quarantined": true, "added_by": "tray", "created": "2020-01-01T00:00:00Z"},
            {"name": "b", "command": "true", "enabled": false, "added_by": "tray", "created": "2020-01-01T00:00:00Z"}]});
        for apply in [false, true] {
            let forged = entry(forged.clone());
            let done = match apply {
                true => core.control.apply(forged, &Origin::Rest).await,
                false => core.control.merge(forged, &Origin::Rest).await,
            };
            done.unwrap();
            let after = core.control.review("a").await.unwrap();
            assert_eq!((&after.added_by, &after.created), (&before.added_by, &before.created));
            let new = core.control.review("b").await.unwrap();
            assert_eq!(new.added_by.as_deref(), Some("REST"));
            assert_ne!(new.created.as_deref(), Some("2020-01-01T00:00:00Z"));
        }
    }

    #[tokio::test]
    async fn a_name_that_looks_like_another_one_is_refused() {
        let core = core();
        for (name, valid) in [
            ("git\u{200b}hub", false),
            ("a\nb", false),
            ("\u{202e}a", false),
            ("meine Dateien ü", true),
        ] {
            let new = entry(json!({"name": name, "command": "true", "enabled": false}));
            let added = core.control.add(name, new, &Origin::Person("tray")).await;
            assert_eq!(added.is_ok(), valid, "{name:?}: {added:?}");
        }
    }

    #[tokio::test]
    async fn a_danger_is_confirmed_by_itself_unless_a_person_wrote_it() {
        let core = core();
        let dangerous = |name: &str| {
            entry(
                json!({"name": name, "command": "true", "enabled": false, "env": {"K": "${env:AWS_SECRET_ACCESS_KEY}"}}),
            )
        };
        core.control.add("a", dangerous("a"), &Origin::Model("c".into())).await.unwrap();
        core.control.add("b", dangerous("b"), &Origin::Person("command line")).await.unwrap();
        let shown = core.control.review("a").await.unwrap();
        for fingerprint in [Some(shown.fingerprint.clone()), None] {
            let Err(ApproveServerError::Unconfirmed(refused)) = core.control.approve("a", approval(fingerprint)).await
            else {
                panic!("approved without a confirmation");
            };
            assert_eq!(refused.0.unconfirmed[0].key, "reference_to_secret:env.K");
            assert!(quarantined(&core, "a"));
        }
        let (path, body) = review_text::approval(&shown, &Subject::Server).unwrap();
        assert_eq!(path, "approve");
        core.control.approve("a", serde_json::from_value(body).unwrap()).await.unwrap();
        let shown = core.control.review("b").await.unwrap();
        core.control.approve("b", approval(Some(shown.fingerprint))).await.unwrap();
        assert!(!quarantined(&core, "a") && !quarantined(&core, "b"));
        core.control.patch("b", entry(json!({"command": "rm"})), &Origin::Model("c".into())).await.unwrap();
        let review = core.control.review("b").await.unwrap();
        assert_eq!(review.changes.iter().map(|change| change.field.as_str()).collect::<Vec<_>>(), ["command"]);
        assert!(review.warnings[0].confirm && review.changed_by.as_deref() == Some("model in c"));
    }

    #[tokio::test]
    async fn a_new_server_needs_approval_however_it_arrives() {
        let core = core();
        let open = json!({"name": "a", "command": "true", "enabled": false, "quarantined": false});
        core.control.add("a", entry(open.clone()), &Origin::Rest).await.unwrap();
        core.control
            .merge(
                entry(json!({"mcpServers": [open, {"name": "b", "command": "true", "enabled": false}]})),
                &Origin::Rest,
            )
            .await
            .unwrap();
        assert!(quarantined(&core, "a") && quarantined(&core, "b"));
        let person = Origin::Person("command line");
        core.control
            .add("c", entry(json!({"name": "c", "command": "true", "enabled": false, "quarantined": false})), &person)
            .await
            .unwrap();
        assert!(!quarantined(&core, "c"), "a person at the command line approves in the same action");
        let mut servers = vec![json!({"name": "c", "command": "false", "enabled": false})];
        core.control.merge(entry(json!({"mcpServers": servers.clone()})), &Origin::Rest).await.unwrap();
        assert!(quarantined(&core, "c"), "another program needs another approval");
        servers.push(json!({"name": "d", "command": "true", "enabled": false}));
        core.control.merge(entry(json!({"mcpServers": servers})), &person).await.unwrap();
        assert!(!quarantined(&core, "d"));
    }
}

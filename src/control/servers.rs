//! One function for each action on a server. REST and the tools for models call them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::document::{Document, EditError};
use crate::config::store::StoreError;
use crate::contract::review::{ApproveTools, Review, ReviewConflict, ReviewOffer};
use crate::contract::words::ApprovalStatus;
use crate::control::live_config::LiveConfig;
use crate::control::review::ReviewedEntry;
use crate::upstream::error::{ApproveError, SignInError};
use crate::upstream::offers;
use crate::upstream::offers::{Offer, OfferApprovals, OfferKind};
use crate::upstream::pool::UpstreamPool;

/// Changes servers.
pub struct ServerControl {
    config: Arc<LiveConfig>,
    pool: Arc<UpstreamPool>,
    offers: Arc<OfferApprovals>,
    /// The versions of each server that the user has seen in a review.
    shown: Mutex<BTreeMap<String, Shown>>,
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
    fn may_approve(&self) -> bool {
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

/// Timeout for listing a server's prompts and templates for a review.
const LIST_LIMIT: Duration = Duration::from_secs(5);

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

/// Why a server was not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveServerError {
    #[error("the server has changed since it was shown: review it again")]
    Changed(Box<ReviewConflict>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ServerControl {
    pub fn new(config: Arc<LiveConfig>, pool: Arc<UpstreamPool>, offers: Arc<OfferApprovals>) -> ServerControl {
        ServerControl {
            config,
            pool,
            offers,
            shown: Mutex::default(),
        }
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
            entry.insert("added_by".to_owned(), Value::String(origin.to_string()));
            entry.entry("created").or_insert_with(|| json!(format!("{:.0}", jiff::Timestamp::now())));
            (name, Value::Object(entry))
        };
        let entries: Vec<(String, Value)> = entries.into_iter().map(prepared).collect();
        let edit = self.config.edit(move |document| {
            entries.iter().try_for_each(|(name, entry)| document.add_new_server(name, entry.clone()))
        });
        edit.await
    }

    /// Merges a part of a configuration: objects are merged, other values replaced. A server that is new or runs
    /// something else needs approval, unless the user approves it in the same request.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn merge(&self, part: Map<String, Value>, origin: &Origin) -> Result<(), StoreError> {
        let holds = self.config.current().quarantines() && !origin.may_approve();
        let edit = self.config.edit(move |document| {
            let mut before = document.clone();
            document.merge(part.clone())?;
            if !holds || !part.contains_key("mcpServers") {
                return Ok(());
            }
            for name in document.server_names()? {
                let known = entry_of(&mut before, &name).ok();
                let same = known.is_some_and(|known| {
                    entry_of(document, &name).is_ok_and(|now| now.fingerprint() == known.fingerprint())
                });
                let was_approved = before.get_in_server(&name, "quarantined").ok().flatten() != Some(&json!(true));
                if !same || !was_approved {
                    document.set_in_server(&name, "quarantined", json!(true))?;
                }
            }
            Ok(())
        });
        edit.await
    }

    /// Removes a server and its entry.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.config.edit(move |document| document.remove_server(&name)).await
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

    /// Returns the review for the user, and remembers it as shown.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn review(&self, name: &str) -> Result<Review, StoreError> {
        let (entry, review) = self.current(name).await?;
        let tools = review.tools.iter().map(|tool| (tool.name.clone(), tool.fingerprint.clone())).collect();
        let mut shown = self.shown();
        let shown = shown.entry(name.to_owned()).or_default();
        shown.tools = Some(tools);
        shown.remember(entry);
        Ok(review)
    }

    async fn current(&self, name: &str) -> Result<(ReviewedEntry, Review), StoreError> {
        let entry = self.entry(name).await?;
        let mut review = entry.review(self.pool.snapshot(name).as_ref());
        review.offers = self.review_offers(name).await;
        Ok((entry, review))
    }

    /// Remembers the fingerprints of a server's tools that were shown to the user.
    pub fn record_tools_shown(&self, name: &str, tools: BTreeMap<String, String>) {
        self.shown().entry(name.to_owned()).or_default().tools = Some(tools);
    }

    /// Approves a server as the user saw it: `fingerprint` comes from the review. Without it, the version shown last is
    /// approved.
    ///
    /// # Errors
    /// [`ApproveServerError::Changed`] if the server has changed since; nothing is approved then.
    pub async fn approve(&self, name: &str, fingerprint: Option<String>) -> Result<(), ApproveServerError> {
        let expected = fingerprint.or_else(|| {
            let shown = self.shown();
            shown.get(name).and_then(|shown| shown.entries.back()).map(|(fingerprint, _)| fingerprint.clone())
        });
        let (server, wanted) = (name.to_owned(), expected.clone());
        let edit = self.config.edit(move |document| {
            let entry = entry_of(document, &server)?;
            if wanted.as_ref().is_some_and(|wanted| entry.fingerprint() != *wanted) {
                return Err(EditError::Changed(server.clone()));
            }
            document.set_in_server(&server, "quarantined", json!(false))
        });
        match edit.await {
            Ok(()) => Ok(()),
            Err(StoreError::Edit(EditError::Changed(_))) => {
                let before = self.shown().get(name).and_then(|shown| {
                    let same = |(known, _): &&(String, ReviewedEntry)| Some(known) == expected.as_ref();
                    shown.entries.iter().find(same).map(|(_, entry)| entry.clone())
                });
                // Does not mark this review as shown: the user may still be looking at the previous one.
                let (after, review) = self.current(name).await?;
                let changes = before.map(|before| after.changes_since(&before)).unwrap_or_default();
                Err(ApproveServerError::Changed(Box::new(ReviewConflict { changes, review })))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Approves tools as the user saw them. With `fingerprints`, approves exactly those definitions; without, the
    /// definitions shown last, or the current ones if none were shown.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub async fn approve_tools(&self, name: &str, mut request: ApproveTools) -> Result<Vec<String>, ApproveError> {
        let is_offer = |key: &String| key.starts_with("prompt:") || key.starts_with("template:");
        if let Some(fingerprints) = &mut request.fingerprints {
            let offers: BTreeMap<String, String> = fingerprints.extract_if(.., |key, _| is_offer(key)).collect();
            if !offers.is_empty() {
                let mut approved = self.approve_offers(name, offers).await?;
                if !request.fingerprints.as_ref().is_some_and(BTreeMap::is_empty) {
                    approved.extend(Box::pin(self.approve_tools(name, request)).await?);
                }
                return Ok(approved);
            }
        }
        let shown = self.shown().get(name).and_then(|shown| shown.tools.clone());
        let named = |tool: &String| request.tools.contains(tool);
        let wanted = match (request.fingerprints, shown) {
            (Some(wanted), _) if request.tools.is_empty() => Some(wanted),
            (Some(wanted), _) | (None, Some(wanted)) if !request.approve_all => {
                if let Some(unseen) = request.tools.iter().find(|tool| !wanted.contains_key(*tool)) {
                    let (server, tools) = (name.to_owned(), vec![format!("`{unseen}`")]);
                    // A tool that does not exist remains a separate error.
                    return match self.pool.snapshot(name) {
                        Some(snapshot) if snapshot.has_tool(unseen) => Err(ApproveError::Changed { server, tools }),
                        Some(_) => Err(ApproveError::UnknownTool {
                            server,
                            tool: unseen.clone(),
                        }),
                        None => Err(ApproveError::UnknownServer(server)),
                    };
                }
                Some(wanted.into_iter().filter(|(tool, _)| named(tool)).collect())
            }
            (wanted, shown) => wanted.or(shown),
        };
        let (pool, server) = (self.pool.clone(), name.to_owned());
        // An approval writes to the disk, which must not delay the tool calls on this thread.
        let approved = tokio::task::spawn_blocking(move || match wanted {
            Some(wanted) => pool.approve_exactly(&server, &wanted),
            None if request.approve_all => pool.approve(&server, None),
            None => pool.approve(&server, Some(&request.tools)),
        });
        approved.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()))
    }

    /// Lists the prompts and resource templates of a running server. Omits a kind that could not be listed: an empty
    /// list would mean that there are none.
    async fn offers_of(&self, name: &str) -> Vec<(OfferKind, Vec<Offer>)> {
        let Ok(peer) = self.pool.peer(name) else { return Vec::new() };
        let listed = async { tokio::join!(offers::prompts(&peer), offers::templates(&peer)) };
        let Ok((prompts, templates)) = tokio::time::timeout(LIST_LIMIT, listed).await else {
            return Vec::new();
        };
        let prompts = prompts.ok().map(|prompts| (OfferKind::Prompt, prompts.iter().map(Offer::prompt).collect()));
        let templates =
            templates.ok().map(|templates| (OfferKind::Template, templates.iter().map(Offer::template).collect()));
        prompts.into_iter().chain(templates).collect()
    }

    async fn review_offers(&self, name: &str) -> Vec<ReviewOffer> {
        let listed = self.offers_of(name).await;
        let (approvals, server) = (self.offers.clone(), name.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let mut reviewed = Vec::new();
            for (kind, offers) in listed {
                let approved = approvals.check(&server, kind, &offers);
                reviewed.extend(offers.into_iter().zip(approved).map(|(offer, approved)| ReviewOffer {
                    approval: match (approved, approvals.knows(&server, &offer.key())) {
                        (true, _) => ApprovalStatus::Approved,
                        (false, true) => ApprovalStatus::Changed,
                        (false, false) => ApprovalStatus::Pending,
                    },
                    key: offer.key(),
                    fingerprint: offer.fingerprint(),
                    definition: offer.definition,
                }));
            }
            reviewed
        });
        checked.await.unwrap_or_default()
    }

    /// Approves prompts and resource templates as the user saw them, and returns their keys.
    async fn approve_offers(&self, name: &str, shown: BTreeMap<String, String>) -> Result<Vec<String>, ApproveError> {
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let listed: Vec<Offer> = self.offers_of(name).await.into_iter().flat_map(|(_, offers)| offers).collect();
        let is_current = |(key, fingerprint): (&String, &String)| {
            listed.iter().any(|offer| offer.key() == *key && offer.fingerprint() == *fingerprint)
        };
        let changed: Vec<String> =
            shown.iter().filter(|shown| !is_current(*shown)).map(|(key, _)| format!("`{key}`")).collect();
        if !changed.is_empty() {
            let server = name.to_owned();
            return Err(ApproveError::Changed { server, tools: changed });
        }
        let chosen: Vec<Offer> = listed.into_iter().filter(|offer| shown.contains_key(&offer.key())).collect();
        let keys = chosen.iter().map(Offer::key).collect();
        let (approvals, server) = (self.offers.clone(), name.to_owned());
        let approved = tokio::task::spawn_blocking(move || approvals.approve(&server, &chosen)).await;
        approved.unwrap_or_else(|error| Err(std::io::Error::other(error)))?;
        Ok(keys)
    }

    async fn entry(&self, name: &str) -> Result<ReviewedEntry, StoreError> {
        let (store, name) = (self.config.store().clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || Ok(entry_of(&mut store.document()?, &name)?));
        read.await.unwrap_or_else(|_| Err(EditError::Shape("reading the file was aborted".to_owned()).into()))
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<String, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub async fn patch(&self, name: &str, changes: Map<String, Value>) -> Result<(), StoreError> {
        let before = self.entry(name).await?;
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
        edit.await
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
        edit.await
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
        let pool = Arc::new(UpstreamPool::new(path, path, Approvals::load(&path.join("approvals")), tokens));
        let live = Arc::new(LiveConfig::new(store, config, pool.clone(), Box::new(|_| ())));
        Core {
            control: ServerControl::new(live, pool, Arc::new(OfferApprovals::load(&path.join("offers")))),
            _directory: directory,
        }
    }

    fn entry(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
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
        core.control.patch("a", entry(json!({"command": "rm"}))).await.unwrap();
        // Neither the fingerprint of the reviewed version nor a missing fingerprint approves the other program.
        for fingerprint in [Some(shown.fingerprint.clone()), None] {
            let Err(ApproveServerError::Changed(conflict)) = core.control.approve("a", fingerprint).await else {
                panic!("approved what was not shown");
            };
            assert!(quarantined(&core, "a"));
            assert_eq!(conflict.changes.first().map(|change| change.field.as_str()), Some("command"));
        }
        let now = core.control.review("a").await.unwrap();
        core.control.approve("a", Some(now.fingerprint)).await.unwrap();
        assert!(!quarantined(&core, "a"));
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

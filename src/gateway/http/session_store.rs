//! Stores the sessions of AI clients after they ended in memory. The library ends idle sessions, but clients use a
//! session for days, and many cannot open another one. A client that returns with a known ID gets its session back,
//! even after a restart of the core.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::{
    SessionId, SessionManager as _, SessionState, SessionStore, SessionStoreError,
};
use serde::{Deserialize, Serialize};

use crate::gateway::fast_path::Mode;
use crate::gateway::session_registry::Sessions;
use crate::gateway::session_usage::session_label;
use crate::gateway::session_usage::{SessionUsages, Usage};
use crate::os::{files, memory};

/// Maximum number of stored sessions. The one opened first is dropped first.
const MOST: usize = 1000;
/// Maximum size of a client's stored description, in bytes of JSON. Clients with larger descriptions are not stored.
const LARGEST: usize = 16 << 10;
/// Maximum number of sessions in memory per endpoint; each takes about 70 kB. At the limit, a new session removes the
/// oldest unused one from memory. Its next request restores it.
const MOST_OPEN: usize = 256;
/// Changes within this time are saved together.
const GATHER: Duration = Duration::from_secs(1);

/// The stored sessions of one core.
pub struct PersistentSessions {
    path: PathBuf,
    sessions: Mutex<VecDeque<StoredSession>>,
    usages: Arc<SessionUsages>,
    /// Whether there are unsaved changes.
    changed: AtomicBool,
}

/// A session that the client can continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Not the session ID, with which another program could join the session.
    pub label: String,
    pub client: String,
    pub client_version: String,
    /// The version of MCP that the client asked for.
    pub protocol_version: String,
    pub has_roots: bool,
    pub has_sampling: bool,
    /// Times of opening and of the last request, in Unix seconds; 0 if an older version opened it.
    pub opened: i64,
    pub last: i64,
    pub calls: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredSession {
    id: String,
    tools: Mode,
    client: SessionState,
    #[serde(default)]
    opened: i64,
    /// The last request, and the number of tool calls when the file was written.
    #[serde(default)]
    last: i64,
    #[serde(default)]
    calls: u64,
}

impl PersistentSessions {
    /// Loads the sessions from a file. If it cannot be read, clients must open new sessions.
    pub fn load(path: PathBuf) -> Arc<PersistentSessions> {
        let largest = u64::try_from(MOST * LARGEST).unwrap_or(u64::MAX);
        let sessions: VecDeque<StoredSession> = match files::read_bounded(&path, largest) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("could not read `{}`, so AI clients must open new sessions: {error}", path.display());
                VecDeque::new()
            }),
            Err(_) => VecDeque::new(),
        };
        let usages = SessionUsages::default();
        for session in &sessions {
            usages.insert(&session.id, Usage::new(session.calls, session.last));
        }
        Arc::new(PersistentSessions {
            path,
            sessions: Mutex::new(sessions),
            usages: Arc::new(usages),
            changed: AtomicBool::new(false),
        })
    }

    /// Usage of the sessions.
    pub fn usages(&self) -> &Arc<SessionUsages> {
        &self.usages
    }

    /// Returns the existing sessions, most recently used first.
    pub fn list(&self) -> Vec<SessionFacts> {
        let mut listed: Vec<SessionFacts> = self.sessions().iter().map(|session| self.facts(session)).collect();
        listed.sort_by_key(|session| std::cmp::Reverse(session.last));
        listed
    }

    fn facts(&self, session: &StoredSession) -> SessionFacts {
        let client = &session.client.initialize_params;
        let usage = self.usages.of(&session.id);
        SessionFacts {
            label: session_label(&session.id),
            client: client.client_info.name.clone(),
            client_version: client.client_info.version.clone(),
            protocol_version: client.protocol_version.to_string(),
            has_roots: client.capabilities.roots.is_some(),
            has_sampling: client.capabilities.sampling.is_some(),
            opened: session.opened,
            last: usage.last(),
            calls: usage.calls(),
        }
    }

    /// Returns the store for one endpoint. `open` contains the sessions in memory, `known` their usage.
    pub fn at(
        self: &Arc<Self>,
        tools: Mode,
        open: Arc<LocalSessionManager>,
        known: Arc<Sessions>,
    ) -> Arc<dyn SessionStore> {
        Arc::new(Address {
            all: self.clone(),
            tools,
            open,
            known,
        })
    }

    /// Saves the sessions with their usage when the core stops.
    pub fn save_all(&self) {
        if !self.sessions().is_empty() {
            self.changed.store(true, Ordering::Release);
        }
        self.save();
    }

    /// Saves unsaved changes.
    pub fn save(&self) {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return;
        }
        let written = {
            let mut sessions = self.sessions();
            for session in sessions.iter_mut() {
                let usage = self.usages.of(&session.id);
                (session.last, session.calls) = (usage.last(), usage.calls());
            }
            serde_json::to_vec(&*sessions)
        };
        let written = written.map_err(Into::into).and_then(|bytes| files::replace_private(&self.path, &bytes));
        if let Err(error) = written {
            tracing::warn!("could not save the sessions of AI clients in `{}`: {error}", self.path.display());
        }
    }

    fn sessions(&self) -> MutexGuard<'_, VecDeque<StoredSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_soon(self: &Arc<Self>) {
        if !self.changed.swap(true, Ordering::AcqRel) {
            let all = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                let written = tokio::task::spawn_blocking(move || {
                    all.save();
                    memory::give_back();
                });
                let _ = written.await;
            });
        }
    }
}

struct Address {
    all: Arc<PersistentSessions>,
    tools: Mode,
    open: Arc<LocalSessionManager>,
    known: Arc<Sessions>,
}

impl Address {
    fn is(&self, one: &StoredSession, id: &str) -> bool {
        one.id == id && one.tools == self.tools
    }

    /// Removes unused sessions from memory if there are too many.
    async fn put_away(&self) {
        let open: HashSet<SessionId> = {
            let sessions = self.open.sessions.read().await;
            if sessions.len() <= MOST_OPEN {
                return;
            }
            sessions.keys().cloned().collect()
        };
        let mine: Vec<SessionId> = {
            let all = self.all.sessions();
            all.iter().filter(|one| one.tools == self.tools).map(|one| one.id.clone().into()).collect()
        };
        // The newest session has just been opened.
        let older = mine.iter().rev().skip(1).rev().filter(|id| open.contains(*id) && !self.known.used_lately(id));
        for id in older.take(open.len() - MOST_OPEN) {
            if let Err(error) = self.open.close_session(id).await {
                tracing::debug!("could not remove a session from memory: {error}");
            }
        }
    }
}

#[async_trait]
impl SessionStore for Address {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        Ok(self.all.sessions().iter().find(|one| self.is(one, id)).map(|one| one.client.clone()))
    }

    async fn store(&self, id: &str, client: &SessionState) -> Result<(), SessionStoreError> {
        if serde_json::to_vec(client)?.len() > LARGEST {
            return Ok(());
        }
        {
            let mut sessions = self.all.sessions();
            let over = (sessions.len() + 1).saturating_sub(MOST);
            for gone in sessions.drain(..over) {
                self.all.usages.remove(&gone.id);
            }
            let now = crate::os::clock::now().as_second();
            self.all.usages.insert(id, Usage::new(0, now));
            sessions.push_back(StoredSession {
                id: id.to_owned(),
                tools: self.tools,
                client: client.clone(),
                opened: now,
                last: now,
                calls: 0,
            });
        }
        self.all.write_soon();
        self.put_away().await;
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        self.all.sessions().retain(|one| !self.is(one, id));
        self.all.usages.remove(id);
        self.all.write_soon();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> SessionState {
        let params = serde_json::json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": name, "version": "1"}});
        SessionState::new(serde_json::from_value(params).unwrap())
    }

    #[tokio::test]
    async fn sessions_survive_a_restart_until_they_end_or_exceed_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        let first = PersistentSessions::load(path.clone());
        let at = |sessions: &Arc<PersistentSessions>, tools| sessions.at(tools, Arc::default(), Arc::default());
        let (all, own) = (at(&first, Mode::Direct), at(&first, Mode::Search));
        for number in 0..=MOST {
            all.store(&number.to_string(), &state("c")).await.unwrap();
        }
        all.store("large", &state(&"x".repeat(LARGEST))).await.unwrap();
        all.delete("7").await.unwrap();
        first.save();
        let next = PersistentSessions::load(path.clone());
        let found = |id: &'static str| {
            let all = at(&next, Mode::Direct);
            async move { all.load(id).await.unwrap().is_some() }
        };
        assert!(found("1").await && found("1000").await);
        assert!(!found("0").await && !found("7").await && !found("large").await);
        assert!(own.load("1").await.unwrap().is_none(), "at another address it is another session");
        assert_eq!(next.list().len(), MOST - 1);
        std::fs::write(&path, "{").unwrap();
        assert!(PersistentSessions::load(path).sessions().is_empty());
    }

    #[tokio::test]
    async fn the_use_of_a_session_is_listed_and_outlives_the_core() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.json");
        std::fs::write(&path, serde_json::json!([{"id": "old", "tools": "own", "client": state("c")}]).to_string())
            .unwrap();
        let first = PersistentSessions::load(path.clone());
        let store = first.at(Mode::Search, Arc::default(), Arc::default());
        for id in ["a", "gone"] {
            store.store(id, &state(id)).await.unwrap();
        }
        first.usages().of("a").called();
        store.delete("gone").await.unwrap();
        first.save();
        first.usages().of("a").called();
        first.save_all();
        for sessions in [&first, &PersistentSessions::load(path)] {
            let listed = sessions.list();
            let shown: Vec<_> = listed.iter().map(|one| (one.client.as_str(), one.calls, one.last > 0)).collect();
            assert_eq!(shown, [("a", 2, true), ("c", 0, false)]);
            assert_eq!((listed[0].label.len(), &listed[0].label), (8, &session_label("a")));
        }
    }
}

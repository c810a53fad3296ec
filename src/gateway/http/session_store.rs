//! Keeps the sessions of AI clients when they have ended in memory: clients keep a session for days, many do not know how to
//! open another, and the library ends one that is idle. A client that returns with a known id gets the session again, even
//! from the next core.

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
use crate::os::{files, memory};

/// Most sessions that are remembered; the one that was opened first goes first.
const MOST: usize = 1000;
/// Largest stored description of a client, in bytes of JSON. A client that sends more is not stored.
const LARGEST: usize = 16 << 10;
/// Most sessions in memory at one address, where each takes some 70 kB; another then puts away the one that was opened first and
/// has not been used lately. It goes on when it is used again.
const MOST_OPEN: usize = 256;
/// Sessions that come and go together are written together.
const GATHER: Duration = Duration::from_secs(1);

/// The sessions of one core.
pub struct PersistentSessions {
    path: PathBuf,
    sessions: Mutex<VecDeque<StoredSession>>,
    /// A write is due.
    changed: AtomicBool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredSession {
    id: String,
    tools: Mode,
    client: SessionState,
}

impl PersistentSessions {
    /// Those in this file. One that cannot be read holds none: clients then have to open new ones.
    pub fn load(path: PathBuf) -> Arc<PersistentSessions> {
        let largest = u64::try_from(MOST * LARGEST).unwrap_or(u64::MAX);
        let sessions = match files::read_bounded(&path, largest) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("`{}` cannot be read, AI clients open new sessions: {error}", path.display());
                VecDeque::new()
            }),
            Err(_) => VecDeque::new(),
        };
        Arc::new(PersistentSessions {
            path,
            sessions: Mutex::new(sessions),
            changed: AtomicBool::new(false),
        })
    }

    /// Those at one address, as the library asks for them; `open` are the ones in memory, `known` tells of their use.
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

    /// Writes what is not written yet.
    pub fn save(&self) {
        if !self.changed.swap(false, Ordering::AcqRel) {
            return;
        }
        let written = serde_json::to_vec(&*self.sessions());
        let written = written.map_err(Into::into).and_then(|bytes| files::replace_private(&self.path, &bytes));
        if let Err(error) = written {
            tracing::warn!("the sessions of AI clients are not remembered in `{}`: {error}", self.path.display());
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

    /// Puts away what is too much in memory.
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
        // The newest is the one that has just been opened.
        let older = mine.iter().rev().skip(1).rev().filter(|id| open.contains(*id) && !self.known.used_lately(id));
        for id in older.take(open.len() - MOST_OPEN) {
            if let Err(error) = self.open.close_session(id).await {
                tracing::debug!("a session was not put away: {error}");
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
            sessions.drain(..over);
            sessions.push_back(StoredSession {
                id: id.to_owned(),
                tools: self.tools,
                client: client.clone(),
            });
        }
        self.all.write_soon();
        self.put_away().await;
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        self.all.sessions().retain(|one| !self.is(one, id));
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
    async fn sessions_outlive_the_core_until_they_are_ended_or_too_many() {
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
        std::fs::write(&path, "{").unwrap();
        assert!(PersistentSessions::load(path).sessions().is_empty());
    }
}

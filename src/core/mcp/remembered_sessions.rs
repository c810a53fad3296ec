//! The sessions of AI clients, remembered when they have ended in memory: clients keep a session for days, many do not know
//! how to open another, and the library ends one that is idle. Who comes back with an id that was given out gets the
//! session again, also from the next core.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session::{SessionState, SessionStore, SessionStoreError};
use serde::{Deserialize, Serialize};

use super::Tools;
use crate::os::files;

/// Most sessions that are remembered; the one that was opened first goes first.
const MOST: usize = 1000;
/// What a client says of itself at most, in bytes of JSON. One that says more is not remembered.
const LARGEST: usize = 16 << 10;
/// Sessions that come and go together are written together.
const GATHER: Duration = Duration::from_secs(1);

/// The sessions of one core.
pub struct RememberedSessions {
    path: PathBuf,
    sessions: Mutex<VecDeque<Remembered>>,
    /// A write is due.
    changed: AtomicBool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    id: String,
    tools: Tools,
    client: SessionState,
}

impl RememberedSessions {
    /// Those in this file. One that cannot be read holds none: clients then have to open new ones.
    pub fn load(path: PathBuf) -> Arc<RememberedSessions> {
        let largest = u64::try_from(MOST * LARGEST).unwrap_or(u64::MAX);
        let sessions = match files::read_bounded(&path, largest) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("`{}` cannot be read, AI clients open new sessions: {error}", path.display());
                VecDeque::new()
            }),
            Err(_) => VecDeque::new(),
        };
        Arc::new(RememberedSessions {
            path,
            sessions: Mutex::new(sessions),
            changed: AtomicBool::new(false),
        })
    }

    /// Those at one address, as the library asks for them.
    pub fn at(self: &Arc<Self>, tools: Tools) -> Arc<dyn SessionStore> {
        Arc::new(Address {
            all: self.clone(),
            tools,
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

    fn sessions(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_soon(self: &Arc<Self>) {
        if !self.changed.swap(true, Ordering::AcqRel) {
            let all = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                let _ = tokio::task::spawn_blocking(move || all.save()).await;
            });
        }
    }
}

struct Address {
    all: Arc<RememberedSessions>,
    tools: Tools,
}

impl Address {
    fn is(&self, one: &Remembered, id: &str) -> bool {
        one.id == id && one.tools == self.tools
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
            sessions.push_back(Remembered {
                id: id.to_owned(),
                tools: self.tools,
                client: client.clone(),
            });
        }
        self.all.write_soon();
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
        let first = RememberedSessions::load(path.clone());
        let (all, own) = (first.at(Tools::All), first.at(Tools::Own));
        for number in 0..=MOST {
            all.store(&number.to_string(), &state("c")).await.unwrap();
        }
        all.store("large", &state(&"x".repeat(LARGEST))).await.unwrap();
        all.delete("7").await.unwrap();
        first.save();
        let next = RememberedSessions::load(path.clone());
        let found = |id: &'static str| {
            let all = next.at(Tools::All);
            async move { all.load(id).await.unwrap().is_some() }
        };
        assert!(found("1").await && found("1000").await);
        assert!(!found("0").await && !found("7").await && !found("large").await);
        assert!(own.load("1").await.unwrap().is_none(), "at another address it is another session");
        std::fs::write(&path, "{").unwrap();
        assert!(RememberedSessions::load(path).sessions().is_empty());
    }
}

//! The sessions whose calls may use the fast path, and their calls in flight.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use tokio::sync::oneshot;

use crate::gateway::call_record::Caller;
use crate::gateway::http::headers::{SESSION_ID, text};
use crate::gateway::session_usage::session_label;
use crate::gateway::session_usage::{SessionUsages, Usage};
use crate::os::memory;
use crate::upstream::session::in_flight::SessionId;

/// A slower call is handed to the library, which keeps its connection alive.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// How often calls in flight are checked, and after how many idle checks the task ends.
const CHECK_EVERY: Duration = Duration::from_millis(250);
const IDLE_CHECKS: u32 = 6;
/// After this many calls, unused memory is returned to the system.
const CALLS_PER_TRIM: u32 = 1000;
/// A session used within this time stays in memory.
const RECENT: Duration = Duration::from_secs(10);

/// The sessions of one endpoint that may use the fast path.
#[derive(Debug, Default)]
pub struct Sessions {
    known: RwLock<HashMap<String, Arc<KnownSession>>>,
    calls: Arc<CallsInFlight>,
    usages: Arc<SessionUsages>,
}

impl Sessions {
    /// Creates an empty registry that counts usage in `usages`.
    pub fn new(usages: Arc<SessionUsages>) -> Sessions {
        Sessions {
            usages,
            ..Sessions::default()
        }
    }

    /// Whether the session was used in the last seconds, on either path, or has a call in flight.
    pub fn used_lately(&self, id: &str) -> bool {
        let known = self.get(id);
        known.is_some_and(|known| known.since(&known.used) < RECENT || self.calls.has(known.id))
    }

    /// Returns the session with this value of the `Mcp-Session-Id` header.
    pub(super) fn get(&self, id: &str) -> Option<Arc<KnownSession>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(super) fn calls(&self) -> &Arc<CallsInFlight> {
        &self.calls
    }
}

/// One session.
#[derive(Debug)]
pub(super) struct KnownSession {
    pub(super) id: SessionId,
    /// The caller, for the activity log.
    pub(super) caller: Caller,
    began: Instant,
    /// Times of the last request on the library path, and of the last use on either path, in ms after `began`.
    seen: AtomicU64,
    used: AtomicU64,
    usage: Arc<Usage>,
}

impl KnownSession {
    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(self.age().saturating_sub(moment.load(Ordering::Relaxed)))
    }

    /// Returns the time since the library last handled one of its requests.
    pub(super) fn since_seen(&self) -> Duration {
        self.since(&self.seen)
    }

    /// Records a request on the fast path.
    pub(super) fn record_use(&self) {
        self.used.store(self.age(), Ordering::Relaxed);
    }

    /// Counts a tool call that the fast path answered.
    pub(super) fn record_call(&self) {
        self.usage.called();
    }
}

/// The fast-path calls in flight at one endpoint.
///
/// One task detects slow calls: a timer for each would wake the I/O driver and cost more than the call.
#[derive(Debug, Default)]
pub(super) struct CallsInFlight {
    waiting: Mutex<HashMap<(SessionId, String), WaitingCall>>,
    /// The task that detects slow calls is running.
    is_watched: AtomicBool,
    /// Calls since memory was last returned.
    made: AtomicU32,
}

#[derive(Debug)]
struct WaitingCall {
    since: Instant,
    interrupt: oneshot::Sender<Interruption>,
}

/// Why a call stops waiting for its response on the fast path.
#[derive(Debug)]
pub(super) enum Interruption {
    Cancelled,
    Slow,
}

impl CallsInFlight {
    fn waiting(&self) -> MutexGuard<'_, HashMap<(SessionId, String), WaitingCall>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a call; returns `None` if one with this ID is in flight, which the library must handle.
    pub(super) fn register(self: &Arc<CallsInFlight>, session: SessionId, id: &str) -> Option<CallRegistration> {
        let (interrupt, interrupted) = oneshot::channel();
        let key = (session, id.to_owned());
        match self.waiting().entry(key.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(slot) => slot.insert(WaitingCall {
                since: Instant::now(),
                interrupt,
            }),
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        if !self.is_watched.swap(true, Ordering::AcqRel) {
            tokio::spawn(watch(self.clone()));
        }
        Some(CallRegistration {
            calls: self.clone(),
            key,
            interrupted,
        })
    }

    fn has(&self, session: SessionId) -> bool {
        self.waiting().keys().any(|(waiting, _)| *waiting == session)
    }

    /// Cancels a call; returns `false` if no such call is in flight here.
    pub(super) fn cancel(&self, session: SessionId, id: &str) -> bool {
        let waiting = self.waiting().remove(&(session, id.to_owned()));
        waiting.is_some_and(|waiting| waiting.interrupt.send(Interruption::Cancelled).is_ok())
    }
}

/// Interrupts slow calls. Ends some time after the last call, and then returns memory if there were many calls.
async fn watch(calls: Arc<CallsInFlight>) {
    let mut idle = 0;
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let mut waiting = calls.waiting();
        idle = if waiting.is_empty() { idle + 1 } else { 0 };
        for (_, waiting) in waiting.extract_if(|_, waiting| waiting.since.elapsed() >= SLOW_AFTER) {
            let _ = waiting.interrupt.send(Interruption::Slow);
        }
        if idle == IDLE_CHECKS {
            // Holds the lock, so that a call registered after this starts a new task.
            calls.is_watched.store(false, Ordering::Release);
            break;
        }
    }
    if calls.made.load(Ordering::Relaxed) >= CALLS_PER_TRIM {
        calls.made.store(0, Ordering::Relaxed);
        memory::give_back();
    }
}

/// Keeps a call registered under its ID until dropped.
pub(super) struct CallRegistration {
    calls: Arc<CallsInFlight>,
    key: (SessionId, String),
    pub(super) interrupted: oneshot::Receiver<Interruption>,
}

impl Drop for CallRegistration {
    fn drop(&mut self) {
        self.calls.waiting().remove(&self.key);
    }
}

/// Registers a session for the fast path; deregisters it on drop.
#[derive(Debug)]
pub struct SessionRegistration {
    sessions: Arc<Sessions>,
    id: SessionId,
    /// Set once `initialize` has opened the session.
    opened: OnceLock<()>,
    known: OnceLock<(String, Arc<KnownSession>)>,
}

impl SessionRegistration {
    /// Creates the registration of a new session.
    pub fn new(sessions: Arc<Sessions>, id: SessionId) -> SessionRegistration {
        SessionRegistration {
            sessions,
            id,
            opened: OnceLock::new(),
            known: OnceLock::new(),
        }
    }

    /// Returns the session.
    pub fn session(&self) -> SessionId {
        self.id
    }

    /// Marks the session as opened. Its next request registers it under its header.
    pub fn open(&self) {
        let _ = self.opened.set(());
    }

    /// Records that the library handles a request of the session.
    pub fn note(&self, extensions: &rmcp::model::Extensions, client: Option<&str>) {
        if self.opened.get().is_none() {
            return;
        }
        let header = extensions.get::<Parts>().and_then(|parts| text(&parts.headers, SESSION_ID));
        let Some(header) = header else { return };
        let (_, known) = self.known.get_or_init(|| {
            let known = Arc::new(KnownSession {
                id: self.id,
                caller: Caller {
                    client: client.map(str::to_owned),
                    session: Some(session_label(header)),
                    profile: None,
                },
                began: Instant::now(),
                seen: AtomicU64::new(0),
                used: AtomicU64::new(0),
                usage: self.sessions.usages.of(header),
            });
            let mut sessions = self.sessions.known.write().unwrap_or_else(PoisonError::into_inner);
            sessions.insert(header.to_owned(), known.clone());
            (header.to_owned(), known)
        });
        known.seen.store(known.age(), Ordering::Relaxed);
        known.used.store(known.age(), Ordering::Relaxed);
        known.usage.seen();
    }

    /// Counts a tool call of the session, after [`SessionRegistration::note`] of the same request.
    pub fn record_call(&self) {
        if let Some((_, known)) = self.known.get() {
            known.usage.called();
        }
    }
}

impl Drop for SessionRegistration {
    fn drop(&mut self) {
        if let Some((header, _)) = self.known.get() {
            self.sessions.known.write().unwrap_or_else(PoisonError::into_inner).remove(header);
        }
    }
}

//! Computes the figures for pages and requests, and caches them while the data do not change.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::applier::OpenStore;
use super::state::locked;
use crate::collector::audience::Audience;
use crate::collector::page;
use crate::collector::public;
use crate::collector::report::{Day, Id};
use crate::collector::stats::{self, Stats};
use crate::collector::store::{Store, Stored};

/// Pages by audience, in their public and their operator form.
type Pages = HashMap<(Audience, bool), Arc<Vec<u8>>>;

/// Figures at one state of the data.
pub(super) struct Snapshot {
    revision: u64,
    taken: Instant,
    took: Duration,
    pub stats: Stats,
    public: Mutex<Option<Arc<BTreeMap<Audience, Value>>>>,
    pages: Mutex<Pages>,
}

impl Snapshot {
    /// The figures without small cells.
    pub(super) fn public(&self) -> Arc<BTreeMap<Audience, Value>> {
        let mut public = locked(&self.public);
        Arc::clone(public.get_or_insert_with(|| Arc::new(public::figures(&self.stats))))
    }

    /// The page of an audience.
    pub(super) fn page(&self, audience: Audience, is_public: bool) -> Arc<Vec<u8>> {
        if let Some(page) = locked(&self.pages).get(&(audience, is_public)) {
            return Arc::clone(page);
        }
        let figures = match is_public {
            true => self.public().get(&audience).cloned().unwrap_or_default(),
            false => self.stats.to_json(audience),
        };
        let page = Arc::new(page::render(&figures, audience, is_public, self.stats.empty).into_bytes());
        locked(&self.pages).insert((audience, is_public), Arc::clone(&page));
        page
    }
}

/// Reads the database for all requests.
pub(super) struct Desk {
    open: Mutex<OpenStore>,
    store: Mutex<Option<Box<dyn Store>>>,
    latest: Mutex<Option<Arc<Snapshot>>>,
}

impl Desk {
    /// Uses `open` to open the database.
    pub(super) fn new(open: OpenStore) -> Desk {
        Desk {
            open: Mutex::new(open),
            store: Mutex::new(None),
            latest: Mutex::new(None),
        }
    }

    /// The current figures, or the previous ones while computing takes long. Blocks.
    ///
    /// # Errors
    /// The database's error.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, String> {
        let latest = locked(&self.latest).clone();
        if let Some(snapshot) = &latest
            && snapshot.taken.elapsed() < snapshot.took * 4
        {
            return Ok(Arc::clone(snapshot));
        }
        self.with_store(|store| {
            let revision = store.revision().map_err(|error| error.to_string())?;
            if let Some(snapshot) = latest.filter(|snapshot| snapshot.revision == revision) {
                return Ok(snapshot);
            }
            let began = Instant::now();
            let stats = stats::take(store, None).map_err(|error| error.to_string())?;
            let snapshot = Arc::new(Snapshot {
                revision,
                taken: Instant::now(),
                took: began.elapsed(),
                stats,
                public: Mutex::new(None),
                pages: Mutex::new(HashMap::new()),
            });
            *locked(&self.latest) = Some(Arc::clone(&snapshot));
            Ok(snapshot)
        })
    }

    /// The figures at the end of a past day. Blocks.
    ///
    /// # Errors
    /// The database's error.
    pub(super) fn as_of(&self, until: Day) -> Result<Stats, String> {
        self.with_store(|store| stats::take(store, Some(until)).map_err(|error| error.to_string()))
    }

    /// The stored reports of an id. Blocks.
    ///
    /// # Errors
    /// The database's error.
    pub(super) fn stored(&self, id: Id) -> Result<Stored, String> {
        self.with_store(|store| store.stored(id).map_err(|error| error.to_string()))
    }

    fn with_store<T>(&self, work: impl FnOnce(&mut dyn Store) -> Result<T, String>) -> Result<T, String> {
        let mut store = locked(&self.store);
        if store.is_none() {
            *store = Some(locked(&self.open)()?);
        }
        let Some(open) = store.as_mut() else { return Err("no database".to_owned()) };
        let result = work(open.as_mut());
        if result.is_err() {
            // The next request opens it again.
            *store = None;
        }
        result
    }
}

//! The thread that writes the journal to the database. While the database fails, the journal keeps the accepted
//! reports.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::state::{Progress, read_locked};
use crate::collector::forgotten::Forgotten;
use crate::collector::journal::{self, Reader};
use crate::collector::store::{Position, Store};

/// Opens the database again after a failure.
pub type OpenStore = Box<dyn Fn() -> Result<Box<dyn Store>, String> + Send>;

/// The parts that the thread uses.
pub struct Applier {
    pub directory: PathBuf,
    pub open: OpenStore,
    pub progress: Arc<Progress>,
    pub forgotten: Arc<RwLock<Forgotten>>,
    /// The most entries of a batch.
    pub batch: usize,
    /// How long a batch that is not full waits for more.
    pub wait: Duration,
}

/// How long to wait before a failed database is tried again.
const AGAIN: Duration = Duration::from_millis(500);

impl Applier {
    /// Starts the thread with an open store; it ends when the journal is closed and all of it is in the database, or when the
    /// database still fails then.
    pub fn start(self, store: Box<dyn Store>, from: Position) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || self.run(store, from))
    }

    fn run(&self, store: Box<dyn Store>, from: Position) {
        let mut store = Some(store);
        let mut at = from;
        while let Some(end) = self.progress.wait_for_more(at) {
            match self.round(&mut store, at, end) {
                Ok(position) => at = position,
                Err(error) => {
                    store = None;
                    self.progress.database_failed(error);
                    if self.progress.is_closed() {
                        return;
                    }
                    std::thread::sleep(AGAIN);
                }
            }
        }
    }

    fn round(&self, store: &mut Option<Box<dyn Store>>, at: Position, end: Position) -> Result<Position, String> {
        let mut from = at;
        let open = match store.take() {
            Some(open) => open,
            None => {
                let mut open = (self.open)()?;
                // The failure may have come after the database stored the batch. It must not be stored again.
                let stored = open.position().map_err(|error| error.to_string())?;
                from = from.max(stored.unwrap_or_default());
                if from >= end {
                    self.progress.stored_up_to(from);
                }
                open
            }
        };
        let store = store.insert(open);
        let mut reader = Reader::new(&self.directory, from);
        while from < end {
            let (entries, position) = reader.batch(end, self.batch).map_err(|error| error.to_string())?;
            let full = entries.len() >= self.batch;
            let kept = read_locked(&self.forgotten).filter(entries);
            store.apply(&kept, Some(position)).map_err(|error| error.to_string())?;
            if position.segment > from.segment {
                journal::delete_before(&self.directory, position).map_err(|error| error.to_string())?;
            }
            let moved = position > from;
            from = position;
            self.progress.stored_up_to(position);
            if !moved {
                break;
            }
            if !full {
                self.progress.pause(self.wait);
            }
        }
        Ok(from.max(at))
    }
}

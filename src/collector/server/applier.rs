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
pub(super) type OpenStore = Box<dyn Fn() -> Result<Box<dyn Store>, String> + Send>;

/// The parts that the thread uses.
pub(super) struct Applier {
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
    pub(super) fn start(self, store: Box<dyn Store>, from: Position) -> std::thread::JoinHandle<()> {
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
                // If the error came after the batch was stored, the batch must not be stored again.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::installation::Installation;
    use crate::collector::journal::Writer;
    use crate::collector::report::{Day, Id};
    use crate::collector::store::sqlite::SqliteStore;
    use crate::collector::store::{Entry, Ledger, StoreError, Stored};

    /// Stores a batch and then reports an error, as a disk that fills up during the checkpoint does.
    struct FailsAfterStoring(SqliteStore);

    impl Store for FailsAfterStoring {
        fn apply(&mut self, batch: &[Entry], position: Option<Position>) -> Result<(), StoreError> {
            self.0.apply(batch, position)?;
            Err(StoreError::Other("the disk is full".to_owned()))
        }

        fn position(&mut self) -> Result<Option<Position>, StoreError> {
            self.0.position()
        }

        fn revision(&mut self) -> Result<u64, StoreError> {
            self.0.revision()
        }

        fn installations(&mut self, until: Option<Day>, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
            self.0.installations(until, each)
        }

        fn ledger(&mut self) -> Result<Ledger, StoreError> {
            self.0.ledger()
        }

        fn stored(&mut self, id: Id) -> Result<Stored, StoreError> {
            self.0.stored(id)
        }

        fn export(&mut self, each: &mut dyn FnMut(Id, &Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
            self.0.export(each)
        }

        fn ids(&mut self, each: &mut dyn FnMut(Id)) -> Result<(), StoreError> {
            self.0.ids(each)
        }

        fn purge(&mut self, before: Day) -> Result<u64, StoreError> {
            self.0.purge(before)
        }
    }

    #[test]
    fn a_batch_that_was_stored_before_the_error_is_not_stored_again() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("collector.db");
        let journal = directory.path().join("journal");
        let mut writer = Writer::open(&journal).unwrap();
        let end = writer.append(&[vec![Entry::count(Day(20_000), "rejected:json".to_owned(), 3)]]).unwrap();
        let progress = Arc::new(Progress::new(Position::default(), end));
        let reopened = database.clone();
        let applier = Applier {
            directory: journal,
            open: Box::new(move || {
                let store = SqliteStore::open(&reopened, 1).map_err(|error| error.to_string())?;
                Ok(Box::new(store) as Box<dyn Store>)
            }),
            progress: Arc::clone(&progress),
            forgotten: Arc::new(RwLock::new(Forgotten::open(directory.path()).unwrap())),
            batch: 10,
            wait: Duration::ZERO,
        };
        let first = FailsAfterStoring(SqliteStore::open(&database, 1).unwrap());
        let thread = applier.start(Box::new(first), Position::default());
        while progress.stored() < end {
            std::thread::yield_now();
        }
        assert_eq!(progress.failure(), None);
        progress.close();
        thread.join().unwrap();
        let counts = SqliteStore::open(&database, 1).unwrap().ledger().unwrap().counts;
        assert_eq!(counts.values().sum::<u64>(), 3);
    }
}

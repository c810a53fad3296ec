//! The thread that writes the journal: it writes everything that has arrived together, then responds to all senders.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::state::{Progress, locked};
use crate::collector::journal::Writer;
use crate::collector::report::Day;
use crate::collector::store::{Entry, Position};

/// The most records of one write.
const MOST: usize = 1024;
/// The most records that wait for a write. More are answered with 503.
const WAITING: usize = 8192;
/// How long rejections wait to be written: they are only counted.
const COUNTS_WAIT: Duration = Duration::from_secs(1);

/// Why an entry is not in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JournalError {
    /// More arrives than the disk takes.
    Full,
    /// The system's error.
    Failed(String),
}

enum Message {
    Write(Request),
    Close,
}

struct Request {
    entries: Vec<Entry>,
    answer: oneshot::Sender<Result<Position, JournalError>>,
}

/// Hands entries to the journal.
#[derive(Clone)]
pub(super) struct Journal {
    requests: SyncSender<Message>,
    counts: Arc<Mutex<BTreeMap<(Day, String), u64>>>,
}

impl Journal {
    /// Writes entries; when this returns, no crash loses them.
    ///
    /// # Errors
    /// [`JournalError`]; the entries are then not in the journal.
    pub(super) async fn write(&self, entries: Vec<Entry>) -> Result<Position, JournalError> {
        let (answer, answered) = oneshot::channel();
        match self.requests.try_send(Message::Write(Request { entries, answer })) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(JournalError::Full),
            Err(TrySendError::Disconnected(_)) => return Err(JournalError::Failed("the journal is closed".to_owned())),
        }
        answered.await.unwrap_or_else(|_| Err(JournalError::Failed("the journal is closed".to_owned())))
    }

    /// Writes what was counted and not written yet; the position behind it, if there was any.
    pub(super) async fn flush_counts(&self) -> Option<Position> {
        if locked(&self.counts).is_empty() {
            return None;
        }
        self.write(Vec::new()).await.ok()
    }

    /// Writes what waits, and no more. Blocks while the queue is full.
    pub(super) fn close(&self) {
        // The thread may have ended.
        let _ = self.requests.send(Message::Close);
    }

    /// Counts something that is worth a number and no more.
    pub(super) fn count(&self, day: Day, name: String) {
        let mut counts = locked(&self.counts);
        // Names come from a closed list, and days from the clock.
        *counts.entry((day, name)).or_default() += 1;
    }
}

/// Starts the thread; it ends after [`Journal::close`].
pub(super) fn start(writer: Writer, progress: Arc<Progress>) -> (Journal, std::thread::JoinHandle<()>) {
    let (requests, received) = sync_channel(WAITING);
    let counts = Arc::<Mutex<BTreeMap<(Day, String), u64>>>::default();
    let journal = Journal {
        requests,
        counts: Arc::clone(&counts),
    };
    let thread = std::thread::spawn(move || {
        let mut thread = Thread {
            writer,
            counts,
            progress,
            is_failing: false,
        };
        thread.run(&received);
    });
    (journal, thread)
}

struct Thread {
    writer: Writer,
    counts: Arc<Mutex<BTreeMap<(Day, String), u64>>>,
    progress: Arc<Progress>,
    /// The last write failed.
    is_failing: bool,
}

impl Thread {
    fn run(&mut self, received: &Receiver<Message>) {
        let mut open = true;
        while open {
            let mut requests = Vec::new();
            let mut message = received.recv_timeout(COUNTS_WAIT).map_err(|error| error == RecvTimeoutError::Timeout);
            loop {
                match message {
                    Ok(Message::Write(request)) => requests.push(request),
                    Ok(Message::Close) | Err(false) => open = false,
                    Err(true) => break,
                }
                if !open || requests.len() >= MOST {
                    break;
                }
                message = received.try_recv().map_err(|error| error == TryRecvError::Empty);
            }
            self.group(requests);
        }
        self.progress.close();
    }

    fn group(&mut self, requests: Vec<Request>) {
        let counts = std::mem::take(&mut *locked(&self.counts));
        if requests.is_empty() && counts.is_empty() {
            if self.is_failing {
                // Load balancers send no reports while `/readyz` reports a failure, so the journal is tried without one.
                let _ = self.append(&[Vec::new()], false);
            }
            return;
        }
        let mut records: Vec<Vec<Entry>> = Vec::with_capacity(requests.len() + 1);
        let mut answers = Vec::with_capacity(requests.len());
        let mut forgets = false;
        for request in requests {
            forgets |= request.entries.iter().any(|entry| matches!(entry, Entry::Forget { .. }));
            records.push(request.entries);
            answers.push(request.answer);
        }
        if !counts.is_empty() {
            records.push(count_entries(&counts));
        }
        let result = self.append(&records, forgets);
        if result.is_err() {
            let mut waiting = locked(&self.counts);
            for (key, count) in counts {
                *waiting.entry(key).or_default() += count;
            }
        }
        for answer in answers {
            // The requester may have gone.
            let _ = answer.send(result.clone());
        }
    }

    fn append(&mut self, records: &[Vec<Entry>], forgets: bool) -> Result<Position, JournalError> {
        match self.try_append(records, forgets) {
            Ok(position) => {
                self.is_failing = false;
                self.progress.written(position);
                Ok(position)
            }
            Err(error) => {
                self.is_failing = true;
                // A full disk: once the database has all of it, the old segment can be deleted, which makes room.
                if matches!(self.writer.rotate(), Ok(true)) {
                    self.progress.written(self.writer.end());
                }
                self.progress.journal_failed(error.to_string());
                Err(JournalError::Failed(error.to_string()))
            }
        }
    }

    fn try_append(&mut self, records: &[Vec<Entry>], forgets: bool) -> std::io::Result<Position> {
        self.writer.append(records)?;
        if forgets {
            // A new segment, so that the one that holds what was forgotten can be deleted.
            self.writer.rotate()?;
        }
        Ok(self.writer.end())
    }
}

fn count_entries(counts: &BTreeMap<(Day, String), u64>) -> Vec<Entry> {
    counts.iter().map(|((day, name), count)| Entry::count(*day, name.clone(), *count)).collect()
}

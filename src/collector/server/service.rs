//! The state that all request handlers share: journal, limits, figures and response counts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use super::desk::Desk;
use super::state::Progress;
use super::writer::Journal;
use crate::collector::admit::{Admission, FloodWatch, Limits, SeenIds};
use crate::collector::audience::Audience;
use crate::collector::forgotten::Forgotten;
use crate::collector::journal;
use crate::collector::place::Place;
use crate::collector::report::Moment;

/// The options of `serve`.
#[derive(Debug, Clone)]
pub struct Options {
    pub place: Place,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// Certificates and key, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub trust_proxy: bool,
    pub limits: Limits,
    /// Maximum number of journal bytes that may wait while the database fails.
    pub backlog: u64,
    /// Days after which reports are deleted.
    pub keep_days: u16,
}

/// Everything that request handlers need.
pub(super) struct Service {
    pub options: Options,
    pub journal: Journal,
    pub progress: Arc<Progress>,
    pub forgotten: Arc<RwLock<Forgotten>>,
    pub admission: Mutex<Admission>,
    pub seen: Mutex<SeenIds>,
    pub flood: Mutex<FloodWatch>,
    pub desk: Desk,
    pub meters: Meters,
    pub began: Instant,
    pub stats_key: String,
    pub publishing: Mutex<()>,
}

/// Counts of responses since the start.
#[derive(Default)]
pub(super) struct Meters {
    accepted: AtomicU64,
    rejected: AtomicU64,
    refused: AtomicU64,
    unavailable: AtomicU64,
}

impl Meters {
    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unavailable(&self) {
        self.unavailable.fetch_add(1, Ordering::Relaxed);
    }
}

impl Service {
    /// Why the collector cannot accept reports now.
    pub(super) fn failure(&self) -> Option<String> {
        self.progress.failure()
    }

    /// Whether the journal must not grow any further while the database fails.
    pub(super) fn is_backlog_full(&self) -> bool {
        self.progress.is_database_down()
            && journal::backlog(&self.options.place.journal(), self.progress.stored())
                .map_or(true, |bytes| bytes >= self.options.backlog)
    }

    /// The text of `/metrics`.
    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
            let name = format!("mcpproxy_collector_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        metric("reports_accepted_total", "counter", "Reports answered with 204.", read(&self.meters.accepted));
        metric("reports_rejected_total", "counter", "Requests answered with 400 to 415.", read(&self.meters.rejected));
        metric("reports_refused_total", "counter", "Reports answered with 429.", read(&self.meters.refused));
        metric("reports_unavailable_total", "counter", "Reports answered with 503.", read(&self.meters.unavailable));
        let backlog = journal::backlog(&self.options.place.journal(), self.progress.stored()).unwrap_or(0);
        metric("journal_backlog_bytes", "gauge", "Bytes of the journal that the database does not have.", backlog);
        metric(
            "failing",
            "gauge",
            "1 while the journal or the database cannot be written.",
            u64::from(self.failure().is_some()),
        );
        if let Ok(snapshot) = self.desk.snapshot() {
            let stats = &snapshot.stats;
            let everything = stats.census.figures(Audience::EVERYTHING);
            metric("installations", "gauge", "Installations in the figures.", u64::from(everything.installs));
            metric(
                "suspect_installations",
                "gauge",
                "Installations kept out of the figures.",
                u64::from(stats.census.suspects),
            );
            let age = stats.ledger.latest.map_or(0, |latest| (Moment::now().0 - latest.0).max(0) / 1000);
            metric(
                "last_report_age_seconds",
                "gauge",
                "Seconds since the last report; alert on it.",
                age.unsigned_abs(),
            );
        }
        text
    }
}

/// Runs blocking work on a thread for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("a worker failed".to_owned()))
}

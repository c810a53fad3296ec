//! Keeps the search index current, and counts the changes that `/events` reports.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::contract::api::Update;
use crate::gateway::Proxy;
use crate::server::run_facts::RunFacts;
use crate::telemetry::store::recorder::Recorder;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

/// Changes within this time are reported together.
const GATHER: Duration = Duration::from_millis(50);

/// Follows the servers: reindexes their tools immediately, records the first connection, and increments the number that
/// `/events` waits for. Simultaneous changes increment it once.
pub fn follow(
    upstreams: &Arc<UpstreamPool>,
    mut mistake: watch::Receiver<Option<String>>,
    mut update: watch::Receiver<Option<Update>>,
    proxy: &Arc<Proxy>,
    facts: &RunFacts,
    stop: &CancellationToken,
) -> watch::Receiver<u64> {
    let (taken_up, mut seen) = watch::channel(());
    tokio::spawn(stop.clone().run_until_cancelled_owned(reindex(
        upstreams.clone(),
        proxy.clone(),
        facts.recorder(),
        taken_up,
    )));
    let (counter, changes) = watch::channel(0_u64);
    let tell = async move {
        loop {
            let changed = tokio::select! {
                changed = seen.changed() => changed,
                changed = mistake.changed() => changed,
                changed = update.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            counter.send_modify(|number| *number += 1);
            tokio::time::sleep(GATHER).await;
        }
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(tell));
    changes
}

/// Updates the search index whenever a server changes.
async fn reindex(upstreams: Arc<UpstreamPool>, proxy: Arc<Proxy>, recorder: Recorder, taken_up: watch::Sender<()>) {
    let mut changes = upstreams.changes();
    while changes.changed().await.is_ok() {
        if upstreams.any(Snapshot::is_connected) {
            recorder.server_connected();
        }
        proxy.reindex().await;
        taken_up.send_replace(());
    }
}

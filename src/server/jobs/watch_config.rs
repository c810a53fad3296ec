//! Watches the configuration file and applies edits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::server::state::App;
use crate::telemetry::usage_counts::Counter;

/// Waiting time after each write, because some editors save in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// Maximum number of such steps.
const MOST_STEPS: usize = 5;

/// Applies every edit until the core stops.
pub async fn watch_config(app: Arc<App>) {
    let edited = Arc::new(Notify::new());
    let watcher = match watch(app.config.store().path(), edited.clone()) {
        Ok(watcher) => watcher,
        Err(error) => {
            let path = app.config.store().path().display();
            tracing::warn!("could not watch `{path}`: {error}; edits of the file take effect at the next start");
            return;
        }
    };
    // An edit between the start and the watch would otherwise wait for the next one.
    edited.notify_one();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => break,
            () = edited.notified() => {}
        }
        for _ in 0..MOST_STEPS {
            if timeout(QUIET, edited.notified()).await.is_err() {
                break;
            }
        }
        app.config.reload().await;
        if app.config.errors().borrow().is_some() {
            app.facts.counts().add(Counter::ConfigReloadFailed);
        }
    }
    drop(watcher);
}

/// Watches the directory instead of the file: replacing the file would end a watch on it. If the file is a symbolic
/// link, also watches its target's directory.
fn watch(path: &Path, edited: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut files = BTreeSet::from([path.to_path_buf()]);
    files.extend(std::fs::canonicalize(path));
    let directories: BTreeSet<PathBuf> = files.iter().filter_map(|file| file.parent()).map(PathBuf::from).collect();
    let names: BTreeSet<_> = files.iter().filter_map(|file| file.file_name()).map(ToOwned::to_owned).collect();
    let ours = move |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error may mean that events were lost; checking again costs little.
        let meant = event.map_or(true, |event| {
            !matches!(event.kind, EventKind::Access(_)) && (event.need_rescan() || event.paths.iter().any(&ours))
        });
        if meant {
            edited.notify_one();
        }
    })?;
    for directory in directories {
        let here = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
        watcher.watch(here, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

//! Sends heartbeats while the core runs. Each time: waits, checks consent again, builds, scans, posts, and stores the
//! result.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::ai_clients::edit as clients;
use crate::ai_clients::entry::Proxy;
use crate::config::{Config, TelemetryConfig};
use crate::server::heartbeat::{Identifier, snapshot};
use crate::server::state::App;
use crate::telemetry::consent::Consent;
use crate::telemetry::heartbeat::{Next, Progress, is_reported, next};
use crate::telemetry::payload::{AnonymousId, Snapshot};
use crate::telemetry::scan::collect_identity::collect_identity;
use crate::telemetry::scan::{Clean, Cleared, clear};
use crate::telemetry::send_heartbeat::send_heartbeat;

/// Returns the current Unix time in seconds. A parameter, so that tests control the time.
pub trait Clock: Fn() -> i64 + Send + 'static {}
impl<F: Fn() -> i64 + Send + 'static> Clock for F {}

/// The result of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Failed,
    /// Telemetry does not allow sending now.
    Silent,
}

/// The notice for users who run the core in a terminal.
pub const NOTICE: &str =
    "MCPProxy sends one anonymous report a day: counts and fixed values, but no names, addresses or contents.
Show it with `mcpproxy telemetry show`; turn it off with `mcpproxy telemetry disable`.";

/// Whether to show the notice now: it was not shown before, and the tray's first-run window does not show it.
///
/// The notice is only shown if reports would be sent after it.
pub fn notice_due(app: &App) -> bool {
    let telemetry = &app.config.current().telemetry;
    let with_notice = TelemetryConfig {
        notice_shown: true,
        ..telemetry.clone()
    };
    let would_send = matches!(app.facts.consent(&with_notice), Consent::Send(_));
    would_send && !telemetry.notice_shown && !app.facts.started_by_tray()
}

/// Sends one report per UTC day with activity, until the core stops.
pub async fn send_heartbeats(app: Arc<App>, clock: impl Clock) {
    let mut progress = Progress {
        active_since: Some(clock()),
        ..Progress::default()
    };
    count_configured_clients(&app).await;
    loop {
        progress.last_accepted = app.facts.recorder().memory().map_or(0, |memory| memory.last_accepted);
        let pause = match next(&progress, clock(), jitter()) {
            Next::Send(pause) => pause,
            Next::Activity => {
                progress = Progress {
                    active_since: until_used(&app, &clock).await,
                    ..Progress::default()
                };
                if progress.active_since.is_none() {
                    return;
                }
                continue;
            }
        };
        if !pause.is_zero() {
            // The clock decides, not the timer: a computer may have slept into another day.
            if !app.pause(pause).await {
                return;
            }
            continue;
        }
        match attempt(&app, clock()).await {
            Outcome::Accepted => progress.active_since = None,
            Outcome::Failed => {
                progress.failures = progress.failures.saturating_add(1);
                progress.last_failure = clock();
            }
            // Retries within the hour, because the user or another program may allow telemetry at any time.
            Outcome::Silent => {
                let mut settings = app.config.subscribe();
                tokio::select! {
                    () = app.stop.cancelled() => return,
                    _ = settings.changed() => {}
                    () = tokio::time::sleep(Duration::from_secs(3600)) => {}
                }
            }
        }
    }
}

/// Waits until the product is used on a day without a report. Returns the time, or `None` if the core stops.
async fn until_used(app: &App, clock: &impl Clock) -> Option<i64> {
    let counts = app.facts.counts();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return None,
            () = counts.used() => {}
        }
        let now = clock();
        let reported = Progress {
            last_accepted: app.facts.recorder().memory().map_or(0, |memory| memory.last_accepted),
            ..Progress::default()
        };
        if !is_reported(&reported, now) {
            return Some(now);
        }
        // Limits wakeups on a busy day.
        if !app.pause(Duration::from_secs(60)).await {
            return None;
        }
    }
}

async fn attempt(app: &Arc<App>, now: i64) -> Outcome {
    // Reads the file instead of the copy in memory: the user may have opted out a second ago.
    let Ok(config) = app.config.reload_telemetry().await else { return Outcome::Silent };
    let Consent::Send(collector) = app.facts.consent(&config.telemetry) else {
        return Outcome::Silent;
    };
    let id = match Identifier::of(&config.telemetry, &app.candidate_id) {
        Identifier::Kept(id) => id,
        Identifier::New(id) => match save_id(app, &id, now).await {
            Ok(()) => id,
            Err(error) => {
                tracing::warn!("could not send a heartbeat: could not save its ID: {error}");
                return Outcome::Silent;
            }
        },
        Identifier::Unusable => {
            tracing::warn!(
                "could not send a heartbeat: `telemetry.anonymous_id` in the configuration is not a random UUID"
            );
            return Outcome::Silent;
        }
    };
    count_configured_clients(app).await;
    let usage = app.facts.counts().usage();
    let snapshot = snapshot(&app.facts, &config, &app.upstreams.snapshots(), &usage, id, now);
    let source = snapshot.launch_source;
    let Some(clean) = cleared(app, snapshot).await else { return Outcome::Failed };
    match send_heartbeat(&collector, &clean).await {
        Ok(()) => {
            app.facts.recorder().heartbeat_accepted(source, now);
            app.facts.counts().subtract(&usage);
            let version = env!("CARGO_PKG_VERSION");
            if config.telemetry.last_reported_version.as_deref() != Some(version)
                && let Err(error) = app.config.edit_telemetry(vec![("last_reported_version", json!(version))]).await
            {
                tracing::warn!("could not save the reported version: {error}");
            }
            tracing::info!("sent a heartbeat");
            Outcome::Accepted
        }
        Err(error) => {
            tracing::info!("could not send a heartbeat: {error}");
            Outcome::Failed
        }
    }
}

/// Records how many AI clients are configured for this proxy, unless telemetry is off.
pub async fn count_configured_clients(app: &Arc<App>) {
    if !app.facts.recorder().is_on() {
        return;
    }
    let (listen, root) = (app.listen_addr.clone(), app.root.clone());
    let counted = tokio::task::spawn_blocking(move || {
        let proxy = Proxy::new(&listen, false, None, clients::bridge(&root));
        Some(clients::count(&clients::homes()?, &proxy))
    });
    if let Ok(Some(count)) = counted.await {
        app.facts.recorder().ides_configured(count);
    }
}

/// Scans a heartbeat for personal data. Records and logs every finding; returns the heartbeat only if there is none.
async fn cleared(app: &Arc<App>, snapshot: Snapshot) -> Option<Clean> {
    let recorder = app.facts.recorder();
    let blocked = recorder.memory().map_or(0, |memory| memory.blocked_in_a_row);
    // Reads account files and scans text, which must not block the async runtime.
    let scanned = tokio::task::spawn_blocking(move || clear(&snapshot, &collect_identity(), blocked)).await.ok()?;
    let (clean, hits) = match scanned {
        Cleared::Full(clean) => return Some(clean),
        Cleared::Skeleton(clean, hits) => (Some(clean), hits),
        Cleared::Blocked(hits) => (None, hits),
    };
    for hit in &hits {
        tracing::error!(
            net = hit.net,
            rule = hit.rule,
            field = hit.field,
            "did not send a heartbeat: it may contain personal data"
        );
    }
    recorder.heartbeat_blocked();
    clean
}

async fn save_id(app: &App, id: &AnonymousId, now: i64) -> Result<(), crate::config::store::StoreError> {
    let created = jiff::Timestamp::from_second(now).map(|now| format!("{now:.0}")).unwrap_or_default();
    let keys = vec![
        ("anonymous_id", json!(id.as_str())),
        ("anonymous_id_created_at", json!(created)),
    ];
    app.config.edit_telemetry(keys).await
}

/// Returns the bytes that would be sent now, after the same scan.
///
/// # Errors
/// Nothing would be sent; the message for the user says why.
pub fn preview(app: &App, config: &Config, now: i64) -> Result<Clean, String> {
    let consent = app.facts.consent(&config.telemetry);
    if consent.is_off() {
        return Err(consent.reason().to_owned());
    }
    let id = match Identifier::of(&config.telemetry, &app.candidate_id) {
        Identifier::Kept(id) | Identifier::New(id) => id,
        Identifier::Unusable => {
            return Err(
                "Nothing is sent: `telemetry.anonymous_id` in the configuration is not a random UUID.".to_owned()
            );
        }
    };
    let snapshot = snapshot(&app.facts, config, &app.upstreams.snapshots(), &app.facts.counts().usage(), id, now);
    let blocked = app.facts.recorder().memory().map_or(0, |memory| memory.blocked_in_a_row);
    match clear(&snapshot, &collect_identity(), blocked) {
        Cleared::Full(clean) | Cleared::Skeleton(clean, _) => Ok(clean),
        Cleared::Blocked(hits) => {
            let caught: Vec<String> = hits.iter().map(|hit| format!("{} in `{}`", hit.rule, hit.field)).collect();
            Err(format!(
                "Nothing would be sent now, because the report may contain personal data: {}.",
                caught.join(", ")
            ))
        }
    }
}

/// Returns a random number from 0 to 1.
pub fn jitter() -> f64 {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / f64::from(u16::MAX)
}

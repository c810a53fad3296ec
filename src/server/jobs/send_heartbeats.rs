//! Sends heartbeats for as long as the core runs: waits, asks for consent anew, builds, scans, posts, remembers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::ai_clients::edit as clients;
use crate::ai_clients::entry::Proxy;
use crate::config::{Config, TelemetryConfig};
use crate::server::heartbeat::{Identifier, snapshot};
use crate::server::state::App;
use crate::telemetry::collector::Collector;
use crate::telemetry::consent::Consent;
use crate::telemetry::heartbeat::{Next, Progress, is_reported, next};
use crate::telemetry::payload::{AnonymousId, Snapshot};
use crate::telemetry::scan::collect_identity::collect_identity;
use crate::telemetry::scan::{Clean, Cleared, clear};
use crate::telemetry::send_heartbeat::{SendError, send_heartbeat};

/// Unix seconds now: passed in, so that a test can make a day pass.
pub trait Clock: Fn() -> i64 + Send + 'static {}
impl<F: Fn() -> i64 + Send + 'static> Clock for F {}

/// What came of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Failed,
    /// Nothing may be sent now.
    Silent,
}

/// The text of the notice, for a person at a terminal.
pub const NOTICE: &str =
    "MCPProxy sends one anonymous report a day: counts and closed words, no names, no addresses, no contents.
See it with `mcpproxy telemetry show`, stop it with `mcpproxy telemetry disable`.";

/// Shows the notice once, where no tray's first-run window does; says whether it did.
///
/// Nothing is shown while nothing would be sent anyway.
pub fn notice_due(app: &App) -> bool {
    let telemetry = &app.config.current().telemetry;
    let with_notice = TelemetryConfig {
        notice_shown: true,
        ..telemetry.clone()
    };
    let would_send = matches!(app.facts.consent(&with_notice), Consent::Send(_));
    would_send && !telemetry.notice_shown && !app.facts.started_by_tray()
}

/// Runs until the core stops. Sends one report per UTC day with activity.
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
            // The clock decides and not the timer: a computer that slept wakes up on another day.
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
            // Consent may be given at any time: in the settings, or by another program within the hour.
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

/// Waits until the product is used on a day without a report; returns the time, or `None` if the core stops.
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
        // Not woken by every call of a busy day.
        if !app.pause(Duration::from_secs(60)).await {
            return None;
        }
    }
}

async fn attempt(app: &Arc<App>, now: i64) -> Outcome {
    // The file and not our copy of it: a person may have said no by hand a second ago.
    let Ok(config) = app.config.reload_telemetry().await else { return Outcome::Silent };
    let Consent::Send(collector) = app.facts.consent(&config.telemetry) else {
        return Outcome::Silent;
    };
    let id = match Identifier::of(&config.telemetry, &app.candidate_id) {
        Identifier::Kept(id) => id,
        Identifier::New(id) => match save_id(app, &id, now).await {
            Ok(()) => id,
            Err(error) => {
                tracing::warn!("no heartbeat: its identifier cannot be saved: {error}");
                return Outcome::Silent;
            }
        },
        Identifier::Unusable => {
            tracing::warn!("no heartbeat: telemetry.anonymous_id of the configuration is no random UUID");
            return Outcome::Silent;
        }
    };
    count_configured_clients(app).await;
    let usage = app.facts.counts().usage();
    let snapshot = snapshot(&app.facts, &config, &app.upstreams.snapshots(), &usage, id, now);
    let source = snapshot.launch_source;
    let Some(clean) = cleared(app, snapshot).await else { return Outcome::Failed };
    match post(collector, clean).await {
        Ok(()) => {
            app.facts.recorder().heartbeat_accepted(source, now);
            app.facts.counts().subtract(&usage);
            let version = env!("CARGO_PKG_VERSION");
            if config.telemetry.last_reported_version.as_deref() != Some(version)
                && let Err(error) = app.config.edit_telemetry(vec![("last_reported_version", json!(version))]).await
            {
                tracing::warn!("the reported version is not remembered: {error}");
            }
            tracing::info!("a heartbeat was accepted");
            Outcome::Accepted
        }
        Err(error) => {
            tracing::info!("no heartbeat was accepted: {error}");
            Outcome::Failed
        }
    }
}

/// Notes how many AI clients are configured for this proxy, unless the person wants nothing noted.
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

/// Passes a heartbeat through both nets, and remembers and reports when they caught something.
async fn cleared(app: &Arc<App>, snapshot: Snapshot) -> Option<Clean> {
    let recorder = app.facts.recorder();
    let blocked = recorder.memory().map_or(0, |memory| memory.blocked_in_a_row);
    // Reads files of the account and scans: not a task's work.
    let scanned = tokio::task::spawn_blocking(move || clear(&snapshot, &collect_identity(), blocked)).await.ok()?;
    let (clean, hits) = match scanned {
        Cleared::Full(clean) => return Some(clean),
        Cleared::Skeleton(clean, hits) => (Some(clean), hits),
        Cleared::Blocked(hits) => (None, hits),
    };
    for hit in &hits {
        tracing::error!(net = hit.net, rule = hit.rule, field = hit.field, "a heartbeat was held back");
    }
    recorder.heartbeat_blocked();
    clean
}

async fn post(collector: Collector, clean: Clean) -> Result<(), SendError> {
    let sent = tokio::task::spawn_blocking(move || send_heartbeat(&collector, &clean));
    sent.await.unwrap_or_else(|_| Err(SendError::Unreachable("the sending thread ended".to_owned())))
}

async fn save_id(app: &App, id: &AnonymousId, now: i64) -> Result<(), crate::config::store::StoreError> {
    let created = jiff::Timestamp::from_second(now).map(|now| format!("{now:.0}")).unwrap_or_default();
    let keys = vec![
        ("anonymous_id", json!(id.as_str())),
        ("anonymous_id_created_at", json!(created)),
    ];
    app.config.edit_telemetry(keys).await
}

/// The bytes that would go now, passed through both nets as they would be.
///
/// # Errors
/// A sentence: why nothing would go.
pub fn preview(app: &App, config: &Config, now: i64) -> Result<Clean, String> {
    let consent = app.facts.consent(&config.telemetry);
    if consent.is_off() {
        return Err(consent.reason().to_owned());
    }
    let id = match Identifier::of(&config.telemetry, &app.candidate_id) {
        Identifier::Kept(id) | Identifier::New(id) => id,
        Identifier::Unusable => {
            return Err("Nothing is sent: telemetry.anonymous_id of the configuration is no random UUID.".to_owned());
        }
    };
    let snapshot = snapshot(&app.facts, config, &app.upstreams.snapshots(), &app.facts.counts().usage(), id, now);
    let blocked = app.facts.recorder().memory().map_or(0, |memory| memory.blocked_in_a_row);
    match clear(&snapshot, &collect_identity(), blocked) {
        Cleared::Full(clean) | Cleared::Skeleton(clean, _) => Ok(clean),
        Cleared::Blocked(hits) => {
            let caught: Vec<String> = hits.iter().map(|hit| format!("{} in `{}`", hit.rule, hit.field)).collect();
            Err(format!("Nothing would be sent now, because it might point to a person: {}.", caught.join(", ")))
        }
    }
}

/// A random number from 0 to 1.
pub fn jitter() -> f64 {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / f64::from(u16::MAX)
}

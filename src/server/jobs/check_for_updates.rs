//! Checks for a newer release, automatically or on request.

use std::sync::Arc;
use std::time::Duration;

use semver::Version;

use crate::contract::api::{Update, UpdatePolicy};
use crate::diagnostics::code::Code;
use crate::os::https::{self, RequestError, Url};
use crate::server::jobs::send_heartbeats::jitter;
use crate::server::state::App;

use crate::updates::manifest::{LARGEST, Manifest};
use crate::updates::policy::{Source, UpdateCheck, wait};

/// Timeout for the manifest, and for its signature.
pub const LIMIT: Duration = Duration::from_secs(15);
/// Release hosts often redirect to the newest version.
const REDIRECTS: usize = 5;

/// Checks for updates on schedule until the core stops.
pub async fn look_for_updates(app: Arc<App>) {
    let mut config = app.config.subscribe();
    let mut failures = 0;
    loop {
        let before = config.borrow_and_update().update_check.clone();
        if app.looks_for_updates() {
            failures = if look(&app).await.check_error.is_some() { failures + 1 } else { 0 };
        } else {
            // Automatic checks are off: withdraws an earlier result, and notifies only if there was one.
            app.update.send_if_modified(|known| known.as_mut().map(|update| *update = Update::default()).is_some());
        }
        let pause = tokio::time::sleep(wait(failures, jitter()));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = app.stop.cancelled() => return,
                () = &mut pause => break,
                changed = config.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // A change of this setting takes effect immediately.
                    if config.borrow_and_update().update_check != before {
                        break;
                    }
                }
            }
        }
    }
}

/// Checks now, stores the result and returns it.
pub async fn look(app: &App) -> Update {
    let check = app.config.current().update_check.clone();
    let update = check_now(check).await;
    match (&update.check_error, &update.latest_version) {
        (Some(error), _) => tracing::info!("{error}"),
        (None, Some(version)) if update.available => tracing::info!("version {version} is available"),
        (None, _) => tracing::debug!("no newer version is available"),
    }
    app.update.send_replace(Some(update.clone()));
    update
}

/// Checks now and returns the result.
pub async fn check_now(check: UpdateCheck) -> Update {
    let channel = check.channel.unwrap_or_default();
    let fetched = match check.source() {
        Ok(source) => fetch(&source).await.map_err(|error| (Code::UpdateList, error)),
        Err(error) => Err((Code::UpdateOther, error)),
    };
    let own = Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Version::new(0, 0, 0));
    let checked_at = Some(format!("{:.0}", crate::os::clock::now()));
    match fetched {
        Ok(manifest) => {
            let newer = manifest.newer_than(&own, channel);
            Update {
                available: newer.is_some(),
                is_prerelease: newer.is_some_and(|release| !release.version.pre.is_empty()),
                latest_version: Some(newer.map_or(own, |release| release.version.clone()).to_string()),
                release_url: newer.map(|release| release.url.clone()),
                checked_at,
                ..Update::default()
            }
        }
        Err((code, error)) => Update {
            check_error: Some(format!("could not check for updates: {error} ({})", code.name())),
            checked_at,
            ..Update::default()
        },
    }
}

/// Fetches the manifest and its signature, and verifies them. Fetches nothing else.
async fn fetch(source: &Source) -> Result<Manifest, String> {
    let text = get(&source.manifest, source.manifest.as_str()).await?;
    let signature_url = format!("{}.minisig", source.manifest.as_str());
    let signature = get(&source.manifest, &signature_url).await?;
    Manifest::verified(&text, &String::from_utf8_lossy(&signature), &source.key)
        .map_err(|error| format!("{}: {error}", source.manifest.as_str()))
}

async fn get(at: &Url, url: &str) -> Result<Vec<u8>, String> {
    let failed = |error: RequestError| format!("{url}: {error}");
    let answer = https::get(at, url, LIMIT, REDIRECTS).await.map_err(failed)?;
    match answer.status {
        200 => answer.body(LARGEST).await.map_err(failed),
        status => Err(format!("{url}: HTTP status {status}")),
    }
}

impl App {
    /// Returns the result of the last check, for `GET /api/v1/info`.
    pub fn update(&self) -> Option<Update> {
        self.update.borrow().clone()
    }

    /// Returns the settings of the automatic check, for `GET /api/v1/info`.
    pub fn update_policy(&self) -> UpdatePolicy {
        UpdatePolicy {
            enabled: self.looks_for_updates(),
            channel: self.config.current().update_check.channel.unwrap_or_default().word().into(),
            nudges_suppressed: false,
        }
    }

    fn looks_for_updates(&self) -> bool {
        self.config.current().update_check.is_automatic(self.facts.no_update_check(), self.facts.in_ci())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(check: serde_json::Value) -> String {
        check_now(serde_json::from_value(check).unwrap()).await.check_error.unwrap()
    }

    #[tokio::test]
    async fn a_failed_check_has_a_code() {
        let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let closed = serde_json::json!({"manifest": "http://127.0.0.1:1/releases.json", "public_key": key});
        let unread = error(closed).await;
        assert!(unread.ends_with("(MCPX_UPDATE_APPCAST_FAILED)"), "{unread}");
        let invalid = error(serde_json::json!({"manifest": "http://example.org/x", "public_key": key})).await;
        assert!(invalid.ends_with("(MCPX_UPDATE_OTHER_FAILED)"), "{invalid}");
    }
}

//! Problems that need the user's attention, in one response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;

use crate::config::{Config, profiles, references};
use crate::contract::api::{Diagnostics, MissingSecret, OauthRequired, UpstreamError};
use crate::diagnostics::code::Code;
use crate::server::rest::problems;
use crate::server::rest::response::ok;
use crate::server::state::App;
use crate::server::take_over;
use crate::takeover::record::Record;
use crate::takeover::settings::Unused;
use crate::upstream::isolation::plan::Choice;
use crate::upstream::snapshot::{Phase, Snapshot};

pub async fn diagnostics(State(app): State<Arc<App>>) -> Response {
    ok(found(&app).await)
}

/// Returns all problems.
pub async fn found(app: &Arc<App>) -> Diagnostics {
    let servers = app.upstreams.snapshots();
    let now = format!("{:.0}", crate::os::clock::now());
    let mut found = diagnose(&servers, app.config.notice(), now);
    let reader = app.clone();
    let read = tokio::task::spawn_blocking(move || {
        (take_over::read_record(&reader.root), reader.unused_settings.of(reader.config.store()))
    });
    let (record, unused) = read.await.unwrap_or_default();
    found.runtime_warnings.extend(notices(&app.config.current(), record.as_ref(), &unused));
    let now = Instant::now();
    let calls = app.upstreams.waiting_calls().longer_than(Duration::ZERO, now);
    found.waiting = problems::waiting(&servers, calls, now);
    found.diagnostics = problems::problems(&servers);
    found.total_issues = issues(&found);
    found
}

/// Returns notices about the settings and about an incomplete takeover.
fn notices(config: &Config, record: Option<&Record>, unused: &[Unused]) -> Vec<String> {
    let mut notices = Vec::new();
    if let Some(reason) = record.filter(|record| !record.complete).and_then(|record| record.plan.unreadable.as_ref()) {
        notices.push(format!("the previous version's approvals could not be read ({reason}): run `mcpproxy migrate`"));
    }
    let unknown = record.and_then(|record| record.unknown_since.as_ref());
    notices.extend(unknown.map(|reason| take_over::unknown_since(reason)));
    notices.extend(config.routing_mode.warning().map(str::to_owned));
    let servers = config.servers.iter().map(|server| server.name.as_str());
    notices.extend(profiles::warnings(&config.profiles, servers));
    if let Some(name) =
        config.active_profile.as_ref().filter(|name| !config.profiles.iter().any(|one| one.name == **name))
    {
        notices.push(format!("the profile `{name}` does not exist, so clients see no servers: `mcpproxy profile use`"));
    }
    let code = Code::DeprecatedField.name();
    notices.extend(unused.iter().map(|setting| format!("`{}` has no effect: {} ({code})", setting.key, setting.why)));
    notices
}

fn issues(found: &Diagnostics) -> u32 {
    u32::try_from(found.diagnostics.len() + found.runtime_warnings.len()).unwrap_or(u32::MAX)
}

/// Returns warnings about secrets or rights that a server or other users of this computer should not have.
fn least_privilege(server: &Snapshot) -> Vec<String> {
    let name = &server.config.name;
    let mut warnings = Vec::new();
    if let Some(Choice::None { note: Some(note) }) = &server.isolation {
        warnings.push(format!("{name} runs without isolation: {note}"));
    }
    let shown = references::in_arguments(&server.config);
    if !shown.is_empty() {
        let shown = shown.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        warnings.push(format!(
            "{name} gets {shown} in its arguments, which every user of this computer can see: use `env` instead"
        ));
    }
    warnings
}

/// Diagnoses these servers. `configuration` is the notice about an edit that is not in use.
fn diagnose(servers: &[Snapshot], configuration: Option<String>, now: String) -> Diagnostics {
    let mut found = Diagnostics {
        timestamp: now.clone(),
        runtime_warnings: configuration.into_iter().collect(),
        ..Diagnostics::default()
    };
    for server in servers {
        let name = &server.config.name;
        if let Some(variable) = server.missing_variable() {
            match found.missing_secrets.iter_mut().find(|secret| secret.secret_name == variable) {
                Some(secret) => secret.used_by.push(name.clone()),
                None => found.missing_secrets.push(MissingSecret {
                    secret_name: variable.to_owned(),
                    used_by: vec![name.clone()],
                }),
            }
        } else if let Phase::SignInNeeded(_) = server.phase {
            found.oauth_required.push(OauthRequired {
                server_name: name.clone(),
                state: server.sign_in_status().unwrap_or_default(),
                message: server.last_error().unwrap_or_default(),
            });
        } else if let Some(error) = server.last_error() {
            found.upstream_errors.push(UpstreamError {
                server_name: name.clone(),
                error_message: error,
                timestamp: now.clone(),
            });
        }
        found.runtime_warnings.extend(least_privilege(server));
    }
    found
}

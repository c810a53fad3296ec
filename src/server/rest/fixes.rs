//! Runs a fix over REST.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::activity::Call;
use crate::contract::api::{
    ActivityKind, ActivitySource, ActivityStatus, DiagnosticCodes, FixMode, FixOutcome, FixRequest, FixResult,
    ServerDiagnostics,
};
use crate::contract::failure::FailureKind;
use crate::diagnostics::catalog::{Entry, Fixer};
use crate::diagnostics::code::Code;
use crate::os::browser;
use crate::server::rest::response::{failed, ok};
use crate::server::rest::{problems, views};
use crate::server::state::App;
use crate::upstream::error::ApproveError;

/// Timeout of a fix.
const LONGEST: Duration = Duration::from_secs(15);
/// A valid request.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    code: Code,
    fixer: Fixer,
    execute: bool,
}

/// Validates a request.
///
/// # Errors
/// The status and text of the refusal.
fn wanted(request: &FixRequest) -> Result<Wanted, (FailureKind, String)> {
    let bad = |text: String| (FailureKind::Invalid, text);
    let code = Code::of_name(&request.code).ok_or_else(|| bad(format!("`{}` is not a code", request.code)))?;
    let fixer = Fixer::of_key(&request.fixer_key);
    let fix = fixer.and_then(|fixer| Some((fixer, Entry::of(code).destructive(fixer)?)));
    let (fixer, destructive) =
        fix.ok_or_else(|| bad(format!("`{}` is not a fix of {}", request.fixer_key, code.name())))?;
    let execute = match &request.mode {
        Some(FixMode::Execute) => true,
        Some(FixMode::DryRun) => false,
        None if !destructive => true,
        None => {
            let text = "this fix changes something: set `mode` to `dry_run` or `execute`";
            return Err((FailureKind::Conflict, text.to_owned()));
        }
        Some(FixMode::Unknown(other)) => {
            return Err(bad(format!("`{other}` is not a mode: expected `dry_run` or `execute`")));
        }
    };
    Ok(Wanted { code, fixer, execute })
}

/// `POST /api/v1/diagnostics/fix`
pub async fn fix(State(app): State<Arc<App>>, body: Result<Json<FixRequest>, JsonRejection>) -> Response {
    let Ok(Json(request)) = body else {
        let text = "expected {\"server\": \"…\", \"code\": \"MCPX_…\", \"fixer_key\": \"…\", \"mode\": \"dry_run\"}";
        return failed(FailureKind::Invalid, text);
    };
    let wanted = match wanted(&request) {
        Ok(wanted) => wanted,
        Err((kind, text)) => return failed(kind, text),
    };
    if !app.upstreams.has(&request.server) {
        return failed(FailureKind::NotFound, ApproveError::UnknownServer(request.server).to_string());
    }
    let since = Instant::now();
    if !app.fixes.admit(&request.server, wanted.code, since) {
        let mut refused = failed(FailureKind::TooMany, "wait a second before the next fix of this server");
        refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return refused;
    }
    let run = async {
        if wanted.execute {
            app.control.run_fix(&request.server, wanted.fixer).await
        } else {
            app.control.preview_fix(&request.server, wanted.fixer).await
        }
    };
    let outcome = tokio::time::timeout(LONGEST, run).await;
    let outcome = outcome.unwrap_or_else(|_| Err(format!("the fix did not end within {} s", LONGEST.as_secs())));
    record(&app, &request, &wanted, since, outcome.as_ref().err());
    let result = FixResult {
        outcome: if outcome.is_ok() { FixOutcome::Success } else { FixOutcome::Failed },
        duration_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        mode: if wanted.execute { FixMode::Execute } else { FixMode::DryRun },
        ..FixResult::default()
    };
    ok(match outcome {
        Ok(fixed) => {
            // Without a browser here, the caller opens the page.
            let opened = fixed.open_url.as_ref().is_some_and(|url| browser::open_page(url).is_ok());
            FixResult {
                browser_opened: opened,
                preview: Some(fixed.preview),
                open_url: fixed.open_url,
                ..result
            }
        }
        Err(error) => FixResult {
            failure_msg: Some(error),
            ..result
        },
    })
}

/// Records every attempt in the activity.
fn record(app: &App, request: &FixRequest, wanted: &Wanted, since: Instant, error: Option<&String>) {
    let mode = if wanted.execute { "fix" } else { "fix preview" };
    app.activity.call(Call {
        kind: ActivityKind::ServerFix,
        source: ActivitySource::Api,
        server: request.server.clone(),
        tool: format!("{mode} {} {}", wanted.code.name(), wanted.fixer.key()),
        status: if error.is_some() { ActivityStatus::Error } else { ActivityStatus::Success },
        error: error.cloned(),
        took: since.elapsed(),
        ..Call::default()
    });
}

/// `GET /api/v1/servers/{name}/diagnostics`
pub async fn of_server(State(app): State<Arc<App>>, Path(name): Path<String>) -> Response {
    let Some(server) = app.upstreams.snapshot(&name) else {
        return failed(FailureKind::NotFound, ApproveError::UnknownServer(name).to_string());
    };
    let shown = views::server(&server);
    ok(ServerDiagnostics {
        server: name,
        connected: shown.connected,
        status: shown.status,
        health: shown.health,
        diagnostic: shown.diagnostic,
        error_code: shown.error_code,
        catalog_size: Code::ALL.len(),
    })
}

/// `GET /api/v1/diagnostics/codes`
pub async fn codes() -> Response {
    ok(DiagnosticCodes {
        codes: problems::catalog(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(code: &str, key: &str, mode: Option<&str>) -> FixRequest {
        FixRequest {
            server: "s".to_owned(),
            code: code.to_owned(),
            fixer_key: key.to_owned(),
            mode: mode.map(FixMode::from),
        }
    }

    #[test]
    fn a_destructive_fix_needs_a_mode_and_a_harmless_one_runs() {
        let status =
            |code, key, mode| wanted(&request(code, key, mode)).map(|wanted| wanted.execute).map_err(|(s, _)| s);
        let show = "stdio_show_last_logs";
        assert_eq!(status("MCPX_STDIO_EXIT_NONZERO", show, None), Ok(true));
        assert_eq!(status("mcpx_stdio_exit_nonzero", show, Some("dry_run")), Ok(false));
        let sign_in = "oauth_reauth";
        assert_eq!(status("MCPX_HTTP_401", sign_in, None), Err(FailureKind::Conflict));
        assert_eq!(status("MCPX_HTTP_401", sign_in, Some("execute")), Ok(true));
        assert_eq!(status("MCPX_HTTP_401", show, None), Err(FailureKind::Invalid));
        assert_eq!(status("MCPX_NONE", show, None), Err(FailureKind::Invalid));
        assert_eq!(status("MCPX_HTTP_401", sign_in, Some("later")), Err(FailureKind::Invalid));
    }
}

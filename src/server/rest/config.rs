//! Shows, checks and edits the configuration.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::config::Config;
use crate::config::document::MASK;
use crate::config::store::StoreError;
use crate::contract::api::{ConfigApplied, ConfigCheck, ConfigProblem, ShownConfig};
use crate::contract::exact_numbers::restore_text;
use crate::contract::failure::FailureKind;
use crate::server::rest::exact_json;
use crate::server::rest::response::{failed, ok};
use crate::server::rest::servers::origin;
use crate::server::state::App;

/// Shows the configuration file without its secrets.
pub async fn show(State(app): State<Arc<App>>) -> Response {
    let store = app.config.store();
    match store.masked() {
        Ok(config) => ok(ShownConfig {
            config,
            config_path: store.path().display().to_string(),
        }),
        Err(error) => failed(FailureKind::Internal, error.to_string()),
    }
}

/// Merges a part into the configuration: objects are merged, other values replaced.
pub async fn patch(State(app): State<Arc<App>>, headers: HeaderMap, body: exact_json::Body) -> Response {
    let Some(Value::Object(part)) = exact_json::read(body) else {
        return failed(FailureKind::Invalid, "expected a JSON object: a part of the configuration");
    };
    if Value::Object(part.clone()).to_string().contains(MASK) {
        let sentence = "cannot save a masked secret; omit its key to keep the current secret";
        return failed(FailureKind::Invalid, sentence);
    }
    let changed: Vec<String> = part.keys().cloned().collect();
    let before = app.config.current();
    let edited = app.control.merge(part, &origin(&headers)).await;
    answered(&app, edited, &before, changed)
}

const EXPECTED: &str = "expected a JSON object: a whole configuration";

/// `POST /api/v1/config/validate`: reports the error in a configuration and changes nothing.
pub async fn validate(body: Result<Json<Value>, JsonRejection>) -> Response {
    match body {
        Ok(Json(Value::Object(settings))) => {
            let errors: Vec<ConfigProblem> = problem(&Value::Object(settings)).into_iter().collect();
            ok(ConfigCheck {
                valid: errors.is_empty(),
                errors,
            })
        }
        _ => failed(FailureKind::Invalid, EXPECTED),
    }
}

/// `POST /api/v1/config/apply`: replaces the settings that the body names.
pub async fn apply(State(app): State<Arc<App>>, headers: HeaderMap, body: exact_json::Body) -> Response {
    let Some(Value::Object(settings)) = exact_json::read(body) else {
        return failed(FailureKind::Invalid, EXPECTED);
    };
    if let Some(problem) = problem(&Value::Object(settings.clone())) {
        return ok(ConfigApplied {
            validation_errors: vec![problem],
            ..ConfigApplied::default()
        });
    }
    let shown = app.config.store().masked().unwrap_or_default();
    let changed = settings.iter().filter(|(key, value)| shown.get(*key) != Some(*value));
    let changed: Vec<String> = changed.map(|(key, _)| key.clone()).collect();
    let before = app.config.current();
    let edited = app.control.apply(settings, &origin(&headers)).await;
    answered(&app, edited, &before, changed)
}

fn answered(app: &App, edited: Result<(), StoreError>, before: &Config, changed_fields: Vec<String>) -> Response {
    match edited {
        Ok(()) => ok(applied(&app.config.current().needs_restart(before), changed_fields)),
        Err(error) => failed(error.kind(), error.to_string()),
    }
}

fn applied(restart: &[&str], changed_fields: Vec<String>) -> ConfigApplied {
    let reason = || format!("Restart the core to apply the new `{}`", restart.join("`, `"));
    ConfigApplied {
        success: true,
        applied_immediately: restart.is_empty(),
        requires_restart: !restart.is_empty(),
        restart_reason: (!restart.is_empty()).then(reason),
        validation_errors: Vec::new(),
        changed_fields,
    }
}

/// Returns the error in a configuration.
fn problem(settings: &Value) -> Option<ConfigProblem> {
    let text = serde_json::to_string_pretty(settings).unwrap_or_default();
    let text = restore_text(&text);
    let error = Config::parse(Path::new("configuration"), &text).err()?;
    Some(ConfigProblem {
        field: key_at(&text, error.line),
        message: error.problem,
    })
}

/// Returns the top-level key to which a line of the indented text belongs.
fn key_at(text: &str, line: usize) -> String {
    let keys = text.lines().take(line).filter_map(|line| line.strip_prefix("  \"")?.split_once('"'));
    keys.last().map(|(key, _)| key.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mistake_is_told_with_the_key_where_it_is() {
        let field = |settings: Value| problem(&settings).map(|problem| problem.field);
        assert_eq!(field(json!({"listen": "127.0.0.1:8080", "mcpServers": []})), None);
        assert_eq!(field(json!({"listen": "nowhere"})).as_deref(), Some("listen"));
        let servers = json!([{"name": "a", "command": "x"}, {"name": "a", "command": "y"}]);
        assert_eq!(field(json!({"listen": "h:1", "mcpServers": servers, "x": 1})).as_deref(), Some("mcpServers"));
        assert_eq!(field(json!({"tools_limit": "many", "x": 1})).as_deref(), Some("tools_limit"));
    }
}

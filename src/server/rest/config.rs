//! Shows and edits the configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::config::document::MASK;
use crate::contract::api::{ChangedConfig, ShownConfig};
use crate::contract::failure::FailureKind;
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
pub async fn patch(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Response {
    let Ok(Json(Value::Object(part))) = body else {
        return failed(FailureKind::Invalid, "expected a JSON object: a part of the configuration");
    };
    if Value::Object(part.clone()).to_string().contains(MASK) {
        let sentence = "cannot save a masked secret; omit its key to keep the current secret";
        return failed(FailureKind::Invalid, sentence);
    }
    let changed: Vec<String> = part.keys().cloned().collect();
    let before = app.config.current();
    match app.control.merge(part, &origin(&headers)).await {
        Ok(()) => {
            let after = app.config.current();
            let restart = after.needs_restart(&before);
            ok(ChangedConfig {
                success: true,
                applied_immediately: restart.is_empty(),
                requires_restart: !restart.is_empty(),
                changed_fields: changed,
            })
        }
        Err(error) => failed(error.kind(), error.to_string()),
    }
}

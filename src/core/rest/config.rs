//! Edits of the configuration, one at a time: the file first, then what runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{App, failed, ok};
use crate::core::config::Config;
use crate::core::config::document::{Document, EditError};
use crate::core::config::store::StoreError;

/// Merges a part of the configuration into it: objects merge, everything else is replaced (contract: core-http §6).
pub async fn patch(State(app): State<Arc<App>>, body: Result<Json<Value>, JsonRejection>) -> Response {
    let Ok(Json(Value::Object(part))) = body else {
        return failed(StatusCode::BAD_REQUEST, "expected a JSON object: a part of the configuration");
    };
    let changed: Vec<String> = part.keys().cloned().collect();
    let before = app.config.borrow().clone();
    match app.edit(|document| document.merge(part)).await {
        Ok(()) => {
            let after = app.config.borrow().clone();
            let restart = before.listen != after.listen
                || before.api_key != after.api_key
                || before.enable_socket != after.enable_socket
                || before.require_mcp_auth != after.require_mcp_auth;
            ok(json!({
                "success": true,
                "applied_immediately": !restart,
                "requires_restart": restart,
                "changed_fields": changed,
            }))
        }
        Err(error @ (StoreError::Unreadable { .. } | StoreError::Edit(_))) => {
            failed(StatusCode::BAD_REQUEST, error.to_string())
        }
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

impl App {
    /// Edits the configuration file, and makes what runs follow it.
    pub async fn edit(&self, change: impl FnOnce(&mut Document) -> Result<(), EditError>) -> Result<(), StoreError> {
        let _one_at_a_time = self.edits.lock().await;
        let config = Arc::new(self.store.edit(change)?);
        self.take_up(config).await;
        Ok(())
    }

    /// Sets keys of the `telemetry` object.
    pub async fn edit_telemetry(&self, change: impl FnOnce(&mut dyn FnMut(&str, Value))) -> Result<(), StoreError> {
        self.edit(|document| {
            change(&mut |key, value| document.set_telemetry(key, value));
            Ok(())
        })
        .await
    }

    /// Reads the telemetry settings anew: a person may have changed the file by hand.
    pub async fn reload_telemetry(&self) -> Result<Arc<Config>, StoreError> {
        let _one_at_a_time = self.edits.lock().await;
        let telemetry = self.store.load()?.telemetry;
        let config = Arc::new(Config {
            telemetry,
            ..Config::clone(&self.config.borrow())
        });
        self.facts.follow(&config.telemetry);
        self.config.send_replace(config.clone());
        Ok(config)
    }

    async fn take_up(&self, config: Arc<Config>) {
        self.facts.follow(&config.telemetry);
        self.config.send_replace(config.clone());
        self.upstreams.apply(&config.servers).await;
    }
}

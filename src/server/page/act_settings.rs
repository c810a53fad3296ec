//! Handles `POST` requests for settings, profiles and privacy.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::config::schema::schema;
use crate::contract::api::{ActivityPurged, ConfigApplied, ConfigProblem, OneActivity, ProfileChoice, ProfileServers};
use crate::server::page::access::Visitor;
use crate::server::page::api::ApiError;
use crate::server::page::form::Fields;
use crate::server::page::gate::Submitted;
use crate::server::page::layout::{encoded, number};
use crate::server::page::pages::Pages;
use crate::server::page::settings_undo::{Change, SettingsChange, changed, put};
use crate::server::page::show::settings_page;
use crate::server::page::shown_values::{self, Edit, ShownValues};
use crate::server::page::{privacy, setting, settings};

type Core = State<Arc<Pages>>;
type Who = Extension<Visitor>;
type Sent = Extension<Submitted>;

/// Saves settings.
pub(super) async fn save_settings(
    State(pages): Core,
    Extension(visitor): Who,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let answer = match pages.settings().await {
        Ok(answer) => answer,
        Err(error) => return settings_page(&pages, &visitor, "", Some((error.message.as_str(), &fields))).await,
    };
    let changes = match setting::changes(&settings::settings(&schema(), &answer.config), &fields) {
        Ok(changes) if changes.is_empty() => {
            return pages.then(&visitor, Ok("Nothing has changed.".to_owned()), "/ui/settings");
        }
        Ok(changes) => changes,
        Err(sentence) => return settings_page(&pages, &visitor, "", Some((sentence.as_str(), &fields))).await,
    };
    match apply(&pages, &answer.config, changes).await {
        Ok(saved) => pages.then(&visitor, Ok(done("Saved.", &saved)), "/ui/settings"),
        Err(error) => settings_page(&pages, &visitor, "", Some((error.message.as_str(), &fields))).await,
    }
}

/// Changes settings, after the same checks as for a configuration in a request to REST.
async fn apply(pages: &Pages, config: &Value, changes: Vec<Change>) -> Result<ConfigApplied, ApiError> {
    let settings = Value::Object(changed(config, changes));
    let mut applied: ConfigApplied = pages.api.post("/api/v1/config/apply", Some(settings)).await?;
    match applied.validation_errors.pop() {
        Some(ConfigProblem { field, message }) => {
            Err(ApiError::new(400, format!("Nothing was saved. `{field}`: {message}")))
        }
        None => Ok(applied),
    }
}

/// Returns the message about a change that REST has made.
fn done(sentence: &str, applied: &ConfigApplied) -> String {
    match &applied.restart_reason {
        Some(_) => format!("{sentence} Restart MCPProxy to apply all of it."),
        None => sentence.to_owned(),
    }
}

/// Undoes a change of settings.
pub(super) async fn undo_settings(
    State(pages): Core,
    Extension(visitor): Who,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let undone = undo(&pages, fields.text("id")).await;
    pages.then(&visitor, undone.map(|saved| done("The change is undone.", &saved)), "/ui/settings#changes")
}

async fn undo(pages: &Pages, id: &str) -> Result<ConfigApplied, ApiError> {
    let found: OneActivity = pages.api.get(&format!("/api/v1/activity/{}", encoded(id))).await?;
    let change = SettingsChange::of(&found.activity);
    let change = change.ok_or_else(|| ApiError::new(409, "This entry is not a change of settings."))?;
    let answer = pages.settings().await?;
    let changes = change.undo(&answer.config).map_err(|error| ApiError::new(409, error.to_string()))?;
    apply(pages, &answer.config, changes).await
}

/// Creates a profile.
pub(super) async fn create_profile(
    State(pages): Core,
    Extension(visitor): Who,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let name = fields.text("name").to_owned();
    set_profile(&pages, &visitor, &name, &fields).await
}

/// Saves the servers of a profile.
pub(super) async fn save_profile(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    set_profile(&pages, &visitor, &name, &fields).await
}

async fn set_profile(pages: &Pages, visitor: &Visitor, name: &str, fields: &Fields) -> Response {
    let entered = fields.text("servers").lines().map(str::trim).filter(|name| !name.is_empty());
    let servers = fields.all("server").chain(entered).map(str::to_owned).collect();
    let path = format!("/api/v1/profiles/{}", encoded(name));
    let saved = pages.api.send(Method::PUT, &path, Some(json!(ProfileServers { servers }))).await;
    pages.finish(visitor, saved, format!("Saved the profile `{name}`."), "/ui/profiles")
}

/// Removes a profile, or makes it the default.
pub(super) async fn act_on_profile(
    State(pages): Core,
    Extension(visitor): Who,
    Path((name, action)): Path<(String, String)>,
) -> Response {
    match action.as_str() {
        "default" => choose_default(&pages, &visitor, &name).await,
        "remove" => {
            let path = format!("/api/v1/profiles/{}", encoded(&name));
            let removed = pages.api.send(Method::DELETE, &path, None).await;
            pages.finish(&visitor, removed, format!("Removed the profile `{name}`."), "/ui/profiles")
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Removes the default profile, so that sessions without a profile see all servers.
pub(super) async fn no_default_profile(State(pages): Core, Extension(visitor): Who) -> Response {
    choose_default(&pages, &visitor, "").await
}

async fn choose_default(pages: &Pages, visitor: &Visitor, name: &str) -> Response {
    let profile = name.to_owned();
    let body = Some(json!(ProfileChoice { profile }));
    let chosen = pages.api.send(Method::PUT, "/api/v1/profiles/active", body).await;
    pages.finish(visitor, chosen, "Saved.", "/ui/profiles")
}

/// Turns usage reports on or off.
pub(super) async fn switch_reports(
    State(pages): Core,
    Extension(visitor): Who,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let enabled = fields.text("enabled") == "true";
    let part = json!({"telemetry": {"enabled": enabled}});
    let saved = pages.api.send(Method::PATCH, "/api/v1/config", Some(part)).await;
    let sentence = if enabled { "Usage reports are on." } else { "Usage reports are off. Nothing is sent." };
    pages.finish(&visitor, saved, sentence, "/ui/privacy")
}

/// Deletes the collector's data about this installation.
pub(super) async fn forget_reports(State(pages): Core, Extension(visitor): Who) -> Response {
    let forgotten: Result<Value, ApiError> = pages.api.post("/api/v1/telemetry/forget", None).await;
    let sentence = |answer: Value| {
        let deleted = answer.get("deleted_reports").and_then(Value::as_u64).unwrap_or_default();
        let deleted = number(usize::try_from(deleted).unwrap_or(usize::MAX), "report", "reports");
        format!("The collector deleted {deleted}. This installation has a new ID.")
    };
    pages.then(&visitor, forgotten.map(sentence), "/ui/privacy?received=1#received")
}

/// Saves the settings of the activity log.
pub(super) async fn save_activity_settings(
    State(pages): Core,
    Extension(visitor): Who,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let current = match pages.settings().await {
        Ok(current) => current.config,
        Err(error) => return pages.then(&visitor, Err(error), "/ui/privacy"),
    };
    let part = match activity_changes(&fields, &current) {
        Ok(part) => part,
        Err(sentence) => return pages.then(&visitor, Err(ApiError::new(400, sentence)), "/ui/privacy"),
    };
    let saved = pages.api.send(Method::PATCH, "/api/v1/config", Some(part)).await;
    pages.finish(&visitor, saved, "Saved.", "/ui/privacy")
}

/// Returns the part of the configuration that a form changes.
///
/// # Errors
/// A message about a value that is invalid, or that was changed elsewhere since the form was rendered.
fn activity_changes(fields: &Fields, current: &Value) -> Result<Value, String> {
    let mut part = json!({});
    let shown = ShownValues::of(fields);
    for (key, field) in privacy::ACTIVITY_FIELDS {
        let (text, current) = (fields.text(field), privacy::shown_activity(current, key));
        match shown.edit(key, text, &current) {
            Edit::None => continue,
            Edit::Made => {}
            Edit::Conflicting => return Err(shown_values::conflict(key, &current)),
        }
        let value = match field {
            "days" => match text.parse::<u32>() {
                Ok(days @ 1..) => days.into(),
                _ => return Err("Enter for how many days entries are kept: a whole number, at least 1.".to_owned()),
            },
            _ => Value::from(text),
        };
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        put(&mut part, &path, value);
    }
    Ok(part)
}

/// Deletes the activity log.
pub(super) async fn purge(State(pages): Core, Extension(visitor): Who) -> Response {
    let purged: Result<ActivityPurged, ApiError> = pages.api.post("/api/v1/activity/purge", None).await;
    let sentence = |purged: ActivityPurged| format!("Deleted {}.", number(purged.removed, "entry", "entries"));
    pages.then(&visitor, purged.map(sentence), "/ui/privacy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_log_that_a_user_changed_are_saved() {
        let now = json!({"activity_bodies": "redacted", "sensitive_data": {"results": "block"}});
        let form = |text: &str| activity_changes(&Fields::parse(text), &now);
        let same = "activity_bodies=redacted&arguments=warn&results=block&days=30";
        assert_eq!(form(same).unwrap(), json!({}));
        let other = "activity_bodies=off&arguments=redact&results=warn&days=7";
        let expected = json!({
            "activity_bodies": "off", "sensitive_data": {"arguments": "redact", "results": "warn"}, "activity_retention_days": 7
        });
        assert_eq!(form(other).unwrap(), expected);
        assert!(
            form("activity_bodies=redacted&arguments=warn&results=block&days=0").unwrap_err().contains("at least 1")
        );
        // The page was opened before `activity_bodies` was changed.
        let shown = shown_values::field([("activity_bodies", "off".to_owned())]).into_string();
        let shown = shown.split_once("value=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
        let older = |bodies: &str| {
            format!("shown_values={shown}&activity_bodies={bodies}&arguments=warn&results=block&days=30")
        };
        assert_eq!(form(&older("off")).unwrap(), json!({}), "the newer value stays");
        assert!(form(&older("full")).unwrap_err().contains("`activity_bodies` was changed elsewhere"));
    }
}

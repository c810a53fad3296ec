//! The options of a server: every key of its entry besides what it runs, generated from the configuration's schema.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::config::document::{MASK, servers_as_array};
use crate::config::schema::schema;
use crate::config::setting_groups::{LOCAL_SERVER, REMOTE_SERVER, SettingGroup};
use crate::contract::exact_numbers::released;
use crate::server::page::access::Visitor;
use crate::server::page::api::{ApiError, unknown_server};
use crate::server::page::form::Fields;
use crate::server::page::gate::Submitted;
use crate::server::page::layout::{Frame, encoded, foreign, heading, message, page, token};
use crate::server::page::pages::Pages;
use crate::server::page::setting::{self, Setting};
use crate::server::page::settings_form::{self, Form};
use crate::server::page::settings_undo::Change;

type Core = State<Arc<Pages>>;
type Who = Extension<Visitor>;

pub(super) async fn show(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    match entry(&pages, &name).await {
        Ok(entry) => {
            let query = Fields::parse(request.uri().query().unwrap_or_default());
            let found = options(&entry);
            view(&pages.frame(&visitor).await, &name, &entry, &found, query.text("q"), None).into_response()
        }
        Err(error) => pages.failed(&visitor, &error).await,
    }
}

/// Saves the options, or shows them again with the reason and the user's input.
pub(super) async fn save(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    Extension(Submitted(fields)): Extension<Submitted>,
) -> Response {
    let entry = match entry(&pages, &name).await {
        Ok(entry) => entry,
        Err(error) => return pages.failed(&visitor, &error).await,
    };
    let mut found = options(&entry);
    let back = format!("/ui/servers/{}", encoded(&name));
    let saved = match setting::changes(&found, &fields) {
        Ok(changes) if changes.is_empty() => {
            return pages.then(&visitor, Ok("Nothing has changed.".to_owned()), &format!("{back}/options"));
        }
        Ok(changes) => {
            let for_all = json!(pages.app.config.current().sensitive_data);
            let part = Value::Object(part_of(&entry, changes, &for_all));
            let path = format!("/api/v1/servers/{}", encoded(&name));
            if part.to_string().contains(MASK) {
                Err("Nothing was saved: enter the whole value of a secret, not a part of it.".to_owned())
            } else {
                pages.api.send::<Value>(Method::PATCH, &path, Some(part)).await.map_err(|error| error.message)
            }
        }
        Err(sentence) => Err(sentence),
    };
    match saved {
        Ok(_) => pages.then(&visitor, Ok(format!("Saved `{name}`.")), &back),
        Err(error) => {
            setting::keep_entered(&mut found, &fields);
            let page = view(&pages.frame(&visitor).await, &name, &entry, &found, "", Some(&error));
            (StatusCode::BAD_REQUEST, page).into_response()
        }
    }
}

/// Returns the entry of a server, without secrets.
///
/// # Errors
/// The server does not exist, or the file could not be read.
async fn entry(pages: &Pages, name: &str) -> Result<Value, ApiError> {
    let failed = |error: String| ApiError::new(500, error);
    let store = pages.app.config.store().clone();
    let read = tokio::task::spawn_blocking(move || store.masked().map(|config| released(&config))).await;
    let config = read.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    let servers = config.get("mcpServers").map(servers_as_array).unwrap_or_default();
    let found = servers.into_iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
    found.map(plain).ok_or_else(|| unknown_server(name))
}

/// Returns the entry with its short forms written out.
fn plain(mut entry: Value) -> Value {
    if let Some(isolation) = entry.get_mut("isolation")
        && isolation.is_string()
    {
        *isolation = json!({"mode": isolation});
    }
    // A direction that is missing does not have the value for all servers.
    if let Some(Value::Object(policy)) = entry.get_mut("sensitive_data") {
        for direction in DIRECTIONS {
            policy.entry(direction).or_insert_with(|| "warn".into());
        }
    }
    entry
}

const DIRECTIONS: [&str; 2] = ["arguments", "results"];

fn groups(entry: &Value) -> &'static [SettingGroup] {
    let is_remote = entry.get("url").and_then(Value::as_str).is_some_and(|url| !url.is_empty());
    if is_remote { REMOTE_SERVER } else { LOCAL_SERVER }
}

/// Whether a key without a value has the one of the settings for all servers.
fn is_inherited(name: &str) -> bool {
    let key = name.split('.').next().unwrap_or(name);
    matches!(
        key,
        "isolation" | "activity_bodies" | "sensitive_data" | "max_concurrent_requests" | "queue_size" | "queue_timeout"
    )
}

/// Returns the options of a server with this entry.
fn options(entry: &Value) -> Vec<Setting> {
    let schema = schema();
    let object = schema.pointer("/definitions/ServerConfig").cloned().unwrap_or_default();
    let mut found = setting::settings_of(&schema, &object, entry, &[]);
    let shown: Vec<&str> = groups(entry).iter().flat_map(SettingGroup::keys).collect();
    found.retain(|setting| shown.contains(&setting.name.as_str()));
    for setting in found.iter_mut().filter(|setting| is_inherited(&setting.name)) {
        setting.default = Value::Null;
    }
    found
}

/// Returns the part of the entry that changes. `for_all` is `sensitive_data` of the settings for all servers.
fn part_of(entry: &Value, changes: Vec<Change>, for_all: &Value) -> Map<String, Value> {
    let mut part = Map::new();
    for (path, value) in changes {
        match path.as_slice() {
            [key, inner] => {
                let fields = part.entry(key).or_insert_with(|| json!({}));
                if let Some(fields) = fields.as_object_mut() {
                    fields.insert(inner.clone(), value);
                }
            }
            path => drop(path.first().map(|key| part.insert(key.clone(), value))),
        }
    }
    for (key, value) in &mut part {
        let Value::Object(fields) = value else { continue };
        let mut result = entry.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        result.extend(fields.clone());
        result.retain(|_, value| !value.is_null());
        match key.as_str() {
            _ if result.is_empty() => *value = Value::Null,
            // The file may have one word instead of the object.
            "isolation" => result.into_iter().for_each(|(name, value)| drop(fields.insert(name, value))),
            "sensitive_data" => {
                for direction in DIRECTIONS {
                    let chosen = result.get(direction).or_else(|| for_all.get(direction));
                    fields.insert(direction.to_owned(), chosen.cloned().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    part
}

fn view(frame: &Frame, name: &str, entry: &Value, found: &[Setting], query: &str, error: Option<&str>) -> Markup {
    let base = format!("/ui/servers/{}", encoded(name));
    let form = Form {
        groups: groups(entry),
        settings: found,
        query,
        unset: |name| if is_inherited(name) { "As for all servers" } else { "" },
    };
    let contents = html! {
        p.crumbs { a href="/ui/servers" { "Servers" } " / " a href=(base) { (foreign(name)) } }
        (heading(&format!("Options of {}", foreign(name)), "The server restarts when you save a change.", &html! {}))
        @if let Some(error) = error { div.notice.bad role="alert" { (message(error)) } }
        (settings_form::search(query))
        (settings_form::contents(&form))
        form.settings method="post" action={(base) "/options"} {
            (token(frame))
            (settings_form::fields(&form))
        }
    };
    page(frame, "/ui/servers", &format!("Options of {name}"), &contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(entry: Value, form: &str) -> Result<Value, String> {
        let entry = plain(entry);
        let changes = setting::changes(&options(&entry), &Fields::parse(form))?;
        Ok(Value::Object(part_of(&entry, changes, &json!({"arguments": "block", "results": "redact"}))))
    }

    #[test]
    fn a_local_server_has_isolation_and_a_remote_one_has_sign_in() {
        let shown = |entry: &Value| view(&Frame::default(), "a", entry, &options(entry), "", None).into_string();
        let local = shown(&json!({"name": "a", "command": "npx"}));
        assert!(local.contains("name=\"isolation.mode\"") && !local.contains("oauth."), "{local}");
        assert!(
            local.contains("As for all servers") && !local.contains("(default)</option><option value=\"block"),
            "{local}"
        );
        let remote = shown(&json!({"name": "a", "url": "https://h/"}));
        assert!(remote.contains("name=\"oauth.scopes\"") && !remote.contains("isolation."), "{remote}");
    }

    #[test]
    fn isolation_as_one_word_stays_when_another_key_changes() {
        let entry = json!({"name": "a", "command": "x", "isolation": "auto"});
        let expected = json!({"isolation": {"mode": "auto", "network": "off"}});
        assert_eq!(part(entry.clone(), "isolation.mode=auto&isolation.network=off"), Ok(expected));
        assert_eq!(part(entry, "isolation.mode="), Ok(json!({"isolation": null})));
    }

    #[test]
    fn sensitive_data_is_never_weaker_than_what_the_page_says() {
        let entry = json!({"name": "a", "command": "x"});
        let expected = json!({"sensitive_data": {"arguments": "off", "results": "redact"}});
        assert_eq!(part(entry, "sensitive_data.arguments=off&sensitive_data.results="), Ok(expected));
        // A missing direction means `warn`.
        let half = json!({"name": "a", "command": "x", "sensitive_data": {"arguments": "block"}});
        assert_eq!(plain(half.clone())["sensitive_data"]["results"], "warn");
        assert_eq!(
            part(half, "sensitive_data.arguments=&sensitive_data.results="),
            Ok(json!({"sensitive_data": null}))
        );
    }

    #[test]
    fn a_masked_secret_beside_a_change_is_not_written() {
        let entry =
            json!({"name": "a", "url": "https://h/", "oauth": {"client_id": "x", "client_secret": "•••• (9 chars)"}});
        assert_eq!(part(entry.clone(), "oauth.client_id=y"), Ok(json!({"oauth": {"client_id": "y"}})));
        let shown = "oauth.client_id=&oauth.client_secret=•••• (9 chars)";
        assert_eq!(part(entry.clone(), shown), Ok(json!({"oauth": {"client_id": null}})));
        let error = part(entry, "oauth.client_secret=•••• (9 chars)x").unwrap_err();
        assert!(error.contains("the whole value"), "{error}");
    }

    #[test]
    fn other_keys_are_set_and_removed() {
        let entry = json!({"name": "a", "command": "x", "init_timeout": "90s", "enabled_tools": ["b"]});
        let form = "init_timeout=&enabled_tools=b%0D%0Ac&expose_prompts=false&name=other&command=rm";
        let expected = json!({"enabled_tools": ["b", "c"], "expose_prompts": false, "init_timeout": null});
        assert_eq!(part(entry, form), Ok(expected), "what it runs is not an option");
    }
}

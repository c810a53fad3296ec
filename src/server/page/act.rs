//! Handles `POST` requests: performs the action of a form, then shows the result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use crate::config::new_server::NewServer;
use crate::contract::api::{
    CallRequest, ConnectRequest, ConnectResult, FixMode, FixRequest, FixResult, ImportResult, LoginStarted,
    ServerProtocol, ToolSwitch,
};
use crate::contract::review::{ApproveServer, ApproveTools, ReviewConflict};
use crate::server::page::access::Visitor;
use crate::server::page::add::{Entered, Source};
use crate::server::page::api::ApiError;
use crate::server::page::form::{Fields, words};
use crate::server::page::gate::Submitted;
use crate::server::page::layout::{encoded, number};
use crate::server::page::pages::Pages;
use crate::server::page::review::Shown;
use crate::server::page::show::{add_page, trial};
use crate::server::page::shown_values::{self, Edit, ShownValues};
use crate::server::page::tools::{Outcome, arguments, text_of};
use crate::server::page::{add, review, servers, tools};
use crate::server::rest::import::{ImportFile, ImportText};

type Core = State<Arc<Pages>>;
type Who = Extension<Visitor>;
type Sent = Extension<Submitted>;

/// Handles enable, disable, restart, sign in, sign out and remove.
pub(super) async fn act_on_server(
    State(pages): Core,
    Extension(visitor): Who,
    Path((name, action)): Path<(String, String)>,
) -> Response {
    let segment = encoded(&name);
    let back = format!("/ui/servers/{segment}");
    let done = |word: &str| format!("{word} `{name}`.");
    let plain = match action.as_str() {
        "enable" => "Enabled",
        "disable" => "Disabled",
        "restart" => "Restarting",
        "logout" => "Signed out of",
        "remove" => {
            let removed = pages.api.send(Method::DELETE, &format!("/api/v1/servers/{segment}"), None).await;
            return pages.finish(&visitor, removed, done("Removed"), "/ui/servers");
        }
        "login" => {
            let started: Result<LoginStarted, ApiError> =
                pages.api.post(&format!("/api/v1/servers/{segment}/login"), None).await;
            return match started.as_ref().ok().and_then(|started| started.auth_url.clone()) {
                // The user is looking at this browser; the core may have opened the page in it already.
                Some(_) if started.as_ref().is_ok_and(|started| started.browser_opened) => {
                    pages.then(&visitor, Ok("Continue in the page that has opened.".to_owned()), &back)
                }
                Some(url) if url.starts_with("https://") || url.starts_with("http://") => {
                    Redirect::to(&url).into_response()
                }
                _ => pages.then(&visitor, started.map(|started| started.message), &back),
            };
        }
        "inspect" => {
            let listed = pages.api.post(&format!("/api/v1/servers/{segment}/inspect"), None).await;
            let sentence = "Listed the tools. The server was stopped again.";
            return pages.finish(&visitor, listed, sentence, &format!("/ui/review/{segment}"));
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let acted = pages.api.post(&format!("/api/v1/servers/{segment}/{action}"), None).await;
    pages.finish(&visitor, acted, done(plain), &back)
}

/// Runs a fix of a server's problem, and shows its result.
pub(super) async fn fix_server(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let request = FixRequest {
        server: name.clone(),
        code: fields.text("code").to_owned(),
        fixer_key: fields.text("fixer").to_owned(),
        mode: Some(FixMode::Execute),
    };
    let fixed: Result<FixResult, ApiError> = pages.api.post("/api/v1/diagnostics/fix", Some(json!(request))).await;
    let back = format!("/ui/servers/{}", encoded(&name));
    let outcome = match fixed {
        Ok(FixResult {
            failure_msg: Some(message),
            ..
        }) => Err(ApiError::new(500, message)),
        Ok(FixResult {
            open_url: Some(url),
            browser_opened: false,
            ..
        }) if url.starts_with("https://") || url.starts_with("http://") => {
            return Redirect::to(&url).into_response();
        }
        Ok(result) => Ok(result.preview.unwrap_or_else(|| "Done.".to_owned())),
        Err(error) => Err(error),
    };
    pages.then(&visitor, outcome, &back)
}

/// Enables or disables one tool.
pub(super) async fn switch_tool(
    State(pages): Core,
    Extension(visitor): Who,
    Path((name, tool, action)): Path<(String, String, String)>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let back = match fields.text("back") {
        "tool" => format!("/ui/tools/{}/{}", encoded(&name), encoded(&tool)),
        _ => format!("/ui/servers/{}", encoded(&name)),
    };
    let path = format!("/api/v1/servers/{}/tools/{}/enabled", encoded(&name), encoded(&tool));
    let enabled = action == "enable";
    let switched = pages.api.post(&path, Some(json!(ToolSwitch { enabled }))).await;
    let word = if enabled { "Enabled" } else { "Disabled" };
    pages.finish(&visitor, switched, format!("{word} `{tool}`."), &back)
}

/// Changes a server's entry.
pub(super) async fn edit_server(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let segment = encoded(&name);
    let back = format!("/ui/servers/{segment}");
    let current = match pages.app.control.peek(&name).await {
        Ok(review) => servers::shown_entry(&review),
        Err(error) => return pages.then(&visitor, Err(ApiError::new(409, error.to_string())), &back),
    };
    let part = match edit_of(&fields, &current) {
        Ok(part) if part.is_empty() => return pages.then(&visitor, Ok("Nothing has changed.".to_owned()), &back),
        Ok(part) => part,
        Err(sentence) => return pages.then(&visitor, Err(ApiError::new(409, sentence)), &back),
    };
    let path = format!("/api/v1/servers/{segment}");
    let edited = pages.api.send(Method::PATCH, &path, Some(Value::Object(part))).await;
    pages.finish(&visitor, edited, format!("Saved `{name}`."), &back)
}

/// Returns the part of an entry that a form changes; `null` removes a key. `current` are the current values.
///
/// # Errors
/// A message about a value that was changed elsewhere since the form was rendered.
fn edit_of(fields: &Fields, current: &[(&str, String)]) -> Result<Map<String, Value>, String> {
    let mut part = Map::new();
    let shown = ShownValues::of(fields);
    for (key, current) in current.iter().filter(|(key, _)| fields.has(key)) {
        let text = fields.text(key);
        match shown.edit(key, text, current) {
            Edit::None => continue,
            Edit::Made => {}
            Edit::Conflicting => return Err(shown_values::conflict(key, current)),
        }
        let lines = text.lines().map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty());
        let value = match *key {
            "args" => lines.collect(),
            _ if text.is_empty() => Value::Null,
            _ => text.into(),
        };
        part.insert((*key).to_owned(), value);
    }
    let is_map = |kind: &str| matches!(kind, "env" | "headers");
    if is_map(fields.text("set")) && !fields.text("name").is_empty() {
        part.insert(fields.text("set").to_owned(), json!({fields.text("name"): fields.text("value")}));
    }
    for (kind, name) in fields.starting("unset.").filter(|(kind, _)| is_map(kind)) {
        part.insert(kind.to_owned(), json!({name: null}));
    }
    Ok(part)
}

/// Adds a server.
pub(super) async fn add_server(
    State(pages): Core,
    Extension(visitor): Who,
    Path(kind): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let entry = match kind.as_str() {
        "local" => local_entry(&fields),
        _ => remote_entry(&fields),
    };
    let added: Result<Value, ApiError> = match entry {
        Ok(entry) => pages.api.post("/api/v1/servers", Some(entry)).await,
        Err(message) => Err(ApiError::new(400, message)),
    };
    match added {
        Ok(_) => Redirect::to(&format!("/ui/review/{}", encoded(fields.text("name")))).into_response(),
        Err(error) => {
            let entered = Entered {
                name: fields.text("name").to_owned(),
                command: fields.text("command").to_owned(),
                url: fields.text("url").to_owned(),
                error: Some(error.message),
                pasted: String::new(),
            };
            add_page(&pages, &visitor, StatusCode::BAD_REQUEST, entered).await
        }
    }
}

fn local_entry(fields: &Fields) -> Result<Value, String> {
    let mut words = words(fields.text("command"))?.into_iter();
    let command = words.next().ok_or("The command is empty.")?;
    let server = NewServer {
        name: fields.text("name").to_owned(),
        protocol: ServerProtocol::Stdio,
        command: Some(command),
        args: Some(words.collect()),
        env: pairs(fields.text("env"), '=')?,
        ..NewServer::default()
    };
    Ok(json!(server))
}

fn remote_entry(fields: &Fields) -> Result<Value, String> {
    let url = fields.text("url");
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!("`{url}` is not a URL that starts with https:// or http://"));
    }
    let server = NewServer {
        name: fields.text("name").to_owned(),
        protocol: ServerProtocol::StreamableHttp,
        url: Some(url.to_owned()),
        headers: pairs(fields.text("headers"), ':')?,
        ..NewServer::default()
    };
    Ok(json!(server))
}

/// Reads lines such as `NAME=VALUE`.
fn pairs(text: &str, separator: char) -> Result<Map<String, Value>, String> {
    let mut pairs = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(separator).ok_or_else(|| format!("`{line}` has no `{separator}`"))?;
        pairs.insert(name.trim().to_owned(), value.trim().into());
    }
    Ok(pairs)
}

/// Previews an import, or imports.
pub(super) async fn import(
    State(pages): Core,
    Extension(visitor): Who,
    Path(kind): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let source = match kind.as_str() {
        "path" => Source::Path {
            path: fields.text("path").to_owned(),
            format: fields.text("format").to_owned(),
        },
        _ => Source::Text {
            content: fields.text("content").to_owned(),
        },
    };
    let go = fields.has("go");
    let server_names: Vec<String> = fields.all("server").filter(|_| go).map(str::to_owned).collect();
    if go && server_names.is_empty() {
        return Redirect::to("/ui/add").into_response();
    }
    let (path, body) = match source.clone() {
        Source::Path { path, format } => {
            let file = ImportFile {
                path,
                format: Some(format),
                server_names,
                ..ImportFile::default()
            };
            ("/api/v1/servers/import/path", json!(file))
        }
        Source::Text { content } => {
            let text = ImportText {
                content,
                server_names,
                ..ImportText::default()
            };
            ("/api/v1/servers/import/json", json!(text))
        }
    };
    let imported: Result<ImportResult, ApiError> = pages.api.post(&format!("{path}?preview={}", !go), Some(body)).await;
    match imported {
        Ok(result) if go => {
            let count = result.imported.len();
            let sentence = format!("Imported {}.", number(count, "server", "servers"));
            pages.then(&visitor, Ok(sentence), "/ui/review")
        }
        Ok(result) => add::preview(&pages.frame(&visitor).await, &result, &source).into_response(),
        Err(error) => {
            let pasted = match source {
                Source::Text { content } => content,
                Source::Path { .. } => String::new(),
            };
            let entered = Entered {
                error: Some(error.message),
                pasted,
                ..Entered::default()
            };
            add_page(&pages, &visitor, StatusCode::BAD_REQUEST, entered).await
        }
    }
}

/// Approves a server as shown.
pub(super) async fn approve_server(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let segment = encoded(&name);
    let request = ApproveServer {
        fingerprint: Some(fields.text("fingerprint").to_owned()),
        confirmed: fields.all("confirmed").map(str::to_owned).collect(),
        tools: Some(shown_tools(&fields)).filter(|inspected| !inspected.is_empty()),
    };
    let approved = pages.api.post(&format!("/api/v1/servers/{segment}/approve"), Some(json!(request))).await;
    match approved {
        Err(error) if error.status == 409 => conflict(&pages, &visitor, &name, offset_of(&fields), error).await,
        other => {
            let sentence = format!("Approved `{name}`. Its tools appear here when it has started.");
            pages.finish(&visitor, other, sentence, &format!("/ui/review/{segment}"))
        }
    }
}

/// Returns the fingerprint of each tool in a form.
fn shown_tools(fields: &Fields) -> BTreeMap<String, String> {
    fields.starting("tool.").map(|(name, fingerprint)| (name.to_owned(), fingerprint.to_owned())).collect()
}

/// Returns the place of the page of a review that a form was on.
fn offset_of(fields: &Fields) -> usize {
    fields.text("offset").parse().unwrap_or_default()
}

/// Shows the review again, with the changes since it was shown.
async fn conflict(pages: &Pages, visitor: &Visitor, name: &str, offset: usize, error: ApiError) -> Response {
    let conflict: ReviewConflict = serde_json::from_value(error.data).unwrap_or_default();
    // From here on, the current version counts as shown.
    let path = format!("/api/v1/servers/{}/review", encoded(name));
    let current = pages.api.get(&path).await.unwrap_or(conflict.review);
    let shown = Shown {
        review: current,
        changes: conflict.changes,
        is_conflict: true,
        reason: error.message,
        offset,
    };
    (StatusCode::CONFLICT, review::details(&pages.frame(visitor).await, &shown)).into_response()
}

/// Approves the selected tools as shown.
pub(super) async fn approve_tools(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let segment = encoded(&name);
    // The entries after the approved ones move up to this place.
    let offset = offset_of(&fields);
    let back = match offset {
        0 => format!("/ui/review/{segment}"),
        _ => format!("/ui/review/{segment}?offset={offset}"),
    };
    let fingerprints = shown_tools(&fields);
    if fingerprints.is_empty() {
        let error = ApiError::new(400, "Nothing was approved: select what you want to approve.");
        return pages.then(&visitor, Err(error), &back);
    }
    let sentence = approved(fingerprints.keys().map(String::as_str));
    let path = format!("/api/v1/servers/{segment}/tools/approve");
    let request = ApproveTools {
        fingerprints: Some(fingerprints),
        ..ApproveTools::default()
    };
    let approved = pages.api.post(&path, Some(json!(request))).await;
    match approved {
        Err(error) if error.status == 409 => conflict(&pages, &visitor, &name, offset, error).await,
        other => pages.finish(&visitor, other, sentence, &back),
    }
}

/// Returns the message about approved tools, prompts and resource templates.
fn approved<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let (offers, tools): (Vec<&str>, Vec<&str>) =
        names.partition(|name| name.starts_with("prompt:") || name.starts_with("template:"));
    let tools = (!tools.is_empty()).then(|| number(tools.len(), "tool", "tools"));
    let offers = (!offers.is_empty()).then(|| number(offers.len(), "prompt or resource", "prompts and resources"));
    let parts: Vec<String> = tools.into_iter().chain(offers).collect();
    format!("Approved {}.", parts.join(" and "))
}

/// Calls a tool with the arguments of a form.
pub(super) async fn try_tool(
    State(pages): Core,
    Extension(visitor): Who,
    Path((server, name)): Path<(String, String)>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let mut trial = match trial(&pages, &server, &name).await {
        Ok(trial) => trial,
        Err(error) => return pages.failed(&visitor, &error).await,
    };
    let since = Instant::now();
    let (is_error, text) = match arguments(&trial.tool.schema, &fields) {
        Err(sentence) => (true, sentence),
        Ok(given) => {
            trial.entered.clone_from(&given);
            let id = format!("{server}:{name}");
            let call = CallRequest {
                tool_name: trial.call_with.into(),
                arguments: Map::from_iter([("name".to_owned(), id.into()), ("args".to_owned(), given.into())]),
            };
            match pages.api.post::<Value>("/api/v1/tools/call", Some(json!(call))).await {
                Ok(result) => (result.get("isError") == Some(&Value::Bool(true)), text_of(&result)),
                Err(error) => (true, error.message),
            }
        }
    };
    trial.outcome = Some(Outcome {
        is_error,
        text,
        milliseconds: since.elapsed().as_millis(),
    });
    tools::details(&pages.frame(&visitor).await, &trial).into_response()
}

/// Connects or disconnects an AI client, or undoes that change.
pub(super) async fn act_on_client(
    State(pages): Core,
    Extension(visitor): Who,
    Path((id, action)): Path<(String, String)>,
    Extension(Submitted(fields)): Sent,
) -> Response {
    let path = format!("/api/v1/connect/{}", encoded(&id));
    let token = Some(fields.text("precondition_token")).filter(|token| !token.is_empty());
    let plain = || Some(json!(ConnectRequest::default()));
    let changed: Result<ConnectResult, ApiError> = match action.as_str() {
        "connect" => {
            let request = ConnectRequest {
                precondition_token: token.map(str::to_owned),
                profile: Some(fields.text("profile")).filter(|name| !name.is_empty()).map(str::to_owned),
                force: fields.has("force"),
                ..ConnectRequest::default()
            };
            pages.api.post(&path, Some(json!(request))).await
        }
        "disconnect" => pages.api.send(Method::DELETE, &path, plain()).await,
        "undo" => pages.api.post(&format!("{path}/undo"), plain()).await,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    pages.then(&visitor, changed.map(|result| result.message), "/ui/clients")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::review::Review;

    #[test]
    fn a_form_becomes_the_part_of_the_entry_that_it_changes() {
        let review = Review {
            command: Some("uvx".to_owned()),
            args: vec!["a".to_owned()],
            working_dir: Some("/w".to_owned()),
            ..Review::default()
        };
        let current = servers::shown_entry(&review);
        let edit = |form: &str| edit_of(&Fields::parse(form), &current).map(Value::Object);
        let part = |form: &str| edit(form).unwrap();
        assert_eq!(
            part("command=npx&args=-y%0D%0Aa+b%0D%0A&working_dir="),
            json!({"command": "npx", "args": ["-y", "a b"], "working_dir": null})
        );
        assert_eq!(part("command=npx&args=a&working_dir=/w"), json!({"command": "npx"}));
        let earlier = Review {
            args: vec!["earlier".to_owned()],
            ..review
        };
        let shown = shown_values::field(servers::shown_entry(&earlier)).into_string();
        let (_, shown) = shown.split_once("value=\"").unwrap();
        let shown = shown.split_once('"').unwrap().0;
        let form = |fields: &str| format!("shown_values={shown}&{fields}");
        assert_eq!(part(&form("command=npx&args=earlier&working_dir=/w")), json!({"command": "npx"}));
        let error = edit(&form("command=uvx&args=mine&working_dir=/w")).unwrap_err();
        assert!(error.contains("`args` was changed elsewhere"), "{error}");
        assert_eq!(part("set=env&name=A&value=1"), json!({"env": {"A": "1"}}));
        assert_eq!(part("unset.headers=X-Key"), json!({"headers": {"X-Key": null}}));
        assert_eq!(part("set=quarantined&name=A&unset.name=x"), json!({}), "nothing else can be set so");
    }

    #[test]
    fn an_approval_is_reported_by_what_it_contains() {
        assert_eq!(approved(["a"].into_iter()), "Approved 1 tool.");
        assert_eq!(approved(["a", "b", "prompt:x"].into_iter()), "Approved 2 tools and 1 prompt or resource.");
        assert_eq!(approved(["prompt:x", "template:y"].into_iter()), "Approved 2 prompts and resources.");
    }

    #[test]
    fn a_new_server_is_read_from_its_form() {
        let local = local_entry(&Fields::parse("name=a&command=npx+-y+%27x+y%27&env=K%3Dv%3Dw%0AL%3D")).unwrap();
        assert_eq!(local["args"], json!(["-y", "x y"]));
        assert_eq!(local["env"], json!({"K": "v=w", "L": ""}));
        assert!(local_entry(&Fields::parse("name=a&command=")).is_err());
        let remote = remote_entry(&Fields::parse("name=a&url=https%3A%2F%2Fh%2Fmcp&headers=X%3A+1")).unwrap();
        assert_eq!(remote["headers"], json!({"X": "1"}));
        assert!(remote_entry(&Fields::parse("name=a&url=javascript%3Ax")).is_err());
    }
}

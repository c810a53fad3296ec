//! `/api/v1/servers/import`: adds servers from other programs' configurations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::ai_clients::edit;
use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::plan::Selection;
use crate::ai_clients::import::read::{Source, read};
use crate::ai_clients::import::{files, plan, report};
use crate::ai_clients::known_clients;
use crate::contract::failure::FailureKind;
use crate::control::servers::Origin;
use crate::server::rest::response::{failed, ok};
use crate::server::rest::servers::origin;
use crate::server::state::App;

/// The query of an import.
#[derive(Debug, Default, Deserialize)]
pub struct ImportQuery {
    /// Only report what would be imported.
    #[serde(default)]
    preview: bool,
    format: Option<String>,
    /// Names, separated by commas.
    server_names: Option<String>,
}

/// The body of an import of text.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
pub struct ImportText {
    /// A configuration in JSON, TOML or YAML.
    pub content: String,
    /// ID of the client that wrote it; detected if absent.
    #[serde(default)]
    pub format: Option<String>,
    /// Import only these servers.
    #[serde(default)]
    pub server_names: Vec<String>,
    /// New names by original name.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
}

/// The body of an import of a file.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
pub struct ImportFile {
    /// Path of the file on this computer.
    pub path: String,
    /// ID of the client that wrote it; detected if absent.
    #[serde(default)]
    pub format: Option<String>,
    /// Import only these servers.
    #[serde(default)]
    pub server_names: Vec<String>,
    /// New names by original name.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
}

/// Returns where the AI clients of this computer keep their configurations.
pub async fn paths() -> Response {
    let found = tokio::task::spawn_blocking(|| edit::homes().map(|homes| report::paths(&homes))).await;
    match found {
        Ok(Some(paths)) => ok(paths),
        _ => failed(FailureKind::Unavailable, "could not find the home directory of this user"),
    }
}

/// Imports an uploaded file: raw text, or a form with the field `file`.
pub async fn upload(
    State(app): State<Arc<App>>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content = match content_type.split_once("boundary=") {
        Some((kind, boundary)) if kind.starts_with("multipart/form-data") => {
            form_file(&body, boundary.trim().trim_matches('"'))
        }
        _ => Some(body.as_ref()),
    };
    let Some(content) = content.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return failed(FailureKind::Invalid, "expected a form with a text file in the field `file`");
    };
    let names = query.server_names.as_deref().unwrap_or_default().split(',').map(str::trim);
    let selection = Selection {
        only: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        rename: BTreeMap::new(),
    };
    text(&app, content, query.format.as_deref(), selection, origin_unless(&headers, query.preview)).await
}

/// Imports text.
pub async fn json(
    State(app): State<Arc<App>>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Result<Json<ImportText>, JsonRejection>,
) -> Response {
    let Ok(Json(body)) = body else {
        return failed(FailureKind::Invalid, "expected a JSON object with `content`");
    };
    let selection = Selection {
        only: body.server_names,
        rename: body.rename,
    };
    text(&app, &body.content, body.format.as_deref(), selection, origin_unless(&headers, query.preview)).await
}

/// Imports a file on this computer.
pub async fn path(
    State(app): State<Arc<App>>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Result<Json<ImportFile>, JsonRejection>,
) -> Response {
    let Ok(Json(body)) = body else {
        return failed(FailureKind::Invalid, "expected a JSON object with `path`");
    };
    if let Some(response) = unknown_format(body.format.as_deref()) {
        return response;
    }
    let selection = Selection {
        only: body.server_names,
        rename: body.rename,
    };
    let path = match body.path.strip_prefix("~/").zip(edit::homes()) {
        Some((below, homes)) => homes.home.join(below),
        None => PathBuf::from(&body.path),
    };
    let (format, file) = (body.format, path.clone());
    let read = tokio::task::spawn_blocking(move || match std::fs::metadata(&file) {
        Ok(_) => files::of_file(&file, format.as_deref()).map_err(|error| (FailureKind::Invalid, error)),
        Err(error) => Err((FailureKind::NotFound, format!("could not read `{}`: {error}", file.display()))),
    });
    match read.await {
        Ok(Ok(source)) => {
            finish(&app, source, selection, files::workspace(&path), origin_unless(&headers, query.preview)).await
        }
        Ok(Err((status, error))) => failed(status, error),
        Err(error) => failed(FailureKind::Internal, error.to_string()),
    }
}

/// Returns the origin of an import; `None` for a preview.
fn origin_unless(headers: &HeaderMap, preview: bool) -> Option<Origin> {
    (!preview).then(|| origin(headers))
}

async fn text(
    app: &App,
    content: &str,
    format: Option<&str>,
    selection: Selection,
    origin: Option<Origin>,
) -> Response {
    if let Some(response) = unknown_format(format) {
        return response;
    }
    match read(content, format, None, "the request") {
        Ok(source) => finish(app, source, selection, None, origin).await,
        Err(error) => {
            let place = error.at.map(|(line, column)| format!(" line {line}, column {column}:")).unwrap_or_default();
            failed(FailureKind::Invalid, format!("could not read the configuration:{place} it {}", error.problem))
        }
    }
}

fn unknown_format(format: Option<&str>) -> Option<Response> {
    let unknown = format.filter(|format| !format.is_empty() && known_clients::client(format).is_none())?;
    let ids: Vec<&str> = known_clients::CLIENTS.iter().map(|client| client.id).collect();
    let message = format!("unknown format `{unknown}`; use one of {}", ids.join(", "));
    Some(failed(FailureKind::Invalid, message))
}

/// Plans the import. Adds the servers unless it is a preview.
async fn finish(
    app: &App,
    source: Source,
    selection: Selection,
    workspace: Option<&std::path::Path>,
    origin: Option<Origin>,
) -> Response {
    let proxy = Proxy::new(&app.listen_addr, false, None, edit::bridge(&app.root));
    let store = app.config.store().clone();
    let workspace = workspace.map(std::path::Path::to_path_buf);
    let planned = tokio::task::spawn_blocking(move || {
        let existing = store.document().map_err(|error| error.to_string())?.entries();
        let sources = [source];
        let plan = plan::with_environment(&sources, &existing, &selection, &proxy, workspace.as_deref());
        Ok::<_, String>((report::result(&plan, &sources), plan))
    });
    let (result, plan) = match planned.await {
        Ok(Ok(planned)) => planned,
        Ok(Err(error)) => return failed(FailureKind::Internal, error),
        Err(error) => return failed(FailureKind::Internal, error.to_string()),
    };
    let Some(origin) = origin.filter(|_| !plan.imported.is_empty()) else {
        return ok(result);
    };
    let entries = plan.imported.into_iter().map(|one| (one.name, one.entry)).collect();
    match app.control.add_all(entries, &origin).await {
        Ok(()) => ok(result),
        Err(error) => failed(FailureKind::Internal, error.to_string()),
    }
}

/// Returns the content of a form's field `file`.
fn form_file<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let text = std::str::from_utf8(body).ok()?;
    let delimiter = format!("--{boundary}");
    let file = text.split(delimiter.as_str()).find_map(|part| {
        let (head, content) = part.split_once("\r\n\r\n")?;
        head.contains("name=\"file\"").then(|| content.strip_suffix("\r\n").unwrap_or(content))
    });
    file.map(str::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_form_is_found() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
                    Content-Disposition: form-data; name=\"file\"; filename=\"mcp.json\"\r\n\r\n{\r\n\r\n}\r\n--x--\r\n";
        assert_eq!(form_file(body.as_bytes(), "x"), Some(&b"{\r\n\r\n}"[..]));
        assert_eq!(form_file(b"--x--", "x"), None);
        assert_eq!(form_file(b"\xff", "x"), None);
    }
}

//! The REST interface as an OpenAPI document. Its schemas are generated from the types in use.

use axum::Json;
use axum::response::{IntoResponse, Response};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use crate::contract::api::{
    ACTIVITY_EVENTS, ActiveProfile, ActivityList, ActivityPurged, ActivityRecord, ActivitySummary, ActivityUsage,
    AiClient, AllTools, Approved, BulkResult, CallRequest, ConfigApplied, ConfigCheck, ConnectPreview, ConnectRequest,
    ConnectResult, DiagnosticCodes, Diagnostics, EVENT_PING, EVENT_SERVERS_CHANGED, EVENT_STATUS, Envelope, EventBody,
    FixRequest, FixResult, FoundTools, ImportPaths, ImportResult, Info, LoginStarted, OneActivity, OneSession, Ping,
    ProfileChoice, ProfileList, ProfileServers, Ready, Routing, SecretList, ServerAction, ServerDiagnostics,
    ServerLogs, ServerToolCalls, ServerTools, Servers, ServersChanged, SessionList, Setup, SetupProof, ShownConfig,
    Status, Stopping, Takeover, TakeoverRequest, TokenStats, ToolSwitch, UiTicket,
};
use crate::contract::registry::{
    AddFromRegistry, AddRegistry, AddedFromRegistry, ChangedRegistry, RegistryList, RegistryServer, RegistryServers,
};
use crate::contract::scan::ScanReport;

use crate::contract::review::{ApproveServer, ApproveTools, Review};
use crate::server::rest::import::{ImportFile, ImportText};

type Of = fn(&mut SchemaGenerator) -> Schema;

/// Query parameters of requests for activity.
const ACTIVITY_FILTERS: &[&str] = &[
    "type",
    "server",
    "tool",
    "status",
    "client",
    "session_id",
    "sensitive_data",
    "start_time",
    "end_time",
    "q",
    "before",
    "exclude_payloads",
    "exclude_total",
    "limit",
    "offset",
    "format",
];

/// One operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    body: Option<Of>,
    data: Of,
}

fn data<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Envelope<T>>()
}

fn bare<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A schema for data without a type of its own.
fn object(generator: &mut SchemaGenerator) -> Schema {
    data::<Map<String, Value>>(generator)
}

fn any_object(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// Describes the stream as an array of its events, because this version of OpenAPI cannot describe a stream.
fn events(generator: &mut SchemaGenerator) -> Schema {
    let mut kinds = vec![
        (EVENT_STATUS, bare::<Status>(generator)),
        (EVENT_SERVERS_CHANGED, bare::<EventBody<ServersChanged>>(generator)),
        (EVENT_PING, bare::<Ping>(generator)),
    ];
    kinds.extend(ACTIVITY_EVENTS.map(|name| (name, bare::<EventBody<ActivityRecord>>(generator))));
    let kinds: Vec<Schema> = kinds
        .into_iter()
        .map(|(name, data)| {
            json_schema!({"type": "object", "required": ["event", "data"], "properties": {
            "event": {"const": name}, "id": {"type": "string"}, "retry": {"type": "integer"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data}}})
        })
        .collect();
    json_schema!({"type": "array", "items": {"oneOf": kinds}})
}

fn approve(generator: &mut SchemaGenerator) -> Schema {
    bare::<ApproveTools>(generator)
}

fn approve_server(generator: &mut SchemaGenerator) -> Schema {
    bare::<ApproveServer>(generator)
}

const fn get(path: &'static str, summary: &'static str, data: Of) -> Operation {
    Operation {
        method: "get",
        path,
        summary,
        query: &[],
        body: None,
        data,
    }
}

const fn post(path: &'static str, summary: &'static str, body: Option<Of>, data: Of) -> Operation {
    Operation {
        method: "post",
        path,
        summary,
        query: &[],
        body,
        data,
    }
}

const fn asking(operation: Operation, query: &'static [&'static str]) -> Operation {
    Operation { query, ..operation }
}

const fn by(method: &'static str, operation: Operation) -> Operation {
    Operation { method, ..operation }
}

const OPERATIONS: &[Operation] = &[
    get("/ready", "Whether the core is ready; 503 if it is not", bare::<Ready>),
    get("/api/v1/status", "The state of the core and its servers", data::<Status>),
    asking(get("/api/v1/info", "Version and URLs", data::<Info>), &["refresh"]),
    get("/api/v1/servers", "All servers", data::<Servers>),
    post("/api/v1/servers", "Adds a server: an entry as in `mcpServers`", Some(any_object), data::<ServerAction>),
    by("delete", get("/api/v1/servers/{name}", "Removes a server", data::<ServerAction>)),
    by(
        "patch",
        post("/api/v1/servers/{name}", "Changes keys of a server's entry", Some(any_object), data::<ServerAction>),
    ),
    get("/api/v1/servers/{name}/review", "The review to show before approving a server or its tools", data::<Review>),
    get("/api/v1/servers/{name}/tools", "A server's tools, with their approvals", data::<ServerTools>),
    post(
        "/api/v1/servers/{name}/tools/approve",
        "Approves tools as the user saw them",
        Some(approve),
        data::<Approved>,
    ),
    post(
        "/api/v1/servers/{name}/tools/{tool}/enabled",
        "Enables or disables one tool in the server's entry",
        Some(bare::<ToolSwitch>),
        data::<ServerAction>,
    ),
    asking(
        get("/api/v1/servers/{name}/logs", "The last lines of a server's standard error", data::<ServerLogs>),
        &["tail"],
    ),
    post("/api/v1/servers/{name}/login", "Begins a sign-in", None, data::<LoginStarted>),
    post(
        "/api/v1/servers/{name}/{action}",
        "enable, disable, restart, quarantine, unquarantine, approve, inspect or logout; an approval carries the review's fingerprint",
        Some(approve_server),
        data::<ServerAction>,
    ),
    asking(
        get("/api/v1/servers/{name}/tool-calls", "The latest calls of a server's tools", data::<ServerToolCalls>),
        &["limit"],
    ),
    post("/api/v1/servers/enable_all", "Enables every server", None, data::<BulkResult>),
    post("/api/v1/servers/disable_all", "Disables every server", None, data::<BulkResult>),
    post("/api/v1/servers/restart_all", "Restarts every server that may run", None, data::<BulkResult>),
    get("/api/v1/servers/import/paths", "The configuration files of AI clients", data::<ImportPaths>),
    asking(
        post("/api/v1/servers/import", "Imports an uploaded configuration", Some(any_object), data::<ImportResult>),
        &["preview", "format", "server_names"],
    ),
    asking(
        post(
            "/api/v1/servers/import/json",
            "Imports a configuration as text",
            Some(bare::<ImportText>),
            data::<ImportResult>,
        ),
        &["preview"],
    ),
    asking(
        post(
            "/api/v1/servers/import/path",
            "Imports a configuration file on this computer",
            Some(bare::<ImportFile>),
            data::<ImportResult>,
        ),
        &["preview"],
    ),
    asking(get("/api/v1/activity", "The activity log, newest first", data::<ActivityList>), ACTIVITY_FILTERS),
    asking(get("/api/v1/activity/summary", "Tool calls in numbers", data::<ActivitySummary>), ACTIVITY_FILTERS),
    asking(
        get("/api/v1/activity/usage", "Tool calls by tool and over time", data::<ActivityUsage>),
        &["window", "top"],
    ),
    asking(get("/api/v1/activity/export", "The activity log as JSON lines or CSV", any_object), ACTIVITY_FILTERS),
    post("/api/v1/activity/purge", "Deletes the activity log", None, data::<ActivityPurged>),
    get("/api/v1/activity/{id}", "One record", data::<OneActivity>),
    asking(get("/api/v1/scan", "Findings in tools that may be attacks", data::<ScanReport>), &["server"]),
    get("/api/v1/tools", "The tools of all servers", data::<AllTools>),
    post("/api/v1/tools/call", "Calls a tool; the data is the MCP result", Some(bare::<CallRequest>), object),
    asking(get("/api/v1/index/search", "Finds tools by words", data::<FoundTools>), &["q", "limit", "explain"]),
    get("/api/v1/diagnostics", "Problems that need the user's attention", data::<Diagnostics>),
    get("/api/v1/doctor", "The same data as `/api/v1/diagnostics` returns", data::<Diagnostics>),
    get(
        "/api/v1/diagnostics/codes",
        "Every error code with its page, as the field `codes` of the data",
        data::<DiagnosticCodes>,
    ),
    post("/api/v1/diagnostics/fix", "Runs or previews a fix", Some(bare::<FixRequest>), data::<FixResult>),
    get("/api/v1/servers/{name}/diagnostics", "What is wrong with one server", data::<ServerDiagnostics>),
    get("/api/v1/config", "The configuration, without secrets", data::<ShownConfig>),
    by("patch", post("/api/v1/config", "Changes keys of the configuration", Some(any_object), data::<ConfigApplied>)),
    post(
        "/api/v1/config/validate",
        "Checks a configuration and changes nothing",
        Some(any_object),
        data::<ConfigCheck>,
    ),
    post(
        "/api/v1/config/apply",
        "Replaces the settings that the body names; masked secrets stay as they are",
        Some(any_object),
        data::<ConfigApplied>,
    ),
    asking(get("/api/v1/sessions", "The sessions of AI clients", data::<SessionList>), &["status", "limit", "offset"]),
    get("/api/v1/sessions/{id}", "One session, as the field `session` of the data", data::<OneSession>),
    get("/api/v1/stats/tokens", "Tokens that the search saves a client", data::<TokenStats>),
    get(
        "/api/v1/secrets",
        "The names of the secrets and variables to which servers refer, never values",
        data::<SecretList>,
    ),
    get("/api/v1/secrets/config", "The same data as `/api/v1/secrets` returns", data::<SecretList>),
    get("/api/v1/connect", "The AI clients", data::<Vec<AiClient>>),
    get("/api/v1/setup", "What is still to be set up", data::<Setup>),
    post("/api/v1/setup/proof", "Make a call over the entry of each connected AI client", None, data::<SetupProof>),
    get("/api/v1/connect/{client}", "One AI client", data::<AiClient>),
    asking(
        get(
            "/api/v1/connect/{client}/preview",
            "The change that connecting the client would make",
            data::<ConnectPreview>,
        ),
        &["server_name", "profile"],
    ),
    post(
        "/api/v1/connect/{client}",
        "Adds this proxy to the client's configuration",
        Some(bare::<ConnectRequest>),
        data::<ConnectResult>,
    ),
    by(
        "delete",
        post(
            "/api/v1/connect/{client}",
            "Removes this proxy from the client's configuration",
            Some(bare::<ConnectRequest>),
            data::<ConnectResult>,
        ),
    ),
    post(
        "/api/v1/connect/{client}/undo",
        "Restores the client's previous configuration file",
        Some(bare::<ConnectRequest>),
        data::<ConnectResult>,
    ),
    get("/api/v1/telemetry/payload", "The next usage report", object),
    get("/api/v1/profiles", "The profiles, each with its servers", data::<ProfileList>),
    by(
        "put",
        post(
            "/api/v1/profiles/{name}",
            "Adds a profile or replaces its servers",
            Some(bare::<ProfileServers>),
            data::<ProfileList>,
        ),
    ),
    by("delete", post("/api/v1/profiles/{name}", "Removes a profile", None, data::<ProfileList>)),
    get("/api/v1/profiles/active", "The default profile", data::<ActiveProfile>),
    by(
        "put",
        post("/api/v1/profiles/active", "Sets the default profile", Some(bare::<ProfileChoice>), data::<ActiveProfile>),
    ),
    get("/api/v1/routing", "The routing mode and the endpoints", data::<Routing>),
    get("/api/v1/registries", "The registries to search; none is contacted", data::<RegistryList>),
    post("/api/v1/registries", "Adds a registry", Some(bare::<AddRegistry>), data::<ChangedRegistry>),
    by("delete", get("/api/v1/registries/{id}", "Removes a registry", data::<ChangedRegistry>)),
    asking(
        get("/api/v1/registries/{id}/servers", "Searches a registry, or `all`", data::<RegistryServers>),
        &["search", "q", "tag", "limit"],
    ),
    get("/api/v1/registries/{id}/servers/{server}", "One server of a registry", data::<RegistryServer>),
    post(
        "/api/v1/registries/{id}/servers/{server}/add",
        "Adds a server from a registry; it needs approval like any other",
        Some(bare::<AddFromRegistry>),
        data::<AddedFromRegistry>,
    ),
    get("/api/v1/takeover", "The result of taking over the Go core's data directory", data::<Takeover>),
    post(
        "/api/v1/takeover",
        "Marks the report as shown, or tries again",
        Some(bare::<TakeoverRequest>),
        data::<Takeover>,
    ),
    get("/api/v1/telemetry/received", "The data that the collector stores about this installation", object),
    post("/api/v1/telemetry/forget", "Deletes the collector's data about this installation", None, object),
    get("/api/v1/openapi.json", "This document", any_object),
    get(
        "/events",
        "Server-sent events: `status`, `servers.changed`, `ping`, each with the whole state; `Last-Event-ID` resumes",
        events,
    ),
    post(
        "/api/v1/ui/ticket",
        "A link that opens the web UI once, within 30 s; only over the local socket",
        None,
        data::<UiTicket>,
    ),
    post("/api/v1/shutdown", "Stops the core; only over the local socket", None, data::<Stopping>),
];

/// `GET /api/v1/openapi.json`
pub async fn document() -> Response {
    Json(whole()).into_response()
}

/// Returns the document as a value.
pub fn whole() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    let failure = data::<()>(&mut generator);
    for operation in OPERATIONS {
        let described = describe(operation, &failure, &mut generator);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.to_owned(), described);
        }
    }
    let key = json!({"type": "apiKey", "in": "header", "name": "X-API-Key"});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "MCPProxy", "version": env!("CARGO_PKG_VERSION"),
            "description": "TCP requests need the configured API key. Requests of the same user over the local socket do not."},
        "paths": paths,
        "components": {"schemas": generator.take_definitions(true), "securitySchemes": {"key": key}},
        "security": [{"key": []}],
    })
}

fn describe(operation: &Operation, failure: &Schema, generator: &mut SchemaGenerator) -> Value {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let asked = operation.query.iter().map(|name| json!({"name": name, "in": "query", "schema": {}}));
    let parameters: Vec<Value> = in_path.chain(asked).collect();
    let kind = if operation.path == "/events" { "text/event-stream" } else { "application/json" };
    let answer = json!({"description": "success", "content": {kind: {"schema": (operation.data)(generator)}}});
    let failure =
        json!({"description": "an error message for the user", "content": {"application/json": {"schema": failure}}});
    let mut described = json!({"summary": operation.summary, "parameters": parameters,
        "responses": {"2XX": answer, "default": failure}});
    if let (Some(body), Some(described)) = (operation.body, described.as_object_mut()) {
        described
            .insert("requestBody".to_owned(), json!({"content": {"application/json": {"schema": body(generator)}}}));
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the method and path of every route in the router's source code.
    fn routes() -> Vec<(String, String)> {
        let text = include_str!("mod.rs");
        let mut found = Vec::new();
        for route in text.split(".route(").skip(1) {
            let mut quoted = route.split('"');
            let path = quoted.nth(1).unwrap();
            let handlers = quoted.next().unwrap().split("\n").next().unwrap();
            for method in ["get", "post", "put", "patch", "delete"] {
                if handlers.contains(&format!("{method}(")) {
                    found.push((method.to_owned(), path.to_owned()));
                }
            }
        }
        found
    }

    #[test]
    fn it_names_every_route_and_no_other() {
        // Aliases of the health checks.
        let aliases = ["/readyz", "/livez", "/healthz", "/health"];
        let mut routes = routes();
        routes.retain(|(_, path)| !aliases.contains(&path.as_str()));
        let mut named: Vec<(String, String)> =
            OPERATIONS.iter().map(|one| (one.method.to_owned(), one.path.to_owned())).collect();
        routes.sort();
        named.sort();
        assert_eq!(named, routes);
        assert!(named.len() > 25);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = whole();
        let text = document.to_string();
        let mut references = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            references += 1;
        }
        assert!(references > 20);
    }
}

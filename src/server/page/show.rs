//! Handles `GET` requests: fetches the data of a page, and renders it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use serde_json::Value;

use crate::config::references::{self, Kind};
use crate::config::schema::schema;
use crate::contract::api::{
    ActiveProfile, ActivityList, AiClient, ConnectPreview, FoundTools, ImportPaths, OneActivity, ProfileList,
    ServerTools, SessionList, TokenSavings,
};
use crate::contract::platform::Platform;
use crate::contract::review::Review;
use crate::contract::words::AccessState;
use crate::server::page::access::Visitor;
use crate::server::page::activity::{Activity, Chosen};
use crate::server::page::add::Entered;
use crate::server::page::api::{ApiError, unknown_server};
use crate::server::page::clients::Clients;
use crate::server::page::form::Fields;
use crate::server::page::home::Home;
use crate::server::page::layout::encoded;
use crate::server::page::pages::{Pages, ShownSettings};
use crate::server::page::privacy::Privacy;
use crate::server::page::review::Shown;
use crate::server::page::servers::Details;
use crate::server::page::settings::Settings;
use crate::server::page::settings_undo::SettingsChange;
use crate::server::page::tools::{Tools, Trial};
use crate::server::page::{
    activity, add, clients, health, home, privacy, profiles, review, server_log, servers, setting, settings, tools,
    usage,
};
use crate::server::rest::{diagnostics, views};

type Core = State<Arc<Pages>>;
type Who = Extension<Visitor>;

/// Returns what the search saved, from the log on disk. The REST route also measures every tool, which takes long.
async fn savings(pages: &Pages) -> TokenSavings {
    let log = pages.app.activity.clone();
    tokio::task::spawn_blocking(move || log.savings()).await.unwrap_or_default()
}

pub(super) async fn show_home(State(pages): Core, Extension(visitor): Who) -> Response {
    // Each request waits for the disk.
    let (recent, calls, sessions, clients, usage, savings, frame) = tokio::join!(
        pages
            .api
            .get::<ActivityList>("/api/v1/activity?type=tool_call&exclude_payloads=true&exclude_total=true&limit=6"),
        pages.api.get::<ActivityList>(
            "/api/v1/activity?type=tool_call&status=success&exclude_payloads=true&exclude_total=true&limit=1"
        ),
        pages.api.get::<SessionList>("/api/v1/sessions?status=active&limit=100"),
        async {
            // On macOS, reading other programs' files could make the system ask the user for permission.
            match Platform::HOST {
                Platform::MacOs => pages.api.get("/api/v1/connect").await.unwrap_or_default(),
                _ => ai_clients(&pages).await,
            }
        },
        pages.api.get("/api/v1/activity/usage?window=24h&top=0"),
        savings(&pages),
        pages.frame(&visitor),
    );
    let shown = Home {
        servers: pages.servers(),
        notice: pages.app.config.notice(),
        clients,
        usage: usage.unwrap_or_default(),
        sessions: sessions.unwrap_or_default().sessions,
        savings,
        has_called: !calls.unwrap_or_default().activities.is_empty(),
        recent: recent.unwrap_or_default().activities,
    };
    home::view(&frame, &shown).into_response()
}

/// Returns the AI clients with their state. The list reads only the files that need no permission of the system.
async fn ai_clients(pages: &Pages) -> Vec<AiClient> {
    let clients: Vec<AiClient> = pages.api.get("/api/v1/connect").await.unwrap_or_default();
    let read = clients.into_iter().map(|client| async move {
        if !client.exists || client.access_state != AccessState::NotChecked {
            return client;
        }
        pages.api.get(&format!("/api/v1/connect/{}", encoded(&client.id))).await.unwrap_or(client)
    });
    join_all(read).await
}

pub(super) async fn show_servers(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let chosen = servers::Chosen::of(&Fields::parse(request.uri().query().unwrap_or_default()));
    let listed = pages.servers();
    servers::list(&pages.frame(&visitor).await, &listed, &chosen).into_response()
}

pub(super) async fn show_server(State(pages): Core, Extension(visitor): Who, Path(name): Path<String>) -> Response {
    let segment = encoded(&name);
    let Some(server) = pages.app.upstreams.snapshot(&name).as_ref().map(views::server) else {
        return pages.failed(&visitor, &unknown_server(&name)).await;
    };
    let tools: ServerTools = pages.api.get(&format!("/api/v1/servers/{segment}/tools")).await.unwrap_or_default();
    let calls =
        format!("/api/v1/activity?type=tool_call&exclude_payloads=true&exclude_total=true&limit=5&server={segment}");
    let calls: ActivityList = pages.api.get(&calls).await.unwrap_or_default();
    let details = Details {
        server,
        // Does not use REST, which would mark the review as shown.
        review: pages.app.control.peek(&name).await.unwrap_or_default(),
        tools: tools.tools,
        log: server_log::read(&pages, &name, server_log::FEW).await,
        calls: calls.activities,
    };
    servers::details(&pages.frame(&visitor).await, &details).into_response()
}

pub(super) async fn show_add(State(pages): Core, Extension(visitor): Who) -> Response {
    add_page(&pages, &visitor, StatusCode::OK, Entered::default()).await
}

/// Renders the page for adding servers, with the user's input.
pub(super) async fn add_page(pages: &Pages, visitor: &Visitor, status: StatusCode, entered: Entered) -> Response {
    let paths: ImportPaths = pages.api.get("/api/v1/servers/import/paths").await.unwrap_or_default();
    (status, add::view(&pages.frame(visitor).await, &paths.paths, &entered)).into_response()
}

pub(super) async fn show_reviews(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    let offset = query.text("offset").parse().unwrap_or_default();
    let listed = pages.servers();
    review::list(&pages.frame(&visitor).await, &listed, offset).into_response()
}

pub(super) async fn show_review(
    State(pages): Core,
    Extension(visitor): Who,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    let segment = encoded(&name);
    let review: Result<Review, ApiError> = pages.api.get(&format!("/api/v1/servers/{segment}/review")).await;
    match review {
        Ok(review) => {
            let shown = Shown {
                review,
                offset: query.text("offset").parse().unwrap_or_default(),
                ..Shown::default()
            };
            review::details(&pages.frame(&visitor).await, &shown).into_response()
        }
        Err(error) => pages.failed(&visitor, &error).await,
    }
}

pub(super) async fn show_tools(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    let words = query.text("q").to_owned();
    let mut shown = Tools {
        server: query.text("server").to_owned(),
        offset: query.text("offset").parse().unwrap_or_default(),
        counts: pages.app.proxy.search_counts(),
        ..Tools::default()
    };
    if words.is_empty() {
        let mut servers = pages.app.upstreams.snapshots();
        if !shown.server.is_empty() {
            servers.retain(|server| server.config.name == shown.server);
        }
        (shown.page, shown.total) = tools::page_of(&servers, shown.offset, tools::PAGE);
    } else {
        let path = format!("/api/v1/index/search?explain=true&q={}", encoded(&words));
        shown.found = Some(pages.api.get::<FoundTools>(&path).await.unwrap_or_default());
    }
    shown.query = words;
    tools::list(&pages.frame(&visitor).await, &shown).into_response()
}

pub(super) async fn show_tool(
    State(pages): Core,
    Extension(visitor): Who,
    Path((server, tool)): Path<(String, String)>,
) -> Response {
    match trial(&pages, &server, &tool).await {
        Ok(trial) => tools::details(&pages.frame(&visitor).await, &trial).into_response(),
        Err(error) => pages.failed(&visitor, &error).await,
    }
}

/// A tool to try.
///
/// # Errors
/// The tool does not exist.
pub(super) async fn trial(pages: &Pages, server: &str, tool: &str) -> Result<Trial, ApiError> {
    let path = format!("/api/v1/servers/{}/tools", encoded(server));
    let tools: ServerTools = pages.api.get(&path).await?;
    let found = tools.tools.into_iter().find(|one| one.name == tool);
    let found = found.ok_or_else(|| ApiError::new(404, format!("`{server}` has no tool named `{tool}`.")))?;
    let annotations = pages.app.upstreams.tool(server, tool).ok().and_then(|tool| tool.annotations);
    Ok(Trial {
        call_with: crate::catalog::call_variant::Intent::recommended(annotations.as_ref()).tool(),
        tool: found,
        ..Trial::default()
    })
}

pub(super) async fn show_activity(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let chosen = Chosen::of(&Fields::parse(request.uri().query().unwrap_or_default()));
    let now = crate::os::clock::now();
    let path = format!(
        "/api/v1/activity?exclude_payloads=true&limit={}&offset={}{}",
        activity::PAGE,
        chosen.offset,
        chosen.api_query(now)
    );
    let by_tool = format!("/api/v1/activity/usage?window={}&top={}", chosen.window.word(), usage::MOST);
    let shown = Activity {
        list: pages.api.get(&path).await.unwrap_or_default(),
        usage: pages.api.get(&by_tool).await.unwrap_or_default(),
        savings: savings(&pages).await,
        servers: pages.app.upstreams.snapshots().iter().map(|server| server.config.name.clone()).collect(),
        chosen,
        now,
    };
    activity::view(&pages.frame(&visitor).await, &shown).into_response()
}

/// Passes on the export of REST, with the same filters.
pub(super) async fn export(State(pages): Core, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    pages.api.pass(&format!("/api/v1/activity/export?{query}")).await
}

pub(super) async fn show_record(State(pages): Core, Extension(visitor): Who, Path(id): Path<String>) -> Response {
    let path = format!("/api/v1/activity/{}", encoded(&id));
    let found: Result<OneActivity, ApiError> = pages.api.get(&path).await;
    match found {
        Ok(OneActivity { activity: record }) => {
            let settings = pages.settings().await.unwrap_or_default();
            activity::details(&pages.frame(&visitor).await, &record, &settings.config).into_response()
        }
        Err(error) => pages.failed(&visitor, &error).await,
    }
}

pub(super) async fn show_clients(State(pages): Core, Extension(visitor): Who) -> Response {
    let shown = Clients {
        clients: ai_clients(&pages).await,
        endpoint: pages.mcp_url(),
        has_profiles: !pages.app.config.current().profiles.is_empty(),
    };
    clients::list(&pages.frame(&visitor).await, &shown).into_response()
}

pub(super) async fn show_client(
    State(pages): Core,
    Extension(visitor): Who,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    let profiles = pages.app.config.current().profiles.iter().map(|profile| profile.name.clone()).collect();
    let chosen = clients::ChosenProfile {
        name: query.text("profile").to_owned(),
        profiles,
    };
    let path = format!("/api/v1/connect/{}", encoded(&id));
    let client: Result<AiClient, ApiError> = pages.api.get(&path).await;
    let preview: Result<ConnectPreview, ApiError> =
        pages.api.get(&format!("{path}/preview?profile={}", encoded(&chosen.name))).await;
    match (client, preview) {
        (Ok(client), Ok(preview)) => {
            clients::preview(&pages.frame(&visitor).await, &client, &preview, &chosen).into_response()
        }
        (Err(error), _) | (_, Err(error)) => pages.failed(&visitor, &error).await,
    }
}

pub(super) async fn show_settings(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    settings_page(&pages, &visitor, query.text("q"), None).await
}

/// Renders the settings with all words of `query`; if they could not be saved, with the reason and the user's input.
pub(super) async fn settings_page(
    pages: &Pages,
    visitor: &Visitor,
    query: &str,
    failed: Option<(&str, &Fields)>,
) -> Response {
    let answer = match (pages.settings().await, failed) {
        (Ok(answer), _) => answer,
        (Err(_), Some(_)) => ShownSettings::default(),
        // Saving a form without the current values would reset all settings.
        (Err(error), None) => return pages.failed(visitor, &error).await,
    };
    let mut found = settings::settings(&schema(), &answer.config);
    if let Some((_, fields)) = failed {
        setting::keep_entered(&mut found, fields);
    }
    let error = failed.map(|(error, _)| error);
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let changes = "/api/v1/activity?type=config_change&limit=100";
    let changes: ActivityList = pages.api.get(changes).await.unwrap_or_default();
    let changes: Vec<SettingsChange> =
        changes.activities.iter().filter_map(SettingsChange::of).take(settings::MOST_CHANGES).collect();
    let shown = Settings {
        settings: &found,
        query,
        path: &answer.path,
        config: &answer.config,
        changes: &changes,
        error,
    };
    let page = settings::view(&pages.frame(visitor).await, &shown);
    (status, page).into_response()
}

pub(super) async fn show_profiles(State(pages): Core, Extension(visitor): Who) -> Response {
    let listed: ProfileList = pages.api.get("/api/v1/profiles").await.unwrap_or_default();
    let active: ActiveProfile = pages.api.get("/api/v1/profiles/active").await.unwrap_or_default();
    let servers = pages.servers();
    let frame = pages.frame(&visitor).await;
    profiles::list(&frame, &listed.profiles, &servers, &active.active_profile, &pages.mcp_url()).into_response()
}

pub(super) async fn show_secrets(State(pages): Core, Extension(visitor): Who) -> Response {
    let mut used: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for server in &pages.app.config.current().servers {
        for name in references::names(server, Kind::Secret) {
            used.entry(name).or_default().push(server.name.clone());
        }
    }
    let used: Vec<(String, Vec<String>)> = used.into_iter().collect();
    profiles::secrets(&pages.frame(&visitor).await, &used).into_response()
}

pub(super) async fn show_privacy(State(pages): Core, Extension(visitor): Who, request: Request) -> Response {
    let query = Fields::parse(request.uri().query().unwrap_or_default());
    let received: Option<Result<Value, String>> = match query.has("received") {
        true => Some(pages.api.get("/api/v1/telemetry/received").await.map_err(|error| error.message)),
        false => None,
    };
    let answer = pages.settings().await.unwrap_or_default();
    let stored: ActivityList = pages.api.get("/api/v1/activity?limit=1").await.unwrap_or_default();
    let (report, reason) = match pages.api.get::<Value>("/api/v1/telemetry/payload").await {
        Ok(report) => (Some(report), String::new()),
        Err(error) => (None, error.message),
    };
    let shown = Privacy {
        telemetry: pages.app.status().telemetry,
        report,
        reason,
        settings: answer.config,
        stored: stored.total,
        received,
    };
    privacy::view(&pages.frame(&visitor).await, &shown).into_response()
}

pub(super) async fn show_health(State(pages): Core, Extension(visitor): Who) -> Response {
    let found = diagnostics::found(&pages.app).await;
    let shown = health::Health {
        servers: pages.servers(),
        status: pages.app.status(),
        data_directory: pages.app.root.path().display().to_string(),
        log: server_log::read_own(&pages).await,
    };
    health::view(&pages.frame_with(&visitor, &found), &found, &shown).into_response()
}

pub(super) async fn unknown(State(pages): Core, Extension(visitor): Who) -> Response {
    pages.failed(&visitor, &ApiError::new(404, "This page does not exist.")).await
}

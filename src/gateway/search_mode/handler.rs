//! Implements rmcp's handler for one session of a client on `/mcp`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CustomRequest, CustomResult, Implementation,
    InitializeRequestParams, InitializeResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use tokio_util::sync::CancellationToken;

use crate::config::profiles::ProfileScope;
use crate::contract::failure::{Failure, FailureKind};
use crate::control::servers::ServerControl;
use crate::gateway::call_record::Caller;
use crate::gateway::fast_path::HandedOver;
use crate::gateway::http::invalid_request;
use crate::gateway::profile::{self, Origin, SET_PROFILE, always_searches};
use crate::gateway::search_mode::definitions::{INSTRUCTIONS, definitions, read_cache};
use crate::gateway::search_mode::{few_tools, manage_servers};
use crate::gateway::session_registry::{SessionRegistration, Sessions};
use crate::gateway::tool_calls::{CallerContext, Proxy};

/// The server side of a session.
#[derive(Clone)]
pub struct Handler {
    control: Arc<ServerControl>,
    proxy: Arc<Proxy>,
    place: Arc<SessionRegistration>,
    /// Whether the session's list of tools was recorded.
    listed: Arc<AtomicBool>,
    /// Ends the session's tasks when the session is dropped.
    over: Arc<SessionEnd>,
}

/// Cancels its token when the last part of the session is dropped.
#[derive(Default)]
struct SessionEnd(CancellationToken);

impl Drop for SessionEnd {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Handler {
    /// Creates a session and registers it for the fast path.
    pub fn new(proxy: Arc<Proxy>, control: Arc<ServerControl>, sessions: Arc<Sessions>) -> Handler {
        Handler {
            place: Arc::new(SessionRegistration::new(sessions, proxy.upstreams().new_session())),
            proxy,
            control,
            listed: Arc::default(),
            over: Arc::default(),
        }
    }

    /// Returns the servers' own tools while there are few.
    fn few_tools(&self, scope: &ProfileScope) -> Option<few_tools::ToolLists> {
        few_tools::lists(&self.proxy, self.control.config().current().direct_up_to_tokens, scope)
    }

    /// Records the first list of tools of the session. Counting thousands of tools takes too long for this thread.
    async fn note_list(&self, context: &RequestContext<RoleServer>, scope: ProfileScope, tools: &[Tool]) {
        if self.listed.load(Ordering::Relaxed) {
            return;
        }
        let caller = Caller::of(context).within(scope.name());
        let (proxy, tools) = (self.proxy.clone(), tools.to_vec());
        let noted = tokio::task::spawn_blocking(move || proxy.note_list(caller, &scope, &tools)).await;
        self.listed.store(noted.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Records the client once. Clients of the protocol version without `initialize` identify themselves in each
    /// request's `_meta`.
    fn see_client(&self, context: &RequestContext<RoleServer>) {
        if let Some(client) = context.client_info() {
            self.proxy.client_seen(Some(&client.name));
        }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
            .with_server_info(Implementation::new("mcpproxy", env!("CARGO_PKG_VERSION")).with_title("MCPProxy"))
            .with_instructions(INSTRUCTIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.proxy.client_seen(Some(&request.client_info.name));
        context.peer.set_peer_info(request.clone());
        self.place.open();
        self.negotiate_initialize(&request)
    }

    /// Notifies the client when `/mcp` switches between the search and the servers' own tools, and when those change.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut changes = self.proxy.upstreams().tool_changes();
        let (proxy, control) = (self.proxy.clone(), self.control.clone());
        let origin = Origin::of(&context.extensions);
        let mut shown = self.few_tools(&self.proxy.profile_scope(&origin));
        let few = move || {
            let most_tokens = control.config().current().direct_up_to_tokens;
            few_tools::lists(&proxy, most_tokens, &proxy.profile_scope(&origin))
        };
        let over = self.over.0.clone();
        tokio::spawn(over.run_until_cancelled_owned(async move {
            while changes.changed().await.is_ok() {
                let now = few();
                if now != shown {
                    shown = now;
                    if context.peer.notify_tool_list_changed().await.is_err() {
                        return;
                    }
                }
            }
        }));
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(invalid_request::unknown_request(&request.method, request.params))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.proxy.requested();
        self.see_client(&context);
        let config = self.control.config().current();
        let scope = self.proxy.profile_scope(&Origin::of(&context.extensions));
        let few = if always_searches(&context.extensions) { None } else { self.few_tools(&scope) };
        let is_search = few.is_none();
        let mut tools = match few {
            Some(few) => [
                few_tools::definitions(&few, |name| self.proxy.upstreams().has(name)),
                vec![read_cache()],
            ]
            .concat(),
            None => definitions(config.tools_limit),
        };
        let requested = manage_servers::is_requested(&context.extensions);
        tools.extend(manage_servers::definitions(&config, requested));
        tools.extend(profile::definition(&config));
        let stays = always_searches(&context.extensions)
            || !few_tools::may_be_listed_soon(&self.proxy, config.direct_up_to_tokens, &scope);
        if is_search && stays {
            self.note_list(&context, scope, &tools).await;
        }
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = context.client_info().map(|client| client.name);
        self.place.note(&context.extensions, client.as_deref());
        self.place.record_call();
        let asking = |state, answers| CallerContext {
            session: self.place.session(),
            context: &context,
            state,
            answers,
        };
        if let Some(started) = HandedOver::take(&context.extensions) {
            let arguments = request.arguments.unwrap_or_default();
            let answer = self.proxy.go_on(started, asking(None, None), (&request.name, &arguments)).await?;
            return Ok(answer.respond(&context.extensions));
        }
        self.proxy.requested();
        self.see_client(&context);
        let arguments = request.arguments.unwrap_or_default();
        let origin = Origin::of(&context.extensions);
        let since = Instant::now();
        let note = |result: &CallToolResult| {
            let arguments = serde_json::to_string(&arguments).unwrap_or_default();
            self.proxy.note_own(&Caller::of(&context), &request.name, &arguments, since, result);
        };
        if request.name == SET_PROFILE {
            let chosen = self.proxy.set_profile(&origin, &arguments);
            note(&chosen);
            // The other profile may have few enough tools to list them directly.
            let _ = context.peer.notify_tool_list_changed().await;
            return Ok(chosen.into());
        }
        let scope = self.proxy.profile_scope(&origin);
        let client = client.unwrap_or_else(|| "an unnamed client".to_owned());
        if let Some(result) = manage_servers::call(&self.control, &client, &request.name, &arguments, &scope).await {
            self.proxy.server_tool_called(&request.name);
            note(&result);
            return Ok(result.into());
        }
        let (name, arguments) = few_tools::as_call(&self.proxy, request.name.into_owned(), arguments, &scope);
        let asking = asking(request.request_state, request.input_responses);
        match self.proxy.call(&name, &arguments, Some(asking)).await {
            Some(answer) => Ok(answer?.respond(&context.extensions)),
            None => {
                let text = format!(
                    "Unknown tool: {}; tools of upstream servers are called through call_tool_read, \
                    call_tool_write or call_tool_destructive",
                    name
                );
                Err(Failure::new(FailureKind::NotFound, text).into())
            }
        }
    }
}

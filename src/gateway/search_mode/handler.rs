//! One MCP session of one client, as rmcp calls it.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, Implementation, InitializeRequestParams,
    InitializeResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};

use crate::control::servers::ServerControl;
use crate::gateway::fast_path::HandedOver;
use crate::gateway::http::invalid_request;
use crate::gateway::profile::{self, Origin, SET_PROFILE};
use crate::gateway::search_mode::definitions::{INSTRUCTIONS, definitions};
use crate::gateway::search_mode::manage_servers;
use crate::gateway::session_registry::{SessionRegistration, Sessions};
use crate::gateway::tool_calls::{CallerContext, Proxy};

/// The server side of a session.
#[derive(Clone)]
pub struct Handler {
    control: Arc<ServerControl>,
    proxy: Arc<Proxy>,
    place: Arc<SessionRegistration>,
}

impl Handler {
    /// A session of this core, with its place among those that may take the short way.
    pub fn new(proxy: Arc<Proxy>, control: Arc<ServerControl>, sessions: Arc<Sessions>) -> Handler {
        Handler {
            place: Arc::new(SessionRegistration::new(sessions, proxy.upstreams().new_session())),
            proxy,
            control,
        }
    }

    /// A client of the protocol without `initialize` names itself in each request's `_meta`, and is noted once.
    fn see_client(&self, context: &RequestContext<RoleServer>) {
        if let Some(client) = context.client_info() {
            self.proxy.client_seen(Some(&client.name));
        }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
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
        let mut tools = definitions();
        let config = self.control.config().current();
        tools.extend(manage_servers::definitions(&config));
        tools.extend(profile::definition(&config));
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.place.note(&context.extensions);
        let asking = |state, answers| CallerContext {
            session: self.place.session(),
            context: &context,
            state,
            answers,
        };
        if let Some(started) = HandedOver::take(&context.extensions) {
            return self.proxy.go_on(started, asking(None, None)).await;
        }
        self.proxy.requested();
        self.see_client(&context);
        let arguments = request.arguments.unwrap_or_default();
        let origin = Origin::of(&context.extensions);
        if request.name == SET_PROFILE {
            return Ok(self.proxy.set_profile(&origin, &arguments).into());
        }
        let scope = self.proxy.profile_scope(&origin);
        if let Some(result) = manage_servers::call(&self.control, &request.name, &arguments, &scope).await {
            return Ok(result.into());
        }
        let asking = asking(request.request_state, request.input_responses);
        match self.proxy.call(&request.name, &arguments, Some(asking)).await {
            Some(answer) => answer,
            None => {
                let text = format!(
                    "Unknown tool: {}; tools of upstream servers are called through call_tool_read, \
                    call_tool_write or call_tool_destructive",
                    request.name
                );
                Err(ErrorData::invalid_params(text, None))
            }
        }
    }
}

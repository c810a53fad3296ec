//! `/mcp/all`: everything the servers offer, under names that tell whose it is; `/mcp/all/{server}`: one server's, under
//! its own names.
#![expect(deprecated, reason = "log levels are of all revisions but the newest")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, ClientRequest, CompleteRequest, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, GetPromptRequest, GetPromptRequestParams, GetPromptResponse,
    Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, Prompt, ReadResourceRequest,
    ReadResourceRequestParams, ReadResourceResponse, Reference, Resource, ResourceTemplate, ResultType,
    ServerCapabilities, ServerConfig, ServerResult, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use rmcp::service::{
    NotificationContext, Peer, RequestContext, RoleClient, RoleServer, SubscriptionContext, SubscriptionSendError,
};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::gateway::direct_mode::notifications::Notifications;
use crate::gateway::direct_mode::qualified_name::may_be_of;
use crate::gateway::direct_mode::route::only;
use crate::gateway::direct_mode::scope::Scope;
use crate::gateway::fast_path::HandedOver;
use crate::gateway::http::invalid_request;
use crate::gateway::input_required::Fingerprint;
use crate::gateway::profile::Origin;
use crate::gateway::relay::{Relay, RetryContext};
use crate::gateway::session_registry::{SessionRegistration, Sessions};
use crate::gateway::tool_calls::{CallRecorder, Proxy, response};
use crate::upstream::error::CallError;
use crate::upstream::list::{after, all_pages};
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::snapshot::Snapshot;

/// A server that lists more slowly than this is left out of the list.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// The server side of a session on `/mcp/all`.
#[derive(Clone)]
pub struct DirectHandler {
    proxy: Arc<Proxy>,
    session: Arc<Session>,
}

/// One session; what only it wanted of the servers goes with it.
struct Session {
    id: SessionId,
    place: SessionRegistration,
    proxy: Arc<Proxy>,
    over: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.over.cancel();
        self.proxy.upstreams().leave(self.id);
    }
}

impl DirectHandler {
    /// A session over this proxy's servers, with its place among those that may take the short way.
    pub fn new(proxy: Arc<Proxy>, sessions: Arc<Sessions>) -> DirectHandler {
        let id = proxy.upstreams().new_session();
        let session = Session {
            id,
            place: SessionRegistration::new(sessions, id),
            proxy: proxy.clone(),
            over: CancellationToken::new(),
        };
        DirectHandler {
            proxy,
            session: Arc::new(session),
        }
    }

    fn begin(&self, context: &RequestContext<RoleServer>) -> Result<Scope, ErrorData> {
        self.proxy.requested();
        self.session.place.note(&context.extensions);
        if let Some(client) = context.client_info() {
            self.proxy.client_seen(Some(&client.name));
        }
        let profile = self.proxy.profile_scope(&Origin::of(&context.extensions));
        Scope::of(&self.proxy, only(&context.extensions).as_deref(), &profile)
    }

    /// What each of these servers answers to one question; servers that fail are left out.
    async fn ask_each<'a, T, F>(
        &self,
        servers: impl Iterator<Item = &'a Snapshot>,
        ask: impl Fn(Peer<RoleClient>) -> F,
    ) -> Vec<(String, Vec<T>)>
    where
        F: Future<Output = Result<Vec<T>, String>>,
    {
        let one = |server: &Snapshot| {
            let (name, peer) = (server.config.name.clone(), self.proxy.upstreams().peer(&server.config.name));
            let answer = peer.ok().map(&ask);
            async move {
                let listed = tokio::time::timeout(LIST_LIMIT, answer?).await;
                match listed {
                    Ok(Ok(listed)) => Some((name, listed)),
                    Ok(Err(error)) => {
                        tracing::debug!(server = name, "left out of a list: {error}");
                        None
                    }
                    Err(_) => {
                        tracing::warn!(
                            server = name,
                            "left out of a list: no answer within {} s",
                            LIST_LIMIT.as_secs()
                        );
                        None
                    }
                }
            }
        };
        join_all(servers.map(one)).await.into_iter().flatten().collect()
    }

    async fn prompts(&self, scope: &Scope) -> Vec<(String, Vec<Prompt>)> {
        let ask = |peer: Peer<RoleClient>| async move {
            if peer.peer_info().is_none_or(|info| info.capabilities.prompts.is_none()) {
                return Ok(Vec::new());
            }
            let page = async |cursor| {
                peer.list_prompts(Some(after(cursor))).await.map(|page| (page.prompts, page.next_cursor))
            };
            all_pages(page).await
        };
        let shown = scope.servers().iter().filter(|server| server.config.expose_prompts != Some(false));
        self.ask_each(shown, ask).await
    }

    async fn resources(&self, scope: &Scope) -> Vec<(String, Vec<Resource>)> {
        let ask = |peer: Peer<RoleClient>| async move {
            if !has_resources(&peer) {
                return Ok(Vec::new());
            }
            let page = async |cursor| {
                peer.list_resources(Some(after(cursor))).await.map(|page| (page.resources, page.next_cursor))
            };
            all_pages(page).await
        };
        self.ask_each(scope.servers().iter(), ask).await
    }

    async fn templates(&self, scope: &Scope) -> Vec<(String, Vec<ResourceTemplate>)> {
        let ask = |peer: Peer<RoleClient>| async move {
            if !has_resources(&peer) {
                return Ok(Vec::new());
            }
            let page = async |cursor| {
                peer.list_resource_templates(Some(after(cursor)))
                    .await
                    .map(|page| (page.resource_templates, page.next_cursor))
            };
            all_pages(page).await
        };
        self.ask_each(scope.servers().iter(), ask).await
    }

    /// The server that an address belongs to. Nobody else is shown it: it may hold what is not for others.
    async fn owner(&self, scope: &Scope, uri: &str) -> Result<String, ErrorData> {
        if let [only] = scope.servers() {
            return Ok(only.config.name.clone());
        }
        let (resources, templates) = tokio::join!(self.resources(scope), self.templates(scope));
        let lists = resources.into_iter().find(|(_, listed)| listed.iter().any(|resource| resource.uri == uri));
        let fits = |template: &ResourceTemplate| template.uri_template == uri || may_be_of(&template.uri_template, uri);
        let owner = lists.map(|(server, _)| server);
        let owner = owner
            .or_else(|| templates.into_iter().find(|(_, listed)| listed.iter().any(fits)).map(|(server, _)| server));
        owner.ok_or_else(|| {
            let text = format!("no connected server has the resource `{uri}`");
            ErrorData::resource_not_found(text, Some(json!({"uri": uri})))
        })
    }

    /// The server and its own name of a prompt.
    async fn prompt_owner(&self, scope: &Scope, name: &str) -> Result<(String, String), ErrorData> {
        let prompts = self.prompts(scope).await;
        let has = |server: &str, own: &str| {
            prompts.iter().any(|(name, listed)| name == server && listed.iter().any(|prompt| prompt.name == own))
        };
        let found = scope.meanings(name).into_iter().find(|(server, own)| has(server, own));
        let found = found.map(|(server, own)| (server.to_owned(), own.to_owned()));
        found.ok_or_else(|| ErrorData::invalid_params(format!("no connected server has the prompt `{name}`"), None))
    }

    /// The way of a request, and of what the server says meanwhile back.
    fn relay<'a>(&'a self, server: &'a str, context: &'a RequestContext<RoleServer>) -> Relay<'a> {
        self.proxy.relay(server, self.session.id, context)
    }

    fn tool_result(
        &self,
        since: Instant,
        server: &str,
        tool: &str,
        answer: Result<ServerResult, CallError>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = answer.and_then(|result| response(server, result));
        let noting = CallRecorder {
            source: "mcp",
            since,
            server,
            tool,
        };
        self.proxy.note(noting, &answer);
        let mut answer = answer.map_err(in_words)?;
        if let CallToolResponse::Complete(result) = &mut answer {
            result.result_type.get_or_insert(ResultType::COMPLETE);
        }
        Ok(answer)
    }
}

fn has_resources(peer: &Peer<RoleClient>) -> bool {
    peer.peer_info().is_some_and(|info| info.capabilities.resources.is_some())
}

fn in_words(error: CallError) -> ErrorData {
    match error {
        CallError::Upstream(error) | CallError::Refused(error) => error,
        error => ErrorData::internal_error(error.to_string(), None),
    }
}

fn unexpected(server: &str) -> ErrorData {
    ErrorData::internal_error(format!("server `{server}` answered with something else than was asked for"), None)
}

impl ServerHandler for DirectHandler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("mcpproxy", env!("CARGO_PKG_VERSION")).with_title("MCPProxy"))
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.proxy.client_seen(Some(&request.client_info.name));
        context.peer.set_peer_info(request.clone());
        self.session.place.open();
        self.negotiate_initialize(&request)
    }

    /// Tells the client what the servers announce, for as long as it is there.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut announcements = Notifications::new(self.proxy.clone(), self.session.id, &context.extensions);
        // Not the session itself: its end is what ends this.
        let over = self.session.over.clone();
        tokio::spawn(over.run_until_cancelled_owned(async move {
            while let Some(found) = announcements.next().await {
                for notification in found {
                    if context.peer.send_notification(notification).await.is_err() {
                        return;
                    }
                }
            }
        }));
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.begin(&context)?;
        self.proxy.upstreams().set_level(self.session.id, only(&context.extensions), request.level).await;
        Ok(())
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
        Ok(ListToolsResult::with_all_items(self.begin(&context)?.tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(started) = HandedOver::take(&context.extensions) {
            self.session.place.note(&context.extensions);
            let (server, tool, since) = (started.server.clone(), started.tool.clone(), started.since);
            let answer = self.relay(&server, &context).go_on(started).await;
            return self.tool_result(since, &server, &tool, answer);
        }
        let scope = self.begin(&context)?;
        let unknown = || ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None);
        let mut problem = None;
        for (server, own) in scope.meanings(&request.name) {
            // Not what the list says but what is approved at this moment.
            if let Err(error) = self.proxy.upstreams().tool(server, own) {
                problem.get_or_insert_with(|| ErrorData::invalid_params(error.to_string(), None));
                continue;
            }
            // An empty object and never `null`: servers reject the latter.
            let arguments = request.arguments.clone().unwrap_or_default();
            let again = RetryContext {
                request: Fingerprint::of(server, "tools/call", own, &arguments.clone().into()),
                state: request.request_state.clone(),
                answers: request.input_responses.clone(),
            };
            let admitted = self.proxy.upstreams().admission().enter(server, self.session.id).await;
            let _admitted = admitted.map_err(in_words)?;
            let request = CallToolRequestParams::new(own.to_owned()).with_arguments(arguments);
            self.proxy.upstream_called();
            let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
            let since = Instant::now();
            let answer = self.relay(server, &context).pass_or_resume(request, again).await;
            return self.tool_result(since, server, own, answer);
        }
        Err(problem.unwrap_or_else(unknown))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let scope = self.begin(&context)?;
        let prompts = self.prompts(&scope).await.into_iter().flat_map(|(server, listed)| {
            let scope = &scope;
            listed.into_iter().map(move |mut prompt| {
                prompt.name = scope.name(&server, &prompt.name);
                prompt
            })
        });
        Ok(ListPromptsResult::with_all_items(prompts.collect()))
    }

    async fn get_prompt(
        &self,
        mut request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let scope = self.begin(&context)?;
        let (server, own) = self.prompt_owner(&scope, &request.name).await?;
        let again = RetryContext {
            request: Fingerprint::of(&server, "prompts/get", &own, &json!(request.arguments)),
            state: request.request_state.take(),
            answers: request.input_responses.take(),
        };
        (request.name, request.meta) = (own, None);
        let request = ClientRequest::GetPromptRequest(GetPromptRequest::new(request));
        match self.relay(&server, &context).pass_or_resume(request, again).await.map_err(in_words)? {
            ServerResult::InputRequiredResult(asked) => Ok(asked.into()),
            ServerResult::GetPromptResult(mut result) => {
                result.result_type.get_or_insert(ResultType::COMPLETE);
                Ok(result.into())
            }
            _ => Err(unexpected(&server)),
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let scope = self.begin(&context)?;
        let resources = self.resources(&scope).await.into_iter().flat_map(|(_, listed)| listed);
        Ok(ListResourcesResult::with_all_items(resources.collect()))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let scope = self.begin(&context)?;
        let templates = self.templates(&scope).await.into_iter().flat_map(|(_, listed)| listed);
        Ok(ListResourceTemplatesResult::with_all_items(templates.collect()))
    }

    async fn read_resource(
        &self,
        mut request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let scope = self.begin(&context)?;
        let server = self.owner(&scope, &request.uri).await?;
        let again = RetryContext {
            request: Fingerprint::of(&server, "resources/read", &request.uri, &Value::Null),
            state: request.request_state.take(),
            answers: request.input_responses.take(),
        };
        request.meta = None;
        let request = ClientRequest::ReadResourceRequest(ReadResourceRequest::new(request));
        match self.relay(&server, &context).pass_or_resume(request, again).await.map_err(in_words)? {
            ServerResult::InputRequiredResult(asked) => Ok(asked.into()),
            ServerResult::ReadResourceResult(mut result) => {
                result.result_type.get_or_insert(ResultType::COMPLETE);
                Ok(result.into())
            }
            _ => Err(unexpected(&server)),
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let scope = self.begin(&context)?;
        let server = self.owner(&scope, &request.uri).await?;
        self.proxy.upstreams().subscribe(self.session.id, &server, &request.uri).await.map_err(in_words)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let scope = self.begin(&context)?;
        let server = self.owner(&scope, &request.uri).await?;
        self.proxy.upstreams().unsubscribe(self.session.id, &server, &request.uri).await.map_err(in_words)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    /// What `on_initialized` and `subscribe` do, for clients of the protocol without `initialize`.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let request = context.request_context();
        let scope = self.begin(request)?;
        let mut announcements = Notifications::new(self.proxy.clone(), self.session.id, &request.extensions);
        for uri in context.accepted().resource_subscriptions.iter().flatten() {
            let server = self.owner(&scope, uri).await?;
            self.proxy.upstreams().subscribe(self.session.id, &server, uri).await.map_err(in_words)?;
        }
        loop {
            let found = tokio::select! {
                () = context.cancelled() => return Ok(()),
                found = announcements.next() => found,
            };
            let Some(found) = found else { return Ok(()) };
            for notification in found {
                match context.sink().send(notification).await {
                    Ok(())
                    | Err(
                        SubscriptionSendError::NotificationNotAccepted(_)
                        | SubscriptionSendError::UnsupportedNotification(_),
                    ) => {}
                    Err(_) => return Ok(()),
                }
            }
        }
    }

    async fn complete(
        &self,
        mut request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let scope = self.begin(&context)?;
        let server = match &mut request.r#ref {
            Reference::Prompt(prompt) => {
                let (server, own) = self.prompt_owner(&scope, &prompt.name).await?;
                prompt.name = own;
                server
            }
            Reference::Resource(template) => self.owner(&scope, &template.uri).await?,
            _ => return Err(ErrorData::invalid_params("completion is for prompts and resources", None)),
        };
        request.meta = None;
        let request = ClientRequest::CompleteRequest(CompleteRequest::new(request));
        match self.relay(&server, &context).pass(request).await.map_err(in_words)? {
            ServerResult::CompleteResult(mut result) => {
                result.result_type.get_or_insert(ResultType::COMPLETE);
                Ok(result)
            }
            _ => Err(unexpected(&server)),
        }
    }
}

//! `/mcp/all` offers everything of all servers, under names that contain the server's name. `/mcp/all/{server}` offers
//! one server, with its own names.
#![expect(deprecated, reason = "the newest protocol version deprecates log levels")]

use std::sync::Arc;
use std::time::Instant;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, ClientRequest, CompleteRequest, CompleteRequestParams,
    CompleteResult, CustomRequest, CustomResult, DiscoverResult, Extensions, GetPromptRequest, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams,
    ReadResourceRequest, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Reference, ResultType,
    ServerCapabilities, ServerConfig, ServerResult, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext, SubscriptionSendError};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::contract::failure::{Failure, FailureKind};
use crate::gateway::call_log::Ended;
use crate::gateway::call_record::{CallRecorder, Caller, Contents};
use crate::gateway::direct_mode::notifications::Notifications;
use crate::gateway::direct_mode::route::only;
use crate::gateway::direct_mode::scope::Scope;
use crate::gateway::direct_mode::{instructions, listing};
use crate::gateway::failures::invalid;
use crate::gateway::fast_path::HandedOver;
use crate::gateway::http::invalid_request;
use crate::gateway::http::raw_results;
use crate::gateway::input_required::Fingerprint;
use crate::gateway::profile::Origin;
use crate::gateway::relay::{Relay, RetryContext};
use crate::gateway::search_mode::error_results::failed;
use crate::gateway::sensitive_data;
use crate::gateway::session_registry::{SessionRegistration, Sessions};
use crate::gateway::tool_answer::tool_answer;
use crate::gateway::tool_calls::Proxy;
use crate::upstream::error::CallError;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::transport::as_written;

/// The server side of a session on `/mcp/all`.
#[derive(Clone)]
pub struct DirectHandler {
    proxy: Arc<Proxy>,
    session: Arc<Session>,
}

/// One session. Its subscriptions at the servers end when it is dropped.
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
    /// Creates a session and registers it for the fast path.
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
        let client = context.client_info().map(|client| client.name);
        self.session.place.note(&context.extensions, client.as_deref());
        if client.is_some() {
            self.proxy.client_seen(client.as_deref());
        }
        let profile = self.proxy.profile_scope(&Origin::of(&context.extensions));
        Ok(Scope::of(&self.proxy, only(&context.extensions).as_deref(), &profile)?)
    }

    /// Returns a relay, which passes a request to a server and the server's messages to the client.
    fn relay<'a>(&'a self, server: &'a str, context: &'a RequestContext<RoleServer>) -> Relay<'a> {
        self.proxy.relay(server, self.session.id, context)
    }

    /// Returns the pool of servers.
    fn pool(&self) -> &UpstreamPool {
        self.proxy.upstreams()
    }

    fn tool_result(
        &self,
        call: CallRecorder<'_>,
        answer: Result<ServerResult, CallError>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answer = answer.and_then(|result| tool_answer(call.server, result));
        self.proxy.note(call, &answer);
        let policy = self.proxy.body_policy(call.server);
        let answer = answer.map(|answer| sensitive_data::check_answer(policy, call.server, answer));
        let mut answer = answer.map_err(ErrorData::from)?.respond(&context.extensions);
        if let CallToolResponse::Complete(result) = &mut answer {
            result.result_type.get_or_insert(ResultType::COMPLETE);
        }
        Ok(answer)
    }

    /// Returns the caller, for the activity log.
    fn caller(&self, context: &RequestContext<RoleServer>) -> Caller {
        let profile = self.proxy.profile_scope(&Origin::of(&context.extensions));
        Caller::of(context).within(profile.name())
    }

    /// Returns the instructions for clients of this endpoint.
    fn instructions(&self, extensions: &Extensions) -> Option<String> {
        let only = only(extensions);
        let profile = self.proxy.profile_scope(&Origin::of(extensions));
        let scope = Scope::of(&self.proxy, only.as_deref(), &profile).ok()?;
        match &only {
            Some(server) => instructions::of_server(self.pool(), server),
            None => {
                let servers = scope.servers().iter().map(|server| server.config.name.as_str());
                instructions::digest(self.pool(), servers)
            }
        }
    }
}

/// Returns the `_meta` of the placeholder for a result that the library's types cannot represent.
fn placeholder(
    server: &str,
    result: ServerResult,
    context: &RequestContext<RoleServer>,
) -> Result<MetaObject, ErrorData> {
    match result {
        ServerResult::CustomResult(result) if result.0.is_object() => {
            Ok(raw_results::placeholder(&context.extensions, as_written::unwrapped(result.0)))
        }
        _ => Err(other_kind(server)),
    }
}

fn other_kind(server: &str) -> ErrorData {
    Failure::new(FailureKind::Upstream, format!("server `{server}` sent a result of an unexpected type")).into()
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
        let mut result = self.negotiate_initialize(&request)?;
        result.instructions = self.instructions(&context.extensions);
        Ok(result)
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let versions = self.supported_protocol_versions().into_owned();
        let mut result = DiscoverResult::from_server_info(versions, self.get_info());
        result.instructions = self.instructions(&context.extensions);
        Ok(result)
    }

    /// Forwards the servers' announcements to the client until the session ends.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let mut announcements = Notifications::new(self.proxy.clone(), self.session.id, &context.extensions);
        // Holds only the session's end, not the session: otherwise the session would never end.
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
        let caller = self.caller(&context);
        self.session.place.note(&context.extensions, caller.client.as_deref());
        self.session.place.record_call();
        if let Some(started) = HandedOver::take(&context.extensions) {
            let (server, tool, since) = (started.server.clone(), started.tool.clone(), started.since);
            let answer = self.relay(&server, &context).go_on(started).await;
            let arguments = serde_json::to_string(&request.arguments.unwrap_or_default()).unwrap_or_default();
            let call = CallRecorder {
                since,
                server: &server,
                tool: &tool,
                intent: None,
                arguments: &arguments,
                caller: Some(&caller),
            };
            return self.tool_result(call, answer, &context);
        }
        let scope = self.begin(&context)?;
        let Some((server, own)) = scope.tool_of(&request.name) else {
            return Err(Failure::new(FailureKind::NotFound, format!("Unknown tool: {}", request.name)).into());
        };
        // Checks the current approval, because the client's list may be outdated.
        self.pool().tool(server, own).map_err(ErrorData::from)?;
        // Missing arguments become an empty object, because servers reject `null`.
        let arguments = request.arguments.unwrap_or_default();
        let given = serde_json::to_string(&arguments).unwrap_or_default();
        let call = CallRecorder {
            since: Instant::now(),
            server,
            tool: own,
            intent: None,
            arguments: &given,
            caller: Some(&caller),
        };
        let policy = self.proxy.body_policy(server);
        let arguments = match sensitive_data::check_arguments(policy, server, arguments) {
            Ok(arguments) => arguments,
            Err(sentence) => {
                self.proxy.note_as(call, Ended::Blocked(&sentence), Contents::default());
                return Ok(failed(&sentence).into());
            }
        };
        let again = RetryContext {
            request: Fingerprint::of(server, "tools/call", own, &arguments.clone().into()),
            state: request.request_state,
            answers: request.input_responses,
        };
        let queued = self.pool().waiting_calls().queued(server, own);
        let admitted = self.pool().admission().enter(server, self.session.id).await;
        drop(queued);
        let _admitted = admitted.map_err(ErrorData::from)?;
        let request = CallToolRequestParams::new(own.to_owned()).with_arguments(arguments);
        self.proxy.upstream_called();
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
        let call = CallRecorder {
            since: Instant::now(),
            ..call
        };
        let answer = self.relay(server, &context).pass_or_resume(request, again).await;
        self.tool_result(call, answer, &context)
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let scope = self.begin(&context)?;
        let prompts = listing::prompts(&self.proxy, &scope).await.into_iter().flat_map(|(server, listed)| {
            let scope = &scope;
            listed.into_iter().map(move |mut prompt| {
                prompt.name = scope.prompt_name(&server, &prompt.name);
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
        let (server, own) = listing::prompt_owner(&self.proxy, &scope, &request.name).await?;
        let again = RetryContext {
            request: Fingerprint::of(&server, "prompts/get", &own, &json!(request.arguments)),
            state: request.request_state.take(),
            answers: request.input_responses.take(),
        };
        (request.name, request.meta) = (own, None);
        let request = ClientRequest::GetPromptRequest(GetPromptRequest::new(request));
        match self.relay(&server, &context).pass_or_resume(request, again).await.map_err(ErrorData::from)? {
            ServerResult::InputRequiredResult(asked) => Ok(asked.into()),
            ServerResult::GetPromptResult(mut result) => {
                result.result_type.get_or_insert(ResultType::COMPLETE);
                Ok(result.into())
            }
            other => {
                let mut result = GetPromptResult::new(Vec::new());
                result.meta = Some(placeholder(&server, other, &context)?);
                Ok(result.into())
            }
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let scope = self.begin(&context)?;
        Ok(ListResourcesResult::with_all_items(listing::resources(&self.proxy, &scope).await))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let scope = self.begin(&context)?;
        Ok(ListResourceTemplatesResult::with_all_items(listing::templates(&self.proxy, &scope).await))
    }

    async fn read_resource(
        &self,
        mut request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let scope = self.begin(&context)?;
        let server = listing::owner(&self.proxy, &scope, &request.uri).await?;
        let again = RetryContext {
            request: Fingerprint::of(&server, "resources/read", &request.uri, &Value::Null),
            state: request.request_state.take(),
            answers: request.input_responses.take(),
        };
        request.meta = None;
        let request = ClientRequest::ReadResourceRequest(ReadResourceRequest::new(request));
        match self.relay(&server, &context).pass_or_resume(request, again).await.map_err(ErrorData::from)? {
            ServerResult::InputRequiredResult(asked) => Ok(asked.into()),
            ServerResult::ReadResourceResult(mut result) => {
                result.result_type.get_or_insert(ResultType::COMPLETE);
                Ok(result.into())
            }
            other => {
                let mut result = ReadResourceResult::new(Vec::new());
                result.meta = Some(placeholder(&server, other, &context)?);
                Ok(result.into())
            }
        }
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let scope = self.begin(&context)?;
        let server = listing::owner(&self.proxy, &scope, &request.uri).await?;
        self.proxy.upstreams().subscribe(self.session.id, &server, &request.uri).await.map_err(ErrorData::from)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let scope = self.begin(&context)?;
        let server = listing::owner(&self.proxy, &scope, &request.uri).await?;
        self.proxy.upstreams().unsubscribe(self.session.id, &server, &request.uri).await.map_err(ErrorData::from)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    /// Does the same as `on_initialized` and `subscribe`, for clients of the protocol version without `initialize`.
    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let request = context.request_context();
        let scope = self.begin(request)?;
        let mut announcements = Notifications::new(self.proxy.clone(), self.session.id, &request.extensions);
        for uri in context.accepted().resource_subscriptions.iter().flatten() {
            let server = listing::owner(&self.proxy, &scope, uri).await?;
            self.proxy.upstreams().subscribe(self.session.id, &server, uri).await.map_err(ErrorData::from)?;
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
                let (server, own) = listing::prompt_owner(&self.proxy, &scope, &prompt.name).await?;
                prompt.name = own;
                server
            }
            Reference::Resource(template) => listing::owner(&self.proxy, &scope, &template.uri).await?,
            _ => return Err(invalid("completion supports only prompts and resources").into()),
        };
        request.meta = None;
        let request = ClientRequest::CompleteRequest(CompleteRequest::new(request));
        match self.relay(&server, &context).pass(request).await.map_err(ErrorData::from)? {
            ServerResult::CompleteResult(mut result) => {
                result.result_type.get_or_insert(ResultType::COMPLETE);
                Ok(result)
            }
            _ => Err(other_kind(&server)),
        }
    }
}

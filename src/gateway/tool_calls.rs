//! Handles tool calls of clients: answers them itself, or checks them and passes them on. Independent of the transport.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, CallToolResult, ClientRequest, ContentBlock, ErrorCode,
    Extensions, InputResponses, JsonObject, ResultType, ServerResult, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;
use tokio::sync::watch;

use crate::catalog::call_variant::Intent;
use crate::catalog::search_index::ToolIndex;
use crate::catalog::tool_id;
use crate::config::Config;
use crate::config::profiles::ProfileScope;
use crate::contract::api::SearchCounts;
use crate::gateway::call_arguments::{CallArgumentsError, UpstreamCall};
use crate::gateway::call_log::{Activity, Call, Ended};
use crate::gateway::http::raw_results::RawResult;
use crate::gateway::input_required::{Fingerprint, PendingInputs};
use crate::gateway::profile::{Origin, SessionProfiles, View};
use crate::gateway::relay::{Relay, RetryContext};
use crate::gateway::search_mode::error_results::{failed, invalid_arguments, refusal, unreadable_call};
use crate::gateway::search_mode::manage_servers;
use crate::gateway::search_mode::own_tools::OwnTools;
use crate::os::block_in_place::block_in_place_if_large;
use crate::telemetry::store::recorder::Recorder;
use crate::telemetry::usage_counts::{Counter, UsageCounts};
use crate::upstream::error::CallError;
use crate::upstream::offers::OfferApprovals;
use crate::upstream::pool::{Route, UpstreamPool};
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::session::pending::Started;

/// The proxy behind every MCP session.
pub struct Proxy {
    upstreams: Arc<UpstreamPool>,
    own: OwnTools,
    session_profiles: SessionProfiles,
    offers: Arc<OfferApprovals>,
    config: watch::Receiver<Arc<Config>>,
    recorder: Recorder,
    counts: Arc<UsageCounts>,
    pending_inputs: Arc<PendingInputs>,
    activity: Arc<Activity>,
}

impl Proxy {
    /// Creates a proxy for these servers. Its index is empty until [`Proxy::reindex`].
    pub fn new(
        upstreams: Arc<UpstreamPool>,
        offers: Arc<OfferApprovals>,
        config: watch::Receiver<Arc<Config>>,
        recorder: Recorder,
        counts: Arc<UsageCounts>,
    ) -> Proxy {
        let activity = Arc::<Activity>::default();
        Proxy {
            own: OwnTools::new(upstreams.clone(), config.clone(), recorder.clone(), counts.clone(), activity.clone()),
            session_profiles: SessionProfiles::default(),
            upstreams,
            offers,
            config,
            recorder,
            counts,
            pending_inputs: Arc::default(),
            activity,
        }
    }

    /// Rebuilds the search index if any server's tools have changed.
    pub async fn reindex(&self) {
        self.own.reindex().await;
    }

    /// Returns the current index.
    pub fn index(&self) -> Arc<ToolIndex> {
        self.own.index()
    }

    /// Returns the results of AI clients' searches since the core started.
    pub fn search_counts(&self) -> SearchCounts {
        self.own.search_counts()
    }

    /// Handles a call of one of the proxy's own tools that need no server; returns `None` for other tools.
    pub fn call_own(&self, name: &str, arguments: &JsonObject, scope: &ProfileScope) -> Option<CallToolResult> {
        self.own.call(name, arguments, scope)
    }

    /// Stores the profiles that sessions choose in this file.
    pub fn with_session_profiles(mut self, path: PathBuf) -> Proxy {
        self.session_profiles = SessionProfiles::load(path);
        self
    }

    /// Returns the servers that a request may see.
    pub fn profile_scope(&self, origin: &Origin) -> ProfileScope {
        self.session_profiles.scope(&self.config.borrow(), origin)
    }

    /// Returns the names of all profiles.
    pub fn profiles(&self) -> Vec<String> {
        self.config.borrow().profiles.iter().map(|profile| profile.name.clone()).collect()
    }

    /// Whether a profile exists.
    pub fn has_profile(&self, name: &str) -> bool {
        self.config.borrow().profiles.iter().any(|profile| profile.name == name)
    }

    /// Handles a call of `set_profile`.
    pub fn set_profile(&self, origin: &Origin, arguments: &JsonObject) -> CallToolResult {
        let config = self.config.borrow().clone();
        self.session_profiles.call(&config, origin, arguments)
    }

    /// Returns how to reach a tool within a scope. If its server limits concurrent calls, they must use the library
    /// path, where they can wait.
    pub fn route(
        &self,
        server: &str,
        tool: &str,
        scope: &ProfileScope,
        fits: impl FnOnce(&Tool) -> bool,
    ) -> Option<Route> {
        let route = scope.allows(server).then(|| self.upstreams.route(server, tool, fits))??;
        Some(if self.upstreams.admission().limits(server) { Route::Library } else { route })
    }

    /// Returns the number of tools in the index.
    pub fn indexed_tools(&self) -> usize {
        self.index().len()
    }

    /// Records that a client has identified itself, by `initialize` or in a request's `_meta`.
    pub fn client_seen(&self, name: Option<&str>) {
        self.recorder.client_seen(name);
    }

    /// Returns the pool of upstream servers.
    pub fn upstreams(&self) -> &UpstreamPool {
        &self.upstreams
    }

    /// Returns the latest tool calls.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Records the result of a call of an upstream tool.
    pub fn note(&self, call: CallRecorder<'_>, answer: &Result<ToolAnswer, CallError>) {
        let text = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
        match answer {
            Ok(ToolAnswer::Raw(result)) if result.get("isError") == Some(&Value::Bool(true)) => {
                let blocks = result.get("content").and_then(Value::as_array).into_iter().flatten();
                let message = blocks.filter_map(|block| block.get("text")?.as_str()).next();
                self.note_as(call, Ended::Error(message.unwrap_or_default()));
            }
            Ok(ToolAnswer::Response(CallToolResponse::Complete(result))) if result.is_error == Some(true) => {
                let message = result.content.iter().find_map(ContentBlock::as_text);
                self.note_as(call, Ended::Error(message.map(|block| block.text.as_str()).unwrap_or_default()));
            }
            Ok(ToolAnswer::Raw(_) | ToolAnswer::Response(CallToolResponse::Complete(_))) => {
                self.note_as(call, Ended::Success);
            }
            // The call continues after the client's answer.
            Ok(_) => {}
            Err(error) if error.is_blocked() => {
                if error.needs_approval() {
                    self.counts.add(Counter::ToolQuarantineBlocked);
                }
                self.note_as(call, Ended::Blocked(&text));
            }
            Err(_) => self.note_as(call, Ended::Error(&text)),
        }
    }

    /// Records a call with this result.
    pub fn note_as(&self, call: CallRecorder<'_>, ended: Ended<'_>) {
        if !matches!(ended, Ended::Blocked(_)) {
            self.own.called(call.server, call.tool);
        }
        self.activity.note(Call {
            source: call.source,
            server: call.server,
            tool: call.tool,
            took: call.since.elapsed(),
            ended,
        });
    }

    /// Returns the timeout of a request to a server.
    pub fn call_limit(&self) -> Duration {
        self.config.borrow().call_tool_timeout
    }

    /// Returns the approved prompts and resource templates.
    pub fn offers(&self) -> &Arc<OfferApprovals> {
        &self.offers
    }

    /// Creates the relay for a session's request to a server.
    pub fn relay<'a>(
        &'a self,
        server: &'a str,
        session: SessionId,
        context: &'a RequestContext<RoleServer>,
    ) -> Relay<'a> {
        Relay::new(&self.upstreams, &self.pending_inputs, self.call_limit(), server, session, context)
    }

    /// Counts a call of an upstream tool.
    pub fn upstream_called(&self) {
        self.counts.add(Counter::UpstreamCalls);
    }

    /// Counts a call of a tool that manages servers.
    pub fn server_tool_called(&self, name: &str) {
        self.counts.add(match name {
            manage_servers::UPSTREAM_SERVERS => Counter::UpstreamServers,
            _ => Counter::QuarantineSecurity,
        });
    }

    /// Counts a call of one of the three call tools.
    pub fn tool_called(&self, intent: Intent) {
        match intent {
            Intent::Read => self.counts.add(Counter::CallToolRead),
            Intent::Write => self.counts.add(Counter::CallToolWrite),
            Intent::Destructive => self.counts.add(Counter::CallToolDestructive),
        }
    }

    /// Whether a tool's annotations must match the call tool.
    pub fn is_strict(&self) -> bool {
        self.config.borrow().intent_declaration.strict_server_validation
    }

    /// Returns the maximum length of a result in characters; longer results are truncated.
    pub fn response_limit(&self) -> usize {
        self.config.borrow().tool_response_limit
    }

    /// Counts a request of a client.
    pub fn requested(&self) {
        self.counts.add(Counter::Mcp);
    }

    /// Handles a tool call; returns `None` if there is no such tool. Without `asking`, the server cannot ask the client
    /// questions.
    pub async fn call(
        &self,
        name: &str,
        arguments: &JsonObject,
        asking: Option<CallerContext<'_>>,
    ) -> Option<Result<ToolAnswer, ErrorData>> {
        let scope = asking.as_ref().map(|asking| self.profile_scope(&Origin::of(&asking.context.extensions)));
        let scope = scope.unwrap_or_default();
        if let Some(result) = self.call_own(name, arguments, &scope) {
            return Some(Ok(result.into()));
        }
        let intent = Intent::of_tool(name)?;
        self.tool_called(intent);
        Some(self.call_upstream(intent, arguments, asking, &scope).await)
    }

    async fn call_upstream(
        &self,
        intent: Intent,
        arguments: &JsonObject,
        asking: Option<CallerContext<'_>>,
        scope: &ProfileScope,
    ) -> Result<ToolAnswer, ErrorData> {
        let text = serde_json::to_string(arguments).unwrap_or_default();
        let call = match UpstreamCall::parse(&text) {
            Ok(call) => call,
            Err(error) => return Ok(self.refused(intent, &error, scope).into()),
        };
        let (server, tool_name) = call.target();
        let noting = CallRecorder {
            source: if asking.is_some() { "mcp" } else { "api" },
            since: Instant::now(),
            server,
            tool: tool_name,
        };
        let tool = match View::new(&self.upstreams, scope).tool(server, tool_name) {
            Ok(tool) => tool,
            Err(error) => {
                let mut told = refusal(&error, server, tool_name);
                if asking.is_none() {
                    // Scripts check this flag instead of reading the message.
                    told.is_error = Some(true);
                }
                self.note(noting, &Err(error));
                return Ok(told.into());
            }
        };
        let (strict, limit) = {
            let config = self.config.borrow();
            (config.intent_declaration.strict_server_validation, config.call_tool_timeout)
        };
        if strict && let Err(sentence) = intent.check(call.id(), tool.annotations.as_ref()) {
            self.note_as(noting, Ended::Blocked(&sentence));
            return Ok(failed(&sentence).into());
        }
        let session = asking.as_ref().map_or_else(|| self.upstreams.new_session(), |asking| asking.session);
        let queued = self.upstreams.waiting_calls().queued(server, tool_name);
        let admitted = self.upstreams.admission().enter(server, session).await;
        drop(queued);
        let _admitted = match admitted {
            Ok(admitted) => admitted,
            Err(busy) => {
                let told = refusal(&busy, server, tool_name);
                self.note(noting, &Err(busy));
                return Ok(told.into());
            }
        };
        self.counts.add(Counter::UpstreamCalls);
        let answer = match asking {
            None => self
                .upstreams
                .call(server, tool_name, call.arguments(), limit)
                .await
                .and_then(|result| tool_answer(server, result)),
            Some(asking) => self.relayed(&call, asking).await,
        };
        self.note(noting, &answer);
        self.answered(server, tool_name, answer)
    }

    async fn relayed(&self, call: &UpstreamCall<'_>, asking: CallerContext<'_>) -> Result<ToolAnswer, CallError> {
        let (server, tool) = call.target();
        let arguments = call.arguments();
        let again = RetryContext {
            request: Fingerprint::of(server, "tools/call", tool, &arguments.clone().into()),
            state: asking.state,
            answers: asking.answers,
        };
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
        let relay = self.relay(server, asking.session, asking.context);
        tool_answer(server, relay.pass_or_resume(request, again).await?)
    }

    /// Explains why a call was refused, with the schema of the tool's arguments.
    fn refused(&self, intent: Intent, error: &CallArgumentsError, scope: &ProfileScope) -> CallToolResult {
        let found = error.id.as_deref().and_then(|id| tool_id::split(id).ok());
        let tool = found.and_then(|(server, tool)| View::new(&self.upstreams, scope).tool(server, tool).ok());
        unreadable_call(intent, error, tool.as_ref().map(|tool| tool.input_schema.as_ref()))
    }

    /// Continues a call of one of the three call tools that is in flight.
    ///
    /// # Errors
    /// The server's error.
    pub async fn go_on(&self, started: Started, asking: CallerContext<'_>) -> Result<ToolAnswer, ErrorData> {
        let (server, tool) = (started.server.clone(), started.tool.clone());
        let relay = self.relay(&server, asking.session, asking.context);
        let since = started.since;
        let answer = relay.go_on(started).await.and_then(|result| tool_answer(&server, result));
        let noting = CallRecorder {
            source: "mcp",
            since,
            server: &server,
            tool: &tool,
        };
        self.note(noting, &answer);
        self.answered(&server, &tool, answer)
    }

    fn answered(
        &self,
        server: &str,
        tool: &str,
        answer: Result<ToolAnswer, CallError>,
    ) -> Result<ToolAnswer, ErrorData> {
        match answer {
            Ok(ToolAnswer::Response(CallToolResponse::Complete(mut result))) => {
                // Servers of earlier protocol versions omit it, but clients of the newest version require it. rmcp
                // removes it for other clients.
                result.result_type.get_or_insert(ResultType::COMPLETE);
                let texts = result.content.iter().filter_map(ContentBlock::as_text);
                let size = texts.map(|block| block.text.len()).sum();
                block_in_place_if_large(size, || self.own.shorten(server, tool, &mut result));
                Ok(result.into())
            }
            Ok(ToolAnswer::Raw(mut result)) => {
                self.own.shorten_raw(server, tool, &mut result);
                Ok(ToolAnswer::Raw(result))
            }
            Ok(other) => Ok(other),
            Err(CallError::Upstream(error)) if error.code == ErrorCode::INVALID_PARAMS => {
                let found = self.upstreams.tool(server, tool).ok();
                let schema = found.as_ref().map(|tool| tool.input_schema.as_ref());
                Ok(invalid_arguments(&error, server, tool, schema).into())
            }
            Err(CallError::Upstream(error) | CallError::Refused(error)) => Err(error),
            Err(error) => Ok(refusal(&error, server, tool).into()),
        }
    }
}

/// A call to record.
#[derive(Clone, Copy)]
pub struct CallRecorder<'a> {
    pub source: &'static str,
    pub since: Instant,
    pub server: &'a str,
    pub tool: &'a str,
}

/// The client of a call, and its answers to earlier questions.
pub struct CallerContext<'a> {
    pub session: SessionId,
    pub context: &'a RequestContext<RoleServer>,
    pub state: Option<String>,
    pub answers: Option<InputResponses>,
}

/// The result of a tool call.
pub enum ToolAnswer {
    Response(CallToolResponse),
    /// A result that the library's types cannot represent; the client receives it as the server sent it.
    Raw(Value),
}

impl ToolAnswer {
    /// Returns the result for a handler. Stores a raw result for the response to this request.
    pub fn respond(self, extensions: &Extensions) -> CallToolResponse {
        match self {
            ToolAnswer::Response(response) => response,
            ToolAnswer::Raw(result) => {
                let mut placeholder = CallToolResult::success(Vec::new());
                placeholder.meta = Some(RawResult::put(extensions, result));
                placeholder.into()
            }
        }
    }
}

impl ToolAnswer {
    /// Converts a JSON-RPC error to a result, for callers that do not use JSON-RPC.
    pub fn of_error(error: &ErrorData) -> ToolAnswer {
        failed(&error.to_string()).into()
    }

    /// Returns the result as JSON; `None` if the server asks a question first.
    pub fn to_json(&self) -> Option<Value> {
        match self {
            ToolAnswer::Response(CallToolResponse::Complete(result)) => serde_json::to_value(result).ok(),
            ToolAnswer::Response(_) => None,
            ToolAnswer::Raw(result) => Some(result.clone()),
        }
    }
}

impl<T: Into<CallToolResponse>> From<T> for ToolAnswer {
    fn from(response: T) -> ToolAnswer {
        ToolAnswer::Response(response.into())
    }
}

/// Converts a server's result of a tool call. Does not check its content.
///
/// # Errors
/// The result is not an object.
pub fn tool_answer(server: &str, result: ServerResult) -> Result<ToolAnswer, CallError> {
    let raw = match result {
        ServerResult::CallToolResult(result) => return Ok(result.into()),
        ServerResult::InputRequiredResult(request) => return Ok(CallToolResponse::from(request).into()),
        other => serde_json::to_value(other).unwrap_or_default(),
    };
    match raw {
        Value::Object(mut result) => {
            // Clients require this member.
            result.entry("content").or_insert_with(|| Value::Array(Vec::new()));
            Ok(ToolAnswer::Raw(Value::Object(result)))
        }
        other => Err(CallError::Other {
            server: server.to_owned(),
            error: format!("the result is not an object: {}", other.to_string().chars().take(60).collect::<String>()),
        }),
    }
}

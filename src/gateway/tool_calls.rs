//! Handles tool calls of clients: answers them itself, or checks them and passes them on. Independent of the transport.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, CallToolResult, ClientRequest, ContentBlock, ErrorCode,
    InputResponses, JsonObject, ResultType, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use tokio::sync::watch;

use crate::activity::{ActivityLog, BodyPolicy, Listing};
use crate::catalog::call_variant::Intent;
use crate::catalog::search_index::ToolIndex;
use crate::catalog::tool_id;
use crate::config::Config;
use crate::config::profiles::ProfileScope;
use crate::contract::api::SearchCounts;
use crate::gateway::call_arguments::{CallArgumentsError, UpstreamCall};
use crate::gateway::call_log::{Ended, RecentCalls};
use crate::gateway::call_record::{CallRecorder, Caller, Contents, ResultText, report};
use crate::gateway::direct_mode::tool_tokens::tokens_of;
use crate::gateway::input_required::{Fingerprint, PendingInputs};
use crate::gateway::profile::{Origin, SessionProfiles, View};
use crate::gateway::relay::{Relay, RetryContext};
use crate::gateway::search_mode::error_results::{failed, invalid_arguments, refusal, unreadable_call};
use crate::gateway::search_mode::manage_servers;
use crate::gateway::search_mode::own_tools::OwnTools;
use crate::gateway::sensitive_data;
use crate::gateway::tool_answer::{ToolAnswer, tool_answer};
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
    recent: Arc<RecentCalls>,
    log: ActivityLog,
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
        let recent = Arc::<RecentCalls>::default();
        Proxy {
            own: OwnTools::new(upstreams.clone(), config.clone(), recorder.clone(), counts.clone(), recent.clone()),
            session_profiles: SessionProfiles::default(),
            upstreams,
            offers,
            config,
            recorder,
            counts,
            pending_inputs: Arc::default(),
            recent,
            log: ActivityLog::default(),
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

    /// Reports calls to this log.
    pub fn with_activity_log(mut self, log: ActivityLog) -> Proxy {
        self.log = log;
        self
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
        let is_slow = self.upstreams.admission().limits(server) || sensitive_data::acts(self.body_policy(server));
        Some(if is_slow { Route::Library } else { route })
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

    /// Returns the policy for the contents of a server's calls.
    pub fn body_policy(&self, server: &str) -> BodyPolicy {
        self.config.borrow().body_policy(server)
    }

    /// Records the result of a call of an upstream tool.
    pub fn note(&self, call: CallRecorder<'_>, answer: &Result<ToolAnswer, CallError>) {
        match answer {
            Ok(answer) => {
                // Only calls through the call tools have an intent, and only their results are cut.
                let limit = if call.intent.is_some() { self.response_limit() } else { 0 };
                // The call continues after the client's answer.
                let Some(result) = ResultText::of_answer(answer, limit) else { return };
                let ended = if result.is_error { Ended::Error(&result.text) } else { Ended::Success };
                self.note_as(call, ended, result.contents());
            }
            Err(error) if error.is_blocked() => {
                if error.needs_approval() {
                    self.counts.add(Counter::ToolQuarantineBlocked);
                }
                self.note_as(call, Ended::Blocked(&error.to_string()), Contents::default());
            }
            Err(error) => self.note_as(call, Ended::Error(&error.to_string()), Contents::default()),
        }
    }

    /// Records a call with this result.
    pub fn note_as(&self, call: CallRecorder<'_>, ended: Ended<'_>, contents: Contents<'_>) {
        if !matches!(ended, Ended::Blocked(_)) {
            self.own.called(call.server, call.tool);
            self.recent.note(call.server, call.tool);
        }
        self.log.call(report(call, ended, contents, self.body_policy(call.server)));
    }

    /// Records a call of one of MCPProxy's own tools.
    pub fn note_own(&self, caller: &Caller, name: &str, arguments: &str, since: Instant, result: &CallToolResult) {
        let result = ResultText::of(result, 0);
        let call = CallRecorder {
            since,
            server: "",
            tool: name,
            intent: None,
            arguments,
            caller: Some(caller),
        };
        let ended = if result.is_error { Ended::Error(&result.text) } else { Ended::Success };
        self.log.call(report(call, ended, result.contents(), self.body_policy("")));
    }

    /// Records the list of tools that a session at the search endpoint received, and the tokens of the list that it
    /// would have received at `/mcp/all`. Returns `false` if there are no tools yet. Counting may take some time.
    pub fn note_list(&self, caller: Caller, scope: &ProfileScope, tools: &[Tool]) -> bool {
        let all_tools_tokens: u64 = self.tool_tokens(scope).values().sum();
        if all_tools_tokens == 0 {
            return false;
        }
        self.log.listing(Listing {
            client: caller.client,
            session: caller.session,
            profile: caller.profile,
            tokens: tools.iter().map(tokens_of).sum(),
            all_tools_tokens,
        });
        true
    }

    /// Returns the tokens of each server's tools, as `/mcp/all` lists them. Counting may take some time.
    pub fn tool_tokens(&self, scope: &ProfileScope) -> BTreeMap<String, u64> {
        self.own.tool_tokens(scope)
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

    /// Counts a call of a tool that manages servers. Searches of registries are not counted.
    pub fn server_tool_called(&self, name: &str) {
        match name {
            manage_servers::UPSTREAM_SERVERS => self.counts.add(Counter::UpstreamServers),
            manage_servers::QUARANTINE_SECURITY => self.counts.add(Counter::QuarantineSecurity),
            _ => {}
        }
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
        let since = Instant::now();
        if let Some(result) = self.call_own(name, arguments, &scope) {
            if let Some(asking) = &asking {
                let arguments = serde_json::to_string(arguments).unwrap_or_default();
                let caller = Caller::of(asking.context).within(scope.name());
                self.note_own(&caller, name, &arguments, since, &result);
            }
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
        let caller = asking.as_ref().map(|asking| Caller::of(asking.context).within(scope.name()));
        let noting = CallRecorder {
            since: Instant::now(),
            server,
            tool: tool_name,
            intent: Some(intent),
            arguments: call.raw_arguments().map_or("{}", |raw| raw.get()),
            caller: caller.as_ref(),
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
            self.note_as(noting, Ended::Blocked(&sentence), Contents::default());
            return Ok(failed(&sentence).into());
        }
        let policy = self.body_policy(server);
        let arguments = match sensitive_data::check_arguments(policy, server, call.arguments()) {
            Ok(arguments) => arguments,
            Err(sentence) => {
                self.note_as(noting, Ended::Blocked(&sentence), Contents::default());
                return Ok(failed(&sentence).into());
            }
        };
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
                .call(server, tool_name, arguments, limit)
                .await
                .and_then(|result| tool_answer(server, result)),
            Some(asking) => self.relayed(server, tool_name, arguments, asking).await,
        };
        self.note(noting, &answer);
        self.answered(server, tool_name, answer.map(|answer| sensitive_data::check_answer(policy, server, answer)))
    }

    async fn relayed(
        &self,
        server: &str,
        tool: &str,
        arguments: JsonObject,
        asking: CallerContext<'_>,
    ) -> Result<ToolAnswer, CallError> {
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

    /// Continues a call of one of the three call tools that is in flight; `request` contains its name and arguments.
    ///
    /// # Errors
    /// The server's error.
    pub async fn go_on(
        &self,
        started: Started,
        asking: CallerContext<'_>,
        request: (&str, &JsonObject),
    ) -> Result<ToolAnswer, ErrorData> {
        let text = serde_json::to_string(request.1).unwrap_or_default();
        let call = UpstreamCall::parse(&text).ok();
        let scope = self.profile_scope(&Origin::of(&asking.context.extensions));
        let caller = Caller::of(asking.context).within(scope.name());
        let (server, tool) = (started.server.clone(), started.tool.clone());
        let relay = self.relay(&server, asking.session, asking.context);
        let since = started.since;
        let answer = relay.go_on(started).await.and_then(|result| tool_answer(&server, result));
        let noting = CallRecorder {
            since,
            server: &server,
            tool: &tool,
            intent: Intent::of_tool(request.0),
            arguments: call.as_ref().and_then(UpstreamCall::raw_arguments).map_or("{}", |raw| raw.get()),
            caller: Some(&caller),
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

/// The client of a call, and its answers to earlier questions.
pub struct CallerContext<'a> {
    pub session: SessionId,
    pub context: &'a RequestContext<RoleServer>,
    pub state: Option<String>,
    pub answers: Option<InputResponses>,
}

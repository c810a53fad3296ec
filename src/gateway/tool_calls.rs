//! What a tool call of a client does: search, or check and pass on. Knows no transport.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, CallToolResult, ClientRequest, ContentBlock, ErrorCode,
    InputResponses, JsonObject, ResultType, ServerResult, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::catalog::call_variant;
use crate::catalog::call_variant::Intent;
use crate::catalog::search_index::ToolIndex;
use crate::catalog::tool_id;
use crate::catalog::unavailable::{Unavailable, UnavailableTools, lock};
use crate::config::Config;
use crate::config::profiles::ProfileScope;
use crate::gateway::call_log::{Activity, Call, Ended};
use crate::gateway::input_required::{Fingerprint, PendingInputs};
use crate::gateway::profile::{Catalog, Origin, ProfileCatalogs, SessionProfiles, View};
use crate::gateway::relay::{Relay, RetryContext};
use crate::gateway::search_mode::definitions::{DESCRIBE_TOOL, MOST_RECORDS, READ_CACHE, RETRIEVE_TOOLS};
use crate::gateway::search_mode::error_results::{failed, invalid_arguments, refusal};
use crate::gateway::search_mode::result_cache::ResultCache;
use crate::gateway::search_mode::retrieve_tools::Defaults;
use crate::gateway::search_mode::{describe_tool, retrieve_tools, truncate};
use crate::os::block_in_place::aside;
use crate::telemetry::store::recorder::Recorder;
use crate::telemetry::usage_counts::UsageCounts;
use crate::upstream::approvals::PendingTool;
use crate::upstream::pool::{CallError, UpstreamPool, Way};
use crate::upstream::session::in_flight::SessionId;
use crate::upstream::session::pending::Started;

/// A server's name, its list of tools where it is connected, those that wait, and why they or all of them do.
type Indexed = (String, Option<Arc<Vec<Tool>>>, Arc<Vec<PendingTool>>, Option<Unavailable>);

/// The proxy behind every MCP session.
pub struct Proxy {
    upstreams: Arc<UpstreamPool>,
    index: RwLock<Arc<ToolIndex>>,
    locked: RwLock<Arc<UnavailableTools>>,
    /// The same for profiles that were searched since.
    of_profiles: Mutex<ProfileCatalogs>,
    session_profiles: SessionProfiles,
    /// What the two were made of. Held, so that another list cannot come to lie where one of these lay.
    indexed: Mutex<Vec<Indexed>>,
    config: watch::Receiver<Arc<Config>>,
    recorder: Recorder,
    counts: Arc<UsageCounts>,
    kept: Mutex<ResultCache>,
    pending_inputs: Arc<PendingInputs>,
    activity: Activity,
}

impl Proxy {
    /// A proxy over these servers, without tools until [`Proxy::reindex`].
    pub fn new(
        upstreams: Arc<UpstreamPool>,
        config: watch::Receiver<Arc<Config>>,
        recorder: Recorder,
        counts: Arc<UsageCounts>,
    ) -> Proxy {
        Proxy {
            upstreams,
            index: RwLock::new(Arc::new(ToolIndex::empty())),
            locked: RwLock::new(Arc::new(UnavailableTools::none())),
            of_profiles: Mutex::default(),
            session_profiles: SessionProfiles::default(),
            indexed: Mutex::default(),
            config,
            recorder,
            counts,
            kept: Mutex::default(),
            pending_inputs: Arc::default(),
            activity: Activity::default(),
        }
    }

    /// Takes up the servers' tools as they are now, where they are others than before. Of many thousands it takes long, so
    /// it is done beside what is served.
    pub async fn reindex(&self) {
        let servers = self.upstreams.snapshots();
        let tools: Vec<Indexed> = servers
            .iter()
            .map(|server| (server.config.name.clone(), server.shared_tools(), server.held.clone(), lock(server)))
            .collect();
        let same = |(one, other): (&Indexed, &Indexed)| {
            (&one.0, one.3) == (&other.0, other.3)
                && one.1.as_ref().map(Arc::as_ptr) == other.1.as_ref().map(Arc::as_ptr)
                && Arc::ptr_eq(&one.2, &other.2)
        };
        {
            let indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
            if indexed.len() == tools.len() && indexed.iter().zip(&tools).all(same) {
                return;
            }
        }
        let approvals = self.upstreams.approvals();
        let make = move || (ToolIndex::of(&servers), UnavailableTools::of(&servers, &approvals));
        let Ok((index, locked)) = tokio::task::spawn_blocking(make).await else {
            return;
        };
        *self.locked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(locked);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
        *self.indexed.lock().unwrap_or_else(PoisonError::into_inner) = tools;
        self.of_profiles.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Remembers the profiles that sessions choose in this file.
    pub fn with_session_profiles(mut self, path: PathBuf) -> Proxy {
        self.session_profiles = SessionProfiles::load(path);
        self
    }

    /// The servers that a request may know of.
    pub fn profile_scope(&self, origin: &Origin) -> ProfileScope {
        self.session_profiles.scope(&self.config.borrow(), origin)
    }

    /// Whether a profile exists.
    pub fn has_profile(&self, name: &str) -> bool {
        self.config.borrow().profiles.iter().any(|profile| profile.name == name)
    }

    /// The names of all profiles.
    pub fn profiles(&self) -> Vec<String> {
        self.config.borrow().profiles.iter().map(|profile| profile.name.clone()).collect()
    }

    /// How a tool within a scope is called past the library. With a limit on its server's calls it is not: they may wait.
    pub fn fast_way(
        &self,
        server: &str,
        tool: &str,
        scope: &ProfileScope,
        fits: impl FnOnce(&Tool) -> bool,
    ) -> Option<Way> {
        let way = scope.allows(server).then(|| self.upstreams.way(server, tool, fits))??;
        Some(if self.upstreams.admission().limits(server) { Way::Long } else { way })
    }

    /// Answers a call of `set_profile`.
    pub fn set_profile(&self, origin: &Origin, arguments: &JsonObject) -> CallToolResult {
        let config = self.config.borrow().clone();
        self.session_profiles.call(&config, origin, arguments)
    }

    /// What a search within a scope looks through. A profile has a catalog of its own, so that nothing of another server
    /// shows in it, not even in its ranking.
    fn catalog(&self, scope: &ProfileScope) -> Catalog {
        if scope.is_unlimited() {
            return (self.index(), self.locked.read().unwrap_or_else(PoisonError::into_inner).clone());
        }
        let found = self.of_profiles.lock().unwrap_or_else(PoisonError::into_inner).get(scope);
        let generation = match found {
            Ok(catalog) => return catalog,
            Err(generation) => generation,
        };
        let servers = View::new(&self.upstreams, scope).snapshots();
        let approvals = self.upstreams.approvals();
        let made = (Arc::new(ToolIndex::of(&servers)), Arc::new(UnavailableTools::of(&servers, &approvals)));
        let mut kept = self.of_profiles.lock().unwrap_or_else(PoisonError::into_inner);
        kept.keep(scope.clone(), made.clone(), generation);
        made
    }

    /// How many tools a search looks through.
    pub fn indexed_tools(&self) -> usize {
        self.index().len()
    }

    /// Notes that a client has introduced itself, by `initialize` or by a request's `_meta`.
    pub fn client_seen(&self, name: Option<&str>) {
        self.recorder.client_seen(name);
    }

    /// The servers behind it.
    pub fn upstreams(&self) -> &UpstreamPool {
        &self.upstreams
    }

    /// The requests that wait for their clients' answers.
    pub fn pending_inputs(&self) -> &Arc<PendingInputs> {
        &self.pending_inputs
    }

    /// The latest tool calls.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Notes how a call of a server's tool ended.
    pub fn note(&self, call: CallRecorder<'_>, answer: &Result<CallToolResponse, CallError>) {
        let text = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
        match answer {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => {
                let said = result.content.iter().find_map(ContentBlock::as_text);
                self.note_as(call, Ended::Error(said.map(|block| block.text.as_str()).unwrap_or_default()));
            }
            Ok(CallToolResponse::Complete(_)) => self.note_as(call, Ended::Success),
            // It goes on when the client has answered.
            Ok(_) => {}
            Err(error) if error.is_blocked() => self.note_as(call, Ended::Blocked(&text)),
            Err(_) => self.note_as(call, Ended::Error(&text)),
        }
    }

    /// Notes that a call ended so.
    pub fn note_as(&self, call: CallRecorder<'_>, ended: Ended<'_>) {
        self.activity.note(Call {
            source: call.source,
            server: call.server,
            tool: call.tool,
            took: call.since.elapsed(),
            ended,
        });
    }

    /// How long a server may take for one request.
    pub fn call_limit(&self) -> Duration {
        self.config.borrow().call_tool_timeout
    }

    /// Notes a call to a server's tool.
    pub fn upstream_called(&self) {
        self.counts.upstream_call();
    }

    /// Notes a call of one of the three call tools.
    pub fn tool_called(&self, intent: Intent) {
        self.counts.call_tool(intent);
    }

    /// Whether what a server says of its tool must fit the call tool.
    pub fn is_strict(&self) -> bool {
        self.config.borrow().intent_declaration.strict_server_validation
    }

    /// How long a result may be, in characters, before it is cut.
    pub fn response_limit(&self) -> usize {
        self.config.borrow().tool_response_limit
    }

    /// Notes a request of a client.
    pub fn requested(&self) {
        self.counts.mcp_request();
    }

    /// Answers a tool call; `None` when no tool has this name. Without `asking` nobody can be asked during it.
    pub async fn call(
        &self,
        name: &str,
        arguments: &JsonObject,
        asking: Option<CallerContext<'_>>,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        let scope = asking.as_ref().map(|asking| self.profile_scope(&Origin::of(&asking.context.extensions)));
        let scope = scope.unwrap_or_default();
        if let Some(result) = self.call_own(name, arguments, &scope) {
            return Some(Ok(result.into()));
        }
        let intent = Intent::of_tool(name)?;
        self.counts.call_tool(intent);
        Some(self.call_upstream(intent, arguments, asking, &scope).await)
    }

    /// Answers a call of a tool that asks no server; `None` when it is of another.
    pub fn call_own(&self, name: &str, arguments: &JsonObject, scope: &ProfileScope) -> Option<CallToolResult> {
        match name {
            RETRIEVE_TOOLS => Some(self.retrieve_tools(arguments, scope)),
            DESCRIBE_TOOL => Some(self.describe_tool(arguments, scope)),
            READ_CACHE => Some(self.read_cache(arguments, scope)),
            _ => None,
        }
    }

    fn retrieve_tools(&self, arguments: &JsonObject, scope: &ProfileScope) -> CallToolResult {
        let now = jiff::Timestamp::now().as_second();
        self.recorder.retrieve_tools_called(now);
        self.counts.retrieve_tools();
        let usual = {
            let config = self.config.borrow();
            Defaults {
                limit: config.tools_limit,
                compact: config.tool_response_mode.as_deref() == Some("compact"),
                room: config.tool_response_limit,
            }
        };
        let asked = match retrieve_tools::Asked::read(arguments, usual) {
            Ok(asked) => asked,
            Err(sentence) => return failed(&sentence),
        };
        let (index, locked) = self.catalog(scope);
        let answer = retrieve_tools::answer(&asked, &index, &locked, |tools| self.activity.used(tools));
        self.recorder.tools_returned(index.len() as u64, answer.returned as u64, now);
        CallToolResult::success(vec![ContentBlock::text(answer.value.to_string())])
    }

    fn describe_tool(&self, arguments: &JsonObject, scope: &ProfileScope) -> CallToolResult {
        match describe_tool::Asked::read(arguments) {
            Ok(asked) => {
                let answer = describe_tool::answer(&asked, View::new(&self.upstreams, scope), &self.catalog(scope).0);
                CallToolResult::success(vec![ContentBlock::text(answer.to_string())])
            }
            Err(sentence) => failed(&sentence),
        }
    }

    async fn call_upstream(
        &self,
        intent: Intent,
        arguments: &JsonObject,
        asking: Option<CallerContext<'_>>,
        scope: &ProfileScope,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = match UpstreamCall::read(arguments) {
            Ok(call) => call,
            Err(sentence) => return Ok(failed(&sentence).into()),
        };
        let noting = CallRecorder {
            source: if asking.is_some() { "mcp" } else { "api" },
            since: Instant::now(),
            server: call.server,
            tool: call.tool,
        };
        let tool = match View::new(&self.upstreams, scope).tool(call.server, call.tool) {
            Ok(tool) => tool,
            Err(error) => {
                let mut told = refusal(&error, call.server, call.tool);
                if asking.is_none() {
                    // Whoever calls by a script looks whether it failed, and reads no words.
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
        if strict && let Err(sentence) = intent.check(call.id, tool.annotations.as_ref()) {
            self.note_as(noting, Ended::Blocked(&sentence));
            return Ok(failed(&sentence).into());
        }
        let session = asking.as_ref().map_or_else(|| self.upstreams.new_session(), |asking| asking.session);
        let _admitted = match self.upstreams.admission().enter(call.server, session).await {
            Ok(admitted) => admitted,
            Err(busy) => {
                let told = refusal(&busy, call.server, call.tool);
                self.note(noting, &Err(busy));
                return Ok(told.into());
            }
        };
        self.counts.upstream_call();
        let answer = match asking {
            None => {
                let arguments = call.arguments.clone();
                self.upstreams.call(call.server, call.tool, arguments, limit).await.map(Into::into)
            }
            Some(asking) => self.relayed(&call, asking).await,
        };
        self.note(noting, &answer);
        self.answered(call.server, call.tool, answer)
    }

    async fn relayed(&self, call: &UpstreamCall<'_>, asking: CallerContext<'_>) -> Result<CallToolResponse, CallError> {
        let again = RetryContext {
            request: Fingerprint::of(call.server, "tools/call", call.tool, &call.arguments.clone().into()),
            state: asking.state,
            answers: asking.answers,
        };
        // An empty object and never `null`: servers reject the latter.
        let request = CallToolRequestParams::new(call.tool.to_owned()).with_arguments(call.arguments.clone());
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
        let relay = Relay::new(self, call.server, asking.session, asking.context);
        response(call.server, relay.pass_or_resume(request, again).await?)
    }

    /// Goes on with a call of one of the three call tools that is under way already.
    ///
    /// # Errors
    /// The server's own.
    pub async fn go_on(&self, started: Started, asking: CallerContext<'_>) -> Result<CallToolResponse, ErrorData> {
        let (server, tool) = (started.server.clone(), started.tool.clone());
        let relay = Relay::new(self, &server, asking.session, asking.context);
        let since = started.since;
        let answer = relay.go_on(started).await.and_then(|result| response(&server, result));
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
        answer: Result<CallToolResponse, CallError>,
    ) -> Result<CallToolResponse, ErrorData> {
        match answer {
            Ok(CallToolResponse::Complete(mut result)) => {
                // Servers of earlier revisions do not say it; clients of the newest need it, and rmcp takes it away
                // again for the others.
                result.result_type.get_or_insert(ResultType::COMPLETE);
                let texts = result.content.iter().filter_map(ContentBlock::as_text);
                let size = texts.map(|block| block.text.len()).sum();
                aside(size, || self.shorten(server, tool, &mut result));
                Ok(result.into())
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

    /// Cuts what is longer than the configured limit, and keeps the whole for `read_cache`.
    fn shorten(&self, server: &str, tool: &str, result: &mut CallToolResult) {
        let limit = self.config.borrow().tool_response_limit;
        if let Some(structured) =
            result.structured_content.take_if(|value| truncate::is_longer(&value.to_string(), limit))
        {
            // The text says the same, as the protocol advises; where it does not, this does.
            let text_of =
                |block: &ContentBlock| block.as_text().and_then(|block| serde_json::from_str(&block.text).ok());
            if !result.content.iter().any(|block| text_of(block).is_some_and(|value: Value| value == structured)) {
                result.content.push(ContentBlock::text(structured.to_string()));
            }
        }
        for block in &mut result.content {
            if let ContentBlock::Text(block) = block
                && truncate::is_longer(&block.text, limit)
            {
                block.text = self.cut(server, tool, &block.text, limit);
            }
        }
    }

    /// The start of a text, and how to read on (contract: mcp-tools §2.7).
    fn cut(&self, server: &str, tool: &str, text: &str, limit: usize) -> String {
        let start = truncate::start(text, limit);
        let key = self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(server, tool, text, Instant::now());
        let Some(key) = key else {
            return format!("{start}\n\n... [truncated by mcpproxy, cache not available]");
        };
        let (size, records) = (text.chars().count(), truncate::records(text).records.len());
        format!(
            "{start}\n\n... [truncated by mcpproxy]\n\nResponse truncated (limit: {limit} chars, actual: {size} chars, \
            records: {records})\nUse read_cache tool: key=\"{key}\", offset=0, limit=50\nReturns: {{\"records\": [...], \
            \"meta\": {{\"total_records\": {records}, \"total_size\": {size}}}}}"
        )
    }

    fn read_cache(&self, arguments: &JsonObject, scope: &ProfileScope) -> CallToolResult {
        let Some(key) = arguments.get("key").and_then(Value::as_str) else {
            return failed("read_cache needs `key`: it stands at the end of the result that was cut");
        };
        let number = |name: &str, otherwise: u64| arguments.get(name).map_or(Some(otherwise), Value::as_u64);
        let Some(offset) = number("offset", 0).and_then(|offset| usize::try_from(offset).ok()) else {
            return failed("`offset` must be a whole number from 0");
        };
        let limit = number("limit", 50).filter(|limit| (1..=MOST_RECORDS).contains(limit));
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
            return failed(&format!("`limit` must be between 1 and {MOST_RECORDS}"));
        };
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key, Instant::now());
        // What another profile may see is not there at all.
        let Some(kept) = kept.filter(|kept| scope.allows(&kept.server)) else {
            return failed("no result is kept under this key: it is wrong or too old; call the tool again");
        };
        if let Err(error) = self.upstreams.tool(&kept.server, &kept.tool)
            && error.is_blocked()
        {
            return failed(&error.to_string());
        }
        let found = truncate::records(&kept.text);
        let room = self.config.borrow().tool_response_limit;
        let page = truncate::page(&found.records, offset, limit, room);
        let next = offset.saturating_add(page.len());
        let mut meta = JsonObject::new();
        meta.insert("key".into(), json!(key));
        meta.insert("total_records".into(), json!(found.records.len()));
        meta.insert("limit".into(), json!(limit));
        meta.insert("offset".into(), json!(offset));
        meta.insert("total_size".into(), json!(kept.text.chars().count()));
        if let Some(path) = found.path {
            meta.insert("record_path".into(), json!(path));
        }
        if next < found.records.len() {
            meta.insert("next_offset".into(), json!(next));
        }
        let answer = json!({"records": page, "meta": meta});
        CallToolResult::success(vec![ContentBlock::text(answer.to_string())])
    }

    /// The tools that a search looks through now.
    pub fn index(&self) -> Arc<ToolIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a tool of `/mcp` is answered from what is known here.
pub fn asks_no_server(tool: &str) -> bool {
    matches!(tool, RETRIEVE_TOOLS | DESCRIBE_TOOL | READ_CACHE)
}

/// A call that is to be noted.
#[derive(Clone, Copy)]
pub struct CallRecorder<'a> {
    pub source: &'static str,
    pub since: Instant,
    pub server: &'a str,
    pub tool: &'a str,
}

/// Who can be asked during a call, and what they have answered.
pub struct CallerContext<'a> {
    pub session: SessionId,
    pub context: &'a RequestContext<RoleServer>,
    pub state: Option<String>,
    pub answers: Option<InputResponses>,
}

pub fn response(server: &str, result: ServerResult) -> Result<CallToolResponse, CallError> {
    match result {
        ServerResult::CallToolResult(result) => Ok(result.into()),
        ServerResult::InputRequiredResult(asked) => Ok(asked.into()),
        _ => Err(CallError::Other {
            server: server.to_owned(),
            error: "it answered with something else than a tool's result".to_owned(),
        }),
    }
}

/// A checked request to an upstream's tool.
struct UpstreamCall<'a> {
    id: &'a str,
    server: &'a str,
    tool: &'a str,
    arguments: JsonObject,
}

impl<'a> UpstreamCall<'a> {
    fn read(arguments: &'a JsonObject) -> Result<UpstreamCall<'a>, String> {
        let text = |key: &str| arguments.get(key).and_then(Value::as_str);
        let id = text("name").ok_or("`name` is missing: the tool's full name, server:tool")?;
        call_variant::check_declaration(text("intent_data_sensitivity"), text("intent_reason"))?;
        let given = match (text("args_json").filter(|json| !json.is_empty()), arguments.get("args")) {
            (Some(json), _) => {
                serde_json::from_str(json).map_err(|error| format!("`args_json` is not a JSON object: {error}"))?
            }
            (None, None | Some(Value::Null)) => JsonObject::new(),
            (None, Some(Value::Object(args))) => args.clone(),
            (None, Some(_)) => return Err("`args` is not an object; send JSON text as `args_json`".to_owned()),
        };
        let (server, tool) = tool_id::split(id)?;
        Ok(UpstreamCall {
            id,
            server,
            tool,
            arguments: given,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<(String, JsonObject), String> {
        let map = value.as_object().cloned().unwrap_or_default();
        UpstreamCall::read(&map).map(|call| (format!("{}|{}", call.server, call.tool), call.arguments))
    }

    #[test]
    fn left_out_and_null_arguments_become_an_empty_object() {
        for value in [
            json!({"name": "s:t"}),
            json!({"name": "s:t", "args": null}),
            json!({"name": "s:t", "args_json": ""}),
        ] {
            assert_eq!(read(value).unwrap(), ("s|t".to_owned(), JsonObject::new()));
        }
    }

    #[test]
    fn json_text_wins_over_the_object() {
        let (_, arguments) = read(json!({"name": "s:t", "args": {"a": 1}, "args_json": "{\"b\": 2}"})).unwrap();
        assert_eq!(Value::Object(arguments), json!({"b": 2}));
    }

    #[test]
    fn what_cannot_be_called_is_refused_in_words() {
        assert!(read(json!({})).unwrap_err().contains("`name` is missing"));
        assert!(read(json!({"name": "echo"})).unwrap_err().contains("expected server:tool"));
        assert!(read(json!({"name": "s:t", "args": [1]})).unwrap_err().contains("not an object"));
        assert!(read(json!({"name": "s:t", "args_json": "[1]"})).unwrap_err().contains("not a JSON object"));
    }
}

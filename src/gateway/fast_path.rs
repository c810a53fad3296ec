//! The fast path of a tool call: forwards an HTTP request to the server's input, and the response back, with minimal
//! parsing.
//!
//! It handles ordinary requests only: a `tools/call` in a known session, for an approved tool of a local server or for
//! one of the proxy's own tools, such as the search. Everything else goes to the library unchanged. A call in flight is
//! handed to the library if it is slow, or if the server sends a request or a notification before the response.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rmcp::model::{CallToolResult, ErrorData, JsonObject};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::catalog::call_variant::Intent;
use crate::config::profiles::ProfileScope;
use crate::contract::json_rpc::is_raw_id;
use crate::gateway::call_arguments::UpstreamCall;
use crate::gateway::call_log::Ended;
use crate::gateway::call_record::{CallRecorder, Caller, Contents, ResultText};
use crate::gateway::direct_mode::qualified_name;
use crate::gateway::direct_mode::route::only_server;
use crate::gateway::fast_path_messages::{
    Cancelled, Message, ResultHead, ToolCall, is_invalid_arguments, is_readable, respond, respond_error, respond_result,
};
use crate::gateway::http::headers::{PROTOCOL_VERSION, SESSION_ID, is_json, text};
use crate::gateway::profile::Origin;
use crate::gateway::request_meta::is_of_connection;
use crate::gateway::search_mode::error_results::refusal;
use crate::gateway::search_mode::own_tools::asks_no_server;
use crate::gateway::session_registry::{Interruption, KnownSession, Sessions};
use crate::gateway::tool_answer::ToolAnswer;
use crate::gateway::tool_calls::Proxy;
use crate::upstream::error::CallError;
use crate::upstream::pool::Route;
use crate::upstream::session::in_flight::{Answer, CallEvents, CallHandle, ServerEvent};
use crate::upstream::session::pending::Started;
use crate::upstream::transport::stdio::{Pending, StdioFastPath};

/// Maximum size of a request on the fast path, in bytes.
const MAX_BODY: usize = 1 << 20;
/// How often a session in use must take the library path: the library ends sessions that it considers idle.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// The protocol versions that have sessions.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The fast path of one endpoint on one listener.
pub struct FastPath {
    pub proxy: Arc<Proxy>,
    pub sessions: Arc<Sessions>,
    /// Allowed host names, with any port; `None` if they are not checked.
    pub hosts: Option<Arc<[String]>>,
    pub mode: Mode,
}

/// The kind of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// `/mcp`: a few tools that search and call the tools of all servers.
    #[serde(rename = "own")]
    Search,
    /// `/mcp/all`: the tools of the servers.
    #[serde(rename = "all")]
    Direct,
}

/// Options of a call.
struct CallOptions<'a> {
    /// The members of `_meta` that are forwarded to the server.
    meta: &'a [(&'a str, &'a RawValue)],
    /// Whether the client requested progress notifications.
    progress: bool,
}

/// A call in flight.
struct SentCall {
    server: String,
    tool: String,
    pending: Pending,
    events: CallEvents,
    since: Instant,
}

enum Outcome {
    Answered(Response),
    /// Nothing was done; the library handles the request.
    NotTaken,
    /// The call is in flight; the library continues it.
    HandedOver(Box<Started>),
}

/// A call in flight that the library continues. Passed in the extensions of the HTTP request.
#[derive(Clone)]
pub struct HandedOver(Arc<Mutex<Option<Started>>>);

impl HandedOver {
    /// Takes the call in flight of this request; returns `Some` only once.
    pub fn take(extensions: &rmcp::model::Extensions) -> Option<Started> {
        let handed = extensions.get::<Parts>()?.extensions.get::<HandedOver>()?;
        handed.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl FastPath {
    /// Answers a request that fits the fast path; returns any other for the library.
    pub async fn try_answer(&self, request: Request) -> ControlFlow<Response, Request> {
        let Some(known) = self.session(&request) else { return ControlFlow::Continue(request) };
        let (mut parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY).await else {
            return ControlFlow::Break(StatusCode::BAD_REQUEST.into_response());
        };
        match self.answer(&known, &parts, &body).await {
            Outcome::Answered(response) => return ControlFlow::Break(response),
            Outcome::NotTaken => {}
            Outcome::HandedOver(started) => {
                parts.extensions.insert(HandedOver(Arc::new(Mutex::new(Some(*started)))));
            }
        }
        ControlFlow::Continue(Request::from_parts(parts, Body::from(body)))
    }

    /// Returns the session of a request with suitable headers. Makes the same checks as the library.
    fn session(&self, request: &Request) -> Option<Arc<KnownSession>> {
        let headers = request.headers();
        let fits = request.method() == Method::POST
            && !headers.contains_key(ORIGIN)
            && !headers.contains_key("mcp-method")
            && self.names_this_host(headers)
            && text(headers, CONTENT_TYPE.as_str()).is_some_and(is_json)
            && text(headers, ACCEPT.as_str())
                .is_some_and(|accept| accept.contains("application/json") && accept.contains("text/event-stream"))
            && !text(headers, ACCEPT.as_str()).is_some_and(|accept| accept.contains("q=0"))
            && text(headers, CONTENT_LENGTH.as_str())
                .and_then(|length| length.parse::<usize>().ok())
                .is_some_and(|length| length <= MAX_BODY)
            && headers.get(PROTOCOL_VERSION).is_none_or(|given| VERSIONS.iter().any(|known| given == known));
        if !fits {
            return None;
        }
        self.sessions.get(text(headers, SESSION_ID)?)
    }

    fn names_this_host(&self, headers: &HeaderMap) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let Some(given) = text(headers, HOST.as_str()) else { return false };
        let name = match given.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => given,
        };
        hosts.iter().any(|host| host == name)
    }

    async fn answer(&self, known: &KnownSession, parts: &Parts, body: &Bytes) -> Outcome {
        let Ok(message) = serde_json::from_slice::<Message>(body) else {
            return Outcome::NotTaken;
        };
        match (message.method.as_ref(), message.id, message.params) {
            ("notifications/cancelled", None, Some(params)) => {
                let cancelled = serde_json::from_str::<Cancelled>(params.get());
                match cancelled {
                    Ok(cancelled) if self.sessions.calls().cancel(known.id, cancelled.request.get()) => {
                        Outcome::Answered(StatusCode::ACCEPTED.into_response())
                    }
                    _ => Outcome::NotTaken,
                }
            }
            ("tools/call", Some(id), Some(params))
                if message.jsonrpc == "2.0"
                    && is_raw_id(id.get())
                    && known.since_seen() < SEEN_EVERY
                    && is_readable(body) =>
            {
                let Ok(call) = serde_json::from_str::<ToolCall>(params.get()) else {
                    return Outcome::NotTaken;
                };
                let outcome = self.call(known, parts, id, call).await.unwrap_or(Outcome::NotTaken);
                if matches!(outcome, Outcome::Answered(_)) {
                    // The library counts the other calls.
                    known.record_call();
                }
                outcome
            }
            _ => Outcome::NotTaken,
        }
    }

    /// Makes a call; returns `None` if the library must handle it.
    async fn call(&self, known: &KnownSession, parts: &Parts, id: &RawValue, call: ToolCall<'_>) -> Option<Outcome> {
        let meta = call.meta.unwrap_or_default();
        if meta.keys().any(|key| key.starts_with("io.modelcontextprotocol/")) {
            return None;
        }
        let forwarded: Vec<(&str, &RawValue)> =
            meta.iter().filter(|(key, _)| !is_of_connection(key)).map(|(key, value)| (key.as_ref(), *value)).collect();
        let mut registration = self.sessions.calls().register(known.id, id.get())?;
        known.record_use();
        let scope = self.proxy.profile_scope(&Origin::of_parts(parts));
        let caller = known.caller.clone().within(scope.name());
        let since = Instant::now();
        if let Some(result) = self.call_own(&call.name, call.arguments, &scope) {
            self.proxy.requested();
            let arguments = call.arguments.map_or("{}", RawValue::get);
            self.proxy.note_own(&caller, &call.name, arguments, since, &result);
            return Some(Outcome::Answered(respond_result(id, result)));
        }
        let progress = meta.contains_key("progressToken");
        let options = CallOptions {
            meta: &forwarded,
            progress,
        };
        let mut sent = match self.mode {
            Mode::Direct => {
                let only = only_server(&parts.uri);
                self.send_direct(known, only.as_deref(), &call.name, call.arguments, &options, &scope)?
            }
            Mode::Search => self.send_from_search(known, &call.name, call.arguments?, &options, &scope)?,
        };
        self.proxy.requested();
        self.proxy.upstream_called();
        loop {
            let first = tokio::select! {
                biased;
                Ok(interruption) = &mut registration.interrupted => match interruption {
                    Interruption::Slow => None,
                    Interruption::Cancelled => {
                        sent.pending.cancel("the client cancelled it");
                        let error = ErrorData::internal_error("the client cancelled it", None);
                        return Some(Outcome::Answered(respond_error(id, &error)));
                    }
                },
                Some(event) = sent.events.recv() => match event {
                    ServerEvent::Question(_) => Some(event),
                    ServerEvent::Progress(_) if progress => Some(event),
                    _ => continue,
                },
                answer = sent.pending.answer() => return Some(self.answered(id, sent, answer, (&call.name, call.arguments), &caller)),
            };
            return Some(Outcome::HandedOver(Box::new(sent.started(first, None))));
        }
    }

    /// Handles a call of one of the proxy's own tools on `/mcp`.
    fn call_own(&self, name: &str, arguments: Option<&RawValue>, scope: &ProfileScope) -> Option<CallToolResult> {
        if self.mode == Mode::Direct || !asks_no_server(name) {
            return None;
        }
        let arguments = arguments.map_or(Some(JsonObject::new()), |given| serde_json::from_str(given.get()).ok())?;
        self.proxy.call_own(name, &arguments, scope)
    }

    /// Sends a call of a tool on `/mcp/all`.
    fn send_direct(
        &self,
        known: &KnownSession,
        only: Option<&str>,
        name: &str,
        arguments: Option<&RawValue>,
        options: &CallOptions<'_>,
        scope: &ProfileScope,
    ) -> Option<SentCall> {
        let arguments = arguments.filter(|arguments| arguments.get() != "null");
        if arguments.is_some_and(|arguments| !arguments.get().starts_with('{')) {
            return None;
        }
        let pool = self.proxy.upstreams();
        let (server, tool) = match only {
            Some(server) => (server, name),
            None => qualified_name::split(name, |server| pool.has(server))?,
        };
        let server_path = fast(self.proxy.route(server, tool, scope, |_| true)?)?;
        SentCall::new(known, &server_path, server, tool, arguments, options)
    }

    /// Sends the call described by the arguments of `call_tool_*`.
    fn send_from_search(
        &self,
        known: &KnownSession,
        name: &str,
        arguments: &RawValue,
        options: &CallOptions<'_>,
        scope: &ProfileScope,
    ) -> Option<SentCall> {
        let intent = Intent::of_tool(name)?;
        let call = UpstreamCall::parse(arguments.get()).ok()?;
        let (server, tool) = call.target();
        let strict = self.proxy.is_strict();
        let fits = |tool: &rmcp::model::Tool| !strict || intent.check(call.id(), tool.annotations.as_ref()).is_ok();
        let server_path = fast(self.proxy.route(server, tool, scope, fits)?)?;
        let sent = SentCall::new(known, &server_path, server, tool, call.raw_arguments(), options)?;
        self.proxy.tool_called(intent);
        Some(sent)
    }

    fn answered(
        &self,
        id: &RawValue,
        sent: SentCall,
        answer: Option<Answer>,
        (name, arguments): (&str, Option<&RawValue>),
        caller: &Caller,
    ) -> Outcome {
        let (server, tool) = (sent.server.clone(), sent.tool.clone());
        let given = arguments.map_or("{}", RawValue::get);
        let through_search = match self.mode {
            Mode::Search => UpstreamCall::parse(given).ok(),
            Mode::Direct => None,
        };
        let own_arguments = through_search.as_ref().map(|call| call.raw_arguments().map_or("{}", RawValue::get));
        let record = CallRecorder {
            since: sent.since,
            server: &server,
            tool: &tool,
            intent: Intent::of_tool(name).filter(|_| self.mode == Mode::Search),
            arguments: own_arguments.unwrap_or(given),
            caller: Some(caller),
        };
        let response = match answer {
            Some(Answer::Result(result)) => {
                let too_long = self.mode == Mode::Search && result.get().len() > self.proxy.response_limit();
                let head = ResultHead::of(&result)
                    .filter(|head| head.result_type.is_none() && head.has_content() && !too_long);
                let Some(head) = head else {
                    return Outcome::HandedOver(Box::new(sent.started(None, Some(Answer::Result(result)))));
                };
                let is_error = head.is_error == Some(true);
                match is_error.then(|| serde_json::from_str(result.get())) {
                    Some(Ok(failed)) => self.proxy.note(record, &Ok(ToolAnswer::Raw(failed))),
                    Some(Err(_)) => self.proxy.note_as(record, Ended::Error(""), Contents::default()),
                    None => {
                        let length = result.get().len();
                        let long = ResultText::of_long_json(result.get());
                        let short = Contents {
                            text: result.get(),
                            is_json: true,
                            bytes: Some(length as u64),
                            received_bytes: None,
                        };
                        let contents = long.as_ref().map_or(short, |text| text.contents_of_json(length));
                        self.proxy.note_as(record, Ended::Success, contents);
                    }
                }
                respond(id, Some(&result), None)
            }
            // Invalid-params errors include the input schema, which only the library path adds.
            Some(Answer::Error(error)) if self.mode == Mode::Search && is_invalid_arguments(&error) => {
                return Outcome::HandedOver(Box::new(sent.started(None, Some(Answer::Error(error)))));
            }
            Some(Answer::Error(error)) => {
                self.proxy.note_as(record, Ended::Error(error.get()), Contents::default());
                respond(id, None, Some(&error))
            }
            None => {
                self.proxy.note_as(record, Ended::Error("the server ended during the call"), Contents::default());
                let ended = CallError::Ended { server: sent.server };
                match self.mode {
                    Mode::Direct => respond_error(id, &ErrorData::from(ended)),
                    Mode::Search => respond_result(id, refusal(&ended, &server, &tool)),
                }
            }
        };
        Outcome::Answered(response)
    }
}

impl SentCall {
    fn new(
        known: &KnownSession,
        server_path: &StdioFastPath,
        server: &str,
        tool: &str,
        arguments: Option<&RawValue>,
        options: &CallOptions<'_>,
    ) -> Option<SentCall> {
        let (caller, events) = CallHandle::of(known.id);
        // Missing arguments become an empty object, because servers reject `null`.
        let arguments = arguments.or_else(|| serde_json::from_str("{}").ok())?;
        let pending = server_path.call(tool, arguments, options.meta, options.progress, caller)?;
        Some(SentCall {
            server: server.to_owned(),
            tool: tool.to_owned(),
            pending,
            events,
            since: Instant::now(),
        })
    }

    fn started(self, first: Option<ServerEvent>, answer: Option<Answer>) -> Started {
        Started {
            server: self.server,
            tool: self.tool,
            pending: self.pending,
            events: self.events,
            since: self.since,
            first,
            answer,
        }
    }
}

fn fast(route: Route) -> Option<StdioFastPath> {
    match route {
        Route::Fast(path) => Some(path),
        Route::Library => None,
    }
}

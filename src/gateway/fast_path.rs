//! The short way of a tool call: from the client's HTTP request to the server's input, and the answer back, without either
//! being taken apart.
//!
//! Only what is quite ordinary goes this way: a `tools/call` of a session that is known, for a tool that is approved, of a
//! server that runs here, or that asks no server, such as a search. Everything else goes to the library as it came. So does
//! a call that turns out to be more: when it takes long, or when the server asks or reports something meanwhile, it is
//! handed over as it stands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::model::{CallToolResult, ErrorCode, ErrorData, JsonObject};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;

use crate::catalog::call_variant;
use crate::catalog::call_variant::Intent;
use crate::catalog::tool_id;
use crate::config::profiles::ProfileScope;
use crate::gateway::Proxy;
use crate::gateway::call_log::Ended;
use crate::gateway::direct_mode::handler::only_server;
use crate::gateway::profile::Origin;
use crate::gateway::search_mode::error_results::refusal;
use crate::gateway::tool_calls::{CallRecorder, asks_no_server};
use crate::os::memory;
use crate::upstream::pool::{CallError, Way};
use crate::upstream::session::in_flight::{Answer, CallEvents, CallHandle, ServerEvent, SessionId};
use crate::upstream::session::pending::Started;
use crate::upstream::transport::stdio::{Pending, StdioFastPath};

/// A longer request is not ordinary.
const LONGEST: usize = 1 << 20;
/// The library reads no deeper; what a server reads must not be deeper than that either.
const DEEPEST: usize = 100;
/// A call that takes longer is handed over: the library keeps its connection alive.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often waiting calls are looked after, and for how long after the last one.
const LOOK: Duration = Duration::from_millis(250);
const QUIET: u32 = 6;
/// After so many calls the memory that they took is given back to the system.
const MANY: u32 = 1000;
/// How often a session that is used must go by the library, which ends one that it does not hear of.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A session that was used within this time is not put away.
const LATELY: Duration = Duration::from_secs(10);

const SESSION_ID: &str = "mcp-session-id";
const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The revisions with sessions.
const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The sessions that may take the short way.
#[derive(Debug, Default)]
pub struct Sessions {
    known: RwLock<HashMap<String, Arc<KnownSession>>>,
    calls: Arc<Calls>,
}

impl Sessions {
    /// Whether the session of this id was used within the last seconds, by the library or past it, or is being used.
    pub fn used_lately(&self, id: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        known.is_some_and(|known| known.since(&known.used) < LATELY || self.calls.has(known.id))
    }
}

/// One session.
#[derive(Debug)]
struct KnownSession {
    id: SessionId,
    began: Instant,
    /// When the library last heard of it, and when it was last used at all: milliseconds after `began`.
    seen: AtomicU64,
    used: AtomicU64,
}

/// The calls on the short way of one address, and who tells them that they take long.
///
/// Not a timer for each: setting one disturbs the thread that waits for the network, which costs more than the call.
#[derive(Debug, Default)]
struct Calls {
    waiting: Mutex<HashMap<(SessionId, String), Waiting>>,
    /// Somebody looks after them.
    watched: AtomicBool,
    /// How many there were since memory was last given back.
    made: AtomicU32,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    tell: oneshot::Sender<Interruption>,
}

/// What a call is told while it waits for its answer.
#[derive(Debug)]
enum Interruption {
    Cancelled,
    TakesLong,
}

impl Calls {
    fn waiting(&self) -> MutexGuard<'_, HashMap<(SessionId, String), Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when a call of this id is under way: the library says what it thinks of that.
    fn note(self: &Arc<Calls>, session: SessionId, id: &str) -> Option<Noted> {
        let (tell, interrupted) = oneshot::channel();
        let key = (session, id.to_owned());
        match self.waiting().entry(key.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(Waiting {
                since: Instant::now(),
                tell,
            }),
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        if !self.watched.swap(true, Ordering::AcqRel) {
            tokio::spawn(watch(self.clone()));
        }
        Some(Noted {
            calls: self.clone(),
            key,
            interrupted,
        })
    }

    fn has(&self, session: SessionId) -> bool {
        self.waiting().keys().any(|(waiting, _)| *waiting == session)
    }

    /// `false` when no such call is under way here.
    fn cancel(&self, session: SessionId, id: &str) -> bool {
        let waiting = self.waiting().remove(&(session, id.to_owned()));
        waiting.is_some_and(|waiting| waiting.tell.send(Interruption::Cancelled).is_ok())
    }
}

/// Tells calls that take long, until a while after the last one. Then what many took is given back.
async fn watch(calls: Arc<Calls>) {
    let mut idle = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let mut waiting = calls.waiting();
        idle = if waiting.is_empty() { idle + 1 } else { 0 };
        for (_, waiting) in waiting.extract_if(|_, waiting| waiting.since.elapsed() >= PATIENCE) {
            let _ = waiting.tell.send(Interruption::TakesLong);
        }
        if idle == QUIET {
            // Under the lock: a call that is noted after this finds that nobody watches.
            calls.watched.store(false, Ordering::Release);
            break;
        }
    }
    if calls.made.load(Ordering::Relaxed) >= MANY {
        calls.made.store(0, Ordering::Relaxed);
        memory::give_back();
    }
}

/// A session's place among those; gone with it.
#[derive(Debug)]
pub struct SessionRegistration {
    sessions: Arc<Sessions>,
    id: SessionId,
    /// It was opened by `initialize`.
    opened: OnceLock<()>,
    known: OnceLock<(String, Arc<KnownSession>)>,
}

impl SessionRegistration {
    /// For a session that begins.
    pub fn new(sessions: Arc<Sessions>, id: SessionId) -> SessionRegistration {
        SessionRegistration {
            sessions,
            id,
            opened: OnceLock::new(),
            known: OnceLock::new(),
        }
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.id
    }

    /// The session was opened: its next request tells under which name.
    pub fn open(&self) {
        let _ = self.opened.set(());
    }

    /// The library has handed over a request of the session.
    pub fn note(&self, extensions: &rmcp::model::Extensions) {
        if self.opened.get().is_none() {
            return;
        }
        let header = extensions.get::<Parts>().and_then(|parts| text(&parts.headers, SESSION_ID));
        let Some(header) = header else { return };
        let (_, known) = self.known.get_or_init(|| {
            let known = Arc::new(KnownSession {
                id: self.id,
                began: Instant::now(),
                seen: AtomicU64::new(0),
                used: AtomicU64::new(0),
            });
            let mut sessions = self.sessions.known.write().unwrap_or_else(PoisonError::into_inner);
            sessions.insert(header.to_owned(), known.clone());
            (header.to_owned(), known)
        });
        known.seen.store(known.age(), Ordering::Relaxed);
        known.used.store(known.age(), Ordering::Relaxed);
    }
}

impl Drop for SessionRegistration {
    fn drop(&mut self) {
        if let Some((header, _)) = self.known.get() {
            self.sessions.known.write().unwrap_or_else(PoisonError::into_inner).remove(header);
        }
    }
}

impl KnownSession {
    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long ago that was.
    fn since(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(self.age().saturating_sub(moment.load(Ordering::Relaxed)))
    }
}

/// A call that is noted under its id for as long as this lives.
struct Noted {
    calls: Arc<Calls>,
    key: (SessionId, String),
    interrupted: oneshot::Receiver<Interruption>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.calls.waiting().remove(&self.key);
    }
}

/// What a door's short way needs to know.
#[derive(Clone)]
pub struct FastPath {
    pub proxy: Arc<Proxy>,
    pub sessions: Arc<Sessions>,
    /// Hosts that a request may name, with any port; `None` where they are not looked at.
    pub hosts: Option<Arc<[String]>>,
    pub place: Tools,
}

/// What the tools of an address are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tools {
    /// The few of `/mcp` that lead to the servers'.
    Own,
    /// The servers' own.
    All,
}

/// A request, as far as it has to be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    jsonrpc: &'a str,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCall<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<HashMap<Cow<'a, str>, IgnoredAny>>,
}

#[derive(Deserialize)]
struct Cancelled<'a> {
    #[serde(borrow, rename = "requestId")]
    request: &'a RawValue,
}

/// The arguments of `call_tool_*`.
#[derive(Deserialize)]
struct UpstreamCall<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    args_json: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    intent_data_sensitivity: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    intent_reason: Option<Cow<'a, str>>,
}

/// An answer as it is written.
#[derive(Serialize)]
struct Response200<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

/// A call on its way.
struct Sent {
    server: String,
    tool: String,
    pending: Pending,
    hearing: CallEvents,
    since: Instant,
}

/// Answers what can go the short way; gives everything else to the library.
pub async fn fast_path_middleware(State(way): State<FastPath>, request: Request, next: Next) -> Response {
    let Some(known) = way.session(&request) else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match way.answer(&known, &parts, &body).await {
        Outcome::Answered(response) => return response,
        Outcome::Ordinary => {}
        Outcome::More(started) => {
            parts.extensions.insert(HandedOver(Arc::new(Mutex::new(Some(*started)))));
        }
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

enum Outcome {
    Answered(Response),
    /// Nothing was done yet.
    Ordinary,
    /// The call is under way, and there is more to it.
    More(Box<Started>),
}

/// A call that is under way already when the library hears of it; travels in the HTTP request's extensions.
#[derive(Clone)]
pub struct HandedOver(Arc<Mutex<Option<Started>>>);

impl HandedOver {
    /// The call that is under way for this request, once.
    pub fn take(extensions: &rmcp::model::Extensions) -> Option<Started> {
        let handed = extensions.get::<Parts>()?.extensions.get::<HandedOver>()?;
        handed.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl FastPath {
    /// The session of a request that may be ordinary; what the library would look at in its head is looked at here.
    fn session(&self, request: &Request) -> Option<Arc<KnownSession>> {
        let headers = request.headers();
        let short = request.method() == Method::POST
            && !headers.contains_key(ORIGIN)
            && !headers.contains_key("mcp-method")
            && self.names_this_host(headers)
            && text(headers, CONTENT_TYPE.as_str()).is_some_and(is_json)
            && text(headers, ACCEPT.as_str())
                .is_some_and(|accept| accept.contains("application/json") && accept.contains("text/event-stream"))
            && !text(headers, ACCEPT.as_str()).is_some_and(|accept| accept.contains("q=0"))
            && text(headers, CONTENT_LENGTH.as_str())
                .and_then(|length| length.parse::<usize>().ok())
                .is_some_and(|length| length <= LONGEST)
            && headers.get(PROTOCOL_VERSION).is_none_or(|given| REVISIONS.iter().any(|known| given == known));
        if !short {
            return None;
        }
        let sessions = self.sessions.known.read().unwrap_or_else(PoisonError::into_inner);
        sessions.get(text(headers, SESSION_ID)?).cloned()
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
            return Outcome::Ordinary;
        };
        match (message.method.as_ref(), message.id, message.params) {
            ("notifications/cancelled", None, Some(params)) => {
                let cancelled = serde_json::from_str::<Cancelled>(params.get());
                match cancelled {
                    Ok(cancelled) if self.sessions.calls.cancel(known.id, cancelled.request.get()) => {
                        Outcome::Answered(StatusCode::ACCEPTED.into_response())
                    }
                    _ => Outcome::Ordinary,
                }
            }
            ("tools/call", Some(id), Some(params))
                if message.jsonrpc == "2.0" && is_id(id) && known.since(&known.seen) < SEEN_EVERY && !is_deep(body) =>
            {
                let Ok(call) = serde_json::from_str::<ToolCall>(params.get()) else {
                    return Outcome::Ordinary;
                };
                self.call(known, parts, id, call).await.unwrap_or(Outcome::Ordinary)
            }
            _ => Outcome::Ordinary,
        }
    }

    /// Makes a call; `None` when it has to go the other way.
    async fn call(&self, known: &KnownSession, parts: &Parts, id: &RawValue, call: ToolCall<'_>) -> Option<Outcome> {
        let meta = call.meta.unwrap_or_default();
        if meta.keys().any(|key| key.starts_with("io.modelcontextprotocol/")) {
            return None;
        }
        let mut noted = self.sessions.calls.note(known.id, id.get())?;
        known.used.store(known.age(), Ordering::Relaxed);
        let scope = self.proxy.profile_scope(&Origin::of_parts(parts));
        if let Some(result) = self.call_own(&call.name, call.arguments, &scope) {
            self.proxy.requested();
            return Some(Outcome::Answered(respond_result(id, result)));
        }
        let progress = meta.contains_key("progressToken");
        let mut sent = match self.place {
            Tools::All => {
                let only = only_server(&parts.uri);
                self.send(known, only.as_deref(), &call.name, call.arguments, progress, &scope)?
            }
            Tools::Own => self.send_own(known, &call.name, call.arguments?, progress, &scope)?,
        };
        self.proxy.requested();
        self.proxy.upstream_called();
        loop {
            let first = tokio::select! {
                biased;
                Ok(interruption) = &mut noted.interrupted => match interruption {
                    Interruption::TakesLong => None,
                    Interruption::Cancelled => {
                        sent.pending.cancel("the client cancelled it");
                        let error = ErrorData::internal_error("the client cancelled it", None);
                        return Some(Outcome::Answered(respond_error(id, &error)));
                    }
                },
                Some(said) = sent.hearing.recv() => match said {
                    ServerEvent::Question(_) => Some(said),
                    ServerEvent::Progress(_) if progress => Some(said),
                    _ => continue,
                },
                answer = sent.pending.answer() => return Some(self.answered(id, sent, answer)),
            };
            return Some(Outcome::More(Box::new(sent.started(first, None))));
        }
    }

    /// Answers a call of a tool of `/mcp` that asks no server.
    fn call_own(&self, name: &str, arguments: Option<&RawValue>, scope: &ProfileScope) -> Option<CallToolResult> {
        if self.place == Tools::All || !asks_no_server(name) {
            return None;
        }
        let arguments = arguments.map_or(Some(JsonObject::new()), |given| serde_json::from_str(given.get()).ok())?;
        self.proxy.call_own(name, &arguments, scope)
    }

    /// Sends a call of a tool of `/mcp/all`.
    fn send(
        &self,
        known: &KnownSession,
        only: Option<&str>,
        name: &str,
        arguments: Option<&RawValue>,
        progress: bool,
        scope: &ProfileScope,
    ) -> Option<Sent> {
        let arguments = arguments.filter(|arguments| arguments.get() != "null");
        if arguments.is_some_and(|arguments| !arguments.get().starts_with('{')) {
            return None;
        }
        let way = |server, tool| self.proxy.fast_way(server, tool, scope, |_| true);
        let (server, tool, shortcut) = match only {
            Some(server) => (server, name, short(way(server, name)?)?),
            None => name
                .rmatch_indices("__")
                .find_map(|(at, separator)| {
                    let (server, tool) = (name.get(..at)?, name.get(at + separator.len()..)?);
                    Some((server, tool, way(server, tool)?))
                })
                .and_then(|(server, tool, way)| Some((server, tool, short(way)?)))?,
        };
        Sent::new(known, &shortcut, server, tool, arguments, progress)
    }

    /// Sends what one of `call_tool_*` asks for.
    fn send_own(
        &self,
        known: &KnownSession,
        name: &str,
        arguments: &RawValue,
        progress: bool,
        scope: &ProfileScope,
    ) -> Option<Sent> {
        let intent = Intent::of_tool(name)?;
        let call: UpstreamCall = serde_json::from_str(arguments.get()).ok()?;
        call_variant::check_declaration(call.intent_data_sensitivity.as_deref(), call.intent_reason.as_deref()).ok()?;
        let args = match call.args_json.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(serde_json::from_str::<&RawValue>(text).ok()?),
            None => call.args.filter(|args| args.get() != "null"),
        };
        if args.is_some_and(|args| !args.get().starts_with('{')) {
            return None;
        }
        let (server, tool) = tool_id::split(&call.name).ok()?;
        let strict = self.proxy.is_strict();
        let fits = |tool: &rmcp::model::Tool| !strict || intent.check(&call.name, tool.annotations.as_ref()).is_ok();
        let shortcut = short(self.proxy.fast_way(server, tool, scope, fits)?)?;
        let sent = Sent::new(known, &shortcut, server, tool, args, progress)?;
        self.proxy.tool_called(intent);
        Some(sent)
    }

    fn answered(&self, id: &RawValue, sent: Sent, answer: Option<Answer>) -> Outcome {
        let (server, tool) = (sent.server.clone(), sent.tool.clone());
        let noting = CallRecorder {
            source: "mcp",
            since: sent.since,
            server: &server,
            tool: &tool,
        };
        let response = match answer {
            Some(Answer::Result(result)) => {
                let longer = self.place == Tools::Own && result.get().len() > self.proxy.response_limit();
                if longer || result.get().contains("\"resultType\"") || !result.get().starts_with('{') {
                    return Outcome::More(Box::new(sent.started(None, Some(Answer::Result(result)))));
                }
                // Only an error is read.
                let failed = result.get().contains("\"isError\":true") || result.get().contains("\"isError\": true");
                match failed.then(|| serde_json::from_str::<CallToolResult>(result.get())) {
                    Some(Ok(failed)) => self.proxy.note(noting, &Ok(failed.into())),
                    _ => self.proxy.note_as(noting, Ended::Success),
                }
                respond(id, Some(&result), None)
            }
            // It is told with the tool's schema.
            Some(Answer::Error(error)) if self.place == Tools::Own && is_invalid_arguments(&error) => {
                return Outcome::More(Box::new(sent.started(None, Some(Answer::Error(error)))));
            }
            Some(Answer::Error(error)) => {
                self.proxy.note_as(noting, Ended::Error(error.get()));
                respond(id, None, Some(&error))
            }
            None => {
                self.proxy.note_as(noting, Ended::Error("the server ended during the call"));
                let ended = CallError::Ended { server: sent.server };
                match self.place {
                    Tools::All => respond_error(id, &ErrorData::internal_error(ended.to_string(), None)),
                    Tools::Own => respond_result(id, refusal(&ended, &server, &tool)),
                }
            }
        };
        Outcome::Answered(response)
    }
}

impl Sent {
    fn new(
        known: &KnownSession,
        shortcut: &StdioFastPath,
        server: &str,
        tool: &str,
        arguments: Option<&RawValue>,
        progress: bool,
    ) -> Option<Sent> {
        let (caller, hearing) = CallHandle::of(known.id);
        // An empty object and never `null`: servers reject the latter.
        let arguments = arguments.or_else(|| serde_json::from_str("{}").ok())?;
        let pending = shortcut.call(tool, arguments, progress, caller)?;
        Some(Sent {
            server: server.to_owned(),
            tool: tool.to_owned(),
            pending,
            hearing,
            since: Instant::now(),
        })
    }

    fn started(self, first: Option<ServerEvent>, answer: Option<Answer>) -> Started {
        Started {
            server: self.server,
            tool: self.tool,
            pending: self.pending,
            hearing: self.hearing,
            since: self.since,
            first,
            answer,
        }
    }
}

fn short(way: Way) -> Option<StdioFastPath> {
    match way {
        Way::Short(shortcut) => Some(shortcut),
        Way::Long => None,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a media type says that a body is JSON.
pub fn is_json(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Whether it is a text or a number.
fn is_id(id: &RawValue) -> bool {
    id.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

/// Whether arrays and objects lie deeper in each other than anybody needs.
fn is_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

/// Whether a server's error is about what it was given.
fn is_invalid_arguments(error: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Coded {
        code: i32,
    }
    serde_json::from_str::<Coded>(error.get()).is_ok_and(|error| error.code == ErrorCode::INVALID_PARAMS.0)
}

fn respond_error(id: &RawValue, error: &ErrorData) -> Response {
    respond(id, None, to_raw_value(error).ok().as_deref())
}

fn respond_result(id: &RawValue, mut result: CallToolResult) -> Response {
    // The revisions with sessions know no kinds of results.
    result.result_type = None;
    respond(id, to_raw_value(&result).ok().as_deref(), None)
}

fn respond(id: &RawValue, result: Option<&RawValue>, error: Option<&RawValue>) -> Response {
    let answer = Response200 {
        jsonrpc: "2.0",
        id,
        result,
        error,
    };
    match serde_json::to_vec(&answer) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts_only() {
        assert!(!is_deep(br#"{"a": "[[[[[[\"[[[[["}"#));
        let deep = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
        assert!(!is_deep(deep(DEEPEST).as_bytes()));
        assert!(is_deep(deep(DEEPEST + 1).as_bytes()));
        assert!(!is_deep("[]".repeat(500).as_bytes()));
    }

    #[test]
    fn an_id_is_a_text_or_a_number() {
        for (id, is) in [
            ("1", true),
            ("-1", true),
            ("\"a\"", true),
            ("null", false),
            ("{}", false),
            ("true", false),
        ] {
            assert_eq!(is_id(serde_json::from_str(id).unwrap()), is, "{id}");
        }
    }
}

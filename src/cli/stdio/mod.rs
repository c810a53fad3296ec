//! `mcpproxy stdio`: an AI client's standard input and output, led to the core's MCP endpoint.
//!
//! It starts no core: the tray or `mcpproxy serve` keeps one for all clients. A core that restarts is found again: the
//! client's own `initialize` is said once more.

pub mod frame;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::client::{CallError, Client, Reply};
use crate::gateway::http::invalid_request;

/// How long answers may still come after the client has closed its end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const START_ONE: &str = "start the MCPProxy app, or `mcpproxy serve`";

/// Serves the client on standard input and output until it closes its end.
pub async fn stdio(link: &CoreLink) -> Result<(), CliError> {
    let Some(core) = link.running() else {
        let sentence = format!("no core answers at `{}`", link.local_address());
        return Err(CliError::new("DAEMON_NOT_RUNNING", sentence).guided(format!("{START_ONE}, and try again")));
    };
    let (lines, from_client) = mpsc::channel(16);
    let (to_client, answers) = mpsc::channel(16);
    // Threads of their own: a client that neither reads nor writes must not hold up the other direction.
    std::thread::spawn(move || read_lines(&lines));
    let writer = std::thread::spawn(move || write_lines(answers));
    let bridge = Arc::new(Bridge {
        core: Client::new(core.endpoint().clone(), "mcp", env!("CARGO_PKG_VERSION")),
        session: tokio::sync::Mutex::default(),
        waiting: Mutex::default(),
        to_client,
    });
    bridge.follow(from_client).await;
    drop(bridge);
    let _ = writer.join();
    Ok(())
}

fn read_lines(lines: &mpsc::Sender<String>) {
    for line in std::io::stdin().lock().split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !line.is_empty() && lines.blocking_send(line).is_err() {
            return;
        }
    }
}

fn write_lines(mut answers: mpsc::Receiver<Value>) {
    let mut stdout = std::io::stdout().lock();
    while let Some(message) = answers.blocking_recv() {
        // `Display` of a value holds no line break: one message is one line.
        if writeln!(stdout, "{message}").and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

struct Bridge {
    core: Client,
    session: tokio::sync::Mutex<Session>,
    /// The requests that wait for an answer, by id: a client without a session cancels by closing the exchange.
    waiting: Mutex<HashMap<String, AbortHandle>>,
    to_client: mpsc::Sender<Value>,
}

/// What the client's `initialize` began.
#[derive(Default)]
struct Session {
    hello: Option<Value>,
    id: Option<String>,
    revision: Option<String>,
    listening: Option<AbortHandle>,
}

impl Session {
    fn headers(&self) -> Vec<(&'static str, String)> {
        let id = self.id.clone().map(|id| ("mcp-session-id", id));
        let revision = self.revision.clone().map(|revision| ("mcp-protocol-version", revision));
        id.into_iter().chain(revision).collect()
    }
}

impl Bridge {
    /// Takes the client's messages until its end.
    async fn follow(self: &Arc<Bridge>, mut from_client: mpsc::Receiver<String>) {
        let mut requests = JoinSet::new();
        loop {
            let line = tokio::select! {
                line = from_client.recv() => line,
                () = self.to_client.closed() => None,
            };
            let Some(line) = line else { break };
            while requests.try_join_next().is_some() {}
            let message = match invalid_request::read(line.as_bytes()) {
                Ok(message) => message,
                Err(refusal) => {
                    self.say(refusal.into()).await;
                    continue;
                }
            };
            match (frame::request_id(&message), frame::method(&message)) {
                // Nothing else makes sense before its answer.
                (Some(_), "initialize") => self.begin(message).await,
                (Some(id), _) => {
                    let (bridge, key) = (self.clone(), id.to_string());
                    let task = requests.spawn(async move { bridge.ask(message).await });
                    self.waiting().insert(key, task);
                }
                (None, "notifications/cancelled") if self.session.lock().await.id.is_none() => self.cancel(&message),
                (None, "notifications/initialized") => {
                    self.tell(&message).await;
                    self.listen(&mut *self.session.lock().await);
                }
                (None, _) => self.tell(&message).await,
            }
        }
        let answered = async { while requests.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, answered).await;
        requests.shutdown().await;
        let session = self.session.lock().await;
        if let Some(listening) = &session.listening {
            listening.abort();
        }
        if session.id.is_some() {
            let headers = session.headers();
            let ended = self.core.exchange_message(Method::DELETE, &headers, None);
            let _ = tokio::time::timeout(LAST_ANSWERS, ended).await;
        }
    }

    /// A request's way: its answer, or a sentence in its place.
    async fn ask(self: Arc<Bridge>, message: Value) {
        let id = frame::request_id(&message).cloned().unwrap_or_default();
        let mut answered = false;
        let outcome = match self.exchange(&message).await {
            Ok(mut reply) => {
                while let Some(mut said) = reply.next().await {
                    if !reply.status.is_success() && said.get("error").is_some_and(Value::is_object) {
                        // An HTTP error may not repeat whose it is.
                        said.as_object_mut().map(|said| said.insert("id".to_owned(), id.clone()));
                    }
                    answered |= said.get("method").is_none() && said.get("id") == Some(&id);
                    if said.get("jsonrpc").is_some() {
                        self.say(said).await;
                    }
                }
                format!("the core ended before it answered ({})", reply.status)
            }
            Err(error) => failure_sentence(&error),
        };
        self.waiting().remove(&id.to_string());
        if !answered {
            self.say(frame::failure(&id, &outcome)).await;
        }
    }

    /// A notification's or an answer's way.
    async fn tell(&self, message: &Value) {
        if let Err(error) = self.exchange_as_is(message).await {
            tracing::debug!("a message of the client did not reach the core: {error}");
        }
    }

    fn cancel(&self, message: &Value) {
        let id = message.pointer("/params/requestId").map(Value::to_string).unwrap_or_default();
        if let Some(request) = self.waiting().remove(&id) {
            request.abort();
        }
    }

    /// The client's `initialize`.
    async fn begin(&self, hello: Value) {
        let id = frame::request_id(&hello).cloned().unwrap_or_default();
        let mut session = self.session.lock().await;
        let answer = self.greet(&mut session, &hello).await;
        session.hello = Some(hello);
        self.say(answer.unwrap_or_else(|sentence| frame::failure(&id, &sentence))).await;
    }

    /// Says `initialize` to the core, and takes up the session it begins.
    async fn greet(&self, session: &mut Session, hello: &Value) -> Result<Value, String> {
        let reply = self.core.exchange_message(Method::POST, &[], Some(hello)).await;
        let mut reply = reply.map_err(|error| failure_sentence(&error))?;
        let id = frame::request_id(hello);
        while let Some(said) = reply.next().await {
            if said.get("method").is_none() && said.get("id") == id {
                let revision = said.pointer("/result/protocolVersion").and_then(Value::as_str).map(str::to_owned);
                (session.id, session.revision) = (reply.session, revision);
                return Ok(said);
            }
        }
        Err(format!("the core ended before it answered ({})", reply.status))
    }

    /// An exchange in the client's session, which is begun anew where the core has forgotten it.
    async fn exchange(self: &Arc<Bridge>, message: &Value) -> Result<Reply, CallError> {
        let used = self.session.lock().await.id.clone();
        let reply = self.exchange_as_is(message).await?;
        if reply.status != StatusCode::NOT_FOUND || used.is_none() || frame::is_sessionless(message) {
            return Ok(reply);
        }
        self.renew(used).await;
        self.exchange_as_is(message).await
    }

    async fn exchange_as_is(&self, message: &Value) -> Result<Reply, CallError> {
        let headers = if frame::is_sessionless(message) {
            frame::own_headers(message)
        } else {
            self.session.lock().await.headers()
        };
        self.core.exchange_message(Method::POST, &headers, Some(message)).await
    }

    /// Begins the session anew, unless that was done meanwhile.
    async fn renew(self: &Arc<Bridge>, used: Option<String>) {
        let mut session = self.session.lock().await;
        let Some(hello) = session.hello.clone().filter(|_| session.id == used) else { return };
        match self.greet(&mut session, &hello).await {
            Ok(_) => {
                let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
                let told = self.core.exchange_message(Method::POST, &session.headers(), Some(&initialized)).await;
                if told.is_ok() {
                    self.listen(&mut session);
                    // The core is another one: what it offers may be, too.
                    self.say(json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})).await;
                }
            }
            Err(sentence) => tracing::debug!("the session was not begun anew: {sentence}"),
        }
    }

    /// Hears what the core says of itself: changed lists, its own requests, log lines.
    fn listen(self: &Arc<Bridge>, session: &mut Session) {
        if session.id.is_none() {
            return;
        }
        let (bridge, headers, used) = (self.clone(), session.headers(), session.id.clone());
        let listening = tokio::spawn(async move {
            let mut pause = SHORTEST_PAUSE;
            loop {
                match bridge.core.exchange_message(Method::GET, &headers, None).await {
                    Ok(mut reply) if reply.status == StatusCode::OK => {
                        pause = SHORTEST_PAUSE;
                        while let Some(said) = reply.next().await {
                            bridge.say(said).await;
                        }
                    }
                    // This task ends with the session it hears; the new one has a listener of its own.
                    Ok(reply) if reply.status == StatusCode::NOT_FOUND => return renew_later(bridge, used),
                    Ok(_) => return,
                    Err(_) => {}
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        if let Some(former) = session.listening.replace(listening.abort_handle()) {
            former.abort();
        }
    }

    async fn say(&self, message: Value) {
        // A client that is gone hears nothing; the loop ends by itself then.
        let _ = self.to_client.send(message).await;
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In a task of its own: the listener, whose place it takes, is aborted on the way.
fn renew_later(bridge: Arc<Bridge>, used: Option<String>) {
    tokio::spawn(async move { bridge.renew(used).await });
}

fn failure_sentence(error: &CallError) -> String {
    if error.is_not_running() { format!("{error}: {START_ONE}") } else { error.to_string() }
}

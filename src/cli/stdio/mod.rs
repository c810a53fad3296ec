//! `mcpproxy stdio`: forwards an AI client's standard input and output to the core's MCP endpoint.
//!
//! It does not start a core: the tray or `mcpproxy serve` runs one for all clients. After a restart of the core it
//! reconnects by sending the client's `initialize` again.

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
use crate::contract::exact_numbers::{hold, restore_text};
use crate::contract::json_rpc::Notification;
use crate::gateway::http::invalid_request;

/// How long to wait for responses after the client has closed its input.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);
const START_CORE: &str = "start the MCPProxy app, or run `mcpproxy serve`";

/// Serves the client on standard input and output until it closes its input.
pub async fn stdio(link: &CoreLink) -> Result<(), CliError> {
    link.require_response()?;
    let Some(core) = link.running() else {
        let sentence = format!("MCPProxy is not running (no answer at `{}`)", link.local_address());
        return Err(CliError::new("DAEMON_NOT_RUNNING", sentence).guided(format!("{START_CORE}, and try again")));
    };
    let (lines, from_client) = mpsc::channel(16);
    let (to_client, answers) = mpsc::channel(16);
    // Separate threads: a client that stops reading or writing must not block the other direction.
    std::thread::spawn(move || read_lines(&lines));
    let writer = std::thread::spawn(move || write_lines(answers));
    let bridge = Arc::new(Bridge {
        core: Client::new(core.endpoint().clone(), "mcp", env!("CARGO_PKG_VERSION")),
        session: tokio::sync::Mutex::default(),
        in_flight: Mutex::default(),
        to_client,
    });
    bridge.run(from_client).await;
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
        // `Display` of a JSON value contains no line break, so one message is one line.
        if writeln!(stdout, "{}", restore_text(&message.to_string())).and_then(|()| stdout.flush()).is_err() {
            return;
        }
    }
}

struct Bridge {
    core: Client,
    session: tokio::sync::Mutex<Session>,
    /// Requests in flight by ID. Without a session, cancelling a request means closing its HTTP exchange.
    in_flight: Mutex<HashMap<String, AbortHandle>>,
    to_client: mpsc::Sender<Value>,
}

/// The session that the client's `initialize` started.
#[derive(Default)]
struct Session {
    initialize: Option<Value>,
    id: Option<String>,
    protocol_version: Option<String>,
    listener: Option<AbortHandle>,
}

impl Session {
    fn headers(&self) -> Vec<(&'static str, String)> {
        let id = self.id.clone().map(|id| ("mcp-session-id", id));
        let version = self.protocol_version.clone().map(|version| ("mcp-protocol-version", version));
        id.into_iter().chain(version).collect()
    }
}

impl Bridge {
    /// Forwards the client's messages until it closes its input.
    async fn run(self: &Arc<Bridge>, mut from_client: mpsc::Receiver<String>) {
        let mut requests = JoinSet::new();
        loop {
            let line = tokio::select! {
                line = from_client.recv() => line,
                () = self.to_client.closed() => None,
            };
            let Some(line) = line else { break };
            while requests.try_join_next().is_some() {}
            let message = match invalid_request::read(hold(&line).as_bytes()) {
                Ok(message) => message,
                Err(refusal) => {
                    self.send(refusal.into()).await;
                    continue;
                }
            };
            match (frame::request_id(&message), frame::method(&message)) {
                // Every later message needs its response.
                (Some(_), "initialize") => self.begin(message).await,
                (Some(id), _) => {
                    let (bridge, key) = (self.clone(), id.to_string());
                    let task = requests.spawn(async move { bridge.forward_request(message).await });
                    self.in_flight().insert(key, task);
                }
                (None, "notifications/cancelled") if self.session.lock().await.id.is_none() => self.cancel(&message),
                (None, "notifications/initialized") => {
                    self.forward_notification(&message).await;
                    self.listen(&mut *self.session.lock().await);
                }
                (None, _) => self.forward_notification(&message).await,
            }
        }
        let answered = async { while requests.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, answered).await;
        requests.shutdown().await;
        let session = self.session.lock().await;
        if let Some(listener) = &session.listener {
            listener.abort();
        }
        if session.id.is_some() {
            let headers = session.headers();
            let ended = self.core.exchange_message(Method::DELETE, &headers, None);
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, ended).await;
        }
    }

    /// Forwards a request; answers with an error if the core does not respond.
    async fn forward_request(self: Arc<Bridge>, message: Value) {
        let id = frame::request_id(&message).cloned().unwrap_or_default();
        let mut answered = false;
        let outcome = match self.exchange(&message).await {
            Ok(mut reply) => {
                while let Some(mut message) = reply.next().await {
                    if !reply.status.is_success() && message.get("error").is_some_and(Value::is_object) {
                        // The body of an HTTP error may lack the request's ID.
                        message.as_object_mut().map(|message| message.insert("id".to_owned(), id.clone()));
                    }
                    answered |= message.get("method").is_none() && message.get("id") == Some(&id);
                    if message.get("jsonrpc").is_some() {
                        self.send(message).await;
                    }
                }
                format!("MCPProxy stopped before it answered ({})", reply.status)
            }
            Err(error) => error_message(&error),
        };
        self.in_flight().remove(&id.to_string());
        if !answered {
            self.send(frame::failure(&id, &outcome)).await;
        }
    }

    /// Forwards a notification or a response.
    async fn forward_notification(&self, message: &Value) {
        if let Err(error) = self.exchange_as_is(message).await {
            tracing::debug!("could not forward a message to the core: {error}");
        }
    }

    fn cancel(&self, message: &Value) {
        let id = message.pointer("/params/requestId").map(Value::to_string).unwrap_or_default();
        if let Some(request) = self.in_flight().remove(&id) {
            request.abort();
        }
    }

    /// Forwards the client's `initialize`.
    async fn begin(&self, initialize: Value) {
        let id = frame::request_id(&initialize).cloned().unwrap_or_default();
        let mut session = self.session.lock().await;
        let answer = self.initialize(&mut session, &initialize).await;
        session.initialize = Some(initialize);
        self.send(answer.unwrap_or_else(|error| frame::failure(&id, &error))).await;
    }

    /// Sends `initialize` to the core and stores the new session.
    async fn initialize(&self, session: &mut Session, initialize: &Value) -> Result<Value, String> {
        let reply = self.core.exchange_message(Method::POST, &[], Some(initialize)).await;
        let mut reply = reply.map_err(|error| error_message(&error))?;
        let id = frame::request_id(initialize);
        while let Some(message) = reply.next().await {
            if message.get("method").is_none() && message.get("id") == id {
                let version = message.pointer("/result/protocolVersion").and_then(Value::as_str).map(str::to_owned);
                (session.id, session.protocol_version) = (reply.session, version);
                return Ok(message);
            }
        }
        Err(format!("MCPProxy stopped before it answered ({})", reply.status))
    }

    /// Sends a message in the client's session; starts a new session if the core no longer knows it.
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

    /// Starts a new session, unless another task has done so.
    async fn renew(self: &Arc<Bridge>, used: Option<String>) {
        let mut session = self.session.lock().await;
        let Some(initialize) = session.initialize.clone().filter(|_| session.id == used) else {
            return;
        };
        match self.initialize(&mut session, &initialize).await {
            Ok(_) => {
                let initialized = notification("notifications/initialized");
                let sent = self.core.exchange_message(Method::POST, &session.headers(), Some(&initialized)).await;
                if sent.is_ok() {
                    self.listen(&mut session);
                    // The restarted core may offer other tools.
                    self.send(notification("notifications/tools/list_changed")).await;
                }
            }
            Err(error) => tracing::debug!("could not start a new session: {error}"),
        }
    }

    /// Receives what the core sends on its own: changed lists, requests and log messages.
    fn listen(self: &Arc<Bridge>, session: &mut Session) {
        if session.id.is_none() {
            return;
        }
        let (bridge, headers, used) = (self.clone(), session.headers(), session.id.clone());
        let listener = tokio::spawn(async move {
            let mut delay = MIN_RETRY_DELAY;
            loop {
                match bridge.core.exchange_message(Method::GET, &headers, None).await {
                    Ok(mut reply) if reply.status == StatusCode::OK => {
                        delay = MIN_RETRY_DELAY;
                        while let Some(message) = reply.next().await {
                            bridge.send(message).await;
                        }
                    }
                    // A new session has its own listener, so this task ends with its session.
                    Ok(reply) if reply.status == StatusCode::NOT_FOUND => return renew_later(bridge, used),
                    Ok(_) => return,
                    Err(_) => {}
                }
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(MAX_RETRY_DELAY);
            }
        });
        if let Some(former) = session.listener.replace(listener.abort_handle()) {
            former.abort();
        }
    }

    async fn send(&self, message: Value) {
        // If the client is gone, the main loop ends by itself.
        let _ = self.to_client.send(message).await;
    }

    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews the session in a separate task, because renewing aborts the listener that calls this.
fn renew_later(bridge: Arc<Bridge>, used: Option<String>) {
    tokio::spawn(async move { bridge.renew(used).await });
}

fn notification(method: &str) -> Value {
    json!(Notification::<()>::new(method, None))
}

fn error_message(error: &CallError) -> String {
    if error.is_not_running() { format!("{error}: {START_CORE}") } else { error.to_string() }
}

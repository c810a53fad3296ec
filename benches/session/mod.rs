//! Helpers of the benchmarks: a client's session, and a running proxy.

use std::net::SocketAddr;
use std::process::Child;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// One MCP session on one connection, or on two for the legacy transport.
pub struct Session {
    connection: SendRequest<Full<Bytes>>,
    target: Target,
    id: Option<String>,
    events: Option<Events>,
}

/// The address of a proxy.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// The path for streamable HTTP; `sse:/path` for the legacy HTTP+SSE transport, where responses arrive on a GET's
    /// stream whose first event contains the path for POST.
    pub path: String,
}

/// The event stream of the legacy transport.
struct Events {
    /// Dropping the connection would end the stream.
    _connection: SendRequest<Full<Bytes>>,
    stream: Incoming,
    read: Vec<u8>,
}

/// Why something failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (connection, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(connection)
}

impl Events {
    async fn open(target: &Target, path: &str) -> Result<Events, Failure> {
        let mut connection = connect(target).await?;
        let request =
            Request::get(path).header("host", target.address.to_string()).header("accept", "text/event-stream");
        let response = connection.send_request(request.body(Full::default())?).await?;
        if !response.status().is_success() {
            return Err(format!("{} to the stream's GET", response.status()).into());
        }
        Ok(Events {
            _connection: connection,
            stream: response.into_body(),
            read: Vec::new(),
        })
    }

    /// Returns the data of the next event with data.
    async fn next(&mut self) -> Result<Bytes, Failure> {
        let mut seen = 0;
        loop {
            let end = self.read.get(seen..).and_then(|new| memchr::memchr(b'\n', new)).map(|at| seen + at + 1);
            if let Some(end) = end {
                let rest = self.read.split_off(end);
                let line = std::mem::replace(&mut self.read, rest);
                seen = 0;
                if let Some(data) = line.strip_prefix(b"data:") {
                    return Ok(Bytes::copy_from_slice(data.trim_ascii()));
                }
                continue;
            }
            seen = self.read.len();
            let frame = self.stream.frame().await.ok_or("the stream ended")??;
            self.read.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        }
    }

    /// Returns the next message that is a response.
    async fn answer(&mut self) -> Result<Bytes, Failure> {
        loop {
            let data = self.next().await?;
            // Notifications and the server's requests begin with their method.
            let start = data.get(..data.len().min(60)).unwrap_or_default();
            if !start.windows(8).any(|part| part == b"\"method\"") {
                return Ok(data);
            }
        }
    }
}

impl Session {
    /// Connects and initializes the session.
    pub async fn open(mut target: Target) -> Result<Session, Failure> {
        let mut events = None;
        if let Some(path) = target.path.strip_prefix("sse:") {
            let mut stream = Events::open(&target, path).await?;
            target.path = String::from_utf8(stream.next().await?.to_vec())?;
            events = Some(stream);
        }
        let mut session = Session {
            connection: connect(&target).await?,
            target,
            id: None,
            events,
        };
        session
            .ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
                "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}}))
            .await?;
        session.post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string()).await?;
        Ok(session)
    }

    async fn post(&mut self, body: String) -> Result<Bytes, Failure> {
        let mut request = Request::post(&self.target.path)
            .header("host", self.target.address.to_string())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(id) = &self.id {
            request = request.header("mcp-session-id", id).header("mcp-protocol-version", "2025-06-18");
        }
        self.connection.ready().await?;
        let response: Response<_> = self.connection.send_request(request.body(Full::from(body))?).await?;
        if let Some(id) = response.headers().get("mcp-session-id") {
            self.id = Some(id.to_str()?.to_owned());
        }
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(format!("{status}: {body:?}").into()) }
    }

    /// Returns the unparsed response, so that parsing does not count as latency.
    pub async fn exchange(&mut self, request: &Value) -> Result<Bytes, Failure> {
        let body = self.post(request.to_string()).await?;
        match &mut self.events {
            Some(events) => events.answer().await,
            None => Ok(body),
        }
    }

    /// Returns the result of a request, from JSON or from an event.
    pub async fn ask(&mut self, request: &Value) -> Result<Value, Failure> {
        let body = self.exchange(request).await?;
        result(&body, request)
    }
}

/// Extracts the result from a response.
pub fn result(body: &[u8], request: &Value) -> Result<Value, Failure> {
    let text = std::str::from_utf8(body)?;
    let messages = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
    let found = messages.filter_map(|text| serde_json::from_str::<Value>(text).ok()).find(|m| m["id"] == request["id"]);
    let result = found.and_then(|mut message| message.get_mut("result").map(Value::take));
    let start: String = text.chars().take(300).collect();
    result.filter(|result| result["isError"] != true).ok_or_else(|| format!("no result: {start}").into())
}

/// A running proxy, killed on drop.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

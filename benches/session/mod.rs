//! What the benchmarks of calls are made of: a client's session, and a proxy that runs.

use std::net::SocketAddr;
use std::process::Child;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// One MCP session on one connection.
pub struct Session {
    connection: SendRequest<Full<Bytes>>,
    target: Target,
    id: Option<String>,
}

/// Where a proxy listens.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub path: String,
}

/// Why something did not work.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Session {
    /// Connects, and says what a client says first.
    pub async fn open(target: Target) -> Result<Session, Failure> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let mut session = Session {
            connection,
            target,
            id: None,
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
        let response = self.connection.send_request(request.body(Full::from(body))?).await?;
        if let Some(id) = response.headers().get("mcp-session-id") {
            self.id = Some(id.to_str()?.to_owned());
        }
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(format!("{status}: {body:?}").into()) }
    }

    /// The result of a request, whether it comes as JSON or as an event.
    pub async fn ask(&mut self, request: &Value) -> Result<Value, Failure> {
        let body = self.post(request.to_string()).await?;
        let text = std::str::from_utf8(&body)?;
        let messages = text.lines().map(|line| line.strip_prefix("data:").unwrap_or(line));
        let found =
            messages.filter_map(|text| serde_json::from_str::<Value>(text).ok()).find(|m| m["id"] == request["id"]);
        let result = found.and_then(|mut message| message.get_mut("result").map(Value::take));
        result.filter(|result| result["isError"] != true).ok_or_else(|| format!("no result: {text}").into())
    }
}

/// A running proxy; ended with this value.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

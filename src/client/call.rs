//! One HTTP/1.1 exchange on a connection of its own.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::error::CallError;
use super::sse::{Parser, ServerEvent};
use crate::contract::{endpoint::Endpoint, names};
use crate::os::local_stream;

/// How long a connection may take to be made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// The core says something every 30 s: after three times nothing it is gone, or this computer slept.
const EVENT_DEADLINE: Duration = Duration::from_secs(90);
/// The longest answer that is read.
const ANSWER_LIMIT: usize = 32 << 20;
/// The longest event that is read.
const EVENT_LIMIT: usize = 8 << 20;

/// A whole answer.
pub(super) struct Answer {
    pub code: u16,
    pub body: Bytes,
}

/// Sends one request and reads the whole answer within `deadline`.
pub(super) async fn answer(
    endpoint: &Endpoint,
    agent: &str,
    deadline: Duration,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<Answer, CallError> {
    let exchange = async {
        let (response, _connection) = send(endpoint, agent, method, path, "application/json", body).await?;
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(|error| {
            // `Limited` boxes both its own error and the body's; the text is all there is to keep of them.
            CallError::Garbage(format!("{error} (at most {} MiB are read)", ANSWER_LIMIT >> 20))
        })?;
        Ok(Answer {
            code,
            body: body.to_bytes(),
        })
    };
    tokio::time::timeout(deadline, exchange).await.unwrap_or_else(|_| Err(too_late(endpoint, deadline)))
}

/// A core's events, for as long as the core sends them. Dropping it closes the connection.
#[derive(Debug)]
pub struct EventStream {
    endpoint: Endpoint,
    body: Incoming,
    parser: Parser,
    waiting: std::collections::VecDeque<ServerEvent>,
    _connection: Connection,
}

impl EventStream {
    /// The next event; `None` when the core has ended the stream.
    ///
    /// Safe to be cancelled: no event is lost when another branch of a `select!` wins.
    ///
    /// # Errors
    /// [`CallError`]; the stream is then at its end.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, CallError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(EVENT_DEADLINE, self.body.frame())
                .await
                .map_err(|_| too_late(&self.endpoint, EVENT_DEADLINE))?;
            let Some(frame) = frame.transpose().map_err(broken)? else { return Ok(None) };
            if let Some(bytes) = frame.data_ref() {
                let events = self
                    .parser
                    .push(bytes)
                    .map_err(|_| CallError::Garbage(format!("an event is longer than {} MiB", EVENT_LIMIT >> 20)))?;
                self.waiting.extend(events);
            }
        }
    }
}

/// Opens the event stream; the answer's head must come within `deadline`.
pub(super) async fn events(endpoint: &Endpoint, agent: &str, deadline: Duration) -> Result<EventStream, CallError> {
    let opened = send(endpoint, agent, Method::GET, "/events", "text/event-stream", None);
    let (response, connection) =
        tokio::time::timeout(deadline, opened).await.unwrap_or_else(|_| Err(too_late(endpoint, deadline)))?;
    let code = response.status().as_u16();
    if code != 200 {
        return Err(CallError::from_answer(code, b""));
    }
    Ok(EventStream {
        endpoint: endpoint.clone(),
        body: response.into_body(),
        parser: Parser::new(EVENT_LIMIT),
        waiting: std::collections::VecDeque::new(),
        _connection: connection,
    })
}

/// The task that moves a connection's bytes; ends with its holder.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(
    endpoint: &Endpoint,
    agent: &str,
    method: Method,
    path: &str,
    accept: &str,
    body: Option<Vec<u8>>,
) -> Result<(Response<Incoming>, Connection), CallError> {
    let stream = tokio::time::timeout(CONNECT_DEADLINE, connect(endpoint))
        .await
        .map_err(|_| too_late(endpoint, CONNECT_DEADLINE))?
        .map_err(|error| CallError::from_connect(&endpoint.to_string(), error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = Connection(tokio::spawn(async move {
        // Its error is also the error of the request, which is reported.
        let _ = connection.await;
    }));
    let request = request(endpoint, agent, method, path, accept, body)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, connection))
}

fn request(
    endpoint: &Endpoint,
    agent: &str,
    method: Method,
    path: &str,
    accept: &str,
    body: Option<Vec<u8>>,
) -> Result<Request<Full<Bytes>>, CallError> {
    let host = match endpoint {
        Endpoint::Local(_) => "localhost",
        Endpoint::Tcp { address, .. } => address,
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, accept)
        .header(header::CONNECTION, "close")
        .header(names::HEADER_CLIENT, agent);
    if let Endpoint::Tcp { key, .. } = endpoint
        && !key.is_empty()
    {
        request = request.header(names::HEADER_API_KEY, key);
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| CallError::Garbage(format!("`{path}` cannot be asked for: {error}")))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(endpoint: &Endpoint) -> io::Result<Box<dyn Stream>> {
    Ok(match endpoint {
        Endpoint::Local(address) => Box::new(local_stream::connect(address).await?),
        Endpoint::Tcp { address, .. } => Box::new(TcpStream::connect(address).await?),
    })
}

fn too_late(endpoint: &Endpoint, deadline: Duration) -> CallError {
    CallError::Timeout {
        endpoint: endpoint.to_string(),
        seconds: deadline.as_secs(),
    }
}

fn broken(error: hyper::Error) -> CallError {
    if error.is_parse() {
        return CallError::Garbage(error.to_string());
    }
    CallError::Io(io::Error::other(error))
}

#[cfg(all(test, unix))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::client::Client;
    use crate::contract::api::{Servers, Status};
    use crate::contract::endpoint::LocalAddress;

    /// A core that answers one request with these bytes, and what it was asked.
    async fn played(answer: impl AsRef<[u8]> + Send + 'static) -> (tempfile::TempDir, Client, JoinHandle<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_ref()).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        (directory, Client::new(Endpoint::Local(LocalAddress::Unix(path)), "tray", "9.9"), asked)
    }

    fn answered(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn it_introduces_itself_and_unwraps_the_envelope() {
        let body = answered("200 OK", r#"{"success":true,"data":{"servers":null,"stats":null}}"#);
        let (_directory, client, asked) = played(body).await;
        let servers: Servers = client.get("/api/v1/servers").await.unwrap();
        assert!(servers.servers.is_empty());
        let head = asked.await.unwrap().to_lowercase();
        assert!(head.starts_with("get /api/v1/servers http/1.1\r\n"), "{head}");
        assert!(head.contains("x-mcpproxy-client: tray/9.9\r\n"), "{head}");
        assert!(!head.contains("x-api-key"), "a local stream needs no key: {head}");
    }

    #[tokio::test]
    async fn a_core_that_is_not_yet_ready_is_not_an_error() {
        let (_directory, client, _) = played(answered("503 Service Unavailable", r#"{"ready":false}"#)).await;
        assert!(!client.ready().await.unwrap().ready);
    }

    #[tokio::test]
    async fn a_refusal_keeps_the_cores_words() {
        let body = answered("404 Not Found", r#"{"success":false,"error":"no such server"}"#);
        let (_directory, client, _) = played(body).await;
        let error = client.post::<serde_json::Value>("/api/v1/servers/x/restart", &()).await.unwrap_err();
        assert_eq!(error.to_string(), "no such server (HTTP 404)");
    }

    #[tokio::test]
    async fn garbage_and_silence_are_errors_and_not_hangs() {
        let (_directory, client, _) = played(b"220 mail.example ESMTP\r\n\r\n").await;
        assert!(matches!(client.get::<Status>("/api/v1/status").await, Err(CallError::Garbage(_))));
        let (_directory, client, _) = played(answered("200 OK", "<html></html>")).await;
        assert!(matches!(client.get::<Status>("/api/v1/status").await, Err(CallError::Garbage(_))));

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        let _silent = UnixListener::bind(&path).unwrap();
        let client = Client::new(Endpoint::Local(LocalAddress::Unix(path)), "tray", "9.9")
            .with_deadline(Duration::from_millis(50));
        assert!(matches!(client.ready().await, Err(CallError::Timeout { .. })));
    }

    #[tokio::test]
    async fn nobody_there_is_known_from_every_other_failure() {
        let directory = tempfile::tempdir().unwrap();
        let at =
            |name: &str| Client::new(Endpoint::Local(LocalAddress::Unix(directory.path().join(name))), "tray", "9.9");
        assert!(at("missing.sock").ready().await.unwrap_err().is_not_running());
        drop(UnixListener::bind(directory.path().join("dead.sock")).unwrap());
        assert!(at("dead.sock").ready().await.unwrap_err().is_not_running());
    }

    #[tokio::test]
    async fn events_come_one_by_one_until_the_core_ends() {
        let (_directory, client, _) = played(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hi\n\nevent: status\ndata: {}\n\nevent: ping\ndata: {}\n\n",
        )
        .await;
        let mut events = client.events().await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().name, "status");
        assert_eq!(events.next().await.unwrap().unwrap().name, "ping");
        assert_eq!(events.next().await.unwrap(), None);
    }
}

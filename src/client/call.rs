//! One request, one connection: to the local stream after its peer check, to TCP with the key.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::events::EventStream;
use crate::contract::api::{Envelope, Ready};
use crate::contract::endpoint::Endpoint;
use crate::contract::exact_numbers::{hold, restore_text};
use crate::contract::lenient;
use crate::contract::names;
use crate::os::local_stream;

/// Why a call gave no answer. Each one is a sentence for a person; none holds the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no core answers at `{address}`")]
    NotRunning { address: String },
    #[error("the core at `{address}` did not answer in time")]
    Timeout { address: String },
    #[error("the core at `{address}` refused the API key")]
    Unauthorized { address: String },
    /// The core's own sentence.
    #[error("{message}")]
    Status { code: u16, message: String },
    #[error("could not understand the answer of the core at `{address}`: {problem}")]
    Garbage { address: String, problem: String },
    #[error("the connection to the core at `{address}` failed: {problem}")]
    Io { address: String, problem: String },
}

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Ten thousand servers fit; a core that sends more is broken.
pub(super) const BODY_LIMIT: usize = 32 << 20;

/// A caller of one core.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    /// `tray/1.2.3`, for the core's count of callers.
    name: String,
    answer_limit: Duration,
    #[cfg(test)]
    #[cfg(all(feature = "tray", not(target_os = "macos")))]
    in_memory: Option<super::in_memory::InMemory>,
}

impl Client {
    /// A caller of the core at `endpoint`; nothing is opened yet. `surface` is `tray` or `cli`.
    pub fn new(endpoint: Endpoint, surface: &'static str, version: &str) -> Client {
        Client {
            endpoint,
            name: format!("{surface}/{version}"),
            answer_limit: ANSWER_LIMIT,
            #[cfg(test)]
            #[cfg(all(feature = "tray", not(target_os = "macos")))]
            in_memory: None,
        }
    }

    /// A caller that connects with `connect` instead of a socket, so that tests can pause the clock.
    #[cfg(test)]
    #[cfg(all(feature = "tray", not(target_os = "macos")))]
    pub(crate) fn in_memory(
        connect: impl Fn() -> io::Result<tokio::io::DuplexStream> + Send + Sync + 'static,
        surface: &'static str,
    ) -> Client {
        let endpoint = Endpoint::Tcp {
            address: "in-memory".to_owned(),
            key: String::new(),
        };
        let mut client = Client::new(endpoint, surface, "1");
        client.in_memory = Some(super::in_memory::InMemory::new(connect));
        client
    }

    /// The same caller, which waits this long for an answer.
    #[must_use]
    pub fn with_answer_limit(mut self, limit: Duration) -> Client {
        self.answer_limit = limit;
        self
    }

    /// The way to the core.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether the core serves already: `GET /ready`.
    ///
    /// # Errors
    /// [`CallError`]; a core that is still starting is not an error.
    pub async fn ready(&self) -> Result<bool, CallError> {
        let (status, body) = self.exchange(Method::GET, "/ready", None).await?;
        let ready: Ready = serde_json::from_slice(&body).map_err(|error| self.garbage(error))?;
        Ok(status == StatusCode::OK && ready.ready)
    }

    /// The `data` of a GET.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::GET, path, None).await
    }

    /// The `data` of a POST.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: Option<&Value>) -> Result<T, CallError> {
        self.call(Method::POST, path, body).await
    }

    /// The `data` of a POST, with its numbers held ([`exact_numbers`](crate::contract::exact_numbers)).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post_exact(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let (status, answer) = self.exchange(Method::POST, path, Some(body)).await?;
        let text = String::from_utf8_lossy(&answer);
        self.data(status, hold(&text).as_bytes())
    }

    /// The `data` of a POST, or that of the answer 409, which says what has changed.
    ///
    /// # Errors
    /// [`CallError`]; a 409 without data is one, too.
    pub async fn post_or_conflict(&self, path: &str, body: &Value) -> Result<Result<Value, Value>, CallError> {
        let (status, answer) = self.exchange(Method::POST, path, Some(body)).await?;
        if status == StatusCode::CONFLICT
            && let Ok(Envelope { data: Some(data), .. }) = serde_json::from_slice::<Envelope<Value>>(&answer)
        {
            return Ok(Err(data));
        }
        self.data(status, &answer).map(Ok)
    }

    /// The `data` of a PATCH.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, CallError> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// The `data` of a PUT.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, CallError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// The `data` of a DELETE.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::DELETE, path, None).await
    }

    /// Opens `/events`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn events(&self) -> Result<EventStream, CallError> {
        let opened = async { self.send(Method::GET, "/events", &[], None).await };
        let response = tokio::time::timeout(self.answer_limit, opened).await.map_err(|_| self.timeout())??;
        match response.status() {
            StatusCode::OK => Ok(EventStream::new(response.into_body())),
            StatusCode::UNAUTHORIZED => Err(self.unauthorized()),
            status => Err(CallError::Status {
                code: status.as_u16(),
                message: format!("the core does not open its event stream ({status})"),
            }),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, CallError> {
        let (status, body) = self.exchange(method, path, body).await?;
        self.data(status, &body)
    }

    /// The `data` of an answer.
    fn data<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, CallError> {
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.unauthorized());
        }
        if !status.is_success() {
            return Err(CallError::Status {
                code: status.as_u16(),
                message: error_text(body).unwrap_or_else(|| format!("the core answered {status}")),
            });
        }
        let envelope: Envelope<T> = lenient::from_slice(body).map_err(|error| self.garbage(error))?;
        match envelope {
            Envelope {
                success: true,
                data: Some(data),
                ..
            } => Ok(data),
            Envelope { error, .. } => Err(CallError::Status {
                code: status.as_u16(),
                message: error.unwrap_or_else(|| "the core answered without data".to_owned()),
            }),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let exchange = async {
            let response = self.send(method, path, &[], body).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    self.garbage(format!("it is longer than {BODY_LIMIT} bytes"))
                } else {
                    self.failed(error)
                }
            })?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(self.answer_limit, exchange).await.map_err(|_| self.timeout())?
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, CallError> {
        let bytes = body.map(|body| Bytes::from(restore_text(&body.to_string()).into_owned()));
        let mut request = Request::builder().method(method).uri(path).header(names::HEADER_CLIENT, &self.name);
        if bytes.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request = match &self.endpoint {
            Endpoint::Local(_) => request.header(header::HOST, "localhost"),
            Endpoint::Tcp { address, key } => request.header(header::HOST, address).header(names::HEADER_API_KEY, key),
        };
        let request = request.body(Full::new(bytes.unwrap_or_default())).map_err(|error| self.failed(error))?;
        #[cfg(test)]
        #[cfg(all(feature = "tray", not(target_os = "macos")))]
        if let Some(in_memory) = &self.in_memory {
            return self.send_over(self.connected(std::future::ready(in_memory.connect())).await?, request).await;
        }
        match &self.endpoint {
            Endpoint::Local(address) => {
                self.send_over(self.connected(local_stream::connect(address)).await?, request).await
            }
            Endpoint::Tcp { address, .. } => {
                self.send_over(self.connected(TcpStream::connect(address)).await?, request).await
            }
        }
    }

    async fn connected<S>(&self, connect: impl Future<Output = io::Result<S>>) -> Result<S, CallError> {
        let connected = tokio::time::timeout(CONNECT_LIMIT, connect).await.map_err(|_| self.timeout())?;
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::NotRunning {
                address: self.endpoint.to_string(),
            },
            _ => self.failed(error),
        })
    }

    async fn send_over<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.failed(error))?;
        // Ends with the response's body; its errors reach us there.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| self.failed(error))
    }

    fn timeout(&self) -> CallError {
        CallError::Timeout {
            address: self.endpoint.to_string(),
        }
    }

    fn unauthorized(&self) -> CallError {
        CallError::Unauthorized {
            address: self.endpoint.to_string(),
        }
    }

    fn garbage(&self, problem: impl ToString) -> CallError {
        CallError::Garbage {
            address: self.endpoint.to_string(),
            problem: problem.to_string(),
        }
    }

    pub(super) fn failed(&self, problem: impl ToString) -> CallError {
        CallError::Io {
            address: self.endpoint.to_string(),
            problem: problem.to_string(),
        }
    }
}

impl CallError {
    /// Whether no process listens there: only then may another core be started.
    pub fn is_not_running(&self) -> bool {
        matches!(self, CallError::NotRunning { .. })
    }
}

/// The sentence of an error body: of the envelope, or of the Go core's bare sign-in errors.
fn error_text(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = ["error", "message"].into_iter().find_map(|key| body.get(key).and_then(Value::as_str))?;
    Some(text.chars().take(1000).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_in_both_shapes() {
        assert_eq!(error_text(br#"{"success":false,"error":"no"}"#).as_deref(), Some("no"));
        assert_eq!(
            error_text(br#"{"success":false,"error_type":"x","message":"sign in"}"#).as_deref(),
            Some("sign in")
        );
        assert_eq!(error_text(b"<html>"), None);
    }

    #[test]
    fn an_error_never_names_the_key() {
        let client = Client::new(
            Endpoint::Tcp {
                address: "127.0.0.1:1".into(),
                key: "secret".into(),
            },
            "cli",
            "1",
        );
        for error in [
            client.timeout(),
            client.unauthorized(),
            client.garbage("x"),
            client.failed("y"),
        ] {
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

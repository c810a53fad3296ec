//! Requests to a server over streamable HTTP, and what its responses mean.
//!
//! The POST identifies the call: a complete response ends its request whatever id or status it carries, and a response that cannot
//! be read is an error for that request. Messages are read by the same rules as over stdio.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};
use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse,
};
use serde_json::Value;
use sse_stream::Sse;

use crate::contract::exact_numbers::restored;
use crate::os::block_in_place::block_in_place_if_large;
use crate::os::sse::Event;
use crate::upstream::rejection;
use crate::upstream::session::in_flight::Answer;
use crate::upstream::transport::as_written;
use crate::upstream::transport::event_stream::{Received, events};
use crate::upstream::transport::limits::{LONGEST_NOTIFICATION, longest_answer, too_long};
use crate::upstream::transport::message::{self, Body, Message};

/// Bytes of a body that only explains an error.
const LONGEST_EXPLANATION: usize = 64 << 10;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// An error in the library's type for servers over HTTP.
pub type Error = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// Speaks streamable HTTP with one server.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    server: Arc<str>,
    /// The server has no stream beside the responses, so a response cannot arrive there.
    streamless: Arc<AtomicBool>,
}

impl HttpClient {
    /// For the server of this name.
    pub fn new(client: reqwest::Client, server: &str) -> HttpClient {
        HttpClient {
            client,
            server: server.into(),
            streamless: Arc::default(),
        }
    }
}

impl StreamableHttpClient for HttpClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let accept = format!("{EVENT_STREAM}, {JSON}");
        let request = self.client.post(uri.as_ref()).header(ACCEPT, accept).header(CONTENT_TYPE, JSON);
        let body = restored(serde_json::to_vec(&message)?);
        let request = with_session(request, session.as_deref(), headers).body(body);
        let response = send(request, token).await?;
        let posted = Posted {
            server: self.server.clone(),
            id: id_of(&message),
            is_discovery: is_discovery(&message),
            had_session: session.is_some(),
            streamless: self.streamless.load(Ordering::Relaxed),
        };
        posted.read(response).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), Error> {
        let request = with_session(self.client.delete(uri.as_ref()), Some(&session), headers);
        let response = send(request, token).await?;
        match response.status() {
            // Servers may refuse to end sessions.
            StatusCode::METHOD_NOT_ALLOWED => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(HttpStatusError::new(status.as_u16(), None).into()),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        let request = self.client.get(uri.as_ref()).header(ACCEPT, format!("{EVENT_STREAM}, {JSON}"));
        let mut request = with_session(request, session.as_deref(), headers);
        if let Some(last_event) = last_event {
            request = request.header(LAST_EVENT_ID, last_event);
        }
        let response = send(request, token).await?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                self.streamless.store(true, Ordering::Relaxed);
                return Err(Error::ServerDoesNotSupportSse);
            }
            status if !status.is_success() => return Err(HttpStatusError::new(status.as_u16(), None).into()),
            _ => {}
        }
        if !is_of_type(&response, EVENT_STREAM) {
            return Err(Error::UnexpectedContentType(content_type(&response)));
        }
        Ok(messages(response, None, self.server.clone()))
    }
}

fn with_session(request: RequestBuilder, session: Option<&str>, headers: Headers) -> RequestBuilder {
    let mut request = request.headers(headers.into_iter().collect());
    if let Some(session) = session {
        request = request.header(SESSION_ID, session);
    }
    request
}

/// Sends a request. A response that asks for a sign-in is an error.
///
/// # Errors
/// The request failed, or the server requires a sign-in or a wider one.
pub async fn send(request: RequestBuilder, token: Option<String>) -> Result<Response, Error> {
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    // Errors are logged, and the URL may hold a secret.
    let response = request.send().await.map_err(|error| Error::Client(error.without_url()))?;
    let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match (response.status(), challenge) {
        (StatusCode::UNAUTHORIZED, Some(challenge)) => Err(Error::AuthRequired(AuthRequiredError::new(challenge))),
        // Some servers name the way to sign in only at their well-known URL.
        (StatusCode::UNAUTHORIZED, None) => Err(HttpStatusError::new(401, None).into()),
        (StatusCode::FORBIDDEN, Some(challenge)) => {
            Err(Error::InsufficientScope(InsufficientScopeError::new(challenge, None)))
        }
        _ => Ok(response),
    }
}

fn id_of(message: &ClientJsonRpcMessage) -> Option<RequestId> {
    match message {
        JsonRpcMessage::Request(request) => Some(request.id.clone()),
        _ => None,
    }
}

fn is_discovery(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::DiscoverRequest(_)))
}

fn content_type(response: &Response) -> Option<String> {
    response.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn is_of_type(response: &Response, wanted: &str) -> bool {
    let kind = content_type(response).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// A message that was posted and whose response is read.
struct Posted {
    server: Arc<str>,
    /// `None` unless it was a request.
    id: Option<RequestId>,
    is_discovery: bool,
    had_session: bool,
    /// No response can arrive on a stream of the session.
    streamless: bool,
}

impl Posted {
    async fn read(self, response: Response) -> Result<StreamableHttpPostResponse, Error> {
        let status = response.status();
        let session = response.headers().get(SESSION_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(id) = self.id.clone() else {
            // Notifications and replies need no response: its content does not matter.
            return match status.is_success() {
                true => Ok(StreamableHttpPostResponse::Accepted),
                false => Err(self.refused(status, &body(response, LONGEST_EXPLANATION).await?.unwrap_or_default())),
            };
        };
        if status.is_success() && is_of_type(&response, EVENT_STREAM) {
            return Ok(StreamableHttpPostResponse::Sse(messages(response, Some(id), self.server), session));
        }
        let Some(body) = body(response, longest_answer()).await? else {
            return Ok(StreamableHttpPostResponse::Json(failure(too_long(longest_answer()), id), session));
        };
        if status == StatusCode::ACCEPTED && body.trim_ascii().is_empty() && self.had_session && !self.streamless {
            // The response arrives on the session's own stream.
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let answer = block_in_place_if_large(body.len(), || response_in(&body));
        if !status.is_success() {
            return self.read_error(status, &body, answer, id, session);
        }
        let message = match answer {
            Some(answer) => typed(answer, id),
            None => {
                let start = message::start_of(&body);
                tracing::warn!(server = %self.server, "could not read a response: {start}");
                failure(unreadable(&start), id)
            }
        };
        Ok(StreamableHttpPostResponse::Json(message, session))
    }

    fn read_error(
        &self,
        status: StatusCode,
        body: &[u8],
        answer: Option<Answer>,
        id: RequestId,
        session: Option<String>,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let is_answer = matches!(answer, Some(Answer::Error(_))) && !names_session(body);
        let is_lost = match status {
            StatusCode::NOT_FOUND => !is_answer,
            StatusCode::BAD_REQUEST => names_session(body),
            _ => false,
        };
        if self.had_session && is_lost {
            // Rejected before it ran: the library opens a new session and sends the request again.
            return Err(Error::SessionExpired);
        }
        // A 401 or 403 keeps its status, whatever the body says.
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        match answer {
            Some(error @ Answer::Error(_)) if !is_refusal => {
                Ok(StreamableHttpPostResponse::Json(typed(error, id), session))
            }
            _ if self.is_discovery && !self.had_session && status.is_client_error() && !is_refusal => {
                let text = format!("`server/discover` rejected with HTTP {status}: {}", message::start_of(body));
                let error = ErrorData::invalid_request(text, None);
                Ok(StreamableHttpPostResponse::Json(ServerJsonRpcMessage::error(error, Some(id)), None))
            }
            _ => Err(self.refused(status, body)),
        }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        tracing::debug!(server = %self.server, "HTTP {status}: {}", message::start_of(body));
        HttpStatusError::new(status.as_u16(), None).into()
    }
}

/// Whether an error says that the session is not known: servers use status 400 for that, too.
fn names_session(body: &[u8]) -> bool {
    String::from_utf8_lossy(body).to_ascii_lowercase().contains("session")
}

fn unreadable(start: &str) -> String {
    match start.trim() {
        "" => "the server's response is empty".to_owned(),
        start => format!("could not read the server's response: {start}"),
    }
}

/// A body of at most `limit` bytes; `None` if it is longer.
async fn body(mut response: Response, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Error::Client(error.without_url()))? {
        if body.len() + piece.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// The response in a body, whatever its id.
fn response_in(body: &[u8]) -> Option<Answer> {
    message::read_all(body).into_iter().find_map(|message| match message {
        Message::Response(response) => Some(match response.body {
            Body::Result(result) => Answer::Result(result.into_owned()),
            Body::Error(error) => Answer::Error(error.into_owned()),
        }),
        Message::Unreadable(unreadable) => {
            let text = format!("could not read the server's response: {}", unreadable.reason);
            Answer::failure(&rejection::unreadable(text))
        }
        _ => None,
    })
}

fn typed(answer: Answer, id: RequestId) -> ServerJsonRpcMessage {
    match answer {
        Answer::Error(error) => ServerJsonRpcMessage::error(Answer::error_of(&error), Some(id)),
        Answer::Result(result) => match as_written::for_library(&result) {
            Ok(result) => ServerJsonRpcMessage::response(result, id),
            Err(error) => failure(format!("could not read the server's response: {error}"), id),
        },
    }
}

fn failure(text: String, id: RequestId) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::error(rejection::unreadable(text), Some(id))
}

/// The messages of an event stream. In the stream of a request (`id`) every response is the response to that request.
fn messages(response: Response, id: Option<RequestId>, server: Arc<str>) -> BoxStream<'static, Result<Sse, SseError>> {
    let mut progress = StreamProgress::default();
    let received = events(response).map(Some).chain(futures_util::stream::iter([None]));
    let repaired = received.flat_map(move |event| {
        let events = match event {
            Some(Ok(received)) => checked(received, id.as_ref(), &server, &mut progress).into_iter().map(Ok).collect(),
            Some(Err(error)) => {
                let text = format!("the server's response broke off: {error}");
                let missing = progress.missing(id.as_ref(), text);
                progress.answered = true;
                vec![missing.ok_or(error)]
            }
            None => {
                let text = unreadable(&progress.noise);
                progress.missing(id.as_ref(), text).map(Ok).into_iter().collect()
            }
        };
        futures_util::stream::iter(events)
    });
    repaired.boxed()
}

/// The state of the stream of a request.
#[derive(Default)]
struct StreamProgress {
    /// The response has come, or the stream broke.
    answered: bool,
    /// An event had an id: the library may resume the stream.
    resumable: bool,
    /// How the last event began that is not a message.
    noise: String,
}

impl StreamProgress {
    /// The error for the caller if the stream is over and its response cannot come any more.
    fn missing(&self, id: Option<&RequestId>, text: String) -> Option<Sse> {
        let id = id.filter(|_| !self.answered && !self.resumable)?;
        Some(sse(&Event::default(), &failure(text, id.clone())))
    }
}

/// An event as the library may have it: repaired, and with the id of its request. Several messages become several events.
fn checked(received: Received, id: Option<&RequestId>, server: &str, progress: &mut StreamProgress) -> Vec<Sse> {
    let event = match received {
        Ok(event) => event,
        Err(long) => {
            progress.answered = true;
            let id = id.cloned().or_else(|| message::id_between(&long.start, &long.end));
            return id.map(|id| sse(&Event::default(), &failure(too_long(longest_answer()), id))).into_iter().collect();
        }
    };
    progress.resumable |= event.id.is_some();
    if event.data.trim().is_empty() {
        // Priming events carry an id and no message.
        return vec![sse_of(&event, String::new())];
    }
    let messages = message::read_all(event.data.as_bytes());
    let single = messages.len() == 1;
    let mut checked = Vec::new();
    for message in messages {
        let data = match message {
            Message::Notification(text) if text.len() > LONGEST_NOTIFICATION => {
                tracing::warn!(server, "dropped a notification of {} bytes", text.len());
                continue;
            }
            Message::Request(text) | Message::Notification(text) => match message::read_typed(&text) {
                Ok(message) => serde_json::to_string(&message).unwrap_or_default(),
                Err(error) => {
                    let start = message::start_of(text.as_bytes());
                    tracing::warn!(server, "could not read a request or notification ({error}): {start}");
                    continue;
                }
            },
            Message::Response(response) => {
                let Some(id) = id.cloned().or(response.id) else {
                    tracing::warn!(server, "dropped a response that belongs to no request");
                    continue;
                };
                progress.answered = true;
                let (key, body) = match &response.body {
                    Body::Result(result) => {
                        ("result", as_written::for_event(result).map_or_else(|| result.get().into(), Cow::Owned))
                    }
                    Body::Error(error) => ("error", Cow::Borrowed(error.get())),
                };
                let id = serde_json::to_value(&id).unwrap_or(Value::Null);
                format!(r#"{{"jsonrpc":"2.0","id":{id},"{key}":{body}}}"#)
            }
            Message::Unreadable(unreadable) => {
                tracing::warn!(server, "could not read a message: {}: {}", unreadable.reason, unreadable.start);
                let Some(id) = id.cloned().or(unreadable.id).filter(|_| !unreadable.is_request) else {
                    continue;
                };
                progress.answered = true;
                let text = format!("could not read the server's response: {}", unreadable.reason);
                serde_json::to_string(&failure(text, id)).unwrap_or_default()
            }
            // Some servers name their keep-alive events.
            Message::Noise if event.name != "message" => continue,
            Message::Noise => {
                progress.noise = message::start_of(event.data.as_bytes());
                tracing::warn!(server, "dropped an event that is not a message: {}", progress.noise);
                continue;
            }
        };
        checked.push(sse_of(&event, data));
    }
    if checked.is_empty() && single && event.id.is_some() {
        // Its id still counts for resuming the stream.
        checked.push(sse_of(&event, String::new()));
    }
    checked
}

fn sse(event: &Event, message: &ServerJsonRpcMessage) -> Sse {
    sse_of(event, serde_json::to_string(message).unwrap_or_default())
}

fn sse_of(event: &Event, data: String) -> Sse {
    Sse {
        // The library reads only events without a name; an odd name hides no message.
        event: None,
        data: Some(data),
        id: event.id.clone(),
        retry: event.retry,
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::NumberOrString;

    use super::*;

    fn response(status: u16, kind: &str, body: impl Into<reqwest::Body>) -> Response {
        let response = axum::http::Response::builder().status(status).header(CONTENT_TYPE, kind);
        Response::from(response.body(body.into()).unwrap())
    }

    fn posted(had_session: bool) -> Posted {
        Posted {
            server: "s".into(),
            id: Some(NumberOrString::Number(7)),
            is_discovery: false,
            had_session,
            streamless: false,
        }
    }

    async fn json(status: u16, kind: &str, body: &[u8]) -> Value {
        match posted(false).read(response(status, kind, body.to_vec())).await.unwrap() {
            StreamableHttpPostResponse::Json(message, _) => serde_json::to_value(message).unwrap(),
            StreamableHttpPostResponse::Sse(mut stream, _) => {
                serde_json::from_str(&stream.next().await.unwrap().unwrap().data.unwrap()).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_complete_response_ends_its_request_whatever_its_id_or_status() {
        for id in ["7", "\"7\"", "null", "99", "\"server-error\""] {
            for (kind, start) in [(JSON, ""), (EVENT_STREAM, "data: ")] {
                let end = if start.is_empty() { "" } else { "\n\n" };
                let body = format!(r#"{start}{{"jsonrpc":"2.0","id":{id},"result":{{"a":1}}}}{end}"#);
                let message = json(200, kind, body.as_bytes()).await;
                assert_eq!((&message["id"], &message["result"]["a"]), (&7.into(), &1.into()), "{body}");
            }
            for status in [400, 404, 500] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"no"}}}}"#);
                let message = json(status, JSON, body.as_bytes()).await;
                assert_eq!((&message["id"], &message["error"]["message"]), (&7.into(), &"no".into()), "{body}");
            }
        }
    }

    #[tokio::test]
    async fn a_damaged_response_is_repaired_and_a_broken_one_is_an_error_for_its_request() {
        for (kind, start, end) in [(JSON, "", ""), (EVENT_STREAM, "data: ", "\n\n")] {
            let read = async |text: &[u8]| {
                let body = [start.as_bytes(), text, end.as_bytes()].concat();
                json(200, kind, &body).await
            };
            let cut = read(br#"{"jsonrpc":"2.0","id":7,"result":{"t":"cut \ud83d","n":NaN,"m":1e400}}"#).await;
            assert_eq!(
                cut["result"],
                serde_json::from_str::<Value>(r#"{"t":"cut \ufffd","n":null,"m":1e400}"#).unwrap()
            );
            let latin = read(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"t\":\"caf\xe9\"}}").await;
            assert_eq!(latin["result"]["t"], "caf\u{fffd}");
            for broken in [
                &br#"{"jsonrpc":"2.0","id":7,"result":{"t":"#[..],
                br#"{"jsonrpc":"2.0","id":7}"#,
                format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}1{}}}"#, "[".repeat(200), "]".repeat(200)).as_bytes(),
            ] {
                let message = read(broken).await;
                assert_eq!((&message["id"], &message["error"]["code"]), (&7.into(), &(-32603).into()), "{message}");
            }
        }
        let html = json(200, "text/html", b"<html>").await;
        assert!(html["error"]["message"].as_str().unwrap().contains("<html>"));
        assert_eq!(json(200, JSON, b"").await["error"]["message"], "the server's response is empty");
    }

    #[tokio::test]
    async fn a_lost_session_is_opened_again() {
        let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;
        for (status, body) in [(404, ""), (400, body)] {
            let read = posted(true).read(response(status, JSON, body)).await;
            assert!(matches!(read, Err(Error::SessionExpired)), "{status}");
        }
        let other = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"bad arguments"}}"#;
        for status in [400, 404] {
            assert!(posted(true).read(response(status, JSON, other)).await.is_ok(), "{status} answers the call");
        }
    }

    #[tokio::test]
    async fn statuses_without_a_message_keep_their_meaning() {
        let read = async |status, body: &'static str| posted(false).read(response(status, "text/plain", body)).await;
        for status in [404, 429, 503] {
            assert!(matches!(read(status, "no").await, Err(Error::HttpStatus(error)) if error.status == status));
        }
        let accepted = read(202, "").await.unwrap();
        assert!(matches!(accepted, StreamableHttpPostResponse::Json(..)), "nothing else can end the request");
        for (streamless, waits) in [(false, true), (true, false)] {
            let posted = Posted {
                streamless,
                ..posted(true)
            };
            let accepted = posted.read(response(202, JSON, "")).await.unwrap();
            assert_eq!(matches!(accepted, StreamableHttpPostResponse::Accepted), waits);
        }
        let notification = Posted {
            id: None,
            ..posted(true)
        };
        let answered = notification.read(response(200, "text/html", "<html>")).await;
        assert!(matches!(answered, Ok(StreamableHttpPostResponse::Accepted)));
    }

    #[tokio::test]
    async fn other_events_of_a_stream_pass_with_their_ids() {
        let body = "id: 1\ndata:\n\nid: 2\nretry: 5\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n";
        let mut stream = messages(response(200, EVENT_STREAM, body), Some(NumberOrString::Number(7)), "s".into());
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!((first.id.as_deref(), first.data.as_deref()), (Some("1"), Some("")));
        let second = stream.next().await.unwrap().unwrap();
        assert_eq!((second.id.as_deref(), second.retry), (Some("2"), Some(5)));
        assert!(second.data.unwrap().contains("notifications/x"));
    }

    #[tokio::test]
    async fn a_stream_that_ends_without_its_response_ends_its_request() {
        for (body, expected) in [
            ("", "the server's response is empty"),
            (": hello\n\n", "the server's response is empty"),
            ("data: <html>\n\n", "could not read the server's response: <html>"),
            ("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n", "the server's response is empty"),
        ] {
            let stream = messages(response(200, EVENT_STREAM, body), Some(NumberOrString::Number(7)), "s".into());
            let events: Vec<_> = stream.collect().await;
            let last: Value =
                serde_json::from_str(events.last().unwrap().as_ref().unwrap().data.as_ref().unwrap()).unwrap();
            assert_eq!((&last["id"], &last["error"]["message"]), (&7.into(), &expected.into()), "{body}");
        }
        let resumable = response(200, EVENT_STREAM, "id: 1\ndata:\n\n");
        assert_eq!(messages(resumable, Some(NumberOrString::Number(7)), "s".into()).count().await, 1);
        let of_no_request = response(200, EVENT_STREAM, ": hello\n\n");
        assert_eq!(messages(of_no_request, None, "s".into()).count().await, 0);
    }

    #[tokio::test]
    async fn an_error_without_code_is_still_an_error() {
        for (error, code, message) in [
            (r#""plain""#, -32603, "plain"),
            (r#"{"message":"no code"}"#, -32603, "no code"),
            (r#"{"code":"E1","message":"m"}"#, -32603, "m"),
            (r#"{"code":-5.0}"#, -32603, r#"{"code":-5.0}"#),
            (r#"{"code":-5,"message":"m","data":1.50}"#, -5, "m"),
        ] {
            for (kind, start, end) in [(JSON, "", ""), (EVENT_STREAM, "data: ", "\n\n")] {
                let body = format!(r#"{start}{{"jsonrpc":"2.0","id":7,"error":{error}}}{end}"#);
                let read = json(200, kind, body.as_bytes()).await;
                assert_eq!(
                    (&read["error"]["code"], &read["error"]["message"]),
                    (&code.into(), &message.into()),
                    "{body}"
                );
            }
        }
    }

    #[tokio::test]
    async fn named_events_hide_no_message_and_break_no_stream() {
        let message = r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#;
        let body = format!(
            ": hello\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":7}}\n\nevent: ping\ndata: 1\n\nevent: heartbeat\ndata: {{\"t\":1}}\nid: 4\n\nevent: response\ndata: {message}\n\n"
        );
        let mut stream = messages(response(200, EVENT_STREAM, body), Some(NumberOrString::Number(7)), "s".into());
        let mut events = Vec::new();
        while let Some(event) = stream.next().await {
            let event = event.unwrap();
            events.push((event.event, event.data.unwrap()));
        }
        assert_eq!(events, [(None, String::new()), (None, message.to_owned())]);
    }
}

//! Servers over the older HTTP+SSE transport (MCP, revision 2024-11-05): everything they say comes on one event stream, whose
//! first event names the address that messages are sent to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::auth::{AuthClient, AuthorizationManager};
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, HttpStatusError, InsufficientScopeError, SseError, StreamableHttpClient, StreamableHttpError,
    StreamableHttpPostResponse,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::ServerConfig;
use crate::os::sse::Parser;
use crate::upstream::transport::error_text::causes;
use crate::upstream::transport::error_text::first_line;
use crate::upstream::transport::legacy_sse_events::{Heard, endpoint, heard, refusal, taken};
use crate::upstream::transport::limits::LONGEST_ANSWER;
use crate::upstream::transport::stdio::{BURST, LONG_REST, REST};

/// How long a server may take to acknowledge what needs no answer. A request has its own limit: some acknowledge it only
/// when they have answered it.
const ACKNOWLEDGE: Duration = Duration::from_secs(30);
/// How long it may still take once it has answered on the stream, or nobody waits any more.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// What of an acknowledgement is read, so that its connection can be used again.
const ACKNOWLEDGEMENT: usize = 64 << 10;
/// Bytes read between two rests, where a server says more than others can be kept waiting for.
const SLICE: usize = 16 << 10;
/// A server that says nothing for so long has paused.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a message did not reach the server, or its stream was not opened: what the library has of HTTP.
pub type Error = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<sse_stream::Sse, SseError>>;

/// An open event stream, and the address for messages.
pub struct SseTransport {
    client: AuthClient<Plain>,
    endpoint: Arc<str>,
    server: String,
    /// None when it has ended.
    events: Option<Events>,
    /// Requests that are being sent, to be told when that does not matter any more.
    posts: HashMap<RequestId, oneshot::Sender<()>>,
    /// A malformed event was logged: it is not to fill the disk.
    complained: bool,
    over: CancellationToken,
    _over: DropGuard,
    ended: Option<oneshot::Sender<String>>,
}

/// Opens a server's event stream and waits for its first event; `manager` puts the token in where somebody has signed in. With
/// it comes the place where the end of the stream is told, in words.
///
/// # Errors
/// [`Error`]: it cannot be opened, or says no address that may be used.
pub async fn open(
    config: &ServerConfig,
    client: reqwest::Client,
    manager: AuthorizationManager,
) -> Result<(SseTransport, oneshot::Receiver<String>), Error> {
    let url = config.url.as_deref().unwrap_or_default();
    let unusable = |why: String| Error::UnexpectedServerResponse(why.into());
    let address = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
    let client = AuthClient::new(Plain(client), manager);
    let mut events = client.get_stream(url.into(), None, None, None, Headers::new()).await?;
    let endpoint = loop {
        let Some(event) = events.next().await else {
            return Err(unusable("its event stream ended before it said where it takes messages".to_owned()));
        };
        if let Heard::Endpoint(said) = heard(event?) {
            break endpoint(&address, &said).map_err(unusable)?;
        }
        tracing::debug!(server = config.name, "it says something before it says where it takes messages");
    };
    let over = CancellationToken::new();
    let (ended, end) = oneshot::channel();
    let transport = SseTransport {
        client,
        endpoint: endpoint.as_str().into(),
        server: config.name.clone(),
        events: Some(events),
        posts: HashMap::new(),
        complained: false,
        _over: over.clone().drop_guard(),
        over,
        ended: Some(ended),
    };
    Ok((transport, end))
}

impl SseTransport {
    /// Notes a request that is sent; gives what becomes ready when its acknowledgement does not matter any more.
    fn note_sent(&mut self, message: &TxJsonRpcMessage<RoleClient>) -> Option<oneshot::Receiver<()>> {
        match message {
            JsonRpcMessage::Request(sent) => {
                self.posts.retain(|_, post| !post.is_closed());
                let (over, is_over) = oneshot::channel();
                self.posts.insert(sent.id.clone(), over);
                return Some(is_over);
            }
            JsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.posts.remove(id);
                }
            }
            _ => {}
        }
        None
    }

    fn end(&mut self, why: String) {
        self.events = None;
        // Told first: whoever hears that nothing can be sent any more may ask why.
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(why);
        }
        self.over.cancel();
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = Error;

    fn name() -> Cow<'static, str> {
        "HTTP+SSE".into()
    }

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let over_soon = self.note_sent(&message);
        let (client, endpoint, over) = (self.client.clone(), self.endpoint.clone(), self.over.clone());
        async move {
            let is_request = over_soon.is_some();
            let post = client.post_message(endpoint, message, None, None, Headers::new());
            let limit = async {
                match over_soon {
                    Some(over_soon) => {
                        let _ = over_soon.await;
                        tokio::time::sleep(AFTERWARDS).await;
                    }
                    None => tokio::time::sleep(ACKNOWLEDGE).await,
                }
            };
            tokio::select! {
                posted = post => posted.map(|_| ()),
                () = limit => if is_request { Ok(()) } else { Err(Error::ControlRequestTimeout) },
                () = over.cancelled_owned() => Err(Error::TransportChannelClosed),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.events.as_mut()?.next().await {
                Some(Ok(event)) => match heard(event) {
                    Heard::Message(message) => {
                        match message.as_ref() {
                            JsonRpcMessage::Response(answer) => drop(self.posts.remove(&answer.id)),
                            JsonRpcMessage::Error(error) => {
                                drop(error.id.as_ref().and_then(|id| self.posts.remove(id)));
                            }
                            _ => {}
                        }
                        return Some(*message);
                    }
                    Heard::Malformed(why) if !std::mem::replace(&mut self.complained, true) => {
                        tracing::warn!(
                            server = self.server,
                            "an event that is no message is passed over, as any more are: {why}"
                        );
                    }
                    Heard::Endpoint(_) => tracing::debug!(server = self.server, "another endpoint is passed over"),
                    Heard::Malformed(_) | Heard::Other => {}
                },
                Some(Err(error)) => {
                    let said = causes(&error).last().map(ToString::to_string).unwrap_or_default();
                    self.end(format!("its event stream broke off ({})", first_line(&said)));
                    return None;
                }
                None => {
                    self.end("it ended its event stream".to_owned());
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.end("its session was closed".to_owned());
        Ok(())
    }
}

/// HTTP as such servers speak it: an answer to a message acknowledges it and says nothing.
#[derive(Clone)]
struct Plain(reqwest::Client);

impl StreamableHttpClient for Plain {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        _session: Option<Arc<str>>,
        token: Option<String>,
        _headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let request = self.0.post(uri.as_ref()).header(CONTENT_TYPE, "application/json");
        let mut response = answered(request.body(serde_json::to_vec(&message)?), token).await?;
        let mut read = 0;
        while let Ok(Some(piece)) = response.chunk().await {
            read += piece.len();
            if read > ACKNOWLEDGEMENT {
                break;
            }
        }
        Ok(StreamableHttpPostResponse::Accepted)
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        _session: Arc<str>,
        _token: Option<String>,
        _headers: Headers,
    ) -> Result<(), Error> {
        Err(Error::ServerDoesNotSupportDeleteSession)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        _session: Option<Arc<str>>,
        _last_event: Option<String>,
        token: Option<String>,
        _headers: Headers,
    ) -> Result<Events, Error> {
        let response = answered(self.0.get(uri.as_ref()).header(ACCEPT, "text/event-stream"), token).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream") {
            return Err(Error::UnexpectedServerResponse("it answers with something else than an event stream".into()));
        }
        Ok(events(response).boxed())
    }
}

/// Sends a request; anything but success is an error, as the library has it for streamable HTTP.
async fn answered(request: RequestBuilder, token: Option<String>) -> Result<Response, Error> {
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    // What is logged of an error must not have the address, which may hold a secret.
    let response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|said| said.to_str().ok()).map(str::to_owned);
    match (status, challenge) {
        _ if status.is_success() => Ok(response),
        (StatusCode::UNAUTHORIZED, Some(said)) => Err(Error::AuthRequired(AuthRequiredError::new(said))),
        (StatusCode::FORBIDDEN, Some(said)) => Err(Error::InsufficientScope(InsufficientScopeError::new(said, None))),
        // Without a word on how to sign in, which may be said at a well-known address.
        (StatusCode::UNAUTHORIZED, None) => Err(Error::UnexpectedServerResponse("HTTP 401".into())),
        _ => Err(HttpStatusError::new(status.as_u16(), None).into()),
    }
}

/// A stream that is read. Of an event that is too long little is kept, and whoever waits for it is told as soon as that is known.
struct Reading {
    response: Response,
    /// What of it came and was not looked at.
    unread: Bytes,
    parser: Parser,
    /// Whoever waits for the event that comes in was told that it is too long.
    told: bool,
    /// Bytes read since it last paused, and since we last rested.
    unpaused: usize,
    unrested: usize,
    /// Events were given since then.
    gave: bool,
}

impl Reading {
    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Result<sse_stream::Sse, SseError>> {
        loop {
            match self.parser.next_event() {
                Some(Ok(event)) => {
                    self.gave = true;
                    return Some(Ok(taken(event)));
                }
                Some(Err(long)) => {
                    if !std::mem::take(&mut self.told) {
                        match refusal(&long) {
                            Some(refusal) => return Some(Ok(refusal)),
                            None => tracing::warn!("an event is too long to be taken, and says not whose answer it is"),
                        }
                    }
                    continue;
                }
                None => {}
            }
            if let Some(refusal) = self.parser.beyond_limit().filter(|_| !self.told).and_then(refusal) {
                self.told = true;
                return Some(Ok(refusal));
            }
            // Whatever it floods us with, others go on in between.
            if self.unpaused > BURST && self.unrested >= SLICE {
                let rest = if std::mem::take(&mut self.gave) { LONG_REST } else { REST };
                self.unrested = 0;
                tokio::time::sleep(rest).await;
            }
            if self.unread.is_empty() {
                let asked = Instant::now();
                match self.response.chunk().await {
                    Ok(Some(piece)) => self.unread = piece,
                    Ok(None) => return None,
                    Err(error) => return Some(Err(SseError::Body(Box::new(error.without_url())))),
                }
                if asked.elapsed() > PAUSE {
                    self.unpaused = 0;
                }
            }
            let length = self.unread.len().min(SLICE);
            self.parser.push(&self.unread.split_to(length));
            self.unpaused = self.unpaused.saturating_add(length);
            self.unrested += length;
        }
    }
}

/// The events of a stream as they come; its end, or an error, is the last of it.
fn events(response: Response) -> impl Stream<Item = Result<sse_stream::Sse, SseError>> + Send {
    let reading = Reading {
        response,
        unread: Bytes::new(),
        parser: Parser::new(LONGEST_ANSWER),
        told: false,
        unpaused: 0,
        unrested: 0,
        gave: false,
    };
    stream::unfold(Some(reading), |reading| async {
        let mut reading = reading?;
        let event = reading.next().await?;
        let goes_on = event.is_ok();
        Some((event, goes_on.then_some(reading)))
    })
}

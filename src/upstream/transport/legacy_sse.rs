//! Legacy HTTP+SSE transport (MCP 2024-11-05): the server sends everything on one event stream, whose first event names the URL that
//! messages are posted to.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::auth::{AuthClient, AuthorizationManager};
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpPostResponse,
};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::ServerConfig;
use crate::contract::exact_numbers::restored;
use crate::upstream::session::in_flight::{InFlightRequests, Match};
use crate::upstream::transport::error_text::{causes, first_line};
use crate::upstream::transport::event_stream::events;
use crate::upstream::transport::http_client::{Error, send};
use crate::upstream::transport::legacy_sse_events::{Content, content, endpoint, oversized, sse};

/// How long a server may take to acknowledge a message that needs no response. A request has its own limit: some servers
/// acknowledge it only together with the response.
const ACKNOWLEDGE: Duration = Duration::from_secs(30);
/// How long the acknowledgement may still take once the response has arrived, or is no longer needed.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// Bytes of an acknowledgement that are read to keep its connection usable.
const ACKNOWLEDGEMENT: usize = 64 << 10;

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<sse_stream::Sse, SseError>>;

/// An open event stream, and the URL for messages.
pub struct SseTransport {
    client: AuthClient<LegacyClient>,
    endpoint: Arc<str>,
    server: String,
    /// `None` once it has ended.
    events: Option<Events>,
    /// Messages that arrived together with one that was passed on.
    ready: VecDeque<RxJsonRpcMessage<RoleClient>>,
    in_flight: InFlightRequests,
    /// Requests being posted; notified when their acknowledgement no longer matters.
    posts: HashMap<RequestId, oneshot::Sender<()>>,
    /// A malformed event was logged; further ones are not, to keep the log small.
    warned: bool,
    over: CancellationToken,
    _over: DropGuard,
    ended: Option<oneshot::Sender<String>>,
}

/// Opens a server's event stream and waits for its first event. `manager` adds the token of a signed-in user. Returns also where
/// the end of the stream is reported, as text.
///
/// # Errors
/// [`Error`]: the stream could not be opened, or names no URL that may be used.
pub async fn open(
    config: &ServerConfig,
    client: reqwest::Client,
    manager: AuthorizationManager,
) -> Result<(SseTransport, oneshot::Receiver<String>), Error> {
    let url = config.url.as_deref().unwrap_or_default();
    let unusable = |why: String| Error::UnexpectedServerResponse(why.into());
    let address = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
    let client = AuthClient::new(LegacyClient(client), manager);
    let mut events = client.get_stream(url.into(), None, None, None, Headers::new()).await?;
    let endpoint = loop {
        let Some(event) = events.next().await else {
            return Err(unusable("its event stream ended before it named a URL for messages".to_owned()));
        };
        if let Content::Endpoint(url) = content(event?) {
            break endpoint(&address, &url).map_err(unusable)?;
        }
        tracing::debug!(server = config.name, "ignored an event before the URL for messages");
    };
    let over = CancellationToken::new();
    let (ended, end) = oneshot::channel();
    let transport = SseTransport {
        client,
        endpoint: endpoint.as_str().into(),
        server: config.name.clone(),
        events: Some(events),
        ready: VecDeque::new(),
        in_flight: InFlightRequests::default(),
        posts: HashMap::new(),
        warned: false,
        _over: over.clone().drop_guard(),
        over,
        ended: Some(ended),
    };
    Ok((transport, end))
}

impl SseTransport {
    /// Notes a request that is sent; returns what becomes ready when its acknowledgement no longer matters.
    fn note_sent(&mut self, message: &TxJsonRpcMessage<RoleClient>) -> Option<oneshot::Receiver<()>> {
        match message {
            JsonRpcMessage::Request(sent) => {
                self.posts.retain(|_, post| !post.is_closed());
                self.in_flight.begin_unattributed(sent.id.clone());
                let (over, is_over) = oneshot::channel();
                self.posts.insert(sent.id.clone(), over);
                return Some(is_over);
            }
            JsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.posts.remove(id);
                    self.in_flight.end(id);
                }
            }
            _ => {}
        }
        None
    }

    /// Gives a response the id of its request; `None` if it belongs to none.
    fn matched(&mut self, mut message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        let id = match &message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => return Some(message),
        };
        let Match::Request(id) = self.in_flight.find(id) else {
            tracing::debug!(server = self.server, "dropped a response that belongs to no request");
            return None;
        };
        self.in_flight.end(&id);
        self.posts.remove(&id);
        match &mut message {
            JsonRpcMessage::Response(response) => response.id = id,
            JsonRpcMessage::Error(error) => error.id = Some(id),
            _ => {}
        }
        Some(message)
    }

    fn take(&mut self, event: sse_stream::Sse) {
        match content(event) {
            Content::Messages(messages) => {
                for message in messages {
                    let matched = self.matched(message);
                    self.ready.extend(matched);
                }
            }
            Content::Malformed(reason) if !std::mem::replace(&mut self.warned, true) => {
                tracing::warn!(
                    server = self.server,
                    "ignored an event that is not a message, and will ignore more: {reason}"
                );
            }
            Content::Endpoint(_) => tracing::debug!(server = self.server, "ignored another endpoint"),
            Content::Malformed(_) | Content::Other => {}
        }
    }

    fn end(&mut self, why: String) {
        self.events = None;
        // First the reason: a failed send may ask for it.
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
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            match self.events.as_mut()?.next().await {
                Some(Ok(event)) => self.take(event),
                Some(Err(error)) => {
                    let reason = causes(&error).last().map(ToString::to_string).unwrap_or_default();
                    self.end(format!("its event stream broke ({})", first_line(&reason)));
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

/// HTTP as such servers speak it: the response to a POST only acknowledges it.
#[derive(Clone)]
struct LegacyClient(reqwest::Client);

impl StreamableHttpClient for LegacyClient {
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
        let body = restored(serde_json::to_vec(&message)?);
        let mut response = successful(send(request.body(body), token).await?)?;
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
        let request = self.0.get(uri.as_ref()).header(ACCEPT, "text/event-stream");
        let response = successful(send(request, token).await?)?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream") {
            return Err(Error::UnexpectedServerResponse("its response is not an event stream".into()));
        }
        let events = events(response).filter_map(async |event| match event {
            Ok(Ok(event)) => Some(Ok(sse(event))),
            Ok(Err(long)) => {
                let error = oversized(&long);
                if error.is_none() {
                    tracing::warn!("dropped an event that is too long and whose id is unknown");
                }
                error.map(Ok)
            }
            Err(error) => Some(Err(error)),
        });
        Ok(events.boxed())
    }
}

fn successful(response: reqwest::Response) -> Result<reqwest::Response, Error> {
    let status = response.status();
    if status.is_success() {
        Ok(response)
    } else {
        Err(HttpStatusError::new(status.as_u16(), None).into())
    }
}

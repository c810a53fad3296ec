//! A server's standard streams, and the fast path over them: a tool call whose response goes to the caller as the bytes the
//! server wrote.
//!
//! The library reads every message into a type, passes it through several tasks and writes it again. The response to a tool
//! call needs none of that. Both paths share the server's streams: [`stdio_reader`](super::stdio_reader) gives responses of
//! the fast path to their callers and everything else to the library, in the order in which it came.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rmcp::model::{JsonRpcMessage, NumberOrString, ProgressToken, RequestId};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::contract::json_rpc::Notification;
use crate::os::sync::lock;
use crate::upstream::session::in_flight::{Answer, CallHandle, FIRST_FAST_ID, InFlightRequests, SharedInFlight};
use crate::upstream::transport::message::line_of;
use crate::upstream::transport::stdio_reader::Reader;
use crate::upstream::transport::stray_output::StrayOutput;

/// Messages that may wait for a server to read them.
const QUEUE: usize = 256;
/// How long a message that is being written may still take once the session ends.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Sends requests to one running server without the library.
#[derive(Debug, Clone)]
pub struct StdioFastPath {
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    outbox: mpsc::Sender<Vec<u8>>,
    in_flight: SharedInFlight,
    next: AtomicU32,
}

/// A request on the fast path that waits for its response.
#[derive(Debug)]
pub struct Pending {
    id: u32,
    answer: oneshot::Receiver<Answer>,
    line: Arc<Line>,
}

/// A request as it is written.
#[derive(Serialize)]
struct Request<P> {
    jsonrpc: &'static str,
    id: u32,
    method: &'static str,
    params: P,
}

#[derive(Serialize)]
struct Parameters<'a> {
    #[serde(rename = "_meta", skip_serializing_if = "Meta::is_empty")]
    meta: Meta<'a>,
    name: &'a str,
    arguments: &'a RawValue,
}

/// `_meta` of a request.
struct Meta<'a> {
    members: &'a [(&'a str, &'a RawValue)],
    token: Option<u32>,
}

impl Meta<'_> {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.token.is_none()
    }
}

impl Serialize for Meta<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.members {
            map.serialize_entry(key, value)?;
        }
        if let Some(token) = self.token {
            map.serialize_entry("progressToken", &token)?;
        }
        map.end()
    }
}

impl StdioFastPath {
    /// Calls a tool. `None` if the server has stopped, or its queue is full.
    ///
    /// `meta` contains the members of the request's `_meta` without its progress token, which is replaced by one of ours.
    pub fn call(
        &self,
        tool: &str,
        arguments: &RawValue,
        meta: &[(&str, &RawValue)],
        progress: bool,
        caller: CallHandle,
    ) -> Option<Pending> {
        let id = self.next_id();
        let token = progress.then(|| ProgressToken(request_id(id)));
        let request = Request {
            jsonrpc: "2.0",
            id,
            method: "tools/call",
            params: Parameters {
                meta: Meta {
                    members: meta,
                    token: progress.then_some(id),
                },
                name: tool,
                arguments,
            },
        };
        let slot = self.line.outbox.try_reserve().ok()?;
        let answer = self.line.in_flight().begin_fast(request_id(id), token, caller)?;
        slot.send(line_of(&request)?);
        Some(self.pending(id, answer))
    }

    /// Sends a request of our own. `None` if the server has stopped, or its queue is full.
    pub fn ask(&self, method: &'static str, params: &impl Serialize) -> Option<Pending> {
        let id = self.next_id();
        let request = Request {
            jsonrpc: "2.0",
            id,
            method,
            params,
        };
        let slot = self.line.outbox.try_reserve().ok()?;
        let answer = self.line.in_flight().begin_own(request_id(id))?;
        slot.send(line_of(&request)?);
        Some(self.pending(id, answer))
    }

    fn pending(&self, id: u32, answer: oneshot::Receiver<Answer>) -> Pending {
        Pending {
            id,
            answer,
            line: self.line.clone(),
        }
    }

    fn next_id(&self) -> u32 {
        FIRST_FAST_ID | (self.line.next.fetch_add(1, Ordering::Relaxed) & (FIRST_FAST_ID - 1))
    }
}

impl Line {
    fn in_flight(&self) -> MutexGuard<'_, InFlightRequests> {
        lock(&self.in_flight)
    }
}

impl Pending {
    /// The server's response; `None` if the server ended first.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }

    /// Tells the server that the response is no longer needed.
    pub fn cancel(self, reason: &str) {
        self.line.in_flight().end(&request_id(self.id));
        let request_id = self.id;
        let params = Some(CancelParams { request_id, reason });
        if let Some(line) = line_of(&Notification::new("notifications/cancelled", params)) {
            // Dropped if the server does not read.
            let _ = self.line.outbox.try_send(line);
        }
    }
}

/// The parameters of `notifications/cancelled`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelParams<'a> {
    request_id: u32,
    reason: &'a str,
}

fn request_id(id: u32) -> RequestId {
    NumberOrString::Number(id.into())
}

/// The library's side of a server's streams.
pub struct StdioTransport<R> {
    reader: Reader<R>,
    outbox: mpsc::Sender<Vec<u8>>,
    in_flight: SharedInFlight,
    over: CancellationToken,
    _over: DropGuard,
}

/// Opens the fast path and the library's transport over a server's streams.
pub fn open<R, W>(
    server: &str,
    output: R,
    input: W,
    in_flight: SharedInFlight,
    stray: StrayOutput,
) -> (StdioFastPath, StdioTransport<R>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (outbox, lines) = mpsc::channel(QUEUE);
    let over = CancellationToken::new();
    tokio::spawn(write(lines, input, over.clone()));
    let fast_path = StdioFastPath {
        line: Arc::new(Line {
            outbox: outbox.clone(),
            in_flight: in_flight.clone(),
            next: AtomicU32::new(0),
        }),
    };
    let transport = StdioTransport {
        reader: Reader::new(server, output, in_flight.clone(), outbox.clone(), stray),
        outbox,
        in_flight,
        over: over.clone(),
        _over: over.drop_guard(),
    };
    (fast_path, transport)
}

impl<R: AsyncRead + Send + Unpin> Transport<RoleClient> for StdioTransport<R> {
    type Error = io::Error;

    fn name() -> Cow<'static, str> {
        "stdio".into()
    }

    fn send(&mut self, message: TxJsonRpcMessage<RoleClient>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &message {
            lock(&self.in_flight).begin_unattributed(request.id.clone());
        }
        let outbox = self.outbox.clone();
        let over = self.over.clone();
        async move {
            let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
            let line = line_of(&message).ok_or_else(closed)?;
            tokio::select! {
                sent = outbox.send(line) => sent.map_err(|_| closed()),
                () = over.cancelled() => Err(closed()),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.reader.next().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.over.cancel();
        Ok(())
    }
}

/// Writes queued messages until the session is over, which closes the server's input.
async fn write(mut lines: mpsc::Receiver<Vec<u8>>, mut input: impl AsyncWrite + Unpin, over: CancellationToken) {
    let mut taken = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = lines.recv_many(&mut taken, QUEUE) => if count == 0 { return },
            () = over.cancelled() => return,
        }
        let written = async {
            match taken.as_slice() {
                [one] => input.write_all(one).await?,
                several => input.write_all(&several.concat()).await?,
            }
            input.flush().await
        };
        let written = tokio::select! {
            written = written => written,
            () = async { over.cancelled().await; tokio::time::sleep(LAST_WRITE).await } => return,
        };
        if let Err(error) = written {
            tracing::debug!("could not write to a server's standard input: {error}");
            return;
        }
        taken.clear();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream, duplex};

    use super::*;
    use crate::upstream::session::in_flight::{CallEvents, SessionId};
    use crate::upstream::transport::stray_output::DEFAULT_LIMIT;

    /// A server's ends of its streams, and ours.
    struct Streams {
        says: DuplexStream,
        reads: BufReader<DuplexStream>,
        fast_path: StdioFastPath,
        transport: StdioTransport<DuplexStream>,
    }

    fn streams() -> Streams {
        let (says, output) = duplex(1 << 10);
        let (input, reads) = duplex(1 << 10);
        let (fast_path, transport) =
            open("s", output, input, SharedInFlight::default(), StrayOutput::new(DEFAULT_LIMIT));
        Streams {
            says,
            reads: BufReader::new(reads),
            fast_path,
            transport,
        }
    }

    fn call(fast_path: &StdioFastPath, arguments: &str) -> (Pending, CallEvents) {
        let (caller, events) = CallHandle::of(SessionId(1));
        (fast_path.call("t", serde_json::from_str(arguments).unwrap(), &[], false, caller).unwrap(), events)
    }

    fn text(answer: Option<Answer>) -> String {
        match answer.unwrap() {
            Answer::Result(result) => result.get().to_owned(),
            Answer::Error(error) => format!("error {error}"),
        }
    }

    fn message(json: serde_json::Value) -> TxJsonRpcMessage<RoleClient> {
        serde_json::from_value(json).unwrap()
    }

    fn received(message: Option<RxJsonRpcMessage<RoleClient>>) -> serde_json::Value {
        serde_json::to_value(message.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_call_is_one_line_whatever_its_arguments_look_like() {
        let mut streams = streams();
        let _call = call(&streams.fast_path, "{\r\n \"a\":\n\"\\n\"}");
        let ping = message(serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        streams.transport.send(ping).await.unwrap();
        let mut line = String::new();
        streams.reads.read_line(&mut line).await.unwrap();
        let sent: serde_json::Value = serde_json::from_str(&line).unwrap();
        let params = serde_json::json!({"name": "t", "arguments": {"a": "\n"}});
        assert_eq!((&sent["method"], &sent["params"]), (&"tools/call".into(), &params));
        assert_eq!(sent["id"], FIRST_FAST_ID);
        line.clear();
        streams.reads.read_line(&mut line).await.unwrap();
        assert!(line.contains("\"ping\""), "{line}");
    }

    #[tokio::test]
    async fn the_meta_of_a_request_reaches_the_server_with_our_own_progress_token() {
        let mut streams = streams();
        let (caller, _events) = CallHandle::of(SessionId(1));
        let parent: Box<RawValue> = serde_json::from_str("\"00-1\"").unwrap();
        let arguments: Box<RawValue> = serde_json::from_str("{}").unwrap();
        let meta = [("traceparent", parent.as_ref())];
        let _pending = streams.fast_path.call("t", &arguments, &meta, true, caller).unwrap();
        let mut line = String::new();
        streams.reads.read_line(&mut line).await.unwrap();
        let sent: serde_json::Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({"traceparent": "00-1", "progressToken": FIRST_FAST_ID});
        assert_eq!(sent["params"]["_meta"], expected);
    }

    #[tokio::test]
    async fn responses_go_to_their_callers_and_all_else_to_the_library_in_order() {
        let mut streams = streams();
        let (mut one, _events_one) = call(&streams.fast_path, "{}");
        let (mut two, _events_two) = call(&streams.fast_path, "{}");
        let ping = message(serde_json::json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}));
        streams.transport.send(ping).await.unwrap();
        let (first, second) = (FIRST_FAST_ID, FIRST_FAST_ID + 1);
        let output = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}}\nnoise\n\
             {{\"jsonrpc\":\"2.0\",\"id\":\"{second}\",\"result\":{{ \"b\" : 1 }}}}\r\n{{\"id\":7,\"result\":{{}}}}\n\
             {{\"error\":{{\"code\":1,\"message\":\"m\"}},\"id\":{first}}}\n{{\"id\":{second},\"result\":{{}}}}\n"
        );
        let server = async {
            for piece in output.as_bytes().chunks(5) {
                streams.says.write_all(piece).await.unwrap();
            }
            drop(streams.says);
        };
        let library = async {
            let notification = received(streams.transport.receive().await);
            assert!(two.answer.try_recv().is_err(), "what came before a response is passed on before it");
            let pong = received(streams.transport.receive().await);
            assert!(streams.transport.receive().await.is_none());
            (notification, pong)
        };
        let ((notification, pong), ()) = tokio::join!(library, server);
        assert_eq!((&notification["method"], &pong["id"]), (&"notifications/tools/list_changed".into(), &7.into()));
        assert_eq!(text(two.answer().await), "{ \"b\" : 1 }");
        assert_eq!(text(one.answer().await), "error {\"code\":1,\"message\":\"m\"}");
    }

    #[tokio::test]
    async fn the_end_of_a_server_is_the_end_of_every_call() {
        let mut streams = streams();
        let (mut one, _events) = call(&streams.fast_path, "{}");
        drop(streams.says);
        assert!(streams.transport.receive().await.is_none());
        assert!(one.answer().await.is_none());
        let (caller, _events) = CallHandle::of(SessionId(1));
        assert!(streams.fast_path.call("t", serde_json::from_str("{}").unwrap(), &[], false, caller).is_none());
    }

    #[tokio::test]
    async fn the_end_of_the_session_closes_the_servers_input_while_calls_are_still_possible() {
        let mut streams = streams();
        drop(streams.transport);
        let mut left = String::new();
        streams.reads.read_to_string(&mut left).await.unwrap();
        assert_eq!(left, "");
    }
}

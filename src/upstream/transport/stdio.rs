//! A way past the library for tool calls: a server's answer goes to whoever called as the bytes that the server wrote.
//!
//! The library reads every message into a type, takes it through several tasks and writes it again. For the answer of a
//! tool call nothing of that is needed. Both ways share the server's streams: what is not the answer to a call that went
//! this way is left to the library, in the order in which it came.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rmcp::model::{NumberOrString, ProgressToken, RequestId};
use rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, DropGuard, PollSender};

use crate::upstream::session::in_flight::{Answer, CallHandle, InFlightRequests};

/// The ids of calls that go this way: beyond those that the library counts up from 0, within 32 bits.
const FIRST_ID: u32 = 1 << 30;
/// Messages that may wait for a server to read them.
const WAITING: usize = 256;
/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// A server that says so much without a pause is read more slowly: whatever it floods us with must not keep others waiting.
pub const BURST: usize = 1 << 20;
/// The same before it has listed its tools for the first time: until then it is of no use to anybody. A server that fails at it is
/// started again ever more seldom.
const FIRST_BURST: usize = DEFAULT_MAX_LINE_LENGTH;
/// How long it is read between two rests: at least a chunk, so that a rest ends in something.
const SLICE: Duration = Duration::from_micros(50);
/// How long it rests: a fortieth of the time is in nobody's way. One long message is only looked through for its end; a chunk
/// of whole ones keeps the library busy for a millisecond.
pub const REST: Duration = Duration::from_millis(2);
pub const LONG_REST: Duration = Duration::from_millis(50);
/// How long a message that is being written may still take once the session ends.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// The requests under way with one server, by either way.
pub type SharedInFlight = Arc<Mutex<InFlightRequests>>;

/// The way to one running server.
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

/// A request that waits for its answer.
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

/// An answer as far as it has to be read.
#[derive(Deserialize)]
struct Head<'a> {
    id: u32,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl StdioFastPath {
    /// Calls a tool. `None` when the server has stopped, or has not read what waits for it already.
    ///
    /// `meta` are the members of the request's `_meta`, without a progress token.
    pub fn call(
        &self,
        tool: &str,
        arguments: &RawValue,
        meta: &[(&str, &RawValue)],
        progress: bool,
        caller: CallHandle,
    ) -> Option<Pending> {
        let id = self.next_id();
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
        let room = self.line.outbox.try_reserve().ok()?;
        let token = progress.then(|| ProgressToken(request_id(id)));
        let answer = lock(&self.line.in_flight).begin_fast(request_id(id), token, caller)?;
        room.send(line_of(&request)?);
        Some(Pending {
            id,
            answer,
            line: self.line.clone(),
        })
    }

    /// Asks something of our own. `None` when the server has stopped, or has not read what waits for it already.
    pub fn ask(&self, method: &'static str, params: &impl Serialize) -> Option<Pending> {
        let id = self.next_id();
        let request = Request {
            jsonrpc: "2.0",
            id,
            method,
            params,
        };
        let room = self.line.outbox.try_reserve().ok()?;
        let answer = lock(&self.line.in_flight).begin_own(request_id(id))?;
        room.send(line_of(&request)?);
        Some(Pending {
            id,
            answer,
            line: self.line.clone(),
        })
    }

    fn next_id(&self) -> u32 {
        FIRST_ID | (self.line.next.fetch_add(1, Ordering::Relaxed) & (FIRST_ID - 1))
    }
}

impl Pending {
    /// The server's answer; `None` when it ended before.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }

    /// Tells the server that nobody waits any more.
    pub fn cancel(self, reason: &str) {
        lock(&self.line.in_flight).end(&request_id(self.id));
        let params = serde_json::json!({"requestId": self.id, "reason": reason});
        let told = serde_json::json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        if let Some(line) = line_of(&told) {
            // A server that does not read need not be told.
            let _ = self.line.outbox.try_send(line);
        }
    }
}

/// A message with its end. Line breaks that a client wrote between its arguments would end it early.
fn line_of(message: &impl Serialize) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(message).ok()?;
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Some(line)
}

fn request_id(id: u32) -> RequestId {
    NumberOrString::Number(id.into())
}

fn lock(in_flight: &SharedInFlight) -> std::sync::MutexGuard<'_, InFlightRequests> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the way beside a server's streams, and gives them back for the library.
pub fn open<R, W>(output: R, input: W, in_flight: SharedInFlight) -> (StdioFastPath, Output<R>, Input)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (outbox, lines) = mpsc::channel(WAITING);
    let over = CancellationToken::new();
    tokio::spawn(write(lines, input, over.clone()));
    let shortcut = StdioFastPath {
        line: Arc::new(Line {
            outbox: outbox.clone(),
            in_flight: in_flight.clone(),
            next: AtomicU32::new(0),
        }),
    };
    let output = Output {
        inner: output,
        in_flight,
        chunk: vec![0; CHUNK],
        unread: 0..0,
        line: Vec::new(),
        too_long: false,
        passing: Vec::new(),
        passed: 0,
        unpaused: 0,
        busy_since: None,
        told: false,
        rest: None,
    };
    let input = Input {
        outbox: PollSender::new(outbox),
        over: over.clone(),
        _over: over.drop_guard(),
    };
    (shortcut, output, input)
}

/// Writes what waits, as much as there is at once, until the session is over; then the server's input is closed.
async fn write(mut lines: mpsc::Receiver<Vec<u8>>, mut input: impl AsyncWrite + Unpin, over: CancellationToken) {
    let mut taken = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = lines.recv_many(&mut taken, WAITING) => if count == 0 { return },
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
            tracing::debug!("a server's input takes no more: {error}");
            return;
        }
        taken.clear();
    }
}

/// A server's standard input for the library.
pub struct Input {
    outbox: PollSender<Vec<u8>>,
    over: CancellationToken,
    _over: DropGuard,
}

impl AsyncWrite for Input {
    /// Takes all of it: the library writes whole messages, which must not be taken apart.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, message: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(this.outbox.poll_reserve(context)).map_err(closed)?;
        this.outbox.send_item(message.to_vec()).map_err(closed)?;
        Poll::Ready(Ok(message.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.over.cancel();
        Poll::Ready(Ok(()))
    }
}

/// A server's standard output for the library, without the answers that are not for it.
pub struct Output<R> {
    inner: R,
    in_flight: SharedInFlight,
    chunk: Vec<u8>,
    /// What of the chunk was not looked at.
    unread: std::ops::Range<usize>,
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    /// The line that comes in is too long to be an answer, and is passed on as it comes.
    too_long: bool,
    passing: Vec<u8>,
    /// How much of `passing` is passed.
    passed: usize,
    /// Bytes read since the server last paused, and since when we have not.
    unpaused: usize,
    busy_since: Option<Instant>,
    /// Whole messages went to the library since we last rested.
    told: bool,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<R> Output<R> {
    /// Looks at the next line of the chunk, and keeps it for the library if it is none of ours.
    fn take_line(&mut self) {
        let unread = self.chunk.get(self.unread.clone()).unwrap_or_default();
        let end = memchr::memchr(b'\n', unread).map(|at| at + 1);
        let piece = unread.get(..end.unwrap_or(unread.len())).unwrap_or_default();
        self.unread.start += piece.len();
        if self.too_long {
            self.passing.extend_from_slice(piece);
            self.too_long = end.is_none();
        } else if end.is_some() && self.line.is_empty() {
            if !deliver(&self.in_flight, piece) {
                self.passing.extend_from_slice(piece);
                self.told = true;
            }
        } else {
            self.line.extend_from_slice(piece);
            self.too_long = end.is_none() && self.line.len() > DEFAULT_MAX_LINE_LENGTH;
            if (end.is_some() && !deliver(&self.in_flight, &self.line)) || self.too_long {
                self.passing = std::mem::take(&mut self.line);
            } else if end.is_some() {
                empty(&mut self.line);
            }
        }
    }
}

impl<R> Output<R> {
    fn burst(&self) -> usize {
        if self.unpaused > BURST && lock(&self.in_flight).is_opening() {
            FIRST_BURST
        } else {
            BURST
        }
    }

    /// Lets others go on: after each chunk, and for a while where the server says more than anybody needs.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(context));
            self.rest = None;
            self.busy_since = None;
        } else if self.unpaused > self.burst() && self.busy_since.is_some_and(|since| since.elapsed() > SLICE) {
            let length = if std::mem::take(&mut self.told) { LONG_REST } else { REST };
            let rest = self.rest.insert(Box::pin(tokio::time::sleep(length)));
            ready!(rest.as_mut().poll(context));
        }
        Poll::Ready(())
    }
}

/// Keeps a buffer's memory for the next line, but not that of a large one.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(CHUNK);
}

/// Gives an answer to whoever waits for it; `false` for everything else.
fn deliver(in_flight: &SharedInFlight, line: &[u8]) -> bool {
    if !lock(in_flight).has_short() {
        return false;
    }
    let Ok(head) = serde_json::from_slice::<Head>(line) else { return false };
    let answer = match (head.result, head.error) {
        (Some(result), None) => Answer::Result(result.to_owned()),
        (None, Some(error)) => Answer::Error(error.to_owned()),
        _ => return false,
    };
    if head.id < FIRST_ID {
        return false;
    }
    // Whoever does not wait any more is not told; the library knows nothing of this call.
    if let Some(waiting) = lock(in_flight).answered(&request_id(head.id)) {
        let _ = waiting.send(answer);
    }
    true
}

impl<R: AsyncRead + Unpin> AsyncRead for Output<R> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = this.passing.get(this.passed..).unwrap_or_default();
            if !rest.is_empty() {
                let length = rest.len().min(into.remaining());
                into.put_slice(rest.get(..length).unwrap_or_default());
                this.passed += length;
                return Poll::Ready(Ok(()));
            }
            empty(&mut this.passing);
            this.passed = 0;
            if !this.unread.is_empty() {
                // One line at a time: the library must have taken it before an answer that came after it is given out.
                this.take_line();
                continue;
            }
            ready!(this.poll_rest(context));
            let mut read = ReadBuf::new(&mut this.chunk);
            let Poll::Ready(outcome) = Pin::new(&mut this.inner).poll_read(context, &mut read) else {
                (this.unpaused, this.busy_since) = (0, None);
                return Poll::Pending;
            };
            outcome?;
            this.unread = 0..read.filled().len();
            this.unpaused += this.unread.len();
            this.busy_since.get_or_insert_with(Instant::now);
            if this.unread.is_empty() {
                lock(&this.in_flight).close();
                this.passing = std::mem::take(&mut this.line);
                if this.passing.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<R> Drop for Output<R> {
    fn drop(&mut self) {
        lock(&self.in_flight).close();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, DuplexStream, duplex};

    use super::*;
    use crate::upstream::session::in_flight::SessionId;

    /// A server's ends of its streams, and ours.
    struct Streams {
        says: DuplexStream,
        reads: BufReader<DuplexStream>,
        shortcut: StdioFastPath,
        output: Output<DuplexStream>,
        input: Input,
    }

    fn streams() -> Streams {
        let (says, output) = duplex(1 << 10);
        let (input, reads) = duplex(1 << 10);
        let (shortcut, output, input) = open(output, input, SharedInFlight::default());
        Streams {
            says,
            reads: BufReader::new(reads),
            shortcut,
            output,
            input,
        }
    }

    fn call(shortcut: &StdioFastPath, arguments: &str) -> (Pending, crate::upstream::session::in_flight::CallEvents) {
        let (caller, hearing) = CallHandle::of(SessionId(1));
        (shortcut.call("t", serde_json::from_str(arguments).unwrap(), &[], false, caller).unwrap(), hearing)
    }

    fn result(answer: Option<Answer>) -> String {
        match answer.unwrap() {
            Answer::Result(result) => result.get().to_owned(),
            Answer::Error(error) => format!("error {error}"),
        }
    }

    #[tokio::test]
    async fn a_call_is_one_line_whatever_its_arguments_look_like() {
        let mut streams = streams();
        let _call = call(&streams.shortcut, "{\r\n \"a\":\n\"\\n\"}");
        streams.input.write_all(b"the library's\n").await.unwrap();
        let mut lines = String::new();
        streams.reads.read_line(&mut lines).await.unwrap();
        let sent: serde_json::Value = serde_json::from_str(&lines).unwrap();
        let params = serde_json::json!({"name": "t", "arguments": {"a": "\n"}});
        assert_eq!((&sent["method"], &sent["params"], &sent["id"]), (&"tools/call".into(), &params, &FIRST_ID.into()));
        lines.clear();
        streams.reads.read_line(&mut lines).await.unwrap();
        assert_eq!(lines, "the library's\n");
    }

    #[tokio::test]
    async fn answers_go_to_their_callers_and_all_else_to_the_library_in_order() {
        let mut streams = streams();
        let (mut one, _hears_one) = call(&streams.shortcut, "{}");
        let (mut two, _hears_two) = call(&streams.shortcut, "{}");
        let (first, second) = (FIRST_ID, FIRST_ID + 1);
        let said = format!(
            "before\n{{\"jsonrpc\":\"2.0\",\"id\":{second},\"result\":{{ \"b\" : 1 }}}}\r\nbetween\n{{\"id\":7,\"result\":{{}}}}\n\
             {{\"error\":{{\"code\":1,\"message\":\"m\"}},\"id\":{first}}}\n{{\"id\":{second},\"result\":{{}}}}\nunfinished"
        );
        let server = async {
            for piece in said.as_bytes().chunks(5) {
                streams.says.write_all(piece).await.unwrap();
            }
            drop(streams.says);
        };
        let mut passed = String::new();
        let (read, ()) = tokio::join!(streams.output.read_to_string(&mut passed), server);
        read.unwrap();
        assert_eq!(result(two.answer().await), "{ \"b\" : 1 }");
        assert_eq!(result(one.answer().await), "error {\"code\":1,\"message\":\"m\"}");
        // The last answer came twice; with nobody waiting it is the library's to wonder.
        let left =
            format!("before\nbetween\n{{\"id\":7,\"result\":{{}}}}\n{{\"id\":{second},\"result\":{{}}}}\nunfinished");
        assert_eq!(passed, left);
    }

    #[tokio::test]
    async fn what_was_said_before_an_answer_is_read_before_the_answer_is_given_out() {
        let mut streams = streams();
        let (mut one, _hearing) = call(&streams.shortcut, "{}");
        streams.says.write_all(format!("said\n{{\"id\":{FIRST_ID},\"result\":{{}}}}\n").as_bytes()).await.unwrap();
        let mut piece = [0; 64];
        let length = streams.output.read(&mut piece).await.unwrap();
        assert_eq!(piece.get(..length), Some(&b"said\n"[..]));
        assert!(one.answer.try_recv().is_err());
        drop(streams.says);
        assert_eq!(streams.output.read(&mut piece).await.unwrap(), 0);
        assert_eq!(result(one.answer().await), "{}");
    }

    #[tokio::test]
    async fn the_end_of_a_server_is_the_end_of_every_call() {
        let mut streams = streams();
        let (mut one, _hearing) = call(&streams.shortcut, "{}");
        drop(streams.says);
        assert_eq!(streams.output.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(one.answer().await.is_none());
        let (caller, _hearing) = CallHandle::of(SessionId(1));
        assert!(streams.shortcut.call("t", serde_json::from_str("{}").unwrap(), &[], false, caller).is_none());
    }

    #[tokio::test]
    async fn a_line_too_long_for_an_answer_is_passed_on_as_it_comes() {
        let mut streams = streams();
        let (_one, _hearing) = call(&streams.shortcut, "{}");
        let length = DEFAULT_MAX_LINE_LENGTH + CHUNK;
        let server = async {
            streams.says.write_all(&vec![b'x'; length]).await.unwrap();
            streams.says.write_all(b"\nnext\n").await.unwrap();
            drop(streams.says);
        };
        let mut passed = Vec::new();
        let (read, ()) = tokio::join!(streams.output.read_to_end(&mut passed), server);
        read.unwrap();
        assert_eq!(passed.len(), length + 6);
        assert!(passed.ends_with(b"x\nnext\n"));
        assert!(streams.output.line.capacity() == 0, "the memory of it is not kept");
    }

    #[tokio::test]
    async fn with_the_session_the_servers_input_ends_although_somebody_could_still_call() {
        let mut streams = streams();
        drop(streams.input);
        let mut left = String::new();
        streams.reads.read_to_string(&mut left).await.unwrap();
        assert_eq!(left, "");
    }
}

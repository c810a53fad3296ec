//! Reads a server's standard output: finds the messages, gives responses of the fast path to their callers and everything else
//! to the library.
//!
//! A server that writes something else than one clean message per line is tolerated as far as its meaning is clear. A response
//! that cannot be read fails the one call it can belong to at once; otherwise a warning names the server and the reason.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use futures_util::future::poll_immediate;
use rmcp::ErrorData;
use rmcp::model::{ErrorCode, RequestId};
use rmcp::service::{RoleClient, RxJsonRpcMessage};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::contract::json_rpc::{ErrorResponse, SuccessResponse};
use crate::os::block_in_place::block_in_place_if_large;
use crate::os::sse::TooLong;
use crate::os::sync::lock;
use crate::upstream::rejection;
use crate::upstream::session::in_flight::{Answer, Match, SharedInFlight};
use crate::upstream::session::rate_limit::{Decision, RateLimit};
use crate::upstream::transport::as_written;
use crate::upstream::transport::limits::{LONGEST_ANSWER, LONGEST_NOTIFICATION, longest_answer, too_long};
use crate::upstream::transport::message::{self, Body, Message, Response, Unreadable, line_of};
use crate::upstream::transport::repair::Scanner;
use crate::upstream::transport::stray_output::StrayOutput;
use crate::upstream::transport::throttle::{self, Throttle};

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// A server may send this much before it has listed its tools: until then it is of no use, and one that fails at it is restarted
/// ever more rarely.
const FIRST_BURST: usize = LONGEST_ANSWER;
/// How long a message over several lines may pause; then it counts as cut off.
const BETWEEN_LINES: Duration = Duration::from_millis(500);

/// A server's standard output.
pub struct Reader<R> {
    server: String,
    output: R,
    in_flight: SharedInFlight,
    /// Carries responses to the server's pings and to requests that cannot be read.
    outbox: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
    /// The part of the chunk that has not been looked at.
    unread: Range<usize>,
    /// The start of a line whose end has not come.
    line: Vec<u8>,
    /// The line is too long to be kept.
    oversized: Option<Oversized>,
    /// A message that goes on over several lines, and when it counts as cut off.
    scanner: Scanner,
    cut_off_at: Option<Instant>,
    stray: StrayOutput,
    ready: VecDeque<RxJsonRpcMessage<RoleClient>>,
    throttle: Throttle,
    warnings: RateLimit,
    ended: bool,
}

struct Oversized {
    ends: TooLong,
    /// Its caller has received an error.
    answered: bool,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The next message for the library; `None` at the end of the output. Loses nothing if dropped before it is done.
    pub async fn next(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            // One line at a time: the library takes what came before a response before its caller receives the response.
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if !self.unread.is_empty() {
                self.take_line();
                continue;
            }
            if self.ended {
                return None;
            }
            let burst = self.burst();
            self.throttle.rest(burst).await;
            self.read_chunk().await;
        }
    }

    async fn read_chunk(&mut self) {
        let read = match poll_immediate(self.output.read(&mut self.chunk)).await {
            Some(read) => read,
            None => {
                self.throttle.note_pause();
                let read = self.output.read(&mut self.chunk);
                match [self.cut_off_at, self.stray.fails_at()].into_iter().flatten().min() {
                    None => read.await,
                    Some(at) => match tokio::time::timeout_at(at, read).await {
                        Ok(read) => read,
                        Err(_) => {
                            self.give_up();
                            return;
                        }
                    },
                }
            }
        };
        match read {
            Ok(length @ 1..) => {
                self.unread = 0..length;
                self.throttle.note_read(length);
            }
            _ => self.end(),
        }
    }
}

impl<R> Reader<R> {
    /// Reads `output`; `outbox` feeds the server's standard input.
    pub fn new(
        server: &str,
        output: R,
        in_flight: SharedInFlight,
        outbox: mpsc::Sender<Vec<u8>>,
        stray: StrayOutput,
    ) -> Reader<R> {
        Reader {
            server: server.to_owned(),
            output,
            in_flight,
            outbox,
            chunk: vec![0; CHUNK],
            unread: 0..0,
            line: Vec::new(),
            oversized: None,
            scanner: Scanner::default(),
            cut_off_at: None,
            stray,
            ready: VecDeque::new(),
            throttle: Throttle::default(),
            warnings: RateLimit::for_warnings(),
            ended: false,
        }
    }

    fn burst(&self) -> usize {
        let opening = self.throttle.unpaused() > throttle::BURST && lock(&self.in_flight).is_opening();
        if opening { FIRST_BURST } else { throttle::BURST }
    }

    fn end(&mut self) {
        self.ended = true;
        let rest = std::mem::take(&mut self.line);
        self.take_text(&rest);
        if self.scanner.is_incomplete() {
            self.give_up_multi_line();
        }
        lock(&self.in_flight).close();
    }

    /// Looks at the next line of the chunk, or at its start.
    fn take_line(&mut self) {
        let chunk = std::mem::take(&mut self.chunk);
        let unread = chunk.get(self.unread.clone()).unwrap_or_default();
        let end = memchr::memchr(b'\n', unread).map(|at| at + 1);
        let piece = unread.get(..end.unwrap_or(unread.len())).unwrap_or_default();
        self.unread.start += piece.len();
        if self.oversized.is_some() {
            self.take_oversized(piece, end.is_some());
        } else if end.is_some() && self.line.is_empty() {
            self.take_text(piece);
        } else {
            self.line.extend_from_slice(piece);
            if self.line.len() > longest_answer() {
                let line = std::mem::take(&mut self.line);
                self.oversized = Some(Oversized {
                    ends: TooLong::default(),
                    answered: false,
                });
                self.take_oversized(&line, end.is_some());
            } else if end.is_some() {
                let mut line = std::mem::take(&mut self.line);
                self.take_text(&line);
                // The memory of a large line is not kept.
                line.clear();
                line.shrink_to(CHUNK);
                self.line = line;
            }
        }
        self.chunk = chunk;
    }

    /// Keeps the ends of a line that is too long, and fails its caller as soon as that is known.
    fn take_oversized(&mut self, piece: &[u8], is_end: bool) {
        let Some(mut oversized) = self.oversized.take() else { return };
        oversized.ends.take(piece);
        if !oversized.answered {
            let tail = if is_end { oversized.ends.end.as_slice() } else { &[] };
            let id = message::id_between(&oversized.ends.start, tail);
            if id.is_some() || is_end {
                oversized.answered = true;
                let unreadable = Unreadable {
                    id,
                    reason: too_long(longest_answer()),
                    start: message::start_of(&oversized.ends.start),
                    is_request: memchr::memmem::find(&oversized.ends.start, b"\"method\"").is_some(),
                };
                self.fail(&unreadable, &too_long(longest_answer()));
            }
        }
        if !is_end {
            self.oversized = Some(oversized);
        }
    }

    /// Takes one line.
    fn take_text(&mut self, line: &[u8]) {
        let text = line.trim_ascii();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if self.scanner.is_incomplete() {
            if !is_whole_message(text) {
                self.scan(line);
                return;
            }
            self.give_up_multi_line();
        }
        if text.is_empty() {
            return;
        }
        match block_in_place_if_large(text.len(), || message::read_clean(text)) {
            Some(message) => self.take_message(message, text),
            None if is_json_like(text) => self.scan(line),
            None => self.take_other(text),
        }
    }

    /// Takes a line that does not begin with a message.
    fn take_other(&mut self, text: &[u8]) {
        if let Some(text) = message::from_utf16(text).or_else(|| message::from_json_string(text)) {
            self.take_text(&text);
        } else if let Some(response) = message::response_after_text(text) {
            self.note_noise(text);
            if let Some(message) = message::read_clean(response) {
                self.take_message(message, response);
            }
        } else {
            self.take_message(message::unreadable(text, "it is not JSON"), text);
        }
    }

    /// Takes a line that holds a damaged message, a part of one or several.
    fn scan(&mut self, line: &[u8]) {
        block_in_place_if_large(line.len(), || self.scanner.push(line));
        while let Some(value) = self.scanner.next_text() {
            for message in message::read_value(&value) {
                self.take_message(message, value.as_bytes());
            }
        }
        self.cut_off_at = self.scanner.is_incomplete().then(|| Instant::now() + BETWEEN_LINES);
        if self.scanner.len() > longest_answer() {
            self.give_up_multi_line();
        }
    }

    /// The server is silent for too long: after a part of a message, or after text.
    fn give_up(&mut self) {
        let now = Instant::now();
        if self.cut_off_at.is_some_and(|at| at <= now) {
            self.give_up_multi_line();
        }
        if let Some((call, reason)) = self.stray.take_failed(now) {
            self.fail_request(Some(&call), &reason);
        }
    }

    /// A message over several lines does not go on.
    fn give_up_multi_line(&mut self) {
        self.cut_off_at = None;
        let rest = self.scanner.abandon();
        self.take_message(message::unreadable(&rest, "it is cut off"), &rest);
    }

    fn take_message(&mut self, message: Message<'_>, text: &[u8]) {
        match message {
            Message::Response(response) => {
                self.stray.note_message(response.id.as_ref());
                self.take_response(response, text);
            }
            Message::Request(text) => {
                self.stray.note_message(None);
                self.take_request(&text);
            }
            Message::Notification(text) => {
                self.stray.note_message(None);
                self.take_notification(&text);
            }
            Message::Unreadable(unreadable) => {
                let reason = format!("could not read the server's response: {}", unreadable.reason);
                self.fail(&unreadable, &reason);
            }
            Message::Noise => self.note_noise(text),
        }
    }

    fn take_response(&mut self, response: Response<'_>, text: &[u8]) {
        let found = lock(&self.in_flight).find(response.id.as_ref());
        let id = match found {
            Match::Request(id) => id,
            Match::Late => {
                tracing::debug!(server = self.server, "dropped the response to a request that has ended");
                return;
            }
            Match::Unknown => {
                self.warn("dropped a response that belongs to no request", text);
                return;
            }
        };
        if !lock(&self.in_flight).is_fast(&id) {
            let message = block_in_place_if_large(text.len(), || for_library(response.body, id));
            self.pass_on(message);
            return;
        }
        let answer = match response.body {
            Body::Result(result) => Answer::Result(result.into_owned()),
            Body::Error(error) => Answer::Error(error.into_owned()),
        };
        self.answer_fast(&id, answer);
    }

    fn answer_fast(&self, id: &RequestId, answer: Answer) {
        let waiting = lock(&self.in_flight).answered(id);
        if let Some(waiting) = waiting {
            // A caller that has left does not receive it.
            let _ = waiting.send(answer);
        }
    }

    fn take_request(&mut self, text: &str) {
        if let Some(id) = ping_id(text) {
            // Not through the library: a flood of pings would pile up in its tasks.
            self.reply(&SuccessResponse::new(id, Map::new()));
            return;
        }
        match message::read_typed(text) {
            Ok(message) => self.pass_on(message),
            Err(error) => {
                let id =
                    serde_json::from_str::<Value>(text).ok().and_then(|mut value| Some(value.get_mut("id")?.take()));
                let error =
                    ErrorData::new(ErrorCode::INVALID_REQUEST, format!("could not read the request: {error}"), None);
                self.reply(&ErrorResponse::new(id, error));
                self.warn("could not read a request", text.as_bytes());
            }
        }
    }

    /// A server that does not read its input loses replies.
    fn reply(&self, reply: &impl Serialize) {
        if let Some(line) = line_of(reply) {
            let _ = self.outbox.try_send(line);
        }
    }

    fn take_notification(&mut self, text: &str) {
        if text.len() > LONGEST_NOTIFICATION {
            self.warn(&format!("dropped a notification of {} bytes", text.len()), text.as_bytes());
            return;
        }
        match message::read_typed(text) {
            Ok(message) => self.pass_on(message),
            Err(error) => self.warn(&format!("could not read a notification ({error})"), text.as_bytes()),
        }
    }

    fn pass_on(&mut self, message: RxJsonRpcMessage<RoleClient>) {
        self.throttle.note_message();
        self.ready.push_back(message);
    }

    /// Fails the one call that a response can belong to, and warns.
    fn fail(&mut self, unreadable: &Unreadable, reason: &str) {
        self.warn(&unreadable.reason, unreadable.start.as_bytes());
        if unreadable.is_request {
            return;
        }
        self.fail_request(unreadable.id.as_ref(), reason);
    }

    fn fail_request(&mut self, id: Option<&RequestId>, reason: &str) {
        let found = lock(&self.in_flight).find(id);
        let Match::Request(id) = found else { return };
        let error = rejection::unreadable(reason.to_owned());
        if !lock(&self.in_flight).is_fast(&id) {
            self.pass_on(RxJsonRpcMessage::<RoleClient>::error(error, Some(id)));
        } else if let Some(answer) = Answer::failure(&error) {
            self.answer_fast(&id, answer);
        }
    }

    fn note_noise(&mut self, text: &[u8]) {
        if !text.is_empty() {
            let only_call = lock(&self.in_flight).only_call();
            self.stray.note_text(text, only_call, Instant::now());
            self.warn("wrote something else than an MCP message to standard output", text);
        }
    }

    /// Warns about the server's output, unless it gives too much reason to.
    fn warn(&mut self, what: &str, text: &[u8]) {
        let start = message::start_of(text);
        if self.warnings.take(Instant::now(), start.len()) == Decision::Pass {
            tracing::warn!(server = self.server, "{what}: {start}");
        }
    }
}

impl<R> Drop for Reader<R> {
    fn drop(&mut self) {
        lock(&self.in_flight).close();
    }
}

/// Whether a line may be a damaged message or a part of one. A log message may begin with a bracket, too.
fn is_json_like(text: &[u8]) -> bool {
    let (is_object, is_list) = (text.starts_with(b"{"), text.starts_with(b"["));
    (is_object || is_list && message::response_after_text(text).is_none()) && message::from_utf16(text).is_none()
}

/// Whether a line is a message of its own, and not a part of one over several lines.
fn is_whole_message(text: &[u8]) -> bool {
    text.starts_with(b"{")
        && memchr::memmem::find(text, b"\"jsonrpc\"").is_some()
        && serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// A response as the library has it.
fn for_library(body: Body<'_>, id: RequestId) -> RxJsonRpcMessage<RoleClient> {
    let error = match body {
        Body::Error(error) => Answer::error_of(&error),
        Body::Result(result) => match as_written::for_library(&result) {
            Ok(result) => return RxJsonRpcMessage::<RoleClient>::response(result, id),
            Err(error) => rejection::unreadable(format!("could not read the server's response: {error}")),
        },
    };
    RxJsonRpcMessage::<RoleClient>::error(error, Some(id))
}

/// The id of a ping.
fn ping_id(text: &str) -> Option<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Ping<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow)]
        method: std::borrow::Cow<'a, str>,
    }
    let ping: Ping<'_> = serde_json::from_str(text).ok()?;
    (ping.method == "ping").then_some(ping.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::oneshot;

    use super::*;
    use crate::upstream::session::in_flight::{CallEvents, CallHandle, FIRST_FAST_ID, SessionId};
    use crate::upstream::transport::stray_output::DEFAULT_LIMIT;

    struct Server {
        output: DuplexStream,
        reader: Reader<DuplexStream>,
        replies: mpsc::Receiver<Vec<u8>>,
        in_flight: SharedInFlight,
    }

    fn server() -> Server {
        let (output, input) = duplex(1 << 20);
        let (outbox, replies) = mpsc::channel(8);
        let in_flight = SharedInFlight::default();
        Server {
            output,
            reader: Reader::new("s", input, in_flight.clone(), outbox, StrayOutput::new(DEFAULT_LIMIT)),
            replies,
            in_flight,
        }
    }

    impl Server {
        fn fast(&self, number: u32) -> oneshot::Receiver<Answer> {
            lock(&self.in_flight).begin_own((FIRST_FAST_ID + number).into_id()).unwrap()
        }

        /// A client's call, on the fast path or through the library.
        fn call(&self, number: u32, fast: bool) -> (Option<oneshot::Receiver<Answer>>, CallEvents) {
            let (caller, events) = CallHandle::of(SessionId(1));
            let mut in_flight = lock(&self.in_flight);
            if fast {
                return (in_flight.begin_fast((FIRST_FAST_ID + number).into_id(), None, caller), events);
            }
            in_flight.begin(number.into_id(), None, caller);
            (None, events)
        }

        fn library(&self, number: u32) {
            lock(&self.in_flight).begin_unattributed(number.into_id());
        }

        /// Its output, to be written while it is read.
        fn detach(&mut self) -> DuplexStream {
            std::mem::replace(&mut self.output, duplex(1).0)
        }

        async fn write(&mut self, bytes: &[u8]) {
            self.output.write_all(bytes).await.unwrap();
        }

        /// Reads until the fast-path caller has its response.
        async fn until(&mut self, mut answer: oneshot::Receiver<Answer>) -> Value {
            let answer = tokio::select! {
                biased;
                message = self.reader.next() => panic!("{message:?}"),
                answer = &mut answer => answer.unwrap(),
            };
            match answer {
                Answer::Result(result) => serde_json::from_str(result.get()).unwrap(),
                Answer::Error(error) => json!({"error": serde_json::from_str::<Value>(error.get()).unwrap()}),
            }
        }

        async fn next(&mut self) -> Value {
            serde_json::to_value(self.reader.next().await.unwrap()).unwrap()
        }
    }

    trait IntoId {
        fn into_id(self) -> RequestId;
    }

    impl IntoId for u32 {
        fn into_id(self) -> RequestId {
            rmcp::model::NumberOrString::Number(self.into())
        }
    }

    /// Outputs that hold the response `{"t": …}` to request `ID`, damaged or oddly written, and what the caller receives.
    fn odd_responses() -> Vec<(Vec<u8>, Value)> {
        let mut odd: Vec<(Vec<u8>, Value)> = [
            (r#"{"jsonrpc":"2.0","id":ID,"result":{"t":"cut \ud83d"}}"#, json!("cut \u{fffd}")),
            ("{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"t\":\"a\tb\"}}", json!("a\tb")),
            (r#"{"jsonrpc":"2.0","id":ID,"result":{"t":NaN}}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":ID,"result":{"t":-Infinity}}"#, Value::Null),
            (r#"{"jsonrpc":"2.0","id":ID,"result":{"t":1e400}}"#, serde_json::from_str("1e400").unwrap()),
            (r#"{"jsonrpc":"2.0","id":"ID","result":{"t":1}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":ID.0,"result":{"t":1}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":null,"result":{"t":1}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","result":{"t":1}}"#, json!(1)),
            (r#"{"id":ID,"result":{"t":1},"error":null}"#, json!(1)),
            ("{\n  \"jsonrpc\": \"2.0\",\n  \"id\": ID,\n  \"result\": {\n    \"t\": 1\n  }\n}", json!(1)),
            ("{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"t\":\"a\nb\"}}", json!("a\nb")),
            (r#"{"jsonrpc":"2.0","method":"notifications/x"}{"jsonrpc":"2.0","id":ID,"result":{"t":1}}"#, json!(1)),
            (r#"[{"jsonrpc":"2.0","id":ID,"result":{"t":1}}]"#, json!(1)),
            (r#"[12:00:00] INFO {x} answered {"jsonrpc":"2.0","id":ID,"result":{"t":1}}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":ID,"method":"tools/call","result":{"t":1}}"#, json!(1)),
            (r#""{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"t\":1}}""#, json!(1)),
            ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"t\":1}}", json!(1)),
        ]
        .into_iter()
        .map(|(text, expected)| (text.as_bytes().to_vec(), expected))
        .collect();
        // Its id cannot be filled in, and is that of the only request in flight.
        let wide = r#"{"jsonrpc":"2.0","id":null,"result":{"t":1}}"#.bytes().flat_map(|byte| [byte, 0]).collect();
        odd.push((wide, json!(1)));
        odd.push((b"{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"t\":\"caf\xe9\"}}".to_vec(), json!("caf\u{fffd}")));
        odd
    }

    /// Outputs that hold no response that could be read: the caller receives an error.
    fn broken_responses() -> Vec<String> {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        vec![
            r#"{"jsonrpc":"2.0","id":ID}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":ID,"result":null}"#.to_owned(),
            r#"{"jsonrpc":"2.0","Id":ID,"Result":{"t":1}}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","id":ID,"result":{{"t":{deep}}}}}"#),
            r#"{"jsonrpc":"2.0","id":ID,"result":{"t":}}"#.to_owned(),
            r#"{"jsonrpc":"2.0","id":ID,"result":{"t":"cut"#.to_owned(),
            r#"{"jsonrpc":"2.0","result":{'t': 1}}"#.to_owned(),
            "{'jsonrpc': '2.0', 'id': ID, 'result': {'t': 1}}".to_owned(),
            r#"sent {"jsonrpc":"2.0","id":ID,"result":{"t":}}"#.to_owned(),
            format!(r#"{{"jsonrpc":"2.0","id":ID,"result":{{"t":"{}"}}}}"#, "x".repeat(LONGEST_ANSWER)),
        ]
    }

    fn with_id(text: &[u8], id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = memchr::memmem::find(rest, b"ID") {
            bytes.extend_from_slice(&rest[..at]);
            bytes.extend_from_slice(id.to_string().as_bytes());
            rest = &rest[at + 2..];
        }
        bytes.extend_from_slice(rest);
        bytes.push(b'\n');
        bytes
    }

    fn is_notification(value: &Value) -> bool {
        value["method"] == "notifications/x"
    }

    #[tokio::test]
    async fn an_odd_response_reaches_its_caller_the_same_on_both_paths() {
        for (text, expected) in odd_responses() {
            let shown = String::from_utf8_lossy(&text).into_owned();
            let mut server = server();
            let mut answer = server.fast(0);
            server.write(&with_id(&text, FIRST_FAST_ID)).await;
            let fast = loop {
                tokio::select! {
                    biased;
                    message = server.reader.next() => assert!(is_notification(&serde_json::to_value(message).unwrap())),
                    answer = &mut answer => break answer.unwrap(),
                }
            };
            let Answer::Result(fast) = fast else { panic!("{shown}: {fast:?}") };
            let fast: Value = serde_json::from_str(fast.get()).unwrap();
            assert_eq!(fast["t"], expected, "{shown}");

            let mut server = self::server();
            server.library(3);
            server.write(&with_id(&text, 3)).await;
            let mut library = server.next().await;
            if is_notification(&library) {
                library = server.next().await;
            }
            assert_eq!((&library["id"], &library["result"]), (&json!(3), &fast), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_broken_response_fails_its_caller_at_once_on_both_paths() {
        for text in broken_responses() {
            let shown: String = text.chars().take(100).collect();
            let mut server = server();
            let answer = server.fast(0);
            let mut output = server.detach();
            let bytes = with_id(text.as_bytes(), FIRST_FAST_ID);
            let (fast, written) = tokio::join!(server.until(answer), output.write_all(&bytes));
            written.unwrap();
            assert_eq!(fast["error"]["code"], -32603, "{shown}: {fast}");

            let mut server = self::server();
            server.library(3);
            let mut output = server.detach();
            let bytes = with_id(text.as_bytes(), 3);
            let (library, written) = tokio::join!(server.reader.next(), output.write_all(&bytes));
            written.unwrap();
            let library = serde_json::to_value(library.unwrap()).unwrap();
            // The position in the text differs with the length of the id.
            let text = |error: &Value| error["message"].as_str().unwrap().split(" (").next().unwrap().to_owned();
            assert_eq!((&library["id"], &library["error"]["code"]), (&json!(3), &json!(-32603)), "{shown}");
            assert_eq!(text(&library["error"]), text(&fast["error"]), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_cut_message_does_not_take_the_next_one_with_it() {
        let mut server = server();
        let (first, second) = (server.fast(0), server.fast(1));
        let cut = with_id(br#"{"jsonrpc":"2.0","id":ID,"result":{"t":"cut"#, FIRST_FAST_ID);
        let whole = with_id(br#"{"jsonrpc":"2.0","id":ID,"result":{"t":2}}"#, FIRST_FAST_ID + 1);
        server.write(&[cut, whole].concat()).await;
        assert!(server.until(first).await["error"]["message"].as_str().unwrap().contains("cut off"));
        assert_eq!(server.until(second).await["t"], 2);
    }

    #[tokio::test]
    async fn log_output_fails_no_call() {
        let mut server = server();
        let answer = server.fast(0);
        server.write(b"Listening on stdio\n{\"level\":\"info\"}\n{ host: 'x' }\n[INFO] ready\n").await;
        server.write(&with_id(br#"{"jsonrpc":"2.0","id":ID,"result":{"t":1}}"#, FIRST_FAST_ID)).await;
        assert_eq!(server.until(answer).await["t"], 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_in_place_of_a_response_fails_the_only_call_on_both_paths() {
        for fast in [true, false] {
            let mut server = server();
            let (mut answer, _events) = server.call(1, fast);
            server.write(b"<!DOCTYPE html>\n<h1>502 Bad Gateway</h1>\n").await;
            let error = match &mut answer {
                Some(answer) => tokio::select! {
                    message = server.reader.next() => panic!("{message:?}"),
                    answer = answer => format!("{:?}", answer.unwrap()),
                },
                None => server.next().await.to_string(),
            };
            assert!(
                error.contains("the server wrote text instead of a response") && error.contains("<!DOCTYPE html>"),
                "{error}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn text_that_a_message_follows_fails_no_call() {
        let mut server = server();
        let mut output = server.detach();
        for (number, lines, pause) in [
            (1, &["Listening", "10 %", "{\"level\":\"info\"}"][..], DEFAULT_LIMIT - Duration::from_secs(1)),
            // From now on it is known to log.
            (2, &["Working"], 2 * DEFAULT_LIMIT),
        ] {
            let (answer, _events) = server.call(number, true);
            let slow = async {
                for line in lines {
                    output.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                    tokio::time::sleep(pause).await;
                }
                let response = with_id(br#"{"jsonrpc":"2.0","id":ID,"result":{"t":1}}"#, FIRST_FAST_ID + number);
                output.write_all(&response).await.unwrap();
            };
            let (answered, ()) = tokio::join!(server.until(answer.unwrap()), slow);
            assert_eq!(answered["t"], 1, "{lines:?}");
        }
    }

    #[tokio::test]
    async fn a_response_that_may_belong_to_several_calls_goes_to_none() {
        let mut server = server();
        let (first, mut second) = (server.fast(0), server.fast(1));
        server.write(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{\"t\":0}}\n").await;
        server.write(&with_id(br#"{"jsonrpc":"2.0","id":ID,"result":{"t":1}}"#, FIRST_FAST_ID)).await;
        assert_eq!(server.until(first).await["t"], 1);
        assert!(second.try_recv().is_err());
    }

    #[tokio::test]
    async fn pings_are_answered_and_requests_that_cannot_be_read_are_refused() {
        let mut server = server();
        server.write(b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}\n").await;
        server.write(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":7}\n").await;
        server.write(b"{\"id\":8,\"method\":\"roots/list\"}\n").await;
        let passed_on = server.next().await;
        assert_eq!((&passed_on["id"], &passed_on["method"]), (&json!(8), &json!("roots/list")));
        let pong: Value = serde_json::from_slice(&server.replies.recv().await.unwrap()).unwrap();
        assert_eq!(pong, json!({"jsonrpc": "2.0", "id": "a", "result": {}}));
        let refusal: Value = serde_json::from_slice(&server.replies.recv().await.unwrap()).unwrap();
        assert_eq!((&refusal["id"], &refusal["error"]["code"]), (&json!(7), &json!(-32600)));
    }

    #[tokio::test]
    async fn large_notifications_are_dropped_unread() {
        let mut server = server();
        let large = "x".repeat(LONGEST_NOTIFICATION);
        let notification = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"level\":\"info\",\"data\":\"{large}\"}}}}\n"
        );
        server.write(notification.as_bytes()).await;
        server.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n").await;
        assert_eq!(server.next().await["method"], "notifications/tools/list_changed");
    }
}

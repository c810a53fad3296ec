//! Answers for a server whose message is too long to be read: the transport throws such a line away, and whoever asked would wait for ever.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, ReadBuf};

use crate::upstream::transport::limits::{LONGEST_ANSWER, too_long};

/// How much of a line's start and end is kept, to find the message's id there.
const KEPT: usize = 256;
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Passes a server's output on as it is, and puts an error in the server's name after each line that is too long.
pub struct OversizedLines<R> {
    inner: R,
    line: Line,
    chunk: Vec<u8>,
    waiting: VecDeque<u8>,
}

impl<R> OversizedLines<R> {
    /// Over a server's standard output.
    pub fn new(inner: R) -> OversizedLines<R> {
        OversizedLines {
            inner,
            line: Line::default(),
            chunk: vec![0; CHUNK],
            waiting: VecDeque::new(),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for OversizedLines<R> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.waiting.is_empty() {
            let mut read = ReadBuf::new(&mut this.chunk);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut read))?;
            for piece in read.filled().split_inclusive(|byte| *byte == b'\n') {
                this.waiting.extend(piece);
                this.line.take(piece);
                if piece.ends_with(b"\n")
                    && let Some(answer) = std::mem::take(&mut this.line).answer(LONGEST_ANSWER)
                {
                    this.waiting.extend(answer.as_bytes());
                }
            }
        }
        let (front, _) = this.waiting.as_slices();
        let length = front.len().min(into.remaining());
        into.put_slice(front.get(..length).unwrap_or_default());
        this.waiting.drain(..length);
        Poll::Ready(Ok(()))
    }
}

/// What is known of a line: how long it is, how it begins and how it ends.
#[derive(Default)]
struct Line {
    length: usize,
    start: Vec<u8>,
    end: Vec<u8>,
}

impl Line {
    fn take(&mut self, piece: &[u8]) {
        self.length = self.length.saturating_add(piece.len());
        let room = KEPT.saturating_sub(self.start.len());
        self.start.extend(piece.iter().take(room));
        self.end.extend(piece.iter().skip(piece.len().saturating_sub(KEPT)));
        self.end.drain(..self.end.len().saturating_sub(KEPT));
    }

    /// The error for whoever waits for a line that is longer than `limit`; none, where its id is not found.
    fn answer(&self, limit: usize) -> Option<String> {
        if self.length <= limit {
            return None;
        }
        let id = id_between(&self.start, &self.end)?;
        let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": too_long(limit)}});
        Some(format!("{error}\n"))
    }
}

/// The id of a message of which only the start and the end are known: libraries write it either before the result or as the
/// last thing of all.
pub fn id_between(start: &[u8], end: &[u8]) -> Option<Value> {
    let is_id = |id: &Value| id.is_string() || id.is_i64();
    let start = String::from_utf8_lossy(start);
    let before_result = start.split("\"result\"").next().unwrap_or_default();
    if let Some((_, rest)) = before_result.split_once("\"id\":") {
        let first = serde_json::Deserializer::from_str(rest).into_iter().next()?;
        return first.ok().filter(is_id);
    }
    let end = String::from_utf8_lossy(end);
    let (_, rest) = end.trim_end().strip_suffix('}')?.rsplit_once("\"id\":")?;
    serde_json::from_str(rest).ok().filter(is_id)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn id(text: &str) -> Option<Value> {
        let mut line = Line::default();
        for piece in text.as_bytes().chunks(7) {
            line.take(piece);
        }
        id_between(&line.start, &line.end)
    }

    #[test]
    fn the_id_is_found_before_the_result_and_after_it() {
        let long = "x".repeat(1000);
        let body = format!(r#"{{"content":[{{"text":"{long}","id":9}}]}}"#);
        assert_eq!(id(&format!(r#"{{"jsonrpc":"2.0","id":5,"result":{body}}}"#)), Some(json!(5)));
        assert_eq!(id(&format!(r#"{{"id": "a,b", "jsonrpc":"2.0","result":{body}}}"#)), Some(json!("a,b")));
        assert_eq!(id(&format!("{{\"result\":{body},\"jsonrpc\":\"2.0\",\"id\": 12}}\r\n")), Some(json!(12)));
        assert_eq!(id(&format!(r#"{{"jsonrpc":"2.0","result":{body}}}"#)), None);
        assert_eq!(id(&format!(r#"{{"jsonrpc":"2.0","method":"x","params":{body}}}"#)), None);
        assert_eq!(id(""), None);
    }

    #[tokio::test]
    async fn everything_passes_and_a_long_answer_is_followed_by_an_error() {
        let long = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#, "x".repeat(LONGEST_ANSWER));
        let said = format!("{{\"id\":0}}\n{long}\nnoise\n");
        let mut heard = String::new();
        OversizedLines::new(said.as_bytes()).read_to_string(&mut heard).await.unwrap();
        let (before, rest) = heard.split_once(&long).unwrap();
        assert_eq!(before, "{\"id\":0}\n");
        let lines: Vec<&str> = rest.trim_start().lines().collect();
        let error: Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(error["id"], 1);
        assert!(error["error"]["message"].as_str().unwrap().contains("16 MiB"), "{error}");
        assert_eq!(lines[1..], ["noise"]);
    }
}

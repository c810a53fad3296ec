//! The events of a server's HTTP response as they arrive, slowed down where a server floods them.
//!
//! Oversized events are dropped except for their start and end.

use std::time::Duration;

use futures_util::{Stream, stream};
use hyper::body::Bytes;
use reqwest::Response;
use rmcp::transport::streamable_http_client::SseError;
use tokio::time::Instant;

use crate::os::sse::{Event, Parser, TooLong};
use crate::upstream::transport::limits::longest_answer;
use crate::upstream::transport::throttle::{BURST, LONG_REST, REST};

/// Bytes parsed between two rests of a server that floods its stream.
const SLICE: usize = 16 << 10;
/// A server that sends nothing for this long has paused.
const PAUSE: Duration = Duration::from_millis(20);

/// An event, or the ends of one that is too long: reported once, as soon as its id may be known, and again at its end.
pub type Received = Result<Event, TooLong>;

/// Reads events from a response. The last item is the end of the stream or an error.
pub fn events(response: Response) -> impl Stream<Item = Result<Received, SseError>> + Send {
    let reader = Reader {
        response,
        unread: Bytes::new(),
        parser: Parser::new(longest_answer()),
        reported: false,
        unpaused: 0,
        unrested: 0,
        passed_on: false,
    };
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        let event = reader.next().await?;
        let goes_on = event.is_ok();
        Some((event, goes_on.then_some(reader)))
    })
}

struct Reader {
    response: Response,
    /// Bytes that have not been parsed.
    unread: Bytes,
    parser: Parser,
    /// The event that arrives has been reported as too long.
    reported: bool,
    /// Bytes read since the server last paused, and since the last rest.
    unpaused: usize,
    unrested: usize,
    /// Events were passed on since the last rest.
    passed_on: bool,
}

impl Reader {
    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Result<Received, SseError>> {
        loop {
            match self.parser.next_event() {
                Some(Ok(event)) => {
                    self.passed_on = true;
                    return Some(Ok(Ok(event)));
                }
                Some(Err(long)) => {
                    if !std::mem::take(&mut self.reported) {
                        return Some(Ok(Err(long)));
                    }
                    continue;
                }
                None => {}
            }
            if !self.reported
                && let Some(long) = self.parser.beyond_limit()
            {
                self.reported = true;
                return Some(Ok(Err(long.clone())));
            }
            if self.unpaused > BURST && self.unrested >= SLICE {
                let rest = if std::mem::take(&mut self.passed_on) { LONG_REST } else { REST };
                self.unrested = 0;
                tokio::time::sleep(rest).await;
            }
            if self.unread.is_empty() {
                let since = Instant::now();
                match self.response.chunk().await {
                    Ok(Some(piece)) => self.unread = piece,
                    Ok(None) => return None,
                    Err(error) => return Some(Err(SseError::Body(Box::new(error.without_url())))),
                }
                if since.elapsed() > PAUSE {
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

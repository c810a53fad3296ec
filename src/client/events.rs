//! The open event stream of a core.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::os::sse::{Event, Parser};

/// The core says something every 30 s: after three times nothing it hangs, or this computer slept.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);

/// `/events` while it is open. It ends when the core stops, and with an error when the core breaks the format.
pub struct EventStream {
    body: Incoming,
    parser: Parser,
}

impl EventStream {
    pub(super) fn new(body: Incoming) -> EventStream {
        EventStream {
            body,
            parser: Parser::default(),
        }
    }

    /// The next event; `None` when the stream has ended, however it did.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let too_long = self.parser.beyond_limit().is_some();
            match self.parser.next_event() {
                Some(Ok(event)) => return Some(event),
                None if !too_long => {}
                _ => {
                    tracing::warn!("the core sent an event that is too long; its stream was closed");
                    return None;
                }
            }
            let Ok(frame) = tokio::time::timeout(SILENCE_LIMIT, self.body.frame()).await else {
                tracing::warn!("the core sent nothing for {} s; its stream was closed", SILENCE_LIMIT.as_secs());
                return None;
            };
            let frame = frame?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.parser.push(&data);
            }
        }
    }
}

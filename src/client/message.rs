//! One MCP message to the core and what comes back: an answer, a stream of messages, or nothing.

use std::collections::VecDeque;

use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::{Method, StatusCode, header};
use serde_json::Value;

use super::call::{BODY_LIMIT, CallError, Client};
use super::events::EventStream;
use crate::contract::exact_numbers::hold;
use crate::contract::names;

/// The core's response to a message.
pub struct Reply {
    pub status: StatusCode,
    /// The session that an `initialize` began.
    pub session: Option<String>,
    stream: Option<EventStream>,
    ready: VecDeque<Value>,
}

impl Reply {
    /// The next message of the core; `None` when there are no more.
    pub async fn next(&mut self) -> Option<Value> {
        if let Some(message) = self.ready.pop_front() {
            return Some(message);
        }
        let stream = self.stream.as_mut()?;
        loop {
            // An event without data only says that the stream is open.
            if let Ok(message) = serde_json::from_str(&hold(&stream.next().await?.data)) {
                return Some(message);
            }
        }
    }
}

impl Client {
    /// Posts a message to the core's MCP endpoint, asks for its stream (GET), or ends a session (DELETE).
    ///
    /// # Errors
    /// [`CallError`], where nothing is known to have answered. An HTTP error is a [`Reply`].
    pub async fn exchange_message(
        &self,
        method: Method,
        headers: &[(&str, String)],
        message: Option<&Value>,
    ) -> Result<Reply, CallError> {
        let mut headers = headers.to_vec();
        headers.push(("accept", "application/json, text/event-stream".to_owned()));
        let response = self.send(method, names::MCP_PATH, &headers, message).await?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let session = header("mcp-session-id");
        let is_stream = header(header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("text/event-stream"));
        let (stream, ready) = if is_stream {
            (Some(EventStream::new(response.into_body())), VecDeque::new())
        } else {
            let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
            let body: Bytes = body.map_err(|error| self.failed(error))?.to_bytes();
            let text = String::from_utf8_lossy(&body);
            let message: Option<Value> = serde_json::from_str(&hold(&text)).ok();
            (None, message.into_iter().collect())
        };
        Ok(Reply {
            status,
            session,
            stream,
            ready,
        })
    }
}

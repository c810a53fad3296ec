//! Speaks [`contract::api`](crate::contract::api) to a core over an [`Endpoint`]: for the tray and for the command line.
//!
//! Every call is one connection: a core that was restarted in between is no special case. Nothing a core sends is
//! trusted to be short, to be UTF-8 or to be JSON.

mod call;
pub mod discover;
mod error;
mod sse;

use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contract::api::{Envelope, Ready};
use crate::contract::endpoint::Endpoint;

pub use call::EventStream;
pub use error::CallError;
pub use sse::ServerEvent;

/// How long a call may take, from the first byte to the last.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// A caller of one core.
#[derive(Debug, Clone)]
pub struct Client {
    endpoint: Endpoint,
    agent: String,
    deadline: Duration,
}

impl Client {
    /// A caller that introduces itself as `surface/version` (`tray/0.1.0`, `cli/0.1.0`).
    pub fn new(endpoint: Endpoint, surface: &'static str, version: &str) -> Client {
        Client {
            endpoint,
            agent: format!("{surface}/{version}"),
            deadline: CALL_DEADLINE,
        }
    }

    /// The same caller with another deadline for each call.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Client {
        self.deadline = deadline;
        self
    }

    /// Where this client calls.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `GET` of a path such as `/api/v1/status`; the `data` of the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.data(Method::GET, path, None).await
    }

    /// `POST` of a JSON body; the `data` of the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| CallError::Garbage(error.to_string()))?;
        self.data(Method::POST, path, Some(body)).await
    }

    /// `DELETE` of a path; the `data` of the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.data(Method::DELETE, path, None).await
    }

    /// Whether the core serves. A core that says "not yet" is `Ok` with `ready: false`.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ready(&self) -> Result<Ready, CallError> {
        let answer = self.answer(Method::GET, "/ready", None).await?;
        match answer.code {
            200 | 503 => serde_json::from_slice(&answer.body).map_err(|error| CallError::Garbage(error.to_string())),
            code => Err(CallError::from_answer(code, &answer.body)),
        }
    }

    /// The core's stream of events.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn events(&self) -> Result<EventStream, CallError> {
        call::events(&self.endpoint, &self.agent, self.deadline).await
    }

    async fn data<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, CallError> {
        let answer = self.answer(method, path, body).await?;
        if !(200..300).contains(&answer.code) {
            return Err(CallError::from_answer(answer.code, &answer.body));
        }
        // An answer without a body (204) is an answer without data.
        let bytes = if answer.body.is_empty() { b"{\"success\":true}".as_slice() } else { &answer.body };
        let envelope: Envelope<serde_json::Value> =
            serde_json::from_slice(bytes).map_err(|error| CallError::Garbage(error.to_string()))?;
        if !envelope.success {
            let message = envelope.error.unwrap_or_else(|| "it did not say why".to_owned());
            return Err(CallError::Status {
                code: answer.code,
                message,
            });
        }
        serde_json::from_value(envelope.data.unwrap_or_default()).map_err(|error| CallError::Garbage(error.to_string()))
    }

    async fn answer(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<call::Answer, CallError> {
        call::answer(&self.endpoint, &self.agent, self.deadline, method, path, body).await
    }
}

/// One part of a path, percent-encoded: a server's name may hold `/`, `?`, `#` and spaces.
pub fn path_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(path_segment("a/b?c#d e%ä"), "a%2Fb%3Fc%23d%20e%25%C3%A4");
        assert_eq!(path_segment("plain-name_1.2~"), "plain-name_1.2~");
    }
}

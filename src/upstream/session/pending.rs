//! An in-flight request to a server, on the fast path or through the library.

use std::time::Instant;

use rmcp::model::ServerResult;
use rmcp::service::{RequestHandle, RoleClient, ServiceError};
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::upstream::session::in_flight::{Answer, CallEvents, ServerEvent};
use crate::upstream::transport::as_written;
use crate::upstream::transport::stdio::Pending;

/// A tool call that began on the fast path and needs more than a response: the slow path continues it.
#[derive(Debug)]
pub struct Started {
    pub server: String,
    pub tool: String,
    pub pending: Pending,
    pub events: CallEvents,
    pub since: Instant,
    /// The first event that has not been passed on.
    pub first: Option<ServerEvent>,
    /// The response, if it has arrived.
    pub answer: Option<Answer>,
}

/// A request that is sent again until its result is complete.
pub struct Rounds {
    pub answer: oneshot::Receiver<Result<ServerResult, ServiceError>>,
    pub over: DropGuard,
}

/// A request that waits for its response.
pub enum Sent {
    Library(RequestHandle<RoleClient>),
    Short { pending: Pending, answer: Option<Answer> },
    Rounds(Rounds),
}

impl Sent {
    /// The response. May be called again after it was dropped before the response arrived.
    ///
    /// # Errors
    /// The server's own error, or its end.
    pub async fn answer(&mut self) -> Result<ServerResult, ServiceError> {
        match self {
            Sent::Library(handle) => (&mut handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed)),
            Sent::Rounds(rounds) => (&mut rounds.answer).await.unwrap_or(Err(ServiceError::TransportClosed)),
            Sent::Short { pending, answer } => {
                let answer = match answer.take() {
                    Some(answer) => answer,
                    None => pending.answer().await.ok_or(ServiceError::TransportClosed)?,
                };
                read(&answer)
            }
        }
    }

    /// Tells the server that the response is no longer needed.
    pub async fn cancel(self, reason: &str) {
        match self {
            Sent::Library(handle) => {
                let _ = handle.cancel(Some(reason.to_owned())).await;
            }
            Sent::Short { pending, .. } => pending.cancel(reason),
            // Dropping this cancels the request.
            Sent::Rounds(_) => {}
        }
    }
}

fn read(answer: &Answer) -> Result<ServerResult, ServiceError> {
    let result = match answer {
        Answer::Error(error) => return Err(ServiceError::McpError(Answer::error_of(error))),
        Answer::Result(result) => result,
    };
    as_written::for_library(result).map_err(|_| ServiceError::UnexpectedResponse)
}

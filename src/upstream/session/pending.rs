//! A request that is under way with a server, by whichever way it went.

use std::time::Instant;

use rmcp::model::{CallToolResult, ServerResult};
use rmcp::service::{RequestHandle, RoleClient, ServiceError};
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::os::block_in_place::block_in_place_if_large;
use crate::upstream::session::in_flight::{Answer, CallEvents, ServerEvent};
use crate::upstream::transport::stdio::Pending;

/// A tool call that took the shortcut, and turned out to be more than an answer.
#[derive(Debug)]
pub struct Started {
    pub server: String,
    pub tool: String,
    pub pending: Pending,
    pub hearing: CallEvents,
    pub since: Instant,
    /// What the server said, and was not told yet.
    pub first: Option<ServerEvent>,
    /// The answer, where it is there already.
    pub answer: Option<Answer>,
}

/// A request that is sent again until its answer is no question.
pub struct Rounds {
    pub answer: oneshot::Receiver<Result<ServerResult, ServiceError>>,
    pub over: DropGuard,
}

/// A request that waits for its answer.
pub enum Sent {
    Library(RequestHandle<RoleClient>),
    Short { pending: Pending, answer: Option<Answer> },
    Rounds(Rounds),
}

impl Sent {
    /// The answer. May be asked for again when it was dropped before it came.
    ///
    /// # Errors
    /// The server's own, or that it has ended.
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

    /// Tells the server that nobody waits any more.
    pub async fn cancel(self, reason: &str) {
        match self {
            Sent::Library(handle) => {
                let _ = handle.cancel(Some(reason.to_owned())).await;
            }
            Sent::Short { pending, .. } => pending.cancel(reason),
            // It is told so when this is dropped.
            Sent::Rounds(_) => {}
        }
    }
}

fn read(answer: &Answer) -> Result<ServerResult, ServiceError> {
    let result = match answer {
        Answer::Error(error) => return Err(ServiceError::McpError(Answer::error_of(error))),
        Answer::Result(result) => result.get(),
    };
    // The general type would try all the others first.
    let read = || {
        let read = serde_json::from_str::<CallToolResult>(result).map(ServerResult::CallToolResult);
        read.or_else(|_| serde_json::from_str(result)).map_err(|_| ServiceError::UnexpectedResponse)
    };
    block_in_place_if_large(result.len(), read)
}

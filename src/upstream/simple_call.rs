//! Tool calls over REST and from the command line, whose callers cannot answer a server's requests.

use std::time::{Duration, Instant};

use rmcp::ErrorData;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, ErrorCode, JsonObject, ServerResult};

use crate::upstream::error::CallError;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::session::in_flight::{CallEvents, CallHandle, ServerEvent};
use crate::upstream::session::multi_round_trip;
use crate::upstream::session::pending::Sent;

impl UpstreamPool {
    /// Calls a tool for a caller that cannot answer questions.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        server: &str,
        tool: &str,
        arguments: JsonObject,
        limit: Duration,
    ) -> Result<ServerResult, CallError> {
        self.tool(server, tool)?;
        let peer = self.peer(server)?;
        let server = server.to_owned();
        // Without arguments an empty object, never `null`: servers reject the latter.
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
        let (caller, events) = CallHandle::of(self.new_session());
        let sent = multi_round_trip::send(&peer, request, caller).await.map_err(|error| self.failed(&server, error))?;
        let _listed = self.waiting_calls().sent(&server, tool, Instant::now(), limit, None);
        self.follow(server, sent, events, limit).await
    }

    async fn follow(
        &self,
        server: String,
        mut sent: Sent,
        mut events: CallEvents,
        limit: Duration,
    ) -> Result<ServerResult, CallError> {
        let mut timeout = std::pin::pin!(tokio::time::sleep(limit));
        let answer = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => refuse(event),
                answer = sent.answer() => break answer,
                () = &mut timeout => {
                    let error = CallError::Timeout { server, limit };
                    sent.cancel(&error.to_string()).await;
                    return Err(error);
                }
            }
        };
        answer.map_err(|error| self.failed(&server, error))
    }
}

/// Refuses a server's request during a call whose caller cannot answer it.
pub(super) fn refuse(event: ServerEvent) {
    if let ServerEvent::Question(question) = event {
        let text = "this call was made over REST or with `mcpproxy call`, which cannot answer server requests";
        let refusal = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None);
        let _ = question.answer.send(Err(refusal));
    }
}

//! Multi-round-trip requests (MCP 2026-07-28): an `InputRequiredResult` becomes questions to the client, and the request is sent again
//! with the answers.

use std::time::Duration;

use rmcp::model::{
    ClientRequest, ClientResult, GetExtensions, InputRequest, InputRequiredResult, InputResponses, ServerRequest,
    ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RoleClient, ServiceError};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::upstream::session::in_flight::{CallHandle, NoRecipient, Question, ServerEvent};
use crate::upstream::session::pending::{Rounds, Sent};

/// A request is sent at most this often.
const MOST: usize = 32;
/// Pause before repeating a request for which the server needs no input.
const PAUSE: Duration = Duration::from_millis(250);
const ABANDONED: &str = "the client no longer waits";

/// Sends a client's request to a server, in the way of its protocol version.
///
/// # Errors
/// The request did not reach the server.
pub async fn send(
    peer: &Peer<RoleClient>,
    mut request: ClientRequest,
    caller: CallHandle,
) -> Result<Sent, ServiceError> {
    request.extensions_mut().insert(caller.clone());
    if !is_stateless(peer) || retry_fields(&mut request).is_none() {
        return peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await.map(Sent::Library);
    }
    let (sender, answer) = oneshot::channel();
    let over = CancellationToken::new();
    let (peer, guard) = (peer.clone(), over.clone().drop_guard());
    tokio::spawn(async move {
        // The caller may have left.
        let _ = sender.send(run(&peer, request, &caller, &over).await);
    });
    Ok(Sent::Rounds(Rounds { answer, over: guard }))
}

/// Whether the server speaks a protocol without `initialize`.
pub fn is_stateless(peer: &Peer<RoleClient>) -> bool {
    peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
}

async fn run(
    peer: &Peer<RoleClient>,
    mut request: ClientRequest,
    caller: &CallHandle,
    over: &CancellationToken,
) -> Result<ServerResult, ServiceError> {
    for _ in 0..MOST {
        let options = PeerRequestOptions::no_options();
        let mut sent = peer.send_cancellable_request(request.clone(), options).await?;
        let answer = tokio::select! {
            answer = &mut sent.rx => answer.unwrap_or(Err(ServiceError::TransportClosed)),
            () = over.cancelled() => {
                let _ = sent.cancel(Some(ABANDONED.to_owned())).await;
                return Err(abandoned());
            }
        };
        let required = match answer {
            Ok(ServerResult::InputRequiredResult(required)) => required,
            answer => return answer,
        };
        let InputRequiredResult {
            input_requests,
            request_state,
            ..
        } = required;
        let answers = ask(input_requests.unwrap_or_default(), caller, over).await?;
        if answers.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = over.cancelled() => return Err(abandoned()),
            }
        }
        if let Some((responses, state)) = retry_fields(&mut request) {
            *responses = Some(answers).filter(|answers| !answers.is_empty());
            *state = request_state;
        }
    }
    Err(ServiceError::InputRequiredRoundsExceeded { max_rounds: MOST })
}

fn abandoned() -> ServiceError {
    let reason = Some(ABANDONED.to_owned());
    ServiceError::Cancelled { reason }
}

/// The fields of a request that is sent again; `None` for requests without input.
fn retry_fields(request: &mut ClientRequest) -> Option<(&mut Option<InputResponses>, &mut Option<String>)> {
    match request {
        ClientRequest::CallToolRequest(call) => {
            Some((&mut call.params.input_responses, &mut call.params.request_state))
        }
        ClientRequest::GetPromptRequest(get) => Some((&mut get.params.input_responses, &mut get.params.request_state)),
        ClientRequest::ReadResourceRequest(read) => {
            Some((&mut read.params.input_responses, &mut read.params.request_state))
        }
        _ => None,
    }
}

/// Asks the client everything that the server requires, at once.
async fn ask(
    required: impl IntoIterator<Item = (String, InputRequest)>,
    caller: &CallHandle,
    over: &CancellationToken,
) -> Result<InputResponses, ServiceError> {
    let mut waiting = Vec::new();
    for (key, input) in required {
        let (answer, answered) = oneshot::channel();
        let request = question(input).ok_or(ServiceError::UnexpectedResponse)?;
        caller.tell(ServerEvent::Question(Question {
            request,
            answer,
            withdrawn: over.clone(),
        }));
        waiting.push((key, answered));
    }
    let mut answers = InputResponses::default();
    for (key, answered) in waiting {
        let answer = answered.await.unwrap_or_else(|_| Err(NoRecipient::Over.into()));
        // Only an elicitation could be declined; the error tells the caller more.
        let answer = answer.map_err(ServiceError::McpError)?;
        answers.insert(key, written(&answer));
    }
    Ok(answers)
}

fn question(input: InputRequest) -> Option<ServerRequest> {
    Some(match input {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => return None,
    })
}

fn written(answer: &ClientResult) -> Value {
    // Our own types always serialize.
    serde_json::to_value(answer).unwrap_or_default()
}

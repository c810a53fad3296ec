//! Speaks with a server of 2026-07-28 as with one of before: what it asks by the result of a request becomes a question to
//! whoever sent that, and the request is sent again with the answers.

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

/// A request is not sent more often.
const MOST: usize = 32;
/// How long a server is left alone that asks for nothing but to be called again.
const PAUSE: Duration = Duration::from_millis(250);
const NOBODY_WAITS: &str = "the client does not wait any more";

/// Sends a client's request to a server, by the revision that this speaks.
///
/// # Errors
/// It did not reach the server.
pub async fn send(
    peer: &Peer<RoleClient>,
    mut request: ClientRequest,
    caller: CallHandle,
) -> Result<Sent, ServiceError> {
    request.extensions_mut().insert(caller.clone());
    if !is_stateless(peer) || again(&mut request).is_none() {
        return peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await.map(Sent::Library);
    }
    let (answer, answered) = oneshot::channel();
    let over = CancellationToken::new();
    let (peer, guard) = (peer.clone(), over.clone().drop_guard());
    tokio::spawn(async move {
        // Whoever waited may have left.
        let _ = answer.send(go(&peer, request, &caller, &over).await);
    });
    Ok(Sent::Rounds(Rounds {
        answer: answered,
        over: guard,
    }))
}

/// Whether the server has no `initialize`.
pub fn is_stateless(peer: &Peer<RoleClient>) -> bool {
    peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
}

async fn go(
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
                let _ = sent.cancel(Some(NOBODY_WAITS.to_owned())).await;
                return Err(given_up());
            }
        };
        let asked = match answer {
            Ok(ServerResult::InputRequiredResult(asked)) => asked,
            answer => return answer,
        };
        let InputRequiredResult {
            input_requests,
            request_state,
            ..
        } = asked;
        let answers = ask(input_requests.unwrap_or_default(), caller, over).await?;
        if answers.is_empty() {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = over.cancelled() => return Err(given_up()),
            }
        }
        if let Some((responses, state)) = again(&mut request) {
            *responses = Some(answers).filter(|answers| !answers.is_empty());
            *state = request_state;
        }
    }
    Err(ServiceError::InputRequiredRoundsExceeded { max_rounds: MOST })
}

fn given_up() -> ServiceError {
    let reason = Some(NOBODY_WAITS.to_owned());
    ServiceError::Cancelled { reason }
}

/// Where a request says that it is sent again; `None` for those that are never asked back.
fn again(request: &mut ClientRequest) -> Option<(&mut Option<InputResponses>, &mut Option<String>)> {
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

/// Puts what the server wants to know to the caller, all of it at once.
async fn ask(
    asked: impl IntoIterator<Item = (String, InputRequest)>,
    caller: &CallHandle,
    over: &CancellationToken,
) -> Result<InputResponses, ServiceError> {
    let mut waiting = Vec::new();
    for (key, asked) in asked {
        let (answer, answered) = oneshot::channel();
        let request = question(asked).ok_or(ServiceError::UnexpectedResponse)?;
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
        // Only an elicitation could be told that nobody answers; the caller learns more from the reason.
        let answer = answer.map_err(ServiceError::McpError)?;
        answers.insert(key, written(&answer));
    }
    Ok(answers)
}

fn question(asked: InputRequest) -> Option<ServerRequest> {
    Some(match asked {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => return None,
    })
}

fn written(answer: &ClientResult) -> Value {
    // Our own types always serialise.
    serde_json::to_value(answer).unwrap_or_default()
}

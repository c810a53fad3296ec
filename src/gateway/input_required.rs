//! Questions to clients of protocol 2026-07-28, which do not accept requests. The client receives a server's
//! question as the result of its request, and sends the request again with the answer. Until then, the server's request
//! waits here.

#![expect(deprecated, reason = "the newest protocol version deprecates sampling and roots")]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{
    ClientResult, CreateMessageResult, ElicitResult, Implementation, InputRequest, InputRequiredResult, InputResponses,
    ListRootsResult, ServerRequest,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::contract::failure::{Failure, FailureKind};
use crate::gateway::failures::invalid;
use crate::upstream::session::in_flight::{CallEvents, Question};
use crate::upstream::session::pending::Sent;

/// Maximum number of waiting requests.
const MOST: usize = 256;
/// After this time, the server is assumed to have no further questions until it gets the answers.
const SETTLED: Duration = Duration::from_secs(1);
/// How long a client may take to answer.
const LONGEST: Duration = Duration::from_mins(10);

/// A server's request that waits for the client's answers.
pub struct InputRequired {
    /// The request that the client must repeat unchanged.
    pub request: Fingerprint,
    pub sent: Sent,
    pub events: CallEvents,
    pub questions: BTreeMap<String, Question>,
}

/// Identifies a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a request to a server from its method, name and arguments.
    pub fn of(server: &str, method: &str, name: &str, arguments: &Value) -> Fingerprint {
        let whole = serde_json::json!([server, method, name, arguments]);
        Fingerprint(Sha256::digest(whole.to_string()).into())
    }

    /// Adds the client to the fingerprint, so that no other client can answer.
    pub fn of_client(self, client: Option<&Implementation>) -> Fingerprint {
        let whole = serde_json::json!([self.0, client.map(|client| (&client.name, &client.version))]);
        Fingerprint(Sha256::digest(whole.to_string()).into())
    }
}

/// The waiting requests.
#[derive(Default)]
pub struct PendingInputs {
    waiting: Mutex<HashMap<String, InputRequired>>,
}

/// The outcome of a repeated request.
pub enum Resumed {
    /// The server has received the answers.
    Answered(InputRequired),
    /// Some answers are missing; the client receives the questions again.
    Asked(InputRequiredResult),
}

impl PendingInputs {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, InputRequired>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a request until its client answers, and returns the result for the client.
    ///
    /// # Errors
    /// The request, if too many are waiting.
    pub fn park(self: &Arc<Self>, pending_inputs: InputRequired) -> Result<InputRequiredResult, Box<InputRequired>> {
        // Random, so that no other client can guess it and answer.
        let state = uuid::Uuid::new_v4().simple().to_string();
        let questions = questions(&pending_inputs);
        let waits = pending_inputs.events.waits();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= MOST {
                return Err(Box::new(pending_inputs));
            }
            waiting.insert(state.clone(), pending_inputs);
        }
        let (all, late) = (self.clone(), state.clone());
        tokio::spawn(async move {
            // The server may still send further questions.
            tokio::time::sleep(SETTLED).await;
            if all.waiting().contains_key(&late) {
                waits.store(true, Ordering::Relaxed);
            }
            tokio::time::sleep(LONGEST).await;
            let pending_inputs = all.waiting().remove(&late);
            if let Some(pending_inputs) = pending_inputs {
                pending_inputs.sent.cancel("the client did not answer").await;
            }
        });
        Ok(InputRequiredResult::new(Some(questions), Some(state)))
    }

    /// Continues a repeated request.
    ///
    /// # Errors
    /// The state is unknown or belongs to another request, or an answer is invalid.
    pub fn resume(&self, state: &str, request: Fingerprint, answers: &InputResponses) -> Result<Resumed, Failure> {
        let mut waiting = self.waiting();
        let Some(pending_inputs) = waiting.get(state).filter(|pending_inputs| pending_inputs.request == request) else {
            let text = "unknown `requestState`: it is wrong, used, expired or from another request";
            return Err(invalid(text));
        };
        if pending_inputs.questions.keys().any(|key| !answers.contains_key(key)) {
            return Ok(Resumed::Asked(InputRequiredResult::new(
                Some(questions(pending_inputs)),
                Some(state.to_owned()),
            )));
        }
        let mut read = Vec::new();
        for (key, question) in &pending_inputs.questions {
            read.push(
                answer(&question.request, answers.get(key).unwrap_or(&Value::Null)).map_err(|error| {
                    invalid(format!("`inputResponses.{key}` does not answer its question: {error}"))
                })?,
            );
        }
        let Some(mut pending_inputs) = waiting.remove(state) else {
            return Err(Failure::new(FailureKind::Internal, "the request has already ended"));
        };
        pending_inputs.events.waits().store(false, Ordering::Relaxed);
        for ((_, question), answer) in std::mem::take(&mut pending_inputs.questions).into_iter().zip(read) {
            let _ = question.answer.send(Ok(answer));
        }
        Ok(Resumed::Answered(pending_inputs))
    }
}

fn questions(pending_inputs: &InputRequired) -> BTreeMap<String, InputRequest> {
    let of = |(key, question): (&String, &Question)| Some((key.clone(), as_input(&question.request)?));
    pending_inputs.questions.iter().filter_map(of).collect()
}

/// Converts a server's question to the form used in results; `None` if it is not a question to a client.
pub fn as_input(request: &ServerRequest) -> Option<InputRequest> {
    match request {
        ServerRequest::CreateMessageRequest(request) => Some(InputRequest::CreateMessage(request.clone())),
        ServerRequest::ListRootsRequest(request) => Some(InputRequest::ListRoots(request.clone())),
        ServerRequest::ElicitRequest(request) => Some(InputRequest::Elicitation(request.clone())),
        _ => None,
    }
}

fn answer(question: &ServerRequest, answer: &Value) -> Result<ClientResult, String> {
    fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, String> {
        serde_json::from_value(answer.clone()).map_err(|error| error.to_string())
    }
    match question {
        ServerRequest::CreateMessageRequest(_) => {
            read::<CreateMessageResult>(answer).map(|result| ClientResult::CreateMessageResult(Box::new(result)))
        }
        ServerRequest::ListRootsRequest(_) => read::<ListRootsResult>(answer).map(ClientResult::ListRootsResult),
        _ => read::<ElicitResult>(answer).map(ClientResult::ElicitResult),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::sync::oneshot;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::upstream::session::in_flight::{CallHandle, SessionId, SharedInFlight};
    use crate::upstream::transport::stdio::open;
    use crate::upstream::transport::stray_output::{DEFAULT_LIMIT, StrayOutput};

    fn answers(answers: Value) -> InputResponses {
        serde_json::from_value(answers).unwrap()
    }

    #[tokio::test]
    async fn only_the_same_request_with_its_state_and_real_answers_goes_on() {
        let (shortcut, _transport) = open(
            "s",
            tokio::io::empty(),
            tokio::io::sink(),
            SharedInFlight::default(),
            StrayOutput::new(DEFAULT_LIMIT),
        );
        let (caller, events) = CallHandle::of(SessionId(1));
        let pending = shortcut.call("t", serde_json::from_str("{}").unwrap(), &[], false, caller).unwrap();
        let (answer, mut answered) = oneshot::channel();
        let question = json!({"method": "elicitation/create",
            "params": {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}});
        let question = Question {
            request: serde_json::from_value(question).unwrap(),
            answer,
            withdrawn: CancellationToken::new(),
        };
        let request = Fingerprint::of("s", "tools/call", "t", &json!({"a": 1}));
        let other = Fingerprint::of("s", "tools/call", "t", &json!({"a": 2}));
        let all = Arc::new(PendingInputs::default());
        let pending_inputs = InputRequired {
            request,
            sent: Sent::Short { pending, answer: None },
            events,
            questions: BTreeMap::from([("q".to_owned(), question)]),
        };
        let Ok(asked) = all.park(pending_inputs) else { panic!("parked") };
        let state = asked.request_state.unwrap();
        let accepted = answers(json!({"q": {"action": "accept", "content": {}}, "more": 1}));
        assert!(all.resume("another", request, &accepted).is_err());
        assert!(all.resume(&state, other, &accepted).is_err());
        let client = rmcp::model::Implementation::new("another", "1");
        assert!(all.resume(&state, request.of_client(Some(&client)), &accepted).is_err());
        assert!(all.resume(&state, request, &answers(json!({"q": 12345}))).is_err());
        assert!(matches!(all.resume(&state, request, &answers(json!({}))), Ok(Resumed::Asked(_))));
        assert!(answered.try_recv().is_err());
        assert!(matches!(all.resume(&state, request, &accepted), Ok(Resumed::Answered(_))));
        assert!(matches!(answered.try_recv(), Ok(Ok(ClientResult::ElicitResult(_)))));
        assert!(all.resume(&state, request, &accepted).is_err(), "an answer is given once");
    }
}

//! Passes a client's request to a server, and the server's messages and questions back to that client.
#![expect(
    deprecated,
    reason = "the newest protocol version deprecates sampling, roots and log messages"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, ClientRequest, ElicitRequestParams, ErrorCode, GetMeta as _, InputResponses, ProgressToken,
    ProtocolVersion, ServerRequest, ServerResult,
};
use rmcp::service::{PeerRequestOptions, RequestContext, RoleServer, ServiceError};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::gateway::input_required::{Fingerprint, InputRequired, PendingInputs, Resumed};
use crate::gateway::request_meta::{for_client, forwarded};
use crate::upstream::error::CallError;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::session::in_flight::{CallEvents, CallHandle, NoRecipient, Question, ServerEvent, SessionId};
use crate::upstream::session::multi_round_trip;
use crate::upstream::session::pending::{Sent, Started};
use crate::upstream::session::subscriptions::is_at_least;
use crate::upstream::transport::as_written;
use crate::upstream::waiting::Listed;

/// One request to a server.
pub struct Relay<'a> {
    pool: &'a UpstreamPool,
    pending_inputs: &'a Arc<PendingInputs>,
    server: &'a str,
    session: SessionId,
    context: &'a RequestContext<RoleServer>,
    /// Timeout for the server. Time in which the server waits for the client does not count.
    limit: Duration,
    /// Identifies the request while it waits for a client of protocol 2026-07-28 to answer. `None` for clients that can
    /// be asked immediately, and for requests whose result cannot be a question.
    park: Option<Fingerprint>,
}

/// The client's answers to the questions of an earlier attempt, sent with the repeated request.
pub struct RetryContext {
    pub request: Fingerprint,
    pub state: Option<String>,
    pub answers: Option<InputResponses>,
}

/// Maximum number of simultaneous questions to a client.
const MOST_AT_ONCE: usize = 16;
/// Questions within this time after the first are sent together.
const GATHER: Duration = Duration::from_millis(50);

/// Returns the subject of a request, for the list of waiting calls.
fn name_of(request: &ClientRequest) -> String {
    match request {
        ClientRequest::CallToolRequest(call) => call.params.name.to_string(),
        ClientRequest::GetPromptRequest(get) => format!("prompt {}", get.params.name),
        ClientRequest::ReadResourceRequest(read) => format!("resource {}", read.params.uri),
        other => other.method().to_owned(),
    }
}

impl<'a> Relay<'a> {
    /// Creates the relay of a session's request; `limit` is the timeout for the server.
    pub fn new(
        pool: &'a UpstreamPool,
        pending_inputs: &'a Arc<PendingInputs>,
        limit: Duration,
        server: &'a str,
        session: SessionId,
        context: &'a RequestContext<RoleServer>,
    ) -> Relay<'a> {
        Relay {
            pool,
            pending_inputs,
            server,
            session,
            context,
            limit,
            park: None,
        }
    }

    /// Passes on a request, and its cancellation.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn pass(&self, mut request: ClientRequest) -> Result<ServerResult, CallError> {
        let name = name_of(&request);
        request.get_meta_mut().extend(forwarded(&self.context.meta));
        let peer = self.pool.peer(self.server)?;
        let (caller, events) = CallHandle::of(self.session);
        let sent = multi_round_trip::send(&peer, request, caller).await;
        let sent = sent.map_err(|error| self.pool.failed(self.server, error))?;
        let _listed = self.listed(&name, std::time::Instant::now(), &events);
        self.follow(sent, events, None).await
    }

    /// Passes on a request whose result may be a question, or continues the one that waits for the client's answers.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn pass_or_resume(
        mut self,
        request: ClientRequest,
        again: RetryContext,
    ) -> Result<ServerResult, CallError> {
        if self.context.protocol_version().is_none_or(|version| version < ProtocolVersion::V_2026_07_28) {
            return self.pass(request).await;
        }
        let asked = again.request.of_client(self.context.client_info().as_ref());
        let name = name_of(&request);
        self.park = Some(asked);
        self.session = SessionId::of_client(self.context.client_info().as_ref());
        let Some(state) = again.state else { return self.pass(request).await };
        let resumed = self.pending_inputs.resume(&state, asked, &again.answers.unwrap_or_default());
        match resumed.map_err(|failure| CallError::Refused(failure.into()))? {
            Resumed::Answered(pending_inputs) => {
                let _listed = self.listed(&name, std::time::Instant::now(), &pending_inputs.events);
                self.follow(pending_inputs.sent, pending_inputs.events, None).await
            }
            Resumed::Asked(asked) => Ok(ServerResult::InputRequiredResult(asked)),
        }
    }

    /// Continues a call in flight.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn go_on(&self, started: Started) -> Result<ServerResult, CallError> {
        let _listed = self.listed(&started.tool, started.since, &started.events);
        let sent = Sent::Short {
            pending: started.pending,
            answer: started.answer,
        };
        self.follow(sent, started.events, started.first).await
    }

    /// Adds a request to the list of waiting calls.
    fn listed(&self, name: &str, since: std::time::Instant, events: &CallEvents) -> Listed {
        self.pool.waiting_calls().sent(self.server, name, since, self.limit, Some(events.waits()))
    }

    /// Waits for the response, and passes on the messages before it.
    async fn follow(
        &self,
        mut sent: Sent,
        mut events: CallEvents,
        first: Option<ServerEvent>,
    ) -> Result<ServerResult, CallError> {
        let mut questions = JoinSet::new();
        let over = CancellationToken::new();
        let _guard = over.clone().drop_guard();
        let mut until = Instant::now() + self.limit;
        let (mut open, mut gathered) = (BTreeMap::new(), until);
        let mut lacking = None;
        if let Some(said) = first {
            self.hear(said, &mut questions, &over).await;
        }
        let (reason, error) = loop {
            tokio::select! {
                // Polls in this order, so that messages from before the response are passed on before it.
                biased;
                () = self.context.ct.cancelled() => {
                    let reason = "the client cancelled it";
                    let (server, error) = (self.server.to_owned(), reason.to_owned());
                    break (reason.to_owned(), CallError::Other { server, error });
                }
                Some(said) = events.recv() => match (said, &self.park) {
                    (ServerEvent::Question(question), Some(_)) => {
                        let required = required(&question.request);
                        if open.len() >= MOST_AT_ONCE {
                            let text = "too many questions during one request";
                            let _ = question.answer.send(Err(ErrorData::invalid_request(text, None)));
                        } else if let Some(question) = self.askable(question) {
                            if open.is_empty() {
                                gathered = Instant::now() + GATHER;
                            }
                            open.insert(format!("question-{}", open.len() + 1), question);
                        } else {
                            lacking.get_or_insert(required);
                        }
                    }
                    (said, _) => self.hear(said, &mut questions, &over).await,
                },
                answer = sent.answer() => {
                    questions.detach_all();
                    if let Some(required) = lacking.filter(|_| has_failed(&answer)) {
                        let text = "the server needs to ask something that this client cannot answer";
                        let data = json!({"requiredCapabilities": required});
                        let error = ErrorData::new(ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY, text, Some(data));
                        return Err(CallError::Refused(error));
                    }
                    return answer.map_err(|error| self.pool.failed(self.server, error));
                }
                () = tokio::time::sleep_until(gathered), if !open.is_empty() => {
                    let Some(request) = self.park else { continue };
                    let waits = InputRequired {
                        request,
                        sent,
                        events,
                        questions: std::mem::take(&mut open),
                    };
                    match self.pending_inputs.park(waits) {
                        Ok(asked) => return Ok(ServerResult::InputRequiredResult(asked)),
                        Err(refused) => {
                            let text = "too many requests are waiting for answers of clients";
                            for question in refused.questions.into_values() {
                                let _ = question.answer.send(Err(ErrorData::internal_error(text, None)));
                            }
                            (sent, events) = (refused.sent, refused.events);
                        }
                    }
                }
                Some(_) = questions.join_next(), if !questions.is_empty() => until = Instant::now() + self.limit,
                () = tokio::time::sleep_until(until), if questions.is_empty() => {
                    let (server, limit) = (self.server.to_owned(), self.limit);
                    break (format!("no response within {} s", limit.as_secs()), CallError::Timeout { server, limit });
                }
            }
        };
        questions.detach_all();
        sent.cancel(&reason).await;
        Err(error)
    }

    async fn hear(&self, said: ServerEvent, questions: &mut JoinSet<()>, over: &CancellationToken) {
        match said {
            ServerEvent::Question(question) => self.ask(question, questions, over).await,
            said => self.tell(said).await,
        }
    }

    /// Sends progress to the client with the client's token, and log messages if the client requested them.
    async fn tell(&self, said: ServerEvent) {
        let client = &self.context.peer;
        let told = match said {
            ServerEvent::Progress(mut progress) => {
                let Some(token) = self.progress_token() else { return };
                progress.progress_token = token;
                client.notify_progress(progress).await
            }
            ServerEvent::Log(log)
                if self.context.meta.log_level().is_some_and(|wanted| is_at_least(log.level, wanted)) =>
            {
                client.notify_logging_message(log).await
            }
            _ => return,
        };
        if let Err(error) = told {
            tracing::debug!(server = self.server, "could not send a message to the client: {error}");
        }
    }

    fn progress_token(&self) -> Option<ProgressToken> {
        self.context.meta.get_progress_token()
    }

    /// Returns the question if the client can answer it; otherwise sends an error to the server.
    fn askable(&self, question: Question) -> Option<Question> {
        let capabilities = self.context.client_capabilities().unwrap_or_default();
        let Err(lacking) = can_answer(&capabilities, &question.request) else {
            return Some(question);
        };
        let client = self.context.client_info().map_or_else(|| "the client".to_owned(), |client| client.name);
        let text = format!("`{client}` cannot be asked, because it does not support {lacking}");
        let _ = question.answer.send(Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, text, None)));
        None
    }

    /// Asks the client a server's question. Sends the question here, so that it uses the connection of this request,
    /// and awaits the answer in a task.
    async fn ask(&self, question: Question, questions: &mut JoinSet<()>, over: &CancellationToken) {
        let Some(question) = self.askable(question) else { return };
        let Question {
            request,
            answer,
            withdrawn,
        } = question;
        let mut asked = match self
            .context
            .peer
            .send_cancellable_request(for_client(request), PeerRequestOptions::no_options())
            .await
        {
            Ok(asked) => asked,
            Err(error) => {
                let _ = answer.send(Err(not_answered(error)));
                return;
            }
        };
        let over = over.clone();
        questions.spawn(async move {
            let reason = tokio::select! {
                answered = &mut asked.rx => {
                    let answered = answered.unwrap_or(Err(ServiceError::TransportClosed));
                    let _ = answer.send(answered.map_err(not_answered));
                    return;
                }
                () = withdrawn.cancelled() => "the server withdrew the question",
                () = over.cancelled() => "the request that caused this question has ended",
            };
            let _ = answer.send(Err(NoRecipient::Over.into()));
            let _ = asked.cancel(Some(reason.to_owned())).await;
        });
    }
}

/// Checks whether a client can answer a question; returns the missing capability if not.
fn can_answer(client: &ClientCapabilities, question: &ServerRequest) -> Result<(), &'static str> {
    let (can, name) = match question {
        ServerRequest::CreateMessageRequest(_) => (client.sampling.is_some(), "sampling"),
        ServerRequest::ListRootsRequest(_) => (client.roots.is_some(), "roots"),
        ServerRequest::ElicitRequest(asked) => {
            let offered = client.elicitation.as_ref();
            match asked.params {
                ElicitRequestParams::UrlElicitationParams { .. } => {
                    (offered.is_some_and(|offered| offered.url.is_some()), "elicitation by URL")
                }
                // A client that declares no mode supports forms.
                _ => (offered.is_some_and(|offered| offered.form.is_some() || offered.url.is_none()), "elicitation"),
            }
        }
        _ => (false, "this kind of question"),
    };
    can.then_some(()).ok_or(name)
}

/// Returns the capabilities that a client needs for a question.
fn required(question: &ServerRequest) -> Value {
    match question {
        ServerRequest::CreateMessageRequest(_) => json!({"sampling": {}}),
        ServerRequest::ListRootsRequest(_) => json!({"roots": {}}),
        ServerRequest::ElicitRequest(asked) => match asked.params {
            ElicitRequestParams::UrlElicitationParams { .. } => json!({"elicitation": {"url": {}}}),
            _ => json!({"elicitation": {}}),
        },
        _ => json!({}),
    }
}

fn has_failed(answer: &Result<ServerResult, ServiceError>) -> bool {
    match answer {
        Ok(ServerResult::CallToolResult(result)) => result.is_error == Some(true),
        Ok(ServerResult::CustomResult(result)) => as_written::is_error(&result.0),
        answer => answer.is_err(),
    }
}

fn not_answered(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => ErrorData::internal_error(format!("the client gave no answer: {other}"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn can(client: serde_json::Value, question: serde_json::Value) -> Result<(), &'static str> {
        can_answer(&serde_json::from_value(client).unwrap(), &serde_json::from_value(question).unwrap())
    }

    #[test]
    fn a_client_is_asked_only_what_it_offers() {
        let schema = json!({"type": "object", "properties": {}});
        let form = json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": schema}});
        let address = json!({"method": "elicitation/create",
            "params": {"mode": "url", "message": "?", "url": "https://h.example", "elicitationId": "1"}});
        let roots = json!({"method": "roots/list"});
        assert_eq!(can(json!({"elicitation": {}}), form.clone()), Ok(()));
        assert_eq!(can(json!({"elicitation": {"url": {}}}), form.clone()), Err("elicitation"));
        assert_eq!(can(json!({"elicitation": {}}), address.clone()), Err("elicitation by URL"));
        assert_eq!(can(json!({"elicitation": {"url": {}}}), address), Ok(()));
        assert_eq!(can(json!({"sampling": {}}), roots.clone()), Err("roots"));
        assert_eq!(can(json!({"roots": {}}), roots), Ok(()));
        assert_eq!(can(json!({}), form), Err("elicitation"));
    }
}

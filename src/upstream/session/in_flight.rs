//! The clients' requests that are under way with one server, and whose each thing is that the server says meanwhile.
#![expect(deprecated, reason = "log messages are of all revisions but the newest")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::model::{
    ClientResult, ErrorCode, ErrorData, Implementation, LoggingMessageNotificationParam, ProgressNotificationParam,
    ProgressToken, RequestId, ServerRequest,
};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A log message.
pub type Log = LoggingMessageNotificationParam;

/// One session of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// What stands for the session of a client that has none, as of 2026-07-28: all requests of one program. Through which of
    /// them it is asked does not matter to it.
    pub fn of_client(client: Option<&Implementation>) -> SessionId {
        let mut hasher = DefaultHasher::new();
        client.map(|client| (&client.name, &client.version)).hash(&mut hasher);
        // Sessions are counted from 0.
        SessionId(hasher.finish() | 1 << 63)
    }
}

/// Whose a request is. It travels with the request inside of this program and is never sent.
#[derive(Debug, Clone)]
pub struct CallHandle {
    session: SessionId,
    hears: mpsc::UnboundedSender<ServerEvent>,
    /// The request's client has yet to answer what it was asked.
    waits: Arc<AtomicBool>,
}

/// What a server says during a request, in the order in which it does.
#[derive(Debug)]
pub enum ServerEvent {
    Progress(ProgressNotificationParam),
    Log(Log),
    Question(Question),
}

/// Something that a server wants to know of a client.
#[derive(Debug)]
pub struct Question {
    pub request: ServerRequest,
    pub answer: oneshot::Sender<Result<ClientResult, ErrorData>>,
    /// The server does not want to know any more.
    pub withdrawn: CancellationToken,
}

/// A place where what is said during one request arrives: it is under way for as long as somebody listens there.
#[derive(Debug)]
pub struct CallEvents {
    said: mpsc::UnboundedReceiver<ServerEvent>,
    waits: Arc<AtomicBool>,
}

impl CallEvents {
    /// What is said next; `None` when nothing more can be.
    pub async fn recv(&mut self) -> Option<ServerEvent> {
        self.said.recv().await
    }

    /// What says of the request that its client has yet to answer: until then its server is not thought to ask more.
    pub fn waits(&self) -> Arc<AtomicBool> {
        self.waits.clone()
    }
}

impl CallHandle {
    /// A session about to send one request.
    pub fn of(session: SessionId) -> (CallHandle, CallEvents) {
        let (hears, said) = mpsc::unbounded_channel();
        let waits = Arc::<AtomicBool>::default();
        let hearing = CallEvents {
            said,
            waits: waits.clone(),
        };
        (CallHandle { session, hears, waits }, hearing)
    }

    /// Tells the caller. Whoever does not listen any more is not told, and a question to him is dropped.
    pub fn tell(&self, said: ServerEvent) {
        let _ = self.hears.send(said);
    }
}

/// Why a question is put to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRecipient {
    #[error("no client has a request under way with this server, so it is nobody's question")]
    Idle,
    #[error("the request during which this was asked is over")]
    Over,
    #[error(
        "{0} clients have requests under way with this server, and nothing says during whose this was asked; \
         ask again when one of them is left"
    )]
    Ambiguous(usize),
}

impl From<NoRecipient> for ErrorData {
    fn from(why: NoRecipient) -> ErrorData {
        ErrorData::new(ErrorCode::INVALID_REQUEST, format!("MCPProxy asks nobody: {why}"), None)
    }
}

/// What a server answered, as it wrote it.
#[derive(Debug)]
pub enum Answer {
    Result(Box<RawValue>),
    Error(Box<RawValue>),
}

impl Answer {
    /// A server's error; one that cannot be read is an error, too.
    pub fn error_of(error: &RawValue) -> ErrorData {
        let unreadable = |_| ErrorData::internal_error("the server's error cannot be read", None);
        serde_json::from_str(error.get()).unwrap_or_else(unreadable)
    }
}

/// The requests under way with one server.
#[derive(Debug, Default)]
pub struct InFlightRequests {
    requests: Vec<Request>,
    /// Those of our own that went by the shortcut: nobody's, so that nobody is asked because of them.
    own: Vec<(RequestId, oneshot::Sender<Answer>)>,
    /// One of these was answered.
    opened: bool,
    /// How many of all went by the shortcut.
    short: usize,
    closed: bool,
}

#[derive(Debug)]
struct Request {
    id: RequestId,
    progress: Option<ProgressToken>,
    caller: CallHandle,
    /// Where the answer goes; the library knows it of the others.
    answer: Option<oneshot::Sender<Answer>>,
}

impl InFlightRequests {
    /// A request is sent.
    pub fn begin(&mut self, id: RequestId, progress: Option<ProgressToken>, caller: CallHandle) {
        self.push(id, progress, caller, None);
    }

    /// A request is sent by the shortcut: gives the place where its answer arrives. None when the server has ended.
    pub fn begin_fast(
        &mut self,
        id: RequestId,
        progress: Option<ProgressToken>,
        caller: CallHandle,
    ) -> Option<oneshot::Receiver<Answer>> {
        if self.closed {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.push(id, progress, caller, Some(answer));
        Some(answered)
    }

    /// A request of our own is sent by the shortcut: gives the place where its answer arrives. None when the server has ended.
    pub fn begin_own(&mut self, id: RequestId) -> Option<oneshot::Receiver<Answer>> {
        if self.closed {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.own.retain(|(_, answer)| !answer.is_closed());
        self.own.push((id, answer));
        self.count();
        Some(answered)
    }

    fn push(
        &mut self,
        id: RequestId,
        progress: Option<ProgressToken>,
        caller: CallHandle,
        answer: Option<oneshot::Sender<Answer>>,
    ) {
        self.requests.retain(|request| !request.caller.hears.is_closed());
        self.requests.push(Request {
            id,
            progress,
            caller,
            answer,
        });
        self.count();
    }

    fn count(&mut self) {
        let short = self.requests.iter().filter(|request| request.answer.is_some()).count();
        self.short = short + self.own.len();
    }

    /// A request was answered or cancelled.
    pub fn end(&mut self, id: &RequestId) {
        drop(self.answered(id));
    }

    /// A request was answered: who waits for the answer, where that is known here.
    pub fn answered(&mut self, id: &RequestId) -> Option<oneshot::Sender<Answer>> {
        if let Some(at) = self.own.iter().position(|(own, _)| own == id) {
            self.short -= 1;
            self.opened = true;
            return Some(self.own.remove(at).1);
        }
        let at = self.requests.iter().position(|request| request.id == *id)?;
        let request = self.requests.remove(at);
        self.short -= usize::from(request.answer.is_some());
        request.answer
    }

    /// Whether a request went by the shortcut.
    pub fn has_short(&self) -> bool {
        self.short > 0
    }

    /// Whether the first request of our own waits for its answer.
    pub fn is_opening(&self) -> bool {
        !self.opened && !self.own.is_empty()
    }

    /// The server has ended: nobody who took the shortcut gets an answer any more.
    pub fn close(&mut self) {
        self.closed = true;
        self.requests.retain(|request| request.answer.is_none());
        self.own.clear();
        self.short = 0;
    }

    /// Whose request makes this progress.
    pub fn of_progress(&self, token: &ProgressToken) -> Option<&CallHandle> {
        self.requests.iter().find(|request| request.progress.as_ref() == Some(token)).map(|request| &request.caller)
    }

    /// Everybody with a request under way.
    pub fn callers(&self) -> impl Iterator<Item = &CallHandle> {
        self.requests.iter().map(|request| &request.caller)
    }

    /// Whom a question is for: the one during whose request it came, where the transport tells (`during`); else the
    /// only client with requests under way, those aside that wait for their client's answer to another question. It is never a
    /// guess between two.
    ///
    /// # Errors
    /// [`NoRecipient`].
    pub fn of_question(&self, during: Option<&RequestId>) -> Result<&CallHandle, NoRecipient> {
        if let Some(during) = during {
            let request = self.requests.iter().find(|request| request.id == *during);
            return request.map(|request| &request.caller).ok_or(NoRecipient::Over);
        }
        let mut open: Vec<&CallHandle> = self.callers().filter(|caller| !caller.hears.is_closed()).collect();
        if open.iter().any(|caller| !caller.waits.load(Ordering::Relaxed)) {
            open.retain(|caller| !caller.waits.load(Ordering::Relaxed));
        }
        let latest = open.last().copied().ok_or(NoRecipient::Idle)?;
        open.sort_by_key(|caller| caller.session);
        open.dedup_by_key(|caller| caller.session);
        match open.len() {
            1 => Ok(latest),
            several => Err(NoRecipient::Ambiguous(several)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::NumberOrString;

    fn id(number: i64) -> RequestId {
        NumberOrString::Number(number)
    }

    fn begin(in_flight: &mut InFlightRequests, number: i64, session: u64) -> CallEvents {
        let (caller, hearing) = CallHandle::of(SessionId(session));
        in_flight.begin(id(number), Some(ProgressToken(id(number + 100))), caller);
        hearing
    }

    fn asked(in_flight: &InFlightRequests, during: Option<i64>) -> Result<u64, NoRecipient> {
        in_flight.of_question(during.map(id).as_ref()).map(|caller| caller.session.0)
    }

    #[test]
    fn progress_is_the_callers() {
        let mut in_flight = InFlightRequests::default();
        let _hearings = [begin(&mut in_flight, 1, 7), begin(&mut in_flight, 2, 8)];
        let of = |token| in_flight.of_progress(&ProgressToken(id(token))).map(|caller| caller.session.0);
        assert_eq!((of(101), of(102), of(103)), (Some(7), Some(8), None));
    }

    #[test]
    fn a_question_is_for_the_only_client_or_for_the_one_the_transport_names() {
        let mut in_flight = InFlightRequests::default();
        assert_eq!(asked(&in_flight, None), Err(NoRecipient::Idle));
        let _first = begin(&mut in_flight, 1, 7);
        let second = begin(&mut in_flight, 2, 7);
        assert_eq!(asked(&in_flight, None), Ok(7));
        let _third = begin(&mut in_flight, 3, 8);
        assert_eq!(asked(&in_flight, None), Err(NoRecipient::Ambiguous(2)));
        assert_eq!(asked(&in_flight, Some(3)), Ok(8));
        in_flight.end(&id(3));
        assert_eq!(asked(&in_flight, Some(3)), Err(NoRecipient::Over));
        assert_eq!(asked(&in_flight, None), Ok(7));
        drop(second);
        assert_eq!(asked(&in_flight, None), Ok(7));
    }

    #[test]
    fn a_request_that_waits_for_its_clients_answer_is_not_thought_to_ask_more() {
        let mut in_flight = InFlightRequests::default();
        let first = begin(&mut in_flight, 1, 7);
        first.waits().store(true, Ordering::Relaxed);
        assert_eq!(asked(&in_flight, None), Ok(7), "nobody else can be meant");
        let _second = begin(&mut in_flight, 2, 8);
        assert_eq!(asked(&in_flight, None), Ok(8));
        first.waits().store(false, Ordering::Relaxed);
        assert_eq!(asked(&in_flight, None), Err(NoRecipient::Ambiguous(2)));
    }

    #[test]
    fn whoever_does_not_listen_any_more_is_not_asked() {
        let mut in_flight = InFlightRequests::default();
        drop(begin(&mut in_flight, 1, 7));
        assert_eq!(asked(&in_flight, None), Err(NoRecipient::Idle));
        let _hearing = begin(&mut in_flight, 2, 8);
        assert_eq!(asked(&in_flight, None), Ok(8));
        assert_eq!(in_flight.callers().count(), 1);
    }
}

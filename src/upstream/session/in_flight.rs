//! In-flight requests to one upstream server; routes its progress, logs and requests to the client that caused them.
#![expect(deprecated, reason = "log messages belong to all protocol versions but the newest")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rmcp::model::{
    ClientResult, ErrorCode, ErrorData, Implementation, LoggingMessageNotificationParam, NumberOrString,
    ProgressNotificationParam, ProgressToken, RequestId, ServerRequest,
};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A log message.
pub type Log = LoggingMessageNotificationParam;

/// The in-flight requests to one server, on the fast path and through the library.
pub type SharedInFlight = Arc<Mutex<InFlightRequests>>;

/// Ids of the fast path start here: beyond those the library counts up from 0, within 32 bits.
pub const FIRST_FAST_ID: u32 = 1 << 30;

/// Requests of the library without a caller that are remembered; some are given up without a cancellation.
const MOST_UNATTRIBUTED: usize = 64;

/// One session of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The session of a client that has none, as in protocol 2026-07-28: all requests of one program share it.
    pub fn of_client(client: Option<&Implementation>) -> SessionId {
        let mut hasher = DefaultHasher::new();
        client.map(|client| (&client.name, &client.version)).hash(&mut hasher);
        // Real sessions are counted from 0.
        SessionId(hasher.finish() | 1 << 63)
    }
}

/// Identifies the client that sent a request. Travels with the request inside this program and is never sent.
#[derive(Debug, Clone)]
pub struct CallHandle {
    session: SessionId,
    events: mpsc::UnboundedSender<ServerEvent>,
    /// The request's client has yet to answer a question.
    waits: Arc<AtomicBool>,
}

/// Something a server sent during a request, in the order in which it was sent.
#[derive(Debug)]
pub enum ServerEvent {
    Progress(ProgressNotificationParam),
    Log(Log),
    Question(Question),
}

/// A server's request to a client.
#[derive(Debug)]
pub struct Question {
    pub request: ServerRequest,
    pub answer: oneshot::Sender<Result<ClientResult, ErrorData>>,
    /// Cancelled when the server withdraws the request.
    pub withdrawn: CancellationToken,
}

/// Receives what a server sends during one request. The request counts as in flight until this is dropped.
#[derive(Debug)]
pub struct CallEvents {
    events: mpsc::UnboundedReceiver<ServerEvent>,
    waits: Arc<AtomicBool>,
}

impl CallEvents {
    /// The next event; `None` when no more can come.
    pub async fn recv(&mut self) -> Option<ServerEvent> {
        self.events.recv().await
    }

    /// Set while the client still owes an answer; such a request is skipped when attributing new server requests.
    pub fn waits(&self) -> Arc<AtomicBool> {
        self.waits.clone()
    }
}

impl CallHandle {
    /// A session that is about to send one request.
    pub fn of(session: SessionId) -> (CallHandle, CallEvents) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waits = Arc::<AtomicBool>::default();
        let events = CallEvents {
            events: receiver,
            waits: waits.clone(),
        };
        let handle = CallHandle {
            session,
            events: sender,
            waits,
        };
        (handle, events)
    }

    /// Passes an event to the caller; dropped if the caller has left.
    pub fn tell(&self, event: ServerEvent) {
        let _ = self.events.send(event);
    }
}

/// Why a server's request reaches no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRecipient {
    #[error("no client request is in flight for this server, so roots, sampling and elicitation are not available now")]
    Idle,
    #[error("the request that caused this one has ended")]
    Over,
    #[error(
        "{0} clients have requests in flight for this server and nothing says which one this belongs to; retry later"
    )]
    Ambiguous(usize),
}

impl From<NoRecipient> for ErrorData {
    fn from(why: NoRecipient) -> ErrorData {
        ErrorData::new(ErrorCode::INVALID_REQUEST, format!("MCPProxy could not route the request: {why}"), None)
    }
}

/// A server's response, as the bytes it wrote.
#[derive(Debug)]
pub enum Answer {
    Result(Box<RawValue>),
    Error(Box<RawValue>),
}

impl Answer {
    /// A server's error. One without a code or message is still an error.
    pub fn error_of(error: &RawValue) -> ErrorData {
        serde_json::from_str(error.get()).unwrap_or_else(|_| {
            let text: String = error.get().chars().take(500).collect();
            ErrorData::internal_error(format!("the server returned an error: {text}"), None)
        })
    }

    /// An error of ours in place of a response that could not be read.
    pub fn failure(error: &ErrorData) -> Option<Answer> {
        serde_json::value::to_raw_value(error).ok().map(Answer::Error)
    }
}

/// The request that a response belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    Request(RequestId),
    /// Its request was cancelled, or has been answered already.
    Late,
    Unknown,
}

/// The in-flight requests to one server.
#[derive(Debug, Default)]
pub struct InFlightRequests {
    requests: Vec<Request>,
    /// A request of our own on the fast path has been answered.
    opened: bool,
    /// How many of the requests are on the fast path.
    fast: usize,
    /// The highest ids given out so far, by the library and on the fast path.
    highest: [Option<i64>; 2],
    closed: bool,
}

#[derive(Debug)]
struct Request {
    id: RequestId,
    progress: Option<ProgressToken>,
    /// `None` for requests of our own: server requests are never attributed to them.
    caller: Option<CallHandle>,
    /// Receives the response on the fast path; the library keeps its own.
    answer: Option<oneshot::Sender<Answer>>,
}

impl Request {
    fn is_abandoned(&self) -> bool {
        match (&self.caller, &self.answer) {
            (Some(caller), _) => caller.events.is_closed(),
            (None, Some(answer)) => answer.is_closed(),
            (None, None) => false,
        }
    }

    fn is_own(&self) -> bool {
        self.caller.is_none() && self.answer.is_some()
    }
}

impl InFlightRequests {
    /// Notes a client's request that the library sends.
    pub fn begin(&mut self, id: RequestId, progress: Option<ProgressToken>, caller: CallHandle) {
        self.push(id, progress, Some(caller), None);
    }

    /// Notes a request that the library sends, unless [`begin`](InFlightRequests::begin) has noted it.
    pub fn begin_unattributed(&mut self, id: RequestId) {
        if self.requests.iter().any(|request| request.id == id) {
            return;
        }
        let unattributed = |request: &Request| request.caller.is_none() && request.answer.is_none();
        if self.requests.iter().filter(|request| unattributed(request)).count() >= MOST_UNATTRIBUTED
            && let Some(oldest) = self.requests.iter().position(unattributed)
        {
            self.requests.remove(oldest);
        }
        self.push(id, None, None, None);
    }

    /// Notes a client's request on the fast path and returns where its response arrives. `None` if the server has ended.
    pub fn begin_fast(
        &mut self,
        id: RequestId,
        progress: Option<ProgressToken>,
        caller: CallHandle,
    ) -> Option<oneshot::Receiver<Answer>> {
        self.begin_with_answer(id, progress, Some(caller))
    }

    /// Notes a request of our own on the fast path and returns where its response arrives. `None` if the server has ended.
    pub fn begin_own(&mut self, id: RequestId) -> Option<oneshot::Receiver<Answer>> {
        self.begin_with_answer(id, None, None)
    }

    fn begin_with_answer(
        &mut self,
        id: RequestId,
        progress: Option<ProgressToken>,
        caller: Option<CallHandle>,
    ) -> Option<oneshot::Receiver<Answer>> {
        if self.closed {
            return None;
        }
        let (answer, receiver) = oneshot::channel();
        self.push(id, progress, caller, Some(answer));
        Some(receiver)
    }

    fn push(
        &mut self,
        id: RequestId,
        progress: Option<ProgressToken>,
        caller: Option<CallHandle>,
        answer: Option<oneshot::Sender<Answer>>,
    ) {
        self.requests.retain(|request| !request.is_abandoned());
        if let NumberOrString::Number(number) = id {
            let [library, fast] = &mut self.highest;
            let highest = if number < i64::from(FIRST_FAST_ID) { library } else { fast };
            *highest = (*highest).max(Some(number));
        }
        self.requests.push(Request {
            id,
            progress,
            caller,
            answer,
        });
        self.fast = self.requests.iter().filter(|request| request.answer.is_some()).count();
    }

    /// Finds the request of a response. An id that was never given out cannot be meant: the response then belongs to the only
    /// request in flight, if there is only one.
    pub fn find(&self, id: Option<&RequestId>) -> Match {
        if let Some(id) = id {
            if self.requests.iter().any(|request| request.id == *id) {
                return Match::Request(id.clone());
            }
            if self.was_given_out(id) {
                return Match::Late;
            }
        }
        let mut open = self.requests.iter().filter(|request| !request.is_abandoned());
        match (open.next(), open.next()) {
            (Some(only), None) => Match::Request(only.id.clone()),
            _ => Match::Unknown,
        }
    }

    /// The request in flight, if it is the only one and a client's that does not wait for its user.
    pub fn only_call(&self) -> Option<RequestId> {
        let mut open = self.requests.iter().filter(|request| !request.is_abandoned());
        let (only, None) = (open.next()?, open.next()) else { return None };
        let waits = only.caller.as_ref()?.waits.load(Ordering::Relaxed);
        (!waits).then(|| only.id.clone())
    }

    fn was_given_out(&self, id: &RequestId) -> bool {
        let NumberOrString::Number(number) = *id else { return false };
        let [library, fast] = self.highest;
        let first = i64::from(FIRST_FAST_ID);
        library.is_some_and(|highest| (0..=highest).contains(&number))
            || fast.is_some_and(|highest| (first..=highest).contains(&number))
    }

    /// Removes a request that was answered or cancelled.
    pub fn end(&mut self, id: &RequestId) {
        drop(self.answered(id));
    }

    /// Removes a request that was answered; returns where the response goes if it was on the fast path.
    pub fn answered(&mut self, id: &RequestId) -> Option<oneshot::Sender<Answer>> {
        let at = self.requests.iter().position(|request| request.id == *id)?;
        let request = self.requests.remove(at);
        self.opened |= request.is_own();
        self.fast -= usize::from(request.answer.is_some());
        request.answer
    }

    /// Whether the response to this request goes to the fast path.
    pub fn is_fast(&self, id: &RequestId) -> bool {
        self.fast > 0 && self.requests.iter().any(|request| request.id == *id && request.answer.is_some())
    }

    /// Whether the first request of our own waits for its response.
    pub fn is_opening(&self) -> bool {
        !self.opened && self.requests.iter().any(Request::is_own)
    }

    /// The server has ended: requests on the fast path fail now.
    pub fn close(&mut self) {
        self.closed = true;
        self.requests.retain(|request| request.answer.is_none());
        self.fast = 0;
    }

    /// The caller that a progress notification belongs to.
    pub fn of_progress(&self, token: &ProgressToken) -> Option<&CallHandle> {
        self.requests.iter().find(|request| request.progress.as_ref() == Some(token))?.caller.as_ref()
    }

    /// Every client with a request in flight.
    pub fn callers(&self) -> impl Iterator<Item = &CallHandle> {
        self.requests.iter().filter_map(|request| request.caller.as_ref())
    }

    /// The client that a server's request is for: the one whose request caused it, if the transport names it (`during`);
    /// else the only client with requests in flight. Requests whose client still owes an answer are skipped. Never guesses
    /// between two clients.
    ///
    /// # Errors
    /// [`NoRecipient`].
    pub fn of_question(&self, during: Option<&RequestId>) -> Result<&CallHandle, NoRecipient> {
        if let Some(during) = during {
            let request = self.requests.iter().find(|request| request.id == *during);
            return request.and_then(|request| request.caller.as_ref()).ok_or(NoRecipient::Over);
        }
        let mut open: Vec<&CallHandle> = self.callers().filter(|caller| !caller.events.is_closed()).collect();
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

    fn id(number: i64) -> RequestId {
        NumberOrString::Number(number)
    }

    fn begin(in_flight: &mut InFlightRequests, number: i64, session: u64) -> CallEvents {
        let (caller, events) = CallHandle::of(SessionId(session));
        in_flight.begin(id(number), Some(ProgressToken(id(number + 100))), caller);
        events
    }

    fn recipient(in_flight: &InFlightRequests, during: Option<i64>) -> Result<u64, NoRecipient> {
        in_flight.of_question(during.map(id).as_ref()).map(|caller| caller.session.0)
    }

    #[test]
    fn progress_goes_to_the_caller_with_its_token() {
        let mut in_flight = InFlightRequests::default();
        let _events = [begin(&mut in_flight, 1, 7), begin(&mut in_flight, 2, 8)];
        let of = |token| in_flight.of_progress(&ProgressToken(id(token))).map(|caller| caller.session.0);
        assert_eq!((of(101), of(102), of(103)), (Some(7), Some(8), None));
    }

    #[test]
    fn a_question_goes_to_the_only_client_or_to_the_one_the_transport_names() {
        let mut in_flight = InFlightRequests::default();
        assert_eq!(recipient(&in_flight, None), Err(NoRecipient::Idle));
        let _first = begin(&mut in_flight, 1, 7);
        let second = begin(&mut in_flight, 2, 7);
        assert_eq!(recipient(&in_flight, None), Ok(7));
        let _third = begin(&mut in_flight, 3, 8);
        assert_eq!(recipient(&in_flight, None), Err(NoRecipient::Ambiguous(2)));
        assert_eq!(recipient(&in_flight, Some(3)), Ok(8));
        in_flight.end(&id(3));
        assert_eq!(recipient(&in_flight, Some(3)), Err(NoRecipient::Over));
        assert_eq!(recipient(&in_flight, None), Ok(7));
        drop(second);
        assert_eq!(recipient(&in_flight, None), Ok(7));
    }

    #[test]
    fn a_request_whose_client_owes_an_answer_is_skipped() {
        let mut in_flight = InFlightRequests::default();
        let first = begin(&mut in_flight, 1, 7);
        first.waits().store(true, Ordering::Relaxed);
        assert_eq!(recipient(&in_flight, None), Ok(7), "no other client can be meant");
        let _second = begin(&mut in_flight, 2, 8);
        assert_eq!(recipient(&in_flight, None), Ok(8));
        first.waits().store(false, Ordering::Relaxed);
        assert_eq!(recipient(&in_flight, None), Err(NoRecipient::Ambiguous(2)));
    }

    #[test]
    fn a_caller_that_has_left_is_not_asked() {
        let mut in_flight = InFlightRequests::default();
        drop(begin(&mut in_flight, 1, 7));
        assert_eq!(recipient(&in_flight, None), Err(NoRecipient::Idle));
        let _events = begin(&mut in_flight, 2, 8);
        assert_eq!(recipient(&in_flight, None), Ok(8));
        assert_eq!(in_flight.callers().count(), 1);
    }

    #[test]
    fn a_response_without_a_usable_id_belongs_to_the_only_request() {
        let mut in_flight = InFlightRequests::default();
        assert_eq!(in_flight.find(None), Match::Unknown);
        in_flight.begin_unattributed(id(0));
        assert_eq!(in_flight.find(None), Match::Request(id(0)));
        assert_eq!(in_flight.find(Some(&id(99))), Match::Request(id(0)), "99 was never given out");
        let _events = begin(&mut in_flight, 5, 7);
        assert_eq!((in_flight.find(None), in_flight.find(Some(&id(99)))), (Match::Unknown, Match::Unknown));
        assert_eq!(in_flight.find(Some(&id(5))), Match::Request(id(5)));
        in_flight.end(&id(5));
        assert_eq!(in_flight.find(Some(&id(5))), Match::Late, "it may be the response to a cancelled request");
    }

    #[test]
    fn the_only_call_is_a_clients_that_does_not_wait_for_its_user() {
        let mut in_flight = InFlightRequests::default();
        in_flight.begin_unattributed(id(0));
        assert_eq!(in_flight.only_call(), None, "a request of our own is not a call");
        in_flight.end(&id(0));
        let first = begin(&mut in_flight, 1, 7);
        assert_eq!(in_flight.only_call(), Some(id(1)));
        first.waits().store(true, Ordering::Relaxed);
        assert_eq!(in_flight.only_call(), None);
        first.waits().store(false, Ordering::Relaxed);
        let _second = begin(&mut in_flight, 2, 7);
        assert_eq!(in_flight.only_call(), None);
    }

    #[test]
    fn an_abandoned_fast_request_is_forgotten() {
        let mut in_flight = InFlightRequests::default();
        let first = i64::from(FIRST_FAST_ID);
        drop(in_flight.begin_own(id(first)));
        let answer = in_flight.begin_own(id(first + 1)).unwrap();
        assert_eq!(in_flight.find(None), Match::Request(id(first + 1)));
        assert_eq!(in_flight.find(Some(&id(first))), Match::Late);
        assert!(in_flight.is_opening() && in_flight.is_fast(&id(first + 1)));
        in_flight.close();
        drop(answer);
        assert!(in_flight.begin_own(id(first + 2)).is_none());
    }
}

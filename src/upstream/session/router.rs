//! Transport wrapper: observes messages in wire order and dispatches notifications and server requests.
//!
//! The library handles every notification in a task of its own, where one may overtake another or the response; here they are still
//! in order.

#![expect(deprecated, reason = "log messages belong to all protocol versions but the newest")]

use std::borrow::Cow;
use std::sync::{Arc, MutexGuard};

use rmcp::model::{
    ClientNotification, GetExtensions, GetMeta, JsonRpcMessage, LoggingLevel, ResourceUpdatedNotificationParam,
    ServerNotification,
};
use rmcp::service::{InboundStreamOrigin, RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::os::sync::lock;
use crate::upstream::session::in_flight::{
    CallHandle, InFlightRequests, Log, NoRecipient, ServerEvent, SharedInFlight,
};
use crate::upstream::session::rate_limit::{Decision, RateLimit};

/// The longest log message that goes to clients; each session receives a copy.
const LONGEST_LOG: usize = 16 << 10;
/// The longest text of a progress notification.
const LONGEST_PROGRESS: usize = 4 << 10;

/// A server's message to every session.
#[derive(Debug, Clone)]
pub struct Broadcast {
    pub server: Arc<str>,
    pub what: BroadcastKind,
}

/// The content of a message to every session.
#[derive(Debug, Clone)]
pub enum BroadcastKind {
    Log(Log),
    Prompts,
    Resources,
    Updated(ResourceUpdatedNotificationParam),
}

/// The client that a server's request is for, decided when it arrives; travels in the request's extensions.
#[derive(Debug, Clone)]
pub struct Recipient(pub Result<CallHandle, NoRecipient>);

/// The message in place of log messages that are dropped.
fn dropped_note() -> Log {
    let text = "MCPProxy drops log messages from here on: this server sends too many";
    Log::new(LoggingLevel::Warning, text.into()).with_logger("mcpproxy")
}

/// A text of at most `longest` bytes, marked if it was cut.
fn cut(text: &str, longest: usize) -> String {
    let end = (0..=longest.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let kept = text.get(..end).unwrap_or_default();
    if kept.len() == text.len() {
        text.to_owned()
    } else {
        format!("{kept}… (cut by MCPProxy)")
    }
}

/// A server's transport whose messages are dispatched.
pub struct RoutingTransport<T> {
    inner: T,
    server: Arc<str>,
    in_flight: SharedInFlight,
    broadcasts: broadcast::Sender<Broadcast>,
    logs: RateLimit,
    progress: RateLimit,
    refusals: RateLimit,
}

impl<T> RoutingTransport<T> {
    /// Wraps `inner`; messages to every session go to `broadcasts`.
    pub fn new(
        inner: T,
        server: &str,
        in_flight: SharedInFlight,
        broadcasts: broadcast::Sender<Broadcast>,
    ) -> RoutingTransport<T> {
        RoutingTransport {
            inner,
            server: server.into(),
            in_flight,
            broadcasts,
            logs: RateLimit::for_logs(),
            progress: RateLimit::for_progress(),
            refusals: RateLimit::for_logs(),
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlightRequests> {
        lock(&self.in_flight)
    }

    fn broadcast(&self, what: BroadcastKind) {
        // Fails if there are no sessions.
        let _ = self.broadcasts.send(Broadcast {
            server: self.server.clone(),
            what,
        });
    }

    /// Passes a log message to the callers in flight and to every session.
    fn pass_log(&self, log: &Log) {
        for caller in self.in_flight().callers() {
            caller.tell(ServerEvent::Log(log.clone()));
        }
        self.broadcast(BroadcastKind::Log(log.clone()));
    }

    fn take_log(&mut self, log: &Log) {
        let size = length_of(&log.data);
        match self.logs.take(Instant::now(), size.min(LONGEST_LOG)) {
            Decision::Pass if size > LONGEST_LOG => {
                let mut short = log.clone();
                short.data = cut(&log.data.to_string(), LONGEST_LOG).into();
                self.pass_log(&short);
            }
            Decision::Pass => self.pass_log(log),
            Decision::Drop { report: true } => {
                self.pass_log(&dropped_note());
                tracing::warn!(server = %self.server, "dropping log messages: the server sends too many");
            }
            Decision::Drop { report: false } => {}
        }
    }

    fn note_sent(&mut self, message: &TxJsonRpcMessage<RoleClient>) {
        match message {
            JsonRpcMessage::Request(sent) => {
                if let Some(caller) = sent.request.extensions().get::<CallHandle>() {
                    let token = sent.request.get_meta().get_progress_token();
                    self.in_flight().begin(sent.id.clone(), token, caller.clone());
                }
            }
            JsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.in_flight().end(id);
                }
            }
            _ => {}
        }
    }

    /// Dispatches a message; returns it if the library has to handle it.
    fn dispatch(&mut self, mut message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        match &mut message {
            JsonRpcMessage::Response(response) => self.in_flight().end(&response.id),
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    self.in_flight().end(id);
                }
            }
            JsonRpcMessage::Request(request) => {
                let extensions = request.request.extensions_mut();
                let recipient = match extensions.get::<InboundStreamOrigin>() {
                    Some(InboundStreamOrigin::OutboundRequest(id)) => self.in_flight().of_question(Some(id)).cloned(),
                    _ => self.in_flight().of_question(None).cloned(),
                };
                if recipient.is_err() && self.refusals.take(Instant::now(), 0) != Decision::Pass {
                    // Each refusal is logged: a server must not fill the disk with requests that reach no client.
                    return None;
                }
                extensions.insert(Recipient(recipient));
            }
            JsonRpcMessage::Notification(_) => return self.dispatch_notification(message),
        }
        Some(message)
    }

    fn dispatch_notification(&mut self, message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        let JsonRpcMessage::Notification(notification) = &message else { return Some(message) };
        match &notification.notification {
            ServerNotification::ProgressNotification(progress) => {
                let mut params = progress.params.clone();
                params.message = params.message.map(|text| cut(&text, LONGEST_PROGRESS));
                let size = params.message.as_ref().map_or(0, String::len);
                if self.progress.take(Instant::now(), size) == Decision::Pass
                    && let Some(caller) = self.in_flight().of_progress(&params.progress_token)
                {
                    caller.tell(ServerEvent::Progress(params));
                }
                return None;
            }
            ServerNotification::LoggingMessageNotification(log) => {
                let log = log.params.clone();
                self.take_log(&log);
                return None;
            }
            ServerNotification::PromptListChangedNotification(_) => self.broadcast(BroadcastKind::Prompts),
            ServerNotification::ResourceListChangedNotification(_) => self.broadcast(BroadcastKind::Resources),
            ServerNotification::ResourceUpdatedNotification(updated) => {
                self.broadcast(BroadcastKind::Updated(updated.params.clone()));
            }
            _ => {}
        }
        Some(message)
    }
}

/// About the bytes of a value as JSON.
fn length_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(length_of).sum(),
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + length_of(value)).sum(),
        _ => 8,
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for RoutingTransport<T> {
    type Error = T::Error;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        self.note_sent(&message);
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let message = self.inner.receive().await?;
            if let Some(message) = self.dispatch(message) {
                return Some(message);
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), T::Error>> + Send {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use serde_json::json;

    use super::*;
    use crate::upstream::session::in_flight::{CallEvents, SessionId};

    /// A transport that receives these messages.
    struct Script(VecDeque<Value>);

    impl Transport<RoleClient> for Script {
        type Error = std::io::Error;

        fn send(
            &mut self,
            _message: TxJsonRpcMessage<RoleClient>,
        ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
            std::future::ready(Ok(()))
        }

        async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
            Some(serde_json::from_value(self.0.pop_front()?).unwrap())
        }

        async fn close(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Routed {
        transport: RoutingTransport<Script>,
        broadcasts: broadcast::Receiver<Broadcast>,
    }

    fn routed(messages: impl IntoIterator<Item = Value>) -> Routed {
        let (sender, broadcasts) = broadcast::channel(1000);
        let script = Script(messages.into_iter().collect());
        Routed {
            transport: RoutingTransport::new(script, "s", SharedInFlight::default(), sender),
            broadcasts,
        }
    }

    /// A tool call of a client that is in flight.
    async fn call(routed: &mut Routed, id: i64, session: u64) -> CallEvents {
        let params = json!({"name": "t", "_meta": {"progressToken": id + 100}});
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let mut message: TxJsonRpcMessage<RoleClient> = serde_json::from_value(request).unwrap();
        let (caller, events) = CallHandle::of(SessionId(session));
        let JsonRpcMessage::Request(request) = &mut message else { panic!() };
        request.request.extensions_mut().insert(caller);
        routed.transport.send(message).await.unwrap();
        events
    }

    fn log(data: impl Into<Value>) -> Value {
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data.into()}})
    }

    fn request(id: i64) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "method": "roots/list"})
    }

    async fn recipient(routed: &mut Routed) -> Option<NoRecipient> {
        let JsonRpcMessage::Request(mut request) = routed.transport.receive().await.unwrap() else {
            panic!()
        };
        request.request.extensions_mut().get::<Recipient>().unwrap().0.clone().err()
    }

    #[tokio::test]
    async fn progress_reaches_its_caller_only_and_before_the_response() {
        let progress = |token: i64| {
            let params = json!({"progressToken": token, "progress": 1, "message": "x".repeat(10_000)});
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        };
        let mut routed = routed([
            progress(101),
            progress(999),
            json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
        ]);
        let mut first = call(&mut routed, 1, 1).await;
        let mut second = call(&mut routed, 2, 2).await;
        assert!(matches!(routed.transport.receive().await, Some(JsonRpcMessage::Response(_))));
        let Some(ServerEvent::Progress(progress)) = first.recv().await else { panic!() };
        assert!(progress.message.unwrap().len() < LONGEST_PROGRESS + 100);
        assert!(futures_util::FutureExt::now_or_never(second.recv()).is_none());
    }

    #[tokio::test]
    async fn a_flood_of_logs_is_limited_by_number_and_by_bytes() {
        let mut routed = routed((0..1000).map(log));
        assert!(routed.transport.receive().await.is_none());
        let mut received = 0;
        while routed.broadcasts.try_recv().is_ok() {
            received += 1;
        }
        assert!((200..260).contains(&received), "{received}");
        let mut routed = self::routed((0..1000).map(|_| log("x".repeat(200 << 10))));
        assert!(routed.transport.receive().await.is_none());
        let mut bytes = 0;
        while let Ok(Broadcast {
            what: BroadcastKind::Log(log),
            ..
        }) = routed.broadcasts.try_recv()
        {
            bytes += length_of(&log.data);
        }
        assert!(bytes < 2 << 20, "{bytes}");
    }

    #[tokio::test]
    async fn a_server_request_reaches_the_only_client_and_a_flood_of_others_is_not_answered() {
        let mut routed = routed((0..1000).map(request));
        let events = call(&mut routed, 1, 1).await;
        assert_eq!(recipient(&mut routed).await, None);
        drop(events);
        assert_eq!(recipient(&mut routed).await, Some(NoRecipient::Idle));
        let mut passed = 0;
        while routed.transport.receive().await.is_some() {
            passed += 1;
        }
        assert!((150..300).contains(&passed), "{passed}");
    }
}

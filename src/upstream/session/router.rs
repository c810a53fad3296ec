//! Stands between a server's transport and the protocol: sees in order what is sent and said, and brings what a server says
//! to those it is for.
//!
//! The library handles every notification in a task of its own, so that one may overtake another or the answer; here they
//! are still in order.

#![expect(deprecated, reason = "log messages are of all revisions but the newest")]

use std::borrow::Cow;
use std::sync::{Arc, MutexGuard, PoisonError};

use rmcp::model::{
    ClientNotification, GetExtensions, GetMeta, JsonRpcMessage, LoggingLevel, ResourceUpdatedNotificationParam,
    ServerNotification,
};
use rmcp::service::{InboundStreamOrigin, RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::value::to_raw_value;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::upstream::session::in_flight::{Answer, CallHandle, InFlightRequests, Log, NoRecipient, ServerEvent};
use crate::upstream::session::log_rate_limit::{LogRateLimit, Verdict};
use crate::upstream::transport::stdio::SharedInFlight;

/// What one server says to everybody.
#[derive(Debug, Clone)]
pub struct Broadcast {
    pub server: Arc<str>,
    pub what: BroadcastKind,
}

/// What is said to everybody.
#[derive(Debug, Clone)]
pub enum BroadcastKind {
    Log(Log),
    Prompts,
    Resources,
    Updated(ResourceUpdatedNotificationParam),
}

/// Whom a server's question is for, decided when it arrives; travels in the question's extensions.
#[derive(Debug, Clone)]
pub struct Recipient(pub Result<CallHandle, NoRecipient>);

/// What is said in place of log messages that are left out.
fn left_out() -> Log {
    let words = "from here on, log messages are left out, as this server says too many";
    Log::new(LoggingLevel::Warning, words.into()).with_logger("mcpproxy")
}

/// A server's transport with somebody who listens.
pub struct RoutingTransport<T> {
    inner: T,
    server: Arc<str>,
    in_flight: SharedInFlight,
    news: broadcast::Sender<Broadcast>,
    log_limit: LogRateLimit,
}

impl<T> RoutingTransport<T> {
    /// Listens to `inner`; what is for everybody goes to `news`.
    pub fn new(
        inner: T,
        server: &str,
        in_flight: SharedInFlight,
        news: broadcast::Sender<Broadcast>,
    ) -> RoutingTransport<T> {
        RoutingTransport {
            inner,
            server: server.into(),
            in_flight,
            news,
            log_limit: LogRateLimit::default(),
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, InFlightRequests> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, what: BroadcastKind) {
        // Nobody may be there to hear it.
        let _ = self.news.send(Broadcast {
            server: self.server.clone(),
            what,
        });
    }

    /// Brings a log message to those whose calls are under way and to every session.
    fn tell(&self, log: &Log) {
        for caller in self.in_flight().callers() {
            caller.tell(ServerEvent::Log(log.clone()));
        }
        self.announce(BroadcastKind::Log(log.clone()));
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

    /// Brings what was said to whom it is for; gives back what the protocol itself has to handle.
    fn take(&mut self, mut message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        match &mut message {
            JsonRpcMessage::Response(answer) => self.in_flight().end(&answer.id),
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    // Of a call that went by the shortcut, an error comes here that a stream has put in the answer's place.
                    let waiting = self.in_flight().answered(id);
                    if let Some(waiting) = waiting
                        && let Ok(error) = to_raw_value(&error.error)
                    {
                        let _ = waiting.send(Answer::Error(error));
                        return None;
                    }
                }
            }
            JsonRpcMessage::Request(asked) => {
                let extensions = asked.request.extensions_mut();
                let recipient = match extensions.get::<InboundStreamOrigin>() {
                    Some(InboundStreamOrigin::OutboundRequest(id)) => self.in_flight().of_question(Some(id)).cloned(),
                    _ => self.in_flight().of_question(None).cloned(),
                };
                let recipient = Recipient(recipient);
                extensions.insert(recipient);
            }
            JsonRpcMessage::Notification(said) => match &said.notification {
                ServerNotification::ProgressNotification(progress) => {
                    if let Some(caller) = self.in_flight().of_progress(&progress.params.progress_token) {
                        caller.tell(ServerEvent::Progress(progress.params.clone()));
                    }
                    return None;
                }
                ServerNotification::LoggingMessageNotification(log) => {
                    match self.log_limit.take(Instant::now()) {
                        Verdict::Pass => self.tell(&log.params),
                        Verdict::LeaveOut { say: true } => {
                            self.tell(&left_out());
                            tracing::warn!(server = %self.server, "it logs more than is passed on to clients");
                        }
                        Verdict::LeaveOut { say: false } => {}
                    }
                    return None;
                }
                ServerNotification::PromptListChangedNotification(_) => self.announce(BroadcastKind::Prompts),
                ServerNotification::ResourceListChangedNotification(_) => self.announce(BroadcastKind::Resources),
                ServerNotification::ResourceUpdatedNotification(updated) => {
                    self.announce(BroadcastKind::Updated(updated.params.clone()));
                }
                _ => {}
            },
        }
        Some(message)
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
            if let Some(message) = self.take(message) {
                return Some(message);
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), T::Error>> + Send {
        self.inner.close()
    }
}

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

use crate::upstream::session::in_flight::{Answer, Caller, Log, NobodyToAsk, Said, Underway};
use crate::upstream::session::log_rate_limit::{LogLimit, Verdict};
use crate::upstream::transport::stdio::SharedUnderway;

/// What one server says to everybody.
#[derive(Debug, Clone)]
pub struct News {
    pub server: Arc<str>,
    pub what: Announcement,
}

/// What is said to everybody.
#[derive(Debug, Clone)]
pub enum Announcement {
    Log(Log),
    Prompts,
    Resources,
    Updated(ResourceUpdatedNotificationParam),
}

/// Whom a server's question is for, decided when it arrives; travels in the question's extensions.
#[derive(Debug, Clone)]
pub struct Addressee(pub Result<Caller, NobodyToAsk>);

/// What is said in place of log messages that are left out.
fn left_out() -> Log {
    let words = "from here on, log messages are left out, as this server says too many";
    Log::new(LoggingLevel::Warning, words.into()).with_logger("mcpproxy")
}

/// A server's transport with somebody who listens.
pub struct Attended<T> {
    inner: T,
    server: Arc<str>,
    underway: SharedUnderway,
    news: broadcast::Sender<News>,
    log_limit: LogLimit,
}

impl<T> Attended<T> {
    /// Listens to `inner`; what is for everybody goes to `news`.
    pub fn new(inner: T, server: &str, underway: SharedUnderway, news: broadcast::Sender<News>) -> Attended<T> {
        Attended {
            inner,
            server: server.into(),
            underway,
            news,
            log_limit: LogLimit::default(),
        }
    }

    fn underway(&self) -> MutexGuard<'_, Underway> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, what: Announcement) {
        // Nobody may be there to hear it.
        let _ = self.news.send(News {
            server: self.server.clone(),
            what,
        });
    }

    /// Brings a log message to those whose calls are under way and to every session.
    fn tell(&self, log: &Log) {
        for caller in self.underway().callers() {
            caller.tell(Said::Log(log.clone()));
        }
        self.announce(Announcement::Log(log.clone()));
    }

    fn note_sent(&mut self, message: &TxJsonRpcMessage<RoleClient>) {
        match message {
            JsonRpcMessage::Request(sent) => {
                if let Some(caller) = sent.request.extensions().get::<Caller>() {
                    let token = sent.request.get_meta().get_progress_token();
                    self.underway().begin(sent.id.clone(), token, caller.clone());
                }
            }
            JsonRpcMessage::Notification(sent) => {
                if let ClientNotification::CancelledNotification(cancelled) = &sent.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.underway().end(id);
                }
            }
            _ => {}
        }
    }

    /// Brings what was said to whom it is for; gives back what the protocol itself has to handle.
    fn take(&mut self, mut message: RxJsonRpcMessage<RoleClient>) -> Option<RxJsonRpcMessage<RoleClient>> {
        match &mut message {
            JsonRpcMessage::Response(answer) => self.underway().end(&answer.id),
            JsonRpcMessage::Error(error) => {
                if let Some(id) = &error.id {
                    // Of a call that went by the shortcut, an error comes here that a stream has put in the answer's place.
                    let waiting = self.underway().answered(id);
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
                let addressee = match extensions.get::<InboundStreamOrigin>() {
                    Some(InboundStreamOrigin::OutboundRequest(id)) => self.underway().of_question(Some(id)).cloned(),
                    _ => self.underway().of_question(None).cloned(),
                };
                let addressee = Addressee(addressee);
                extensions.insert(addressee);
            }
            JsonRpcMessage::Notification(said) => match &said.notification {
                ServerNotification::ProgressNotification(progress) => {
                    if let Some(caller) = self.underway().of_progress(&progress.params.progress_token) {
                        caller.tell(Said::Progress(progress.params.clone()));
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
                ServerNotification::PromptListChangedNotification(_) => self.announce(Announcement::Prompts),
                ServerNotification::ResourceListChangedNotification(_) => self.announce(Announcement::Resources),
                ServerNotification::ResourceUpdatedNotification(updated) => {
                    self.announce(Announcement::Updated(updated.params.clone()));
                }
                _ => {}
            },
        }
        Some(message)
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Attended<T> {
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

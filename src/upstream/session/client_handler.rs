//! MCPProxy as the client of an upstream server: answers its requests and notes changed tool lists.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientResult, ErrorCode, Implementation, ServerNotification, ServerRequest,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient, Service};
use tokio::sync::{Notify, oneshot};

use crate::upstream::session::in_flight::{NoRecipient, Question, ServerEvent};
use crate::upstream::session::router::Recipient;

/// What we are to an upstream server: those of its clients' sessions that have a request under way with it.
pub struct Client {
    pub changed: Arc<Notify>,
}

impl Service<RoleClient> for Client {
    #[expect(deprecated, reason = "sampling and roots are of all revisions but the newest")]
    fn get_info(&self) -> ClientConfig {
        // What most clients can do. One that cannot is not asked, and the server hears so. Changed roots are not told: whose
        // they are could not be asked outside of a request.
        let capabilities = ClientCapabilities::builder().enable_sampling().enable_roots().enable_elicitation().build();
        ClientConfig::new(capabilities, Implementation::new("mcpproxy", env!("CARGO_PKG_VERSION")))
    }

    async fn handle_request(
        &self,
        request: ServerRequest,
        context: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        match request {
            ServerRequest::PingRequest(_) => Ok(ClientResult::empty(())),
            ServerRequest::CustomRequest(request) => {
                Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None))
            }
            question => ask(question, context).await,
        }
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _context: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        if let ServerNotification::ToolListChangedNotification(_) = notification {
            self.changed.notify_one();
        }
        Ok(())
    }
}

/// Puts a server's question to the client it is for.
async fn ask(request: ServerRequest, context: RequestContext<RoleClient>) -> Result<ClientResult, ErrorData> {
    let recipient = context.extensions.get::<Recipient>().map_or(Err(NoRecipient::Idle), |found| found.0.clone())?;
    let (answer, answered) = oneshot::channel();
    let question = Question {
        request,
        answer,
        withdrawn: context.ct.clone(),
    };
    recipient.tell(ServerEvent::Question(question));
    answered.await.map_err(|_| NoRecipient::Over)?
}

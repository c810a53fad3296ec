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

/// MCPProxy as a client: stands for the clients that have a request in flight for the server.
pub struct Client {
    pub changed: Arc<Notify>,
}

impl Service<RoleClient> for Client {
    #[expect(
        deprecated,
        reason = "sampling and roots belong to all protocol versions but the newest"
    )]
    fn get_info(&self) -> ClientConfig {
        // The abilities of most clients; a request to a client without one is refused. Changed roots are not announced: outside of a request
        // it is unclear whose they are.
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
            request => ask(request, context).await,
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

/// Passes a server's request to the client it is for.
async fn ask(request: ServerRequest, context: RequestContext<RoleClient>) -> Result<ClientResult, ErrorData> {
    let recipient = context.extensions.get::<Recipient>().map_or(Err(NoRecipient::Idle), |found| found.0.clone())?;
    let (sender, answer) = oneshot::channel();
    let question = Question {
        request,
        answer: sender,
        withdrawn: context.ct.clone(),
    };
    recipient.tell(ServerEvent::Question(question));
    answer.await.map_err(|_| NoRecipient::Over)?
}

//! A session with an endpoint that is not one of the servers: setup tests the entry of an AI client with it.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, JsonObject, Tool};
use serde_json::Value;

use crate::config::ServerConfig;
use crate::upstream::connect::{Session, connect};
use crate::upstream::inspect::sentence;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::session::in_flight::CallHandle;
use crate::upstream::session::multi_round_trip;
use crate::upstream::simple_call::refuse;

/// An open session.
pub struct OneSession<'a> {
    pool: &'a UpstreamPool,
    session: Session,
}

impl UpstreamPool {
    /// Opens a session and lists the tools, as an AI client with this entry does.
    ///
    /// # Errors
    /// A sentence.
    pub async fn open_one(&self, config: ServerConfig) -> Result<OneSession<'_>, String> {
        let config = Arc::new(config);
        let handles = self.separate_handles(&config);
        let opened = connect(&config, &self.log_of(&config.name), &handles).await;
        let session = opened.map_err(|error| sentence(&error))?;
        Ok(OneSession { pool: self, session })
    }
}

impl OneSession<'_> {
    /// The tools that the client sees.
    pub fn tools(&self) -> &[Tool] {
        &self.session.tools
    }

    /// Calls a tool and returns its result.
    ///
    /// # Errors
    /// A sentence: no result within `limit`, or an error.
    pub async fn call(&self, tool: &str, arguments: JsonObject, limit: Duration) -> Result<Value, String> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
        let (caller, mut events) = CallHandle::of(self.pool.new_session());
        let answer = async {
            let mut sent = multi_round_trip::send(self.session.service.peer(), request, caller).await?;
            loop {
                tokio::select! {
                    biased;
                    Some(event) = events.recv() => refuse(event),
                    answer = sent.answer() => break answer,
                }
            }
        };
        let answer = tokio::time::timeout(limit, answer).await;
        let answer = answer.map_err(|_| format!("no answer within {} s", limit.as_secs()))?;
        serde_json::to_value(answer.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
    }

    /// Closes the session, and ends its process if it has one.
    pub async fn end(self) {
        self.session.close().await;
    }
}

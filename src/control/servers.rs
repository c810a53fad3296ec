//! One function per action on a server, used by REST and by the tools for models.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::document::EditError;
use crate::config::store::StoreError;
use crate::control::live_config::LiveConfig;
use crate::upstream::error::{ApproveError, SignInError};
use crate::upstream::pool::UpstreamPool;

/// Changes servers.
pub struct ServerControl {
    config: Arc<LiveConfig>,
    pool: Arc<UpstreamPool>,
}

impl ServerControl {
    pub fn new(config: Arc<LiveConfig>, pool: Arc<UpstreamPool>) -> ServerControl {
        ServerControl { config, pool }
    }

    /// The configuration in use.
    pub fn config(&self) -> &LiveConfig {
        &self.config
    }

    /// The running servers.
    pub fn pool(&self) -> &UpstreamPool {
        &self.pool
    }

    /// Adds a server: `entry` is an entry of `mcpServers`, every key of which is kept.
    ///
    /// # Errors
    /// [`StoreError`]; the name is taken, or the entry is not valid.
    pub async fn add(&self, name: &str, entry: Map<String, Value>) -> Result<(), StoreError> {
        let (name, entry) = (name.to_owned(), Value::Object(entry));
        self.config.edit(move |document| document.add_server(&name, entry.clone())).await
    }

    /// Removes a server and its entry.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.config.edit(move |document| document.remove_server(&name)).await
    }

    /// Starts or stops a server; its entry is kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), StoreError> {
        self.set(name, "enabled", json!(enabled)).await
    }

    /// Stops a server until a person approves it again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn quarantine(&self, name: &str) -> Result<(), StoreError> {
        self.set(name, "quarantined", json!(true)).await
    }

    /// Approves a server as it is configured now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn approve(&self, name: &str) -> Result<(), StoreError> {
        self.set(name, "quarantined", json!(false)).await
    }

    /// Approves the named tools as they are listed now, or all tools that need approval; returns their names.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub fn approve_tools(&self, name: &str, tools: Option<&[String]>) -> Result<Vec<String>, ApproveError> {
        self.pool.approve(name, tools)
    }

    /// Starts a server again.
    ///
    /// # Errors
    /// [`EditError::Unknown`]
    pub fn restart(&self, name: &str) -> Result<(), StoreError> {
        known(name, self.pool.restart(name))
    }

    /// Changes settings of a server. It needs approval again: what was approved was another program, or the same one
    /// somewhere else.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn patch(&self, name: &str, changes: Map<String, Value>) -> Result<(), StoreError> {
        let name = name.to_owned();
        let edit = self.config.edit(move |document| {
            for (key, value) in &changes {
                document.set_in_server(&name, key, value.clone())?;
            }
            document.set_in_server(&name, "quarantined", json!(true))
        });
        edit.await
    }

    /// Enables or disables one tool of a server.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn set_tool_enabled(&self, name: &str, tool: &str, enabled: bool) -> Result<(), StoreError> {
        let (name, tool) = (name.to_owned(), tool.to_owned());
        self.config.edit(move |document| document.switch_tool(&name, &tool, enabled)).await
    }

    /// Begins a sign-in; returns the URL of the page where the person continues.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn sign_in(&self, name: &str) -> Result<String, SignInError> {
        self.pool.sign_in(name).await
    }

    /// Deletes a server's tokens and restarts it.
    ///
    /// # Errors
    /// [`EditError::Unknown`]
    pub fn sign_out(&self, name: &str) -> Result<(), StoreError> {
        known(name, self.pool.sign_out(name))
    }

    async fn set(&self, name: &str, key: &'static str, value: Value) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.config.edit(move |document| document.set_in_server(&name, key, value.clone())).await
    }
}

fn known(name: &str, found: bool) -> Result<(), StoreError> {
    if found { Ok(()) } else { Err(EditError::Unknown(name.to_owned()).into()) }
}

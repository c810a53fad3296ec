//! The servers that one request on `/mcp/all` or `/mcp/all/{server}` reaches, and their tools' names there.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::Tool;

use crate::config::profiles::ProfileScope;
use crate::gateway::direct_mode::qualified_name::{join, meanings};
use crate::gateway::profile::View;
use crate::gateway::tool_calls::Proxy;
use crate::upstream::snapshot::Snapshot;

/// The connected servers of one request, and how their things are called in it.
#[derive(Default)]
pub struct Scope {
    servers: Vec<Snapshot>,
    qualified: bool,
}

impl Scope {
    /// All servers that are connected, or the one that an address names.
    ///
    /// # Errors
    /// No server has this name; the sentence says which there are.
    pub fn of(proxy: &Proxy, only: Option<&str>, profile: &ProfileScope) -> Result<Scope, ErrorData> {
        let mut servers = View::new(proxy.upstreams(), profile).snapshots();
        if let Some(only) = only {
            let known: Vec<String> = servers.iter().map(|server| server.config.name.clone()).collect();
            servers.retain(|server| server.config.name == only);
            if servers.is_empty() {
                let text = format!("no server is called `{only}`; there are: {}", known.join(", "));
                return Err(ErrorData::invalid_params(text, None));
            }
        }
        servers.retain(Snapshot::is_connected);
        Ok(Scope {
            servers,
            qualified: only.is_none(),
        })
    }

    /// The servers.
    pub fn servers(&self) -> &[Snapshot] {
        &self.servers
    }

    /// The servers' names, each with its own list of tools.
    pub fn tool_lists(&self) -> Vec<(String, Arc<Vec<Tool>>)> {
        let of = |server: &Snapshot| Some((server.config.name.clone(), server.shared_tools()?));
        self.servers.iter().filter_map(of).collect()
    }

    pub fn name(&self, server: &str, name: &str) -> String {
        if self.qualified { join(server, name) } else { name.to_owned() }
    }

    /// What a name may mean.
    pub fn meanings<'n>(&self, name: &'n str) -> Vec<(&str, &'n str)> {
        let servers = self.servers.iter().map(|server| server.config.name.as_str());
        if self.qualified {
            meanings(servers, name)
        } else {
            servers.map(|server| (server, name)).collect()
        }
    }

    /// The servers' tools, as they are called here.
    pub fn tools(&self) -> Vec<Tool> {
        let of = |server: &Snapshot| {
            let own = server.config.name.clone();
            server.tools().to_vec().into_iter().map(move |mut tool| {
                tool.name = self.name(&own, &tool.name).into();
                tool
            })
        };
        self.servers.iter().flat_map(of).collect()
    }
}

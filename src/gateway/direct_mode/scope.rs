//! The servers that a request on `/mcp/all` or `/mcp/all/{server}` can use, and the names of their tools.

use std::collections::BTreeSet;
use std::sync::Arc;

use rmcp::model::Tool;

use crate::config::profiles::ProfileScope;
use crate::contract::failure::{Failure, FailureKind};
use crate::gateway::direct_mode::qualified_name::{join, may_be_short_form, meanings, offered, short_form, split};
use crate::gateway::direct_mode::strict_schema;
use crate::gateway::tool_calls::Proxy;
use crate::upstream::snapshot::Snapshot;

/// The connected servers of one request, and the names of their tools.
#[derive(Default)]
pub struct Scope {
    servers: Vec<Snapshot>,
    /// The names of all configured servers. A tool's name must not depend on which servers are connected.
    configured: BTreeSet<String>,
    /// The servers that the profile allows, connected or not.
    allowed: BTreeSet<String>,
    qualified: bool,
}

impl Scope {
    /// Returns all connected servers, or only the one named in the URL.
    ///
    /// # Errors
    /// The server does not exist; the message lists the existing ones.
    pub fn of(proxy: &Proxy, only: Option<&str>, profile: &ProfileScope) -> Result<Scope, Failure> {
        let is_used = |server: &Snapshot| {
            let name = server.config.name.as_str();
            server.is_connected() && profile.allows(name) && only.is_none_or(|only| only == name)
        };
        // Copies only the servers in use: there may be a thousand others.
        let part = |server: &Snapshot| (server.config.name.clone(), is_used(server).then(|| server.clone()));
        // Includes servers outside of the profile, so that a name means the same in every profile.
        let (configured, used): (BTreeSet<String>, Vec<Option<Snapshot>>) =
            proxy.upstreams().each(part).into_iter().unzip();
        let allowed: BTreeSet<String> = configured.iter().filter(|name| profile.allows(name)).cloned().collect();
        if let Some(only) = only
            && !allowed.contains(only)
        {
            let known: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let text = format!("no server is named `{only}`; there are: {}", known.join(", "));
            return Err(Failure::new(FailureKind::NotFound, text));
        }
        let servers = used.into_iter().flatten().collect();
        Ok(Scope {
            servers,
            configured,
            allowed,
            qualified: only.is_none(),
        })
    }

    /// Returns the servers.
    pub fn servers(&self) -> &[Snapshot] {
        &self.servers
    }

    /// Whether the names of tools include the names of servers.
    pub fn is_qualified(&self) -> bool {
        self.qualified
    }

    /// Returns the servers' names with their lists of tools.
    pub fn tool_lists(&self) -> Vec<(String, Arc<Vec<Tool>>)> {
        let of = |server: &Snapshot| Some((server.config.name.clone(), server.shared_tools()?));
        self.servers.iter().filter_map(of).collect()
    }

    /// Returns a prompt's name in this scope.
    pub fn prompt_name(&self, server: &str, name: &str) -> String {
        if self.qualified { join(server, name) } else { name.to_owned() }
    }

    /// Returns the servers and prompts that a name may mean.
    pub fn prompt_meanings<'n>(&self, name: &'n str) -> Vec<(&str, &'n str)> {
        let servers = self.servers.iter().map(|server| server.config.name.as_str());
        if self.qualified {
            meanings(servers, name)
        } else {
            servers.map(|server| (server, name)).collect()
        }
    }

    fn tool_name(&self, server: &str, name: &str) -> String {
        if self.qualified {
            offered(server, name, |name| self.configured.contains(name))
        } else {
            name.to_owned()
        }
    }

    /// Returns the servers' tools with their names in this scope, and with schemas that strict clients accept.
    pub fn tools(&self) -> Vec<Tool> {
        let of = |server: &Snapshot| {
            let own = server.config.name.clone();
            server.tools().to_vec().into_iter().map(move |mut tool| {
                tool.name = self.tool_name(&own, &tool.name).into();
                strict_schema::repair(&mut tool);
                tool
            })
        };
        self.servers.iter().flat_map(of).collect()
    }

    /// Returns the server and tool that a name means. Does not check whether the tool may be called.
    pub fn tool_of<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a str)> {
        if !self.qualified {
            return self.servers.first().map(|server| (server.config.name.as_str(), name));
        }
        let plain = split(name, |server| self.configured.contains(server));
        let is_offered = |(server, tool): &(&str, &str)| {
            self.servers.iter().any(|known| known.config.name == *server && known.has_tool(tool))
        };
        let is_allowed = |(server, _): &(&str, &str)| self.allowed.contains(*server);
        plain.filter(is_offered).or_else(|| self.by_short_form(name)).or(plain.filter(is_allowed))
    }

    fn by_short_form(&self, name: &str) -> Option<(&str, &str)> {
        if !may_be_short_form(name) {
            return None;
        }
        self.servers.iter().find_map(|server| {
            let own = server.config.name.as_str();
            let tool = server.tools().iter().find(|tool| short_form(own, &tool.name) == name)?;
            Some((own, tool.name.as_ref()))
        })
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::JsonObject;

    use super::*;
    use crate::config::ServerConfig;
    use crate::upstream::snapshot::Phase;

    fn connected(name: &str, tools: &[&'static str]) -> Snapshot {
        let config = ServerConfig {
            name: name.to_owned(),
            ..ServerConfig::default()
        };
        let tools = tools.iter().map(|tool| Tool::new(*tool, "", JsonObject::new())).collect();
        Snapshot::new(Arc::new(config), Phase::Connected(Arc::new(tools)))
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_reaches_only_the_servers_of_the_profile() {
        let scope = Scope {
            servers: vec![connected("a", &["t"])],
            configured: names(&["a", "b", "c"]),
            allowed: names(&["a", "c"]),
            qualified: true,
        };
        assert_eq!(scope.tools().iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), ["a__t"]);
        assert_eq!(scope.tool_of("a__t"), Some(("a", "t")));
        // Their calls fail with the reason: the tool is gone, the server is not connected.
        assert_eq!(scope.tool_of("a__gone"), Some(("a", "gone")));
        assert_eq!(scope.tool_of("c__t"), Some(("c", "t")));
        assert_eq!(scope.tool_of("b__t"), None);
    }

    #[test]
    fn the_endpoint_of_one_server_keeps_its_names() {
        let scope = Scope {
            servers: vec![connected("a", &["b__t"])],
            configured: names(&["a", "b"]),
            allowed: names(&["a", "b"]),
            qualified: false,
        };
        assert_eq!(scope.tools()[0].name, "b__t");
        assert_eq!(scope.tool_of("b__t"), Some(("a", "b__t")));
        assert_eq!(scope.prompt_meanings("p"), [("a", "p")]);
    }
}

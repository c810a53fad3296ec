//! Tools that a server's entry switches off: nobody is shown them, nobody can call them, and they do not ask for approval.

use std::sync::Arc;

use rmcp::model::Tool;

use crate::config::ServerConfig;
use crate::upstream::approvals::PendingTool;
use crate::upstream::snapshot::{DisabledTools, Phase, Snapshot};

impl Snapshot {
    /// Takes up what a connected server has; `false` when that is what it had.
    pub fn take_tools(&mut self, approved: Vec<Tool>, held: Vec<PendingTool>) -> bool {
        let (on, off): (Vec<Tool>, Vec<Tool>) = approved.into_iter().partition(|tool| self.config.has_on(&tool.name));
        let (held, held_off): (Vec<PendingTool>, Vec<PendingTool>) =
            held.into_iter().partition(|held| self.config.has_on(&held.tool.name));
        let off = DisabledTools {
            approved: off,
            pending: held_off,
        };
        // Sessions and the search go by which list it is, not by what is in it.
        let same = matches!(&self.phase, Phase::Connected(before) if **before == on);
        if same && *self.held == held && *self.off == off {
            return false;
        }
        self.phase = Phase::Connected(Arc::new(on));
        self.held = Arc::new(held);
        self.off = Arc::new(off);
        true
    }

    /// Takes up an entry that says the same but for which tools are on.
    pub fn switch(&mut self, config: Arc<ServerConfig>) {
        self.config = config;
        let Phase::Connected(on) = &self.phase else { return };
        let approved = on.iter().chain(&self.off.approved).cloned().collect();
        let held = self.held.iter().chain(&self.off.pending).cloned().collect();
        self.take_tools(approved, held);
    }

    /// The tools of a connected server that are off.
    pub fn off(&self) -> Option<&DisabledTools> {
        self.is_connected().then_some(&*self.off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::approvals::ToolFingerprint;

    fn config(disabled: &[&str]) -> Arc<ServerConfig> {
        Arc::new(ServerConfig {
            name: "s".into(),
            disabled_tools: disabled.iter().map(|name| (*name).to_owned()).collect(),
            ..ServerConfig::default()
        })
    }

    fn tool(name: &'static str) -> Tool {
        Tool::new(name, "", serde_json::Map::new())
    }

    fn held(name: &'static str) -> PendingTool {
        PendingTool {
            fingerprint: ToolFingerprint::of(&tool(name)),
            tool: tool(name),
            before: None,
        }
    }

    fn shown(server: &Snapshot) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
        let on = server.tools().iter().map(|tool| tool.name.as_ref()).collect();
        let waiting = server.held().iter().map(|held| held.tool.name.as_ref()).collect();
        (on, waiting, server.off().unwrap().names().collect())
    }

    #[test]
    fn a_tool_is_switched_off_and_on_again_and_is_then_as_approved_as_it_was() {
        let mut server = Snapshot::new(config(&["a", "new"]), Phase::Connecting);
        assert!(server.take_tools(vec![tool("a"), tool("b")], vec![held("new"), held("newer")]));
        assert_eq!(shown(&server), (vec!["b"], vec!["newer"], vec!["a", "new"]));
        assert!(!server.take_tools(vec![tool("a"), tool("b")], vec![held("new"), held("newer")]));
        server.switch(config(&["b"]));
        assert_eq!(shown(&server), (vec!["a"], vec!["newer", "new"], vec!["b"]));
        server.switch(config(&[]));
        assert_eq!(shown(&server), (vec!["a", "b"], vec!["newer", "new"], vec![]));
    }

    #[test]
    fn a_server_that_is_not_connected_takes_the_entry_up_for_later() {
        let mut server = Snapshot::new(config(&[]), Phase::Connecting);
        server.switch(config(&["a"]));
        assert!(server.off().is_none() && server.tools().is_empty());
        server.take_tools(vec![tool("a")], Vec::new());
        assert_eq!(shown(&server), (vec![], vec![], vec!["a"]));
    }
}

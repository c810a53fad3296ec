//! Tools that a server's entry disables: clients can neither see nor call them, and they need no approval.

use std::sync::Arc;

use rmcp::model::Tool;

use crate::config::ServerConfig;
use crate::upstream::approvals::PendingTool;
use crate::upstream::snapshot::{DisabledTools, Phase, Snapshot};

impl Snapshot {
    /// Replaces a connected server's tools; `false` if they are unchanged.
    pub fn take_tools(&mut self, approved: Vec<Tool>, pending: Vec<PendingTool>) -> bool {
        let (on, off): (Vec<Tool>, Vec<Tool>) = approved.into_iter().partition(|tool| self.config.has_on(&tool.name));
        let (pending, pending_off): (Vec<PendingTool>, Vec<PendingTool>) =
            pending.into_iter().partition(|pending| self.config.has_on(&pending.tool.name));
        let off = DisabledTools {
            approved: off,
            pending: pending_off,
        };
        // Sessions and the index compare lists by pointer: an equal list must stay the same one.
        let same = matches!(&self.phase, Phase::Connected(before) if **before == on);
        if same && *self.pending == pending && *self.off == off {
            return false;
        }
        self.phase = Phase::Connected(Arc::new(on));
        self.pending = Arc::new(pending);
        self.off = Arc::new(off);
        true
    }

    /// Applies an entry that differs only in its disabled tools.
    pub fn switch(&mut self, config: Arc<ServerConfig>) {
        self.config = config;
        let Phase::Connected(on) = &self.phase else { return };
        let approved = on.iter().chain(&self.off.approved).cloned().collect();
        let pending = self.pending.iter().chain(&self.off.pending).cloned().collect();
        self.take_tools(approved, pending);
    }

    /// The disabled tools of a connected server.
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

    fn pending(name: &'static str) -> PendingTool {
        PendingTool {
            fingerprint: ToolFingerprint::of(&tool(name)),
            tool: tool(name),
            before: None,
        }
    }

    fn shown(server: &Snapshot) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
        let on = server.tools().iter().map(|tool| tool.name.as_ref()).collect();
        let waiting = server.pending_tools().iter().map(|pending| pending.tool.name.as_ref()).collect();
        (on, waiting, server.off().unwrap().names().collect())
    }

    #[test]
    fn a_tool_that_is_disabled_and_enabled_again_keeps_its_approval() {
        let mut server = Snapshot::new(config(&["a", "new"]), Phase::Connecting);
        assert!(server.take_tools(vec![tool("a"), tool("b")], vec![pending("new"), pending("newer")]));
        assert_eq!(shown(&server), (vec!["b"], vec!["newer"], vec!["a", "new"]));
        assert!(!server.take_tools(vec![tool("a"), tool("b")], vec![pending("new"), pending("newer")]));
        server.switch(config(&["b"]));
        assert_eq!(shown(&server), (vec!["a"], vec!["newer", "new"], vec!["b"]));
        server.switch(config(&[]));
        assert_eq!(shown(&server), (vec!["a", "b"], vec!["newer", "new"], vec![]));
    }

    #[test]
    fn a_server_that_is_not_connected_applies_its_entry_when_it_connects() {
        let mut server = Snapshot::new(config(&[]), Phase::Connecting);
        server.switch(config(&["a"]));
        assert!(server.off().is_none() && server.tools().is_empty());
        server.take_tools(vec![tool("a")], Vec::new());
        assert_eq!(shown(&server), (vec![], vec![], vec!["a"]));
    }
}

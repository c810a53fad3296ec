//! The questions that need a second, deliberate click, and their text.

use serde_json::Value;

use super::label::line;
use super::message::Message;
use crate::contract::names;

/// Maximum number of tools listed by name; the rest is only counted.
const MOST_TOOLS: usize = 12;
/// Maximum length, in characters, of a tool's description and of a command line.
const LONGEST_TEXT: usize = 100;

/// An action that needs a second, deliberate click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Approve a server, or its new and changed tools.
    Approve(Approval),
    /// Replace another server's entry that has our name in an AI client's configuration.
    ReplaceEntry { id: String, client: String, said: String },
}

/// The server or tools to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub server: String,
    /// The whole server needs approval, not only some of its tools.
    pub quarantined: bool,
    /// The command it runs or the URL it connects to.
    pub runs: String,
    /// Names and descriptions of the tools that need approval, as the server sent them.
    pub tools: Vec<(String, String)>,
}

impl Approval {
    /// Reads the tools from the core's response to `GET /servers/{id}/tools`: those that need approval, or all of them
    /// if the response has no approval states.
    pub fn read_tools(&mut self, answer: &Value) {
        let text = |tool: &Value, key: &str| tool.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let waits = |tool: &&Value| {
            let status = tool.get("approval_status").and_then(Value::as_str);
            status.is_none_or(|status| matches!(status, "pending" | "changed"))
        };
        let tools = answer.get("tools").and_then(Value::as_array).or(answer.as_array());
        self.tools = tools
            .into_iter()
            .flatten()
            .filter(waits)
            .map(|tool| (text(tool, "name"), text(tool, "description")))
            .filter(|(name, _)| !name.is_empty())
            .collect();
    }
}

impl Decision {
    /// The window that asks the question.
    pub fn message(&self) -> Message {
        match self {
            Decision::Approve(approval) => Message {
                title: format!("Approve {}?", line(&approval.server, 40)),
                text: approval.text(),
                confirm: Some("Approve"),
            },
            Decision::ReplaceEntry { client, said, .. } => Message {
                title: format!("Replace the entry in {}?", line(client, 40)),
                text: format!(
                    "{}\n\nA backup of the current file will be saved next to it.",
                    line(said, 4 * LONGEST_TEXT)
                ),
                confirm: Some("Replace"),
            },
        }
    }
}

impl Approval {
    fn text(&self) -> String {
        let mut text = if self.quarantined {
            "AI clients cannot use this server until you approve it. Approve only servers that you added yourself."
                .to_owned()
        } else {
            "These tools are new or have changed since you approved them. Descriptions come from the server and are not verified.".to_owned()
        };
        if !self.runs.is_empty() {
            text += &format!("\n\nIt runs: {}", line(&self.runs, LONGEST_TEXT));
        }
        if !self.tools.is_empty() {
            text += "\n";
        }
        for (name, description) in self.tools.iter().take(MOST_TOOLS) {
            text += &format!("\n• {}: {}", line(name, LONGEST_TEXT / 2), line(description, LONGEST_TEXT));
        }
        let more = self.tools.len().saturating_sub(MOST_TOOLS);
        if more > 0 {
            text += &format!("\n… and {more} more");
        }
        // A server could hide text behind the cut, so the window shows where to read all of it.
        if more > 0 || self.tools.iter().any(|(_, description)| description.chars().count() > LONGEST_TEXT) {
            let core = names::CORE_PROGRAM;
            text += &format!(
                "\n\nToo long to show here. See everything with: {core} upstream inspect {}",
                line(&self.server, 40)
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(tools: &Value) -> Approval {
        let mut approval = Approval {
            server: "everything".into(),
            quarantined: true,
            runs: "npx -y server".into(),
            tools: Vec::new(),
        };
        approval.read_tools(tools);
        approval
    }

    #[test]
    fn only_what_waits_is_listed_and_what_the_server_says_stays_on_its_line() {
        let tools = serde_json::json!({"tools": [
            {"name": "echo", "description": "Says\nit again", "approval_status": "pending"},
            {"name": "add", "description": "Adds", "approval_status": "approved"},
            {"description": "nameless"}, 7]});
        let message = Decision::Approve(approval(&tools)).message();
        assert!(message.text.ends_with("It runs: npx -y server\n\n• echo: Says it again"), "{}", message.text);
        assert_eq!(message.confirm, Some("Approve"));
    }

    #[test]
    fn a_thousand_tools_and_garbage_are_a_short_window() {
        let many: Vec<Value> = (0..1000).map(|n| serde_json::json!({"name": n.to_string()})).collect();
        let text = Decision::Approve(approval(&Value::Array(many))).message().text;
        assert!(
            text.contains("… and 988 more\n")
                && text.ends_with("mcpproxy upstream inspect everything")
                && text.lines().count() < 20,
            "{text}"
        );
        assert!(approval(&Value::Null).tools.is_empty());
        let hidden =
            serde_json::json!([{"name": "add", "description": "Adds".to_owned() + &" ".repeat(100) + "and steals"}]);
        let text = Decision::Approve(approval(&hidden)).message().text;
        assert!(
            text.ends_with("Too long to show here. See everything with: mcpproxy upstream inspect everything"),
            "{text}"
        );
    }
}

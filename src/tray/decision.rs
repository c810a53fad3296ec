//! The questions that need a second, deliberate click, and their text.

use serde_json::Value;

use super::label::line;
use super::message::Message;
use crate::contract::names;
use crate::contract::review::{Review, ReviewChange};
use crate::contract::review_text::{Subject, confirmations, news_lines, review_lines, subject};

/// Maximum number of tools listed by name; the rest is only counted.
const MOST_TOOLS: usize = 12;
/// Maximum length, in characters, of a tool's description and of a command line.
const LONGEST_TEXT: usize = 100;

/// An action that needs a second, deliberate click.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Approve a server, or its new and changed tools, at a Go core, which has no reviews.
    Approve(Approval),
    /// Approve what a review shows.
    ApproveReviewed(Box<Reviewed>),
    /// Replace another server's entry that has our name in an AI client's configuration.
    ReplaceEntry {
        id: String,
        client: String,
        message: String,
    },
}

/// A review and the part of it to approve.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    pub review: Review,
    pub subject: Subject,
    /// An earlier window showed it before these changes; nothing was approved then.
    news: Option<Vec<ReviewChange>>,
}

impl Reviewed {
    /// Everything in the review that needs approval.
    pub fn new(review: Review, news: Option<Vec<ReviewChange>>) -> Reviewed {
        Reviewed {
            subject: subject(&review),
            review,
            news,
        }
    }

    fn message(&self) -> Message {
        let mut details = Vec::new();
        if let Some(changes) = &self.news {
            details.extend(news_lines(changes));
        }
        details.extend(review_lines(&self.review, &self.subject));
        let text = if self.news.is_some() { CHANGED } else { intro(self.subject == Subject::Server) };
        Message {
            title: format!("Approve {}?", line(&self.review.name, 40)),
            text: text.to_owned(),
            details,
            ticks: confirmations(&self.review, &self.subject).into_iter().map(|danger| danger.text).collect(),
            confirm: Some("Approve"),
        }
    }
}

const CHANGED: &str = "This has changed since it was shown. Nothing was approved. Review it again.";

fn intro(is_server: bool) -> &'static str {
    if is_server {
        "AI clients cannot use this server until you approve it. Approve only servers that you added yourself."
    } else {
        "These tools are new or have changed since you approved them. Descriptions come from the server and are not verified."
    }
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
                ..Message::default()
            },
            Decision::ApproveReviewed(reviewed) => reviewed.message(),
            Decision::ReplaceEntry { client, message, .. } => Message {
                title: format!("Replace the entry in {}?", line(client, 40)),
                text: format!(
                    "{}\n\nA backup of the current file will be saved next to it.",
                    line(message, 4 * LONGEST_TEXT)
                ),
                confirm: Some("Replace"),
                ..Message::default()
            },
        }
    }
}

impl Approval {
    fn text(&self) -> String {
        let mut text = intro(self.quarantined).to_owned();
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
    use crate::contract::review::{ReviewTool, ReviewWarning};
    use crate::contract::review_text::{Mark, approval as approval_of};

    fn review() -> Review {
        Review {
            name: "s\u{202e}".to_owned(),
            fingerprint: "f".to_owned(),
            needs_approval: true,
            command: Some("npx".to_owned()),
            args: vec!["x".repeat(500)],
            warnings: vec![ReviewWarning {
                rule: "reference_to_secret".to_owned(),
                field: "env.K".to_owned(),
                quote: "${env:K}".to_owned(),
                reason: "the server receives this secret".to_owned(),
                confirm: true,
            }],
            ..Review::default()
        }
    }

    #[test]
    fn the_window_shows_what_its_button_approves() {
        let reviewed = Reviewed::new(review(), None);
        let message = Decision::ApproveReviewed(Box::new(reviewed.clone())).message();
        assert_eq!(message.title, "Approve s?");
        assert_eq!(message.details, review_lines(&reviewed.review, &Subject::Server));
        assert!(message.details.iter().any(|line| line.text.contains(&"x".repeat(500))));
        assert_eq!(message.ticks, ["env.K: the server receives this secret (`${env:K}`)"]);
        let body = approval_of(&reviewed.review, &reviewed.subject).map(|(_, body)| body);
        assert_eq!(body, Some(serde_json::json!({"fingerprint": "f", "confirmed": ["reference_to_secret:env.K"]})));
    }

    #[test]
    fn what_has_changed_is_shown_first() {
        let change = ReviewChange {
            field: "command".to_owned(),
            before: Some(serde_json::json!("ls")),
            after: Some(serde_json::json!("npx")),
        };
        let message = Reviewed::new(review(), Some(vec![change])).message();
        assert_eq!(message.text, CHANGED);
        let marks: Vec<Mark> = message.details.iter().take(3).map(|line| line.mark).collect();
        assert_eq!(marks, [Mark::Heading, Mark::Removed, Mark::Added]);
    }

    #[test]
    fn only_tools_that_need_approval_are_approved() {
        let tool = |name: &str, approval: &str| ReviewTool {
            name: name.to_owned(),
            fingerprint: format!("f-{name}"),
            approval: approval.into(),
            ..ReviewTool::default()
        };
        let open = Review {
            needs_approval: false,
            tools: vec![tool("a", "approved"), tool("b", "changed")],
            ..review()
        };
        let reviewed = Reviewed::new(open.clone(), None);
        assert_eq!(reviewed.subject, Subject::Tools([("b".to_owned(), "f-b".to_owned())].into()));
        assert!(reviewed.message().ticks.is_empty(), "the entry was approved before");
        let nothing = Review {
            tools: Vec::new(),
            ..open
        };
        assert_eq!(Reviewed::new(nothing, None).subject, Subject::Nothing);
    }

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

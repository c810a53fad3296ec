//! The review as text for the tray's window, the terminal and the page, and the approval that follows from it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::contract::isolation::VariableFact;
use crate::contract::line_difference::{self, difference};
use crate::contract::review::{
    ApproveServer, ApproveTools, Confirmation, Review, ReviewChange, ReviewOffer, ReviewTool, ReviewValue,
};
use crate::contract::review_keys::key_lines;
use crate::contract::scan::{Finding, Severity};
use crate::contract::visible_text::one_line;
use crate::contract::words::{ApprovalStatus, IsolationOutcome, VariableSource};

/// A longer value of a definition takes several lines.
const SHORT: usize = 240;

/// The mark of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Plain,
    /// The name of a server, tool, prompt or template.
    Heading,
    /// A removed line: only in the approved version.
    Removed,
    /// An added line: not in the approved version.
    Added,
    Warning,
    Danger,
}

/// One line of a review, without characters that hide or reorder text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewLine {
    pub mark: Mark,
    pub text: String,
}

impl ReviewLine {
    /// A line of this text.
    pub fn new(mark: Mark, text: &str) -> ReviewLine {
        ReviewLine {
            mark,
            text: one_line(&text.replace('\t', "    ")),
        }
    }
}

/// The part of a server that needs approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The server with its current entry.
    Server,
    /// Tools, prompts and resource templates by key, with the fingerprints of the shown definitions.
    Tools(BTreeMap<String, String>),
    Nothing,
}

/// Returns everything in this review that needs approval.
pub fn subject(review: &Review) -> Subject {
    if review.needs_approval {
        return Subject::Server;
    }
    let tools = review.tools.iter().filter(|tool| tool.approval != ApprovalStatus::Approved);
    let tools = tools.map(|tool| (tool.name.clone(), tool.fingerprint.clone()));
    let offers = review.offers.iter().filter(|offer| offer.approval != ApprovalStatus::Approved);
    let pending: BTreeMap<_, _> =
        tools.chain(offers.map(|offer| (offer.key.clone(), offer.fingerprint.clone()))).collect();
    if pending.is_empty() { Subject::Nothing } else { Subject::Tools(pending) }
}

/// Returns the tools with these names.
///
/// # Errors
/// The name of a tool that the server does not have.
pub fn named_tools<'a>(review: &Review, names: impl IntoIterator<Item = &'a String>) -> Result<Subject, String> {
    let named = names.into_iter().map(|name| {
        let tool = review.tools.iter().find(|tool| tool.name == *name);
        tool.map(|tool| (tool.name.clone(), tool.fingerprint.clone())).ok_or_else(|| name.clone())
    });
    named.collect::<Result<_, _>>().map(Subject::Tools)
}

/// Returns the dangers that the user must confirm before this approval.
pub fn confirmations(review: &Review, subject: &Subject) -> Vec<Confirmation> {
    match subject {
        Subject::Server => {
            let warnings = review.warnings.iter().filter(|warning| warning.confirm);
            let tools = inspected(review).map(|tool| (&tool.name, &tool.findings));
            let confirmation = warnings.map(|warning| Confirmation {
                key: format!("{}:{}", warning.rule, warning.field),
                text: one_line(&format!("{}: {} (`{}`)", warning.field, warning.reason, warning.quote)),
            });
            unique(confirmation.chain(dangers(tools)))
        }
        // The tools of an approved server cannot do more than the server itself; signs of an attack in them are shown
        // in red.
        Subject::Tools(_) | Subject::Nothing => Vec::new(),
    }
}

/// Returns the tools of a server that was inspected before its approval.
fn inspected(review: &Review) -> impl Iterator<Item = &ReviewTool> {
    review.tools.iter().filter(|_| review.needs_approval && review.inspected)
}

fn dangers<'a>(tools: impl Iterator<Item = (&'a String, &'a Vec<Finding>)>) -> impl Iterator<Item = Confirmation> {
    tools.flat_map(|(name, findings)| {
        let dangers = findings.iter().filter(|finding| finding.severity == Severity::Danger);
        dangers.map(move |finding| Confirmation {
            key: format!("{}:tools.{name}", finding.rule),
            text: one_line(&format!("{name}: {} (`{}`)", finding.reason, finding.quote)),
        })
    })
}

fn unique(all: impl Iterator<Item = Confirmation>) -> Vec<Confirmation> {
    let mut kept: Vec<Confirmation> = Vec::new();
    for one in all {
        if !kept.iter().any(|known| known.key == one.key) {
            kept.push(one);
        }
    }
    kept
}

/// Returns the path below the server, and the body, of the request that approves the shown version.
pub fn approval(review: &Review, subject: &Subject) -> Option<(&'static str, Value)> {
    match subject {
        Subject::Server => {
            let confirmed: Vec<String> = confirmations(review, subject).into_iter().map(|one| one.key).collect();
            let tools = || inspected(review).map(|tool| (tool.name.clone(), tool.fingerprint.clone())).collect();
            let request = ApproveServer {
                fingerprint: Some(review.fingerprint.clone()),
                confirmed,
                tools: review.inspected.then(tools),
            };
            Some(("approve", json!(request)))
        }
        Subject::Tools(shown) => {
            let request = ApproveTools {
                fingerprints: Some(shown.clone()),
                ..ApproveTools::default()
            };
            Some(("tools/approve", json!(request)))
        }
        Subject::Nothing => None,
    }
}

/// Returns the complete review of this subject.
pub fn review_lines(review: &Review, subject: &Subject) -> Vec<ReviewLine> {
    let mut lines = entry_lines(review);
    let chosen = |key: &String| match subject {
        Subject::Tools(shown) => shown.contains_key(key),
        Subject::Server => review.inspected,
        Subject::Nothing => false,
    };
    for tool in review.tools.iter().filter(|tool| chosen(&tool.name)) {
        lines.push(ReviewLine::new(Mark::Plain, ""));
        lines.extend(tool_lines(tool));
    }
    for offer in review.offers.iter().filter(|offer| chosen(&offer.key)) {
        lines.push(ReviewLine::new(Mark::Plain, ""));
        lines.extend(offer_lines(offer));
    }
    if *subject == Subject::Server {
        let text = if review.inspected {
            "  Exactly these tools are approved with it. It was started in isolation and without secrets to list them."
        } else {
            "  The tools that it lists at its first start are approved with it; changes need approval again."
        };
        lines.push(ReviewLine::new(Mark::Plain, text));
    }
    lines
}

/// Returns everything about a server: its entry, and all tools, prompts and templates.
pub fn whole_review(review: &Review) -> Vec<ReviewLine> {
    let mut lines = entry_lines(review);
    for part in review.tools.iter().map(tool_lines).chain(review.offers.iter().map(offer_lines)) {
        lines.push(ReviewLine::new(Mark::Plain, ""));
        lines.extend(part);
    }
    if review.tools.is_empty() {
        lines.push(ReviewLine::new(Mark::Plain, "  No tools."));
    }
    lines
}

/// Returns the changes since an earlier window, under a heading.
pub fn news_lines(changes: &[ReviewChange]) -> Vec<ReviewLine> {
    let mut lines = vec![ReviewLine::new(Mark::Heading, "Changes since it was shown:")];
    if changes.is_empty() {
        lines.push(ReviewLine::new(Mark::Warning, "  The earlier version is not known any more."));
    }
    lines.extend(change_lines(changes));
    lines.push(ReviewLine::new(Mark::Plain, ""));
    lines
}

/// Returns the changes since the review was shown.
pub fn change_lines(changes: &[ReviewChange]) -> Vec<ReviewLine> {
    let mut lines = Vec::new();
    for ReviewChange { field, before, after } in changes {
        if before.is_none() && after.is_none() {
            lines.push(ReviewLine::new(Mark::Warning, &format!("  {field} has changed")));
        }
        if let Some(before) = before {
            lines.push(ReviewLine::new(Mark::Removed, &format!("- {field}: {before}")));
        }
        if let Some(after) = after {
            lines.push(ReviewLine::new(Mark::Added, &format!("+ {field}: {after}")));
        }
        if before.is_some() && before == after {
            lines.push(ReviewLine::new(Mark::Warning, &format!("  a masked value in {field} has changed")));
        }
    }
    lines
}

/// Describes the entry: what runs, what leaves this computer, and how it is isolated.
pub fn entry_lines(review: &Review) -> Vec<ReviewLine> {
    let state = if review.needs_approval { " (needs approval)" } else { "" };
    let mut lines = vec![ReviewLine::new(Mark::Heading, &format!("{}{state}", review.name))];
    let mut line = |mark: Mark, label: &str, text: &str| {
        lines.push(ReviewLine::new(mark, &format!("  {label:<14} {text}")));
    };
    if let Some(command) = &review.command {
        let words: Vec<String> = std::iter::once(command).chain(&review.args).map(|word| quoted(word)).collect();
        line(Mark::Plain, "Command", &words.join(" "));
    }
    if let Some(directory) = &review.working_dir {
        line(Mark::Plain, "Directory", directory);
    }
    if let Some(url) = &review.url {
        line(Mark::Plain, "URL", url);
    }
    let pair = |value: &ReviewValue| format!("{}={}", value.name, value.value);
    review.env.iter().for_each(|value| line(Mark::Plain, "Environment", &pair(value)));
    review.headers.iter().for_each(|value| line(Mark::Plain, "Header", &pair(value)));
    if let Some(isolation) = &review.isolation {
        let unprotected = matches!(isolation.effective, IsolationOutcome::None | IsolationOutcome::Refused);
        let mark = if unprotected { Mark::Warning } else { Mark::Plain };
        line(mark, "Isolation", &isolation.summary);
        isolation.note.iter().for_each(|note| line(mark, "", note));
        if isolation.effective != IsolationOutcome::Remote {
            line(Mark::Plain, "Network", isolation.network.word());
        }
    }
    key_lines(review).iter().for_each(|(label, text)| line(Mark::Plain, label, text));
    variables(&review.variables).iter().for_each(|text| line(Mark::Plain, "Receives", text));
    if let Some(origin) = &review.added_by {
        let when = review.created.as_ref().map(|when| format!(", {when}")).unwrap_or_default();
        line(Mark::Plain, "Added by", &format!("{origin}{when}"));
    }
    review.changed_by.iter().for_each(|origin| line(Mark::Plain, "Changed by", origin));
    for warning in &review.warnings {
        let mark = if warning.confirm { Mark::Danger } else { Mark::Warning };
        line(mark, "WARNING", &format!("{}: {} `{}`", warning.field, warning.reason, warning.quote));
    }
    if !review.changes.is_empty() {
        lines.push(ReviewLine::new(Mark::Plain, "  Changes since the last approval:"));
        lines.extend(change_lines(&review.changes));
    }
    lines
}

/// Describes the environment variables from outside of the entry, by origin.
fn variables(all: &[VariableFact]) -> Vec<String> {
    let sources = [
        (VariableSource::Inherited, "named in its entry"),
        (VariableSource::Settings, "named in your settings"),
        (VariableSource::AllowList, "like every server"),
    ];
    let names = |source: &VariableSource| {
        let names = all.iter().filter(|fact| fact.source == *source).map(|fact| fact.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let other = all.iter().filter_map(|fact| match &fact.source {
        VariableSource::Unknown(source) => Some(format!("{} ({source})", fact.name)),
        _ => None,
    });
    let listed = sources.iter().map(|(source, why)| (names(source), why)).filter(|(names, _)| !names.is_empty());
    listed.map(|(names, why)| format!("{names} (from your environment, {why})")).chain(other).collect()
}

/// Describes a tool: its complete definition, and the differences from the approved one.
pub fn tool_lines(tool: &ReviewTool) -> Vec<ReviewLine> {
    let state = match (tool.disabled, &tool.approved_by) {
        (true, _) => "off".to_owned(),
        (false, Some(who)) => format!("{} by {}", tool.approval, one_line(who.word())),
        (false, None) => tool.approval.to_string(),
    };
    let state = match tool.changes.as_slice() {
        [] => state,
        changes if state == "changed" => format!("changed: {}", changes.join(", ")),
        changes => format!("{state}, changed: {}", changes.join(", ")),
    };
    let mut lines = vec![ReviewLine::new(
        Mark::Heading,
        &format!("{} ({state})", one_line(&tool.name)),
    )];
    lines.extend(finding_lines(&tool.findings));
    let described = || json!({"description": tool.previous_description});
    let before = tool.previous.clone().or_else(|| tool.previous_description.as_ref().map(|_| described()));
    // If only the description of the approved version is known, the other parts are shown without differences.
    let whole = tool.previous.is_some();
    lines.extend(definition_lines(before.as_ref(), &tool.definition, whole));
    lines
}

/// Describes a prompt or a resource template.
pub fn offer_lines(offer: &ReviewOffer) -> Vec<ReviewLine> {
    let mut lines = vec![ReviewLine::new(
        Mark::Heading,
        &format!("{} ({})", one_line(&offer.key), offer.approval),
    )];
    lines.extend(finding_lines(&offer.findings));
    lines.extend(definition_lines(None, &offer.definition, false));
    lines
}

fn finding_lines(findings: &[Finding]) -> Vec<ReviewLine> {
    let line = |finding: &Finding| {
        let (mark, word) = match finding.severity {
            Severity::Danger => (Mark::Danger, "DANGER"),
            Severity::Warning => (Mark::Warning, "warning"),
            Severity::Info => (Mark::Plain, "note"),
        };
        let Finding {
            rule,
            location,
            quote,
            reason,
            ..
        } = finding;
        ReviewLine::new(mark, &format!("  {word:<12} {reason} {location}: “{quote}” ({rule})"))
    };
    findings.iter().map(line).collect()
}

/// Returns text from a server behind a bar, which the server cannot write itself.
fn definition_lines(before: Option<&Value>, after: &Value, whole: bool) -> Vec<ReviewLine> {
    let (description, rest) = parts(after);
    let Some(before) = before else {
        let all = description.iter().chain(&rest);
        return all.map(|line| ReviewLine::new(Mark::Plain, &format!("  | {line}"))).collect();
    };
    let (old_description, old_rest) = parts(before);
    let mut lines = marked(&old_description, &description);
    if whole {
        lines.extend(marked(&old_rest, &rest));
    } else {
        lines.extend(rest.iter().map(|line| ReviewLine::new(Mark::Plain, &format!("  | {line}"))));
    }
    lines
}

fn marked(before: &[String], after: &[String]) -> Vec<ReviewLine> {
    let texts = |lines: &[String]| lines.iter().map(|line| one_line(line)).collect::<Vec<_>>();
    let (before, after) = (texts(before), texts(after));
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    let line = |line: line_difference::Line<'_>| match line {
        line_difference::Line::Same(text) => ReviewLine::new(Mark::Plain, &format!("  | {text}")),
        line_difference::Line::Removed(text) => ReviewLine::new(Mark::Removed, &format!("- | {text}")),
        line_difference::Line::Added(text) => ReviewLine::new(Mark::Added, &format!("+ | {text}")),
    };
    difference(&before, &after).into_iter().map(line).collect()
}

/// Returns the lines of a definition's description, and those of all other parts except the name.
fn parts(definition: &Value) -> (Vec<String>, Vec<String>) {
    let empty = Map::new();
    let fields = definition.as_object().unwrap_or(&empty);
    let mut description = Vec::new();
    let mut rest = Vec::new();
    let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
    for (key, value) in sorted {
        match (key.as_str(), value) {
            ("name", _) => {}
            ("description", Value::String(text)) => {
                description.extend(text.split('\n').map(|line| line.trim_end_matches('\r').to_owned()));
            }
            _ => {
                let short = value.to_string();
                if short.chars().count() <= SHORT {
                    rest.push(format!("{key}: {short}"));
                } else {
                    rest.push(format!("{key}:"));
                    let long = serde_json::to_string_pretty(value).unwrap_or(short);
                    rest.extend(long.lines().map(|line| format!("  {line}")));
                }
            }
        }
    }
    (description, rest)
}

/// Quotes a word of a command for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@=,+~%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        Value::from(word).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::isolation::IsolationFacts;
    use crate::contract::review::ReviewWarning;
    use crate::contract::words::{IsolationMode, NetworkAccess};

    fn review() -> Review {
        let tool = |name: &str, approval: &str| ReviewTool {
            name: name.to_owned(),
            fingerprint: format!("f-{name}"),
            approval: approval.into(),
            definition: json!({"name": name, "description": "line 1\nline 2 \u{202e}", "inputSchema": {"type": "object"}}),
            ..ReviewTool::default()
        };
        Review {
            name: "fs".to_owned(),
            command: Some("npx".to_owned()),
            args: vec!["-y".to_owned(), "a b".to_owned(), "x".repeat(500)],
            env: vec![ReviewValue {
                name: "TOKEN".to_owned(),
                value: "${env:T}".to_owned(),
                references: Vec::new(),
            }],
            tools: vec![tool("a", "approved"), tool("b", "pending"), tool("c", "changed")],
            ..Review::default()
        }
    }

    fn text(lines: &[ReviewLine]) -> String {
        lines.iter().map(|line| line.text.clone() + "\n").collect()
    }

    fn finding(severity: Severity) -> Finding {
        Finding {
            rule: "hidden-text".to_owned(),
            severity,
            location: "description".to_owned(),
            quote: "do not tell".to_owned(),
            reason: "It hides something.".to_owned(),
        }
    }

    #[test]
    fn what_is_approved_is_what_was_shown() {
        let new = Review {
            needs_approval: true,
            ..review()
        };
        assert_eq!(subject(&new), Subject::Server);
        let Subject::Tools(all) = subject(&review()) else { panic!() };
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [("b".into(), "f-b".into()), ("c".into(), "f-c".into())]);
        let Subject::Tools(one) = named_tools(&new, &["c".to_owned()]).unwrap() else { panic!() };
        assert_eq!(one.len(), 1);
        assert_eq!(named_tools(&new, &["nope".to_owned()]), Err("nope".to_owned()));
        let done = Review {
            tools: Vec::new(),
            ..review()
        };
        assert_eq!((subject(&done), approval(&done, &Subject::Nothing)), (Subject::Nothing, None));
    }

    #[test]
    fn everything_is_shown_in_full() {
        let mut review = review();
        review.isolation = Some(IsolationFacts {
            configured: IsolationMode::Auto,
            effective: IsolationOutcome::None,
            note: Some("no sandbox here".to_owned()),
            network: NetworkAccess::On,
            summary: "Runs without isolation.".to_owned(),
        });
        let fact = |name: &str, source: &str| VariableFact {
            name: name.to_owned(),
            source: source.into(),
            references: Vec::new(),
            changes_code: false,
        };
        review.other = Map::from_iter([("trust_mode".to_owned(), json!("manual"))]);
        review.variables = vec![
            fact("HOME", "allow_list"),
            fact("PATH", "allow_list"),
            fact("KEY", "inherited"),
            fact("TOKEN", "entry"),
        ];
        let lines = review_lines(&review, &subject(&review));
        let shown = text(&lines);
        for part in [
            format!("npx -y \"a b\" {}", "x".repeat(500)).as_str(),
            "TOKEN=${env:T}",
            "  Isolation      Runs without isolation.\n",
            "no sandbox here",
            "  trust_mode     manual\n",
            "HOME, PATH (from your environment, like every server)",
            "KEY (from your environment, named in its entry)",
            "b (pending)\n  | line 1\n  | line 2 \\u{202e}\n  | inputSchema: {\"type\":\"object\"}\n",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("a (approved)"), "{shown}");
        assert!(!lines.iter().any(|line| line.text.chars().any(crate::contract::visible_text::is_hidden)));
        assert_eq!(lines.iter().filter(|line| line.mark == Mark::Warning).count(), 2, "{shown}");
    }

    #[test]
    fn a_server_cannot_write_lines_of_ours() {
        let mut tool = review().tools.remove(1);
        tool.definition = json!({"name": "b", "description": "Harmless\nc (approved)\n- | gone\r\n  Command  ls"});
        let lines = tool_lines(&tool);
        assert!(lines.iter().skip(1).all(|line| line.text.starts_with("  | ")), "{lines:?}");
    }

    #[test]
    fn a_changed_tool_is_shown_with_its_differences() {
        let schema =
            json!({"type": "object", "properties": {"path": {"type": "string", "description": "x".repeat(240)}}});
        let mut tool = review().tools.remove(2);
        tool.previous = Some(json!({"name": "c", "description": "one\ntwo", "inputSchema": schema, "title": "C"}));
        let mut schema = schema;
        schema["properties"]["sidenote"] = json!({"type": "string"});
        tool.definition = json!({"name": "c", "description": "one\nthree", "inputSchema": schema, "title": "C"});
        tool.changes = vec!["description".to_owned(), "inputSchema".to_owned()];
        let lines = tool_lines(&tool);
        assert_eq!(lines[0].text, "c (changed: description, inputSchema)");
        let marked = |wanted: Mark| text(&lines.iter().filter(|line| line.mark == wanted).cloned().collect::<Vec<_>>());
        assert_eq!(marked(Mark::Removed), "- | two\n");
        let added = marked(Mark::Added);
        assert!(added.starts_with("+ | three\n") && added.contains("sidenote"), "{added}");
        tool.previous = None;
        tool.previous_description = Some("one\ntwo".to_owned());
        let shown = text(&tool_lines(&tool));
        assert!(shown.contains("- | two\n+ | three\n") && shown.contains("  |       \"sidenote\""), "{shown}");
    }

    #[test]
    fn each_danger_is_confirmed_by_itself() {
        let mut review = Review {
            needs_approval: true,
            fingerprint: "f".to_owned(),
            ..review()
        };
        let warning = |confirm| ReviewWarning {
            rule: "reference_to_secret".to_owned(),
            field: "env.TOKEN".to_owned(),
            quote: "${env:T}".to_owned(),
            reason: "the server receives this secret".to_owned(),
            confirm,
        };
        review.warnings = vec![warning(true), warning(true), warning(false)];
        let (path, body) = approval(&review, &Subject::Server).unwrap();
        assert_eq!(path, "approve");
        assert_eq!(body, json!({"fingerprint": "f", "confirmed": ["reference_to_secret:env.TOKEN"]}));
        review.needs_approval = false;
        review.tools[1].findings = vec![finding(Severity::Danger), finding(Severity::Info)];
        assert_eq!(confirmations(&review, &subject(&review)), []);
        let lines = tool_lines(&review.tools[1]);
        assert_eq!((lines[1].mark, lines[2].mark), (Mark::Danger, Mark::Plain));
    }

    #[test]
    fn inspected_tools_are_shown_and_approved_with_their_server() {
        let mut review = Review {
            needs_approval: true,
            inspected: true,
            fingerprint: "f".to_owned(),
            ..review()
        };
        review.tools[0].findings = vec![finding(Severity::Danger)];
        let (_, body) = approval(&review, &Subject::Server).unwrap();
        assert_eq!(body["tools"], json!({"a": "f-a", "b": "f-b", "c": "f-c"}));
        assert_eq!(body["confirmed"], json!(["hidden-text:tools.a"]));
        assert!(text(&review_lines(&review, &Subject::Server)).contains("a (approved)"));
    }

    #[test]
    fn a_conflict_shows_both_versions() {
        let change = |before: Option<Value>, after: Option<Value>| ReviewChange {
            field: "env".to_owned(),
            before,
            after,
        };
        let masked = json!({"TOKEN": "••••"});
        let lines = change_lines(&[
            change(Some(json!("ls")), Some(json!("rm\u{1b}"))),
            change(None, None),
            change(Some(masked.clone()), Some(masked)),
        ]);
        let expected = "- env: \"ls\"\n+ env: \"rm\\u001b\"\n  env has changed\n- env: {\"TOKEN\":\"••••\"}\n+ env: {\"TOKEN\":\"••••\"}\n  a masked value in env has changed\n";
        assert_eq!(text(&lines), expected);
    }
}

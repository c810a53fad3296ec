//! Builds the review of a server entry: what it runs and sends, what the user should check, and the fingerprint that an
//! approval must contain.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::config::ServerConfig;
use crate::config::code_variables::changes_code;
use crate::config::document::MASK;
use crate::config::isolation::{IsolationKeys, Mode};
use crate::contract::exact_numbers::released;
use crate::contract::review::{Review, ReviewChange, ReviewTool, ReviewValue, ReviewWarning};
use crate::contract::words::ApprovalStatus;
use crate::upstream::approvals::PendingTool;
use crate::upstream::health::{Approval, ToolApproval};
use crate::upstream::isolation::browsers::starts_browser;
use crate::upstream::snapshot::Snapshot;
use crate::upstream::transport::error_text::shown;

/// Keys of an entry that affect neither what runs nor what is sent.
const BOOKKEEPING: [&str; 9] = [
    "quarantined",
    "enabled",
    "enabled_tools",
    "disabled_tools",
    "created",
    "updated",
    "added_by",
    "changed_by",
    "approved_at",
];
/// Keys for which the review has fields of their own.
const SHOWN: [&str; 7] = ["name", "command", "args", "working_dir", "url", "env", "headers"];
/// Global settings that decide how each server runs.
const GLOBAL: [&str; 2] = ["docker_isolation", "environment"];

/// The origins of changes that the user made.
const PERSONS: [&str; 3] = ["command line", "tray", "web UI"];

/// Whether the user made a change with this origin.
pub(super) fn is_person(origin: &str) -> bool {
    PERSONS.contains(&origin)
}

/// Whether two entries run and send the same.
pub(super) fn decide_the_same(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let alone = |entry: &Map<String, Value>| ReviewedEntry::new(entry, |_| None);
    alone(one).fingerprint() == alone(other).fingerprint()
}

/// Everything that decides how a server runs: its entry, and the global settings for servers.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewedEntry {
    entry: Map<String, Value>,
    global: Map<String, Value>,
}

impl ReviewedEntry {
    /// `document` returns a top-level key of the configuration.
    pub fn new(entry: &Map<String, Value>, document: impl Fn(&str) -> Option<Value>) -> ReviewedEntry {
        let global = GLOBAL.iter().filter_map(|key| Some(((*key).to_owned(), released(&document(key)?))));
        ReviewedEntry {
            entry: released(entry),
            global: global.collect(),
        }
    }

    /// Returns the SHA-256 of everything that decides what runs and what leaves the machine, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let entry: Map<String, Value> = self.decisive().map(|(key, value)| (key.clone(), value.clone())).collect();
        digest(&json!([entry, self.global]))
    }

    fn decisive(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.entry.iter().filter(|(key, _)| !BOOKKEEPING.contains(&key.as_str()))
    }

    fn is_set(&self, key: &str) -> bool {
        self.entry.get(key) == Some(&Value::Bool(true))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.entry.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    /// Returns the review of this entry. It includes the server's tools if the server is running.
    pub fn review(&self, snapshot: Option<&Snapshot>) -> Review {
        let args = self.entry.get("args").and_then(Value::as_array).into_iter().flatten();
        let args: Vec<String> = args.map(|arg| arg.as_str().map_or_else(|| arg.to_string(), str::to_owned)).collect();
        let (env, headers) = (values(self.entry.get("env")), values(self.entry.get("headers")));
        let other = self.decisive().filter(|(key, _)| !SHOWN.contains(&key.as_str()));
        let tools = snapshot.map(|snapshot| snapshot.tool_approvals().into_iter().map(tool).collect());
        Review {
            name: self.text("name").unwrap_or_default(),
            fingerprint: self.fingerprint(),
            needs_approval: self.is_set("quarantined"),
            enabled: self.entry.get("enabled") != Some(&Value::Bool(false)),
            connected: snapshot.is_some_and(Snapshot::is_connected),
            command: self.text("command"),
            working_dir: self.text("working_dir"),
            url: self.text("url").as_deref().map(shown),
            warnings: self.warnings(&args, &env, &headers),
            args,
            env,
            headers,
            other: other.map(|(key, value)| (key.clone(), masked(key, value))).collect(),
            added_by: self.text("added_by"),
            created: self.text("created"),
            changed_by: self.text("changed_by"),
            tools: tools.unwrap_or_default(),
            ..Review::default()
        }
    }

    /// The warnings about references, inherited variables and variables that change code. The user must confirm each of them if
    /// someone else may have written the entry.
    fn warnings(&self, args: &[String], env: &[ReviewValue], headers: &[ReviewValue]) -> Vec<ReviewWarning> {
        let oauth = values(self.entry.get("oauth"));
        let inherited = self.entry.get("inherit_env").and_then(Value::as_array).into_iter().flatten();
        let inherited: Vec<&str> = inherited.filter_map(Value::as_str).collect();
        let mut found = warnings(
            args,
            &[("env", env), ("headers", headers), ("oauth", oauth.as_slice())],
            &inherited,
            !self.is_by_a_person(),
        );
        found.extend(self.browser_warning());
        found
    }

    /// Says that a browser needs what isolation closes. Such a server is isolated anyway, unless the user decides otherwise.
    fn browser_warning(&self) -> Option<ReviewWarning> {
        let config: ServerConfig = serde_json::from_value(Value::Object(self.entry.clone())).ok()?;
        let of_all = self.global.get("docker_isolation").cloned().unwrap_or_default();
        let of_all: IsolationKeys = serde_json::from_value(of_all).unwrap_or_default();
        let is_isolated = config.isolation_keys.within(&of_all).mode != Mode::None;
        let browser = starts_browser(&config).filter(|_| is_isolated)?;
        let reason =
            "it starts a browser, which does not work in isolation; if you trust it, set `isolation` to `none`";
        Some(ReviewWarning {
            rule: "browser_in_isolation".to_owned(),
            field: "args".to_owned(),
            quote: browser.to_owned(),
            reason: reason.to_owned(),
            confirm: false,
        })
    }

    /// Whether the user wrote every part of the entry, according to its origins. An entry from a file may have any
    /// author.
    fn is_by_a_person(&self) -> bool {
        let is_persons = |key| self.text(key).as_deref().map(is_person);
        is_persons("added_by") == Some(true) && is_persons("changed_by") != Some(false)
    }

    /// Returns the stored form of an approved entry, to show differences later: each key with its masked value and a
    /// digest.
    pub fn version(&self) -> Map<String, Value> {
        let all = self.decisive().chain(&self.global);
        all.map(|(key, value)| (key.clone(), json!({"shown": masked(key, value), "digest": digest(value)}))).collect()
    }

    /// Returns the differences from an earlier [`ReviewedEntry::version`], with secrets masked.
    pub fn changes_since(&self, before: &Map<String, Value>) -> Vec<ReviewChange> {
        let after = self.version();
        let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let part = |version: &Map<String, Value>, key: &str, part: &str| version.get(key)?.get(part).cloned();
        let changed = keys.into_iter().filter(|key| part(before, key, "digest") != part(&after, key, "digest"));
        changed
            .map(|key| ReviewChange {
                field: key.clone(),
                before: part(before, key, "shown"),
                after: part(&after, key, "shown"),
            })
            .collect()
    }
}

fn digest(value: &Value) -> String {
    let text = sorted(value).to_string();
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tool without an approved version.
pub fn new_tool(pending: &PendingTool) -> ReviewTool {
    ReviewTool {
        name: pending.tool.name.to_string(),
        fingerprint: pending.fingerprint.hash(&pending.tool.name),
        approval: ApprovalStatus::Pending,
        definition: serde_json::to_value(&pending.tool).unwrap_or_default(),
        ..ReviewTool::default()
    }
}

/// Returns the enabled tools of a server that need approval.
pub fn pending_tools(server: &Snapshot) -> Vec<ReviewTool> {
    let pending =
        server.tool_approvals().into_iter().filter(|tool| !tool.disabled && tool.approval != Approval::Approved);
    pending.map(tool).collect()
}

fn tool(shown: ToolApproval<'_>) -> ReviewTool {
    let changes = shown.before.map(|before| shown.fingerprint.differences(before)).unwrap_or_default();
    ReviewTool {
        name: shown.tool.name.to_string(),
        fingerprint: shown.fingerprint.hash(&shown.tool.name),
        approval: shown.approval.into(),
        disabled: shown.disabled,
        definition: serde_json::to_value(shown.tool).unwrap_or_default(),
        previous_description: shown.before.map(|before| before.description.clone()),
        changes: changes.into_iter().map(str::to_owned).collect(),
        ..ReviewTool::default()
    }
}

fn values(map: Option<&Value>) -> Vec<ReviewValue> {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (value, references) = references_in_clear(&text);
        ReviewValue {
            name: name.clone(),
            value,
            references,
        }
    })
    .collect()
}

/// Masks a text except for its references; also returns the references.
fn references_in_clear(text: &str) -> (String, Vec<String>) {
    let (mut written, mut references, mut rest) = (String::new(), Vec::new(), text);
    let literal = |text: &str, written: &mut String| {
        if matches!(text.trim(), "" | "Bearer" | "Basic" | "token") {
            written.push_str(text);
        } else {
            written.push_str(MASK);
        }
    };
    while let Some(start) = rest.find("${") {
        let Some(end) = rest.get(start..).and_then(|from| from.find('}')) else { break };
        let (before, from) = rest.split_at(start);
        let (reference, after) = from.split_at(end + 1);
        literal(before, &mut written);
        written.push_str(reference);
        references.push(reference.to_owned());
        rest = after;
    }
    literal(rest, &mut written);
    (written, references)
}

/// Masks secrets in the value of an entry's key.
fn masked(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(_) if matches!(key, "env" | "headers") => {
            values(Some(value)).into_iter().map(|value| (value.name, Value::String(value.value))).collect()
        }
        Value::String(url) if key == "url" => Value::String(shown(url)),
        Value::String(text) if is_secret(key) => Value::String(references_in_clear(text).0),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), masked(key, value))).collect(),
        other => other.clone(),
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["key", "secret", "token", "password", "authorization"].iter().any(|word| key.contains(word))
}

fn warnings(args: &[String], sent: &[(&str, &[ReviewValue])], inherited: &[&str], confirm: bool) -> Vec<ReviewWarning> {
    let mut found = Vec::new();
    let mut warn = |rule: &str, field: String, quote: &str, reason: &str| {
        found.push(ReviewWarning {
            rule: rule.to_owned(),
            field,
            quote: quote.to_owned(),
            reason: reason.to_owned(),
            confirm,
        });
    };
    let receives = "the server receives this secret or variable of yours";
    for (kind, values) in sent {
        for value in *values {
            for reference in &value.references {
                warn("reference_to_secret", format!("{kind}.{}", value.name), reference, receives);
            }
        }
    }
    for name in inherited {
        warn("reference_to_secret", format!("inherit_env.{name}"), name, receives);
    }
    let env = sent.iter().filter(|(kind, _)| *kind == "env").flat_map(|(_, values)| *values);
    for value in env {
        if changes_code(&value.name) {
            let reason = "this variable changes which code the server runs";
            warn("code_changing_variable", format!("env.{}", value.name), &value.name, reason);
        }
    }
    for arg in args {
        for reference in references_in_clear(arg).1 {
            let reason =
                "the value of a reference in `args` is visible to every user of this computer; use `env` instead";
            warn("reference_in_arguments", "args".to_owned(), &reference, reason);
        }
    }
    found
}

/// Returns the value with its keys sorted, to make the fingerprint independent of their order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            fields.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: Value) -> ReviewedEntry {
        ReviewedEntry::new(value.as_object().unwrap(), |_| None)
    }

    #[test]
    fn the_fingerprint_covers_every_key_that_decides_what_runs() {
        let before = json!({"name": "a", "command": "npx", "args": ["x"], "env": {"A": "1", "B": "2"}});
        let same = json!({"env": {"B": "2", "A": "1"}, "args": ["x"], "command": "npx", "name": "a", "enabled": false,
            "quarantined": true, "updated": "now"});
        assert_eq!(entry(before.clone()).fingerprint(), entry(same).fingerprint());
        for (key, value) in [
            ("command", json!("bash")),
            ("args", json!(["y"])),
            ("args", json!(["x", "y"])),
            ("env", json!({"A": "1", "B": "3"})),
            ("env", json!({"A": "1", "B": "2", "LD_PRELOAD": "/x"})),
            ("working_dir", json!("/tmp")),
            ("url", json!("https://h.example")),
            ("headers", json!({"A": "${env:B}"})),
            ("isolation", json!({"enabled": false})),
            ("trust_mode", json!("auto")),
            ("a_key_of_tomorrow", json!(1)),
        ] {
            let mut changed = before.clone();
            changed[key] = value;
            let (before, after) = (entry(before.clone()), entry(changed));
            assert_ne!(before.fingerprint(), after.fingerprint(), "{key}");
            let changes: Vec<String> =
                after.changes_since(&before.version()).into_iter().map(|change| change.field).collect();
            assert_eq!(changes, [key]);
        }
        let isolated = ReviewedEntry::new(before.as_object().unwrap(), |key| {
            (key == "docker_isolation").then(|| json!({"enabled": true}))
        });
        assert_ne!(isolated.fingerprint(), entry(before).fingerprint(), "the settings for all servers count, too");
    }

    #[test]
    fn references_are_shown_and_values_are_not() {
        let review = entry(json!({"name": "a", "url": "https://h.example",
            "headers": {"Authorization": "Bearer ${env:AWS_SECRET_ACCESS_KEY}", "X-Key": "hunter2"},
            "env": {"TOKEN": "sk-${keyring:K}-x", "NODE_OPTIONS": "--require /tmp/x"}, "args": ["--key", "${env:K}"]}))
        .review(None);
        let text = serde_json::to_string(&review).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("sk-") && !text.contains("/tmp/x"), "{text}");
        assert_eq!(review.headers[0].value, "Bearer ${env:AWS_SECRET_ACCESS_KEY}");
        assert_eq!(review.env[0].value, "••••${keyring:K}••••");
        let rules: Vec<(&str, &str)> =
            review.warnings.iter().map(|warning| (warning.rule.as_str(), warning.field.as_str())).collect();
        assert_eq!(
            rules,
            [
                ("reference_to_secret", "env.TOKEN"),
                ("reference_to_secret", "headers.Authorization"),
                ("code_changing_variable", "env.NODE_OPTIONS"),
                ("reference_in_arguments", "args"),
            ]
        );
        assert_eq!(review.args, ["--key", "${env:K}"], "arguments are shown in full");
    }

    #[test]
    fn every_way_to_receive_a_secret_is_warned_about() {
        let review = entry(json!({"name": "a", "url": "https://h.example", "inherit_env": ["AWS_SECRET_ACCESS_KEY"],
            "oauth": {"client_id": "c", "client_secret": "${env:TOKEN}"}}))
        .review(None);
        let warned: Vec<(&str, &str, bool)> = review
            .warnings
            .iter()
            .map(|warning| (warning.field.as_str(), warning.quote.as_str(), warning.confirm))
            .collect();
        assert_eq!(
            warned,
            [
                ("oauth.client_secret", "${env:TOKEN}", true),
                ("inherit_env.AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", true),
            ]
        );
    }

    #[test]
    fn what_a_person_did_not_write_is_confirmed_by_itself() {
        for (added_by, changed_by, confirm) in [
            (json!("command line"), Value::Null, false),
            (json!("web UI"), Value::Null, false),
            (json!("command line"), json!("web UI"), false),
            (json!("command line"), json!("model in c"), true),
            (json!("command line"), json!("model in c, then web UI"), true),
            (json!("model in command line"), Value::Null, true),
            (json!("REST"), Value::Null, true),
            (Value::Null, Value::Null, true),
        ] {
            let review = entry(json!({"name": "a", "command": "x", "env": {"K": "${env:K}"}, "added_by": added_by,
                "changed_by": changed_by}))
            .review(None);
            assert_eq!(review.warnings[0].confirm, confirm, "{added_by} {changed_by}");
        }
    }

    #[test]
    fn the_kept_version_holds_no_secret_and_shows_every_change() {
        let before = entry(json!({"name": "a", "command": "x", "env": {"K": "hunter2"}})).version();
        assert!(!serde_json::to_string(&before).unwrap().contains("hunter2"));
        let now = entry(json!({"name": "a", "command": "x", "env": {"K": "hunter3"}, "enabled": false}));
        let changes = now.changes_since(&before);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].field.as_str(), &changes[0].before), ("env", &changes[0].after));
    }
}

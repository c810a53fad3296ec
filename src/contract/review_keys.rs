//! The keys of a server's entry for which the review has no field, as labelled values. A key is left out only if another
//! line of the review says the same.

use serde_json::Value;

use crate::contract::review::Review;
use crate::contract::words::{IsolationMode, IsolationOutcome, ServerProtocol};

/// A label and a value.
type Line = (String, String);

/// Returns the labels and values of these keys. No label that begins with a capital comes from the entry, because the
/// entry could otherwise imitate the facts in other lines.
pub fn key_lines(review: &Review) -> Vec<Line> {
    let lines = review.other.iter().map(|(key, value)| match (key.as_str(), value) {
        ("protocol", Value::String(word)) => protocol(review, word),
        ("isolation", Value::String(_)) => isolation(review, "mode", value),
        ("isolation", Value::Object(keys)) if !keys.is_empty() => {
            keys.iter().flat_map(|(key, value)| isolation(review, key, value)).collect()
        }
        (_, Value::Object(keys)) if !keys.is_empty() => {
            keys.iter().map(|(name, value)| plain(&format!("{key}.{name}"), value)).collect()
        }
        _ => vec![plain(key, value)],
    });
    lines.flatten().collect()
}

/// Leaves out the protocol that the entry's command or URL implies.
fn protocol(review: &Review, word: &str) -> Vec<Line> {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let is_implied = match (is_set(&review.command), is_set(&review.url)) {
        (true, false) => matches!(word, "stdio" | "auto"),
        (false, true) => matches!(word, "http" | "streamable-http" | "auto"),
        _ => false,
    };
    if is_implied {
        Vec::new()
    } else if ServerProtocol::WORDS.contains(&word) {
        vec![("Protocol".to_owned(), word.to_owned())]
    } else {
        vec![plain("protocol", &Value::from(word))]
    }
}

/// Describes a key of `isolation`, unless the review's lines about isolation and network say the same.
fn isolation(review: &Review, key: &str, value: &Value) -> Vec<Line> {
    let facts = review.isolation.as_ref();
    let outcome = facts.map(|facts| &facts.effective);
    let has_network_line = outcome.is_some_and(|outcome| *outcome != IsolationOutcome::Remote);
    // Without isolation, a server reads and writes more than these paths.
    let is_limited = matches!(outcome, Some(IsolationOutcome::Sandbox | IsolationOutcome::Docker));
    match (key, value) {
        ("mode", Value::String(mode)) if outcome.is_some_and(|outcome| outcome.word() == mode) => Vec::new(),
        ("mode", Value::String(mode)) if IsolationMode::WORDS.contains(&mode.as_str()) => {
            vec![("Isolation mode".to_owned(), mode.clone())]
        }
        ("network", Value::String(word))
            if has_network_line && facts.is_some_and(|facts| facts.network.word() == word) =>
        {
            Vec::new()
        }
        ("read", Value::Array(paths)) if is_limited => granted("read", "May read", paths),
        ("write", Value::Array(paths)) if is_limited => granted("write", "May write", paths),
        _ => vec![plain(&format!("isolation.{key}"), value)],
    }
}

fn granted(key: &str, label: &str, paths: &[Value]) -> Vec<Line> {
    if paths.is_empty() {
        return vec![plain(&format!("isolation.{key}"), &Value::Array(Vec::new()))];
    }
    let path = |path: &Value| path.as_str().map_or_else(|| path.to_string(), str::to_owned);
    paths.iter().map(|one| (label.to_owned(), path(one))).collect()
}

/// Shows a key under its own name. A name that could imitate a label is shown in quotes instead.
fn plain(key: &str, value: &Value) -> Line {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
    match value {
        _ if key.is_empty() || !key.chars().all(is_plain) => {
            ("Other key".to_owned(), format!("{}: {value}", Value::from(key)))
        }
        Value::String(text) if !text.is_empty() => (key.to_owned(), text.clone()),
        _ => (key.to_owned(), value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::isolation::IsolationFacts;

    fn lines(command: Option<&str>, url: Option<&str>, effective: &str, other: Value) -> Vec<Line> {
        key_lines(&Review {
            command: command.map(str::to_owned),
            url: url.map(str::to_owned),
            isolation: Some(IsolationFacts {
                configured: "auto".into(),
                effective: effective.into(),
                note: None,
                network: "off".into(),
                summary: String::new(),
            }),
            other: other.as_object().unwrap().clone(),
            ..Review::default()
        })
    }

    fn shown(lines: Vec<Line>) -> Vec<String> {
        lines.into_iter().map(|(label, text)| format!("{label} {text}")).collect()
    }

    #[test]
    fn a_protocol_is_shown_unless_the_entry_implies_it() {
        for (command, url, protocol, expected) in [
            (Some("npx"), None, "stdio", None),
            (None, Some("https://h/"), "streamable-http", None),
            (None, Some("https://h/"), "auto", None),
            (None, Some("https://h/"), "sse", Some("Protocol sse")),
            (Some("npx"), None, "http", Some("Protocol http")),
            (Some("npx"), Some("https://h/"), "stdio", Some("Protocol stdio")),
            (Some(""), Some("https://h/"), "stdio", Some("Protocol stdio")),
            (Some("npx"), None, "pigeon", Some("protocol pigeon")),
        ] {
            let found = shown(lines(command, url, "none", json!({"protocol": protocol})));
            assert_eq!(found.first().map(String::as_str), expected, "{command:?} {url:?} {protocol}");
        }
    }

    #[test]
    fn isolation_is_shown_in_words_where_they_are_true() {
        let keys = json!({"isolation": {"mode": "auto", "network": "off", "read": ["/a", "/b"], "write": ["/c"],
            "memory_limit": "1g", "pids_limit": 9, "extra_args": ["-v", "/:/h"]}});
        let more = [
            "isolation.memory_limit 1g",
            "isolation.pids_limit 9",
            "isolation.extra_args [\"-v\",\"/:/h\"]",
        ];
        let limited = ["Isolation mode auto", "May read /a", "May read /b", "May write /c"];
        assert_eq!(shown(lines(Some("npx"), None, "sandbox", keys.clone())), [&limited[..], &more[..]].concat());
        let unlimited = [
            "Isolation mode auto",
            "isolation.read [\"/a\",\"/b\"]",
            "isolation.write [\"/c\"]",
        ];
        assert_eq!(shown(lines(Some("npx"), None, "none", keys)), [&unlimited[..], &more[..]].concat());
        let one =
            |effective: &str, value: Value| shown(lines(Some("npx"), None, effective, json!({"isolation": value})));
        assert!(one("sandbox", json!("sandbox")).is_empty());
        assert_eq!(one("refused", json!("sandbox")), ["Isolation mode sandbox"]);
        assert_eq!(one("none", json!("vault")), ["isolation.mode vault"]);
        assert_eq!(one("none", json!({"network": "loopback"})), ["isolation.network loopback"]);
        assert_eq!(one("remote", json!({"network": "off"})), ["isolation.network off"]);
        assert_eq!(one("sandbox", json!({"read": []})), ["isolation.read []"]);
        assert_eq!(one("none", json!({})), ["isolation {}"]);
    }

    #[test]
    fn a_key_cannot_imitate_a_label() {
        let other = json!({"Isolation": "sandbox: all is well", "trust_mode": "manual", "empty": "",
            "oauth": {"scopes": ["a"], "Added by": "tray"}});
        let expected = [
            "Other key \"Isolation\": \"sandbox: all is well\"",
            "trust_mode manual",
            "empty \"\"",
            "oauth.scopes [\"a\"]",
            "Other key \"oauth.Added by\": \"tray\"",
        ];
        assert_eq!(shown(lines(Some("npx"), None, "none", other)), expected);
    }
}

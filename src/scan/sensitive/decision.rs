//! What happens when something sensitive is found: nothing, a mark, a replacement or a refusal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::find::find;
use super::value::Sensitive;

/// An action on sensitive data.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not looked for.
    Off,
    /// The call is marked and counted; its data passes unchanged.
    #[default]
    Warn,
    /// It is replaced before the data passes.
    Redact,
    /// The call is refused.
    Block,
}

/// The action for each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Policy {
    /// Action on arguments with something like a secret: `off`, `warn` (mark the call), `redact` or `block`.
    #[schemars(title = "Sensitive data in arguments")]
    pub arguments: Action,
    /// Action on results with something like a secret: `off`, `warn` (mark the call), `redact` or `block`.
    #[schemars(title = "Sensitive data in results")]
    pub results: Action,
}

/// The decision on one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing was found, or nothing was looked for.
    Pass,
    /// Pass it unchanged and mark the call.
    Mark(Vec<Sensitive>),
    /// Pass the text with these places replaced: [`redact_json`] or `redact`.
    Redact(Vec<Sensitive>),
    /// Refuse the call.
    Refuse(Vec<Sensitive>),
}

/// Decides about a text, which may be raw JSON.
pub fn decide(action: Action, text: &str) -> Decision {
    if action == Action::Off {
        return Decision::Pass;
    }
    let found = find(text);
    match action {
        _ if found.is_empty() => Decision::Pass,
        Action::Off => Decision::Pass,
        Action::Warn => Decision::Mark(found),
        Action::Redact => Decision::Redact(found),
        Action::Block => Decision::Refuse(found),
    }
}

/// The text with every sensitive place replaced by `[redacted: RULE]`.
fn redact(text: &str) -> Option<String> {
    let found = find(text);
    if found.is_empty() {
        return None;
    }
    let mut redacted = String::with_capacity(text.len());
    let mut at = 0;
    for one in found {
        redacted.push_str(text.get(at..one.range.start).unwrap_or_default());
        redacted.push_str("[redacted: ");
        redacted.push_str(one.rule);
        redacted.push(']');
        at = one.range.end;
    }
    redacted.push_str(text.get(at..).unwrap_or_default());
    Some(redacted)
}

/// Replaces every sensitive place in a JSON value. A secret that only its key gives away is found too.
pub fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Number(number) => {
            if let Some(redacted) = redact(&number.to_string()) {
                *value = Value::String(redacted);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact_json),
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                if let Value::String(text) = value {
                    let head = format!("{key}=");
                    if let Some(redacted) = redact(&format!("{head}{text}"))
                        && let Some(rest) = redacted.strip_prefix(&head)
                    {
                        *text = rest.to_owned();
                        continue;
                    }
                }
                redact_json(value);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_action_decides_as_its_name_says() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        assert!(matches!(decide(Action::Off, &token), Decision::Pass));
        assert!(matches!(decide(Action::Block, "nothing"), Decision::Pass));
        assert!(matches!(decide(Action::Warn, &token), Decision::Mark(found) if found[0].rule == "github-token"));
        assert!(matches!(decide(Action::Redact, &token), Decision::Redact(_)));
        assert!(matches!(decide(Action::Block, &token), Decision::Refuse(_)));
        assert_eq!(Policy::default(), serde_json::from_str("{}").unwrap());
        let strict: Policy = serde_json::from_str(r#"{"arguments": "block", "results": "redact"}"#).unwrap();
        assert_eq!((strict.arguments, strict.results), (Action::Block, Action::Redact));
    }

    #[test]
    fn redacted_json_stays_json_and_loses_only_the_secrets() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let key = format!("-----BEGIN {0}-----\nMIIE\nAAAA\n-----END {0}-----\n", "PRIVATE KEY");
        let mut value = json!({
            "text": format!("use {token} now"), "card": 4_111_111_111_111_111_u64, "password": "hunter2!",
            "list": [key, 7, true, null, "plain"], "url": "https://ann:s3cret!@h/x"
        });
        redact_json(&mut value);
        assert_eq!(
            value,
            json!({
                "text": "use [redacted: github-token] now", "card": "[redacted: card-number]",
                "password": "[redacted: password]", "list": ["[redacted: private-key]\n", 7, true, null, "plain"],
                "url": "https://ann:[redacted: url-password]@h/x"
            })
        );
    }
}

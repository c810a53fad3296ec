//! Examines arguments and results, and selects the part that is stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::api::{Detection, DetectionPlace, SensitiveSeverity};
use crate::scan::sensitive::{Action, Kind, find, redact_json};

/// Whether arguments and results are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bodies {
    /// Not stored.
    #[default]
    Off,
    /// Stored with everything that looks like a secret replaced.
    Redacted,
    /// Stored unchanged.
    Full,
}

/// The policy for the contents of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyPolicy {
    pub store: Bodies,
    pub arguments: Action,
    pub results: Action,
}

/// The findings in the contents of a call, and the part that is stored.
#[derive(Debug, Default, PartialEq)]
pub struct Examined {
    pub detections: Vec<Detection>,
    pub severity: Option<SensitiveSeverity>,
    pub arguments: Option<Value>,
    pub response: Option<String>,
}

/// Examines the contents of a call.
pub fn examine(policy: BodyPolicy, arguments: &str, response: &str) -> Examined {
    let mut examined = Examined::default();
    if policy.arguments != Action::Off {
        examined.note(&DetectionPlace::Arguments, arguments);
    }
    if policy.results != Action::Off {
        examined.note(&DetectionPlace::Result, response);
    }
    if policy.store == Bodies::Off {
        return examined;
    }
    let is_redacted = policy.store == Bodies::Redacted;
    if !arguments.is_empty() {
        // Truncated text is not valid JSON.
        let mut value = serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(arguments.to_owned()));
        if is_redacted {
            redact_json(&mut value);
        }
        examined.arguments = Some(value);
    }
    if !response.is_empty() {
        let response = text_of_result(response).unwrap_or_else(|| response.to_owned());
        examined.response = Some(if is_redacted { redacted(&response) } else { response });
    }
    examined
}

/// Returns the text of a result in JSON.
fn text_of_result(response: &str) -> Option<String> {
    let value: Value = serde_json::from_str(response).ok().filter(|_| response.starts_with('{'))?;
    let blocks = value.get("content")?.as_array()?;
    let texts: Vec<&str> = blocks.iter().map(|block| block.get("text")?.as_str()).collect::<Option<_>>()?;
    Some(texts.join("\n"))
}

/// Replaces everything in a text that looks like a secret.
pub fn redacted(text: &str) -> String {
    let mut value = Value::String(text.to_owned());
    redact_json(&mut value);
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl Examined {
    fn note(&mut self, place: &DetectionPlace, text: &str) {
        for found in find(text) {
            let known = self.detections.iter_mut().find(|one| one.rule == found.rule && one.place == *place);
            match known {
                Some(known) => known.count += 1,
                None => self.detections.push(Detection {
                    rule: found.rule.to_owned(),
                    place: place.clone(),
                    count: 1,
                }),
            }
            self.severity = self.severity.take().max(Some(severity(found.kind)));
        }
    }

    /// Returns the rules that found something, each once.
    pub fn rules(&self) -> Vec<String> {
        let mut rules: Vec<String> = self.detections.iter().map(|one| one.rule.clone()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

fn severity(kind: Kind) -> SensitiveSeverity {
    match kind {
        Kind::PrivateKey => SensitiveSeverity::Critical,
        Kind::Token | Kind::CardNumber | Kind::UrlPassword | Kind::Secret => SensitiveSeverity::High,
        Kind::CredentialPath => SensitiveSeverity::Medium,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token() -> String {
        format!("ghp_{}", "a1B2".repeat(9))
    }

    #[test]
    fn by_default_findings_are_marked_and_nothing_is_stored() {
        let arguments = json!({"key": token()}).to_string();
        let examined = examine(BodyPolicy::default(), &arguments, &format!("{} and {}", token(), token()));
        assert_eq!((&examined.arguments, &examined.response), (&None, &None));
        let places: Vec<(&str, u32)> = examined.detections.iter().map(|one| (one.place.word(), one.count)).collect();
        assert_eq!(places, [("arguments", 1), ("result", 2)]);
        assert_eq!(
            (examined.rules(), examined.severity),
            (vec!["github-token".to_owned()], Some(SensitiveSeverity::High))
        );
    }

    #[test]
    fn what_is_stored_is_redacted_unless_all_of_it_is_wanted() {
        let arguments = json!({"key": token(), "n": 1}).to_string();
        let mut policy = BodyPolicy {
            store: Bodies::Redacted,
            ..BodyPolicy::default()
        };
        let examined = examine(policy, &arguments, &token());
        let text = format!("{examined:?}");
        assert!(!text.contains(&token()), "{text}");
        assert_eq!(examined.response.as_deref(), Some("[redacted: github-token]"));
        policy.store = Bodies::Full;
        let examined = examine(policy, &arguments, &token());
        assert_eq!(examined.arguments, Some(json!({"key": token(), "n": 1})));
        assert_eq!(examined.response, Some(token()));
        let raw = json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}).to_string();
        assert_eq!(examine(policy, "", &raw).response.as_deref(), Some("a\nb"));
    }

    #[test]
    fn with_the_search_off_nothing_is_marked() {
        let policy = BodyPolicy {
            arguments: Action::Off,
            results: Action::Off,
            ..BodyPolicy::default()
        };
        assert_eq!(examine(policy, &token(), &token()), Examined::default());
    }
}

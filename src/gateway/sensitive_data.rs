//! Redacts or refuses calls with sensitive arguments or results, depending on the settings.

use rmcp::model::JsonObject;
use serde_json::Value;

use crate::activity::BodyPolicy;
use crate::gateway::search_mode::error_results::failed;
use crate::gateway::tool_answer::ToolAnswer;
use crate::scan::sensitive::{Action, Decision, Sensitive, decide, redact_json};

/// Whether a call must be examined before it is sent, which only the library path does.
pub(super) fn acts(policy: BodyPolicy) -> bool {
    let acts = |action| matches!(action, Action::Redact | Action::Block);
    acts(policy.arguments) || acts(policy.results)
}

/// Returns the arguments for the server.
///
/// # Errors
/// Why the call is refused.
pub(super) fn check_arguments(policy: BodyPolicy, server: &str, arguments: JsonObject) -> Result<JsonObject, String> {
    if !matches!(policy.arguments, Action::Redact | Action::Block) {
        return Ok(arguments);
    }
    let text = serde_json::to_string(&arguments).unwrap_or_default();
    match decide(policy.arguments, &text) {
        Decision::Pass | Decision::Mark(_) => Ok(arguments),
        Decision::Redact(_) => {
            let mut value = Value::Object(arguments);
            redact_json(&mut value);
            Ok(match value {
                Value::Object(arguments) => arguments,
                _ => JsonObject::new(),
            })
        }
        Decision::Refuse(found) => Err(format!(
            "MCPProxy refused the call: the arguments for `{server}` hold sensitive data ({}). Remove it, or change \
             `sensitive_data` in the settings.",
            rules(&found)
        )),
    }
}

/// Returns the response for the client.
pub(super) fn check_answer(policy: BodyPolicy, server: &str, answer: ToolAnswer) -> ToolAnswer {
    if !matches!(policy.results, Action::Redact | Action::Block) {
        return answer;
    }
    let Some(mut result) = answer.to_json() else { return answer };
    match decide(policy.results, &result.to_string()) {
        Decision::Pass | Decision::Mark(_) => answer,
        Decision::Redact(_) => {
            redact_json(&mut result);
            ToolAnswer::Raw(result)
        }
        Decision::Refuse(found) => {
            let sentence = format!(
                "MCPProxy withheld the result of `{server}`: it holds sensitive data ({}). The user can change \
                 `sensitive_data` in the settings.",
                rules(&found)
            );
            failed(&sentence).into()
        }
    }
}

fn rules(found: &[Sensitive]) -> String {
    let mut rules: Vec<&str> = found.iter().map(|one| one.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(arguments: Action, results: Action) -> BodyPolicy {
        BodyPolicy {
            arguments,
            results,
            ..BodyPolicy::default()
        }
    }

    fn token() -> String {
        format!("ghp_{}", "a1B2".repeat(9))
    }

    #[test]
    fn arguments_pass_are_redacted_or_refused() {
        let arguments = json!({"token": token(), "n": 1}).as_object().unwrap().clone();
        let check = |action| check_arguments(policy(action, Action::Off), "s", arguments.clone());
        assert_eq!(check(Action::Warn), Ok(arguments.clone()));
        let redacted = Value::Object(check(Action::Redact).unwrap()).to_string();
        assert!(!redacted.contains(&token()) && redacted.contains("\"n\":1"), "{redacted}");
        let refused = check(Action::Block).unwrap_err();
        assert!(refused.contains("github-token") && !refused.contains(&token()), "{refused}");
    }

    #[test]
    fn results_pass_are_redacted_or_withheld() {
        let raw = json!({"content": [{"type": "text", "text": format!("a {}", token())}]});
        let check = |action| {
            check_answer(policy(Action::Off, action), "s", ToolAnswer::Raw(raw.clone())).to_json().unwrap().to_string()
        };
        assert!(check(Action::Warn).contains(&token()));
        assert!(check(Action::Redact).contains("[redacted: github-token]"));
        let withheld = check(Action::Block);
        assert!(withheld.contains("withheld") && !withheld.contains(&token()), "{withheld}");
        assert!(acts(policy(Action::Off, Action::Block)) && !acts(BodyPolicy::default()));
    }
}

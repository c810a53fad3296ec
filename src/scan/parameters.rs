//! Finds parameters whose names ask for what a tool has no business with.

use super::finding::Severity::{self, Danger, Warning};
use super::normal_text::identifier_words;

/// A rule about the names of parameters.
pub(super) struct ParameterRule {
    pub id: &'static str,
    pub severity: Severity,
    pub reason: &'static str,
    /// Names as words, whole.
    pub names: &'static [&'static str],
    /// All words of one of these in any order, anywhere in the name.
    pub words: &'static [&'static [&'static str]],
}

pub(super) const PARAMETER_RULES: &[ParameterRule] = &[
    ParameterRule {
        id: "parameter-asks-for-conversation",
        severity: Danger,
        reason: "This parameter makes the AI client hand over the conversation, its prompt or its list of tools.",
        names: &[
            "conversation history",
            "chat history",
            "full conversation",
            "entire conversation",
            "conversation context",
            "chain of thought",
            "tool call history",
            "tool calls history",
            "tools list",
            "list of tools",
            "available tools list",
            "previous messages",
            "previous tool calls",
            "user messages history",
            "hidden instructions",
        ],
        words: &[],
    },
    ParameterRule {
        id: "parameter-asks-for-secret-file",
        severity: Danger,
        reason: "The name of this parameter tells the AI client to read a file with secrets.",
        names: &[],
        words: &[
            &["content", "ssh"],
            &["contents", "ssh"],
            &["content", "reading"],
            &["contents", "reading"],
            &["content", "env"],
            &["contents", "env"],
            &["read", "ssh"],
            &["id", "rsa"],
            &["id", "ed25519"],
            &["etc", "passwd"],
            &["aws", "credentials"],
            &["contents", "credentials"],
            &["dump", "secrets"],
            &["exfil"],
        ],
    },
    ParameterRule {
        id: "parameter-for-side-data",
        severity: Warning,
        reason: "This parameter is of a kind that attacks use to carry data out along with a harmless call.",
        names: &[
            "sidenote",
            "side note",
            "sidecar",
            "system prompt",
            "model name and version",
            "debug payload",
            "hidden context",
            "session context",
            "full context",
            "user context",
            "env vars",
            "environment variables",
        ],
        words: &[],
    },
];

/// The rules that the name of a parameter matches.
pub(super) fn find(name: &str) -> impl Iterator<Item = &'static ParameterRule> {
    let words = identifier_words(name);
    PARAMETER_RULES.iter().filter(move |rule| rule.matches(&words))
}

impl ParameterRule {
    fn matches(&self, name: &str) -> bool {
        self.names.contains(&name)
            || self.words.iter().any(|wanted| wanted.iter().all(|word| name.split(' ').any(|own| own == *word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_carry_data_out_are_found_and_honest_ones_are_not() {
        let found = |name: &str| find(name).map(|rule| rule.id).collect::<Vec<_>>();
        for (name, rule) in [
            ("conversation_history", "parameter-asks-for-conversation"),
            ("chainOfThought", "parameter-asks-for-conversation"),
            ("tools_list", "parameter-asks-for-conversation"),
            ("content_from_reading_ssh_id_rsa", "parameter-asks-for-secret-file"),
            ("content_of_dot_env_file", "parameter-asks-for-secret-file"),
            ("sidenote", "parameter-for-side-data"),
        ] {
            assert_eq!(found(name), [rule], "{name}");
        }
        for name in [
            "messages",
            "history",
            "context",
            "tools",
            "prompt",
            "file_content",
            "ssh_host",
            "env",
            "read_only",
            "id",
        ] {
            assert_eq!(found(name), [""; 0], "{name}");
        }
    }
}

//! The state machine of guided setup: which step comes next. The command line, the web UI and the first-run window use it.

use crate::contract::api::{Setup, SetupCall};

/// A step of guided setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Imports servers from AI clients.
    Import,
    /// Approves servers, or their tools.
    Approve,
    /// Adds MCPProxy to AI clients.
    Connect,
    /// No tool can be called yet: the user has to add a server.
    AddServer,
    /// Makes a call as an AI client does.
    Prove,
}

impl Step {
    /// The step with this word.
    pub fn of_word(word: &str) -> Option<Step> {
        [Step::Import, Step::Approve, Step::Connect, Step::AddServer, Step::Prove]
            .into_iter()
            .find(|step| step.word() == word)
    }

    /// Its word in addresses and forms.
    pub const fn word(self) -> &'static str {
        match self {
            Step::Import => "import",
            Step::Approve => "approve",
            Step::Connect => "connect",
            Step::AddServer => "add",
            Step::Prove => "prove",
        }
    }
}

/// The steps that the user has done or skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    import: bool,
    approve: bool,
    connect: bool,
    add: bool,
    prove: bool,
}

impl Seen {
    /// The same, and this step.
    #[must_use]
    pub fn with(mut self, step: Step) -> Seen {
        match step {
            Step::Import => self.import = true,
            Step::Approve => self.approve = true,
            Step::Connect => self.connect = true,
            Step::AddServer => self.add = true,
            Step::Prove => self.prove = true,
        }
        self
    }
}

/// The next step; `None` when all is done. Each step comes once, whatever the user chose.
pub fn next(setup: &Setup, seen: Seen) -> Option<Step> {
    let has_servers = setup.servers > 0;
    [
        (Step::Import, seen.import, !setup.importable.is_empty()),
        (Step::Approve, seen.approve, !setup.pending.is_empty()),
        (Step::Connect, seen.connect, !setup.unconnected.is_empty()),
        (Step::AddServer, seen.add, !has_servers),
        (Step::Prove, seen.prove, has_servers),
    ]
    .into_iter()
    .find(|(_, seen, is_needed)| *is_needed && !seen)
    .map(|(step, ..)| step)
}

/// Describes the result of a test call in one sentence.
pub fn sentence(call: &SetupCall) -> String {
    let path = match call.client.as_str() {
        "" => format!("`{}`, the address for AI clients (none is connected),", call.entry),
        client => format!("{client}'s entry `{}`", call.entry),
    };
    let opened = call.open_ms;
    match (&call.error, call.tool.as_str()) {
        (Some(error), _) => format!("{path} does not work: {error}"),
        (None, "") => format!(
            "{path} answered a tool search in {} ms (connected in {opened} ms). No tool was called: none is marked as \
             read-only and needs no arguments.",
            call.call_ms
        ),
        (None, tool) => {
            let name = format!("{}:{tool}", call.server);
            format!("{path} called `{name}` in {} ms (connected in {opened} ms).", call.call_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::SetupClient;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_step_comes_once_and_only_when_it_is_needed() {
        let setup = Setup {
            unconnected: vec![SetupClient::default()],
            importable: names(&["a", "b"]),
            ..Setup::default()
        };
        let seen = Seen::default();
        assert_eq!(next(&setup, seen), Some(Step::Import));
        let seen = seen.with(Step::Import);
        assert_eq!(next(&setup, seen), Some(Step::Connect), "the user skipped the import");
        assert_eq!(next(&setup, seen.with(Step::Connect)), Some(Step::AddServer));
        // The import has added servers that need approval.
        let setup = Setup {
            pending: names(&["a", "b"]),
            servers: 2,
            ..setup
        };
        assert_eq!(next(&setup, seen), Some(Step::Approve));
        let seen = seen.with(Step::Approve);
        assert_eq!(next(&setup, seen), Some(Step::Connect), "skipped steps do not return");
        let seen = seen.with(Step::Connect);
        assert_eq!(next(&setup, seen), Some(Step::Prove));
        assert_eq!(next(&setup, seen.with(Step::Prove)), None);
    }

    #[test]
    fn without_servers_nothing_can_be_proved() {
        assert_eq!(next(&Setup::default(), Seen::default()), Some(Step::AddServer));
        assert_eq!(next(&Setup::default(), Seen::default().with(Step::AddServer)), None);
    }

    #[test]
    fn every_step_has_its_own_word() {
        for step in [Step::Import, Step::Approve, Step::Connect, Step::AddServer, Step::Prove] {
            assert_eq!(Step::of_word(step.word()), Some(step));
        }
        assert_eq!(Step::of_word("other"), None);
    }

    #[test]
    fn a_sentence_says_what_was_called_and_what_was_not() {
        let call = SetupCall {
            client: "Cursor".into(),
            entry: "http://127.0.0.1:8080/mcp".into(),
            server: "time".into(),
            tool: "now".into(),
            open_ms: 20,
            call_ms: 3,
            error: None,
        };
        let called = "Cursor's entry `http://127.0.0.1:8080/mcp` called `time:now` in 3 ms (connected in 20 ms).";
        assert_eq!(sentence(&call), called);
        let searched = SetupCall {
            tool: String::new(),
            ..call.clone()
        };
        assert!(sentence(&searched).contains("No tool was called"));
        let failed = SetupCall {
            client: String::new(),
            error: Some("refused".into()),
            ..call
        };
        assert!(sentence(&failed).ends_with("(none is connected), does not work: refused"), "{}", sentence(&failed));
    }
}

//! The text and the remedies of each code. The pages in `docs/errors/` are generated from it.
//!
//! Texts may hold placeholders such as `{server}`, which [`crate::diagnostics::diagnosis`] fills in.

mod local;
mod remote;
mod settings;

use crate::contract::platform::Platform;
use crate::diagnostics::code::Code;

/// The meaning of a code and its remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub code: Code,
    /// The event, in one sentence.
    pub what: &'static str,
    /// Why it usually happens.
    pub why: &'static str,
    /// The next step for the user, in one sentence.
    pub remedy: &'static str,
    pub steps: &'static [Step],
}

/// One way to a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// `None`: on every system.
    pub on: Option<Platform>,
    pub label: &'static str,
    pub act: Act,
}

/// The action of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The user does what the label says.
    Advice,
    /// A command for the terminal.
    Command(&'static str),
    /// MCPProxy does it. A destructive fix changes settings, credentials or a server's state.
    Fix { fixer: Fixer, destructive: bool },
}

/// Something that MCPProxy can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixer {
    ShowLogs,
    SignIn,
    Retry,
    RaiseTimeout,
}

impl Fixer {
    pub const ALL: [Fixer; 4] = [Fixer::ShowLogs, Fixer::SignIn, Fixer::Retry, Fixer::RaiseTimeout];

    /// The stable key.
    pub const fn key(self) -> &'static str {
        match self {
            Fixer::ShowLogs => "stdio_show_last_logs",
            Fixer::SignIn => "oauth_reauth",
            Fixer::Retry => "server_retry",
            Fixer::RaiseTimeout => "config_raise_init_timeout",
        }
    }

    /// The fixer with this key.
    pub fn of_key(key: &str) -> Option<Fixer> {
        Fixer::ALL.into_iter().find(|fixer| fixer.key() == key)
    }
}

impl Entry {
    /// The entry of a code.
    pub fn of(code: Code) -> &'static Entry {
        let mut all = local::ENTRIES.iter().chain(remote::ENTRIES).chain(settings::ENTRIES);
        all.find(|entry| entry.code == code).unwrap_or(&settings::UNCLASSIFIED)
    }

    /// The first fix that MCPProxy offers, and whether it is destructive.
    pub fn fix(&self) -> Option<(Fixer, bool)> {
        self.steps.iter().find_map(|step| match step.act {
            Act::Fix { fixer, destructive } => Some((fixer, destructive)),
            _ => None,
        })
    }

    /// Whether a fix of this code is destructive; `None` if it is not a fix of this code.
    pub fn destructive(&self, wanted: Fixer) -> Option<bool> {
        self.steps.iter().find_map(|step| match step.act {
            Act::Fix { fixer, destructive } if fixer == wanted => Some(destructive),
            _ => None,
        })
    }
}

const fn advice(label: &'static str) -> Step {
    Step {
        on: None,
        label,
        act: Act::Advice,
    }
}

const fn run(label: &'static str, command: &'static str) -> Step {
    Step {
        on: None,
        label,
        act: Act::Command(command),
    }
}

const fn run_on(platform: Platform, label: &'static str, command: &'static str) -> Step {
    Step {
        on: Some(platform),
        label,
        act: Act::Command(command),
    }
}

const fn button(label: &'static str, fixer: Fixer, destructive: bool) -> Step {
    Step {
        on: None,
        label,
        act: Act::Fix { fixer, destructive },
    }
}

const SHOW_LOG: Step = button("Show the log", Fixer::ShowLogs, false);
const RETRY: Step = button("Retry now", Fixer::Retry, false);
const RESTART: Step = button("Restart the server", Fixer::Retry, true);
const SIGN_IN: Step = button("Sign in", Fixer::SignIn, false);
const SIGN_IN_AGAIN: Step = button("Sign in again", Fixer::SignIn, true);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_entry_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Entry::of(*code).code, *code, "{}", code.name());
        }
    }

    #[test]
    fn every_entry_says_what_happened_and_what_to_do() {
        for entry in Code::ALL.iter().map(|code| Entry::of(*code)) {
            let name = entry.code.name();
            for text in [entry.what, entry.why, entry.remedy] {
                assert!(text.ends_with('.') && text.len() > 20, "{name}: {text}");
            }
            assert!(!entry.steps.is_empty(), "{name}");
            for step in entry.steps {
                assert!(!step.label.is_empty() && !step.label.ends_with('.'), "{name}: {}", step.label);
            }
        }
    }

    #[test]
    fn keys_of_fixes_are_found_again() {
        for fixer in Fixer::ALL {
            assert_eq!(Fixer::of_key(fixer.key()), Some(fixer));
        }
        let entry = Entry::of(Code::Http401);
        assert_eq!((entry.destructive(Fixer::SignIn), entry.destructive(Fixer::RaiseTimeout)), (Some(true), None));
    }
}

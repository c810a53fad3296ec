//! The form of the catalog's entries.

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

pub(super) const fn advice(label: &'static str) -> Step {
    Step {
        on: None,
        label,
        act: Act::Advice,
    }
}

pub(super) const fn run(label: &'static str, command: &'static str) -> Step {
    Step {
        on: None,
        label,
        act: Act::Command(command),
    }
}

pub(super) const fn run_on(platform: Platform, label: &'static str, command: &'static str) -> Step {
    Step {
        on: Some(platform),
        label,
        act: Act::Command(command),
    }
}

pub(super) const fn button(label: &'static str, fixer: Fixer, destructive: bool) -> Step {
    Step {
        on: None,
        label,
        act: Act::Fix { fixer, destructive },
    }
}

pub(super) const SHOW_LOG: Step = button("Show the log", Fixer::ShowLogs, false);
pub(super) const RETRY: Step = button("Retry now", Fixer::Retry, false);
pub(super) const RESTART: Step = button("Restart the server", Fixer::Retry, true);
pub(super) const SIGN_IN: Step = button("Sign in", Fixer::SignIn, false);
pub(super) const SIGN_IN_AGAIN: Step = button("Sign in again", Fixer::SignIn, true);

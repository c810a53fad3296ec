//! The menu *Fix issues*: each server's problem and the first thing that fixes it. Pure functions.

use crate::contract::api::{Diagnostic, FixStep, FixStepKind, Server};
use crate::diagnostics::catalog::Fixer;

/// Maximum number of commands of one problem that the menu offers to copy.
const MOST_COMMANDS: usize = 3;

/// The action of a menu item about a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A fix that the core runs.
    Fix { fixer: Fixer, label: String },
    /// A command for the terminal. Choosing it copies it to the clipboard.
    Copy { command: String, label: String },
}

/// The remedies of a server, best first: fixes before commands. Leaves out its log, because a log fixes nothing.
pub fn remedies(server: &Server) -> Vec<Remedy> {
    let Some(problem) = &server.diagnostic else { return Vec::new() };
    let fixes = problem.fix_steps.iter().filter_map(fix);
    let copies = problem.fix_steps.iter().filter_map(copy).take(MOST_COMMANDS);
    // If something must be installed or set first, trying again does not help.
    let (retries, others): (Vec<Remedy>, Vec<Remedy>) = fixes.partition(|remedy| {
        matches!(
            remedy,
            Remedy::Fix {
                fixer: Fixer::Retry,
                ..
            }
        )
    });
    others.into_iter().chain(copies).chain(retries).collect()
}

fn fix(step: &FixStep) -> Option<Remedy> {
    let fixer = step.fixer_key.as_deref().and_then(Fixer::of_key).filter(|fixer| *fixer != Fixer::ShowLogs)?;
    (step.kind == FixStepKind::Button).then(|| Remedy::Fix {
        fixer,
        label: step.label.clone(),
    })
}

fn copy(step: &FixStep) -> Option<Remedy> {
    let command = step.command.clone().filter(|_| step.kind == FixStepKind::Command)?;
    Some(Remedy::Copy {
        label: format!("Copy command: {}", step.label),
        command,
    })
}

/// Everything about a problem, for a message.
pub fn explanation(problem: &Diagnostic) -> String {
    let mut text = problem.user_message.clone();
    for part in [
        problem.cause.as_deref(),
        Some(problem.why.as_str()),
        problem.remediation.as_deref(),
    ] {
        if let Some(part) = part.filter(|part| !part.is_empty()) {
            text.push_str("\n\n");
            text.push_str(part);
        }
    }
    for step in &problem.fix_steps {
        if let (FixStepKind::Command, Some(command)) = (step.kind, &step.command) {
            text.push_str(&format!("\n\n{}:\n  {command}", step.label));
        }
    }
    format!("{text}\n\n{}", problem.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: FixStepKind, label: &str, command: Option<&str>, key: Option<&str>) -> FixStep {
        FixStep {
            command: command.map(str::to_owned),
            fixer_key: key.map(str::to_owned),
            ..FixStep::new(kind, label)
        }
    }

    #[test]
    fn a_fix_comes_before_a_command_and_a_retry_is_last() {
        let problem = Diagnostic {
            code: "MCPX_X".to_owned(),
            user_message: "It failed.".to_owned(),
            cause: Some("because".to_owned()),
            remediation: Some("Install it.".to_owned()),
            fix_steps: vec![
                step(FixStepKind::Button, "Retry now", None, Some("server_retry")),
                step(FixStepKind::Button, "Show the log", None, Some("stdio_show_last_logs")),
                step(FixStepKind::Command, "Install it", Some("sudo apt-get install x"), None),
                step(FixStepKind::Button, "Sign in again", None, Some("oauth_reauth")),
                step(FixStepKind::Link, "Read", None, None),
            ],
            ..Diagnostic::default()
        };
        let text = explanation(&problem);
        assert_eq!(text, "It failed.\n\nbecause\n\nInstall it.\n\nInstall it:\n  sudo apt-get install x\n\nMCPX_X");
        let server = Server {
            diagnostic: Some(problem),
            ..Server::default()
        };
        let labels: Vec<String> = remedies(&server)
            .into_iter()
            .map(|remedy| match remedy {
                Remedy::Fix { label, .. } | Remedy::Copy { label, .. } => label,
            })
            .collect();
        assert_eq!(labels, ["Sign in again", "Copy command: Install it", "Retry now"]);
        assert_eq!(remedies(&Server::default()), []);
    }
}

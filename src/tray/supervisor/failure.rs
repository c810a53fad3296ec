//! Why there is no core, in words for the user, and what the user can do.

use crate::contract::exit_code::ExitCode;
use crate::tray::label::capitalised;
use crate::tray::supervisor::last_words::{is_crash_report, last_words};

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    /// The message of the core or the system.
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NoProgram,
    NotStarted,
    Silent,
    Port,
    Locked,
    Configuration,
    Permission,
    Crash,
    GivenUp,
}

impl Failure {
    /// No core program was found.
    pub fn no_program(message: String) -> Failure {
        Failure {
            kind: Kind::NoProgram,
            message,
        }
    }

    /// The system could not start the program.
    pub fn not_started(message: String) -> Failure {
        Failure {
            kind: Kind::NotStarted,
            message,
        }
    }

    /// A core listens but does not answer.
    pub fn silent(message: String) -> Failure {
        Failure {
            kind: Kind::Silent,
            message,
        }
    }

    /// A core exited without a request.
    pub fn of_exit(class: ExitCode, code: Option<i32>, stderr: &str) -> Failure {
        let kind = match class {
            // The Go core's code for a port in use is also that of a crashed Go program.
            ExitCode::PortInUse if is_crash_report(stderr) => Kind::Crash,
            ExitCode::PortInUse => Kind::Port,
            ExitCode::StoreLocked => Kind::Locked,
            ExitCode::Configuration => Kind::Configuration,
            ExitCode::Permission => Kind::Permission,
            ExitCode::Clean | ExitCode::General | ExitCode::Usage => Kind::Crash,
        };
        let message = last_words(stderr, code).unwrap_or_else(|| match (kind, code) {
            (Kind::Port, _) => "another program is using the core's port".to_owned(),
            (Kind::Locked, _) => "another core is using the same data directory".to_owned(),
            (Kind::Configuration, _) => "the configuration is not valid".to_owned(),
            (Kind::Permission, _) => "the core has no permission to use its files or its port".to_owned(),
            (_, Some(code)) => format!("it exited with code {code} and no message"),
            (_, None) => "it was killed by a signal".to_owned(),
        });
        Failure { kind, message }
    }

    /// The same crash, once too often.
    #[must_use]
    pub fn given_up(mut self) -> Failure {
        self.kind = Kind::GivenUp;
        self
    }

    /// Whether the next try may succeed without the user.
    pub fn may_pass(&self) -> bool {
        self.kind == Kind::Crash
    }

    /// Whether another address would help.
    pub fn is_port(&self) -> bool {
        self.kind == Kind::Port
    }

    /// The problem, for one line of the menu.
    pub fn sentence(&self) -> String {
        let message = &self.message;
        match self.kind {
            Kind::NoProgram | Kind::NotStarted => format!("The core could not be started: {message}"),
            Kind::Silent => format!("The core is running but not responding: {message}"),
            // The core's own message is complete.
            Kind::Port | Kind::Locked | Kind::Configuration | Kind::Permission => capitalised(message),
            Kind::Crash => format!("The core crashed: {message}"),
            Kind::GivenUp => format!("The core keeps crashing: {message}"),
        }
    }

    /// The suggested fix.
    pub fn advice(&self) -> &'static str {
        match self.kind {
            Kind::NoProgram => "Install mcpproxy next to this program, or set MCPPROXY_CORE_PATH",
            Kind::NotStarted => "Check the logs, then choose Start core",
            Kind::Silent => "Quit the running core, then choose Start core",
            Kind::Port => "Use another port, or quit the program using this one, then choose Start core",
            Kind::Locked => "Quit the other core, then choose Start core",
            Kind::Configuration => "Open the configuration, correct it, then choose Start core",
            Kind::Permission => "Correct the permissions, then choose Start core",
            Kind::Crash => "Restarting in a moment",
            Kind::GivenUp => "Check the logs, then choose Start core",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(stderr: &str) -> String {
        Failure::of_exit(ExitCode::Configuration, Some(4), stderr).sentence()
    }

    #[test]
    fn the_cores_error_line_is_shown_and_its_help_is_not() {
        let stderr =
            "2026 INFO starting\nerror: `/x/mcp_config.json` line 3, column 5: expected a string\nhelp: mend it\n";
        assert_eq!(configuration(stderr), "`/x/mcp_config.json` line 3, column 5: expected a string");
    }

    #[test]
    fn without_an_error_line_the_last_line_is_shown() {
        assert_eq!(configuration("a\n\nError:\nb\n \n"), "B");
        assert_eq!(configuration(""), "The configuration is not valid");
    }

    #[test]
    fn a_crashed_go_core_is_started_again_and_one_without_its_port_is_not() {
        let of = |stderr| Failure::of_exit(ExitCode::from_code(2), Some(2), stderr);
        let crashed = of("panic: it broke\n\ngoroutine 1 [running]:\nmain.main()\n");
        assert!(crashed.may_pass() && !crashed.is_port());
        assert_eq!(crashed.sentence(), "The core crashed: it broke");
        let port = of("Error: server failed: port 127.0.0.1:8080 is already in use\n");
        assert!(port.is_port() && !port.may_pass());
        assert!(of("").is_port());
    }

    #[test]
    fn an_exit_without_output_still_has_a_message() {
        let failure = Failure::of_exit(ExitCode::General, None, "");
        assert_eq!(failure.sentence(), "The core crashed: it was killed by a signal");
        assert!(failure.may_pass() && !failure.given_up().may_pass());
    }
}

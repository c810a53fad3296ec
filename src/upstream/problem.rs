//! The current problem of a server, as a typed failure.

use std::time::Instant;

use crate::config::Protocol;
use crate::diagnostics::fault::Fault;
use crate::upstream::health::PATIENCE;
use crate::upstream::snapshot::{Phase, Snapshot};

impl Snapshot {
    /// The problem that stops the server or some of its tools; `None` if there is none.
    pub fn fault(&self, now: Instant) -> Option<Fault> {
        match &self.phase {
            Phase::Disabled => None,
            Phase::Quarantined => Some(Fault::PendingApproval),
            Phase::Connected(_) => self.tools_fault(),
            Phase::Connecting => self.start_fault(now),
            Phase::SignInNeeded(_) => Some(match &self.sign_in.failed {
                Some(failed) if self.sign_in.address.is_none() => failed.fault.clone(),
                _ if self.sign_in.expired => Fault::ReauthRequired,
                _ => Fault::LoginRequired,
            }),
            Phase::Failed(failure) | Phase::Misconfigured(failure) => Some(failure.fault.clone()),
            Phase::MissingEnvVar(variable) => Some(Fault::MissingVariable {
                variable: variable.clone(),
            }),
        }
    }

    fn tools_fault(&self) -> Option<Fault> {
        let pending = self.pending_tools();
        let changed = pending.iter().filter(|pending| pending.before.is_some()).count();
        match (changed, pending.len()) {
            (0, 0) => None,
            (0, count) => Some(Fault::ToolsPending { count }),
            (count, _) => Some(Fault::ToolsChanged { count }),
        }
    }

    fn start_fault(&self, now: Instant) -> Option<Fault> {
        let attempt = self.attempt.as_ref().filter(|attempt| now.saturating_duration_since(attempt.since) >= PATIENCE);
        match attempt {
            Some(attempt) => Some(Fault::NoReply {
                seconds: now.saturating_duration_since(attempt.since).as_secs(),
                over_http: self.protocol != Protocol::Stdio,
            }),
            None => self.last_failure.as_ref().map(|failure| failure.fault.clone()),
        }
    }

    /// When the failure that is shown was seen first.
    pub fn fault_since(&self, now: Instant) -> jiff::Timestamp {
        let started = || {
            let waited = now.saturating_duration_since(self.attempt.as_ref()?.since);
            crate::os::clock::now().checked_sub(waited).ok()
        };
        self.failed_at.or_else(started).unwrap_or_else(crate::os::clock::now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::ServerConfig;
    use crate::diagnostics::code::Code;
    use crate::diagnostics::fault::Failure;
    use crate::upstream::snapshot::Attempt;
    use crate::upstream::stderr_tail::StderrTail;

    #[test]
    fn each_state_of_a_server_has_its_code_and_a_healthy_one_has_none() {
        let code = |server: &Snapshot| server.fault(Instant::now()).map(|fault| fault.code());
        let config = ServerConfig {
            command: Some("npx".to_owned()),
            ..ServerConfig::default()
        };
        let mut server = Snapshot::new(Arc::new(config), Phase::Disabled);
        assert_eq!(code(&server), None);
        server.phase = Phase::Connected(Arc::default());
        assert_eq!(code(&server), None);
        server.phase = Phase::Quarantined;
        assert_eq!(code(&server), Some(Code::PendingApproval));
        server.phase = Phase::SignInNeeded(None);
        assert_eq!(code(&server), Some(Code::LoginRequired));
        server.sign_in.expired = true;
        assert_eq!(code(&server), Some(Code::ReauthRequired));
        server.sign_in.failed = Some(Failure::new(Fault::CallbackTimeout, "no sign-in within 10 minutes"));
        assert_eq!(code(&server), Some(Code::CallbackTimeout));
        server.note_failure(Failure::new(Fault::ExitedAtStart { status: Some(1) }, "exited"));
        assert_eq!(code(&server), Some(Code::ExitNonzero));
        let first = server.failed_at;
        server.note_failure(Failure::new(Fault::ExitedAtStart { status: Some(1) }, "exited again"));
        assert!(first.is_some() && server.failed_at == first, "the same failure began with the first attempt");
        server.phase = Phase::Connecting;
        assert_eq!(code(&server), Some(Code::ExitNonzero), "the last failure stays visible");
        let attempt = Attempt::new(Duration::from_secs(180), StderrTail::default());
        let later = attempt.since + Duration::from_secs(20);
        server.attempt = Some(attempt);
        assert_eq!(server.fault(later).map(|fault| fault.code()), Some(Code::HandshakeTimeout));
    }
}

//! Lists the tools of a server before its approval: starts it in isolation, without secrets, and stops it again. No tool is
//! called.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, broadcast, watch};

use crate::config::isolation::{Isolation, Mode, Network};
use crate::config::{Protocol, ServerConfig, references};
use crate::contract::failure::FailureKind;
use crate::contract::words::IsolationOutcome;
use crate::upstream::approvals::PendingTool;
use crate::upstream::connect::connect;
use crate::upstream::connect_error::ConnectError;
use crate::upstream::isolation::images::{is_package_runner, program_name};
use crate::upstream::pool::UpstreamPool;
use crate::upstream::server_handles::ServerHandles;
use crate::upstream::snapshot::{Phase, Snapshot};

/// Stands for every secret and variable that the entry refers to.
const WITHHELD: &str = "withheld-until-approval";

/// Why the tools could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("there is no server `{0}`")]
    Unknown(String),
    #[error("`{0}` is not waiting for approval: its review lists its tools while it runs")]
    Approved(String),
    #[error("`{0}` is not a local server: it is only asked for its tools after approval")]
    Remote(String),
    #[error("`{0}` cannot be isolated here, so it does not run before approval: {1}")]
    NoIsolation(String, String),
    #[error("`{0}` did not list its tools: {1}")]
    Failed(String, String),
}

impl InspectError {
    /// The kind that decides how each protocol reports it.
    pub fn kind(&self) -> FailureKind {
        match self {
            InspectError::Unknown(_) => FailureKind::NotFound,
            InspectError::Approved(_) | InspectError::Remote(_) => FailureKind::Invalid,
            InspectError::NoIsolation(..) => FailureKind::Denied,
            InspectError::Failed(..) => FailureKind::Upstream,
        }
    }
}

/// The network of an inspection: only a package runner needs it, to download the program.
fn network(config: &ServerConfig) -> Network {
    let downloads = is_package_runner(config.command.as_deref().unwrap_or_default(), &config.args);
    if downloads && config.isolation.network == Network::On {
        Network::On
    } else {
        Network::Off
    }
}

/// Describes what an inspection of this server gives it, for the person who decides whether to start it; `None` if it cannot be inspected.
pub fn description(config: &ServerConfig) -> Option<String> {
    if !config.quarantined || config.effective_protocol() != Protocol::Stdio {
        return None;
    }
    let program = program_name(config.command.as_deref().unwrap_or_default());
    Some(match network(config) {
        Network::Off => "It runs in isolation, without your secrets, your files and the network.".to_owned(),
        _ => format!(
            "It runs in isolation, without your secrets and your files. It gets the network, because `{program}` downloads it."
        ),
    })
}

/// The entry as it is started for an inspection: in a sandbox unless it asks for a container, and without more rights.
fn strict(config: &ServerConfig, directory: &Path) -> Result<ServerConfig, InspectError> {
    let mut strict = config.clone();
    if strict.isolation.mode != Mode::Container {
        strict.isolation.mode = Mode::Sandbox;
    }
    strict.isolation = Isolation {
        read: Vec::new(),
        write: Vec::new(),
        extra_args: Vec::new(),
        network_mode: None,
        network: network(config),
        no_cache_volume: true,
        inspection: Some(directory.to_path_buf()),
        ..strict.isolation
    };
    strict.inherit_env = Vec::new();
    references::resolved(&strict, |_, _| Some(WITHHELD))
        .map_err(|error| InspectError::Failed(config.name.clone(), error.to_string()))
}

impl UpstreamPool {
    /// Starts a server that needs approval, lists its tools and stops it.
    ///
    /// # Errors
    /// [`InspectError`]
    pub async fn inspect(&self, name: &str) -> Result<Vec<PendingTool>, InspectError> {
        let snapshot = self.snapshot(name).ok_or_else(|| InspectError::Unknown(name.to_owned()))?;
        let config = &snapshot.config;
        if !config.quarantined {
            return Err(InspectError::Approved(name.to_owned()));
        }
        if config.effective_protocol() != Protocol::Stdio {
            return Err(InspectError::Remote(name.to_owned()));
        }
        let directory = self.isolator().inspection_directory();
        let strict = Arc::new(strict(config, directory.path())?);
        let (isolation, _) = self.isolator().facts(&strict).await;
        if !matches!(isolation.effective, IsolationOutcome::Sandbox | IsolationOutcome::Docker) {
            let why = isolation.note.unwrap_or(isolation.summary);
            return Err(InspectError::NoIsolation(name.to_owned(), why));
        }
        let handles = self.separate_handles(&strict);
        let opened = connect(&strict, &self.log_of(name), &handles).await;
        let mut session = opened.map_err(|error| {
            let given = description(config).unwrap_or_default();
            InspectError::Failed(name.to_owned(), format!("{}\n{given}", sentence(&error)))
        })?;
        let tools = std::mem::take(&mut session.tools);
        session.close().await;
        Ok(tools.into_iter().map(PendingTool::new).collect())
    }

    /// Returns the handles of a session that does not belong to a running server.
    pub(super) fn separate_handles(&self, config: &Arc<ServerConfig>) -> ServerHandles {
        ServerHandles {
            state: Arc::new(watch::Sender::new(Snapshot::new(config.clone(), Phase::Connecting))),
            approvals: self.approvals(),
            tokens: self.tokens.clone(),
            connection: watch::Sender::new(None),
            restart: Arc::new(Notify::new()),
            health_check: Arc::new(Notify::new()),
            session_error: Arc::default(),
            stop: tokio_util::sync::CancellationToken::new(),
            isolator: self.isolator(),
            broadcasts: broadcast::Sender::new(1),
            subscriptions: Arc::default(),
            counts: Arc::default(),
            starts: Arc::new(Semaphore::new(1)),
            retries: Arc::default(),
        }
    }
}

/// Why a session could not be opened.
pub(super) fn sentence(error: &ConnectError) -> String {
    error.failure().map_or_else(|| "it requires a sign-in".to_owned(), |failure| failure.text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inspected_server_gets_neither_secrets_nor_more_rights_than_a_sandbox_gives() {
        let config: ServerConfig = serde_json::from_str(
            r#"{"name": "s", "command": "npx", "env": {"KEY": "Bearer ${keyring:GH} ${env:AWS}"}, "inherit_env": ["TOKEN"]}"#,
        )
        .unwrap();
        for mode in [
            Mode::None,
            Mode::Auto,
            Mode::SandboxOrNone,
            Mode::Unknown("x".to_owned()),
            Mode::Sandbox,
        ] {
            let mut asked = config.clone();
            asked.isolation.mode = mode;
            asked.isolation.write = vec!["/".into()];
            asked.isolation.read = vec!["/".into()];
            let strict = strict(&asked, Path::new("/i")).unwrap();
            assert_eq!(strict.isolation.mode, Mode::Sandbox);
            assert!(
                strict.isolation.write.is_empty() && strict.isolation.read.is_empty() && strict.inherit_env.is_empty()
            );
            assert_eq!(strict.env["KEY"], format!("Bearer {WITHHELD} {WITHHELD}"));
            assert_eq!(strict.isolation.inspection.as_deref(), Some(Path::new("/i")));
        }
        let mut contained = config;
        contained.isolation.mode = Mode::Container;
        assert_eq!(strict(&contained, Path::new("/i")).unwrap().isolation.mode, Mode::Container);
    }

    #[test]
    fn only_a_package_runner_gets_the_network_and_the_review_says_so() {
        let entry = |text: &str| -> ServerConfig { serde_json::from_str(text).unwrap() };
        for (text, expected) in [
            (r#"{"name": "s", "command": "npx", "args": ["-y", "x"], "quarantined": true}"#, Network::On),
            (r#"{"name": "s", "command": "node", "args": ["/x.js"], "quarantined": true}"#, Network::Off),
        ] {
            let mut config = entry(text);
            assert_eq!(strict(&config, Path::new("/i")).unwrap().isolation.network, expected);
            let told = description(&config).unwrap();
            assert_eq!(told.contains("because `npx` downloads it"), expected == Network::On, "{told}");
            config.isolation.network = Network::Loopback;
            assert_eq!(strict(&config, Path::new("/i")).unwrap().isolation.network, Network::Off);
        }
        assert_eq!(description(&entry(r#"{"name": "s", "url": "https://h/", "quarantined": true}"#)), None);
        assert_eq!(description(&entry(r#"{"name": "s", "command": "x"}"#)), None);
    }
}

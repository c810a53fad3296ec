//! The state of the running core, shared by REST, events and heartbeats.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activity::ActivityLog;
use crate::contract::api::{CorePhase, CoreStatus, Servers, Status, TelemetryState, Update};
use crate::contract::endpoint::client_host;
use crate::contract::instance_root::InstanceRoot;
use crate::control::live_config::LiveConfig;
use crate::control::servers::ServerControl;
use crate::gateway::Proxy;
use crate::gateway::http::session_store::PersistentSessions;
use crate::server::event_log::EventLog;
use crate::server::page::access::Access;
use crate::server::rest::fix_limiter::FixLimiter;
use crate::server::rest::unused_settings::UnusedSettings;
use crate::server::rest::views;
use crate::server::run_facts::RunFacts;
use crate::telemetry::payload::AnonymousId;
use crate::upstream::pool::UpstreamPool;

/// The running core.
pub struct App {
    pub root: InstanceRoot,
    pub config: Arc<LiveConfig>,
    pub control: Arc<ServerControl>,
    /// The result of the last update check.
    pub update: watch::Sender<Option<Update>>,
    pub upstreams: Arc<UpstreamPool>,
    pub proxy: Arc<Proxy>,
    /// The sessions of AI clients.
    pub sessions: Arc<PersistentSessions>,
    pub facts: Arc<RunFacts>,
    /// The ID to use if the installation has none yet; the same for the whole run.
    pub candidate_id: AnonymousId,
    /// The API key that TCP requests must contain.
    pub api_key: String,
    /// The tickets and sessions of the web UI.
    pub access: Access,
    /// The actual TCP address.
    pub listen_addr: String,
    pub local_addr: String,
    /// Whether the TCP address uses HTTPS.
    pub is_encrypted: bool,
    pub ready: watch::Receiver<bool>,
    /// The record of calls, decisions and changes.
    pub activity: ActivityLog,
    /// The time of the last request for each fix.
    pub fixes: FixLimiter,
    /// The settings of the configuration file that have no effect.
    pub unused_settings: UnusedSettings,
    /// The events of `/events`.
    pub events: EventLog,
    pub stop: CancellationToken,
}

impl App {
    /// Returns the URL of the web UI.
    pub fn web_ui_url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}/ui/", client_host(&self.listen_addr))
    }

    /// Sleeps for a duration; returns false if the core stops meanwhile.
    pub async fn pause(&self, duration: std::time::Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    /// Returns the status for `GET /api/v1/status`.
    pub fn status(&self) -> Status {
        let servers = self.upstreams.snapshots();
        let stats = views::upstream_stats(&servers);
        let ready = *self.ready.borrow();
        let configuration = self.config.notice();
        let (phase, message) = if self.stop.is_cancelled() {
            (CorePhase::Stopping, "Stopping the servers")
        } else if ready {
            (CorePhase::Ready, configuration.as_deref().unwrap_or("Serving"))
        } else {
            (CorePhase::Starting, "Starting")
        };
        let now = crate::os::clock::now();
        let facts = self.facts.facts();
        Status {
            running: ready,
            edition: "personal".to_owned(),
            listen_addr: self.listen_addr.clone(),
            upstream_stats: stats,
            status: CoreStatus {
                running: ready,
                listen_addr: self.listen_addr.clone(),
                phase,
                message: message.to_owned(),
                tools_indexed: u32::try_from(self.proxy.indexed_tools()).unwrap_or(u32::MAX),
                last_updated: format!("{now:.0}"),
                process_pid: std::process::id(),
            },
            routing_mode: self.config.at_start().routing_mode.word().into(),
            timestamp: now.as_second(),
            env_kind: facts.env_kind,
            env_markers: facts.env_markers,
            launch_source: facts.launch_source,
            autostart_enabled: facts.autostart_enabled,
            activation: facts.activation,
            telemetry: Some(self.telemetry()),
            configuration,
            update: self.update(),
        }
    }

    fn telemetry(&self) -> TelemetryState {
        let settings = &self.config.current().telemetry;
        let consent = self.facts.consent(settings);
        TelemetryState {
            enabled: consent.may_record(),
            sending: consent.word().into(),
            reason: consent.reason().to_owned(),
            notice_shown: settings.notice_shown,
            needs: consent.needs(),
        }
    }

    /// Returns the servers for `GET /api/v1/servers`.
    pub fn servers(&self) -> Servers {
        let servers = self.upstreams.snapshots();
        Servers {
            stats: views::server_stats(&servers),
            servers: servers.iter().map(views::server).collect(),
        }
    }
}

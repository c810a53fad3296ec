//! The running core as one value: what REST, events and heartbeats show and act on.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::config::document::{Document, EditError};
use crate::config::store::{ConfigStore, StoreError};
use crate::contract::api::{CoreStatus, Servers, Status, TelemetryState, Update};
use crate::contract::instance_root::InstanceRoot;
use crate::gateway::Proxy;
use crate::server::rest::EventLog;
use crate::server::run_facts::RunFacts;
use crate::telemetry::payload::AnonymousId;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::{Snapshot, server_stats, upstream_stats};

/// The core while it serves.
pub struct App {
    pub root: InstanceRoot,
    pub config: watch::Sender<Arc<Config>>,
    /// The configuration of the start: some settings are read then only.
    pub started: Arc<Config>,
    /// Why the file as it is now was not taken up.
    pub mistake: watch::Sender<Option<String>>,
    /// What the last look for a newer release found.
    pub update: watch::Sender<Option<Update>>,
    pub store: ConfigStore,
    /// One edit of the configuration at a time.
    pub edits: tokio::sync::Mutex<()>,
    pub upstreams: Arc<UpstreamPool>,
    pub proxy: Arc<Proxy>,
    pub facts: RunFacts,
    /// The identifier of an installation that has none yet; the same for the whole run.
    pub candidate_id: AnonymousId,
    /// The key TCP callers must show.
    pub api_key: String,
    /// The address really listened on.
    pub listen_addr: String,
    pub local_addr: String,
    pub ready: watch::Receiver<bool>,
    /// What `/events` tells.
    pub events: EventLog,
    pub stop: CancellationToken,
}

impl App {
    /// The core as `GET /api/v1/status` shows it.
    pub fn status(&self) -> Status {
        let servers = self.upstreams.snapshots();
        let stats = upstream_stats(&servers);
        let ready = *self.ready.borrow();
        let configuration = self.configuration();
        let (phase, message) = if self.stop.is_cancelled() {
            ("Stopping", "Ending the servers")
        } else if ready {
            ("Ready", configuration.as_deref().unwrap_or("Serving"))
        } else {
            ("Starting", "Starting")
        };
        let now = jiff::Timestamp::now();
        let facts = self.facts.facts();
        Status {
            running: ready,
            edition: "personal".to_owned(),
            listen_addr: self.listen_addr.clone(),
            upstream_stats: stats,
            status: CoreStatus {
                running: ready,
                listen_addr: self.listen_addr.clone(),
                phase: phase.to_owned(),
                message: message.to_owned(),
                tools_indexed: u32::try_from(self.proxy.indexed_tools()).unwrap_or(u32::MAX),
                last_updated: format!("{now:.0}"),
                process_pid: std::process::id(),
            },
            routing_mode: "retrieve_tools".to_owned(),
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

    /// What a person who edits the configuration should know, if anything.
    fn configuration(&self) -> Option<String> {
        if let Some(mistake) = self.mistake.borrow().as_deref() {
            return Some(format!("{mistake}; the settings of before stay in force"));
        }
        let waiting = self.config.borrow().needs_restart(&self.started);
        let sentence =
            || format!("what is new in `{}` takes effect once the core is started again", waiting.join("`, `"));
        (!waiting.is_empty()).then(sentence)
    }

    fn telemetry(&self) -> TelemetryState {
        let settings = &self.config.borrow().telemetry;
        let consent = self.facts.consent(settings);
        TelemetryState {
            enabled: consent.may_record(),
            sending: consent.word().to_owned(),
            reason: consent.reason().to_owned(),
            notice_shown: settings.notice_shown,
        }
    }

    /// The servers as `GET /api/v1/servers` shows them.
    pub fn servers(&self) -> Servers {
        let servers = self.upstreams.snapshots();
        Servers {
            stats: server_stats(&servers),
            servers: servers.iter().map(Snapshot::to_api).collect(),
        }
    }

    /// Edits the configuration file, and makes what runs follow it.
    pub async fn edit(&self, change: impl Fn(&mut Document) -> Result<(), EditError>) -> Result<(), StoreError> {
        let _one_at_a_time = self.edits.lock().await;
        let config = Arc::new(self.store.edit(|document| {
            if document.is_empty() {
                let problem = "the file is empty or gone, perhaps because another program is writing it; try again";
                return Err(EditError::Shape(problem.to_owned()));
            }
            change(document)
        })?);
        self.take_up(config).await;
        Ok(())
    }

    /// Sets keys of the `telemetry` object.
    pub async fn edit_telemetry(&self, change: impl Fn(&mut dyn FnMut(&str, Value))) -> Result<(), StoreError> {
        self.edit(|document| {
            change(&mut |key, value| document.set_telemetry(key, value));
            Ok(())
        })
        .await
    }

    /// Takes up what somebody else wrote into the configuration. A file with a mistake changes nothing, and is told of.
    pub async fn reload(&self) {
        let _one_at_a_time = self.edits.lock().await;
        match self.store.load_written() {
            Ok(config) if config == **self.config.borrow() => self.note_mistake(None),
            Ok(config) => {
                tracing::info!("the configuration was edited: taking it up");
                self.take_up(Arc::new(config)).await;
                if let Some(sentence) = self.configuration() {
                    tracing::warn!("{sentence}");
                }
            }
            Err(error) => {
                tracing::warn!("{error}; the settings of before stay in force");
                self.note_mistake(Some(error.to_string()));
            }
        }
    }

    fn note_mistake(&self, mistake: Option<String>) {
        self.mistake.send_if_modified(|noted| {
            let changed = *noted != mistake;
            *noted = mistake;
            changed
        });
    }

    /// Reads the telemetry settings anew: a person may have changed the file by hand.
    pub async fn reload_telemetry(&self) -> Result<Arc<Config>, StoreError> {
        let _one_at_a_time = self.edits.lock().await;
        let telemetry = self.store.load()?.telemetry;
        let config = Arc::new(Config {
            telemetry,
            ..Config::clone(&self.config.borrow())
        });
        self.facts.follow(&config.telemetry);
        self.config.send_replace(config.clone());
        Ok(config)
    }

    async fn take_up(&self, config: Arc<Config>) {
        self.note_mistake(None);
        self.facts.follow(&config.telemetry);
        self.config.send_replace(config.clone());
        self.upstreams.admission().configure(&config);
        self.upstreams.apply(&config.servers).await;
    }
}

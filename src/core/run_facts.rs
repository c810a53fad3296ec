//! What this run says of itself: the environment's class, who started it, launch-at-login, the funnel.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contract::api::Status;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::launch_source;
use crate::contract::names;
use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource};
use crate::core::config::TelemetryConfig;
use crate::os::environment::Environment;
use crate::os::process::stdin_is_terminal;
use crate::telemetry::autostart::AutostartReader;
use crate::telemetry::env_kind::{Verdict, classify};
use crate::telemetry::observe::observe;
use crate::telemetry::remember::Recorder;

/// The facts of one run; what cannot change is found out once, at the start.
pub struct RunFacts {
    verdict: Verdict,
    told: LaunchSource,
    launched_by: String,
    autostart: Mutex<AutostartReader>,
    recorder: Recorder,
}

/// The facts as one value.
#[derive(Debug, Serialize)]
pub struct Facts {
    pub env_kind: Option<EnvKind>,
    pub env_markers: Option<EnvMarkers>,
    pub launch_source: Option<LaunchSource>,
    pub autostart_enabled: Option<bool>,
    pub activation: Option<Activation>,
}

impl From<Status> for Facts {
    fn from(status: Status) -> Facts {
        Facts {
            env_kind: status.env_kind,
            env_markers: status.env_markers,
            launch_source: status.launch_source,
            autostart_enabled: status.autostart_enabled,
            activation: status.activation,
        }
    }
}

/// How long the store may take to write its last change when the core stops.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

impl RunFacts {
    /// Finds out, and opens the store unless the person has switched telemetry off.
    pub fn new(root: &InstanceRoot, environment: &Environment, telemetry: &TelemetryConfig) -> RunFacts {
        let launched_by = environment.get(names::ENV_LAUNCHED_BY);
        let told = launch_source(launched_by, environment.get(names::ENV_TRAY_LAUNCHED_BY), stdin_is_terminal());
        let recorder = Recorder::new(&root.store());
        if !is_off(environment, telemetry) {
            switch_on(&recorder);
            if told == LaunchSource::Installer {
                recorder.installer_started_us();
            }
        }
        RunFacts {
            verdict: classify(&observe()),
            told,
            launched_by: launched_by.unwrap_or_default().to_owned(),
            autostart: Mutex::new(AutostartReader::new(root)),
            recorder,
        }
    }

    /// The hooks.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// The variable as the parent set it, for `GET /api/v1/info`.
    pub fn launched_by(&self) -> &str {
        &self.launched_by
    }

    pub fn env_kind(&self) -> EnvKind {
        self.verdict.kind
    }

    pub fn env_markers(&self) -> EnvMarkers {
        self.verdict.markers
    }

    /// Who started this core; `installer` until a heartbeat that says so was accepted.
    pub fn launch_source(&self) -> LaunchSource {
        self.recorder.memory().map_or(self.told, |memory| memory.launch_source(self.told))
    }

    /// What the tray said last; `None` where it has not.
    pub fn autostart_enabled(&self) -> Option<bool> {
        self.autostart.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now())
    }

    /// The funnel; `None` while telemetry is off.
    pub fn activation(&self) -> Option<Activation> {
        self.recorder.is_on().then(|| self.recorder.activation(jiff::Timestamp::now().as_second()))
    }

    /// All of them, as a command shows them.
    pub fn facts(&self) -> Facts {
        Facts {
            env_kind: Some(self.env_kind()),
            env_markers: Some(self.env_markers()),
            launch_source: Some(self.launch_source()),
            autostart_enabled: self.autostart_enabled(),
            activation: self.activation(),
        }
    }

    /// Writes down what is not yet written.
    pub fn close(&self) {
        self.recorder.close(CLOSE_LIMIT);
    }
}

fn switch_on(recorder: &Recorder) {
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    match recorder.switch_on(&today) {
        Ok(None) => {}
        Ok(Some(set_aside)) => report_corrupt(set_aside),
        Err(error) => tracing::warn!("what this installation has seen is not remembered: {error}"),
    }
}

fn report_corrupt(set_aside: PathBuf) {
    tracing::warn!("the store was corrupt and begun anew; the old one is `{}`", set_aside.display());
}

fn is_off(environment: &Environment, telemetry: &TelemetryConfig) -> bool {
    let said = |name: &str| environment.get(name).map(|value| value.trim().to_ascii_lowercase()).unwrap_or_default();
    let off_words = ["", "0", "false", "no", "off"];
    telemetry.enabled == Some(false)
        || !off_words.contains(&said(names::ENV_DO_NOT_TRACK).as_str())
        || !["", "1", "true", "yes", "on"].contains(&said(names::ENV_TELEMETRY).as_str())
}

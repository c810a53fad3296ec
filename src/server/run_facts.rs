//! Facts about this run: the kind of environment, the launch source, launch at login, activation milestones.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::TelemetryConfig;
use crate::contract::api::Status;
use crate::contract::flag::is_true;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::launch_source;
use crate::contract::names;
use crate::contract::run_facts::{Activation, EnvKind, EnvMarkers, LaunchSource};
use crate::os::environment::Environment;
use crate::os::process::stdin_is_terminal;
use crate::telemetry::autostart::AutostartReader;
use crate::telemetry::consent::{Consent, OptOut, Switches};
use crate::telemetry::environment::observe::observe;
use crate::telemetry::environment::{Verdict, classify};
use crate::telemetry::store::recorder::Recorder;
use crate::telemetry::usage_counts::UsageCounts;

/// Facts about one run. Those that cannot change are determined at startup.
pub struct RunFacts {
    verdict: Verdict,
    started_by: LaunchSource,
    launched_by: String,
    do_not_track: Option<String>,
    own_variable: Option<String>,
    no_update_check: bool,
    autostart: Mutex<AutostartReader>,
    recorder: Recorder,
    counts: Arc<UsageCounts>,
    started: Instant,
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

/// The packager's telemetry endpoint, set at build time. Used if the configuration has none.
const BUILT_IN_ENDPOINT: Option<&str> = option_env!("MCPPROXY_TELEMETRY_ENDPOINT");
/// How long the store may take to save its last change when the core stops.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

impl RunFacts {
    /// Determines the facts. Records nothing until [`RunFacts::follow`] finds that telemetry allows it.
    pub fn new(root: &InstanceRoot, environment: &Environment) -> RunFacts {
        let launched_by = environment.get(names::ENV_LAUNCHED_BY);
        RunFacts {
            verdict: classify(&observe()),
            started_by: launch_source(launched_by, environment.get(names::ENV_TRAY_LAUNCHED_BY), stdin_is_terminal()),
            launched_by: launched_by.unwrap_or_default().to_owned(),
            do_not_track: environment.get(names::ENV_DO_NOT_TRACK).map(str::to_owned),
            own_variable: environment.get(names::ENV_TELEMETRY).map(str::to_owned),
            no_update_check: environment.get(names::ENV_DISABLE_AUTO_UPDATE).is_some_and(is_true),
            autostart: Mutex::new(AutostartReader::new(root)),
            recorder: Recorder::new(&root.store()),
            counts: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Returns whether data may be recorded or sent now, and why.
    pub fn consent(&self, telemetry: &TelemetryConfig) -> Consent {
        Consent::decide(&Switches {
            do_not_track: self.do_not_track.as_deref(),
            own_variable: self.own_variable.as_deref(),
            configured: telemetry.enabled,
            endpoint: endpoint(telemetry),
            notice_shown: telemetry.notice_shown,
        })
    }

    /// Starts or stops recording according to the settings.
    pub fn follow(&self, telemetry: &TelemetryConfig) {
        let consent = self.consent(telemetry);
        match (consent.may_record(), self.recorder.is_on()) {
            (true, false) => self.switch_on(),
            (false, true) => {
                self.recorder.switch_off();
                self.counts.clear();
                tracing::info!("{}", consent.reason());
            }
            _ => {}
        }
        if consent == Consent::Off(OptOut::OwnVariableUnclear) {
            tracing::warn!("{}", consent.reason());
        }
    }

    fn switch_on(&self) {
        let today = crate::os::clock::now().strftime("%Y-%m-%d").to_string();
        match self.recorder.switch_on(&today) {
            Ok(None) => {}
            Ok(Some(aside)) => {
                tracing::warn!("the store was corrupt and was replaced; the old one is `{}`", aside.display())
            }
            Err(error) => tracing::warn!("could not open the telemetry store: {error}"),
        }
        if self.started_by == LaunchSource::Installer {
            self.recorder.installer_started_us();
            // Saves it at once, so that a crash cannot lose it.
            let _ = self.recorder.flush(CLOSE_LIMIT);
        }
    }

    /// Returns the recorder of activation milestones.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Returns the usage counts.
    pub fn counts(&self) -> Arc<UsageCounts> {
        self.counts.clone()
    }

    /// Returns the value of the variable that the parent set, for `GET /api/v1/info`.
    pub fn launched_by(&self) -> &str {
        &self.launched_by
    }

    /// Whether a tray started this core, possibly for an installer. The tray's first-run window then shows the notice.
    pub fn started_by_tray(&self) -> bool {
        matches!(self.started_by, LaunchSource::Tray | LaunchSource::LoginItem | LaunchSource::Installer)
    }

    /// Whether the environment forbids automatic update checks.
    pub fn no_update_check(&self) -> bool {
        self.no_update_check
    }

    /// Whether this machine is a CI runner.
    pub fn in_ci(&self) -> bool {
        self.verdict.kind == EnvKind::Ci
    }

    /// Returns the kind of this machine, and the evidence.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns how this core was started; `installer` until a heartbeat with this value was accepted.
    pub fn launch_source(&self) -> LaunchSource {
        self.recorder.memory().map_or(self.started_by, |memory| memory.launch_source(self.started_by))
    }

    /// Returns the tray's last report on launch at login; `None` if there was none.
    pub fn autostart_enabled(&self) -> Option<bool> {
        self.autostart.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now())
    }

    /// Returns the activation milestones; `None` while telemetry is off.
    pub fn activation(&self) -> Option<Activation> {
        self.recorder.is_on().then(|| self.recorder.activation(crate::os::clock::now().as_second()))
    }

    /// Returns how long this core has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns all facts, for the command line.
    pub fn facts(&self) -> Facts {
        Facts {
            env_kind: Some(self.verdict.kind),
            env_markers: Some(self.verdict.markers),
            launch_source: Some(self.launch_source()),
            autostart_enabled: self.autostart_enabled(),
            activation: self.activation(),
        }
    }

    /// Saves pending changes.
    pub fn close(&self) {
        if self.recorder.is_on() {
            self.recorder.close(CLOSE_LIMIT);
        }
    }
}

/// Returns the telemetry endpoint; `None` if it is not configured.
pub fn endpoint(telemetry: &TelemetryConfig) -> Option<&str> {
    telemetry.endpoint.as_deref().filter(|endpoint| !endpoint.trim().is_empty()).or(BUILT_IN_ENDPOINT)
}

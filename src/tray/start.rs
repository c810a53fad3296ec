//! Prepares a start of the tray: the settings of the driver and the first-run question.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::autostart::Autostart;
use super::drive::Setting;
use super::drive::system::ThisSystem;
use super::first_run::{self, Circumstances, Question};
use super::journal::{self, Kind};
use super::model::Model;
use super::own_program::Program;
use super::preferences::Preferences;
use super::world::{ENV_NO_FIRST_RUN, VERSION, World};
use super::write_journal::Journal;
use super::{core_program, session, user_path, write_state};
use crate::client::Client;
use crate::contract::endpoint::{Endpoint, LocalAddress, LocalAddressOverrides};
use crate::contract::flag::is_on;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::Environment;
use crate::os::lock::Lock;

/// Advice for computers without a display.
pub(super) const WITHOUT_DISPLAY: &str = "run the core without the tray: `mcpproxy serve`";

/// The result of a start that ended before the event loop.
pub(super) enum Started {
    ElsewhereAlready(String),
}

/// Why the tray could not start.
pub(super) struct StartError {
    pub sentence: String,
    pub has_display: bool,
}

/// A start that owns its data directory.
pub(super) struct Opened {
    pub world: World,
    pub by_the_system: bool,
    pub root: InstanceRoot,
    pub home: PathBuf,
    /// Held until the tray ends.
    pub lock: Option<Lock>,
}

/// Prepares the driver's settings and the first-run question. Runs inside the event loop, because macOS reports only
/// then how the app was started.
pub(super) fn prepare(opened: &Opened) -> Result<(Setting, Model, Option<Question>), String> {
    let Opened { world, root, home, .. } = opened;
    let environment = &world.environment;
    let at_login = opened.by_the_system || session::launched_at_login();
    let start = TrayStart::read(at_login, environment.get(names::ENV_LAUNCHED_BY));
    tracing::info!("{} {VERSION} starts: {start:?}, {}", names::TRAY_PROGRAM, root.path().display());

    let autostart = Autostart::of_this_program(environment, home)
        .map_err(|error| format!("could not determine the path of this program: {error}"))?;
    autostart.correct_stale_path();
    let mut model = Model::new(VERSION, autostart.status());
    let (preferences, question) = first_question(environment, root, start, &mut model);
    model.starts_core = preferences.starts_core();

    let mut journal = Journal::open(root);
    if journal.after_unclean_end {
        tracing::warn!("the previous tray ended without logging it: it crashed, was killed, or its session ended");
    }
    let reason = journal::start_reason(start, journal.after_unclean_end);
    journal.record(Kind::AppLaunched, std::process::id(), reason);
    let own = world.executable.as_deref().unwrap_or(Path::new(""));
    let named_core = environment.non_empty(names::ENV_CORE_PATH);
    let setting = Setting {
        journal,
        bundled: core_program::bundled(Platform::HOST, named_core, own).filter(|core| core.is_file()).and_then(|_| {
            // Tray and core are built, packaged and upgraded together.
            semver::Version::parse(VERSION).ok()
        }),
        listen: environment.non_empty(names::ENV_LISTEN).map(str::to_owned),
        listen_is_named: environment.non_empty(names::ENV_LISTEN).is_some(),
        program: Program::remember(own),
        path: std::env::split_paths(environment.get("PATH").unwrap_or_default()).collect(),
        shell: shell(environment),
        single_instance: LocalAddress::of_tray(Platform::HOST, root, &world.user),
        system: Arc::new(ThisSystem::default()),
        client: Client::new(local_endpoint(world, root), "tray", VERSION),
        may_start: !environment.get(names::ENV_TRAY_SKIP_CORE).is_some_and(is_on),
        places: core_program::places(
            Platform::HOST,
            named_core,
            own,
            home,
            &std::env::split_paths(environment.get("PATH").unwrap_or_default()).collect::<Vec<PathBuf>>(),
        ),
        autostart,
        preferences,
        root: root.clone(),
        home: home.clone(),
        start,
    };
    Ok((setting, model, question))
}

/// The stored preferences and the first-run question, if it is due; the question is recorded before it is shown.
fn first_question(
    environment: &Environment,
    root: &InstanceRoot,
    start: TrayStart,
    model: &mut Model,
) -> (Preferences, Option<Question>) {
    let mut preferences = match write_state::read_preferences(root) {
        Ok(preferences) => preferences,
        Err(error) => {
            tracing::warn!("{error}; skipping the first-run window and leaving the file unchanged");
            return (Preferences::default(), None);
        }
    };
    let seen = Circumstances {
        start,
        ci: environment.get("CI").is_some_and(is_on),
        unwanted: environment.get(ENV_NO_FIRST_RUN).is_some_and(is_on),
        has_configuration: root.config().exists(),
        autostart: &model.autostart,
    };
    let Some((question, record)) = first_run::question(&seen, &preferences.first_run) else {
        return (preferences, None);
    };
    preferences.first_run = record;
    match write_state::preferences(root, &preferences) {
        Ok(()) => (preferences, Some(question)),
        Err(error) => {
            model.trouble = Some(error);
            (preferences, None)
        }
    }
}

/// The login shell to ask for PATH; `None` if the tray was started from a terminal, whose PATH is already the user's.
fn shell(environment: &Environment) -> Option<PathBuf> {
    let asked = !std::io::stdin().is_terminal() && environment.get(user_path::ENV_ASKING).is_none();
    asked.then(|| PathBuf::from(environment.non_empty("SHELL").unwrap_or("/bin/sh")))
}

fn local_endpoint(world: &World, root: &InstanceRoot) -> Endpoint {
    let overrides = LocalAddressOverrides {
        socket_path: world.environment.get(names::ENV_SOCKET_PATH),
        endpoint_url: world.environment.get(names::ENV_TRAY_ENDPOINT),
    };
    Endpoint::Local(LocalAddress::of(Platform::HOST, root, &world.user, overrides))
}

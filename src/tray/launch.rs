//! Launches the tray: takes the data directory for this process, opens the log and runs the event loop.

use super::event_loop::run_loop;
use super::single_instance::{InstanceRequest, send_blocking};
use super::start::{Opened, StartError, Started, WITHOUT_DISPLAY};
use super::world::{World, say};
use super::{display, write_log};
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::files;
use crate::os::lock::{Attempt, Lock};

/// Takes the data directory for this process and runs the event loop.
pub(super) fn launch(world: World, by_the_system: bool) -> Result<Started, StartError> {
    let environment = &world.environment;
    let has_display = display::is_named(Platform::HOST, environment);
    let fails = |sentence: String| StartError { sentence, has_display };
    if !has_display {
        let sentence = "no display is available (DISPLAY and WAYLAND_DISPLAY are not set)";
        return Err(fails(format!("{sentence}; {WITHOUT_DISPLAY}")));
    }
    let home = world.home.clone().ok_or_else(|| fails("could not find this user's home directory".to_owned()))?;
    let root = InstanceRoot::resolve(&home, environment.get(names::ENV_HOME));
    for directory in [root.path(), &root.logs()] {
        files::create_private_dir(directory).map_err(|error| {
            fails(format!(
                "could not use `{}`: {error}; {}, or set another data directory in {}",
                directory.display(),
                files::remedy(directory, &error),
                names::ENV_HOME
            ))
        })?;
    }
    let lock = match Lock::attempt(&root.tray_lock()) {
        Ok(Attempt::Held(lock)) => lock,
        Ok(Attempt::Taken { pid }) => {
            let process = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            if !by_the_system && let Err(error) = send_blocking(&world, &root, InstanceRequest::Show) {
                say(&format!("MCPProxy is running but not responding: {error}"));
            }
            return Ok(Started::ElsewhereAlready(format!(
                "MCPProxy is already running{process}; look for its icon in the notification area"
            )));
        }
        Err(error) => {
            let (path, remedy) = (root.tray_lock(), files::remedy(&root.tray_lock(), &error));
            return Err(fails(format!("could not use `{}`: {error}; {remedy}", path.display())));
        }
    };
    if let Err(error) = write_log::begin(&root.logs(), environment.get(names::ENV_LOG)) {
        say(&format!("logging is disabled: {error}"));
    }
    run_loop(Opened {
        world,
        by_the_system,
        root,
        home,
        lock: Some(lock),
    })
}

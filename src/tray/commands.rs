//! Commands that do not start the tray: `--quit`, `--unregister`, `--add-to-path`.

#[cfg(windows)]
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::autostart::{Autostart, write_sidecar};
use super::single_instance::{InstanceRequest, send_blocking};
#[cfg(windows)]
use super::terminal_path;
use super::world::{World, say};
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::os::lock::{Attempt, Lock};

/// Time limit of `--quit`. Stopping the core takes at most 10 s: request, terminate, kill.
const LONGEST_QUIT: Duration = Duration::from_secs(15);

/// Quits the running tray and waits until it has ended.
pub(super) fn quit(world: &World) -> ExitCode {
    let Some(home) = &world.home else {
        say("could not find this user's home directory");
        return ExitCode::FAILURE;
    };
    let root = InstanceRoot::resolve(home, world.environment.get(names::ENV_HOME));
    if !root.tray_lock().exists() {
        return ExitCode::SUCCESS;
    }
    let mut requested = false;
    let began = Instant::now();
    while began.elapsed() < LONGEST_QUIT {
        match Lock::attempt(&root.tray_lock()) {
            Ok(Attempt::Held(_)) => return ExitCode::SUCCESS,
            Ok(Attempt::Taken { .. }) if !std::mem::replace(&mut requested, true) => {
                if let Err(error) = send_blocking(world, &root, InstanceRequest::Quit) {
                    say(&format!("MCPProxy is running but not responding: {error}"));
                    return ExitCode::FAILURE;
                }
            }
            Ok(Attempt::Taken { .. }) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => {
                say(&format!("could not use `{}`: {error}", root.tray_lock().display()));
                return ExitCode::FAILURE;
            }
        }
    }
    say("MCPProxy has not quit yet");
    ExitCode::FAILURE
}

/// Removes the launch-at-login entry.
pub(super) fn unregister(world: &World) -> ExitCode {
    let Some(home) = &world.home else {
        say("could not find this user's home directory");
        return ExitCode::FAILURE;
    };
    let root = InstanceRoot::resolve(home, world.environment.get(names::ENV_HOME));
    let done =
        Autostart::of_this_program(&world.environment, home).map_err(|error| error.to_string()).and_then(|system| {
            system.unregister()?;
            if !root.path().is_dir() {
                return Ok(());
            }
            write_sidecar(&root, &system.status(), crate::os::clock::now()).map_err(|error| error.to_string())
        });
    #[cfg(windows)]
    let done = done.and(own_folder(world).and_then(terminal_path::remove));
    exit_code(done)
}

#[cfg(windows)]
pub(super) fn add_to_path(world: &World) -> ExitCode {
    exit_code(own_folder(world).and_then(terminal_path::add))
}

#[cfg(not(windows))]
pub(super) fn add_to_path(_: &World) -> ExitCode {
    exit_code(Err(
        "--add-to-path works only on Windows; on other systems the package installs the programs into PATH".to_owned()
    ))
}

#[cfg(windows)]
fn own_folder(world: &World) -> Result<&Path, String> {
    world
        .executable
        .as_deref()
        .and_then(Path::parent)
        .ok_or_else(|| "could not determine the path of this program".into())
}

fn exit_code(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

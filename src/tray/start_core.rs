//! Starts a core that outlives this tray, and reads the end of its standard error.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::core_program;
use super::supervisor::Failure;
use super::user_path;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::contract::names;
use crate::os::files;

/// Number of bytes of the core's standard error to read. A crash report of the Go core begins with the reason and may be
/// longer than 64 KiB.
const LAST_WORDS: u64 = 512 << 10;

/// The settings of one start.
pub(super) struct CoreStart<'a> {
    /// Paths of the program, best first.
    pub places: &'a [PathBuf],
    pub root: &'a InstanceRoot,
    pub home: &'a Path,
    /// Address to listen on; `None` for the configured one.
    pub listen: Option<&'a str>,
    /// PATH of the core.
    pub path: &'a [PathBuf],
    pub start: TrayStart,
    /// Whether this tray starts its first core.
    pub first: bool,
}

/// Starts the first program of `places` that exists.
///
/// # Errors
/// [`Failure`]: no program exists, or the system could not start it.
pub(super) fn start(core: &CoreStart<'_>) -> Result<Child, Failure> {
    let CoreStart { places, root, home, .. } = *core;
    let Some(program) = places.iter().find(|place| place.is_file()) else {
        let tried: Vec<String> = places.iter().take(3).map(|place| format!("`{}`", place.display())).collect();
        return Err(Failure::no_program(format!("there is no program at {}", tried.join(", "))));
    };
    let errors = root.core_stderr();
    let stderr = files::new_private(&errors)
        .map_err(|error| Failure::not_started(format!("could not write `{}`: {error}", errors.display())))?;
    let mut command = Command::new(program);
    command.args(core_program::arguments(root)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    for name in core_program::NOT_INHERITED {
        command.env_remove(name);
    }
    command.envs(core_program::variables(core.start, core.first));
    command.envs(user_path::joined(core.path).map(|path| ("PATH", path)));
    command.envs(core.listen.map(|address| (names::ENV_LISTEN, address)));
    if home.is_dir() {
        command.current_dir(home);
    }
    #[cfg(unix)]
    command.process_group(0); // Ctrl-C in the tray's terminal must not reach the core
    #[cfg(windows)]
    command.creation_flags(windows_sys::Win32::System::Threading::CREATE_NO_WINDOW);
    command.spawn().map_err(|error| Failure::not_started(format!("`{}`: {error}", program.display())))
}

/// The end of the last core's standard error.
pub(super) fn last_words(root: &InstanceRoot) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(root.core_stderr())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
        let mut bytes = Vec::new();
        file.take(LAST_WORDS).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

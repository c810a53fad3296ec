//! Counts the AI clients on this computer whose configuration names this proxy. Reads, and never writes.

use crate::contract::platform::Platform;
use crate::core::ai_clients::{files, names_proxy};
use crate::os::environment::home_directory;
use crate::os::files::read_bounded;

/// Claude Code keeps a project's history in its file: some megabytes are usual.
const LARGEST: u64 = 64 << 20;

/// How many clients name the proxy that listens on `listen`. Reads a few files: not a task's work.
pub fn count_clients(listen: &str) -> u32 {
    let Some(home) = home_directory() else { return 0 };
    let settings = dirs::config_dir();
    let names = |places: &Vec<std::path::PathBuf>| {
        let text = places.iter().find_map(|path| read_bounded(path, LARGEST).ok());
        text.is_some_and(|text| names_proxy(&String::from_utf8_lossy(&text), listen))
    };
    let count = files(Platform::HOST, &home, settings.as_deref()).iter().filter(|places| names(places)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

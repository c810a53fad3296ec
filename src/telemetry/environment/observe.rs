//! Observes this machine once: declared variables and a declared list of files, nothing else.

use std::io::IsTerminal;
use std::path::Path;

use crate::os::environment::Environment;
use crate::os::files;
use crate::telemetry::environment::container;
use crate::telemetry::environment::declared_variables;
use crate::telemetry::environment::observation::Observation;

/// Maximum size of a file to read. A longer one, such as `mountinfo` of a busy host, counts as not observed.
const TEXT_LIMIT: u64 = 256 * 1024;

/// Observes the machine that this process runs on. Takes well under a millisecond. Call it once per process.
///
/// `files` contains only paths that certainly exist: an absent path and any error count as not observed.
pub fn observe() -> Observation {
    let declared = declared_variables();
    let wanted = |name: &str| match cfg!(windows) {
        true => declared.iter().any(|declared| declared.eq_ignore_ascii_case(name)),
        false => declared.binary_search(&name).is_ok(),
    };
    let env = Environment::read(wanted);
    let mut seen = Observation {
        os: std::env::consts::OS.to_owned(),
        env: env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        tty: std::io::stdin().is_terminal(),
        ..Observation::default()
    };
    if cfg!(unix) && !cfg!(target_os = "macos") {
        look_at_files(&mut seen);
    }
    seen
}

fn look_at_files(seen: &mut Observation) {
    for path in container::FILES {
        if std::fs::metadata(Path::new(path)).is_ok() {
            seen.files.insert((*path).to_owned());
        }
    }
    for path in container::TEXTS {
        if let Ok(bytes) = files::read_bounded(Path::new(path), TEXT_LIMIT) {
            seen.file_contents.insert((*path).to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_observed_with_declared_names_only() {
        let seen = observe();
        assert_eq!(seen.os, std::env::consts::OS);
        let declared = declared_variables();
        assert!(seen.env.keys().all(|name| declared.iter().any(|d| d.eq_ignore_ascii_case(name))));
    }
}

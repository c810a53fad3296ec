//! Reads and writes the tray's own files.

use std::io;

use super::preferences::Preferences;
use crate::contract::instance_root::InstanceRoot;
use crate::os::files;

/// Maximum size of a file in bytes. No tray writes a larger one.
const LONGEST_FILE: u64 = 1 << 20;

/// Reads `tray.json`. A missing file means a new user.
///
/// # Errors
/// The file exists and could not be read; the message says why. The caller must not overwrite it.
pub(super) fn read_preferences(root: &InstanceRoot) -> Result<Preferences, String> {
    let path = root.tray_preferences();
    match files::read_bounded(&path, LONGEST_FILE) {
        Ok(bytes) => Preferences::read(&bytes).map_err(|error| format!("`{}`: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Preferences::default()),
        Err(error) => Err(format!("could not read `{}`: {error}", path.display())),
    }
}

/// Replaces `tray.json`, unless the existing file cannot be read.
///
/// # Errors
/// The file could not be written; the message is for the menu.
pub(super) fn preferences(root: &InstanceRoot, preferences: &Preferences) -> Result<(), String> {
    read_preferences(root)?;
    let path = root.tray_preferences();
    files::replace_private(&path, &preferences.bytes())
        .map_err(|error| format!("could not write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn root(directory: &Path) -> InstanceRoot {
        InstanceRoot::resolve(Path::new("/home/ann"), directory.to_str())
    }

    #[test]
    fn a_file_that_cannot_be_read_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        files::replace_private(&root.tray_preferences(), b"{ my notes").unwrap();
        assert!(preferences(&root, &Preferences::default()).is_err());
        assert_eq!(std::fs::read(root.tray_preferences()).unwrap(), b"{ my notes");
    }
}

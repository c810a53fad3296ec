//! Writes `tray-autostart.json`, from which the core learns whether launch at login is on.

use std::io;

use super::status::Status;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::sidecar::Sidecar;
use crate::os::files;

/// Writes the reported state to the sidecar; removes the file if launch at login is not available.
///
/// # Errors
/// The system's error. The old file is then unchanged.
pub fn write_sidecar(root: &InstanceRoot, status: &Status, now: jiff::Timestamp) -> io::Result<()> {
    let path = root.sidecar();
    match status.sidecar_state() {
        Some(state) => {
            let sidecar = Sidecar::new(state, format!("{now:.0}"));
            let mut text = serde_json::to_string(&sidecar)?;
            text.push('\n');
            files::replace_private(&path, text.as_bytes())
        }
        None => match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sidecar_says_what_the_system_says() {
        let directory = tempfile::tempdir().unwrap();
        let root = InstanceRoot::resolve(directory.path(), directory.path().to_str());
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let written = |status: Status| {
            write_sidecar(&root, &status, now).unwrap();
            std::fs::read_to_string(root.sidecar()).ok()
        };
        let text = written(Status::Enabled).unwrap();
        assert_eq!(text, "{\"enabled\":true,\"state\":\"enabled\",\"updated_at\":\"2027-01-15T08:00:00Z\"}\n");
        assert!(written(Status::DisabledInSystem).unwrap().contains("\"enabled\":false,\"state\":\"disabled\""));
        assert_eq!(written(Status::Impossible("x".into())), None);
    }
}

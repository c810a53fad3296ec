//! `tray-autostart.json`: the tray reports to the core whether launch at login is on.

use serde::{Deserialize, Serialize};

/// The state of launch at login when the file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutostartState {
    Enabled,
    Disabled,
    /// Registered, but the user has not allowed it in the system settings yet (macOS).
    RequiresApproval,
}

/// The file's content. The Go core reads only `enabled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    pub enabled: bool,
    /// Absent in files from older trays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AutostartState>,
    /// RFC 3339, UTC, whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
}

impl Sidecar {
    /// Returns the content for a state; `enabled` is true only for [`AutostartState::Enabled`].
    pub fn new(state: AutostartState, updated_at: String) -> Sidecar {
        Sidecar {
            enabled: state == AutostartState::Enabled,
            state: Some(state),
            updated_at: Some(updated_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_as_both_trays_write_it() {
        let ours = Sidecar::new(AutostartState::RequiresApproval, "2026-01-02T03:04:05Z".into());
        assert_eq!(
            serde_json::to_string(&ours).unwrap(),
            r#"{"enabled":false,"state":"requires_approval","updated_at":"2026-01-02T03:04:05Z"}"#
        );
        let theirs: Sidecar = serde_json::from_str(r#"{"updated_at":"2026-01-02T03:04:05Z","enabled":true}"#).unwrap();
        assert!(theirs.enabled);
    }
}

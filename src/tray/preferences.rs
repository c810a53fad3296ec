//! `tray.json`: the user's choices and what the tray has already shown.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The content of the file. Keeps keys of later versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    #[serde(default)]
    pub first_run: FirstRun,
    /// *Start core automatically*; absent until the user has chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_core: Option<bool>,
    /// The user has seen the message about desktops without tray icons.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_no_tray_host: bool,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The record of the first-run question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRun {
    /// How often the window was shown.
    #[serde(default)]
    pub asked: u32,
    /// Whether there was a configuration before the first time.
    #[serde(default)]
    pub had_configuration: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Launch>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The answer: whether to start MCPProxy at login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launch {
    Yes,
    No,
}

impl Preferences {
    /// Whether the tray starts a core when it starts.
    pub fn starts_core(&self) -> bool {
        self.start_core.unwrap_or(true)
    }

    /// Parses the file's bytes.
    ///
    /// # Errors
    /// A description of the problem. The caller must not overwrite such a file.
    pub fn read(bytes: &[u8]) -> Result<Preferences, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub fn bytes(&self) -> Vec<u8> {
        // Serializing maps of strings and numbers cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_version_are_kept() {
        let text = br#"{"theme":"dark","first_run":{"asked":1,"answer":"no","at":"x"}}"#;
        let read = Preferences::read(text).unwrap();
        assert_eq!((read.first_run.asked, read.first_run.answer), (1, Some(Launch::No)));
        let again: Value = serde_json::from_slice(&read.bytes()).unwrap();
        assert_eq!((&again["theme"], &again["first_run"]["at"]), (&"dark".into(), &"x".into()));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        assert!(Preferences::read(b"{").is_err());
        assert!(Preferences::read(b"[]").is_err());
        assert!(Preferences::read(br#"{"first_run":{"answer":"perhaps"}}"#).is_err());
    }
}

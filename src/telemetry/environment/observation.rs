//! An observation of a machine as a plain value: the only input of [`crate::telemetry::environment::classify`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::telemetry::environment::vendors::Variables;

/// One observation of a machine. Parses JSON leniently: a missing, `null` or mistyped value counts as not observed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observation {
    /// A value of `std::env::consts::OS` (`linux`, `macos`, `windows`, `freebsd`). Also accepts Go's and Node's names.
    #[serde(deserialize_with = "lenient_text")]
    pub os: String,
    /// The declared environment variables that are set, with their values.
    #[serde(deserialize_with = "lenient_map")]
    pub env: BTreeMap<String, String>,
    /// Paths that certainly exist. Leaves out paths that could not be probed: unknown is never true.
    #[serde(deserialize_with = "lenient_set")]
    pub files: BTreeSet<String>,
    /// Content of small files, by path.
    #[serde(deserialize_with = "lenient_map")]
    pub file_contents: BTreeMap<String, String>,
    /// Whether standard input is a terminal.
    #[serde(deserialize_with = "lenient_flag")]
    pub tty: bool,
}

/// The operating system, as far as the rules distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Linux,
    MacOs,
    Windows,
    /// FreeBSD and every other value.
    Other,
}

impl Observation {
    pub(crate) fn system(&self) -> System {
        match self.os.trim().to_ascii_lowercase().as_str() {
            "linux" => System::Linux,
            "macos" | "darwin" => System::MacOs,
            "windows" | "win32" => System::Windows,
            _ => System::Other,
        }
    }

    /// Whether the path certainly exists: it was probed, or its content was read.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.contains(path) || self.file_contents.contains_key(path)
    }

    /// The content of a small file; empty if it was not read.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.file_contents.get(path).map_or("", String::as_str)
    }
}

impl Variables for Observation {
    /// Compares names case-insensitively on Windows only, as the system does.
    fn value(&self, name: &str) -> Option<&str> {
        let exact = self.env.get(name).map(String::as_str);
        if exact.is_some() || self.system() != System::Windows {
            return exact;
        }
        let mut others = self.env.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        others.next().map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Observation {
    /// Prints names and paths only: a value may be a secret, and debug output ends in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observation")
            .field("os", &self.os)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("files", &self.files)
            .field("file_contents", &self.file_contents.keys().collect::<Vec<_>>())
            .field("tty", &self.tty)
            .finish()
    }
}

/// A JSON value as the environment would store it. `null`, arrays and objects count as not observed.
fn text_of(value: serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(text_of(serde_json::Value::deserialize(deserializer)?).unwrap_or_default())
}

fn lenient_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)? == serde_json::Value::Bool(true))
}

fn lenient_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let serde_json::Value::Object(map) = serde_json::Value::deserialize(deserializer)? else {
        return Ok(BTreeMap::new());
    };
    Ok(map.into_iter().filter_map(|(name, value)| Some((name, text_of(value)?))).collect())
}

fn lenient_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Array(items) => items.into_iter().filter_map(text_of).collect(),
        serde_json::Value::Object(map) => {
            map.into_iter().filter(|(_, value)| *value == serde_json::Value::Bool(true)).map(|(path, _)| path).collect()
        }
        _ => BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_reads_from_any_json_object() {
        let empty: Observation = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Observation::default());
        let odd: Observation = serde_json::from_str(
            r#"{"os":7,"env":{"CI":true,"RUN_ID":0,"X":null,"Y":[1]},"files":null,"file_contents":[],"tty":"yes"}"#,
        )
        .unwrap();
        assert_eq!(odd.value("CI"), Some("true"));
        assert_eq!(odd.value("RUN_ID"), Some("0"));
        assert_eq!(odd.value("X"), None);
        assert!(!odd.tty);
    }

    #[test]
    fn variable_names_ignore_case_on_windows_only() {
        let mut seen = Observation {
            os: "windows".into(),
            env: [("Tf_Build".to_owned(), "True".to_owned())].into(),
            ..Observation::default()
        };
        assert!(seen.flag("TF_BUILD"));
        seen.os = "linux".into();
        assert!(!seen.flag("TF_BUILD"));
    }

    #[test]
    fn debug_output_has_no_values() {
        let seen = Observation {
            env: [("TOKEN".to_owned(), "s3cret".to_owned())].into(),
            ..Observation::default()
        };
        assert!(!format!("{seen:?}").contains("s3cret"));
    }
}

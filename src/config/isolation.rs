//! How far a server is shut off from this computer: `docker_isolation` for all, `isolation` of an entry for one.
//!
//! Keys and precedence are those of the Go core; `auto`, `sandbox_or_none`, `network`, `read` and `write` are ours.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::deserialize::{null_as_default, optional_duration, string_or_none};

/// The kind of isolation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing: it runs as any other program of yours.
    #[default]
    None,
    /// The best that this machine offers.
    Auto,
    /// The system's own sandbox; the server does not start where there is none.
    Sandbox,
    /// The system's own sandbox, or nothing where there is none.
    SandboxOrNone,
    /// A container of Docker or Podman.
    Container,
    /// A word that this version does not know: the server does not start.
    Unknown(String),
}

impl Mode {
    /// The word as it stands in the file.
    pub fn word(&self) -> &str {
        match self {
            Mode::None => "none",
            Mode::Auto => "auto",
            Mode::Sandbox => "sandbox",
            Mode::SandboxOrNone => "sandbox_or_none",
            Mode::Container => "docker",
            Mode::Unknown(word) => word,
        }
    }
}

impl From<&str> for Mode {
    fn from(word: &str) -> Mode {
        match word {
            "none" => Mode::None,
            "auto" => Mode::Auto,
            "sandbox" => Mode::Sandbox,
            "sandbox_or_none" => Mode::SandboxOrNone,
            "docker" | "podman" | "container" => Mode::Container,
            other => Mode::Unknown(other.to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        String::deserialize(deserializer).map(|word| Mode::from(word.as_str()))
    }
}

/// Which network a server reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// No network.
    Off,
    /// This computer only.
    Loopback,
    /// Everything that you reach.
    #[default]
    On,
}

/// Isolation from this computer: `docker_isolation` for all servers, `isolation` for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IsolationKeys {
    /// `true` in `docker_isolation` means `docker`, unless `mode` is set; `false` in `isolation` means `none`.
    #[schemars(title = "Docker isolation")]
    pub enabled: Option<bool>,
    /// How servers are kept from your files and the network: `auto`, `sandbox`, `sandbox_or_none`, `docker` or `none`.
    /// Takes precedence over `enabled`.
    #[serde(deserialize_with = "mode_or_none")]
    #[schemars(with = "Option<String>", title = "Isolation", extend("enum" = ["auto", "sandbox", "sandbox_or_none", "docker", "none", null]))]
    pub mode: Option<Mode>,
    /// Container image of one server.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Container image")]
    pub image: Option<String>,
    /// Container images by program, such as `{"npx": "node:24"}`. Only in `docker_isolation`.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<BTreeMap<String, String>>", title = "Container images by program")]
    pub default_images: BTreeMap<String, String>,
    /// Registry of container images that name none. Default: `docker.io`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Registry of container images")]
    pub registry: Option<String>,
    /// `--network` of the container. Default: `bridge`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Network of the container")]
    pub network_mode: Option<String>,
    /// What servers reach: nothing (`off`), this computer only (`loopback`) or everything (`on`, the default).
    #[schemars(title = "Network access")]
    pub network: Option<Network>,
    /// Memory limit of the container. Default: `1g`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Memory of a container")]
    pub memory_limit: Option<String>,
    /// Processor limit of the container. Default: `2`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Processors of a container")]
    pub cpu_limit: Option<String>,
    /// Most processes in the container. Default: 512.
    #[schemars(title = "Processes in a container")]
    pub pids_limit: Option<u32>,
    /// Longest duration of a pull, if more than 10 minutes.
    #[serde(deserialize_with = "optional_duration")]
    #[schemars(with = "Option<String>", title = "Longest pull of an image")]
    pub timeout: Option<Duration>,
    /// More arguments of `docker run` or `podman run`.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>", title = "More arguments for the container")]
    pub extra_args: Vec<String>,
    /// Working directory inside the container.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Working directory in the container")]
    pub working_dir: Option<String>,
    /// `false` keeps no packages between two starts of a container.
    #[schemars(title = "Keep packages between starts")]
    pub enable_cache_volume: Option<bool>,
    /// Log driver of the container. Default: `none`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Log driver of the container")]
    pub log_driver: Option<String>,
    /// Largest log of the container, with `json-file`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Largest container log")]
    pub log_max_size: Option<String>,
    /// Most logs of the container, with `json-file`.
    #[serde(deserialize_with = "string_or_none")]
    #[schemars(title = "Container logs to keep")]
    pub log_max_files: Option<String>,
    /// More paths that the server may read.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<PathBuf>>", title = "Folders that may be read")]
    pub read: Vec<PathBuf>,
    /// More paths that the server may read and write.
    #[serde(deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<PathBuf>>", title = "Folders that may be changed")]
    pub write: Vec<PathBuf>,
}

/// The isolation of one server, with its own and the global settings taken into account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isolation {
    pub mode: Mode,
    pub image: Option<String>,
    pub default_images: BTreeMap<String, String>,
    pub registry: Option<String>,
    pub network_mode: Option<String>,
    pub network: Network,
    pub memory_limit: Option<String>,
    pub cpu_limit: Option<String>,
    pub pids_limit: Option<u32>,
    pub timeout: Option<Duration>,
    pub extra_args: Vec<String>,
    pub working_dir: Option<String>,
    pub no_cache_volume: bool,
    pub log_driver: Option<String>,
    pub log_max_size: Option<String>,
    pub log_max_files: Option<String>,
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    /// The start only lists the tools of a server before its approval: this directory is all that it may write to, and of the
    /// files that the entry names it reads code at most.
    pub inspection: Option<PathBuf>,
}

impl IsolationKeys {
    /// Combines the keys of an entry with those for all servers.
    pub fn within(&self, all: &IsolationKeys) -> Isolation {
        let either = |own: &Option<String>, all: &Option<String>| own.clone().or_else(|| all.clone());
        Isolation {
            mode: self.mode_within(all),
            image: self.image.clone(),
            default_images: all.default_images.clone(),
            registry: either(&self.registry, &all.registry),
            network_mode: either(&self.network_mode, &all.network_mode),
            network: self.network.or(all.network).unwrap_or_default(),
            memory_limit: either(&self.memory_limit, &all.memory_limit),
            cpu_limit: either(&self.cpu_limit, &all.cpu_limit),
            pids_limit: self.pids_limit.or(all.pids_limit),
            timeout: self.timeout.or(all.timeout),
            extra_args: all.extra_args.iter().chain(&self.extra_args).cloned().collect(),
            working_dir: self.working_dir.clone(),
            no_cache_volume: self.enable_cache_volume.or(all.enable_cache_volume) == Some(false),
            log_driver: either(&self.log_driver, &all.log_driver),
            log_max_size: either(&self.log_max_size, &all.log_max_size),
            log_max_files: either(&self.log_max_files, &all.log_max_files),
            read: all.read.iter().chain(&self.read).cloned().collect(),
            write: all.write.iter().chain(&self.write).cloned().collect(),
            inspection: None,
        }
    }

    fn mode_within(&self, all: &IsolationKeys) -> Mode {
        if let Some(mode) = &self.mode {
            return mode.clone();
        }
        if self.enabled == Some(false) {
            return Mode::None;
        }
        match (&all.mode, all.enabled) {
            (Some(mode), _) => mode.clone(),
            (None, Some(true)) => Mode::Container,
            (None, _) => Mode::None,
        }
    }
}

/// The Go core writes an empty string for an unset value.
fn mode_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mode>, D::Error> {
    Ok(string_or_none(deserializer)?.map(|word| Mode::from(word.as_str())))
}

/// `isolation` of an entry: an object, or one word for its mode.
pub fn keys_or_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IsolationKeys, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Word(Mode),
        Keys(Box<IsolationKeys>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => IsolationKeys::default(),
        Some(Written::Word(mode)) => IsolationKeys {
            mode: Some(mode),
            ..IsolationKeys::default()
        },
        Some(Written::Keys(keys)) => *keys,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn isolation(all: &str, own: &str) -> Isolation {
        let text = format!(
            r#"{{"docker_isolation": {all}, "mcpServers": [{{"name": "s", "isolation": {own}, "command": "npx"}}]}}"#
        );
        Config::parse(Path::new("/c.json"), &text).unwrap().servers[0].isolation.clone()
    }

    #[test]
    fn the_mode_is_found_by_the_go_cores_rules() {
        for (all, own, expected) in [
            ("null", "null", Mode::None),
            (r#"{"enabled": true}"#, "null", Mode::Container),
            (r#"{"enabled": true, "default_images": {}}"#, r#"{"image": "x"}"#, Mode::Container),
            (r#"{"enabled": true}"#, r#"{"enabled": false}"#, Mode::None),
            (r#"{"enabled": true}"#, r#"{"enabled": false, "mode": "none"}"#, Mode::None),
            (r#"{"enabled": false}"#, r#"{"enabled": true}"#, Mode::None),
            (r#"{"enabled": false}"#, r#"{"mode": "docker"}"#, Mode::Container),
            (r#"{"mode": "sandbox"}"#, "{}", Mode::Sandbox),
            (r#"{"enabled": true, "mode": "none"}"#, "{}", Mode::None),
            (r#"{"enabled": true, "mode": ""}"#, "{}", Mode::Container),
            ("null", r#""auto""#, Mode::Auto),
            ("null", r#""sandbox_or_none""#, Mode::SandboxOrNone),
            (r#"{"enabled": true}"#, r#""none""#, Mode::None),
            ("null", r#""vault""#, Mode::Unknown("vault".to_owned())),
        ] {
            assert_eq!(isolation(all, own).mode, expected, "{all} {own}");
        }
    }

    #[test]
    fn the_keys_of_an_entry_come_before_those_of_all() {
        let all = r#"{"enabled": true, "memory_limit": "512m", "network_mode": "bridge", "extra_args": ["--a"],
                      "timeout": "30s", "network": "on", "read": ["/data"]}"#;
        let own = r#"{"network_mode": "none", "extra_args": ["--b"], "pids_limit": 9, "network": "off", "write": ["/w"],
                      "enable_cache_volume": false}"#;
        let isolation = isolation(all, own);
        assert_eq!(isolation.memory_limit.as_deref(), Some("512m"));
        assert_eq!(isolation.network_mode.as_deref(), Some("none"));
        assert_eq!(isolation.extra_args, ["--a", "--b"]);
        assert_eq!((isolation.pids_limit, isolation.network, isolation.no_cache_volume), (Some(9), Network::Off, true));
        assert_eq!(isolation.timeout, Some(Duration::from_secs(30)));
        assert_eq!((isolation.read, isolation.write), (vec!["/data".into()], vec!["/w".into()]));
    }
}

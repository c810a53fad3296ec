//! The single values of a payload: identifiers, versions, times, counts and flags.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::contract::run_facts::{EnvKind, EnvMarkers, LaunchSource, TokensSavedBucket};
use crate::telemetry::payload::client_name;
use crate::telemetry::payload::schema::{Allowed, Field, Pattern, Rule};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AnonymousId(pub(super) String);

impl AnonymousId {
    /// Keeps an existing id unchanged; `None` unless it is a UUIDv4 (a version 1 would contain a network address).
    pub fn existing(text: &str) -> Option<AnonymousId> {
        is_uuid_v4(text).then(|| AnonymousId(text.to_owned()))
    }

    /// A new random id.
    pub fn random() -> AnonymousId {
        AnonymousId(Uuid::new_v4().to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_uuid_v4(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => *byte == b'4',
            19 => b"89abAB".contains(byte),
            _ => byte.is_ascii_hexdigit(),
        })
}

impl Allowed for AnonymousId {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "uuid_v4",
        expression: "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$",
        matches: is_uuid_v4,
    });
}

/// A version number: numbers and a pre-release stage from a closed set. Empty if there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Version(String);

impl Version {
    /// The version if it has the closed form, else empty: the name of a private build stays private.
    pub fn new(text: &str) -> Version {
        Version(if is_version(text) { text.to_owned() } else { String::new() })
    }
}

/// Matches `v?N.N.N`, then at most one of `-alpha`, `-beta`, `-rc`, `-dev`, `-next` with an optional number. Each
/// number has one to five digits.
pub fn is_version(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let (core, stage) = match text.split_once('-') {
        None => (text, None),
        Some((core, stage)) => (core, Some(stage)),
    };
    let number = |part: &str| (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let core = core.strip_prefix('v').unwrap_or(core);
    let staged = stage.is_none_or(|stage| {
        ["alpha", "beta", "rc", "dev", "next"]
            .iter()
            .filter_map(|word| stage.strip_prefix(word))
            .any(|rest| rest.is_empty() || number(rest.strip_prefix('.').unwrap_or(rest)))
    });
    staged && core.split('.').count() == 3 && core.split('.').all(number)
}

impl Allowed for Version {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "version",
        expression: "^(v?[0-9]{1,5}\\.[0-9]{1,5}\\.[0-9]{1,5}(-(alpha|beta|rc|dev|next)(\\.?[0-9]{1,5})?)?)?$",
        matches: is_version,
    });
}

/// The language runtime: `rust1.95` here, `go1.24.3` in the Go core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RuntimeVersion(String);

impl RuntimeVersion {
    /// The runtime that this program was built with.
    pub fn this() -> RuntimeVersion {
        RuntimeVersion(concat!("rust", env!("CARGO_PKG_RUST_VERSION")).to_owned())
    }
}

fn is_runtime_version(text: &str) -> bool {
    let Some(numbers) = text.strip_prefix("go").or_else(|| text.strip_prefix("rust")) else {
        return false;
    };
    let (numbers, candidate) = numbers.split_once("rc").unwrap_or((numbers, "0"));
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (2..=3).contains(&numbers.split('.').count()) && numbers.split('.').all(number) && number(candidate)
}

impl Allowed for RuntimeVersion {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "runtime_version",
        expression: "^(go|rust)[0-9]{1,3}(\\.[0-9]{1,3}){1,2}(rc[0-9]{1,3})?$",
        matches: is_runtime_version,
    });
}

/// A time: UTC, whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Moment(String);

impl Moment {
    /// The time for a Unix time in seconds; the epoch if no calendar date exists for it.
    pub fn from_unix(seconds: i64) -> Moment {
        Moment(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string())
    }

    /// Keeps a string that already has the form.
    pub fn existing(text: &str) -> Option<Moment> {
        is_moment(text).then(|| Moment(text.to_owned()))
    }
}

/// Matches `YYYY-MM-DDTHH:MM:SSZ`, with an optional fraction of up to nine digits, as Go writes it.
fn is_moment(text: &str) -> bool {
    let Some((whole, rest)) = text.split_at_checked(19) else { return false };
    let digits = whole.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == *form,
    });
    let zone = rest == "Z"
        || rest.strip_prefix('.').and_then(|rest| rest.strip_suffix('Z')).is_some_and(|fraction| {
            (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit())
        });
    digits && zone
}

impl Allowed for Moment {
    const RULE: Rule = Rule::Pattern(&Pattern {
        name: "moment",
        expression: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$",
        matches: is_moment,
    });
}

/// A count with a maximum that no honest machine exceeds: a larger number could encode a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count(pub(super) u64);

const MOST: u64 = 1_000_000_000;

impl From<u64> for Count {
    fn from(count: u64) -> Count {
        Count(count.min(MOST))
    }
}

impl From<u32> for Count {
    fn from(count: u32) -> Count {
        Count::from(u64::from(count))
    }
}

impl Allowed for Count {
    const RULE: Rule = Rule::Count(MOST);
}

/// The version number of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SchemaVersion(pub(super) u8);

impl Allowed for SchemaVersion {
    const RULE: Rule = Rule::Count(3);
}

/// Yes, no, or unknown (`null`, always present).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Known(pub Option<bool>);

impl Allowed for Known {
    const RULE: Rule = Rule::BoolOrNull;
}

impl Allowed for EnvKind {
    const RULE: Rule = Rule::Words(&["interactive", "ci", "cloud_ide", "container", "headless", "unknown"]);
}

impl Allowed for EnvMarkers {
    const RULE: Rule = Rule::Object(&[
        marker("has_ci_env", "The environment contains a CI variable. Example: `false`."),
        marker("has_cloud_ide_env", "The environment contains a cloud IDE's variable. Example: `false`."),
        marker("is_container", "The process runs in a container. Example: `false`."),
        marker("has_tty", "Standard input is a terminal. Example: `true`."),
        marker("has_display", "`DISPLAY` or `WAYLAND_DISPLAY` is set. Example: `true`."),
    ]);
}

const fn marker(name: &'static str, doc: &'static str) -> Field {
    Field {
        name,
        doc,
        optional: false,
        rule: &Rule::Bool,
    }
}

impl Allowed for LaunchSource {
    const RULE: Rule = Rule::Words(&["installer", "tray", "login_item", "cli", "unknown"]);
}

impl Allowed for TokensSavedBucket {
    const RULE: Rule = Rule::Words(&["0", "1_100", "100_1k", "1k_10k", "10k_100k", "100k_plus"]);
}

/// Client names from the closed list, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClientWords(Vec<&'static str>);

impl ClientWords {
    pub(super) fn of(names: &[String]) -> ClientWords {
        let mut words = Vec::new();
        for word in names.iter().map(|name| client_name::word(name)) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.truncate(crate::telemetry::store::CLIENTS_KEPT);
        ClientWords(words)
    }
}

impl Allowed for ClientWords {
    const RULE: Rule = Rule::List {
        of: &Rule::Words(client_name::KNOWN),
        longest: crate::telemetry::store::CLIENTS_KEPT,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_id_is_kept_byte_for_byte_and_anything_else_is_none() {
        let mixed = "7F9c24e8-3b12-4fef-A1e0-5d3c8a1b2c4D";
        assert_eq!(AnonymousId::existing(mixed).unwrap().as_str(), mixed);
        for text in [
            "",
            "x",
            "7f9c24e8-3b12-1fef-91e0-5d3c8a1b2c4d",
            "7f9c24e8-3b12-4fef-c1e0-5d3c8a1b2c4d",
            " 7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d",
        ] {
            assert!(AnonymousId::existing(text).is_none(), "{text}");
        }
        assert!(AnonymousId::existing(AnonymousId::random().as_str()).is_some());
    }

    #[test]
    fn the_version_of_a_private_build_is_empty() {
        for (text, kept) in [
            ("0.21.0", true),
            ("v1.2.3-rc.1", true),
            ("1.2.3-beta2", true),
            ("1.2.3-ann.local", false),
            ("1.2", false),
            ("dev", false),
            ("1.2.3+abc", false),
            ("1.2.3.4", false),
        ] {
            assert_eq!(Version::new(text).0 == text, kept, "{text}");
        }
    }

    #[test]
    fn the_patterns_accept_and_refuse_edge_cases() {
        assert!(
            is_runtime_version(RuntimeVersion::this().0.as_str())
                && is_runtime_version("go1.24.3")
                && is_runtime_version("go1.25rc1")
        );
        assert!(!is_runtime_version("go") && !is_runtime_version("go1.2.3.4") && !is_runtime_version("python3.12"));
        assert!(is_moment(&Moment::from_unix(1_767_323_045).0) && is_moment(&Moment::from_unix(i64::MAX).0));
        assert!(
            !is_moment("2026-01-02 03:04:05Z")
                && !is_moment("2026-01-02T03:04:05+01:00")
                && !is_moment("2026-01-02T03:04:05")
        );
    }
}

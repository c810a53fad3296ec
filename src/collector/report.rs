//! One report as the collector stores it: closed values, numbers, and identifiers as bytes. It contains no other text.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contract::run_facts::{EnvKind, LaunchSource};
use crate::telemetry::payload::client_name;

/// An identifier: the 16 bytes of a UUID, or the first 16 bytes of a machine id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// Parses a UUID of version 4, in upper or lower case.
    pub fn from_uuid(text: &str) -> Option<Id> {
        let bytes = text.as_bytes();
        let hyphens = [8, 13, 18, 23].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        let version = bytes.get(14) == Some(&b'4') && bytes.get(19).is_some_and(|byte| b"89abAB".contains(byte));
        if bytes.len() != 36 || !hyphens || !version {
            return None;
        }
        Id::from_hex(bytes.iter().copied().filter(|byte| *byte != b'-'), 32)
    }

    /// Parses a machine id of 64 hexadecimal digits and keeps its first half, which is as unlikely to collide as a
    /// UUID.
    pub fn from_machine(text: &str) -> Option<Id> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        Id::from_hex(text.bytes().take(32), 32)
    }

    fn from_hex(digits: impl Iterator<Item = u8>, expected: usize) -> Option<Id> {
        let mut bytes = [0_u8; 16];
        let mut seen = 0;
        for digit in digits {
            let value = u8::try_from(char::from(digit).to_digit(16)?).ok()?;
            let byte = bytes.get_mut(seen / 2)?;
            *byte = *byte << 4 | value;
            seen += 1;
        }
        (seen == expected).then_some(Id(bytes))
    }

    /// Formats the identifier as a UUID.
    pub fn to_uuid(self) -> String {
        uuid::Uuid::from_bytes(self.0).to_string()
    }

    /// Formats the identifier as a machine id; the half that is not stored reads as zeros.
    pub fn to_machine(self) -> String {
        format!("{}{}", uuid::Uuid::from_bytes(self.0).simple(), "0".repeat(32))
    }

    /// Converts the 16 bytes from a database.
    pub fn from_slice(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }
}

impl fmt::Debug for Id {
    /// Identifiers must not appear in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(…)")
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&uuid::Uuid::from_bytes(self.0).simple().to_string())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = String::deserialize(deserializer)?;
        Id::from_hex(text.bytes(), 32).ok_or_else(|| serde::de::Error::custom("not 32 hexadecimal digits"))
    }
}

/// A UTC day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u16);

/// Milliseconds in a day.
pub const DAY_MS: i64 = 86_400_000;

impl Day {
    /// The day of a time. Clamps days outside the range of the type.
    pub fn of(moment: Moment) -> Day {
        let days = moment.0.div_euclid(DAY_MS);
        Day(u16::try_from(days.max(0)).unwrap_or(u16::MAX))
    }

    /// The day `days` later.
    pub fn plus(self, days: u16) -> Day {
        Day(self.0.saturating_add(days))
    }

    /// The day `days` earlier.
    pub fn minus(self, days: u16) -> Day {
        Day(self.0.saturating_sub(days))
    }

    /// Days from `earlier` to this day; zero if it is not earlier.
    pub fn since(self, earlier: Day) -> u16 {
        self.0.saturating_sub(earlier.0)
    }

    /// The number of the week, which begins on Monday, counted from the week of 1970-01-01.
    pub fn week(self) -> u16 {
        self.0.saturating_add(3) / 7
    }

    /// The Monday of a week.
    pub fn monday(week: u16) -> Day {
        Day((u32::from(week) * 7).saturating_sub(3).try_into().unwrap_or(u16::MAX))
    }

    /// Parses `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Day> {
        Moment::parse(&format!("{text}T00:00:00Z")).map(Day::of)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Moment(i64::from(self.0) * DAY_MS).to_string();
        f.write_str(text.get(..10).unwrap_or_default())
    }
}

/// A time in UTC, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

impl Moment {
    /// Parses RFC 3339.
    pub fn parse(text: &str) -> Option<Moment> {
        text.parse::<Timestamp>().ok().map(|moment| Moment(moment.as_millisecond()))
    }

    /// Whether this is a plausible time of receipt: the collector did not exist before 2020, and 2140 is far away.
    pub fn is_plausible_receipt(self) -> bool {
        (1_577_836_800_000..5_364_662_400_000).contains(&self.0)
    }

    /// The current time.
    pub fn now() -> Moment {
        Moment(crate::os::clock::now().as_millisecond())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH);
        write!(f, "{moment}")
    }
}

/// The kinds of environment, in the order in which they are shown and stored.
pub const KINDS: [EnvKind; 6] = [
    EnvKind::Interactive,
    EnvKind::Ci,
    EnvKind::CloudIde,
    EnvKind::Container,
    EnvKind::Headless,
    EnvKind::Unknown,
];

/// The launch sources, in the order in which they are shown and stored.
pub const LAUNCHES: [LaunchSource; 5] = [
    LaunchSource::Installer,
    LaunchSource::Tray,
    LaunchSource::LoginItem,
    LaunchSource::Cli,
    LaunchSource::Unknown,
];

/// The name of a launch source, as in reports.
pub fn launch_word(source: LaunchSource) -> &'static str {
    match source {
        LaunchSource::Installer => "installer",
        LaunchSource::Tray => "tray",
        LaunchSource::LoginItem => "login_item",
        LaunchSource::Cli => "cli",
        LaunchSource::Unknown => "unknown",
    }
}

/// The index of a kind in [`KINDS`].
pub fn kind_index(kind: EnvKind) -> usize {
    KINDS.iter().position(|other| *other == kind).unwrap_or(KINDS.len() - 1)
}

/// The index of a launch source in [`LAUNCHES`].
pub fn launch_index(source: LaunchSource) -> usize {
    LAUNCHES.iter().position(|other| *other == source).unwrap_or(LAUNCHES.len() - 1)
}

/// An operating system, as far as the figures distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    Linux,
    Darwin,
    Windows,
    Other,
}

/// The systems, in the order in which they are stored.
pub const SYSTEMS: [System; 4] = [System::Linux, System::Darwin, System::Windows, System::Other];

impl System {
    /// The system for a name from Go or Rust.
    pub fn from_word(word: &str) -> System {
        match word {
            "linux" => System::Linux,
            "darwin" | "macos" => System::Darwin,
            "windows" => System::Windows,
            _ => System::Other,
        }
    }

    /// Go's name for the system.
    pub fn word(self) -> &'static str {
        match self {
            System::Linux => "linux",
            System::Darwin => "darwin",
            System::Windows => "windows",
            System::Other => "other",
        }
    }

    /// The index in [`SYSTEMS`].
    pub fn index(self) -> usize {
        SYSTEMS.iter().position(|other| *other == self).unwrap_or(SYSTEMS.len() - 1)
    }
}

/// Steps of the funnel reached according to one or more reports: lifetime flags, which are never cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reached(pub u8);

impl Reached {
    pub const CONFIGURED: Reached = Reached(1);
    pub const CONNECTED: Reached = Reached(2);
    pub const CLIENT: Reached = Reached(4);
    pub const RETRIEVE: Reached = Reached(8);

    /// The union of both. A connected server is also configured.
    #[must_use]
    pub fn and(self, other: Reached) -> Reached {
        let both = self.0 | other.0;
        let implied = if both & Reached::CONNECTED.0 == 0 { 0 } else { Reached::CONFIGURED.0 };
        Reached((both | implied) & 15)
    }

    /// Whether this contains a step.
    pub fn has(self, step: Reached) -> bool {
        self.0 & step.0 == step.0
    }
}

/// The published name of an AI client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Client(&'static str);

impl Client {
    /// The client with this name; `other` for an unpublished name.
    pub fn new(name: &str) -> Client {
        Client(client_name::word(&client_name::sanitise(Some(name))))
    }

    pub fn name(self) -> &'static str {
        self.0
    }
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Client, D::Error> {
        String::deserialize(deserializer).map(|name| Client::new(&name))
    }
}

/// The contents of one report, reduced to the facts that the figures need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub kind: EnvKind,
    pub launch: LaunchSource,
    pub system: System,
    /// A version number in the closed form, `other` or `other-dev` for anything else, or empty.
    pub version: String,
    pub schema: u8,
    pub reached: Reached,
    pub clients: Vec<Client>,
    /// Calls of `retrieve_tools` since the previous report.
    pub calls: u32,
    /// Seconds from the report's own time to its receipt; `None` without a usable time.
    pub skew: Option<i32>,
}

/// An accepted report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The `anonymous_id`.
    pub id: Id,
    pub machine: Option<Id>,
    pub received: Moment,
    /// Eight bytes of the SHA-256 of the exact body.
    pub hash: u64,
    /// It arrived in a flood of new ids: stored, but excluded from the figures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspect: bool,
    pub facts: Facts,
    /// Paths of unknown keys and dropped values, as counted by [`crate::collector::judge`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

impl Report {
    /// The day of receipt.
    pub fn day(&self) -> Day {
        Day::of(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_bytes_of_a_uuid_of_version_four() {
        let id = Id::from_uuid("812542bd-c65b-42f3-91d6-af87164cc28b");
        assert_eq!(id, Id::from_uuid("812542BD-C65B-42F3-91D6-AF87164CC28B"));
        assert_eq!(id.map(Id::to_uuid).as_deref(), Some("812542bd-c65b-42f3-91d6-af87164cc28b"));
        for text in [
            "",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "812542bdc65b42f391d6af87164cc28b",
            "{812542bd-c65b-42f3-91d6-af87164cc28b}",
            "812542bd-c65b-42f3-c1d6-af87164cc28b",
            "812542bd-c65b-42f3-91d6-af87164cc28g",
            "812542bd-c65b-42f3-91d6-af87164cc28bé",
        ] {
            assert_eq!(Id::from_uuid(text), None, "{text}");
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        let monday = Day::parse("2026-01-05").unwrap();
        assert_eq!(Day::monday(monday.week()), monday);
        assert_eq!(monday.minus(1).week() + 1, monday.week());
        assert_eq!(monday.plus(6).week(), monday.week());
        assert_eq!(monday.to_string(), "2026-01-05");
    }
}

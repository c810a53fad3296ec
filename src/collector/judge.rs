//! Judges one report: a pure function from the body to the facts to store, or to the reason for its rejection.

use sha2::{Digest, Sha256};

use crate::collector::fields;
use crate::collector::report::{Client, Facts, Id, KINDS, LAUNCHES, Moment, Reached, System, launch_word};
use crate::contract::run_facts::{EnvKind, LaunchSource};
use crate::telemetry::payload;
use crate::telemetry::payload::schema::{Field, Rule};
use crate::telemetry::scan::strict_json::{self, Json};

/// Maximum length of a body in bytes; a longer one gets status 413.
pub const LONGEST_BODY: usize = 65_536;
/// Maximum nesting depth.
const DEEPEST: usize = 32;
/// Maximum number of paths counted per report.
const MOST_PATHS: usize = 32;

/// The result for a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Report(Box<Judged>),
    /// The single message that the Go core sends when the user turns telemetry off.
    OptOut(Id),
    Rejected(Rejection),
}

/// The part of a report that comes from its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub id: Id,
    pub machine: Option<Id>,
    pub hash: u64,
    pub facts: Facts,
    /// Paths of unknown keys, and of known keys whose value was dropped (`path:value`).
    pub unknown: Vec<String>,
}

/// Why a body is rejected. Contains no part of the body except the name of a known field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub status: u16,
    pub reason: &'static str,
    pub field: String,
}

fn rejected(reason: &'static str, field: &str) -> Rejection {
    Rejection {
        status: 400,
        reason,
        field: field.to_owned(),
    }
}

/// The rejection of a body longer than [`LONGEST_BODY`].
pub fn oversize() -> Rejection {
    Rejection {
        status: 413,
        reason: "oversize",
        field: String::new(),
    }
}

/// Eight bytes of a body's hash.
pub fn body_hash(body: &[u8]) -> u64 {
    let digest = Sha256::digest(body);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Judges one body that was received at `received`.
pub fn judge(body: &[u8], received: Moment) -> Verdict {
    match read(body, received) {
        Ok(verdict) => verdict,
        Err(rejection) => Verdict::Rejected(rejection),
    }
}

fn read(body: &[u8], received: Moment) -> Result<Verdict, Rejection> {
    if body.len() > LONGEST_BODY {
        return Err(oversize());
    }
    let json = strict_json::read(body).ok_or_else(|| rejected("json", ""))?;
    let Json::Object(entries) = &json else {
        let reason = if matches!(json, Json::List(_)) { "array" } else { "not_an_object" };
        return Err(rejected(reason, ""));
    };
    if json.depth() > DEEPEST {
        return Err(rejected("depth", ""));
    }
    if has_duplicate_key(&json) {
        return Err(rejected("duplicate_key", ""));
    }
    let id = identifier(entries)?;
    match get(entries, "event") {
        None => {}
        Some(Json::Text(event)) if event == "telemetry_disabled" => return Ok(Verdict::OptOut(id)),
        Some(_) => return Err(rejected("event", "event")),
    }
    let mut walk = Walk::default();
    walk.object("", fields::top(), entries)?;
    Ok(Verdict::Report(Box::new(Judged {
        id,
        machine: text(entries, "machine_id").and_then(Id::from_machine),
        hash: body_hash(body),
        facts: facts(entries, received),
        unknown: walk.paths,
    })))
}

fn identifier(entries: &[(String, Json)]) -> Result<Id, Rejection> {
    match get(entries, "anonymous_id") {
        None => Err(rejected("no_id", "anonymous_id")),
        Some(Json::Text(text)) => Id::from_uuid(text).ok_or_else(|| rejected("not_uuid_v4", "anonymous_id")),
        Some(_) => Err(rejected("not_uuid_v4", "anonymous_id")),
    }
}

/// Checks every value of a report against the sender's rules and collects unknown ones.
#[derive(Default)]
struct Walk {
    paths: Vec<String>,
}

impl Walk {
    fn object(&mut self, parent: &str, own: &'static [Field], entries: &[(String, Json)]) -> Result<(), Rejection> {
        for (name, value) in entries {
            let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            match fields::find(parent, own, name) {
                Some(field) => self.value(&path, field.rule, value)?,
                None => self.note(countable(&path)),
            }
        }
        Ok(())
    }

    fn value(&mut self, path: &str, rule: &'static Rule, value: &Json) -> Result<(), Rejection> {
        match path {
            "env_kind" => return env_kind(value),
            // The sender's rule allows only its own schema version; the collector accepts later ones.
            "schema_version" if matches!(value, Json::Count(_)) => return Ok(()),
            "env_markers" => return self.env_markers(value),
            _ => {}
        }
        match (rule, value) {
            (Rule::Words([]), _) => {}
            (Rule::Object(own), Json::Object(entries)) => self.object(path, own, entries)?,
            (Rule::Map { value: rule, .. }, Json::Object(entries)) => {
                for (_, value) in entries {
                    self.value(&format!("{path}.*"), rule, value)?;
                }
            }
            (Rule::Count(_), Json::Number(number)) if is_negative(number) => return Err(rejected("negative", path)),
            (rule, value) if fits(rule, value) => {}
            // In the Go core an empty list or an absent object is `null`.
            (Rule::List { .. } | Rule::Map { .. } | Rule::Object(_), Json::Null) => {}
            _ => self.note(format!("{path}:value")),
        }
        Ok(())
    }

    fn env_markers(&mut self, value: &Json) -> Result<(), Rejection> {
        match value {
            Json::Null => Ok(()),
            Json::Object(entries) => {
                for (name, value) in entries {
                    let known = fields::markers().iter().any(|field| field.name == name);
                    match value {
                        Json::Bool(_) if known => {}
                        Json::Bool(_) => self.note(countable(&format!("env_markers.{name}"))),
                        _ if known => return Err(rejected("env_marker", &format!("env_markers.{name}"))),
                        _ => return Err(rejected("env_marker", "env_markers")),
                    }
                }
                Ok(())
            }
            _ => Err(rejected("env_marker", "env_markers")),
        }
    }

    fn note(&mut self, path: String) {
        if self.paths.len() < MOST_PATHS && !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }
}

/// Whether a single value satisfies its rule.
fn fits(rule: &Rule, value: &Json) -> bool {
    match (rule, value) {
        (Rule::Bool, Json::Bool(_)) | (Rule::BoolOrNull, Json::Bool(_) | Json::Null) => true,
        (Rule::Count(most), Json::Count(count)) => count <= most,
        (Rule::Words(words), Json::Text(text)) => words.contains(&text.as_str()),
        (Rule::Pattern(pattern), Json::Text(text)) => (pattern.matches)(text),
        (Rule::List { of, longest }, Json::List(items)) => {
            items.len() <= *longest && items.iter().all(|item| fits(of, item))
        }
        _ => false,
    }
}

fn env_kind(value: &Json) -> Result<(), Rejection> {
    match value {
        Json::Text(text) if KINDS.iter().any(|kind| kind.word() == text) => Ok(()),
        _ => Err(rejected("env_kind", "env_kind")),
    }
}

fn is_negative(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|number| number < 0.0)
}

/// A path in the form in which it is counted. A key that is not a plain identifier counts as `other`, because it comes
/// from outside.
fn countable(path: &str) -> String {
    let plain = |part: &str| {
        (1..=40).contains(&part.len())
            && part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            && part.bytes().filter(u8::is_ascii_digit).count() <= 4
    };
    if path.split('.').all(plain) { path.to_owned() } else { "other".to_owned() }
}

fn has_duplicate_key(json: &Json) -> bool {
    match json {
        Json::List(items) => items.iter().any(has_duplicate_key),
        Json::Object(entries) => {
            let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
                || entries.iter().any(|(_, value)| has_duplicate_key(value))
        }
        _ => false,
    }
}

fn get<'a>(entries: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn text<'a>(entries: &'a [(String, Json)], name: &str) -> Option<&'a str> {
    match get(entries, name) {
        Some(Json::Text(text)) => Some(text),
        _ => None,
    }
}

fn count(entries: &[(String, Json)], name: &str) -> u64 {
    match get(entries, name) {
        Some(Json::Count(count)) => *count,
        Some(Json::Number(number)) => number.parse::<f64>().map_or(0, |number| number.clamp(0.0, 1e9) as u64),
        _ => 0,
    }
}

fn object<'a>(entries: &'a [(String, Json)], name: &str) -> &'a [(String, Json)] {
    match get(entries, name) {
        Some(Json::Object(entries)) => entries,
        _ => &[],
    }
}

fn facts(entries: &[(String, Json)], received: Moment) -> Facts {
    let activation = object(entries, "activation");
    let flag = |name| get(activation, name) == Some(&Json::Bool(true));
    let clients = clients(activation);
    let step = |reached: bool, step: Reached| if reached { step } else { Reached::default() };
    let reached = step(count(entries, "server_count") > 0, Reached::CONFIGURED)
        .and(step(
            flag("first_connected_server_ever") || count(entries, "connected_server_count") > 0,
            Reached::CONNECTED,
        ))
        .and(step(flag("first_mcp_client_ever") || !clients.is_empty(), Reached::CLIENT))
        .and(step(flag("first_retrieve_tools_call_ever"), Reached::RETRIEVE));
    Facts {
        kind: kind(entries),
        launch: launch(entries),
        system: System::from_word(text(entries, "os").unwrap_or_default()),
        version: version(text(entries, "version").unwrap_or_default()),
        schema: match get(entries, "schema_version") {
            None => 1,
            Some(_) => u8::try_from(count(entries, "schema_version")).unwrap_or(u8::MAX),
        },
        reached,
        clients,
        calls: u32::try_from(count(object(entries, "builtin_tool_calls"), "retrieve_tools")).unwrap_or(u32::MAX),
        skew: text(entries, "timestamp").and_then(|text| skew(text, received)),
    }
}

fn clients(activation: &[(String, Json)]) -> Vec<Client> {
    let Some(Json::List(names)) = get(activation, "mcp_clients_seen_ever") else {
        return Vec::new();
    };
    let mut clients: Vec<Client> = names
        .iter()
        .filter_map(|name| match name {
            Json::Text(name) => Some(Client::new(name)),
            _ => None,
        })
        .collect();
    clients.sort_unstable();
    clients.dedup();
    clients.truncate(16);
    clients
}

/// A report without a kind has a schema before 3.
fn kind(entries: &[(String, Json)]) -> EnvKind {
    let word = text(entries, "env_kind").unwrap_or_default();
    KINDS.into_iter().find(|kind| kind.word() == word).unwrap_or(EnvKind::Unknown)
}

fn launch(entries: &[(String, Json)]) -> LaunchSource {
    let word = text(entries, "launch_source").unwrap_or_default();
    LAUNCHES.into_iter().find(|source| launch_word(*source) == word).unwrap_or(LaunchSource::Unknown)
}

/// A version number in the form in which it is stored. Hides the name of a private build, but keeps that it is a
/// development build.
fn version(text: &str) -> String {
    match payload::is_version(text) {
        true => text.to_owned(),
        false if text.contains("-dev") => "other-dev".to_owned(),
        false => "other".to_owned(),
    }
}

fn skew(text: &str, received: Moment) -> Option<i32> {
    let own = Moment::parse(text)?;
    // Compares whole seconds: reports contain no fractions, and a fraction does not mean a wrong clock.
    let seconds = received.0.div_euclid(1000).saturating_sub(own.0.div_euclid(1000));
    i32::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "812542bd-c65b-42f3-91d6-af87164cc28b";
    const NOW: Moment = Moment(1_767_571_200_500);

    fn judged(body: &Value) -> Judged {
        match judge(body.to_string().as_bytes(), NOW) {
            Verdict::Report(judged) => *judged,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_schema_is_read() {
        let first = judged(&json!({"anonymous_id": ID, "version": "v0.20.0", "os": "darwin", "server_count": 1}));
        assert_eq!(
            (first.facts.schema, first.facts.kind, first.facts.reached),
            (1, EnvKind::Unknown, Reached::CONFIGURED)
        );
        let second = judged(&json!({
            "anonymous_id": ID, "schema_version": 2, "connected_server_count": 2, "server_count": 0,
            "error_category_counts": {"docker_pull_failed": 1}, "doctor_checks": {"db": {"pass": 1, "fail": 0}},
            "rest_endpoint_calls": {"GET /api/v1/status": {"2xx": 3}},
        }));
        assert!(second.facts.reached.has(Reached::CONFIGURED) && second.facts.reached.has(Reached::CONNECTED));
        let eighth = judged(&json!({
            "anonymous_id": ID, "schema_version": 8, "env_kind": "headless", "launch_source": "login_item",
            "machine_id": "ab".repeat(32), "tpa_scanner": {"anything": ["at all"]}, "last_error_code": null,
            "wizard_connect_step": "done", "connected_client_ids": ["cursor"], "previous_shutdown": "clean",
            "feature_flags": {"deep_scan_enabled": true, "docker_cli_source": "path"}, "preflight": {"runs": 2},
            "error_category_counts": {"toon_encode_fallback": 1},
            "activation": {"mcp_clients_seen_ever": null, "first_real_tool_call_ever": true, "estimated_tokens_saved_24h_bucket": "0"},
        }));
        assert_eq!(eighth.facts.launch, LaunchSource::LoginItem);
        assert_eq!(eighth.machine, Id::from_machine(&"AB".repeat(32)));
        for (judged, schema) in [(&first, 1), (&second, 2), (&eighth, 8)] {
            assert_eq!((judged.facts.schema, judged.unknown.as_slice()), (schema, [].as_slice()));
        }
    }

    #[test]
    fn values_outside_the_vocabulary_are_dropped() {
        let judged = judged(&json!({
            "anonymous_id": ID, "version": "1.2.3-dev+ann", "os": "plan9", "launch_source": "acme",
            "activation": {"mcp_clients_seen_ever": ["cursor", "acme-payroll", "/home/ann", 7]}, "timestamp": "yesterday",
        }));
        assert_eq!(judged.facts.version, "other-dev");
        assert_eq!((judged.facts.system, judged.facts.skew), (System::Other, None));
        let clients: Vec<_> = judged.facts.clients.iter().map(|client| client.name()).collect();
        assert_eq!(clients, ["cursor", "other", "unknown"]);
        assert!(judged.facts.reached.has(Reached::CLIENT));
    }

    #[test]
    fn reports_with_a_wrong_clock_are_counted_and_not_rejected() {
        for (time, skew) in [
            ("2026-01-05T00:00:00Z", Some(0)),
            ("2026-01-05T00:00:00.9Z", Some(0)),
            ("2024-01-05T00:00:00Z", Some(731 * 86_400)),
            ("1970-01-01T00:00:00Z", Some(1_767_571_200)),
            ("9999-12-31T23:59:59Z", None),
            ("2026-13-05T00:00:00Z", None),
        ] {
            assert_eq!(judged(&json!({"anonymous_id": ID, "timestamp": time})).facts.skew, skew, "{time}");
        }
    }

    #[test]
    fn an_id_in_capital_letters_is_the_same_id() {
        let (small, capital) = (json!({"anonymous_id": ID}), json!({"anonymous_id": ID.to_uppercase()}));
        assert_eq!(judged(&small).id, judged(&capital).id);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            judge(&bytes, NOW);
        }

        #[test]
        fn no_json_is_too_strange(text in r#"\{("[a-z_]{1,12}":(-?[0-9]{1,25}(\.[0-9]+)?|"[ -~]{0,9}"|null|true|\[\]|\{\}),?){0,9}\}"#) {
            judge(text.as_bytes(), NOW);
        }
    }
}

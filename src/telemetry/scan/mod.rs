//! Two checks ("nets") of the exact bytes before they are sent.
//!
//! Net 1 is the typed allow-list: every key must be known, and every value must be a boolean, a count in its range, or
//! a value of a closed set or pattern. Net 2 searches everything that net 1 did not recognise for identifying text,
//! after decoding it. It skips values of the schema, which carry no other information: a computer called `mac` or
//! `server` must not block its reports. A hit names the net, the rule and the field, never a value.

pub mod collect_identity;
pub mod decode;
pub mod identity;
pub mod sensitive_text;
pub mod strict_json;

use serde::Serialize;

use crate::telemetry::payload::schema::{Allowed, Field, Rule};
use crate::telemetry::payload::{HeartbeatPayload, Skeleton, Snapshot};
use crate::telemetry::scan::identity::{Identity, normal};
use crate::telemetry::scan::strict_json::Json;

/// One reason not to send a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// 1: the allow-list; 2: the search for identifying text.
    pub net: u8,
    pub rule: &'static str,
    /// The path, such as `activation.mcp_clients_seen_ever[0]`. `?` replaces a key that may itself identify someone.
    pub field: String,
}

/// Bytes that passed both nets. Only [`scan`] and [`scan_skeleton`] create one, and only such bytes can be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Clean {
    bytes: Vec<u8>,
}

impl Clean {
    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Clean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clean({} bytes)", self.bytes.len())
    }
}

/// After this many blocked heartbeats in a row, the [`Skeleton`] is sent instead.
pub const BLOCKED_BEFORE_SKELETON: u64 = 3;

/// Serializes a payload and checks its bytes with both nets.
///
/// # Errors
/// The hits.
pub fn scan(payload: &HeartbeatPayload, identity: &Identity) -> Result<Clean, Vec<Hit>> {
    let bytes = written(payload)?;
    match verify(&bytes, identity) {
        hits if hits.is_empty() => Ok(Clean { bytes }),
        hits => Err(hits),
    }
}

/// Serializes a skeleton and checks its bytes with net 1. Net 2 is not needed: the type contains only booleans, counts,
/// closed values and one random identifier.
///
/// # Errors
/// The hits.
pub fn scan_skeleton(skeleton: &Skeleton) -> Result<Clean, Vec<Hit>> {
    let bytes = written(skeleton)?;
    let nobody = Identity::default();
    let mut nets = Nets::new(&nobody);
    nets.all(&bytes, &Skeleton::RULE);
    match nets.hits {
        hits if hits.is_empty() => Ok(Clean { bytes }),
        hits => Err(hits),
    }
}

/// The payload that may be sent for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleared {
    /// The heartbeat.
    Full(Clean),
    /// The skeleton, because a heartbeat was blocked again after [`BLOCKED_BEFORE_SKELETON`] blocks in a row.
    Skeleton(Clean, Vec<Hit>),
    /// Nothing. The caller logs the hits' rules and fields and counts the block.
    Blocked(Vec<Hit>),
}

/// Builds the heartbeat of a snapshot and checks it with both nets. `blocked_in_a_row` is the number of consecutive
/// blocks before.
pub fn clear(snapshot: &Snapshot, identity: &Identity, blocked_in_a_row: u64) -> Cleared {
    let hits = match scan(&HeartbeatPayload::of(snapshot), identity) {
        Ok(clean) => return Cleared::Full(clean),
        Err(hits) => hits,
    };
    if blocked_in_a_row >= BLOCKED_BEFORE_SKELETON
        && let Ok(clean) = scan_skeleton(&Skeleton::of(snapshot))
    {
        return Cleared::Skeleton(clean, hits);
    }
    Cleared::Blocked(hits)
}

/// Checks any bytes with both nets; both always run. Returns no hits if the bytes are clean.
pub fn verify(bytes: &[u8], identity: &Identity) -> Vec<Hit> {
    let mut nets = Nets::new(identity);
    nets.all(bytes, &HeartbeatPayload::RULE);
    nets.hits
}

fn written(payload: &impl Serialize) -> Result<Vec<u8>, Vec<Hit>> {
    serde_json::to_vec(payload).map_err(|_| {
        vec![Hit {
            net: 1,
            rule: "not_json",
            field: String::new(),
        }]
    })
}

struct Nets<'a> {
    identity: &'a Identity,
    hits: Vec<Hit>,
    path: String,
}

impl<'a> Nets<'a> {
    fn new(identity: &'a Identity) -> Nets<'a> {
        Nets {
            identity,
            hits: Vec::new(),
            path: String::new(),
        }
    }

    fn all(&mut self, bytes: &[u8], rule: &Rule) {
        if bytes.len() > strict_json::LONGEST {
            self.hit(1, "too_long");
        }
        let Some(json) = strict_json::read(bytes) else {
            // Searches bytes that are not JSON as one string.
            self.hit(1, "not_json");
            self.search(&String::from_utf8_lossy(bytes));
            return;
        };
        if json.depth() > strict_json::DEEPEST {
            self.hit(1, "too_deep");
        }
        self.value(&json, Some(rule));
    }

    fn hit(&mut self, net: u8, rule: &'static str) {
        let hit = Hit {
            net,
            rule,
            field: self.path.clone(),
        };
        if !self.hits.contains(&hit) {
            self.hits.push(hit);
        }
    }

    /// Runs `inner` at `path.name`.
    fn at(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
        inner(self);
        self.path.truncate(length);
    }

    /// Checks one value against its rule. Without a rule (under an unknown key) only net 2 applies.
    fn value(&mut self, json: &Json, rule: Option<&Rule>) {
        match (json, rule) {
            (Json::Bool(_), Some(Rule::Bool | Rule::BoolOrNull)) | (Json::Null, Some(Rule::BoolOrNull)) => {}
            (Json::Count(count), Some(Rule::Count(most))) => {
                if count > most {
                    self.hit(1, "range");
                }
            }
            (Json::Text(text), Some(Rule::Words(words))) if words.contains(&text.as_str()) => {}
            (Json::Text(text), Some(Rule::Pattern(pattern))) if text.len() <= 64 && (pattern.matches)(text) => {
                if let Some(rule) = self.identity.long_secret_in(text) {
                    self.hit(2, rule);
                }
            }
            (Json::Text(text), rule) => {
                match rule {
                    Some(Rule::Words(_)) => self.hit(1, "closed_set"),
                    Some(Rule::Pattern(_)) => self.hit(1, "pattern"),
                    Some(_) => self.hit(1, "type"),
                    None => {}
                }
                self.search(text);
            }
            (Json::Object(entries), rule) => self.object(entries, rule),
            (Json::List(items), rule) => self.list(items, rule),
            (Json::Number(text), rule) => {
                if rule.is_some() {
                    self.hit(1, "type");
                }
                self.search(text);
            }
            (_, Some(_)) => self.hit(1, "type"),
            (_, None) => {}
        }
    }

    fn object(&mut self, entries: &[(String, Json)], rule: Option<&Rule>) {
        if !matches!(rule, Some(Rule::Object(_) | Rule::Map { .. }) | None) {
            self.hit(1, "type");
        }
        for (index, (key, value)) in entries.iter().enumerate() {
            let known: Option<&Rule> = match rule {
                Some(Rule::Object(fields)) => {
                    fields.iter().find(|Field { name, .. }| name == key).map(|field| field.rule)
                }
                Some(Rule::Map { key: allowed, value }) if permits(allowed, key) => Some(*value),
                _ => None,
            };
            let spoken = known.is_some() || self.may_be_said(key);
            self.at(if spoken { key } else { "?" }, |nets| {
                if known.is_none() {
                    if rule.is_some() {
                        nets.hit(1, "unknown_key");
                    }
                    nets.search(key);
                }
                if entries.iter().take(index).any(|(earlier, _)| earlier == key) {
                    nets.hit(1, "duplicate_key");
                }
                nets.value(value, known);
            });
        }
    }

    fn list(&mut self, items: &[Json], rule: Option<&Rule>) {
        let of = match rule {
            Some(Rule::List { of, longest }) => {
                if items.len() > *longest {
                    self.hit(1, "too_many");
                }
                Some(*of)
            }
            Some(_) => {
                self.hit(1, "type");
                None
            }
            None => None,
        };
        let length = self.path.len();
        for (index, item) in items.iter().enumerate() {
            self.path.push_str(&format!("[{index}]"));
            if of.is_some() && items.iter().take(index).any(|earlier| earlier == item) {
                self.hit(1, "repeated");
            }
            self.value(item, of);
            self.path.truncate(length);
        }
    }

    /// Whether an unknown key may be reported: a plain name without hits of net 2.
    fn may_be_said(&self, key: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        !key.is_empty() && key.len() <= 40 && key.bytes().all(plain) && {
            let mut quiet = Nets::new(self.identity);
            quiet.search(key);
            quiet.hits.is_empty()
        }
    }

    /// Applies net 2 to one string, in all its decoded forms.
    fn search(&mut self, text: &str) {
        let mut found: Vec<&'static str> = Vec::new();
        for view in decode::views(text) {
            let normal = normal(&view);
            let mut hit = |rule| {
                if !found.contains(&rule) {
                    found.push(rule);
                }
            };
            sensitive_text::find(&view, &normal, &mut hit);
            self.identity.find(&view, &normal, &mut hit);
        }
        for rule in found {
            self.hit(2, rule);
        }
    }
}

fn permits(rule: &Rule, key: &str) -> bool {
    match rule {
        Rule::Words(words) => words.contains(&key),
        Rule::Pattern(pattern) => (pattern.matches)(key),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test should fail at the failing line")]
mod tests {
    use super::*;
    use crate::telemetry::scan::identity::IdentityKind;

    fn example() -> Snapshot {
        Snapshot::example()
    }

    fn ann() -> Identity {
        let mut identity = Identity::default();
        identity.add(IdentityKind::User, "jdoe");
        identity.add(IdentityKind::Host, "jdoes-macbook.local");
        identity.add(IdentityKind::Secret, "Tr0ub4dor&3x");
        identity
    }

    fn caught(json: &str) -> Vec<(u8, &'static str, String)> {
        verify(json.as_bytes(), &ann()).into_iter().map(|hit| (hit.net, hit.rule, hit.field)).collect()
    }

    #[test]
    fn an_honest_payload_passes() {
        let clean = scan(&HeartbeatPayload::of(&example()), &ann()).unwrap();
        assert_eq!(clean.bytes(), serde_json::to_vec(&HeartbeatPayload::of(&example())).unwrap());
        assert!(scan_skeleton(&Skeleton::of(&example())).is_ok());
    }

    #[test]
    fn nobody_is_silenced_for_a_name_that_is_an_ordinary_word() {
        let words = "mac arch server docker web win linux data code tray cli mcp tool ray ted eve ken tim art pat mark \
            vscode client claude cursor container retrieve_tools interactive headless unknown installer \
            github google personal true null bool 2026 100 beef dead abc def \
            anonymous_id activation autostart_enabled timestamp schema_version";
        let bytes = serde_json::to_vec(&HeartbeatPayload::of(&example())).unwrap();
        for word in words.split_whitespace() {
            let mut identity = Identity::default();
            for of in [
                IdentityKind::User,
                IdentityKind::Host,
                IdentityKind::Home,
                IdentityKind::FullName,
                IdentityKind::Secret,
            ] {
                identity.add(of, word);
            }
            assert_eq!(verify(&bytes, &identity), [], "{word}");
        }
    }

    #[test]
    fn what_the_schema_does_not_know_is_caught_by_the_first_net() {
        let hit = |rule, field: &str| vec![(1, rule, field.to_owned())];
        assert_eq!(caught(r#"{"note":1}"#), hit("unknown_key", "note"));
        assert_eq!(caught(r#"{"env_kind":"desktop"}"#), hit("closed_set", "env_kind"));
        assert_eq!(caught(r#"{"env_markers":null}"#), hit("type", "env_markers"));
        assert_eq!(caught(r#"{"env_markers":{"has_tty":null}}"#), hit("type", "env_markers.has_tty"));
        assert_eq!(caught(r#"{"server_count":-1}"#), hit("type", "server_count"));
        assert_eq!(caught(r#"{"server_count":1.5}"#), hit("type", "server_count"));
        assert_eq!(caught(r#"{"server_count":99999999999}"#), hit("range", "server_count"));
        assert_eq!(caught(r#"{"server_count":1,"server_count":2}"#), hit("duplicate_key", "server_count"));
        assert_eq!(caught(r#"{"version":"1.0.0+build"}"#), hit("pattern", "version"));
        let v1 = "7f9c24e8-3b12-1fef-91e0-5d3c8a1b2c4d";
        assert_eq!(caught(&format!(r#"{{"anonymous_id":"{v1}"}}"#)), hit("pattern", "anonymous_id"));
        let clients = r#"{"activation":{"mcp_clients_seen_ever":["cursor","acme-payroll-agent","cursor"]}}"#;
        assert_eq!(
            caught(clients),
            [
                (1, "closed_set", "activation.mcp_clients_seen_ever[1]".to_owned()),
                (1, "repeated", "activation.mcp_clients_seen_ever[2]".to_owned()),
            ]
        );
        assert_eq!(caught("[1]"), hit("type", ""));
        assert_eq!(caught("{} {}"), hit("not_json", ""));
        assert_eq!(caught(r#"{"autostart_enabled":null}"#), []);
    }

    #[test]
    fn who_is_behind_it_is_caught_by_the_second_net_wherever_it_stands() {
        for text in [
            r#"{"note":"/Users/x"}"#,
            r#"{"note":"\u002fUsers\u002fx"}"#,
            r#"{"a":{"b":[{"c":"JDoe"}]}}"#,
            r#"{"jdoe":1}"#,
            r#"{"env_kind":"C:\\Users\\x"}"#,
            r#"{"version":"10.0.0.7"}"#,
            r#"{"note":"%2fhome%2fx"}"#,
            r#"{"note":"xTr0ub4dor&3x"}"#,
            r#"{"note":"JDOES-MACBOOK"}"#,
            r#"{"server_count":"a@example.org"}"#,
            r#"not json: /home/x"#,
            r#"{"a":1} jdoe"#,
            r#"{"rest_endpoint_calls":{"GET /home/ann":{"2xx":1}}}"#,
        ] {
            assert!(caught(text).iter().any(|(net, ..)| *net == 2), "{text}: {:?}", caught(text));
            assert!(caught(text).iter().any(|(net, ..)| *net == 1), "{text}");
        }
    }

    #[test]
    fn an_id_that_is_the_machines_own_is_caught() {
        let mut identity = Identity::default();
        identity.add(IdentityKind::Machine, "7f9c24e83b124fef91e05d3c8a1b2c4d\n");
        let bytes = serde_json::to_vec(&HeartbeatPayload::of(&example())).unwrap();
        let hits = verify(&bytes, &identity);
        assert_eq!(
            hits,
            [Hit {
                net: 2,
                rule: "identity_machine",
                field: "anonymous_id".into()
            }]
        );
    }

    #[test]
    fn disguised_leaks_are_seen_by_the_second_net() {
        for text in [
            "C:\\Users\\x",
            "c:/users/x",
            "\\\\?\\D:\\x",
            "\\\\fileserver\\homes\\x",
            "C%3A%5CUsers%5Cx",
            "C&#58;&#92;Users&#92;x",
            "file:///home/x",
            "HOME=/home/x",
            "%2e%2e%2fhome%2fx",
            "\\x2fhome\\x2fx",
            "\\u{2f}home\\u{2f}x",
            "／Ｕｓｅｒｓ／x",
            "/Us\u{200b}ers/x",
            "L1VzZXJzL3gvcHJvamVjdHM=",
            "L1VzZXJzL3gvcHJvamVjdHM",
            "2f55736572732f782f70",
            "JTJGVXNlcnMlMkZ4",
            "/mnt/c/Users/x",
            "x＠example．org",
            "x%40example.org",
            "mailto:x@example.org",
            "192.168.1.17",
            "[2001:db8::1]:8080",
            "0A-1b-2C-3d-4E-5f",
            "JDOE",
            "user=jdoe;",
            "jdoe's",
            "C:\\jdoe",
            "amRvZQ== amRvZQ",
            "6a646f652d6c6170746f70",
            "jdoes-macbook.lan",
            "ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "Z2hwX2FhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYQ==",
            "sk-proj-aaaaaaaaaaaaaaaaaaaa",
            "Authorization: Bearer aaaaaaaaaaaaaaaa",
            "postgres://u:p@db/x",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "buildhost.corp",
        ] {
            let json = serde_json::json!({ "note": text }).to_string();
            assert!(caught(&json).iter().any(|(net, ..)| *net == 2), "{text}");
            let as_key = serde_json::json!({ text: 1 }).to_string();
            assert!(caught(&as_key).iter().any(|(net, _, field)| *net == 2 && field == "?"), "{text} as a key");
        }
    }

    #[test]
    fn innocent_text_is_none_of_the_second_nets_business() {
        for text in [
            "all servers connected",
            "std::fs::read",
            "10:20:30",
            "1.2.3",
            "v0.21.0-rc.1",
            "100%",
            "a & b",
            "retrieve_tools",
            "GET /api/v1/servers",
            "annual report",
            "7f9c24e8-3b12-4fef-91e0-5d3c8a1b2c4d",
            "2026-01-02T03:04:05Z",
            "50 % of 3/4",
            "deadbeefdeadbeef",
            "aGVsbG8gd29ybGQ=",
            "@modelcontextprotocol",
            "key",
            "tokens",
            "C",
            "~5",
            "mac",
            "network/transport",
        ] {
            let json = serde_json::json!({ "note": text }).to_string();
            assert_eq!(caught(&json), [(1, "unknown_key", "note".to_owned())], "{text}");
        }
    }

    #[test]
    fn a_hit_never_says_what_it_found() {
        for text in [
            r#"{"jdoe":{"x":"jdoe"}}"#,
            r#"{"ghp_0123456789abcdefghij":"Tr0ub4dor&3x"}"#,
            r#"{"/home/secretperson":1}"#,
        ] {
            let said = serde_json::to_string(&verify(text.as_bytes(), &ann())).unwrap();
            for secret in ["jdoe", "ghp_", "Tr0ub", "secretperson"] {
                assert!(!said.contains(secret), "{said}");
            }
        }
    }

    #[test]
    fn after_three_blocks_a_skeleton_goes_and_never_before() {
        // The random identifier equals a secret: the only way in which net 2 can catch a typed payload.
        let mut identity = Identity::default();
        identity.add(IdentityKind::Secret, example().anonymous_id.as_str());
        for blocked in 0..BLOCKED_BEFORE_SKELETON {
            assert!(matches!(clear(&example(), &identity, blocked), Cleared::Blocked(_)));
        }
        let Cleared::Skeleton(clean, hits) = clear(&example(), &identity, BLOCKED_BEFORE_SKELETON) else {
            panic!("blocked")
        };
        assert_eq!((hits[0].net, hits[0].field.as_str()), (2, "anonymous_id"));
        assert!(!String::from_utf8_lossy(clean.bytes()).contains("version\":\"0"), "no version, no name, no free text");
        assert!(matches!(clear(&example(), &Identity::default(), 99), Cleared::Full(_)));
    }

    #[test]
    fn long_and_deep_input_is_bounded() {
        let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(70_000));
        assert!(caught(&long).contains(&(1, "too_long", String::new())));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(20), "}".repeat(20));
        assert!(caught(&deep).contains(&(1, "too_deep", String::new())));
        assert!(caught(&"[".repeat(100_000)).contains(&(1, "not_json", String::new())));
    }
}

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
mod tests;

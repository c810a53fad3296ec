//! Random payloads with planted identifiers: each identifier is caught, and every payload without one passes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::thread;

use base64::Engine;
use mcpproxy::telemetry::payload::{AnonymousId, HeartbeatPayload, Snapshot};
use mcpproxy::telemetry::scan::identity::{Identity, IdentityKind};
use mcpproxy::telemetry::scan::{scan, verify};

const PAYLOADS: u64 = 1_000_000;

/// SplitMix64, which gives the same payloads in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    fn text(&mut self, alphabet: &[u8], length: u64) -> String {
        (0..length)
            .map(|_| char::from(alphabet[usize::try_from(self.below(alphabet.len() as u64)).unwrap()]))
            .collect()
    }
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ALNUM: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Returns an identifier that could reveal its owner.
fn identifier(random: &mut Random) -> String {
    let name = random.text(LOWER, 6);
    match random.below(14) {
        0 => format!("/home/{name}/x"),
        1 => format!("/Users/{name}"),
        2 => format!("{}:\\Users\\{name}", random.one_of(&["C", "d", "Z"])),
        3 => format!("\\\\{name}\\share"),
        4 => format!("{name}@{name}.org"),
        5 => format!("10.{}.{}.{}", random.below(256), random.below(256), random.below(256)),
        6 => format!("fe80::{:x}:{:x}", 1 + random.below(65_535), random.below(65_536)),
        7 => format!(
            "02:{:02x}:{:02x}:{:02x}:5e:0{}",
            random.below(256),
            random.below(256),
            random.below(256),
            random.below(10)
        ),
        8 => format!("ghp_{}", random.text(ALNUM, 36)),
        9 => format!("sk-{}", random.text(ALNUM, 40)),
        10 => format!("AKIA{}", random.text(UPPER, 16)),
        11 => format!("{name}.local"),
        12 => "quasimodo".to_owned(),
        _ => "Esmeralda-Secret-1482".to_owned(),
    }
}

/// Returns the identifier in a form that careless or hostile code might use.
fn disguised(random: &mut Random, text: &str) -> String {
    match random.below(8) {
        0 => text
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).into()
                } else {
                    format!("%{byte:02x}")
                }
            })
            .collect(),
        1 => text.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        2 => base64::engine::general_purpose::STANDARD.encode(text),
        3 => text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>(),
        4 => format!("x {text} y"),
        5 => text.replace('/', "&#47;").replace('@', "&commat;").replace('.', "&#46;"),
        _ => text.to_owned(),
    }
}

fn snapshot(random: &mut Random) -> Snapshot {
    let mut snapshot = Snapshot::example();
    snapshot.anonymous_id = AnonymousId::random();
    snapshot.now = 1_700_000_000 + i64::try_from(random.below(1 << 30)).unwrap();
    snapshot.tool_count = random.below(1 << 20);
    snapshot.upstream_tool_calls = random.below(2000);
    snapshot.version = format!("{}.{}.{}", random.below(10), random.below(100), random.below(100));
    snapshot.autostart_enabled = [None, Some(true), Some(false)][usize::try_from(random.below(3)).unwrap()];
    snapshot
}

fn identity() -> Identity {
    let mut identity = Identity::default();
    for (of, value) in [
        (IdentityKind::User, "quasimodo"),
        (IdentityKind::User, "mac"),
        (IdentityKind::User, "ray"),
        (IdentityKind::Host, "server"),
        (IdentityKind::Host, "docker"),
        (IdentityKind::Host, "beef"),
        (IdentityKind::Secret, "Esmeralda-Secret-1482"),
    ] {
        identity.add(of, value);
    }
    identity
}

/// Checks one payload: it passes unchanged, and both scanners catch a planted identifier.
fn check(random: &mut Random, identity: &Identity) {
    let payload = HeartbeatPayload::of(&snapshot(random));
    let clean = scan(&payload, identity).unwrap_or_else(|hits| panic!("a clean payload was blocked: {hits:?}"));
    let planted = identifier(random);
    let planted = disguised(random, &planted);
    let mut json: serde_json::Value = serde_json::from_slice(clean.bytes()).unwrap();
    let place = random.one_of(&[
        "anonymous_id",
        "version",
        "env_kind",
        "new_field",
        "activation",
        "list",
        "key",
    ]);
    match place {
        "activation" => json["activation"]["mcp_clients_seen_ever"][0] = planted.as_str().into(),
        "list" => json["notes"] = serde_json::json!([1, { "deep": [planted] }]),
        "key" => json["feature_flags"][planted.as_str()] = true.into(),
        field => json[field] = planted.as_str().into(),
    }
    let bytes = serde_json::to_vec(&json).unwrap();
    let hits = verify(&bytes, identity);
    for net in [1, 2] {
        assert!(hits.iter().any(|hit| hit.net == net), "net {net} let {planted:?} pass at {place}: {hits:?}");
    }
    let said = serde_json::to_string(&hits).unwrap();
    assert!(!said.contains(&planted), "a hit says what it found");
}

#[test]
fn a_million_planted_identifiers_are_caught_and_no_clean_payload_is() {
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(2, usize::from) as u64;
        for number in 0..threads {
            scope.spawn(move || {
                let (mut random, identity) = (Random(number + 1), identity());
                for _ in 0..PAYLOADS.div_ceil(threads) {
                    check(&mut random, &identity);
                }
            });
        }
    });
}

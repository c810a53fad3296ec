#![allow(clippy::indexing_slicing, reason = "a test should fail at the failing line")]

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
fn a_name_that_is_an_ordinary_word_blocks_no_report() {
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
fn values_outside_the_schema_are_caught_by_net_1() {
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
fn identifying_text_is_caught_by_net_2_anywhere() {
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
fn an_id_equal_to_the_machines_is_caught() {
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
fn encoded_leaks_are_found_by_net_2() {
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
fn innocent_text_has_no_hits_of_net_2() {
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
fn a_hit_never_contains_the_value() {
    for text in [
        r#"{"jdoe":{"x":"jdoe"}}"#,
        r#"{"ghp_0123456789abcdefghij":"Tr0ub4dor&3x"}"#,
        r#"{"/home/secretperson":1}"#,
    ] {
        let hits = serde_json::to_string(&verify(text.as_bytes(), &ann())).unwrap();
        for secret in ["jdoe", "ghp_", "Tr0ub", "secretperson"] {
            assert!(!hits.contains(secret), "{hits}");
        }
    }
}

#[test]
fn a_skeleton_is_sent_only_after_three_blocks() {
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

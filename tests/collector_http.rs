//! The service over HTTP: responses, limits, access to one's own data, deletion, and publication.

#![cfg(all(feature = "collector", unix))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should fail where it stands"
)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "collector_support/service.rs"]
mod service;

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use serde_json::json;
use service::{Collector, body, get, new_id, post, program, raw, read_answer, request};

fn started(more: &[&str]) -> (tempfile::TempDir, Collector) {
    let directory = tempfile::tempdir().unwrap();
    let collector = Collector::start(directory.path(), more);
    (directory, collector)
}

#[test]
fn a_report_is_accepted_counted_and_repeats_count_once() {
    let (_directory, collector) = started(&[]);
    let text = body(&new_id(), |_| {});
    assert_eq!(collector.report(&text).status, 204);
    assert_eq!(collector.report(&text).status, 204);
    let stats = collector.stats();
    assert_eq!(stats["installs"], 1);
    assert_eq!(stats["quality"]["accepted"], 1);
    assert_eq!(stats["quality"]["repeated"], 1);
    assert_eq!(stats["funnel"]["strict"]["client_connected"], 1);
    assert_eq!(stats["clients"]["codex"], 1);
    // A hidden number reads as a word.
    let page = get(collector.public, "/").body;
    assert!(page.contains("schema: hidden") && !page.contains("null"), "{page}");
    // The base address of a client without `/v1`.
    assert_eq!(post(collector.public, "/heartbeat", &text, &[]).status, 204);
}

#[test]
fn every_rejection_has_its_status_reason_and_field() {
    let (_directory, collector) = started(&[]);
    let id = new_id();
    let set = |pointer: &'static str, value: serde_json::Value| {
        body(&id, |body| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[key] = value;
        })
    };
    for (text, reason, field) in [
        ("{".to_owned(), "json", ""),
        (String::new(), "json", ""),
        (r#"{"a":NaN}"#.to_owned(), "json", ""),
        (format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), "json", ""),
        (format!("[{}]", body(&id, |_| {})), "array", ""),
        ("7".to_owned(), "not_an_object", ""),
        (r#"{"version":"1.0.0"}"#.to_owned(), "no_id", "anonymous_id"),
        (set("/anonymous_id", json!("6ba7b810-9dad-11d1-80b4-00c04fd430c8")), "not_uuid_v4", "anonymous_id"),
        (set("/anonymous_id", json!(7)), "not_uuid_v4", "anonymous_id"),
        (set("/env_kind", json!("desktop")), "env_kind", "env_kind"),
        (set("/env_markers/has_tty", json!("yes")), "env_marker", "env_markers.has_tty"),
        (set("/env_markers/has_tty", json!(null)), "env_marker", "env_markers.has_tty"),
        (set("/env_markers", json!(1)), "env_marker", "env_markers"),
        (set("/server_count", json!(-1)), "negative", "server_count"),
        (set("/builtin_tool_calls/retrieve_tools", json!(-5)), "negative", "builtin_tool_calls.retrieve_tools"),
        (set("/days_since_install", json!(-1)), "negative", "days_since_install"),
        (set("/event", json!("telemetry_enabled")), "event", "event"),
        (format!(r#"{{"anonymous_id":"{id}","os":"linux","os":"linux"}}"#), "duplicate_key", ""),
        (format!(r#"{{"anonymous_id":"{id}","x":{}1{}}}"#, "[".repeat(60), "]".repeat(60)), "depth", ""),
    ] {
        let answer = collector.report(&text);
        assert_eq!(answer.status, 400, "{text:.80}");
        assert_eq!(answer.json(), json!({"reason": reason, "field": field}), "{text:.80}");
    }
    let large = body(&id, |body| body["x"] = json!("x".repeat(65_536)));
    assert_eq!(collector.report(&large).status, 413);
    let stats = collector.stats();
    assert_eq!(stats["installs"], 0);
    assert_eq!(stats["quality"]["rejected"]["env_marker"], 3);
    assert_eq!(stats["quality"]["rejected"]["oversize"], 1);
    drop(collector);
    no_trace(_directory.path(), "desktop");
}

/// Checks that no file in a directory contains a text.
fn no_trace(directory: &Path, text: &str) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_trace(&path, text);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "`{text}` is in {}", path.display());
        }
    }
}

#[test]
fn later_schemas_and_unknown_keys_are_accepted_counted_and_not_stored() {
    let (directory, mut collector) = started(&[]);
    let text = body(&new_id(), |body| {
        body["schema_version"] = json!(99);
        body["new_thing"] = json!({"secret": "planted-value-one"});
        body["/Users/ann"] = json!("planted-value-two");
        body["feature_flags"] = json!({"new_flag": "planted-value-three"});
        body["routing_mode"] = json!("planted-value-four");
        body["version"] = json!("1.2.3-planted+value.five");
    });
    assert_eq!(collector.report(&text).status, 204);
    let quality = &collector.stats()["quality"];
    assert_eq!(quality["unknown_fields"], json!({"feature_flags.new_flag": 1, "new_thing": 1, "other": 1}));
    assert_eq!(quality["dropped_values"], json!({"routing_mode:value": 1, "version:value": 1}));
    collector.stop();
    no_trace(directory.path(), "planted");
    no_trace(directory.path(), "/Users/ann");
    no_trace(directory.path(), "127.0.0.1:5");
}

#[test]
fn requests_that_are_not_reports_are_refused() {
    let (_directory, collector) = started(&[]);
    let (address, text) = (collector.public, body(&new_id(), |_| {}));
    let json = ("Content-Type", "application/json");
    assert_eq!(request(address, "GET", "/v1/heartbeat", None, &[]).status, 405);
    assert_eq!(request(address, "PUT", "/v1/heartbeat", Some(&text), &[json]).status, 405);
    assert_eq!(request(address, "POST", "/v1/heartbeat", None, &[json]).status, 411);
    assert_eq!(request(address, "POST", "/v1/heartbeat", Some(&text), &[]).status, 415);
    assert_eq!(request(address, "POST", "/v1/heartbeat", Some(&text), &[("Content-Type", "text/plain")]).status, 415);
    // Compressed bodies are never decompressed, so a zip bomb is only a few bytes.
    let bomb = request(address, "POST", "/v1/heartbeat", Some(&text), &[json, ("Content-Encoding", "gzip")]);
    assert_eq!(bomb.status, 415);
    let chunked = format!(
        "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n",
        text.len()
    );
    assert_eq!(raw(address, chunked.as_bytes()).unwrap().status, 411);
    assert_eq!(get(address, "/v1/nothing").status, 404);
    assert_eq!(get(address, "/metrics").status, 404);
    // A body of 100 MB is refused by its announced length, before it is sent.
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 413);
    assert_eq!(collector.stats()["installs"], 0);
}

#[test]
fn a_body_that_never_comes_is_given_up() {
    let (_directory, collector) = started(&[]);
    let mut stream = TcpStream::connect(collector.public).unwrap();
    let head =
        "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    // A connection whose head never ends is closed without a response.
    let mut other = TcpStream::connect(collector.public).unwrap();
    other.write_all(b"POST /v1/heartbeat HTTP/1.1\r\nHost:").unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 408);
    assert!(read_answer(&mut other).is_none_or(|answer| answer.status == 408));
    assert_eq!(collector.report(&body(&new_id(), |_| {})).status, 204);
}

#[test]
fn an_opt_out_counts_once_and_makes_nobody_active() {
    let (_directory, collector) = started(&[]);
    let text = json!({"event": "telemetry_disabled", "anonymous_id": new_id()}).to_string();
    for _ in 0..3 {
        assert_eq!(collector.report(&text).status, 204);
    }
    let stats = collector.stats();
    assert_eq!((&stats["opt_outs"], &stats["installs"]), (&json!(1), &json!(0)));
}

#[test]
fn networks_and_ids_have_limits() {
    let (_directory, collector) = started(&["--trust-proxy"]);
    let send = |source: &str, text: &str| post(collector.public, "/v1/heartbeat", text, &[("X-Forwarded-For", source)]);
    let answers: Vec<_> = (0..70).map(|_| send("198.51.100.7", &body(&new_id(), |_| {}))).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 60);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 10);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status == 429)
            .all(|answer| answer.head.to_lowercase().contains("retry-after: "))
    );
    // A client's own header value precedes the one that the proxy adds.
    let forged = send("203.0.113.9, 198.51.100.7", &body(&new_id(), |_| {}));
    assert_eq!(forged.status, 429);
    // Some proxies add the port.
    assert_eq!(send("198.51.100.8:4711", &body(&new_id(), |_| {})).status, 429);
    let id = new_id();
    let accepted = (0..130)
        .filter(|n| {
            let text = body(&id, |body| body["uptime_hours"] = json!(n));
            send(&format!("10.{}.{n}.1", n % 7), &text).status == 204
        })
        .count();
    assert_eq!(accepted, 100);
    let stats = collector.stats();
    assert_eq!(stats["installs"], 61);
    assert_eq!(stats["quality"]["refused"], json!({"id": 30, "new_ids": 12}));
}

#[test]
fn a_forwarded_address_is_not_believed_by_default() {
    let (_directory, collector) = started(&["--limit-loopback"]);
    let accepted = (0..70)
        .filter(|n| {
            let source = format!("10.0.{n}.1");
            post(collector.public, "/v1/heartbeat", &body(&new_id(), |_| {}), &[("X-Forwarded-For", &source)]).status
                == 204
        })
        .count();
    assert_eq!(accepted, 60);
}

#[test]
fn everyone_can_see_and_delete_what_came_from_their_id() {
    let (directory, mut collector) = started(&[]);
    let (id, other) = (new_id(), new_id());
    for id in [&id, &other] {
        assert_eq!(collector.report(&body(id, |_| {})).status, 204);
    }
    let ask = |path: &str| post(collector.public, path, &json!({"anonymous_id": id}).to_string(), &[]);
    let mine = ask("/v1/mine").json();
    assert_eq!(mine["reports"].as_array().unwrap().len(), 1);
    assert_eq!(mine["reports"][0]["kept_of_body"]["version"], "0.5.0");
    let backup = directory.path().join("before.db");
    let command = |arguments: &[&str]| program().arg("--data").arg(directory.path()).args(arguments).output().unwrap();
    assert!(command(&["backup", backup.to_str().unwrap()]).status.success());
    let export = directory.path().join("before.jsonl");
    assert!(command(&["export", export.to_str().unwrap()]).status.success());
    let gone = ask("/v1/forget").json();
    assert_eq!(gone, json!({"forgotten": true, "deleted_reports": 1, "left": 0}));
    assert_eq!(ask("/v1/mine").json()["reports"], json!([]));
    assert_eq!(collector.stats()["installs"], 1);
    // Further reports with this ID are refused with a reason.
    let refused = collector.report(&body(&id, |body| body["uptime_hours"] = json!(9)));
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (400, Some("forgotten")));
    assert!(command(&["replay", export.to_str().unwrap()]).status.success());
    assert_eq!(collector.stats()["installs"], 1);
    collector.stop();
    // No file of the collector contains the ID, neither as text nor as bytes.
    let kept = tempfile::tempdir().unwrap();
    for file in [&backup, &export] {
        std::fs::rename(file, kept.path().join(file.file_name().unwrap())).unwrap();
    }
    no_trace(directory.path(), &id);
    no_trace(directory.path(), &id.replace('-', ""));
    no_bytes(directory.path(), uuid::Uuid::parse_str(&id).unwrap().as_bytes());
    // Restoring a backup does not bring the ID back.
    assert!(command(&["restore", "--check", kept.path().join("before.db").to_str().unwrap()]).status.success());
    assert!(command(&["restore", kept.path().join("before.db").to_str().unwrap()]).status.success());
    let stats = command(&["stats", "--who", "all", "-o", "json"]);
    let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
    assert_eq!(stats["installs"], 1);
    let command_line = command(&["forget", &other]);
    assert!(command_line.status.success(), "{command_line:?}");
    assert!(command(&["verify"]).status.success());
}

fn no_bytes(directory: &Path, bytes: &[u8]) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_bytes(&path, bytes);
        } else {
            let all = std::fs::read(&path).unwrap();
            assert!(!all.windows(bytes.len()).any(|window| window == bytes), "the id is in {}", path.display());
        }
    }
}

#[test]
fn the_operator_needs_a_key_from_outside_and_a_name_of_this_computer_inside() {
    let (directory, collector) = started(&[]);
    assert_eq!(get(collector.public, "/v1/stats").status, 401);
    let key = std::fs::read_to_string(directory.path().join("stats.key")).unwrap();
    let bearer = format!("Bearer {}", key.trim());
    let answer = request(collector.public, "GET", "/v1/stats?who=all", None, &[("Authorization", &bearer)]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), collector.stats());
    let foreign = "GET /v1/stats HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(collector.admin, foreign.as_bytes()).unwrap().status, 403);
    for (path, text) in [
        ("/healthz", "ok"),
        ("/readyz", "ready"),
        ("/metrics", "mcpproxy_collector_reports_accepted_total 0"),
    ] {
        let answer = get(collector.admin, path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(text), "{path}: {}", answer.body);
    }
    assert_eq!(get(collector.admin, "/?who=martians").status, 400);
}

#[test]
fn published_figures_are_signed_and_chained() {
    let (directory, mut collector) = started(&[]);
    let file = service_data("events.jsonl");
    let replay = program().arg("--data").arg(directory.path()).arg("replay").arg(file).output().unwrap();
    assert!(replay.status.success(), "{replay:?}");
    let answer = get(collector.public, "/public/stats.json");
    let document = answer.json();
    assert_eq!(document["previous_sha256"], json!(null));
    assert_eq!(document["figures"]["people"]["installs"], 99);
    assert_eq!(document["figures"]["people"]["versions_active_14d"]["0.4.0"], json!(null));
    let key = get(collector.public, "/public/key.pub").body;
    let signature = get(collector.public, "/public/stats.json.minisig").body;
    let key = minisign_verify::PublicKey::decode(&key).unwrap();
    let signature = minisign_verify::Signature::decode(&signature).unwrap();
    key.verify(answer.body.as_bytes(), &signature, false).unwrap();
    let numbered = get(collector.public, "/public/stats-1.json");
    assert_eq!(numbered.body, answer.body);
    for path in [
        "/public/signing.key",
        "/public/../stats.key",
        "/public/stats-1.json/../signing.key",
    ] {
        assert_eq!(get(collector.public, path).status, 404, "{path}");
    }
    collector.stop();
    assert!(program().arg("--data").arg(directory.path()).arg("verify").status().unwrap().success());
    let published = directory.path().join("public/stats-1.json");
    std::fs::write(&published, answer.body.replace("99", "98")).unwrap();
    assert!(!program().arg("--data").arg(directory.path()).arg("verify").status().unwrap().success());
}

fn service_data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heartbeats").join(name)
}

#[test]
fn page_cli_and_stats_agree() {
    let (directory, collector) = started(&[]);
    let command = |arguments: &[&str]| {
        let output = program().arg("--data").arg(directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    command(&["replay", service_data("events.jsonl").to_str().unwrap()]);
    let figures = || -> serde_json::Value { serde_json::from_str(&command(&["stats", "-o", "json"])).unwrap() };
    let from_cli = figures();
    // Reading the same lines again, or its own export, changes nothing.
    command(&["replay", service_data("events.jsonl").to_str().unwrap()]);
    let export = directory.path().join("export.jsonl");
    command(&["export", export.to_str().unwrap()]);
    command(&["replay", export.to_str().unwrap()]);
    assert_eq!(figures(), from_cli);
    let from_service = get(collector.admin, "/v1/stats").json();
    assert_eq!(from_cli, from_service);
    let page = get(collector.admin, "/").body.replace('\u{a0}', " ");
    for number in ["21", "38", "75", "27.8 %", "27 of 97", "56.7 %"] {
        assert!(page.contains(number), "{number}");
    }
    assert!(command(&["funnel"]).contains("29 each, 16 strict"));
    assert!(command(&["retention", "--os", "darwin"]).contains("12 of 37"));
    assert!(command(&["versions", "-o", "csv"]).contains("0.5.0,32"));
    // The public page hides small numbers.
    let public = get(collector.public, "/").body;
    assert!(public.contains("&lt;10"));
    assert!(page.len() < 60_000 && public.len() < 60_000, "{} and {}", page.len(), public.len());
    assert!(!page.contains("<script"));
}

#[test]
fn a_second_collector_in_the_same_directory_says_why_it_does_not_start() {
    let (directory, _collector) = started(&[]);
    let output = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: could not start: another collector"), "{text}");
    assert!(text.contains("help: "), "{text}");
}

#[test]
fn migration_needs_a_fresh_backup_that_was_checked() {
    let (directory, mut collector) = started(&[]);
    assert_eq!(collector.report(&body(&new_id(), |_| {})).status, 204);
    collector.stop();
    let command = |arguments: &[&str]| program().arg("--data").arg(directory.path()).args(arguments).output().unwrap();
    assert!(!command(&["migrate"]).status.success());
    assert!(command(&["backup"]).status.success());
    assert!(command(&["migrate"]).status.success());
    let line = json!({"received_at": "2026-01-05T01:00:00Z", "src": "x", "body": body(&new_id(), |_| {})}).to_string();
    let file = directory.path().join("one.jsonl");
    std::fs::write(&file, line).unwrap();
    assert!(command(&["replay", file.to_str().unwrap()]).status.success());
    let refused = command(&["migrate"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the database changed since"));
}

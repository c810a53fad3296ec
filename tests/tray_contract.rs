//! Sends the Go core's responses to the client that the tray and the command line share.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail where it stands")]

use std::path::PathBuf;

use mcpproxy::client::{CallError, Client};
use mcpproxy::contract::api::{Info, Servers, Status};
use mcpproxy::contract::endpoint::{Endpoint, LocalAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// Starts a core that answers one request with these bytes; the task returns the request.
fn played(answer: String) -> (tempfile::TempDir, Client, JoinHandle<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // The client may already have disconnected, which is one of the cases.
        let _ = stream.write_all(answer.as_bytes()).await;
        String::from_utf8(head).unwrap().to_lowercase()
    });
    (directory, client(path), asked)
}

fn client(path: PathBuf) -> Client {
    Client::new(Endpoint::Local(LocalAddress::Unix(path)), "tray", "9.9")
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn it_introduces_itself_and_shows_no_key_on_a_local_stream() {
    let body = r#"{"success":true,"data":{"servers":null,"stats":null}}"#;
    let (_directory, client, asked) = played(http("200 OK", body));
    let servers: Servers = client.get("/api/v1/servers").await.unwrap();
    assert!(servers.servers.is_empty());
    let head = asked.await.unwrap();
    assert!(head.starts_with("get /api/v1/servers http/1.1\r\n"), "{head}");
    assert!(head.contains("x-mcpproxy-client: tray/9.9\r\n"), "{head}");
    assert!(!head.contains("x-api-key"), "{head}");
}

#[tokio::test]
async fn a_core_without_our_additions_is_understood() {
    let info = r#"{"success":true,"data":{"version":"v0.30.1","web_ui_url":"http://127.0.0.1:8080/ui/?apikey=k",
        "listen_addr":"127.0.0.1:8080","endpoints":{"http":"127.0.0.1:8080","socket":"/x.sock"},
        "launched_by":"","pid":4711,"update_policy":{"enabled":true},
        "update":{"available":true,"latest_version":"v0.31.0","release_url":"https://example.com/v0.31.0"}}}"#;
    let (_directory, client, _) = played(http("200 OK", info));
    let info: Info = client.get("/api/v1/info").await.unwrap();
    assert_eq!((info.pid, info.can_shut_down), (4711, false));
    assert_eq!(info.update.unwrap().news(), Some(("0.31.0", "https://example.com/v0.31.0")));

    let status = r#"{"success":true,"data":{"running":true,"edition":"personal","listen_addr":":8080",
        "upstream_stats":{"total_servers":1,"servers":{"a":{"name":"a","state":"Ready","connected":true}}},
        "status":{"phase":"Ready","message":""},"activation":{"mcp_clients_seen_ever":null}}}"#;
    let (_directory, client, _) = played(http("200 OK", status));
    let read = client.get::<Status>("/api/v1/status").await;
    assert!(read.is_ok() || matches!(read, Err(CallError::Garbage { .. })), "{read:?}");
}

#[tokio::test]
async fn a_core_that_is_not_yet_ready_is_no_error() {
    let (_directory, client, _) = played(http("503 Service Unavailable", r#"{"ready":false}"#));
    assert!(!client.ready().await.unwrap());
}

#[tokio::test]
async fn errors_keep_the_cores_words_with_and_without_the_envelope() {
    for body in [
        r#"{"success":false,"error":"server not found: x","request_id":"1"}"#,
        r#"{"success":false,"error_type":"validation","message":"server not found: x","suggestion":"y"}"#,
    ] {
        let (_directory, client, _) = played(http("404 Not Found", body));
        let error = client.post::<serde_json::Value>("/api/v1/servers/x/restart", None).await.unwrap_err();
        assert!(error.to_string().contains("server not found: x"), "{error}");
    }
}

#[tokio::test]
async fn garbage_silence_and_a_broken_answer_are_errors_and_not_hangs() {
    for answer in [
        "220 mail.example ESMTP\r\n\r\n".to_owned(),
        http("200 OK", "<html></html>"),
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_owned(),
        String::new(),
    ] {
        let (_directory, client, _) = played(answer.clone());
        assert!(client.get::<Status>("/api/v1/status").await.is_err(), "{answer}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let client = client(path).with_answer_limit(std::time::Duration::from_millis(50));
    assert!(matches!(client.ready().await, Err(CallError::Timeout { .. })));
}

#[tokio::test]
async fn a_missing_core_is_distinguished_from_every_other_failure() {
    let directory = tempfile::tempdir().unwrap();
    assert!(client(directory.path().join("missing.sock")).ready().await.unwrap_err().is_not_running());
    drop(UnixListener::bind(directory.path().join("dead.sock")).unwrap());
    assert!(client(directory.path().join("dead.sock")).ready().await.unwrap_err().is_not_running());
}

#[tokio::test]
async fn events_come_one_by_one_until_the_core_ends() {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: SSE connection established\nretry: 5000\n\n\
                  event: status\ndata: {\"running\":true,\"upstream_stats\":null}\n\n\
                  event: servers.changed\ndata: {\"payload\":{\"reason\":\"x\"},\"timestamp\":1}\n\nevent: ping\nda";
    let (_directory, client, _) = played(stream.to_owned());
    let mut events = client.events().await.unwrap();
    assert_eq!(events.next().await.unwrap().name, "status");
    assert_eq!(events.next().await.unwrap().name, "servers.changed");
    assert_eq!(events.next().await, None, "half an event is none");
}

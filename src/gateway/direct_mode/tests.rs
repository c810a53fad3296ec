//! Tests a session on `/mcp/all` over in-memory streams, with a shell script as the server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::service::{RoleServer, RunningService};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::watch;

use crate::config::{Config, ServerConfig};
use crate::gateway::direct_mode::handler::DirectHandler;
use crate::gateway::session_registry::Sessions;
use crate::gateway::tool_calls::Proxy;
use crate::os::files;
use crate::telemetry::store::recorder::Recorder;
use crate::upstream::approvals::Approvals;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::offers::OfferApprovals;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

/// A server with the tools `echo`, `fail` (returns an error) and `odd` (a result without `content`). Writes the name of
/// each called tool to a file.
const SERVER: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) result='"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) result='"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"fail","inputSchema":{"type":"object"}},{"name":"odd","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"echo"'*) echo echo >>"$CALLED"; result='"result":{"content":[{"type":"text","text":"hello"}]}' ;;
    *'"name":"fail"'*) echo fail >>"$CALLED"; result='"error":{"code":-32050,"message":"own error"}' ;;
    *'"name":"odd"'*) echo odd >>"$CALLED"; result='"result":{"made":"up"}' ;;
    *'"ping"'*) result='"result":{}' ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$result"
done
"#;

/// A client of the endpoint that reads and writes lines.
struct Client {
    reads: BufReader<ReadHalf<DuplexStream>>,
    writes: WriteHalf<DuplexStream>,
    next: u64,
}

struct Endpoint {
    client: Client,
    pool: Arc<UpstreamPool>,
    directory: tempfile::TempDir,
    service: RunningService<RoleServer, DirectHandler>,
}

impl Client {
    async fn send(&mut self, message: &Value) {
        self.writes.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    /// Sends a request and returns the response; drops notifications.
    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(60), self.reads.read_line(&mut line)).await;
            assert!(read.unwrap().unwrap() > 0, "the session has ended");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }

    async fn call(&mut self, tool: &str) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": {}})).await
    }

    async fn tools(&mut self) -> Vec<String> {
        let listed = self.request("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Endpoint {
    async fn begin(servers: impl FnOnce(&std::path::Path) -> Vec<ServerConfig>) -> Endpoint {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let approvals = Approvals::load(&at("approvals.json"));
        let tokens = TokenStore::load(&at("tokens.json"), None, Arc::default());
        let pool = Arc::new(UpstreamPool::new(directory.path(), directory.path(), approvals, tokens, Arc::default()));
        let offers = Arc::new(OfferApprovals::load(&at("offers.json")));
        let config = watch::channel(Arc::new(Config::parse(std::path::Path::new("c.json"), "{}").unwrap())).1;
        let recorder = Recorder::new(&at("state.redb"));
        let proxy = Arc::new(Proxy::new(pool.clone(), offers, config, recorder, Arc::default()));
        let servers = servers(directory.path());
        pool.apply(&servers).await;
        let connected = |server: &Snapshot| server.is_connected() || server.config.quarantined;
        let mut changes = pool.changes();
        let wait = async {
            while !pool.snapshots().iter().all(connected) {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
        let (ours, theirs) = duplex(1 << 16);
        let handler = DirectHandler::new(proxy, Arc::<Sessions>::default());
        let serving = tokio::spawn(async move { handler.serve(split(theirs)).await.unwrap() });
        let (reads, writes) = split(ours);
        let mut client = Client {
            reads: BufReader::new(reads),
            writes,
            next: 0,
        };
        let hello =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let initialized = client.request("initialize", hello).await;
        assert_eq!(initialized["result"]["serverInfo"]["name"], "mcpproxy");
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        Endpoint {
            client,
            pool,
            directory,
            service: serving.await.unwrap(),
        }
    }

    /// Returns the names of the called tools, in order.
    fn called(&self) -> Vec<String> {
        let called = files::read_bounded(&self.directory.path().join("called"), 1000).unwrap_or_default();
        String::from_utf8(called).unwrap().lines().map(str::to_owned).collect()
    }

    async fn end(self) {
        drop(self.client);
        let _ = self.service.waiting().await;
        self.pool.stop().await;
    }
}

fn shell(name: &str, directory: &std::path::Path) -> ServerConfig {
    ServerConfig {
        name: name.to_owned(),
        command: Some("sh".to_owned()),
        args: vec!["-c".to_owned(), SERVER.to_owned()],
        env: [("CALLED".to_owned(), directory.join("called").display().to_string())].into(),
        enabled: true,
        ..ServerConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_reach_their_server_and_errors_have_the_codes_of_the_table() {
    let mut endpoint = Endpoint::begin(|directory| vec![shell("a", directory)]).await;
    let tools = endpoint.client.tools().await;
    assert_eq!(tools, ["a__echo", "a__fail", "a__odd"]);
    let answer = endpoint.client.call("a__echo").await;
    assert_eq!(answer["result"]["content"][0]["text"], "hello");
    let own = endpoint.client.call("a__fail").await;
    assert_eq!((&own["error"]["code"], &own["error"]["message"]), (&json!(-32050), &json!("own error")));
    for unknown in ["a__other", "b__echo", "echo "] {
        let error = endpoint.client.call(unknown).await;
        assert_eq!(error["error"]["code"], -32602, "{error}");
    }
    let missing = endpoint.client.request("resources/read", json!({"uri": "x:y"})).await;
    assert_eq!((&missing["error"]["code"], &missing["error"]["data"]["uri"]), (&json!(-32002), &json!("x:y")));
    let unknown = endpoint.client.request("prompts/get", json!({"name": "p"})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let method = endpoint.client.request("made/up", json!({})).await;
    assert_eq!(method["error"]["code"], -32601, "{method}");
    assert_eq!(endpoint.called(), ["echo", "fail"], "nothing else reached the server");
    endpoint.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_tool_of_a_server_that_was_disabled_meanwhile_is_not_called() {
    let mut endpoint = Endpoint::begin(|directory| vec![shell("a", directory), shell("b", directory)]).await;
    assert_eq!(endpoint.client.tools().await.len(), 6);
    let disabled = ServerConfig {
        enabled: false,
        ..shell("a", endpoint.directory.path())
    };
    let other = shell("b", endpoint.directory.path());
    endpoint.pool.apply(&[disabled, other]).await;
    let error = endpoint.client.call("a__echo").await;
    assert_eq!(error["error"]["code"], -32602, "{error}");
    assert_eq!(endpoint.client.tools().await, ["b__echo", "b__fail", "b__odd"]);
    assert_eq!(endpoint.client.call("b__echo").await["result"]["content"][0]["text"], "hello");
    assert_eq!(endpoint.called(), ["echo"]);
    endpoint.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_needs_approval_is_not_listed_and_not_started() {
    let quarantined = |directory: &std::path::Path| ServerConfig {
        quarantined: true,
        ..shell("new", directory)
    };
    let mut endpoint = Endpoint::begin(|directory| vec![shell("a", directory), quarantined(directory)]).await;
    assert_eq!(endpoint.client.tools().await, ["a__echo", "a__fail", "a__odd"]);
    let error = endpoint.client.call("new__echo").await;
    assert_eq!(error["error"]["code"], -32602, "{error}");
    assert!(endpoint.called().is_empty());
    endpoint.end().await;
}

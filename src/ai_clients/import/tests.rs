//! Tables: what each format, layout and shape becomes.

use serde_json::{Map, Value, json};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::plan::{ImportPlan, Selection, is_same_server, plan};
use crate::ai_clients::import::read::{Source, read};
use crate::ai_clients::import::relocate::{restored, without};
use crate::ai_clients::import::secrets;
use crate::ai_clients::import::variables::Values;
use crate::ai_clients::known_clients::client;
use crate::ai_clients::plan::Backup;
use crate::ai_clients::stdio_entry::Bridge;

fn source(text: &str, client: Option<&str>) -> Source {
    read(text, client, None, "test").unwrap()
}

fn planned(sources: &[Source], existing: &[(String, Map<String, Value>)], selection: &Selection) -> ImportPlan {
    let proxy = Proxy::new("127.0.0.1:8080", false, None, Bridge::sample());
    plan(sources, existing, selection, &proxy, |_| Values {
        home: "/home/a",
        workspace: None,
        inputs: &[],
        is_set: &|name| name == "SET",
    })
}

fn all(text: &str, client: Option<&str>) -> ImportPlan {
    planned(&[source(text, client)], &[], &Selection::default())
}

/// The entry that a single server becomes, without `name` and `enabled`.
fn one(entry: &Value, client: Option<&str>) -> Value {
    let container = client.map_or("mcpServers", |id| super::super::known_clients::client(id).unwrap().container);
    let plan = all(&json!({container: {"s": entry}}).to_string(), client);
    assert_eq!(plan.imported.len(), 1, "{plan:?}");
    let mut entry = plan.imported[0].entry.clone();
    assert_eq!(entry.shift_remove("name"), Some(json!("s")));
    assert_eq!(entry.shift_remove("enabled"), Some(json!(true)));
    Value::Object(entry)
}

fn failure(entry: &Value, client: Option<&str>) -> String {
    let container = client.map_or("mcpServers", |id| super::super::known_clients::client(id).unwrap().container);
    let plan = all(&json!({container: {"s": entry}}).to_string(), client);
    assert_eq!(plan.failed.len(), 1, "{plan:?}");
    plan.failed[0].error.clone()
}

#[test]
fn servers_are_found_in_every_layout() {
    for (text, format, names) in [
        (r#"{"mcpServers": {"a": {"command": "x"}, "b": {"url": "http://h/"}}}"#, "mcp-json", "a b"),
        (r#"{"mcpServers": [{"name": "a", "command": "x"}]}"#, "mcp-json", "a"),
        (
            r#"// mine
            {"servers": {"a": {"type": "stdio", "command": "x"},}, "inputs": []}"#,
            "vscode",
            "a",
        ),
        (r#"{"mcp": {"servers": {"a": {"command": "x"}}}}"#, "vscode", "a"),
        (r#"{"mcp": {"a": {"type": "local", "command": ["x"]}}}"#, "opencode", "a"),
        (r#"{"context_servers": {"a": {"command": "x"}}}"#, "zed", "a"),
        ("[mcp_servers.a]\ncommand = \"x\"\n", "codex", "a"),
        ("extensions:\n  a:\n    type: stdio\n    cmd: x\n", "goose", "a"),
        ("mcpServers:\n  a:\n    command: x\n", "mcp-json", "a"),
        (r#"{"a": {"command": "x"}, "b": {"serverUrl": "http://h/"}}"#, "mcp-json", "a b"),
        (r#""a": {"command": "x"}"#, "mcp-json", "a"),
        (r#"[{"name": "a", "command": "x"}]"#, "mcp-json", "a"),
        (r#"{"command": "npx", "args": ["-y", "@scope/server-files@1.2"]}"#, "mcp-json", "server-files"),
        (r#"{"command": "/opt/notes", "args": ["--token", "secret"]}"#, "mcp-json", "notes"),
        (r#"{"url": "https://mcp.example.com/mcp"}"#, "mcp-json", "example"),
        (r#"{"url": "https://a:secret@mcp.example.com:8443/mcp"}"#, "mcp-json", "example"),
        ("\u{feff}{\"mcpServers\": {}}", "mcp-json", ""),
        (r#"{"theme": "dark"}"#, "unknown", ""),
        ("{}", "unknown", ""),
    ] {
        let found = source(text, None);
        let found_names: Vec<&str> = found.servers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((found.format, found_names.join(" ")), (format, names.to_owned()), "{text}");
    }
}

#[test]
fn text_without_servers_is_refused_with_a_position() {
    for (text, at) in [
        ("", None),
        ("{\"a\": 1,,}", Some((1, 9))),
        ("7", None),
        ("{\"a\": {\"command\": \"x\"}, \"b\": 1}", None),
    ] {
        assert_eq!(read(text, None, None, "test").unwrap_err().at, at, "{text}");
    }
    let error = read("a = = 1", None, Some("x.toml"), "test").unwrap_err();
    assert_eq!(error.at.map(|(line, _)| line), Some(1));
    assert!(source("", Some("cursor")).servers.is_empty());
}

#[test]
fn every_shape_of_a_local_server_becomes_the_same_entry() {
    let expected = json!({"protocol": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"A": "1"}});
    for (entry, client) in [
        (json!({"command": "npx", "args": ["-y", "x"], "env": {"A": "1"}}), None),
        (json!({"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"A": 1}}), Some("vscode")),
        (json!({"type": "local", "command": ["npx", "-y", "x"], "environment": {"A": "1"}}), Some("opencode")),
        (json!({"command": {"path": "npx", "args": ["-y", "x"], "env": {"A": "1"}}, "source": "custom"}), Some("zed")),
        (json!({"transport": "stdio", "command": "npx", "args": "-y x", "env": {"A": "1"}}), None),
        (json!({"command": "cmd", "args": ["/c", "npx", "-y", "x"], "env": {"A": "1"}}), Some("cursor")),
        (json!({"command": "C:\\Windows\\System32\\cmd.exe", "args": ["/C", "npx -y x"], "env": {"A": "1"}}), None),
    ] {
        assert_eq!(one(&entry, client), expected, "{entry}");
    }
    let goose = all(
        "extensions:\n  s:\n    enabled: true\n    type: stdio\n    cmd: npx\n    args:\n      - -y\n      - x\n    envs:\n      A: \"1\"\n",
        Some("goose"),
    );
    let mut entry = goose.imported[0].entry.clone();
    entry.retain(|key, _| !["name", "enabled"].contains(&key.as_str()));
    assert_eq!(Value::Object(entry), expected);
    let codex = all(
        "[mcp_servers.s]\ncommand = \"npx\"\nargs = [\"-y\", \"x\"]\nstartup_timeout_sec = 20\ntool_timeout_sec = 9\n\n[mcp_servers.s.env]\nA = \"1\"\n",
        Some("codex"),
    );
    assert_eq!(codex.imported[0].entry["init_timeout"], "20s");
    assert_eq!(codex.imported[0].fields_skipped, ["tool_timeout_sec"]);
}

#[test]
fn a_command_that_needs_its_shell_keeps_it() {
    for arguments in [
        json!(["/c", "npx -y x & echo"]),
        json!(["/k", "npx"]),
        json!(["/c", "%APPDATA%\\x.cmd"]),
        json!(["/c"]),
    ] {
        let entry = one(&json!({"command": "cmd", "args": arguments}), None);
        assert_eq!((&entry["command"], &entry["args"]), (&json!("cmd"), &arguments));
    }
}

#[test]
fn every_shape_of_a_remote_server_becomes_the_same_entry() {
    for (entry, client, protocol) in [
        (json!({"url": "https://h/mcp"}), Some("cursor"), "auto"),
        (json!({"serverUrl": "https://h/mcp"}), Some("windsurf"), "auto"),
        (json!({"httpUrl": "https://h/mcp"}), Some("gemini"), "streamable-http"),
        (json!({"type": "http", "url": "https://h/mcp"}), Some("claude-code"), "streamable-http"),
        (json!({"type": "sse", "url": "https://h/mcp"}), Some("claude-code"), "sse"),
        (json!({"transport": "streamable-http", "url": "https://h/mcp"}), None, "streamable-http"),
        (json!({"type": "streamableHttp", "url": "https://h/mcp"}), None, "streamable-http"),
        (json!({"type": "remote", "url": "https://h/mcp"}), Some("opencode"), "auto"),
        (json!({"type": "http", "url": "https://h/mcp", "command": ""}), None, "streamable-http"),
    ] {
        assert_eq!(one(&entry, client), json!({"protocol": protocol, "url": "https://h/mcp"}), "{entry}");
    }
    let plan = all(
        "[mcp_servers.s]\nurl = \"https://h/mcp\"\nbearer_token_env_var = \"TOKEN\"\nhttp_headers = { X = \"1\" }\nenv_http_headers = { Y = \"VAR\" }\n",
        Some("codex"),
    );
    let headers = json!({"X": "1", "Y": "${env:VAR}", "Authorization": "Bearer ${env:TOKEN}"});
    assert_eq!(plan.imported[0].entry["headers"], headers);
}

#[test]
fn a_bridge_is_replaced_by_the_url_it_leads_to() {
    for (entry, expected) in [
        (
            json!({"command": "npx", "args": ["-y", "mcp-remote", "https://h/sse"]}),
            json!({"protocol": "auto", "url": "https://h/sse"}),
        ),
        (
            json!({"command": "cmd", "args": ["/c", "npx", "mcp-remote@latest", "https://h/mcp", "3334", "--allow-http"]}),
            json!({"protocol": "auto", "url": "https://h/mcp"}),
        ),
        (
            json!({"command": "/usr/bin/bunx", "args": ["mcp-remote", "https://h/mcp", "--transport", "http-only"]}),
            json!({"protocol": "streamable-http", "url": "https://h/mcp"}),
        ),
        (
            json!({"command": "pnpm", "args": ["dlx", "mcp-remote", "https://h/mcp", "--transport", "sse-only"]}),
            json!({"protocol": "sse", "url": "https://h/mcp"}),
        ),
        (
            json!({"command": "npx", "args": ["mcp-remote", "https://h/mcp", "--header", "Authorization:${AUTH}", "--header", "X: ${OTHER}"],
                "env": {"AUTH": "Bearer abc"}}),
            json!({"protocol": "auto", "url": "https://h/mcp", "headers": {"Authorization": "Bearer abc", "X": "${env:OTHER}"}}),
        ),
        (
            json!({"command": "npx", "args": ["mcp-remote", "https://h/mcp", "--static-oauth-client-info", "{\"client_id\":\"i\",\"x\":1}"]}),
            json!({"protocol": "auto", "url": "https://h/mcp", "oauth": {"client_id": "i"}}),
        ),
    ] {
        assert_eq!(one(&entry, None), expected, "{entry}");
    }
    assert!(failure(&json!({"command": "npx", "args": ["mcp-remote"]}), None).contains("no URL"));
    // Not the bridge itself.
    let other = json!({"command": "npx", "args": ["tool", "mcp-remote", "https://h/"]});
    assert_eq!(one(&other, None)["command"], "npx");
}

#[test]
fn variables_become_references_or_are_refused() {
    for (text, client, expected) in [
        ("${env:A}", Some("vscode"), "${env:A}"),
        ("${SET}-${SET:-x}", Some("claude-code"), "${env:SET}-${env:SET}"),
        ("${UNSET:-x}", Some("claude-code"), "x"),
        ("${HOME}/b", Some("claude-code"), "/home/a/b"),
        ("$SET/${SET}$", Some("gemini"), "${env:SET}/${env:SET}$"),
        ("{env:A} {b}", Some("opencode"), "${env:A} {b}"),
        ("${userHome}/x", Some("cursor"), "/home/a/x"),
        ("${SET} $SET {env:A}", Some("cursor"), "${SET} $SET {env:A}"),
        ("ü${", Some("claude-code"), "ü${"),
    ] {
        let entry = if client == Some("opencode") {
            json!({"command": ["x"], "environment": {"V": text}})
        } else {
            json!({"command": "x", "env": {"V": text}})
        };
        assert_eq!(one(&entry, client)["env"]["V"], expected, "{text}");
    }
    assert!(
        failure(&json!({"command": "x", "args": ["${workspaceFolder}"]}), Some("vscode"))
            .contains("depends on the folder")
    );
    assert!(failure(&json!({"command": "${SET}/x"}), Some("claude-code")).contains("contains a variable"));
    assert!(failure(&json!({"command": ["x", "{file:~/t}"]}), Some("opencode")).contains("mcpproxy secrets set"));
}

#[test]
fn the_inputs_of_vs_code_are_read_from_the_keychain_or_keep_their_default() {
    let text = r#"{"inputs": [{"id": "api key", "type": "promptString", "password": true, "description": "API key"},
                               {"id": "region", "type": "promptString", "default": "eu"}],
                   "servers": {"s": {"command": "x", "env": {"KEY": "${input:api key}", "REGION": "${input:region}"}}}}"#;
    let plan = all(text, Some("vscode"));
    assert_eq!(plan.imported[0].entry["env"], json!({"KEY": "${keyring:api-key}", "REGION": "eu"}));
    assert_eq!(plan.imported[0].warnings, ["store its value (API key): mcpproxy secrets set api-key"]);
}

#[test]
fn a_disabled_server_stays_disabled_and_tools_stay_off() {
    for (entry, enabled) in [
        (json!({"command": "x", "disabled": true}), false),
        (json!({"command": "x", "enabled": false}), false),
        (json!({"command": "x", "disabled": false}), true),
        (json!({"command": "x"}), true),
    ] {
        let plan = all(&json!({"mcpServers": {"s": entry}}).to_string(), None);
        assert_eq!(plan.imported[0].entry["enabled"], enabled, "{entry}");
    }
    let entry =
        one(&json!({"command": "x", "includeTools": ["a", "b"], "excludeTools": ["b"], "trust": true}), Some("gemini"));
    assert_eq!((&entry["enabled_tools"], entry.get("disabled_tools")), (&json!(["a"]), None));
}

#[test]
fn what_cannot_be_imported_says_why() {
    for (entry, words) in [
        (json!({}), "neither a command nor a URL"),
        (json!(7), "not an object"),
        (json!({"url": "ftp://h/"}), "expected http or https"),
        (json!({"url": "no url"}), "URL is invalid"),
        (json!({"type": "websocket", "url": "wss://h/"}), "`websocket` is not supported"),
    ] {
        assert!(failure(&entry, None).contains(words), "{entry}");
    }
    let own = r#"{"mcpServers": {"mcpproxy": {"url": "http://localhost:8080/mcp"}, "b": {"command": "mcpproxy", "args": ["stdio"]}}}"#;
    let plan = all(own, Some("cursor"));
    assert_eq!((plan.imported.len(), plan.skipped.len()), (0, 2));
    let goose = all("extensions:\n  developer:\n    type: builtin\n    enabled: true\n", Some("goose"));
    assert!(goose.skipped[0].reason.contains("extension of the client"));
}

#[test]
fn the_same_server_is_imported_once_and_a_conflict_gets_a_suffix() {
    let cursor = source(
        r#"{"mcpServers": {"gh": {"command": "npx", "args": ["gh"], "env": {"T": "1"}}, "fs": {"command": "a"}}}"#,
        Some("cursor"),
    );
    let zed = source(
        r#"{"context_servers": {"github": {"command": "npx", "args": ["gh"], "env": {"T": "1"}}, "fs": {"command": "b"}, "a b": {"command": "c"}}}"#,
        Some("zed"),
    );
    let existing = [("fs".to_owned(), json!({"name": "fs", "command": "z"}).as_object().unwrap().clone())];
    let plan = planned(&[cursor, zed], &existing, &Selection::default());
    let names: Vec<&str> = plan.imported.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["gh", "fs-2", "fs-3", "a-b"]);
    assert_eq!(plan.imported[1].warnings, ["named `fs-2` because a different server is named `fs`"]);
    assert_eq!(plan.skipped[0].reason, "same server as `gh` from Cursor");
    assert_eq!(plan.total(), 5);
    // A second import changes nothing.
    let existing: Vec<_> =
        existing.into_iter().chain(plan.imported.iter().map(|one| (one.name.clone(), one.entry.clone()))).collect();
    let again = source(
        r#"{"mcpServers": {"gh": {"command": "npx", "args": ["gh"], "env": {"T": "1"}}, "fs": {"command": "a"}}}"#,
        Some("cursor"),
    );
    let plan = planned(&[again], &existing, &Selection::default());
    assert!(plan.imported.is_empty() && plan.skipped.iter().all(|one| one.same_as.is_some()), "{plan:?}");
}

#[test]
fn names_are_chosen_renamed_and_made_valid() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}, "ß:ü": {"command": "z"}}}"#;
    let selection = Selection {
        only: vec!["b".to_owned(), "missing".to_owned(), "ß:ü".to_owned()],
        rename: [("b".to_owned(), "c".to_owned())].into(),
    };
    let plan = planned(&[source(text, None)], &[], &selection);
    let names: Vec<&str> = plan.imported.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["c", "server"]);
    assert_eq!(plan.warnings, ["no server is named `missing`"]);
    let long = json!({"mcpServers": {("n".repeat(80)): {"command": "x"}, ("n".repeat(81)): {"command": "y"}}});
    let plan = all(&long.to_string(), None);
    assert_eq!(plan.imported[1].name, format!("{}-2", "n".repeat(62)));
}

#[test]
fn secrets_are_found_and_replaced_by_references() {
    let entry = json!({"command": "x",
        "env": {"GITHUB_TOKEN": "ghp_0123456789", "OPENAI_API_KEY": "sk-0123456789", "REGION": "eu-central-1", "KEY_FILE": "/home/a/key.pem",
                "PAT": "0123456789", "DEBUG_TOKEN": "1", "SECRET": "${env:SECRET_ONE}"},
        "headers": {"Authorization": "Bearer abcdefghij", "Accept": "application/json"}});
    let mut entry = entry.as_object().unwrap().clone();
    let found = secrets::find("gh", &entry);
    let keys: Vec<&str> = found.iter().map(|secret| secret.key.as_str()).collect();
    assert_eq!(keys, ["GITHUB_TOKEN", "OPENAI_API_KEY", "PAT", "Authorization"]);
    assert_eq!(found[3].value(), "abcdefghij");
    assert!(!format!("{found:?}").contains("abcdefghij"));
    let before = entry.clone();
    for secret in &found {
        secrets::replace(&mut entry, secret);
    }
    assert_eq!(entry["env"]["GITHUB_TOKEN"], "${keyring:gh.GITHUB_TOKEN}");
    assert_eq!(entry["headers"]["Authorization"], "Bearer ${keyring:gh.Authorization}");
    assert!(is_same_server(&before, &entry), "moving a secret does not make another server");
    assert!(secrets::find("gh", &entry).is_empty());
}

#[test]
fn moved_entries_come_back_byte_for_byte() {
    for (id, text) in [
        (
            "cursor",
            "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\"command\": \"x\"}, // a\n    \"b\": {\"url\": \"http://h/\"},\n    \"keep\": {\"command\": \"k\"}\n  },\n  \"n\": 1.0\n}\n",
        ),
        (
            "codex",
            "model = \"x\"\r\n\r\n[mcp_servers.a]\r\ncommand = \"x\"\r\n\r\n[mcp_servers.a.env]\r\nT = \"1\"\r\n\r\n[mcp_servers.b]\r\nurl = \"http://h/\"\r\n\r\n[mcp_servers.keep]\r\ncommand = \"k\"\r\n",
        ),
        ("goose", "extensions:\n  a:\n    cmd: x\n  b:\n    uri: http://h/\n  keep:\n    cmd: k\nother: 1.0\n"),
    ] {
        let client = client(id).unwrap();
        let left = without(client, text.as_bytes(), &["a".to_owned(), "b".to_owned()]).unwrap();
        let names: Vec<String> =
            crate::ai_clients::format::entries(client, &left).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["keep"], "{id}");
        let backups = [
            Backup {
                name: "other".into(),
                bytes: left.clone(),
            },
            Backup {
                name: "before".into(),
                bytes: text.into(),
            },
        ];
        let proxy = Proxy::new("127.0.0.1:8080", false, None, Bridge::sample());
        let (backup, names) = restored(client, &proxy, &left, &backups).unwrap();
        assert_eq!((backup.bytes.as_slice(), names.join(" ").as_str()), (text.as_bytes(), "a b"), "{id}");
        let changed = String::from_utf8(left).unwrap().replace("keep", "kept");
        assert!(restored(client, &proxy, changed.as_bytes(), &backups).is_none(), "{id}");
    }
}

#[test]
fn an_undo_does_not_connect_a_client_that_was_disconnected() {
    let proxy = Proxy::new("127.0.0.1:8080", false, None, Bridge::sample());
    let client = client("cursor").unwrap();
    let backup = |url: &str| Backup {
        name: "before".into(),
        bytes: json!({"mcpServers": {"keep": {"command": "k"}, "one": {"url": url}}}).to_string().into(),
    };
    for (url, is_moved) in [
        ("http://127.0.0.1:8080/mcp", false),
        ("http://127.0.0.1:9090/mcp", true),
    ] {
        let backups = [backup(url)];
        let left = without(client, &backups[0].bytes, &["one".to_owned()]).unwrap();
        assert_eq!(restored(client, &proxy, &left, &backups).is_some(), is_moved, "{url}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_never_a_panic(text in "[\\[\\]{}\",:=a-z\\n$#/. 0-9'-]{0,80}", value in "[${}:a-zA-Z_/ -]{0,30}") {
            for client in [None, Some("cursor"), Some("codex"), Some("goose"), Some("opencode")] {
                if let Ok(found) = read(&text, client, None, "test") {
                    planned(&[found], &[], &Selection::default());
                }
            }
            let entry = json!({"command": value, "args": [value, "mcp-remote", value], "env": {"A": value}, "url": value});
            for client in ["claude-code", "gemini", "vscode"] {
                let container = super::client(client).unwrap().container;
                all(&json!({container: {"s": entry}}).to_string(), Some(client));
            }
        }
    }
}

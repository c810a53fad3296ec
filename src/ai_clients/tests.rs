//! Connecting and disconnecting preserve every other byte of a client's file.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::format::{entries, with_entry, without_entry};
use crate::ai_clients::known_clients::{CLIENTS, Client, Format, client};
use crate::ai_clients::plan::{Action, Backup, Change, Plan, Refusal, connect, disconnect, undo};
use crate::ai_clients::stdio_entry::Bridge;

fn proxy() -> Proxy {
    Proxy::new("127.0.0.1:8080", false, None, Bridge::sample())
}

fn named(id: &str) -> &'static Client {
    client(id).unwrap()
}

fn written(plan: Result<Plan, Refusal>) -> String {
    match plan.unwrap().change {
        Change::Write(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn connected(client: &Client, text: &str) -> String {
    written(connect(client, &proxy(), Some(text.as_bytes()), None, false))
}

fn taken_back(client: &Client, text: &str, backups: &[&str]) -> Result<Plan, Refusal> {
    let backup = |(index, text): (usize, &&str)| Backup {
        name: index.to_string(),
        bytes: text.as_bytes().to_vec(),
    };
    let backups: Vec<Backup> = backups.iter().enumerate().map(backup).collect();
    disconnect(client, &proxy(), Some(text.as_bytes()), None, &backups)
}

/// Whether `new` is `old` with one insertion, and at most one comma before it.
fn only_adds(old: &str, new: &str) -> bool {
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let spliced = |new: &[char]| {
        let front = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let back = old[front..].iter().rev().zip(new[front..].iter().rev()).take_while(|(a, b)| a == b).count();
        front + back == old.len()
    };
    let front = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let mut without_comma = new.clone();
    if new.get(front) == Some(&',') {
        without_comma.remove(front);
    }
    spliced(&new) || spliced(&without_comma)
}

const JSON: [&str; 14] = [
    "{}",
    "{}\n",
    "{\n}\n",
    "{\"mcpServers\":{}}",
    "{\n  \"mcpServers\": {\n    \"fs\": {\n      \"command\": \"npx\",\n      \"args\": [\"-y\", \"x\"]\n    }\n  }\n}\n",
    // comments, trailing commas, tabs
    "// mine\n{\n\t// first\n\t\"theme\": \"dark\", /* inline */\n\t\"mcpServers\": {\n\t\t// a server\n\t\t\"a\": { \"url\": \"http://x\" }, // after\n\t},\n}\n// end\n",
    // a comment after the last one, which has no comma
    "{\n  \"a\": 1 // note\n}\n",
    // Windows line ends
    "{\r\n  \"mcpServers\": {\r\n    \"fs\": {\r\n      \"command\": \"C:\\\\fs.exe\"\r\n    }\r\n  },\r\n  \"z\": 1\r\n}\r\n",
    // a mark at the start
    "\u{feff}{\n  \"mcpServers\": {\n    \"fs\": {}\n  }\n}\n",
    // numbers that a parser would write otherwise, unknown keys, escapes
    "{\"numStartups\":1.0,\"big\":12345678901234567890123,\"e\":1e3,\"E\":-0.10E+05,\"esc\":\"\\u00e9\\/<&>\",\"mcpServers\":{\"a\":{\"n\":1.50}}}",
    // not Latin, and no final line end
    "{\n    \"имя\": \"値 😀\",\n    \"mcpServers\": {\n        \"файлы\": {\n            \"command\": \"сервер\"\n        }\n    }\n}",
    // our key far from the end
    "{\n  \"mcpServers\": {\"a\": {}, \"b\": {}},\n  \"projects\": {\"/p\": {\"mcpServers\": {}, \"history\": []}}\n}\n",
    "  \n{ \"servers\" : { } , \"mcp\" : { } }",
    "{\n  \"mcpServers\": {\n    \"a\": {}\n  }, // servers\n  \"b\": [1, 2,],\n}",
];

const TOML: [&str; 9] = [
    "model = \"o4\"\n",
    "# mine\nmodel = 'o4' # which\nn = 1_000\nf = 1e3\nwhen = 1979-05-27T07:32:00Z\n\n[mcp_servers.fs]\ncommand = \"npx\"\nargs = [\n  \"-y\", # yes\n]\n\n[mcp_servers.fs.env]\nA = \"1\"\n\n[tui]\nx = true\n# end\n",
    "[mcp_servers]\n[mcp_servers.\"файлы\"]\ncommand = \"сервер\"\n",
    "model = \"o4\"\r\n\r\n[mcp_servers.fs]\r\ncommand = \"x\"\r\n",
    "\u{feff}model = \"o4\"\n",
    "[projects.\"/home/a/b\"]\ntrust_level = \"trusted\"\n\n\n",
    "text = \"\"\"\nline\n[not.a.table]\n\"\"\"\n",
    "# only a comment\n",
    "[[profiles]]\nname = \"a\"\n[[profiles]]\nname = \"b\"\n",
];

const YAML: [&str; 8] = [
    "GOOSE_PROVIDER: openai\n",
    "extensions:\n  developer:\n    bundled: true\n    name: developer # mine\n    timeout: 300\n# next\nGOOSE_PROVIDER: openai\n",
    "# top\r\nextensions:\r\n    a:\r\n        enabled: true\r\nX: 1.0\r\n",
    "\u{feff}n: 1e3\nwhen: 2001-01-01\ntext: |\n  extensions:\n    a: b\n\nlist: [1, 0x1F, ~]\n",
    "---\nextensions:\n  'имя':\n    description: \"値 😀\"\n\n  b: &b\n    enabled: no\n  c: *b\n\n\nlast: yes\n",
    "extensions: {a: {uri: 'x'}}\nX: y\n",
    "extensions: {}\nX: y\n",
    "extensions:\n  a:\n    args:\n    - -y\n    - x\n    env_keys: []\n    # end\n",
];

fn json_clients() -> impl Iterator<Item = &'static Client> {
    CLIENTS.iter().filter(|client| client.format == Format::Json)
}

fn fixtures() -> Vec<(&'static Client, &'static str)> {
    let json = json_clients().flat_map(|client| JSON.map(|text| (client, text)));
    let toml = TOML.map(|text| (named("codex"), text));
    json.chain(toml).chain(YAML.map(|text| (named("goose"), text))).collect()
}

#[test]
fn every_byte_of_the_file_survives_and_the_entry_is_found() {
    for (client, text) in fixtures() {
        let after = connected(client, text);
        assert!(only_adds(text, &after), "{}:\n{text}\n---\n{after}", client.id);
        let entry = client.entry(&proxy()).map(Value::Object).unwrap();
        let mut expected = entries(client, text.as_bytes()).unwrap();
        expected.push(("mcpproxy".to_owned(), entry));
        assert_eq!(entries(client, after.as_bytes()).unwrap(), expected, "{}:\n{after}", client.id);
        // The line ends are the file's own.
        if text.contains("\r\n") {
            assert_eq!(after.matches('\n').count(), after.matches("\r\n").count(), "{after:?}");
        }
    }
}

#[test]
fn connecting_and_disconnecting_brings_every_byte_back() {
    for (client, text) in fixtures() {
        let after = connected(client, text);
        assert_eq!(written(taken_back(client, &after, &["{}", text])), text, "{}", client.id);
    }
}

#[test]
fn a_file_that_was_not_there_is_gone_again() {
    for client in &CLIENTS {
        let after = written(connect(client, &proxy(), None, None, false));
        let way = if client.takes_key() { "http://127.0.0.1:8080/mcp" } else { "/usr/bin/mcpproxy" };
        assert!(after.ends_with('\n') && after.contains(way), "{after}");
        assert_eq!(taken_back(client, &after, &[]).unwrap().change, Change::Delete, "{}", client.id);
        // An empty file was there, and is again.
        assert_eq!(written(taken_back(client, &after, &[""])), "");
    }
}

#[test]
fn without_a_backup_the_entry_is_cut_out_of_what_is_there_now() {
    let before = "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\"n\": 1.0}\n  }\n}\n";
    let client = named("cursor");
    assert_eq!(written(taken_back(client, &connected(client, before), &[])), before);
    let goose = named("goose");
    for text in YAML.iter().filter(|text| text.starts_with("extensions:\n")) {
        let later = format!("{}# later\nlater: 1.0\n", connected(goose, text));
        assert_eq!(written(taken_back(goose, &later, &[text])), format!("{text}# later\nlater: 1.0\n"));
    }
    let codex = named("codex");
    for text in TOML {
        let later = connected(codex, text).replace("model", "# later\nmodel2");
        let expected = text.replace("model", "# later\nmodel2");
        assert_eq!(written(taken_back(codex, &later, &[text])), expected);
    }
}

#[test]
fn what_a_person_wrote_below_our_table_stays() {
    let client = named("codex");
    let text = "a = 1\n\n[mcp_servers.mcpproxy]\n# why\nurl = \"http://localhost:8080/mcp\" # here\ntool_timeout_sec = 9\n\n\
                [mcp_servers.mcpproxy.http_headers]\nX = \"1\"\n\n# next\n[other]\nb = 2\n";
    let after = written(taken_back(client, text, &[]));
    assert_eq!(after, "a = 1\n\n# why\n\n# next\n[other]\nb = 2\n");
}

#[test]
fn an_entry_of_another_address_is_replaced_only_by_force() {
    for (id, text) in [
        ("cursor", "{\"mcpServers\": {\"mcpproxy\": {\"url\": \"https://x.example/mcp\"}, \"z\": 1}}"),
        ("codex", "[mcp_servers.mcpproxy]\nurl = \"https://x.example/mcp\"\n\n[z]\n"),
    ] {
        let client = named(id);
        let refused = connect(client, &proxy(), Some(text.as_bytes()), None, false);
        assert_eq!(refused, Err(Refusal::Taken("mcpproxy".into())));
        let plan = connect(client, &proxy(), Some(text.as_bytes()), None, true).unwrap();
        assert_eq!(plan.action, Action::Updated);
        let Change::Write(after) = plan.change else { panic!() };
        let found = entries(client, &after).unwrap();
        let entry = found.iter().find(|(name, _)| name == "mcpproxy").unwrap();
        assert_eq!(entry.1, json!({"url": "http://127.0.0.1:8080/mcp"}));
        assert!(matches!(taken_back(client, text, &[]), Err(Refusal::NotFound { elsewhere: Some(_) })));
    }
}

#[test]
fn an_entry_of_ours_is_recognised_under_any_name_and_kept_as_a_person_made_it() {
    let client = named("claude-code");
    let text =
        "{\"mcpServers\": {\"x\": {\"type\": \"http\", \"url\": \"http://127.0.0.1:8080/mcp\", \"timeout\": 5}}}";
    let plan = connect(client, &proxy(), Some(text.as_bytes()), None, false).unwrap();
    assert_eq!((plan.name.as_str(), plan.change, plan.action), ("x", Change::Nothing, Action::AlreadyThere));
    // Once the key is asked for, the entry has to say it.
    let with_key = Proxy::new("127.0.0.1:8080", true, Some("k"), Bridge::sample());
    let plan = connect(client, &with_key, Some(text.as_bytes()), None, false).unwrap();
    assert_eq!(plan.action, Action::Updated);
    assert!(written(Ok(plan)).contains("\"X-API-Key\": \"k\""));
}

#[test]
fn an_entry_that_starts_a_program_of_ours_elsewhere_or_calls_our_address_is_put_right() {
    let client = named("claude-desktop");
    let wanted = json!({"command": "/usr/bin/mcpproxy", "args": ["stdio"]});
    for there in [
        json!({"command": "/opt/old/mcpproxy", "args": ["stdio"]}),
        json!({"command": r"C:\old\mcpproxy.exe", "args": ["stdio"]}),
        // As the Go core writes it.
        json!({"command": "npx", "args": ["-y", "mcp-remote", "http://127.0.0.1:8080/mcp", "--header", "X-API-Key:k"]}),
    ] {
        let text = json!({"mcpServers": {"x": there, "z": {"command": "z"}}}).to_string();
        let plan = connect(client, &proxy(), Some(text.as_bytes()), None, false).unwrap();
        assert_eq!((plan.name.as_str(), plan.action), ("x", Action::Updated));
        let after = written(Ok(plan));
        assert_eq!(entries(client, after.as_bytes()).unwrap()[0], ("x".to_owned(), wanted.clone()));
        let again = connect(client, &proxy(), Some(after.as_bytes()), None, false).unwrap();
        assert_eq!((again.change, again.action), (Change::Nothing, Action::AlreadyThere));
        assert!(!written(taken_back(client, &text, &[])).contains("\"x\""));
    }
    let another =
        json!({"mcpServers": {"mcpproxy": {"command": "mcpproxy", "args": ["stdio", "-d", "/srv"]}}}).to_string();
    let refused = connect(client, &proxy(), Some(another.as_bytes()), None, false);
    assert_eq!(refused, Err(Refusal::Taken("mcpproxy".into())));
    assert!(matches!(taken_back(client, &another, &[]), Err(Refusal::NotFound { elsewhere: Some(_) })));
}

#[test]
fn where_our_program_cannot_be_found_a_client_that_starts_it_is_left_alone() {
    let bridge = Bridge {
        program: Err("it is gone".into()),
        ..Bridge::sample()
    };
    let lost = Proxy::new("127.0.0.1:8080", false, None, bridge);
    let refused = connect(named("claude-desktop"), &lost, Some(b"{}"), None, true);
    assert!(matches!(refused, Err(Refusal::NoEntry(reason)) if reason.contains("it is gone")));
    assert!(connect(named("cursor"), &lost, Some(b"{}"), None, false).is_ok());
    // An entry from an earlier connect can still be removed.
    let text = connected(named("claude-desktop"), "{}");
    assert!(disconnect(named("claude-desktop"), &lost, Some(text.as_bytes()), None, &[]).is_ok());
}

#[test]
fn a_name_of_the_persons_own_is_used_if_every_client_takes_it() {
    for client in &CLIENTS {
        let named = |name: &str| connect(client, &proxy(), Some(b""), Some(name), false);
        assert!(written(named("my-proxy_1")).contains("my-proxy_1"), "{}", client.id);
        for bad in ["", "a b", "a.b", "]", "имя", "a\n", &"a".repeat(65)] {
            assert_eq!(named(bad), Err(Refusal::BadName(bad.to_owned())));
        }
    }
}

#[test]
fn an_undo_is_refused_once_anything_else_has_changed() {
    let client = named("gemini");
    let text = "{\"theme\": \"x\"}";
    let after = connected(client, text);
    let backups = [Backup {
        name: "b".into(),
        bytes: text.into(),
    }];
    let plan = undo(client, &proxy(), Some(after.as_bytes()), None, &backups).unwrap();
    assert_eq!((plan.action, plan.change), (Action::Restored, Change::Write(text.into())));
    let changed = after.replace("\"x\"", "\"y\"");
    assert_eq!(undo(client, &proxy(), Some(changed.as_bytes()), None, &backups), Err(Refusal::Conflict));
    let none = undo(client, &proxy(), Some(text.as_bytes()), None, &backups);
    assert_eq!(none, Err(Refusal::NotFound { elsewhere: None }));
}

#[test]
fn a_mistake_is_refused_with_its_place() {
    let refused = |id: &str, bytes: &[u8]| match connect(named(id), &proxy(), Some(bytes), None, true) {
        Err(Refusal::Malformed(mistake)) => mistake,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("cursor", b"{\n  \"a\": 1,\n  b\n}").at, Some((3, 3)));
    assert_eq!(refused("codex", b"a = 1\nb = = 2\n").at.map(|(line, _)| line), Some(2));
    assert_eq!(refused("cursor", b"{\n \"\xff\"}").at, Some((2, 3)));
    for (id, text) in [
        ("cursor", "[]"),
        ("cursor", "{\"mcpServers\": []}"),
        ("cursor", "{\"mcpServers\": {}, \"mcpServers\": {}}"),
        ("cursor", "{'mcpServers': {}}"),
        ("goose", "a: [1,\nb"),
        ("goose", "- a\n"),
        ("goose", "extensions: a\n"),
        ("goose", "extensions: {}\nextensions: {}\n"),
        ("codex", "mcp_servers = 1"),
        ("codex", "mcp_servers = { a = { url = \"x\" } }"),
    ] {
        refused(id, text.as_bytes());
    }
    for id in ["cursor", "codex", "goose"] {
        refused(id, format!("a = {}", "[".repeat(100_000)).as_bytes());
        refused(id, "[".repeat(100_000).as_bytes());
    }
}

/// JSON as people and programs write it: white space, comments and trailing commas anywhere.
fn json_text() -> impl Strategy<Value = String> {
    let space = prop::sample::select(vec!["", " ", "\n", "\r\n", "\t", "\n    ", " /* c */ ", " // ß\n", "\n\n"]);
    let leaf = prop::sample::select(vec![
        "1.0",
        "1e3",
        "-0",
        "12345678901234567890",
        "true",
        "null",
        "\"a\"",
        "\"// no\"",
        "\"値\\u0000\"",
        "\"\\\"}\"",
        "{}",
        "[]",
        "{ }",
        "[\n]",
    ]);
    let space = space.boxed();
    let value = leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, {
        let space = space.clone();
        move |inner| {
            let item = (space.clone(), inner.clone(), space.clone()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let items = (prop::collection::vec(item, 1..4), any::<bool>());
            let array =
                items.prop_map(|(items, comma)| format!("[{}{}]", items.join(","), if comma { "," } else { "" }));
            prop_oneof![array, object(inner, space.clone(), "k")]
        }
    });
    let servers = prop_oneof![Just(None), object(value.clone(), space.clone(), "s").prop_map(Some)];
    (object(value, space.clone(), "k"), servers, space.clone(), space).prop_map(|(root, servers, before, after)| {
        let root = match servers {
            Some(servers) => format!("{{\"mcpServers\":{servers},{}", &root[1..]),
            None => root,
        };
        format!("{before}{root}{after}")
    })
}

/// An object of one to three properties.
fn object(
    value: impl Strategy<Value = String> + 'static,
    space: BoxedStrategy<&'static str>,
    prefix: &'static str,
) -> BoxedStrategy<String> {
    let property = (space.clone(), space.clone(), value, space);
    let properties = (prop::collection::vec(property, 1..4), any::<bool>());
    let text = move |(properties, comma): (Vec<(&str, &str, String, &str)>, bool)| {
        let each = properties.iter().enumerate();
        let each = each.map(|(index, (a, b, value, c))| format!("{a}\"{prefix}{index}\":{b}{value}{c}"));
        format!("{{{}{}}}", each.collect::<Vec<_>>().join(","), if comma { "," } else { "" })
    };
    properties.prop_map(text).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_json_keeps_its_bytes_and_gets_them_back(text in json_text(), mark in any::<bool>()) {
        let text = format!("{}{text}", if mark { "\u{feff}" } else { "" });
        let client = named("claude-code");
        let after = connected(client, &text);
        prop_assert!(only_adds(&text, &after), "{text:?}\n{after:?}");
        let entry = client.entry(&proxy()).unwrap();
        let mut expected = entries(client, text.as_bytes()).unwrap();
        expected.push(("mcpproxy".to_owned(), Value::Object(entry.clone())));
        prop_assert_eq!(entries(client, after.as_bytes()).unwrap(), expected);
        let back = written(taken_back(client, &after, &[text.as_str()]));
        prop_assert_eq!(&back, &text);
        // Cut out without a backup, nothing of the others is lost either.
        let cut = without_entry(client, after.as_bytes(), "mcpproxy").unwrap();
        let found = entries(client, &cut).unwrap();
        prop_assert_eq!(found, entries(client, text.as_bytes()).unwrap());
        let comments = |text: &str| text.matches("/* c */").count() + text.matches("// ß").count();
        prop_assert_eq!(comments(&String::from_utf8(cut).unwrap()), comments(&text), "{:?}", after);
    }

    #[test]
    fn any_yaml_keeps_its_bytes_or_is_refused(
        text in "(extensions:\n)?((  |    ){0,2}[a-d]: ?(x|1\\.0|'q'|\\[1, 2\\]|\\||&a 1)?( # r)?\n|# c\n|\n|  - y\n){0,9}",
        windows in any::<bool>(),
    ) {
        let text = if windows { text.replace('\n', "\r\n") } else { text };
        let client = named("goose");
        if let Ok(Plan { change: Change::Write(after), .. }) = connect(client, &proxy(), Some(text.as_bytes()), None, false) {
            let after = String::from_utf8(after).unwrap();
            prop_assert!(only_adds(&text, &after), "{text:?}\n{after:?}");
            prop_assert_eq!(&written(taken_back(client, &after, &[text.as_str()])), &text);
            if let Ok(cut) = without_entry(client, after.as_bytes(), "mcpproxy") {
                let cut = String::from_utf8(cut).unwrap();
                prop_assert_eq!(cut.matches('#').count(), text.matches('#').count(), "{:?}", cut);
                prop_assert_eq!(entries(client, cut.as_bytes()).unwrap(), entries(client, text.as_bytes()).unwrap());
            }
        }
    }

    #[test]
    fn any_bytes_are_edited_or_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200),
                                                         text in "[\\[\\]{}\",:=a-z\\n\\r#/. 0-9'-]{0,80}") {
        let entry = named("codex").entry(&proxy()).unwrap();
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            for id in ["claude-code", "codex", "goose"] {
                if let Ok(after) = with_entry(named(id), bytes, "mcpproxy", &entry) {
                    // YAML that says nothing else is not cut out of, but refused.
                    prop_assert!(without_entry(named(id), &after, "mcpproxy").is_ok() || id == "goose");
                }
            }
        }
    }
}

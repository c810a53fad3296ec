//! The recorded data directory of Go core v0.60 (`tests/data/go-homes/full`), and what else may lie in its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bolt::{Bolt, BoltError};
use super::database::{self, InUse};
use super::go_hash::GoTool;
use super::imported::Comparison;
use super::plan::{Database, Edit, ServerState, Takeover, ToolState, plan};
use super::records::{self, Records, Status};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/full")
}

fn database_bytes() -> Vec<u8> {
    std::fs::read(home().join("dot-mcpproxy/config.db")).unwrap()
}

fn document() -> Value {
    let text = std::fs::read_to_string(home().join("dot-mcpproxy/mcp_config.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn records() -> Records {
    records::read(database_bytes().as_slice()).unwrap()
}

fn taken_over(document: &Value) -> Takeover {
    plan(document, &Database::Read(Box::new(records())), &BTreeSet::new())
}

fn tools<'a>(takeover: &'a Takeover, server: &str, state: ToolState) -> Vec<&'a str> {
    let server = takeover.plan.servers.iter().find(|plan| plan.name == server).unwrap();
    server.tools.iter().filter(|tool| tool.becomes == state).map(|tool| tool.name.as_str()).collect()
}

/// The tools of a server as Go core v0.60 listed them over REST.
fn listed(server: &str) -> Vec<(GoTool, String)> {
    let text = std::fs::read_to_string(home().join("rest-v0.60.json")).unwrap();
    let rest: Value = serde_json::from_str(&text).unwrap();
    let tools = &rest[format!("GET /api/v1/servers/{server}/tools")]["body"]["data"]["tools"];
    let tool = |tool: &Value| {
        let text = |key: &str| tool[key].as_str().unwrap().to_owned();
        let go = GoTool::new(&text("name"), &text("description"), tool["schema"].as_object().unwrap(), None);
        (go, text("hash"))
    };
    tools.as_array().unwrap().iter().map(tool).collect()
}

#[test]
fn the_recorded_database_is_read_whole() {
    let records = records();
    let everything = &records.tools["everything"];
    assert_eq!((records.transaction, everything.len()), (139, 13));
    assert!(everything["echo"].disabled && everything["get-sum"].disabled && !everything["get-env"].disabled);
    let changing = &records.tools["changing"];
    assert_eq!(changing["add"].status, Status::Changed);
    assert_eq!(changing["add"].approved.description, "Adds numbers");
    assert_eq!((changing["mul"].status, &changing["mul"].approved_hash), (Status::Pending, &None));
    assert!(records.unreadable.is_empty() && records.held_prompts.is_empty() && records.sign_ins.is_empty());
    let activation = &records.activation;
    assert!(activation.connected_server && activation.mcp_client && activation.retrieve_tools_call);
    assert!(activation.real_tool_call && !activation.installer_pending);
    assert_eq!(activation.clients, ["claude-code"]);
    assert_eq!((activation.retrieve_tools_calls.0, activation.tokens_saved.0), (1, 2400));
    assert_eq!(records.first_seen["auto"], "2026-11-29T21:43:41.84133709Z");
    assert!(records.has_activity && records.agent_tokens == 0);
}

#[test]
fn every_state_of_the_recorded_home_becomes_what_it_must() {
    let takeover = taken_over(&document());
    assert_eq!(tools(&takeover, "everything", ToolState::Callable).len(), 11);
    assert_eq!(tools(&takeover, "everything", ToolState::Off), ["echo", "get-sum"]);
    for server in ["changing", "manual"] {
        assert_eq!(tools(&takeover, server, ToolState::Callable), ["sub"]);
        assert_eq!(tools(&takeover, server, ToolState::NeedsApproval), ["add", "mul"]);
    }
    assert_eq!(tools(&takeover, "auto", ToolState::Callable), ["add", "mul", "sub"]);
    let states: Vec<_> = takeover.plan.servers.iter().map(|server| (server.name.as_str(), server.state)).collect();
    assert_eq!(states[4..], [("off", ServerState::Disabled), ("waiting", ServerState::Quarantined)]);
    let off = |tool: &str| Edit::TurnOff {
        server: "everything".into(),
        tool: tool.into(),
    };
    assert_eq!(takeover.edits, [off("echo"), off("get-sum")]);
    let unused: Vec<&str> = takeover.plan.unused.iter().map(|setting| setting.key.as_str()).collect();
    assert!(unused.is_empty(), "{unused:?}");
    assert!(takeover.plan.text().contains("  needs approval: add (changed since it was approved), mul (new"));
    let summary = takeover.plan.summary();
    assert!(summary.contains("6 servers, 4 tools that need approval, 2 tools that you turned off"), "{summary}");
}

#[test]
fn the_approvals_are_of_the_tools_that_their_servers_list() {
    let takeover = taken_over(&document());
    for server in ["everything", "changing", "manual", "auto"] {
        for (tool, hash) in listed(server) {
            // The REST interface leaves the output schema out.
            if tool.name == "get-structured-content" {
                continue;
            }
            assert_eq!(format!("sha256/v3:{}", tool.hash(3)), hash, "{server}:{}", tool.name);
            let expected = tools(&takeover, server, ToolState::NeedsApproval);
            let compared = takeover.approvals[server].compare(&tool);
            assert_eq!(compared != Comparison::Same, expected.contains(&tool.name.as_str()), "{server}:{}", tool.name);
            if tool.name == "add" && server != "auto" {
                let changed = Comparison::Changed {
                    approved_description: "Adds numbers",
                    input_schema_differs: false,
                    output_schema_differs: false,
                };
                assert_eq!(compared, changed);
            }
        }
    }
    assert!(!takeover.approvals.contains_key("waiting") && !takeover.approvals.contains_key("off"));
}

#[test]
fn a_tool_with_an_output_schema_is_recognised() {
    let takeover = taken_over(&document());
    let approved = &takeover.approvals["everything"].tools["get-structured-content"];
    let schema = |text: &str| serde_json::from_str::<Value>(text).unwrap().as_object().unwrap().clone();
    let (input, output) = (schema(&approved.input_schema), schema(&approved.output_schema));
    let tool = GoTool::new("get-structured-content", &approved.description, &input, Some(&output));
    assert_eq!(takeover.approvals["everything"].compare(&tool), Comparison::Same);
    let without = GoTool::new("get-structured-content", &approved.description, &input, None);
    let Comparison::Changed {
        output_schema_differs, ..
    } = takeover.approvals["everything"].compare(&without)
    else {
        panic!("a missing output schema is a change")
    };
    assert!(output_schema_differs);
}

#[test]
fn nothing_is_open_when_the_database_cannot_be_read() {
    let takeover = plan(&document(), &Database::Unreadable("it is damaged".into()), &BTreeSet::new());
    assert_eq!(takeover.approvals.len(), 6);
    assert!(takeover.approvals.values().all(|server| server.hold_all && server.tools.is_empty()));
    assert!(takeover.plan.servers.iter().all(|server| server.hold_all.is_some()));
    assert!(takeover.plan.summary().contains("every tool needs your approval once"));
}

#[test]
fn a_record_that_cannot_be_understood_holds_its_server_back() {
    let mut bytes = database_bytes();
    let record = br#""server_name":"manual","tool_name":"sub","approved_hash""#;
    // Stale pages have copies of the record.
    for at in 0..bytes.len() - record.len() {
        if &bytes[at..at + record.len()] == record {
            bytes[at] = b'#';
        }
    }
    let records = records::read(bytes.as_slice()).unwrap();
    assert_eq!(records.unreadable.iter().collect::<Vec<_>>(), ["manual"]);
    let takeover = plan(&document(), &Database::Read(Box::new(records)), &BTreeSet::new());
    assert!(takeover.approvals["manual"].hold_all && !takeover.approvals["changing"].hold_all);
    assert_eq!(tools(&takeover, "manual", ToolState::Callable), [""; 0]);
}

#[test]
fn the_last_tool_of_an_allow_list_is_not_turned_off_by_an_empty_list() {
    let mut document = document();
    let entry = &mut document["mcpServers"][2];
    assert_eq!(entry["name"], "everything");
    entry["enabled_tools"] = json!(["echo"]);
    let takeover = taken_over(&document);
    assert_eq!(
        takeover.edits,
        [Edit::Disable {
            server: "everything".into()
        }]
    );
    document["mcpServers"][2]["enabled_tools"] = json!(["echo", "get-env"]);
    assert_eq!(taken_over(&document).edits.len(), 2);
}

fn edit_of(takeover: &Takeover, server: &str) -> Vec<Edit> {
    let is_of =
        |edit: &&Edit| matches!(edit, Edit::Disable { server: of } | Edit::Quarantine { server: of } if of == server);
    takeover.edits.iter().filter(is_of).cloned().collect()
}

#[test]
fn what_only_the_database_says_about_a_server_is_kept() {
    let mut document = document();
    for entry in document["mcpServers"].as_array_mut().unwrap() {
        let entry = entry.as_object_mut().unwrap();
        entry.remove("quarantined");
        entry.insert("enabled".to_owned(), Value::Null);
    }
    let takeover = taken_over(&document);
    let states: Vec<_> = takeover.plan.servers.iter().map(|server| (server.name.as_str(), server.state)).collect();
    assert_eq!(states[4..], [("off", ServerState::Disabled), ("waiting", ServerState::Quarantined)]);
    let (off, waiting) = ("off".to_owned(), "waiting".to_owned());
    assert_eq!(edit_of(&takeover, "off"), [Edit::Disable { server: off }]);
    assert_eq!(edit_of(&takeover, "waiting"), [Edit::Quarantine { server: waiting }]);
    assert_eq!(edit_of(&takeover, "everything"), []);
    assert!(takeover.edits.iter().all(|edit| takeover.plan.made(edit)));
    // A server that has run here is what it is here.
    let known = BTreeSet::from(["off".to_owned(), "waiting".to_owned()]);
    let again = plan(&document, &Database::Read(Box::new(records())), &known);
    assert_eq!((edit_of(&again, "off"), edit_of(&again, "waiting")), (vec![], vec![]));
}

#[test]
fn a_server_that_the_go_core_has_never_loaded_needs_approval_unless_the_user_decided() {
    let entry = |more: Value| {
        let mut entry = json!({"name": "new", "command": "x", "enabled": true});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        taken_over(&json!({"mcpServers": [entry]}))
    };
    let new = entry(json!({}));
    assert_eq!(edit_of(&new, "new"), [Edit::Quarantine { server: "new".into() }]);
    assert_eq!(new.plan.servers[0].state, ServerState::Quarantined);
    assert!(
        new.plan.text().contains("never loaded it") && !new.plan.text().contains("approved when it first connects")
    );
    for decided in [json!({"quarantined": false}), json!({"trust_mode": "auto"})] {
        assert_eq!(edit_of(&entry(decided), "new"), []);
    }
    let open = json!({"mcpServers": [{"name": "new", "command": "x"}], "quarantine_enabled": false});
    assert_eq!(taken_over(&open).edits, []);
}

#[test]
fn servers_in_an_object_by_name_are_taken_over_too() {
    let by_name = json!({"mcpServers": {"changing": {"command": "x"}, "everything": {"command": "y"}}});
    let takeover = taken_over(&by_name);
    assert_eq!(tools(&takeover, "changing", ToolState::NeedsApproval), ["add", "mul"]);
    assert_eq!((takeover.approvals.len(), takeover.edits.len()), (2, 2));
}

#[test]
fn an_approval_of_an_earlier_version_is_of_the_same_contents() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let schema = schema.as_object().unwrap();
    let stored = |version: u64, description: &str| super::imported::ImportedServer {
        tools: [(
            "t".to_owned(),
            super::imported::ImportedTool {
                hash: "with annotations".into(),
                hash_version: version,
                description: description.into(),
                input_schema: r#"{"type":"object","properties":{"a":{"type":"string"}}}"#.into(),
                output_schema: String::new(),
            },
        )]
        .into(),
        ..Default::default()
    };
    let tool = GoTool::new("t", "Does it", schema, None);
    assert_eq!(stored(2, "Does it").compare(&tool), Comparison::Same);
    for (version, description) in [(3, "Does it"), (2, "Did it"), (0, "")] {
        let is_changed = matches!(stored(version, description).compare(&tool), Comparison::Changed { .. });
        assert!(is_changed, "{version} {description}");
    }
}

#[test]
fn tools_that_were_held_back_are_known_as_such() {
    let takeover = taken_over(&document());
    let held = |server: &str| takeover.approvals[server].held.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!((held("changing"), held("everything")), (vec!["add", "mul"], vec![]));
}

#[test]
fn settings_without_effect_are_listed_by_their_keys_and_never_by_their_values() {
    let mut document = document();
    document["logging"]["max_size"] = json!(99);
    document["tls"] = json!({"enabled": true, "hsts": false});
    document["made_up"] = json!({"secret": "hidden"});
    document["mcpServers"][0]["toon_output"] = json!("always");
    document["mcpServers"][0]["reconnect_on_use"] = json!(true);
    document["routing_mode"] = json!("code_execution");
    let plan = taken_over(&document).plan;
    let keys: Vec<&str> = plan.unused.iter().map(|setting| setting.key.as_str()).collect();
    for key in [
        "logging.max_size",
        "tls.hsts",
        "made_up",
        "mcpServers.auto.toon_output",
        "mcpServers.auto.reconnect_on_use",
    ] {
        assert!(keys.contains(&key), "{key} is missing from {keys:?}");
    }
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert!(!plan.text().contains("hidden"));
    assert!(plan.notices.iter().any(|notice| notice.contains("`code_execution`")));
}

#[test]
fn a_newer_format_or_layout_is_refused() {
    let bytes = database_bytes();
    let mut newer = bytes.clone();
    for page in [0, 4096] {
        newer[page + 16 + 4] = 3;
    }
    assert!(matches!(Bolt::open(newer.as_slice()), Err(BoltError::UnknownVersion(3))));
    // The key is followed by its value of eight bytes.
    let mut newer = bytes.clone();
    for at in 0..bytes.len() - 7 {
        if &bytes[at..at + 7] == b"schema\x03" {
            newer[at + 6] = 4;
        }
    }
    let error = records::read(newer.as_slice()).unwrap_err();
    assert!(matches!(error, records::ReadError::NewerSchema(4)), "{error}");
}

#[test]
fn a_database_without_approvals_is_damaged_unless_it_is_of_an_earlier_version() {
    let replaced = |bytes: Vec<u8>, from: &[u8], to: &[u8]| {
        let mut bytes = bytes;
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from) {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
        }
        bytes
    };
    let without = replaced(database_bytes(), b"tool_approvals", b"tool_approvalz");
    assert!(records::read(without.as_slice()).unwrap_err().to_string().contains("no approvals of tools"));
    let earlier = replaced(without, b"schema\x03", b"schema\x02");
    assert!(records::read(earlier.as_slice()).unwrap().tools.is_empty());
}

#[test]
fn a_file_of_any_other_kind_is_refused() {
    for bytes in [&b""[..], b"{}", &[0; 4096], &[0xff; 65536]] {
        assert!(records::read(bytes).is_err());
    }
    let bytes = database_bytes();
    for length in (0..bytes.len()).step_by(997).chain([172_031]) {
        assert!(length >= 172_032 || records::read(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn the_older_meta_page_is_used_when_the_newer_one_is_torn() {
    let mut bytes = database_bytes();
    bytes[4096 + 16 + 56] ^= 1;
    assert_eq!(Bolt::open(bytes.as_slice()).unwrap().transaction(), 138);
    bytes[16 + 56] ^= 1;
    assert!(matches!(Bolt::open(bytes.as_slice()), Err(BoltError::Damaged(_))));
}

#[test]
fn a_gigabyte_of_nothing_takes_neither_time_nor_memory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.db");
    std::fs::write(&path, database_bytes()).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(database::read(&path, InUse::Refuse), Database::Read(_)));
    std::fs::write(&path, b"").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(database::read(&path, InUse::Refuse), Database::Unreadable(_)));
}

#[test]
fn a_database_in_use_is_not_taken_over_but_can_be_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.db");
    assert_eq!(database::read(&path, InUse::Refuse), Database::Missing);
    std::fs::write(&path, database_bytes()).unwrap();
    let held = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    held.lock().unwrap();
    let Database::Unreadable(reason) = database::read(&path, InUse::Refuse) else {
        panic!("a locked database must not be taken over")
    };
    assert!(reason.contains("another MCPProxy has it open"), "{reason}");
    #[cfg(unix)]
    assert!(matches!(database::read(&path, InUse::Read), Database::Read(_)));
    drop(held);
    assert!(matches!(database::read(&path, InUse::Refuse), Database::Read(_)));
    assert!(matches!(database::read(directory.path(), InUse::Refuse), Database::Unreadable(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Changed bytes are an error or other records, never a panic and never an endless read.
    #[test]
    fn any_bytes_are_read_or_refused(changes in prop::collection::vec((0_usize..180_000, any::<u8>()), 1..40)) {
        let mut bytes = database_bytes();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let _ = records::read(bytes.as_slice());
    }

    /// The same where it hurts most: page headers and the positions in them.
    #[test]
    fn garbage_pages_are_read_or_refused(
        changes in prop::collection::vec((0_usize..42, 0_usize..256, any::<u8>()), 1..60),
    ) {
        let mut bytes = database_bytes();
        for (page, at, byte) in changes {
            bytes[page * 4096 + at] = byte;
        }
        let _ = records::read(bytes.as_slice());
    }

    /// No document makes the plan panic, and no tool is callable that the records do not approve.
    #[test]
    fn any_document_gives_a_plan(name in "[a-z]{0,3}|everything|manual", trust in "(auto|manual|scan|Auto)?", list in any::<bool>()) {
        let document = json!({"mcpServers": [null, 7, {"name": name, "trust_mode": trust,
            "enabled_tools": if list { json!(["echo"]) } else { json!(null) }}], "tls": [], "logging": 3});
        let takeover = taken_over(&document);
        let callable = takeover.plan.servers.iter().flat_map(|server| &server.tools).any(|tool| {
            tool.becomes == ToolState::Callable && (tool.name == "add" || tool.name == "echo")
        });
        prop_assert!(!callable || trust == "auto");
    }
}

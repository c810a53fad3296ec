//! Checks that the documentation is current: its generated parts, links and format. `scripts/generate` updates the
//! generated parts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use serde_json::Value;

/// Maximum length of a line in a document, in characters.
const LONGEST_LINE: usize = 160;
/// Maximum number of lines in README.md.
const LONGEST_README: usize = 160;
/// Line width of generated prose.
const WIDTH: usize = 120;

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = project().join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("\r\n", "\n")
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test, not of the programs")]
fn generating() -> bool {
    std::env::vars_os().any(|(name, value)| name == "GENERATE" && !value.is_empty())
}

/// Writes a file if `GENERATE` is set; otherwise checks that it is current.
fn hold(path: &str, wanted: &str) {
    let file = project().join(path);
    if generating() {
        std::fs::write(file, wanted).unwrap();
    } else {
        let current = project().join(path).exists() && read(path) == wanted;
        assert!(current, "{path} is out of date: run scripts/generate");
    }
}

/// Returns a document with its generated part replaced.
fn with_part(document: &str, name: &str, part: &str) -> String {
    let begin = format!("<!-- begin generated: {name} -->\n");
    let end = format!("<!-- end generated: {name} -->");
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("no place for {name}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no end of {name}"));
    format!("{before}{begin}\n{}\n\n{end}{after}", part.trim())
}

fn hold_part(path: &str, name: &str, part: &str) {
    hold(path, &with_part(&read(path), name, part));
}

// --- the generated parts

#[test]
fn every_error_code_has_its_page() {
    use mcpproxy::diagnostics::catalog::Entry;
    use mcpproxy::diagnostics::code::Code;
    use mcpproxy::diagnostics::page;

    let (mut list, mut summary, mut pages) = (String::new(), String::new(), BTreeSet::new());
    for entry in Code::ALL.iter().map(|code| Entry::of(*code)) {
        let name = entry.code.name();
        hold(&format!("docs/errors/{name}.md"), &page::markdown(entry));
        writeln!(list, "| [{name}]({name}.md) | {} | {} |", entry.code.severity().word(), page::general(entry.what))
            .unwrap();
        writeln!(summary, "  - [{name}](errors/{name}.md)").unwrap();
        pages.insert(format!("{name}.md"));
    }
    hold_part("docs/errors/README.md", "codes", &format!("| Code | Severity | Meaning |\n|---|---|---|\n{list}"));
    let index = read("docs/SUMMARY.md");
    let (before, after) = (index.split("  - [MCPX_").next().unwrap(), index.rsplit_once("  - [MCPX_"));
    let after = after.and_then(|(_, rest)| rest.split_once('\n')).map_or("", |(_, rest)| rest);
    hold("docs/SUMMARY.md", &format!("{before}{summary}{after}"));
    pages.insert("README.md".to_owned());
    let found = std::fs::read_dir(project().join("docs/errors")).unwrap();
    let found: BTreeSet<String> = found.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found, pages, "a page without a code, or a code without a page");
}

#[test]
fn the_telemetry_page_lists_every_field() {
    let schema: Value = serde_json::from_str(&read("assets/telemetry/heartbeat-v3.schema.json")).unwrap();
    let mut text = String::from("| Field | Meaning | Example |\n|---|---|---|\n");
    let fields = schema["properties"].as_object().unwrap();
    for (name, field) in fields {
        let (meaning, example) = meaning_and_example(field);
        writeln!(text, "| `{name}` | {meaning} | {example} |").unwrap();
    }
    for (name, field) in fields {
        let Some(inner) = field["properties"].as_object() else { continue };
        if inner.is_empty() {
            continue;
        }
        let mut rows = String::new();
        for (name, field) in inner {
            let (meaning, example) = meaning_and_example(field);
            writeln!(rows, "| `{name}` | {meaning} | {example} |").unwrap();
        }
        write!(text, "\n### Fields of `{name}`\n\n| Field | Meaning | Example |\n|---|---|---|\n{rows}").unwrap();
    }
    hold_part("docs/telemetry.md", "fields", &text);
}

fn meaning_and_example(field: &Value) -> (String, String) {
    let description = field["description"].as_str().unwrap_or_default();
    let (meaning, example) = description.split_once("Example: ").unwrap_or((description, ""));
    (meaning.trim().trim_end_matches('.').replace('|', "\\|"), example.trim_end_matches('.').replace('|', "\\|"))
}

#[test]
fn the_environment_page_lists_every_variable() {
    // The constants' documentation, so that every declared variable is documented.
    let source = syn::parse_file(&read("src/contract/names.rs")).unwrap();
    let mut text = String::from("| Variable | Meaning |\n|---|---|\n");
    for item in source.items {
        let syn::Item::Const(constant) = item else { continue };
        if !constant.ident.to_string().starts_with("ENV_") {
            continue;
        }
        let syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(name),
            ..
        }) = *constant.expr
        else {
            panic!("{} is not a string", constant.ident)
        };
        let meaning = documentation(&constant.attrs);
        // A link to another constant.
        let meaning = meaning.replace("[`ENV_SOCKET_PATH`]", "`MCPPROXY_SOCKET_PATH`").replace(['<', '>'], "");
        assert!(!meaning.contains("[`"), "{}: {meaning}", constant.ident);
        writeln!(text, "| `{}` | {} |", name.value(), meaning.trim_end_matches('.').replace('|', "\\|")).unwrap();
    }
    hold_part("docs/environment.md", "variables", &text);
}

fn documentation(attributes: &[syn::Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) = &pair.value
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join(" ")
}

#[test]
fn every_variable_that_the_programs_read_is_documented() {
    let page = read("docs/environment.md");
    for path in files(&project().join("src"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in text.split("\"MCPPROXY_").skip(1) {
            let name = format!("MCPPROXY_{}", name.split('"').next().unwrap());
            let whole = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            // The tray sets it temporarily for the login shell that it runs.
            if whole && name.len() > "MCPPROXY_".len() && name != "MCPPROXY_ASKING_FOR_PATH" {
                assert!(
                    page.contains(&format!("`{name}`")),
                    "{}: {name} is not in docs/environment.md",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_page_of_commands_lists_every_command() {
    let mut command = mcpproxy::cli::args::Arguments::command();
    command.build();
    let mut text = String::from("## Options of every command\n\n");
    let globals: Vec<&clap::Arg> = command.get_arguments().filter(|argument| argument.is_global_set()).collect();
    for argument in globals {
        text.push_str(&argument_lines(argument));
    }
    for one in command.clone().get_subcommands_mut() {
        text.push_str(&command_section(one, "mcpproxy", 2));
    }
    hold_part("docs/cli.md", "commands", &text);
}

/// Describes a command and its subcommands.
fn command_section(command: &mut clap::Command, parent: &str, level: usize) -> String {
    if command.is_hide_set() || command.get_name() == "help" {
        return String::new();
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n{} `{name}`\n\n{}\n", "#".repeat(level), wrapped(&sentence(&about), "", ""));
    let runs_alone = !command.has_subcommands() || !command.is_subcommand_required_set();
    if runs_alone {
        let usage = command.render_usage().to_string();
        let usage = usage
            .trim_start_matches("Usage:")
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        write!(text, "\n```sh\n{usage}\n```\n").unwrap();
        let own = command.get_arguments().filter(|argument| {
            !argument.is_global_set()
                && !argument.is_hide_set()
                && !["help", "version"].contains(&argument.get_id().as_str())
        });
        let own: String = own.map(argument_lines).collect();
        if !own.is_empty() {
            write!(text, "\n{own}").unwrap();
        }
        let aliases: Vec<String> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
        if !aliases.is_empty() {
            write!(text, "\nAlso: {}.\n", aliases.join(", ")).unwrap();
        }
    }
    for one in command.get_subcommands_mut() {
        text.push_str(&command_section(one, &name, level + 1));
    }
    text
}

fn argument_lines(argument: &clap::Arg) -> String {
    let values: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes_value = argument.get_action().takes_values();
    let mut names = Vec::new();
    if argument.is_positional() {
        names.push(values.join(" "));
    } else {
        names.extend(argument.get_short().map(|short| format!("-{short}")));
        let optional = argument.get_num_args().is_some_and(|number| number.min_values() == 0);
        let value = match (takes_value, optional) {
            (false, _) => String::new(),
            (true, true) => format!("[=<{}>]", values.join(" ")),
            (true, false) => format!(" <{}>", values.join(" ")),
        };
        names.extend(argument.get_long().map(|long| format!("--{long}{value}")));
    }
    let mut help = sentence(&argument.get_help().map(ToString::to_string).unwrap_or_default());
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if takes_value && !defaults.is_empty() {
        write!(help, " Default: {}.", defaults.join(", ")).unwrap();
    }
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_value && !possible.is_empty() {
        write!(help, " One of {}.", possible.join(", ")).unwrap();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let help = help.trim();
    if help.is_empty() {
        return format!("- {}\n", names.join(", "));
    }
    wrapped(&format!("{}: {help}", names.join(", ")), "- ", "  ") + "\n"
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '`', ':']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[test]
fn the_schema_of_the_configuration_is_what_the_types_say() {
    let mut text = serde_json::to_string_pretty(&mcpproxy::config::schema::schema()).unwrap();
    text.push('\n');
    hold("assets/mcp_config.schema.json", &text);
}

#[test]
fn the_configuration_page_lists_every_key() {
    let schema = mcpproxy::config::schema::schema();
    let mut text = String::from("## Keys\n");
    let mut objects = Vec::new();
    let mut placed = BTreeSet::new();
    // The groups of the page *Settings*.
    for group in mcpproxy::config::setting_groups::SETTINGS {
        let tops = group.keys().filter_map(|key| key.split('.').next());
        let tops: Vec<&str> = tops.filter(|key| placed.insert(*key)).collect();
        let lines = keys_named(&schema, &schema, "", &tops, &mut objects);
        write!(text, "\n### {}\n\n{lines}", group.title).unwrap();
    }
    let mut done = BTreeSet::new();
    while !objects.is_empty() {
        for (path, object) in std::mem::take(&mut objects) {
            if done.insert(path.clone()) {
                let about = object["description"].as_str().unwrap_or_default();
                write!(text, "\n## `{path}`\n\n").unwrap();
                if !about.is_empty() {
                    writeln!(text, "{}\n", wrapped(&plain(about), "", "")).unwrap();
                }
                text.push_str(&keys(&schema, &object, &path, &mut objects));
            }
        }
    }
    hold_part("docs/configuration.md", "keys", &text);
}

/// Returns a line for each key of an object; adds nested objects to `objects`.
fn keys(schema: &Value, object: &Value, path: &str, objects: &mut Vec<(String, Value)>) -> String {
    let names: Vec<&str> = object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    keys_named(schema, object, path, &names, objects)
}

fn keys_named(
    schema: &Value,
    object: &Value,
    path: &str,
    names: &[&str],
    objects: &mut Vec<(String, Value)>,
) -> String {
    let mut text = String::new();
    for name in names {
        let key = &object["properties"][name];
        let target = resolved(schema, key);
        let items = resolved(schema, &target["items"]);
        let below = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        if target["properties"].is_object() {
            objects.push((below, target.clone()));
        } else if items["properties"].is_object() {
            objects.push((format!("{below}[]"), items));
        }
        // In the configuration, `null` means the same as a missing key.
        let mut kind = kind(schema, key).replace(", `null`", "");
        match &key["default"] {
            Value::Null => {}
            Value::Object(map) if !map.is_empty() || target["properties"].is_object() => {}
            value => write!(kind, ", default `{value}`").unwrap(),
        }
        let meaning = key["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
        let label = key["title"].as_str().map(|label| format!("**{label}**, ")).unwrap_or_default();
        let line = format!("{label}`{name}` ({kind}): {}", plain(meaning));
        text.push_str(&wrapped(line.trim_end_matches([':', ' ']), "- ", "  "));
        text.push('\n');
    }
    text
}

/// Resolves a reference or an optional schema.
fn resolved(schema: &Value, value: &Value) -> Value {
    if let Some(pointer) = value["$ref"].as_str() {
        return resolved(schema, schema.pointer(pointer.trim_start_matches('#')).unwrap());
    }
    for combined in ["anyOf", "allOf"] {
        if let Some(any) = value[combined].as_array() {
            let one = any.iter().find(|one| one["type"] != "null");
            return one.map_or(Value::Null, |one| resolved(schema, one));
        }
    }
    value.clone()
}

fn kind(schema: &Value, value: &Value) -> String {
    let target = resolved(schema, value);
    let alternatives = target["oneOf"].as_array().cloned().unwrap_or_default();
    let mut constants = Vec::new();
    for one in alternatives.iter().chain([&target]) {
        constants.extend(
            one["enum"].as_array().into_iter().flatten().chain(one.get("const")).map(|value| format!("`{value}`")),
        );
    }
    if !constants.is_empty() {
        return format!("one of {}", constants.join(", "));
    }
    match &target["type"] {
        Value::String(kind) => named_kind(schema, &target, kind),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.map(|kind| named_kind(schema, &target, kind)).collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

fn named_kind(schema: &Value, target: &Value, kind: &str) -> String {
    match kind {
        "array" => format!("array of {}s", kind_of_items(schema, &target["items"])),
        kind => kind.to_owned(),
    }
}

fn kind_of_items(schema: &Value, items: &Value) -> String {
    match resolved(schema, items)["type"].as_str() {
        Some(kind) => kind.to_owned(),
        None => "value".to_owned(),
    }
}

/// Returns a description without line breaks and rustdoc links.
fn plain(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`");
    sentence(&text)
}

#[test]
fn the_rest_page_lists_every_operation() {
    let document = mcpproxy::server::rest::openapi::whole();
    let mut text = String::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap();
            let query = parameters.iter().filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
            let query: Vec<String> = query.map(|name| format!("`{name}`")).collect();
            let answer = &operation["responses"]["2XX"]["content"]["application/json"]["schema"];
            let summary = sentence(operation["summary"].as_str().unwrap());
            let mut line = format!("`{} {path}`: {summary}", method.to_uppercase());
            if !query.is_empty() {
                write!(line, " Query: {}.", query.join(", ")).unwrap();
            }
            write!(line, " Data: {}.", data_type(&document, answer)).unwrap();
            text.push_str(&wrapped(&line, "- ", "  "));
            text.push('\n');
        }
    }
    hold_part("docs/rest-api.md", "operations", &text);

    let mut text = String::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if name.starts_with("Envelope") || name.starts_with("EventBody") || !schema["properties"].is_object() {
            continue;
        }
        write!(text, "\n### {name}\n\n").unwrap();
        if let Some(about) = schema["description"].as_str() {
            writeln!(text, "{}\n", wrapped(&plain(about), "", "")).unwrap();
        }
        for (name, field) in schema["properties"].as_object().unwrap() {
            let meaning = field["description"].as_str().unwrap_or_default();
            let kind = rest_type(&document, field);
            let line = format!("`{name}` ({kind}): {}", plain(meaning));
            text.push_str(&wrapped(line.trim_end_matches([':', ' ']), "- ", "  "));
            text.push('\n');
        }
    }
    hold_part("docs/rest-api.md", "types", &text);
}

/// Returns the type of a response's `data`, with a link.
fn data_type(document: &Value, answer: &Value) -> String {
    let target = resolved(document, answer);
    let data = &target["properties"]["data"];
    let shown = if data.is_null() { answer } else { data };
    rest_type(document, shown)
}

fn rest_type(document: &Value, field: &Value) -> String {
    if let Some(pointer) = field["$ref"].as_str() {
        let name = pointer.rsplit('/').next().unwrap();
        let target = resolved(document, field);
        return if target["properties"].is_object() {
            format!("[{name}](#{})", name.to_lowercase())
        } else {
            kind(document, field)
        };
    }
    if let Some(any) = field["anyOf"].as_array() {
        let one = any.iter().find(|one| one["type"] != "null");
        return one.map_or_else(String::new, |one| rest_type(document, one));
    }
    if field["type"] == "array" || field["type"][0] == "array" {
        return format!("array of {}", rest_type(document, &field["items"]));
    }
    if field["additionalProperties"].is_object() {
        return format!("object of {}", rest_type(document, &field["additionalProperties"]));
    }
    kind(document, field)
}

/// Puts each sentence on its own line, and wraps lines at [`WIDTH`].
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    let words: Vec<&str> = text.split_whitespace().collect();
    for (index, word) in words.iter().enumerate() {
        if !line.is_empty() && line.chars().count() + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        let begins = |next: &&str| next.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || c == '`');
        if word.ends_with('.') && !["e.g.", "i.e."].contains(word) && words.get(index + 1).is_some_and(begins) {
            lines.push(std::mem::take(&mut line));
        }
    }
    lines.push(line);
    let lines: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{}{line}", if index == 0 { first } else { rest }))
        .collect();
    lines.join("\n")
}

// --- links and form

/// Returns all files with an extension in a folder, without built and downloaded ones.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git", "__pycache__", "corpus"].contains(&name.as_str()) {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|one| one == extension) {
            found.push(path);
        }
    }
    found
}

fn documents() -> Vec<(PathBuf, String)> {
    let found = files(&project(), "md").into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    });
    let found: Vec<_> = found.collect();
    assert!(found.len() > 30);
    found
}

/// Returns the lines outside of code blocks, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut code = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            found.push((index + 1, line));
        }
    }
    found
}

/// Returns a line without its code spans.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        for (line, target) in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let found = file.exists() && (anchor.is_empty() || has_heading(&file, anchor));
            if !found {
                broken.push(format!("{}:{line}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for part in line.split("](").skip(1) {
            found.push((number, part.split([')', ' ']).next().unwrap().to_owned()));
        }
    }
    found
}

fn has_heading(file: &Path, anchor: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap();
    prose(&text).iter().filter(|(_, line)| line.starts_with('#')).any(|(_, line)| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let slug: String = title
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        slug == anchor
    })
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = read("docs/SUMMARY.md");
    for path in files(&project().join("docs"), "md") {
        let name = path.strip_prefix(project().join("docs")).unwrap().to_string_lossy().replace('\\', "/");
        assert!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "docs/SUMMARY.md lacks {name}");
    }
}

#[test]
fn lines_are_short_and_hold_one_sentence() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        let name = path.strip_prefix(project()).unwrap().display().to_string();
        for (index, line) in text.lines().enumerate() {
            if line.chars().count() > LONGEST_LINE {
                wrong.push(format!("{name}:{}: {} characters", index + 1, line.chars().count()));
            }
        }
        for (number, line) in prose(&text) {
            if !line.starts_with('|') && has_two_sentences(&without_code(line)) {
                wrong.push(format!("{name}:{number}: two sentences on one line"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn has_two_sentences(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit() || " -*.#".contains(c));
    line.split(". ").skip(1).any(|next| next.starts_with(char::is_uppercase))
}

#[test]
fn every_file_of_the_project_that_a_document_names_exists() {
    let folders = [
        "src",
        "tests",
        "scripts",
        "packaging",
        "benches",
        "assets",
        "fuzz",
        "docs",
        ".github",
    ];
    let modules = [
        "gateway",
        "upstream",
        "control",
        "config",
        "activity",
        "tray",
        "os",
        "diagnostics",
        "contract",
    ];
    let (mut count, mut missing) = (0, BTreeSet::new());
    for (path, text) in documents() {
        for span in text.split('`').skip(1).step_by(2) {
            let file = span.split("::").next().unwrap();
            let Some((folder, _)) = file.split_once('/') else { continue };
            let place = match folder {
                folder if folders.contains(&folder) => project().join(file),
                folder if modules.contains(&folder) => project().join("src").join(file),
                _ => continue,
            };
            if !file.contains(['\n', ' ', '*', '<', '{']) {
                count += 1;
                if !place.exists() {
                    missing.insert(format!("{}: {file}", path.display()));
                }
            }
        }
    }
    assert!(count > 100 && missing.is_empty(), "{count} files, of which these are missing: {missing:#?}");
}

#[test]
fn every_label_on_the_tray_page_is_in_the_program() {
    let source: String =
        files(&project().join("src/tray"), "rs").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let page = read("docs/tray.md").replace("**", "");
    let labels: Vec<&str> = page.split('*').skip(1).step_by(2).collect();
    assert!(labels.len() > 25 && page.split('*').count() % 2 == 1, "{labels:?}");
    // The name of an extension of GNOME.
    let ours = labels.iter().filter(|label| !label.starts_with("AppIndicator"));
    let missing: Vec<_> = ours.filter(|label| label.split('…').any(|part| !source.contains(part.trim()))).collect();
    assert!(missing.is_empty(), "docs/tray.md: {missing:?}");
}

#[test]
fn every_command_that_a_text_names_exists() {
    let mut command = mcpproxy::cli::args::Arguments::command();
    command.build();
    let mut places: Vec<(PathBuf, String)> = Vec::new();
    for (path, text) in documents() {
        places.extend(commands_in_spans(&text).into_iter().map(|line| (path.clone(), line)));
        places.extend(commands_in_blocks(&text).into_iter().map(|line| (path.clone(), line)));
    }
    for path in files(&project().join("src"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        places.extend(commands_in_spans(&text).into_iter().map(|line| (path.clone(), line)));
    }
    assert!(places.len() > 300, "{}", places.len());
    let wrong = places.iter().filter_map(|(path, line)| {
        let what = unknown_part(&command, line)?;
        Some(format!("{}: `mcpproxy {line}`: there is no `{what}`", path.display()))
    });
    let wrong: BTreeSet<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Returns what follows `mcpproxy` in code spans.
fn commands_in_spans(text: &str) -> Vec<String> {
    let ends = ['`', '\n', '\\', '"'];
    text.split("`mcpproxy ").skip(1).map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

/// Returns what follows `mcpproxy` at the beginning of commands in code blocks.
fn commands_in_blocks(text: &str) -> Vec<String> {
    let (mut code, mut found) = (false, Vec::new());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if code {
            let line = line.trim_start().trim_start_matches("$ ").split(" #").next().unwrap();
            let commands = line.split(['|', ';']).filter_map(|part| part.trim().strip_prefix("mcpproxy "));
            found.extend(commands.map(str::to_owned));
        }
    }
    found
}

/// Returns the first subcommand or option of a command line that does not exist.
fn unknown_part(command: &clap::Command, line: &str) -> Option<String> {
    let mut at = command;
    for word in line.split_whitespace() {
        let word = word.trim_matches(['[', ']', ',', '.']);
        let is_alias = |argument: &clap::Arg, name: &str| {
            argument.get_long() == Some(name) || argument.get_all_aliases().is_some_and(|all| all.contains(&name))
        };
        if word == "--" {
            break;
        } else if let Some(name) = word.strip_prefix("--") {
            let name = name.split('=').next().unwrap();
            if name != "help" && !at.get_arguments().any(|argument| is_alias(argument, name)) {
                return Some(word.to_owned());
            }
        } else if at.has_subcommands() && word.starts_with(|c: char| c.is_ascii_lowercase()) {
            let found: Vec<_> = word.split('|').map(|one| at.find_subcommand(one)).collect();
            match found.first() {
                Some(Some(next)) if found.iter().all(Option::is_some) => at = next,
                _ => return Some(word.to_owned()),
            }
        }
    }
    None
}

#[test]
fn unknown_commands_and_options_are_found() {
    let mut command = mcpproxy::cli::args::Arguments::command();
    command.build();
    for line in [
        "upstream list",
        "secrets set|remove",
        "NAME",
        "call tool-read -t a:b -j '{}'",
        "migrate [--dry-run]",
    ] {
        assert_eq!(unknown_part(&command, line), None, "{line}");
    }
    for (line, what) in [
        ("upstream import", "import"),
        ("connect --every", "--every"),
        ("secrets set|forget", "set|forget"),
    ] {
        assert_eq!(unknown_part(&command, line).as_deref(), Some(what), "{line}");
    }
}

#[test]
fn the_readme_is_short_and_its_pictures_exist() {
    let readme = read("README.md");
    let lines = readme.lines().count();
    assert!(lines <= LONGEST_README, "README.md has {lines} lines, at most {LONGEST_README} are allowed");
    let pictures: Vec<&str> = readme.split("](docs/media/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(pictures.len() >= 3);
    for picture in pictures {
        let bytes = std::fs::read(project().join("docs/media").join(picture)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "{picture}");
    }
}

#[test]
fn the_readme_counts_the_promises_of_the_security_page() {
    let page = read("SECURITY.md");
    let (_, promises) = page.split_once("## What holds").unwrap();
    let (promises, _) = promises.split_once("\n## ").unwrap();
    let count = promises.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert!(read("README.md").contains(&format!("[{count} security promises]")), "README.md: there are {count}");
}

#[test]
fn the_keys_that_need_a_restart_are_documented() {
    let source = read("src/config/mod.rs");
    let (_, function) = source.split_once("fn needs_restart").unwrap();
    let (function, _) = function.split_once("\n    }").unwrap();
    let keys: Vec<&str> = function.split("(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(keys.len() > 5, "{keys:?}");
    for page in ["docs/configuration.md", "docs/troubleshooting.md"] {
        let text = read(page);
        let line = text.lines().find(|line| line.contains("need a restart of the core")).unwrap();
        let missing: Vec<&&str> = keys.iter().filter(|key| !line.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "{page} lacks {missing:?}");
    }
}

#[test]
fn every_file_of_the_data_directory_is_documented() {
    let (source, page) = (read("src/contract/instance_root.rs"), read("docs/files.md"));
    let (source, _) = source.split_once("#[cfg(test)]").unwrap();
    let mut count = 0;
    for name in source.split("self.path.join(\"").skip(1) {
        let name = name.split('"').next().unwrap();
        count += 1;
        assert!(page.contains(&format!("`{name}")), "docs/files.md lacks {name}");
    }
    assert!(count > 10);
}

#[test]
fn each_check_of_the_form_catches_its_fault() {
    assert!(has_two_sentences("One. Two."));
    assert!(!has_two_sentences("1. One, e.g. this one."));
    assert_eq!(links("see [a](b.md#c) and `[no](d.md)`"), [(1, "b.md#c".to_owned())]);
    assert_eq!(wrapped("One sentence. Another one.", "- ", "  "), "- One sentence.\n  Another one.");
    assert_eq!(
        with_part("a\n<!-- begin generated: x -->\nold\n<!-- end generated: x -->\nb", "x", "new"),
        "a\n<!-- begin generated: x -->\n\nnew\n\n<!-- end generated: x -->\nb"
    );
}

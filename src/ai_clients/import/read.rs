//! Finds the servers in a configuration of any format and layout.

use serde_json::{Map, Value};

use crate::ai_clients::format::entries::{Entries, ParseError};
use crate::ai_clients::format::{json, toml, yaml};
use crate::ai_clients::import::variables::{Input, Syntax};
use crate::ai_clients::known_clients::{self, Format};

/// The servers of one configuration, as they are written there.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// ID of the client or layout, such as `cursor`.
    pub format: &'static str,
    /// The name to show, such as `Cursor`.
    pub format_name: &'static str,
    /// Where the text comes from, such as a path.
    pub origin: String,
    pub servers: Entries,
    /// Values that VS Code asks for.
    pub inputs: Vec<Input>,
    /// How the format writes variables.
    pub syntax: Syntax,
    /// Servers that this import does not cover.
    pub warnings: Vec<String>,
}

/// A place where configurations keep their servers.
struct Layout {
    /// Path of keys from the root of the document.
    path: &'static [&'static str],
    format: &'static str,
    format_name: &'static str,
    syntax: Syntax,
}

/// The known layouts; the first one that a document contains is used.
const LAYOUTS: [Layout; 7] = [
    layout(&["mcpServers"], "mcp-json", "MCP servers (JSON)", Syntax::Shell),
    layout(&["mcp_servers"], "codex", "Codex", Syntax::References),
    layout(&["context_servers"], "zed", "Zed", Syntax::References),
    layout(&["extensions"], "goose", "Goose", Syntax::References),
    layout(&["mcp", "servers"], "vscode", "VS Code", Syntax::References),
    layout(&["servers"], "vscode", "VS Code", Syntax::References),
    layout(&["mcp"], "opencode", "OpenCode", Syntax::Braces),
];

const fn layout(
    path: &'static [&'static str],
    format: &'static str,
    format_name: &'static str,
    syntax: Syntax,
) -> Layout {
    Layout {
        path,
        format,
        format_name,
        syntax,
    }
}

/// Keys that show that an object is a server's entry.
const ENTRY_KEYS: [&str; 6] = ["command", "cmd", "url", "serverUrl", "httpUrl", "uri"];

/// Reads a configuration. `client` is the ID of the AI client that wrote it, if known; `file_name` helps to detect the format.
///
/// # Errors
/// [`ParseError`]: the text has a syntax error, or contains no servers.
pub fn read(text: &str, client: Option<&str>, file_name: Option<&str>, origin: &str) -> Result<Source, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let client = client.and_then(known_clients::client);
    let format = client.map(|client| client.format).or_else(|| file_name.and_then(format_of_name));
    let root = match format {
        Some(format) => parse_as(format, text)?,
        None => parse(text)?,
    };
    let mut source = locate(&root, origin)?;
    if let Some(client) = client {
        source.format = client.id;
        source.format_name = client.name;
        source.syntax = match client.id {
            "claude-code" => Syntax::Shell,
            "gemini" => Syntax::Dollar,
            "opencode" => Syntax::Braces,
            _ => Syntax::References,
        };
    }
    source.inputs = inputs(&root);
    let in_projects = project_servers(&root);
    if in_projects > 0 {
        source.warnings.push(format!(
            "{in_projects} more servers belong to single projects in `{origin}`; import them from a file or standard input"
        ));
    }
    Ok(source)
}

fn format_of_name(name: &str) -> Option<Format> {
    let (_, extension) = name.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "json" | "jsonc" => Some(Format::Json),
        "toml" => Some(Format::Toml),
        "yaml" | "yml" => Some(Format::Yaml),
        _ => None,
    }
}

fn parse_as(format: Format, text: &str) -> Result<Value, ParseError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match format {
        Format::Json => json::value(text),
        Format::Toml => toml::document(text).map(Value::Object),
        Format::Yaml => yaml::document(text).map(Value::Object),
    }
}

/// Parses pasted text: JSON, a fragment of a JSON object, TOML or YAML.
fn parse(text: &str) -> Result<Value, ParseError> {
    let trimmed = text.trim();
    let as_json = json::value(trimmed);
    match (&as_json, trimmed.chars().next()) {
        // Also behind a comment.
        (Ok(value), _) if value.is_object() || value.is_array() => return as_json,
        (_, Some('{' | '/')) => return as_json,
        // `"name": {…}`, as copied from the middle of a file.
        (_, Some('"')) => return json::value(&format!("{{{trimmed}}}")),
        (_, None) => return Err(ParseError::of("is empty")),
        _ => {}
    }
    if let Ok(document) = toml::document(text) {
        return Ok(Value::Object(document));
    }
    match yaml::document(text) {
        Ok(document) if !document.is_empty() => Ok(Value::Object(document)),
        _ => Err(ParseError::of("is not JSON, TOML or YAML")),
    }
}

/// Finds the servers in a document.
fn locate(root: &Value, origin: &str) -> Result<Source, ParseError> {
    let source = |format, format_name, servers, syntax| Source {
        format,
        format_name,
        origin: origin.to_owned(),
        servers,
        inputs: Vec::new(),
        syntax,
        warnings: Vec::new(),
    };
    for layout in &LAYOUTS {
        let found = layout.path.iter().try_fold(root, |value, key| value.get(key));
        if let Some(servers) = found.and_then(named_entries) {
            return Ok(source(layout.format, layout.format_name, servers, layout.syntax));
        }
    }
    let bare = match root {
        Value::Array(_) => named_entries(root),
        Value::Object(fields) if is_entry(root) => Some(vec![(single_name(fields), root.clone())]),
        Value::Object(fields) if !fields.is_empty() && fields.values().all(is_entry) => named_entries(root),
        _ => None,
    };
    match bare {
        Some(servers) => Ok(source("mcp-json", "MCP servers (JSON)", servers, Syntax::Shell)),
        // A client's configuration may have no servers.
        None if root.as_object().is_some_and(|fields| !fields.values().any(is_entry)) => {
            Ok(source("unknown", "unknown format", Vec::new(), Syntax::References))
        }
        None => Err(ParseError::of("contains no MCP servers")),
    }
}

/// The entries of an object by name, or of an array whose items have a `name`.
fn named_entries(value: &Value) -> Option<Entries> {
    match value {
        Value::Object(fields) => Some(fields.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()),
        Value::Array(items) => {
            let named = |entry: &Value| Some((entry.get("name")?.as_str()?.to_owned(), entry.clone()));
            items.iter().map(named).collect()
        }
        _ => None,
    }
}

fn is_entry(value: &Value) -> bool {
    ENTRY_KEYS.iter().any(|key| value.get(key).is_some())
}

/// Options that may precede a package. An argument after another option may be a secret, which must not become a name.
const BEFORE_PACKAGE: [&str; 5] = ["-y", "--yes", "-q", "--quiet", "-m"];

/// A name for an entry that has none: its package, program or host.
pub fn single_name(fields: &Map<String, Value>) -> String {
    if let Some(name) = fields.get("name").and_then(Value::as_str) {
        return name.to_owned();
    }
    let url = ["url", "serverUrl", "httpUrl", "uri"].iter().find_map(|key| fields.get(*key)?.as_str());
    if let Some(authority) =
        url.and_then(|url| url.split_once("://")).and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
    {
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let host = host.split(':').next().unwrap_or(host);
        return host.trim_start_matches("mcp.").split('.').next().unwrap_or(host).to_owned();
    }
    let mut arguments = fields.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let package = arguments.find(|argument| !argument.is_empty() && !BEFORE_PACKAGE.contains(argument));
    let package = package.filter(|argument| !argument.starts_with('-'));
    let command = fields.get("command").and_then(Value::as_str);
    let chosen = package.or(command).unwrap_or("server");
    let last = chosen.rsplit(['/', '\\']).next().unwrap_or(chosen);
    last.split('@').find(|part| !part.is_empty()).unwrap_or("server").to_owned()
}

/// The `inputs` of a VS Code configuration.
fn inputs(root: &Value) -> Vec<Input> {
    let list = root.get("inputs").or_else(|| root.get("mcp")?.get("inputs")).and_then(Value::as_array);
    let text = |input: &Value, key: &str| input.get(key).and_then(Value::as_str).map(str::to_owned);
    let input = |input: &Value| {
        Some(Input {
            id: text(input, "id")?,
            description: text(input, "description"),
            default: text(input, "default"),
            is_password: input.get("password").and_then(Value::as_bool).unwrap_or(false),
        })
    };
    list.into_iter().flatten().filter_map(input).collect()
}

/// Number of servers that Claude Code keeps for single projects.
fn project_servers(root: &Value) -> usize {
    let projects = root.get("projects").and_then(Value::as_object).into_iter().flat_map(Map::values);
    projects.filter_map(|project| project.get("mcpServers")?.as_object()).map(Map::len).sum()
}

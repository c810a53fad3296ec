//! Turns an entry of any client into an entry of our configuration.

use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::import::bridge::{remote, without_shell};
use crate::ai_clients::import::variables::{Expanded, Syntax, Values, expand};

/// Program, arguments and environment of a local server.
type LocalCommand = (Option<String>, Vec<String>, Map<String, Value>);

/// An entry for our configuration, without its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalized {
    pub entry: Map<String, Value>,
    /// Keys without a counterpart here.
    pub fields_skipped: Vec<String>,
    pub warnings: Vec<String>,
}

/// Why an entry is not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// There is nothing to import.
    Skip(String),
    /// The entry is invalid or cannot be expressed.
    Fail(String),
}

impl From<String> for Unusable {
    fn from(reason: String) -> Unusable {
        Unusable::Fail(reason)
    }
}

/// Keys that only describe a server, or grant trust that the user grants here again.
const SILENT_KEYS: [&str; 14] = [
    "name",
    "description",
    "display_name",
    "displayName",
    "bundled",
    "gallery",
    "icon",
    "created",
    "updated",
    "quarantined",
    "source",
    "version",
    "id",
    "note",
];

/// Normalizes an entry.
///
/// # Errors
/// [`Unusable`].
pub fn normalize(raw: &Value, syntax: Syntax, values: &Values<'_>, proxy: &Proxy) -> Result<Normalized, Unusable> {
    let Value::Object(fields) = raw else {
        return Err(Unusable::Fail("its entry is not an object".to_owned()));
    };
    if proxy.is_target_of(raw) {
        return Err(Unusable::Skip("it is MCPProxy itself".to_owned()));
    }
    of_fields(fields, syntax, values)
}

/// Normalizes the fields of any entry, also of one that points to MCPProxy.
///
/// # Errors
/// [`Unusable`].
pub fn of_fields(fields: &Map<String, Value>, syntax: Syntax, values: &Values<'_>) -> Result<Normalized, Unusable> {
    let mut reader = Reader {
        fields: fields.clone(),
        syntax,
        values,
        warnings: Vec::new(),
    };
    let kind = reader.kind()?;
    let enabled = reader.enabled();
    let (command, arguments, env) = reader.command()?;
    let url = reader.first_text(&["url", "serverUrl", "httpUrl", "uri"]);
    let headers = reader.headers()?;
    let working_dir = reader.first_text(&["cwd", "working_dir", "workingDirectory", "workingDir"]);
    let mut entry = Map::new();
    let mut skipped = Vec::new();
    match (command, url) {
        (Some(command), url) if url.is_none() || !matches!(kind, Some("http" | "sse")) => {
            let (command, arguments) = without_shell(command, arguments);
            match remote(&command, &arguments, &env) {
                Some(bridge) => {
                    let bridge = bridge?;
                    let url = reader.literal(&bridge.url)?;
                    check_url(&url)?;
                    reader.warnings.push(format!("replaced the `mcp-remote` bridge with {url}"));
                    entry.insert("protocol".to_owned(), json!(bridge.protocol));
                    entry.insert("url".to_owned(), json!(url));
                    insert(&mut entry, "headers", bridge.headers);
                    entry.extend(bridge.oauth.map(|oauth| ("oauth".to_owned(), oauth)));
                    skipped.extend(bridge.skipped);
                }
                None => {
                    entry.insert("protocol".to_owned(), json!("stdio"));
                    entry.insert("command".to_owned(), json!(reader.literal(&command)?));
                    entry.insert("args".to_owned(), json!(reader.expand_all(&arguments)?));
                    insert(&mut entry, "env", env);
                    if let Some(directory) = working_dir {
                        entry.insert("working_dir".to_owned(), json!(reader.literal(&directory)?));
                    }
                }
            }
        }
        (_, Some(url)) => {
            let url = reader.literal(&url)?;
            check_url(&url)?;
            let protocol = match kind {
                Some("sse") => "sse",
                Some("http") => "streamable-http",
                _ => "auto",
            };
            entry.insert("protocol".to_owned(), json!(protocol));
            entry.insert("url".to_owned(), json!(url));
            insert(&mut entry, "headers", headers);
        }
        (_, None) => return Err(Unusable::Fail("it has neither a command nor a URL".to_owned())),
    }
    reader.settings(&mut entry);
    entry.insert("enabled".to_owned(), json!(enabled));
    skipped.extend(reader.fields.keys().filter(|key| !SILENT_KEYS.contains(&key.as_str())).cloned());
    reader.warnings.dedup();
    Ok(Normalized {
        entry,
        fields_skipped: skipped,
        warnings: reader.warnings,
    })
}

/// A URL that MCPProxy can connect to.
fn check_url(url: &str) -> Result<(), Unusable> {
    let parsed = Url::parse(url).map_err(|error| format!("its URL is invalid: {error}"))?;
    if matches!(parsed.scheme(), "http" | "https") && parsed.host_str().is_some() {
        return Ok(());
    }
    Err(Unusable::Fail(format!("its URL has the scheme `{}`; expected http or https", parsed.scheme())))
}

fn insert(entry: &mut Map<String, Value>, key: &str, fields: Map<String, Value>) {
    if !fields.is_empty() {
        entry.insert(key.to_owned(), Value::Object(fields));
    }
}

/// The keys of an entry that are still to be read.
struct Reader<'a> {
    fields: Map<String, Value>,
    syntax: Syntax,
    values: &'a Values<'a>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn take(&mut self, key: &str) -> Option<Value> {
        self.fields.shift_remove(key).filter(|value| !value.is_null())
    }

    /// The first non-empty string among some keys; all of them are consumed.
    fn first_text(&mut self, keys: &[&str]) -> Option<String> {
        let values: Vec<Value> = keys.iter().filter_map(|key| self.take(key)).collect();
        values.iter().filter_map(Value::as_str).find(|text| !text.is_empty()).map(str::to_owned)
    }

    /// `stdio`, `http`, `sse`, or unknown.
    fn kind(&mut self) -> Result<Option<&'static str>, Unusable> {
        // Gemini CLI: `httpUrl` is streamable HTTP. Any other URL may also be legacy SSE.
        let implied = self.fields.contains_key("httpUrl").then_some("http");
        let Some(kind) = self.first_text(&["type", "transport", "protocol", "transportType"]) else {
            return Ok(implied);
        };
        match kind.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "stdio" | "local" => Ok(Some("stdio")),
            "http" | "streamablehttp" | "httpstream" => Ok(Some("http")),
            "sse" => Ok(Some("sse")),
            "remote" | "auto" => Ok(None),
            "builtin" | "platform" | "frontend" | "inlinepython" => {
                Err(Unusable::Skip(format!("it is an extension of the client (type `{kind}`), not an MCP server")))
            }
            _ => Err(Unusable::Fail(format!("its transport `{kind}` is not supported"))),
        }
    }

    fn enabled(&mut self) -> bool {
        let disabled = self.take("disabled").is_some_and(|value| is_true(&value));
        !disabled && self.take("enabled").is_none_or(|value| is_true(&value))
    }

    /// Command, arguments and environment. The command may be a string, an array or an object.
    fn command(&mut self) -> Result<LocalCommand, Unusable> {
        let mut env = Map::new();
        let mut words: Vec<String> = Vec::new();
        match self.take("command").or_else(|| self.take("cmd")) {
            Some(Value::String(command)) => words.push(command),
            Some(Value::Array(items)) => words.extend(items.iter().filter_map(text_of)),
            Some(Value::Object(command)) => {
                words.extend(command.get("path").or_else(|| command.get("command")).and_then(text_of));
                let arguments = command.get("args").and_then(Value::as_array).into_iter().flatten();
                words.extend(arguments.filter_map(text_of));
                self.add_environment(&mut env, command.get("env").cloned())?;
            }
            _ => {}
        }
        match self.take("args") {
            Some(Value::Array(items)) => words.extend(items.iter().filter_map(text_of)),
            Some(Value::String(line)) => words.extend(line.split_whitespace().map(str::to_owned)),
            _ => {}
        }
        for key in ["env", "envs", "environment"] {
            let block = self.take(key);
            self.add_environment(&mut env, block)?;
        }
        if let Some(Value::Array(names)) = self.take("env_vars") {
            for name in names.iter().filter_map(Value::as_str) {
                env.insert(name.to_owned(), json!(format!("${{env:{name}}}")));
            }
        }
        if let Some(Value::Array(names)) = self.take("env_keys") {
            for name in names.iter().filter_map(Value::as_str) {
                env.insert(name.to_owned(), json!(format!("${{keyring:{name}}}")));
                self.warnings.push(format!("store its value: mcpproxy secrets set {name}"));
            }
        }
        let mut words = words.into_iter();
        Ok((words.next().filter(|command| !command.is_empty()), words.collect(), env))
    }

    fn add_environment(&mut self, env: &mut Map<String, Value>, block: Option<Value>) -> Result<(), Unusable> {
        let Some(Value::Object(block)) = block else { return Ok(()) };
        for (name, value) in &block {
            if let Some(text) = text_of(value) {
                env.insert(name.clone(), json!(self.expand(&text)?));
            }
        }
        Ok(())
    }

    fn headers(&mut self) -> Result<Map<String, Value>, Unusable> {
        let mut headers = Map::new();
        for key in ["headers", "http_headers"] {
            let Some(Value::Object(block)) = self.take(key) else { continue };
            for (name, value) in &block {
                if let Some(text) = text_of(value) {
                    headers.insert(name.clone(), json!(self.expand(&text)?));
                }
            }
        }
        if let Some(Value::Object(block)) = self.take("env_http_headers") {
            let named = block.iter().filter_map(|(header, name)| Some((header, name.as_str()?)));
            headers.extend(named.map(|(header, name)| (header.clone(), json!(format!("${{env:{name}}}")))));
        }
        if let Some(name) = self.first_text(&["bearer_token_env_var"]) {
            headers.insert("Authorization".to_owned(), json!(format!("Bearer ${{env:{name}}}")));
        }
        Ok(headers)
    }

    /// Settings with a counterpart here.
    fn settings(&mut self, entry: &mut Map<String, Value>) {
        let seconds = self.take("startup_timeout_sec").and_then(|value| text_of(&value));
        let milliseconds = self.take("startup_timeout_ms").and_then(|value| text_of(&value));
        let ours = self.take("init_timeout").and_then(|value| text_of(&value));
        let is_number = |text: &String| text.parse::<f64>().is_ok_and(|number| number > 0.0);
        let timeout = seconds.filter(is_number).map(|number| format!("{number}s"));
        let timeout = timeout.or(milliseconds.filter(is_number).map(|number| format!("{number}ms"))).or(ours);
        entry.extend(timeout.map(|timeout| ("init_timeout".to_owned(), json!(timeout))));
        let oauth = self.take("oauth").filter(|oauth| oauth.get("client_id").is_some());
        entry.extend(oauth.map(|oauth| ("oauth".to_owned(), oauth)));
        let mut names = |keys: [&str; 2]| {
            let lists: Vec<Value> = keys.iter().filter_map(|key| self.take(key)).collect();
            let texts = lists.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<String>>()
        };
        let (mut on, off) = (names(["enabled_tools", "includeTools"]), names(["disabled_tools", "excludeTools"]));
        // The Go core accepts only one of the two.
        if on.is_empty() {
            if !off.is_empty() {
                entry.insert("disabled_tools".to_owned(), json!(off));
            }
        } else {
            on.retain(|tool| !off.contains(tool));
            entry.insert("enabled_tools".to_owned(), json!(on));
        }
    }

    fn expand(&mut self, text: &str) -> Result<String, Unusable> {
        let Expanded { text, warnings } = expand(text, self.syntax, self.values)?;
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(text)
    }

    fn expand_all(&mut self, texts: &[String]) -> Result<Vec<String>, Unusable> {
        texts.iter().map(|text| self.expand(text)).collect()
    }

    /// A string of a field in which MCPProxy resolves no references.
    fn literal(&mut self, text: &str) -> Result<String, Unusable> {
        let expanded = self.expand(text)?;
        if expanded.contains("${") {
            let reason = format!(
                "`{expanded}` contains a variable, which MCPProxy resolves in arguments, `env` and headers only"
            );
            return Err(Unusable::Fail(reason));
        }
        Ok(expanded)
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}

/// A scalar as a string.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

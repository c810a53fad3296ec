//! Commands that only wrap another one: `cmd /c`, and the bridges from stdio to a URL.

use serde_json::{Map, Value, json};

/// A remote server behind `mcp-remote`.
#[derive(Debug, PartialEq)]
pub struct Remote {
    pub url: String,
    pub protocol: &'static str,
    pub headers: Map<String, Value>,
    /// A registered OAuth client.
    pub oauth: Option<Value>,
    /// Options without a counterpart here.
    pub skipped: Vec<String>,
}

/// Options of `mcp-remote` that take a value which does not matter here.
const IGNORED_VALUES: [&str; 5] = [
    "--host",
    "--auth-timeout",
    "--ignore-tool",
    "--static-oauth-client-metadata",
    "--resource",
];
/// Programs that run a package, possibly after a subcommand.
const RUNNERS: [&str; 7] = ["npx", "bunx", "pnpx", "npm", "pnpm", "yarn", "bun"];

/// The last part of a path without `.cmd` or `.exe`, in lower case.
fn program_name(command: &str) -> String {
    let file = command.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
    file.strip_suffix(".exe").or_else(|| file.strip_suffix(".cmd")).unwrap_or(&file).to_owned()
}

/// Removes `cmd /c` from a command that needs no shell: programs are found with their extension anyway.
pub fn without_shell(command: String, arguments: Vec<String>) -> (String, Vec<String>) {
    let is_wrapped = program_name(&command) == "cmd"
        && arguments.first().is_some_and(|first| first.eq_ignore_ascii_case("/c"))
        && arguments.len() > 1
        && !arguments.iter().any(|argument| argument.contains(['&', '|', '<', '>', '^', '%', '"']));
    if !is_wrapped {
        return (command, arguments);
    }
    let mut words: Vec<String> = arguments.into_iter().skip(1).collect();
    if words.len() == 1 {
        words = words.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect();
    }
    let mut words = words.into_iter();
    (words.next().unwrap_or(command), words.collect())
}

/// The server behind a command that runs `mcp-remote`; `None` for any other command.
///
/// # Errors
/// The bridge has no URL.
pub fn remote(command: &str, arguments: &[String], env: &Map<String, Value>) -> Option<Result<Remote, String>> {
    let is_package = |argument: &String| argument == "mcp-remote" || argument.starts_with("mcp-remote@");
    let program = program_name(command);
    let rest = if program == "mcp-remote" {
        arguments
    } else {
        let at = arguments.iter().position(is_package)?;
        let (before, after) = arguments.split_at_checked(at)?;
        let is_runner = RUNNERS.contains(&program.as_str())
            && before.iter().all(|one| one.starts_with('-') || ["dlx", "exec", "x"].contains(&one.as_str()));
        if !is_runner {
            return None;
        }
        after.get(1..)?
    };
    Some(parse(rest, env))
}

fn parse(arguments: &[String], env: &Map<String, Value>) -> Result<Remote, String> {
    let mut remote = Remote {
        url: String::new(),
        protocol: "auto",
        headers: Map::new(),
        oauth: None,
        skipped: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--header" => {
                let header = rest.next().and_then(|header| header.split_once(':'));
                let (name, value) = header.ok_or("its `--header` is not `NAME: VALUE`")?;
                remote.headers.insert(name.trim().to_owned(), json!(substitute(value.trim(), env)));
            }
            "--transport" => {
                remote.protocol = match rest.next().map(String::as_str) {
                    Some("http-only") => "streamable-http",
                    Some("sse-only") => "sse",
                    _ => "auto",
                };
            }
            "--static-oauth-client-info" => {
                let info = rest.next().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
                match info.filter(|info| info.contains_key("client_id")) {
                    Some(mut info) => {
                        info.retain(|key, _| key == "client_id" || key == "client_secret");
                        remote.oauth = Some(Value::Object(info));
                    }
                    None => remote.skipped.push(argument.clone()),
                }
            }
            option if IGNORED_VALUES.contains(&option) => {
                remote.skipped.push(option.to_owned());
                rest.next();
            }
            // `--allow-http` and `--debug` have no meaning without the bridge.
            option if option.starts_with('-') => {}
            url if remote.url.is_empty() => remote.url = url.to_owned(),
            // The port of its own OAuth callback.
            _ => {}
        }
    }
    if remote.url.is_empty() { Err("`mcp-remote` has no URL".to_owned()) } else { Ok(remote) }
}

/// Replaces `${NAME}` with the entry's own variable, or with a reference to the environment.
fn substitute(text: &str, env: &Map<String, Value>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            result.push_str("${");
            rest = after;
            continue;
        };
        match env.get(name).and_then(Value::as_str) {
            Some(value) => result.push_str(value),
            None if name.contains(':') => result.push_str(&format!("${{{name}}}")),
            None => result.push_str(&format!("${{env:{name}}}")),
        }
        rest = after;
    }
    result + rest
}

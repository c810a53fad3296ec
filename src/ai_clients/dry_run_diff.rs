//! The diff of a dry run, with every possible secret masked.
//!
//! A client's file holds keys of other servers that cannot be recognised reliably. Therefore a word is shown only if it is
//! part of our own entry or is the name of a value.

use std::collections::HashSet;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::ai_clients::entry::Proxy;
use crate::ai_clients::known_clients::{Client, Format};
use crate::ai_clients::plan::Change;
use crate::ai_clients::preview::masked_entry;
use crate::config::document::MASK;

/// A unified diff without context; empty if nothing changes.
pub fn diff(client: &Client, proxy: &Proxy, name: &str, path: &str, before: Option<&[u8]>, change: &Change) -> String {
    let after = match change {
        Change::Nothing => return String::new(),
        Change::Write(after) => Some(after.as_slice()),
        Change::Delete => None,
    };
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let file = |bytes: Option<&[u8]>| if bytes.is_some() { one_line(path) } else { "/dev/null".to_owned() };
    let ours = ours(client, proxy, name);
    let (old, new) = (text(before), text(after));
    let compared = TextDiff::from_lines(&old, &new);
    let mut lines = vec![format!("--- {}", file(before)), format!("+++ {}", file(after))];
    for hunk in compared.unified_diff().context_radius(0).iter_hunks() {
        lines.push(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let line = change.value().trim_end_matches(['\r', '\n']);
            lines.push(format!("{sign}{}", one_line(&masked(line, client.format, &ours))));
            if change.missing_newline() {
                lines.push("\\ No newline at end of file".to_owned());
            }
        }
    }
    lines.join("\n")
}

/// The strings in our entry, whole and split into words.
fn ours(client: &Client, proxy: &Proxy, name: &str) -> HashSet<String> {
    let mut ours = HashSet::from([name.to_owned(), format!("{}.{name}", client.container)]);
    for (_, value) in masked_entry(client, proxy, name).unwrap_or_default().0 {
        let texts = match value {
            Value::Array(items) => items,
            value => vec![value],
        };
        for text in texts.iter().filter_map(Value::as_str) {
            ours.extend(text.split_whitespace().map(str::to_owned));
            // Also in its JSON form, in which a Windows path contains `\\`.
            let written = Value::from(text).to_string();
            ours.extend([text.to_owned(), written.trim_matches('"').to_owned()]);
        }
    }
    ours
}

/// Masks every word of a line that is neither ours nor the name of a value.
fn masked(line: &str, format: Format, ours: &HashSet<String>) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    // Whether an unquoted name may start here.
    let mut first = format != Format::Json;
    while let Some(next) = rest.chars().next() {
        if next.is_whitespace() || "{}[](),:=\u{feff}".contains(next) {
            shown.push(next);
            first = format != Format::Json && (first && next.is_whitespace() || "{,".contains(next));
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            continue;
        }
        let quote = matches!(next, '"' | '\'').then_some(next);
        let length = quote.map_or_else(|| word(rest), |quote| quoted(rest, quote));
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let content = quote.map_or(token, |quote| {
            let content = token.strip_prefix(quote).unwrap_or(token);
            content.strip_suffix(quote).unwrap_or(content)
        });
        let names = (quote.is_some() || first) && after.trim_start().starts_with([':', '=']);
        let known = names || ours.contains(content) || ["true", "false", "null"].contains(&content);
        if known || !content.contains(char::is_alphanumeric) {
            shown.push_str(token);
        } else {
            let quote = quote.map(String::from).unwrap_or_default();
            shown.push_str(&format!("{quote}{MASK}{quote}"));
        }
        // The `-` of a YAML sequence.
        first = first && content == "-";
        rest = after;
    }
    shown
}

/// Length of an unquoted word in bytes. `:` or `=` ends it only before a space or a quote.
fn word(text: &str) -> usize {
    let ends = |(at, found): (usize, char)| {
        let after = text.get(at + found.len_utf8()..).unwrap_or_default();
        let separates = ":=".contains(found) && (after.is_empty() || after.starts_with([' ', '\t', '"', '\'']));
        separates || found.is_whitespace() || "{}[](),".contains(found)
    };
    text.char_indices().find(|found| ends(*found)).map_or(text.len(), |(at, _)| at)
}

/// Length of a quoted string in bytes, to the end of the line if unterminated.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, found) in text.char_indices().skip(1) {
        if found == quote && !escaped {
            return at + 1;
        }
        escaped = found == '\\' && quote == '"' && !escaped;
    }
    text.len()
}

/// Escapes control characters, which could drive the terminal.
fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\t' { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ai_clients::known_clients::client;
    use crate::ai_clients::plan::{connect, disconnect};
    use crate::ai_clients::stdio_entry::Bridge;

    fn proxy() -> Proxy {
        let bridge = Bridge {
            program: Ok(r"C:\Program Files\MCPProxy\mcpproxy.exe".into()),
            root: r"D:\my work".into(),
            is_default: false,
        };
        Proxy::new("127.0.0.1:8080", true, Some("hidden-key"), bridge)
    }

    fn shown(id: &str, before: &str) -> String {
        let client = client(id).unwrap();
        let plan = connect(client, &proxy(), Some(before.as_bytes()), None, true).unwrap();
        diff(client, &proxy(), &plan.name, "/f", Some(before.as_bytes()), &plan.change)
    }

    #[test]
    fn only_what_changes_is_shown_and_of_it_no_secret() {
        let before = "{\n  \"a\": \"hidden\",\n  \"mcpServers\": {\n    \"fs\": {\"env\": {\"TOKEN\": \"hidden\"}, \"n\": 4711}\n  }\n}\n";
        assert_eq!(
            shown("cursor", before),
            "--- /f\n+++ /f\n@@ -4 +4,7 @@\n\
             -    \"fs\": {\"env\": {\"TOKEN\": \"••••\"}, \"n\": ••••}\n\
             +    \"fs\": {\"env\": {\"TOKEN\": \"••••\"}, \"n\": ••••},\n\
             +    \"mcpproxy\": {\n\
             +      \"url\": \"http://127.0.0.1:8080/mcp\",\n\
             +      \"headers\": {\n\
             +        \"X-API-Key\": \"••••\"\n\
             +      }\n\
             +    }"
        );
        let before = "[mcp_servers.mcpproxy]\ncommand = \"hidden\"\nenv = { TOKEN = 'hidden' } # hidden\n";
        assert_eq!(
            shown("codex", before),
            "--- /f\n+++ /f\n@@ -2,2 +2,2 @@\n\
             -command = \"••••\"\n\
             -env = { TOKEN = '••••' } # ••••\n\
             +url = \"http://127.0.0.1:8080/mcp\"\n\
             +http_headers = { X-API-Key = \"••••\" }"
        );
        let before = "{\n  \"mcpServers\": {\n    \"mcpproxy\": {\n      \"command\": \"hidden\",\n      \
                      \"args\": [\"hidden\", \"stdio\"]\n    }\n  }\n}\n";
        assert_eq!(
            shown("claude-desktop", before),
            "--- /f\n+++ /f\n@@ -4,2 +4,6 @@\n\
             -      \"command\": \"••••\",\n\
             -      \"args\": [\"••••\", \"stdio\"]\n\
             +      \"command\": \"C:\\\\Program Files\\\\MCPProxy\\\\mcpproxy.exe\",\n\
             +      \"args\": [\n\
             +        \"stdio\",\n\
             +        \"--data-dir\",\n\
             +        \"D:\\\\my work\"\n\
             +      ]"
        );
        let text = shown("goose", "x: hidden\n");
        let expected = "+extensions:\n+  mcpproxy:\n+    enabled: true\n+    type: streamable_http\n+    name: mcpproxy\n\
                        +    description: Every MCP server behind MCPProxy\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("+      X-API-Key: ••••") && !text.contains("hidden"), "{text}");
    }

    #[test]
    fn a_file_that_comes_or_goes_is_said_to() {
        let client = client("cursor").unwrap();
        let plan = connect(client, &proxy(), None, None, false).unwrap();
        let text = diff(client, &proxy(), "mcpproxy", "/f\u{1b}", None, &plan.change);
        assert!(text.starts_with("--- /dev/null\n+++ /f\\u{1b}\n@@ -0,0 +1,10 @@\n+{\n"), "{text}");
        let Change::Write(bytes) = plan.change else { panic!() };
        let plan = disconnect(client, &proxy(), Some(&bytes), None, &[]).unwrap();
        let text = diff(client, &proxy(), "mcpproxy", "/f", Some(&bytes), &plan.change);
        assert!(text.starts_with("--- /f\n+++ /dev/null\n@@ -1,10 +0,0 @@\n-{\n"), "{text}");
        assert_eq!(diff(client, &proxy(), "mcpproxy", "/f", Some(&bytes), &Change::Nothing), "");
    }

    proptest! {
        /// Wherever a value stands, and whatever is around it.
        #[test]
        fn a_value_is_never_shown(
            front in "[a-z\"'{}\\[\\],:=# /*\\\\-]{0,20}",
            value in "hidden[a-z0-9+/:=,. -]{0,20}z",
            back in "[\\]}, \\t]{0,3}",
        ) {
            let none = HashSet::new();
            let json = format!("{{\"k\": {}{back}", serde_json::to_string(&value).unwrap());
            prop_assert!(!masked(&json, Format::Json, &none).contains("hidden"), "{json}");
            let toml = format!("k = '{value}'{back}");
            prop_assert!(!masked(&toml, Format::Toml, &none).contains("hidden"), "{toml}");
            let yaml = format!("  - k: \"{value}\"{back}");
            prop_assert!(!masked(&yaml, Format::Yaml, &none).contains("hidden"), "{yaml}");
            // Never a panic.
            for format in [Format::Json, Format::Toml, Format::Yaml] {
                masked(&format!("{front}{value}{back}"), format, &none);
            }
        }
    }
}

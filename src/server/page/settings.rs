//! The page *Settings*: every key of the configuration with a single value, generated from the configuration's schema.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::server::page::form::Fields;
use crate::server::page::layout::{Frame, foreign, heading, message, page, token};
use crate::server::page::settings_undo::{self, SettingsChange};

/// Keys with a separate page, and keys that must not be changed in a browser.
const ELSEWHERE: [&str; 6] = [
    "mcpServers",
    "profiles",
    "telemetry",
    "api_key",
    "activity_bodies",
    "sensitive_data",
];

/// Maximum number of changes that can be undone on the page.
pub(super) const MOST_CHANGES: usize = 8;

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// `key`, or `group.key`.
    pub name: String,
    pub description: String,
    pub kind: Kind,
    /// The value in the configuration; `null` if it is missing.
    pub value: Value,
    /// The default value.
    pub default: Value,
}

/// The type of a setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Number,
    Text,
    /// One word per line.
    List,
    Choice(Vec<String>),
}

/// Returns the settings of a schema, with their values.
pub(super) fn settings(schema: &Value, config: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    for (name, property) in properties(schema) {
        if ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        let resolved = resolve(schema, property);
        let value = config.get(name).cloned().unwrap_or_default();
        if let Some(setting) = setting(name, property, resolved, &value) {
            found.push(setting);
            continue;
        }
        for (inner, property) in properties(resolved) {
            let value = value.get(inner).cloned().unwrap_or_default();
            found.extend(setting(&format!("{name}.{inner}"), property, resolve(schema, property), &value));
        }
    }
    found
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Returns the definition that a property refers to.
fn resolve<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let parts = ["anyOf", "allOf", "oneOf"].iter().filter_map(|key| property.get(*key)?.as_array()).flatten();
    let reference = parts.chain(std::iter::once(property)).find_map(|part| part.get("$ref")?.as_str());
    reference.and_then(|reference| schema.pointer(reference.strip_prefix('#')?)).unwrap_or(property)
}

fn setting(name: &str, property: &Value, resolved: &Value, value: &Value) -> Option<Setting> {
    let kind = kind(resolved)?;
    let text = |of: &Value| of.get("description").and_then(Value::as_str).map(str::to_owned);
    Some(Setting {
        name: name.to_owned(),
        description: text(property).or_else(|| text(resolved)).unwrap_or_default(),
        kind,
        value: value.clone(),
        default: property.get("default").cloned().unwrap_or_default(),
    })
}

fn kind(property: &Value) -> Option<Kind> {
    let words = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if let Some(list) = property.get("enum") {
        return Some(Kind::Choice(words(list)));
    }
    if let Some(Value::Array(options)) = property.get("oneOf") {
        let constants = options.iter().flat_map(|option| match option.get("const") {
            Some(Value::String(word)) => vec![word.clone()],
            _ => option.get("enum").map(words).unwrap_or_default(),
        });
        let constants: Vec<String> = constants.collect();
        return (!constants.is_empty()).then_some(Kind::Choice(constants));
    }
    let types = match property.get("type")? {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    match types.into_iter().find(|kind| *kind != "null")? {
        "boolean" => Some(Kind::Switch),
        "integer" | "number" => Some(Kind::Number),
        "string" => Some(Kind::Text),
        "array" if property.pointer("/items/type") == Some(&json!("string")) => Some(Kind::List),
        _ => None,
    }
}

impl Setting {
    /// Returns the value in the form's format.
    fn shown(&self) -> String {
        match &self.value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            other => other.to_string(),
        }
    }

    /// Parses a form's text; returns `null` if it is empty.
    fn parse(&self, text: &str) -> Result<Value, String> {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        match self.kind {
            Kind::Switch => Ok(Value::Bool(text == "true")),
            Kind::Number => {
                serde_json::from_str(text).map_err(|_| format!("`{}` must be a number, not `{text}`", self.name))
            }
            Kind::Text | Kind::Choice(_) => Ok(Value::String(text.to_owned())),
            Kind::List => Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()),
        }
    }
}

/// Returns the part of the configuration that a form changes.
///
/// # Errors
/// A message about the first invalid value.
pub(super) fn changes(settings: &[Setting], fields: &Fields) -> Result<Map<String, Value>, String> {
    let mut part = Map::new();
    for setting in settings.iter().filter(|setting| fields.has(&setting.name)) {
        let text = fields.text(&setting.name).replace("\r\n", "\n");
        if text == setting.shown().trim() {
            continue;
        }
        let value = setting.parse(&text)?;
        match setting.name.split_once('.') {
            None => {
                part.insert(setting.name.clone(), value);
            }
            Some((group, key)) => {
                let group = part.entry(group).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(group) = group {
                    group.insert(key.to_owned(), value);
                }
            }
        }
    }
    Ok(part)
}

/// The page's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    pub settings: &'a [Setting],
    /// The path of the configuration file.
    pub path: &'a str,
    /// The configuration without secrets.
    pub config: &'a Value,
    /// The latest changes, newest first.
    pub changes: &'a [SettingsChange],
    pub error: Option<&'a str>,
}

pub(super) fn view(frame: &Frame, shown: &Settings<'_>) -> Markup {
    let Settings {
        settings,
        path,
        config,
        changes,
        error,
    } = *shown;
    let contents = html! {
        @let more = html! { a.button href="/ui/profiles" { "Profiles" } a.button href="/ui/secrets" { "Secrets" } };
        (heading("Settings", "Changes apply at once, unless a setting says that it needs a restart.", &more))
        @if let Some(error) = error { div.notice.bad role="alert" { (error) } }
        p.quiet { "They are stored in " code { (foreign(path)) } ", which you can also edit with any editor." }
        form.search role="search" { label { span.hidden { "Find a setting" } input type="search" placeholder="Find a setting" data-filter=".setting" data-shortcut="/"; } }
        (settings_undo::view(frame, changes, config))
        form method="post" action="/ui/settings" {
            (token(frame))
            div.settings { @for setting in settings { (row(setting)) } }
            div.actions.sticky { button.primary type="submit" { "Save changes" } }
        }
    };
    page(frame, "/ui/settings", "Settings", &contents)
}

fn row(setting: &Setting) -> Markup {
    let shown = setting.shown();
    let usual = match &setting.default {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    html! {
        div.setting {
            label for=(setting.name) { code { (setting.name) } small { (message(&setting.description)) } }
            @match &setting.kind {
                Kind::Switch => select id=(setting.name) name=(setting.name) {
                    option value="" selected[shown.is_empty()] { "Default" @if !usual.is_empty() { " (" (if usual == "true" { "on" } else { "off" }) ")" } }
                    option value="true" selected[shown == "true"] { "On" }
                    option value="false" selected[shown == "false"] { "Off" }
                },
                Kind::Choice(words) => select id=(setting.name) name=(setting.name) {
                    option value="" selected[shown.is_empty()] { "Default" @if !usual.is_empty() { " (" (usual) ")" } }
                    @for word in words { option value=(word) selected[*word == shown] { (word) } }
                },
                Kind::Number => input type="number" step="any" id=(setting.name) name=(setting.name) value=(shown) placeholder=(usual);,
                Kind::Text => input id=(setting.name) name=(setting.name) value=(shown) placeholder=(usual) autocomplete="off" spellcheck="false";,
                Kind::List => textarea id=(setting.name) name=(setting.name) rows="2" placeholder="One per line" spellcheck="false" { (shown) },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::schema;

    #[test]
    fn the_schema_gives_settings_of_every_kind() {
        let config = json!({"listen": "127.0.0.1:1", "trusted_hosts": ["a", "b"]});
        let settings = settings(&schema(), &config);
        let kind =
            |name: &str| settings.iter().find(|setting| setting.name == name).map(|setting| setting.kind.clone());
        assert_eq!(kind("listen"), Some(Kind::Text));
        assert_eq!(kind("tools_limit"), Some(Kind::Number));
        assert_eq!(kind("enable_socket"), Some(Kind::Switch));
        assert_eq!(kind("trusted_hosts"), Some(Kind::List));
        assert_eq!(kind("tls.enabled"), Some(Kind::Switch));
        assert_eq!((kind("api_key"), kind("mcpServers")), (None, None));
    }

    #[test]
    fn only_what_was_changed_is_written() {
        let config = json!({"listen": "127.0.0.1:1", "tools_limit": 5});
        let settings = settings(&schema(), &config);
        let fields = Fields::parse("listen=127.0.0.1%3A1&tools_limit=&tls.enabled=true&trusted_hosts=a%0D%0Ab");
        let expected = json!({"tools_limit": null, "tls": {"enabled": true}, "trusted_hosts": ["a", "b"]});
        assert_eq!(Value::Object(changes(&settings, &fields).unwrap()), expected);
        assert!(changes(&settings, &Fields::parse("tools_limit=x")).unwrap_err().contains("number"));
    }
}

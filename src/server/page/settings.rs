//! The page *Settings*: every key of the configuration, generated from the configuration's schema.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::server::page::form::Fields;
use crate::server::page::layout::{Frame, foreign, heading, message, page, token};
use crate::server::page::settings_undo::{self, Change, SettingsChange};
use crate::server::page::shown_values::{self, Edit, ShownValues};

/// Keys that are not changed on this page.
const ELSEWHERE: [(&str, Elsewhere); 10] = [
    ("mcpServers", Elsewhere::Page("/ui/servers", "Servers")),
    ("profiles", Elsewhere::Page("/ui/profiles", "Profiles")),
    ("activity_bodies", Elsewhere::Page("/ui/privacy", "Privacy")),
    ("sensitive_data", Elsewhere::Page("/ui/privacy", "Privacy")),
    ("telemetry.enabled", Elsewhere::Page("/ui/privacy", "Privacy")),
    ("api_key", Elsewhere::Never("Only in the file: the browser never gets it.")),
    ("telemetry.anonymous_id", Elsewhere::Never(BY_MCPPROXY)),
    ("telemetry.anonymous_id_created_at", Elsewhere::Never(BY_MCPPROXY)),
    ("telemetry.last_reported_version", Elsewhere::Never(BY_MCPPROXY)),
    ("telemetry.notice_shown", Elsewhere::Never(BY_MCPPROXY)),
];
const BY_MCPPROXY: &str = "Set by MCPProxy.";

/// Where a key is changed that is not changed on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// On the page with this path and name.
    Page(&'static str, &'static str),
    /// Not in the browser, for this reason.
    Never(&'static str),
}

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
    /// The user's input, if it was not saved.
    pub entered: Option<String>,
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
    /// Any other array or object as JSON, with an example.
    Json(String),
    Elsewhere(Elsewhere),
}

/// Returns the settings of a schema, with their values.
pub(super) fn settings(schema: &Value, config: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    for (name, property) in properties(schema) {
        let resolved = resolve(schema, property);
        let value = config.get(name).cloned().unwrap_or_default();
        let is_group = kind(name, resolved).is_none() && properties(resolved).next().is_some();
        if !is_group {
            found.push(setting(schema, name, property, &value));
            continue;
        }
        for (inner, property) in properties(resolved) {
            let value = value.get(inner).cloned().unwrap_or_default();
            found.push(setting(schema, &format!("{name}.{inner}"), property, &value));
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

fn setting(schema: &Value, name: &str, property: &Value, value: &Value) -> Setting {
    let resolved = resolve(schema, property);
    let text = |of: &Value| of.get("description").and_then(Value::as_str).map(str::to_owned);
    Setting {
        name: name.to_owned(),
        description: text(property).or_else(|| text(resolved)).unwrap_or_default(),
        kind: kind(name, resolved).unwrap_or_else(|| Kind::Json(example(schema, resolved))),
        value: value.clone(),
        default: property.get("default").cloned().unwrap_or_default(),
        entered: None,
    }
}

/// Returns an example of an array or object.
fn example(schema: &Value, property: &Value) -> String {
    let fields = property.get("items").map(|items| properties(resolve(schema, items)));
    let fields: Vec<String> = fields.into_iter().flatten().map(|(name, _)| format!("\"{name}\": …")).collect();
    if fields.is_empty() {
        "{\"NAME\": \"value\"}".to_owned()
    } else {
        format!("[{{{}}}]", fields.join(", "))
    }
}

/// Returns the type of a value that a form can show in one field; `None` for other arrays and objects.
fn kind(name: &str, property: &Value) -> Option<Kind> {
    if let Some((_, place)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
        return Some(Kind::Elsewhere(*place));
    }
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
    fn stored(&self) -> String {
        match (&self.value, &self.kind) {
            (Value::Null, _) => String::new(),
            (value, Kind::Json(_)) => serde_json::to_string_pretty(value).unwrap_or_default(),
            (Value::String(text), _) => text.clone(),
            (Value::Array(items), _) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            (other, _) => other.to_string(),
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
            Kind::Json(_) => {
                serde_json::from_str(text).map_err(|error| format!("`{}` is not valid JSON: {error}", self.name))
            }
            Kind::Elsewhere(_) => Err(format!("`{}` cannot be changed on this page", self.name)),
        }
    }
}

/// Returns the changes that a form contains.
///
/// # Errors
/// A message about every value that was changed elsewhere since the form was rendered, or about the first one that is
/// invalid.
pub(super) fn changes(settings: &[Setting], fields: &Fields) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    let shown = ShownValues::of(fields);
    // All at once: the page that explains them counts the current values as seen.
    let is_conflicting = |setting: &&Setting| {
        let text = fields.text(&setting.name).replace("\r\n", "\n");
        fields.has(&setting.name) && shown.edit(&setting.name, &text, &setting.stored()) == Edit::Conflicting
    };
    let conflicts = settings.iter().filter(is_conflicting);
    let conflicts: Vec<String> =
        conflicts.map(|setting| shown_values::conflict(&setting.name, &setting.stored())).collect();
    if !conflicts.is_empty() {
        return Err(conflicts.join("\n"));
    }
    for setting in settings.iter().filter(|setting| fields.has(&setting.name)) {
        let text = fields.text(&setting.name).replace("\r\n", "\n");
        let stored = setting.stored();
        match shown.edit(&setting.name, &text, &stored) {
            Edit::None => continue,
            Edit::Made | Edit::Conflicting => {}
        }
        let value = setting.parse(&text)?;
        if value != setting.value {
            changes.push((setting.name.split('.').map(str::to_owned).collect(), value));
        }
    }
    Ok(changes)
}

/// Keeps what the user has entered in a form that was not saved. Other values are the current ones.
pub(super) fn keep_entered(settings: &mut [Setting], fields: &Fields) {
    let shown = ShownValues::of(fields);
    for setting in settings.iter_mut().filter(|setting| fields.has(&setting.name)) {
        let text = fields.text(&setting.name);
        if shown.edit(&setting.name, text, &setting.stored()) != Edit::None {
            setting.entered = Some(text.to_owned());
        }
    }
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
        @if let Some(error) = error { div.notice.bad role="alert" { (message(error)) } }
        p.quiet { "They are stored in " code { (foreign(path)) } ", which you can also edit with any editor. Empty a field to use the default." }
        form.search role="search" { label { span.hidden { "Find a setting" } input type="search" placeholder="Find a setting" data-filter=".setting" data-shortcut="/"; } }
        (settings_undo::view(frame, changes, config))
        form method="post" action="/ui/settings" {
            (token(frame))
            (shown_values::field(settings.iter().filter(|setting| !matches!(setting.kind, Kind::Elsewhere(_))).map(|setting| (setting.name.as_str(), setting.stored()))))
            div.settings { @for setting in settings { (row(setting)) } }
            div.actions.sticky { button.primary type="submit" { "Save changes" } }
        }
    };
    page(frame, "/ui/settings", "Settings", &contents)
}

/// Renders a name that may be broken into lines at its parts.
fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['_', '.']) { (part) wbr; } }
}

fn row(setting: &Setting) -> Markup {
    let shown = setting.entered.clone().unwrap_or_else(|| setting.stored());
    let usual = match &setting.default {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    html! {
        div.setting {
            @let about = html! { code { (breakable(&setting.name)) } small { (message(&setting.description)) @if matches!(setting.kind, Kind::Json(_)) { " As JSON." } } };
            @if matches!(setting.kind, Kind::Elsewhere(_)) { div { (about) } } @else { label for=(setting.name) { (about) } }
            @match &setting.kind {
                Kind::Elsewhere(Elsewhere::Page(path, name)) => p { "Change it in " a href=(path) { (name) } },
                Kind::Elsewhere(Elsewhere::Never(reason)) => p.quiet { (reason) },
                Kind::Json(example) => textarea.code.grow id=(setting.name) name=(setting.name) rows=(shown.lines().count().clamp(3, 16)) placeholder=(example) spellcheck="false" { (shown) },
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
    use crate::server::page::settings_undo::changed;

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
        assert!(matches!(kind("update_check.channel"), Some(Kind::Choice(_))));
        let Some(Kind::Json(example)) = kind("registries") else {
            panic!("{:?}", kind("registries"))
        };
        assert!(example.starts_with("[{") && example.contains("\"servers_url\""), "{example}");
        assert!(matches!(kind("environment.custom_vars"), Some(Kind::Json(_))));
        assert_eq!(kind("profiles"), Some(Kind::Elsewhere(Elsewhere::Page("/ui/profiles", "Profiles"))));
    }

    #[test]
    fn every_key_of_the_schema_is_on_the_page_and_every_exception_is_a_key() {
        let schema = schema();
        let found = settings(&schema, &json!({"api_key": "hidden-key"}));
        for (name, _) in properties(&schema) {
            let is_here = |one: &Setting| one.name.split('.').next() == Some(name.as_str());
            assert!(found.iter().any(is_here), "{name}");
        }
        for (name, _) in ELSEWHERE {
            assert!(found.iter().any(|setting| setting.name == name), "{name}");
        }
        let shown = Settings {
            settings: &found,
            path: "",
            config: &Value::Null,
            changes: &[],
            error: None,
        };
        let text = view(&Frame::default(), &shown).into_string();
        assert!(!text.contains("hidden-key") && text.contains("href=\"/ui/profiles\">Profiles"), "{text}");
    }

    fn saved(config: &Value, form: &str) -> Result<Value, String> {
        let changes = changes(&settings(&schema(), config), &Fields::parse(form))?;
        Ok(Value::Object(changed(config, changes)))
    }

    #[test]
    fn only_what_was_changed_is_written() {
        let config = json!({"listen": "127.0.0.1:1", "tools_limit": 5, "tls": {"certs_dir": "/c", "mine": 1}});
        let form = "listen=127.0.0.1%3A1&tools_limit=&tls.enabled=true&tls.certs_dir=&trusted_hosts=a%0D%0Ab";
        let expected = json!({"tools_limit": null, "tls": {"enabled": true, "mine": 1}, "trusted_hosts": ["a", "b"]});
        assert_eq!(saved(&config, form).unwrap(), expected);
        assert!(saved(&config, "tools_limit=x").unwrap_err().contains("number"));
        assert!(saved(&config, "profiles=x").unwrap_err().contains("`profiles` cannot be changed"));
    }

    #[test]
    fn a_page_that_was_opened_earlier_does_not_overwrite_a_newer_change() {
        let page = |config: &Value| {
            let settings = settings(&schema(), config);
            let shown = Settings {
                settings: &settings,
                path: "",
                config,
                changes: &[],
                error: None,
            };
            view(&Frame::default(), &shown).into_string()
        };
        let opened = page(&json!({"tools_limit": 5, "tool_response_limit": 100}));
        let (_, rest) = opened.split_once("name=\"shown_values\" value=\"").unwrap();
        let shown = rest.split_once('"').unwrap().0;
        let now = json!({"tools_limit": 9, "tool_response_limit": 100});
        let form = |fields: &str| format!("shown_values={shown}&{fields}");
        // The user changes one setting; the page still has the earlier value of the other.
        let other = form("tools_limit=5&tool_response_limit=200");
        assert_eq!(saved(&now, &other).unwrap(), json!({"tool_response_limit": 200}));
        let same = form("tools_limit=7&tool_response_limit=100");
        let error = saved(&now, &same).unwrap_err();
        assert!(error.contains("`tools_limit` was changed elsewhere") && error.contains("is now `9`"), "{error}");
        // Otherwise the second one would count as seen on the page that explains the first.
        let both = json!({"tools_limit": 9, "tool_response_limit": 300});
        let error = saved(&both, &form("tools_limit=7&tool_response_limit=200")).unwrap_err();
        assert!(error.contains("is now `9`") && error.contains("is now `300`"), "{error}");
        // The page that explains it keeps what the user entered, and can be saved.
        let mut found = settings(&schema(), &now);
        keep_entered(&mut found, &Fields::parse(&form("tools_limit=7&tool_response_limit=100")));
        let entered: Vec<_> =
            found.iter().filter_map(|one| Some((one.name.as_str(), one.entered.as_deref()?))).collect();
        assert_eq!(entered, [("tools_limit", "7")]);
        let again = page(&now);
        let (_, rest) = again.split_once("name=\"shown_values\" value=\"").unwrap();
        let again = format!("shown_values={}&tools_limit=7", rest.split_once('"').unwrap().0);
        assert_eq!(saved(&now, &again).unwrap(), json!({"tools_limit": 7}));
    }

    #[test]
    fn an_object_or_array_is_edited_as_json() {
        let config = json!({"environment": {"custom_vars": {"A": "1", "TOKEN": "•••• (9 chars)"}}});
        let form = "environment.custom_vars=%7B%22TOKEN%22%3A%22•••• (9 chars)%22%2C%22B%22%3A%222%22%7D";
        let expected = json!({"environment": {"custom_vars": {"TOKEN": "•••• (9 chars)", "B": "2"}}});
        assert_eq!(saved(&config, form).unwrap(), expected);
        let same = "environment.custom_vars=%7B%22A%22:%221%22, %22TOKEN%22:%22•••• (9 chars)%22%7D";
        assert_eq!(saved(&config, same).unwrap(), json!({}), "only the spaces differ");
        assert_eq!(saved(&config, "environment.custom_vars=").unwrap(), json!({"environment": {}}));
        let error = saved(&config, "registries=%5B%7B").unwrap_err();
        assert!(error.contains("`registries` is not valid JSON") && error.contains("line 1"), "{error}");
    }
}

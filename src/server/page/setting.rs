//! One setting of a form: its value and type from the configuration's schema, and the change that a form makes.

use serde_json::{Value, json};

use crate::config::document::MASK;
use crate::server::page::form::Fields;
use crate::server::page::settings_undo::Change;
use crate::server::page::shown_values::{self, Edit, ShownValues};

/// Where a key is changed that is not changed on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// On the page with this path and name.
    Page(&'static str, &'static str),
    /// Not in the browser, for this reason.
    Never(&'static str),
}

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// `key`, or `object.key`.
    pub name: String,
    /// The name for people.
    pub label: String,
    pub description: String,
    pub kind: Kind,
    /// The value in the configuration; `null` if it is missing.
    pub value: Value,
    /// The default value; `null` if it depends on something else.
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

/// Returns the keys of an object in a schema, with the values in `config`. `elsewhere` are keys that are not changed here.
pub(super) fn settings_of(
    schema: &Value,
    object: &Value,
    config: &Value,
    elsewhere: &[(&str, Elsewhere)],
) -> Vec<Setting> {
    let kind_of = |name: &str, resolved: &Value| match elsewhere.iter().find(|(known, _)| *known == name) {
        Some((_, place)) => Some(Kind::Elsewhere(*place)),
        None => kind(resolved),
    };
    let setting = |name: &str, property: &Value, value: Value| {
        let resolved = resolve(schema, property);
        let text = |key: &str| [property, resolved].into_iter().find_map(|of| of.get(key)?.as_str()).map(str::to_owned);
        Setting {
            name: name.to_owned(),
            label: text("title").unwrap_or_else(|| name.to_owned()),
            description: text("description").unwrap_or_default(),
            kind: kind_of(name, resolved).unwrap_or_else(|| Kind::Json(example(schema, resolved))),
            value,
            default: property.get("default").cloned().unwrap_or_default(),
            entered: None,
        }
    };
    let mut found = Vec::new();
    for (name, property) in properties(object) {
        let resolved = resolve(schema, property);
        let value = config.get(name).cloned().unwrap_or_default();
        let is_object = kind_of(name, resolved).is_none() && properties(resolved).next().is_some();
        if !is_object {
            found.push(setting(name, property, value));
            continue;
        }
        for (inner, property) in properties(resolved) {
            let value = value.get(inner).cloned().unwrap_or_default();
            found.push(setting(&format!("{name}.{inner}"), property, value));
        }
    }
    found
}

pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Returns the definition that a property refers to.
fn resolve<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let parts = ["anyOf", "allOf", "oneOf"].iter().filter_map(|key| property.get(*key)?.as_array()).flatten();
    let reference = parts.chain(std::iter::once(property)).find_map(|part| part.get("$ref")?.as_str());
    reference.and_then(|reference| schema.pointer(reference.strip_prefix('#')?)).unwrap_or(property)
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
    pub(super) fn stored(&self) -> String {
        self.written(&self.value)
    }

    /// Returns the default value in the form's format.
    pub(super) fn usual(&self) -> String {
        match &self.default {
            Value::Object(fields) if fields.is_empty() => String::new(),
            default => self.written(default),
        }
    }

    fn written(&self, value: &Value) -> String {
        match (value, &self.kind) {
            (Value::Null, _) => String::new(),
            (value, Kind::Json(_)) => serde_json::to_string_pretty(value).unwrap_or_default(),
            (Value::String(text), _) => text.clone(),
            (Value::Array(items), _) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            (other, _) => other.to_string(),
        }
    }

    /// Whether the user has chosen another value than the default.
    pub(super) fn is_changed(&self) -> bool {
        let is_empty = match &self.value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        !is_empty && self.value != self.default && !matches!(self.kind, Kind::Elsewhere(Elsewhere::Never(_)))
    }

    /// Whether every word occurs in the key, the label or the description. `words` are in lower case.
    pub(super) fn matches(&self, words: &[String]) -> bool {
        let text = format!("{} {} {}", self.label, self.name, self.description).to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
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
        // An object with a masked secret that did not change is restored.
        if text.contains(MASK) && !matches!(setting.kind, Kind::Json(_)) {
            return Err(format!("Nothing was saved: enter the whole value of `{}`, not a part of it.", setting.name));
        }
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

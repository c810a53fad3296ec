//! A tool on one line, for `retrieve_tools`.

use rmcp::model::Tool;
use serde_json::{Map, Value};

/// Explains the notation to the client's model.
pub const HINT: &str = "In `sig`, name*:type is a required parameter, name:type=value one with a default, and ~ stands for what \
    was left out. Where `lossy` is true, call describe_tool with the entry's id before you call the tool: it shows the whole \
    inputSchema, and in `call_with` the call tool to use.";

/// A tool's shortened parameters and description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub sig: String,
    pub desc: String,
    /// Whether the signature omits details that a caller may need.
    pub lossy: bool,
}

/// Maximum number of parameters.
const MOST_PARAMETERS: usize = 24;
/// Maximum number of parameters in a short signature, unless more are required.
const MOST_IN_SHORT: usize = 6;
/// Maximum number of values of an enum, and their maximum total length.
const MOST_CHOICES: usize = 8;
const LONGEST_CHOICES: usize = 80;
/// Maximum length of a default value, a name and a description, in characters.
const LONGEST_DEFAULT: usize = 24;
const LONGEST_NAME: usize = 64;
const LONGEST_DESCRIPTION: usize = 120;
/// The same two limits for tools whose short signature has too many tokens: parameters, characters of the description.
const SHORTER: [(usize, usize); 2] = [(4, 60), (2, 30)];

/// Keywords that do not restrict the values of a parameter beyond what the signature shows.
const PLAIN: [&str; 7] = ["type", "description", "title", "default", "examples", "enum", "items"];
const PLAIN_AT_THE_TOP: [&str; 9] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "title",
    "description",
    "$schema",
    "$defs",
    "definitions",
];

impl Signature {
    /// Returns the signature of a tool.
    pub fn of(tool: &Tool) -> Signature {
        Signature::with(tool, MOST_PARAMETERS, LONGEST_DESCRIPTION)
    }

    /// Returns signatures with a mark in `sig` for anything omitted, longest first: one with few optional parameters, and
    /// shorter ones for tools whose names, values or descriptions are long, or in a script with many tokens.
    pub fn short(tool: &Tool) -> impl Iterator<Item = Signature> + '_ {
        let first = (required(tool).count().max(MOST_IN_SHORT), LONGEST_DESCRIPTION);
        let sizes = std::iter::once(first).chain(SHORTER);
        sizes.map(move |(parameters, description)| Signature::marked(tool, parameters, description))
    }

    /// Returns the shortest signature, which shows neither parameters nor a description.
    pub fn shortest(tool: &Tool) -> Signature {
        Signature::marked(tool, 0, 0)
    }

    fn marked(tool: &Tool, parameters: usize, description: usize) -> Signature {
        let mut short = Signature::with(tool, parameters, description);
        if short.lossy && !short.sig.contains('~') {
            let inner = short.sig.trim_start_matches('(').trim_end_matches(')');
            short.sig = if inner.is_empty() { "(~)".to_owned() } else { format!("({inner}, ~)") };
        }
        short
    }

    /// Puts required parameters first. Omits those beyond `most`, and the description beyond `longest` characters.
    fn with(tool: &Tool, most: usize, longest: usize) -> Signature {
        let schema = tool.input_schema.as_ref();
        let nothing = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
        let required: Vec<&str> = required(tool).collect();
        let is_required = |name: &str| required.contains(&name);
        let most = most.min(MOST_PARAMETERS);
        let mut lossy = schema.keys().any(|key| !PLAIN_AT_THE_TOP.contains(&key.as_str()))
            || properties.len() > most
            || required.iter().any(|name| !properties.contains_key(*name));
        let mut parts: Vec<String> = Vec::new();
        let (first, then): (Vec<_>, Vec<_>) = properties.iter().partition(|(name, _)| is_required(name));
        for (name, property) in first.into_iter().chain(then).take(most) {
            let star = if is_required(name) { "*" } else { "" };
            let (kind, lost) = kind(property);
            let (default, default_lost) = default(property);
            lossy |= lost || default_lost || name.chars().nth(LONGEST_NAME).is_some();
            let name: String = name.chars().take(LONGEST_NAME).collect();
            let mark = if lost || default_lost { "~" } else { "" };
            parts.push(format!("{name}{star}:{kind}{mark}{default}"));
        }
        if properties.len() > most {
            parts.push("~".to_owned());
        }
        Signature {
            sig: format!("({})", parts.join(", ")),
            desc: brief(tool.description.as_deref().unwrap_or_default(), longest),
            lossy,
        }
    }
}

/// Returns the names of the required parameters.
fn required(tool: &Tool) -> impl Iterator<Item = &str> {
    tool.input_schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Returns a parameter's type in short form, and whether details are omitted.
fn kind(property: &Value) -> (String, bool) {
    let Some(said) = property.as_object() else { return ("any".to_owned(), true) };
    let more = said.keys().any(|key| !PLAIN.contains(&key.as_str()));
    if let Some(choices) = said.get("enum").and_then(Value::as_array) {
        let shown = choices.iter().map(Value::to_string).collect::<Vec<_>>().join("|");
        if choices.len() <= MOST_CHOICES && shown.chars().count() <= LONGEST_CHOICES {
            return (shown, more);
        }
        return (word(said.get("type")).to_owned(), true);
    }
    match said.get("type").and_then(Value::as_str) {
        Some("array") => match said.get("items") {
            Some(items) if items.get("type").is_some_and(|kind| kind != "array") => {
                let (inner, lost) = kind(items);
                (format!("[{inner}]"), more || lost)
            }
            _ => ("[any]".to_owned(), true),
        },
        Some("object") => ("obj".to_owned(), true),
        Some("string" | "integer" | "number" | "boolean") => (word(said.get("type")).to_owned(), more),
        _ => ("any".to_owned(), true),
    }
}

fn word(kind: Option<&Value>) -> &str {
    match kind.and_then(Value::as_str) {
        Some("string") => "str",
        Some("integer") => "int",
        Some("number") => "num",
        Some("boolean") => "bool",
        _ => "any",
    }
}

/// Returns `=value`, and whether there is a default value that is not shown.
fn default(property: &Value) -> (String, bool) {
    match property.get("default") {
        None | Some(Value::Null) => (String::new(), false),
        Some(value) => {
            let shown = value.to_string();
            if value.is_object() || value.is_array() || shown.chars().nth(LONGEST_DEFAULT).is_some() {
                (String::new(), true)
            } else {
                (format!("={shown}"), false)
            }
        }
    }
}

/// Returns the first sentence of the first line, up to `longest` characters.
fn brief(description: &str, longest: usize) -> String {
    if longest == 0 {
        return String::new();
    }
    let line = description.trim_start().lines().next().unwrap_or_default().trim_end();
    let sentence = line.split_once(". ").map_or(line, |(sentence, _)| sentence);
    match sentence.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", sentence.get(..end).unwrap_or_default().trim_end()),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schema: Value) -> (String, bool) {
        let tool = Tool::new("t", "", schema.as_object().cloned().unwrap());
        let signature = Signature::of(&tool);
        (signature.sig, signature.lossy)
    }

    #[test]
    fn simple_parameters_are_said_whole() {
        let schema = json!({"type": "object", "required": ["path"], "properties": {
            "path": {"type": "string", "description": "where"}, "depth": {"type": "integer", "default": 3},
            "tags": {"type": "array", "items": {"type": "string"}}, "order": {"type": "string", "enum": ["up", "down"]}}});
        let sig = r#"(path*:str, depth:int=3, tags:[str], order:"up"|"down")"#;
        assert_eq!(of(schema), (sig.to_owned(), false));
        assert_eq!(of(json!({"type": "object"})), ("()".to_owned(), false));
    }

    #[test]
    fn omitted_details_are_marked() {
        for (property, sig) in [
            (json!({"type": "string", "pattern": "^a"}), "(a:str~)"),
            (json!({"type": "object", "properties": {"b": {}}}), "(a:obj~)"),
            (json!({"anyOf": [{"type": "string"}]}), "(a:any~)"),
            (json!({"type": "array"}), "(a:[any]~)"),
            (json!({"type": "string", "default": "x".repeat(50)}), "(a:str~)"),
            (json!({"type": "string", "enum": vec!["a"; 20]}), "(a:str~)"),
            (json!(true), "(a:any~)"),
        ] {
            assert_eq!(of(json!({"type": "object", "properties": {"a": property}})), (sig.to_owned(), true));
        }
        assert!(of(json!({"type": "object", "oneOf": []})).1);
        assert!(of(json!({"type": "object", "required": ["a"]})).1);
        let many: Map<String, Value> = (0..30).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
        let (sig, lossy) = of(json!({"type": "object", "properties": many}));
        assert!(lossy && sig.ends_with("p23:str, ~)"), "{sig}");
    }

    #[test]
    fn a_short_signature_has_few_optional_parameters_and_marks_what_is_left_out() {
        let many: Map<String, Value> = (0..9).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
        let short = |schema: Value| {
            let tool = Tool::new("t", "", schema.as_object().cloned().unwrap());
            Signature::short(&tool).next().unwrap().sig
        };
        let sig = "(p8*:str, p0:str, p1:str, p2:str, p3:str, p4:str, ~)";
        assert_eq!(short(json!({"type": "object", "properties": many, "required": ["p8"]})), sig);
        assert_eq!(short(json!({"type": "object", "oneOf": []})), "(~)");
        assert_eq!(short(json!({"properties": {"a": {"type": "string"}}, "allOf": []})), "(a:str, ~)");
    }

    #[test]
    fn a_tool_with_many_parameters_has_shorter_signatures() {
        let many: Map<String, Value> = (0..9).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect();
        let names: Vec<String> = many.keys().cloned().collect();
        let schema = json!({"properties": many, "required": names});
        let tool = Tool::new("t", "Says ".repeat(30), schema.as_object().cloned().unwrap());
        let shown: Vec<(usize, usize)> = Signature::short(&tool)
            .chain([Signature::shortest(&tool)])
            .map(|short| (short.sig.matches('*').count(), short.desc.chars().count()))
            .collect();
        assert_eq!(shown, [(9, 120), (4, 60), (2, 30), (0, 0)]);
        assert_eq!(Signature::shortest(&tool).sig, "(~)");
    }

    #[test]
    fn a_description_is_its_first_sentence() {
        assert_eq!(brief("Adds numbers. Then more.\nAnd more", 120), "Adds numbers");
        assert_eq!(brief(&"ä".repeat(200), 120), format!("{}…", "ä".repeat(120)));
        assert_eq!((brief("", 120), brief("Adds", 0)), (String::new(), String::new()));
    }
}

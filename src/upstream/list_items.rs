//! Reads the items of a server's lists: tools, prompts, resources and resource templates.
//!
//! An item with an odd optional member loses that member, and an item without its name is left out. No item hides the others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reqwest::Url;
use rmcp::model::{Prompt, Resource, ResourceTemplate, Tool};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A page of items, and where the next begins.
pub type Page<T> = (Vec<T>, Option<String>);

/// An item of a list.
pub trait Item: DeserializeOwned {
    /// Its identifier.
    fn id(&self) -> &str;

    /// The member of the list's result that contains the items.
    const KEY: &'static str;
    /// The member that identifies an item.
    const ID: &'static str;

    /// Whether clients accept this identifier: some refuse the whole list because of one.
    fn is_valid(_id: &str) -> bool {
        true
    }

    /// Members that the library requires, with the value that replaces an unusable one.
    fn defaults(id: &Value) -> Vec<(&'static str, Value)>;
}

impl Item for Tool {
    fn id(&self) -> &str {
        &self.name
    }

    const KEY: &'static str = "tools";
    const ID: &'static str = "name";

    fn defaults(_: &Value) -> Vec<(&'static str, Value)> {
        vec![("inputSchema", json!({"type": "object"}))]
    }
}

impl Item for Prompt {
    fn id(&self) -> &str {
        &self.name
    }

    const KEY: &'static str = "prompts";
    const ID: &'static str = "name";

    fn defaults(_: &Value) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

impl Item for Resource {
    fn id(&self) -> &str {
        &self.uri
    }

    const KEY: &'static str = "resources";
    const ID: &'static str = "uri";

    fn is_valid(id: &str) -> bool {
        Url::parse(id).is_ok()
    }

    fn defaults(id: &Value) -> Vec<(&'static str, Value)> {
        vec![("name", id.clone())]
    }
}

impl Item for ResourceTemplate {
    fn id(&self) -> &str {
        &self.uri_template
    }

    const KEY: &'static str = "resourceTemplates";
    const ID: &'static str = "uriTemplate";

    fn defaults(id: &Value) -> Vec<(&'static str, Value)> {
        vec![("name", id.clone())]
    }
}

/// Reads the result of a list. Warns about items that are repaired or left out.
///
/// # Errors
/// The result is not a list.
pub fn read<T: Item>(result: &str, server: &str) -> Result<Page<T>, String> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(result).map_err(|error| error.to_string())?;
    let get = |key: &str| members.get(key).map(|value| value.get()).filter(|text| *text != "null");
    let texts: Vec<&RawValue> = match get(T::KEY) {
        Some(items) => serde_json::from_str(items).map_err(|error| format!("`{}` is not a list: {error}", T::KEY))?,
        // Some servers send `null` or nothing instead of an empty list.
        None => Vec::new(),
    };
    let mut odd = None;
    let items = texts.iter().filter_map(|text| match read_item::<T>(text.get()) {
        Ok((item, _)) if !T::is_valid(item.id()) => {
            odd.get_or_insert((text.get(), format!("`{}` is not valid", T::ID)));
            None
        }
        Ok((item, problems)) => {
            if !problems.is_empty() {
                odd.get_or_insert((text.get(), problems.join(", ")));
            }
            Some(item)
        }
        Err(error) => {
            odd.get_or_insert((text.get(), error.to_string()));
            None
        }
    });
    let items: Vec<T> = items.collect();
    if let Some((text, problem)) = odd {
        let start: String = text.chars().take(200).collect();
        let left_out = texts.len() - items.len();
        tracing::warn!(
            server,
            list = T::KEY,
            "repaired a list, and left out {left_out} items; the first: {problem} in {start}"
        );
    }
    // A cursor is a string; anything else cannot continue the list.
    let next = get("nextCursor").and_then(|cursor| serde_json::from_str(cursor).ok());
    Ok((items, next))
}

/// Reads an item; also returns what was repaired.
fn read_item<T: Item>(text: &str) -> Result<(T, Vec<String>), serde_json::Error> {
    let error = match serde_json::from_str(text) {
        Ok(item) => return Ok((item, Vec::new())),
        Err(error) => error,
    };
    let Ok(Value::Object(written)) = serde_json::from_str(text) else { return Err(error) };
    let Some(id) = written.get(T::ID).filter(|id| id.is_string()) else { return Err(error) };
    let mut kept = Map::from_iter([(T::ID.to_owned(), id.clone())]);
    let defaults = T::defaults(id);
    kept.extend(defaults.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let mut problems = Vec::new();
    for (key, value) in &written {
        let mut with = kept.clone();
        with.insert(key.clone(), value.clone());
        if serde_json::from_value::<T>(Value::Object(with.clone())).is_ok() {
            kept = with;
        } else {
            problems.push(format!("`{key}` is malformed"));
        }
    }
    problems.extend(
        defaults.iter().filter(|(key, _)| !written.contains_key(*key)).map(|(key, _)| format!("`{key}` is missing")),
    );
    Ok((serde_json::from_value(Value::Object(kept))?, problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_item_does_not_hide_the_others() {
        let page =
            r#"{"tools": [{"name": "a", "inputSchema": {"type": "object"}}, {"name": 7}, null], "nextCursor": "c"}"#;
        let (tools, next) = read::<Tool>(page, "s").unwrap();
        assert_eq!((tools.len(), tools[0].name.as_ref(), next.as_deref()), (1, "a", Some("c")));
        let (prompts, _) =
            read::<Prompt>(r#"{"prompts": [{"name": 7}, {"name": "p", "arguments": 7}, "p"]}"#, "s").unwrap();
        assert_eq!((prompts.len(), prompts[0].name.as_str()), (1, "p"));
        let (resources, _) = read::<Resource>(r#"{"resources": [{"uri": "a:b"}, {"uri": null}, {"uri": "not a uri", "name": "n"}, {"uri": "c:d", "name": "n", "size": -1.5}]}"#, "s").unwrap();
        let named: Vec<_> = resources.iter().map(|resource| (resource.uri.as_str(), resource.name.as_str())).collect();
        assert_eq!(named, [("a:b", "a:b"), ("c:d", "n")]);
        let (templates, _) =
            read::<ResourceTemplate>(r#"{"resourceTemplates": [{"uriTemplate": "a{b}"}]}"#, "s").unwrap();
        assert_eq!(templates[0].name, "a{b}");
    }

    #[test]
    fn an_odd_member_does_not_hide_its_item() {
        for odd in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","inputSchema":null}"#,
            r#"{"name":"a","inputSchema":true,"description":"D"}"#,
            r#"{"name":"a","inputSchema":{},"description":7}"#,
            r#"{"name":"a","inputSchema":{},"title":[],"icons":[{"src":7}]}"#,
            r#"{"name":"a","inputSchema":{},"annotations":{"readOnlyHint":"yes"}}"#,
            r#"{"name":"a","inputSchema":{},"outputSchema":[],"_meta":7,"execution":7}"#,
        ] {
            let (tools, _) = read::<Tool>(&format!(r#"{{"tools":[{odd}]}}"#), "s").unwrap();
            assert_eq!((tools.len(), tools[0].name.as_ref()), (1, "a"), "{odd}");
        }
        let (tool, problems) = read_item::<Tool>(r#"{"name":"a","description":"D","inputSchema":7}"#).unwrap();
        assert_eq!((tool.description.as_deref(), problems), (Some("D"), vec!["`inputSchema` is malformed".to_owned()]));
    }

    #[test]
    fn a_list_ends_without_a_usable_cursor() {
        for end in [
            "",
            r#","nextCursor":null"#,
            r#","nextCursor":7"#,
            r#","nextCursor":false"#,
            r#","nextCursor":{}"#,
        ] {
            let (tools, next) =
                read::<Tool>(&format!(r#"{{"tools":[{{"name":"a","inputSchema":{{}}}}]{end}}}"#), "s").unwrap();
            assert_eq!((tools.len(), next), (1, None), "{end}");
        }
        for empty in ["{}", r#"{"tools":null}"#, r#"{"tools":[]}"#] {
            assert_eq!(read::<Tool>(empty, "s").unwrap().0, Vec::new(), "{empty}");
        }
        assert!(read::<Tool>(r#"{"tools": {}}"#, "s").is_err());
        assert!(read::<Tool>("[]", "s").is_err());
    }
}

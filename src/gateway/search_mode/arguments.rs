//! Reads the arguments of the proxy's own tools strictly: an invalid filter must not be ignored.

use rmcp::model::JsonObject;
use serde_json::Value;

use crate::catalog::annotations::{Filter, Filters};

/// Reads a boolean; `false` if it is missing.
///
/// # Errors
/// A message for the caller.
pub fn flag(arguments: &JsonObject, key: &str) -> Result<bool, String> {
    match arguments.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is)) => Ok(*is),
        Some(_) => Err(format!("`{key}` must be true or false")),
    }
}

/// Reads a non-negative integer. Accepts `5.0`, because some clients write integers that way.
pub fn whole(arguments: &JsonObject, key: &str) -> Option<usize> {
    let value = arguments.get(key)?;
    let number =
        value.as_u64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as u64));
    number.and_then(|number| usize::try_from(number).ok())
}

/// Reads the three filters.
///
/// # Errors
/// A message for the caller.
pub fn filters(arguments: &JsonObject) -> Result<Filters, String> {
    Ok(Filters {
        read_only_only: flag(arguments, Filter::ReadOnlyOnly.name())?,
        exclude_destructive: flag(arguments, Filter::ExcludeDestructive.name())?,
        exclude_open_world: flag(arguments, Filter::ExcludeOpenWorld.name())?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_invalid_boolean_is_refused() {
        let read = |value: Value| filters(value.as_object().unwrap());
        assert_eq!(read(json!({"query": "x", "exclude_open_world": null})), Ok(Filters::default()));
        assert!(read(json!({"read_only_only": true})).unwrap().read_only_only);
        assert!(
            read(json!({"read_only_only": "true"})).unwrap_err().contains("`read_only_only` must be true or false")
        );
    }

    #[test]
    fn a_number_is_whole_and_not_negative() {
        let read = |value: Value| whole(json!({"limit": value}).as_object().unwrap(), "limit");
        assert_eq!(read(json!(5)), Some(5));
        assert_eq!(read(json!(5.0)), Some(5));
        assert_eq!([read(json!(5.5)), read(json!("5")), read(json!(null))], [None; 3]);
    }
}

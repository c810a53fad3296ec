//! Deserializes JSON from the Go core or another version of this core: fields may be missing, `null` or new, and values
//! unknown.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::contract::run_facts::Activation;

/// Deserializes JSON. If that fails, tries again without `null` values, so that each of those fields gets its default.
///
/// # Errors
/// The error of the first attempt.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|error| {
        let mut value: Value = serde_json::from_slice(bytes)?;
        drop_nulls(&mut value);
        serde_json::from_value(value).map_err(|_| error)
    })
}

/// Deserializes a JSON value like [`from_slice`].
///
/// # Errors
/// The error of the first attempt.
pub fn from_value<T: DeserializeOwned>(mut value: Value) -> serde_json::Result<T> {
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(values) => {
            values.retain(|value| !value.is_null());
            values.iter_mut().for_each(drop_nulls);
        }
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

/// Deserializes a value with a closed set of variants; an unknown variant becomes `None`.
pub fn known_or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value: Option<Value> = Option::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

/// Deserializes the activation of either core: the Go core has one more flag, and writes `null` for an empty array.
pub fn activation_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Activation>, D::Error> {
    let value: Option<Value> = Option::deserialize(deserializer)?;
    Ok(value.filter(Value::is_object).map(|value| {
        let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or_default();
        let number = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
        let clients = value.get("mcp_clients_seen_ever").and_then(Value::as_array);
        let bucket = value.get("estimated_tokens_saved_24h_bucket").cloned().unwrap_or_default();
        Activation {
            first_connected_server_ever: flag("first_connected_server_ever"),
            first_mcp_client_ever: flag("first_mcp_client_ever"),
            first_retrieve_tools_call_ever: flag("first_retrieve_tools_call_ever"),
            mcp_clients_seen_ever: clients.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            retrieve_tools_calls_24h: number("retrieve_tools_calls_24h"),
            estimated_tokens_saved_24h_bucket: serde_json::from_value(bucket).unwrap_or_default(),
            configured_ide_count: u32::try_from(number("configured_ide_count")).unwrap_or_default(),
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::contract::api::{
        ActivityList, ActivitySummary, AllTools, Diagnostics, Envelope, Info, ServerTools, Servers, Status,
    };

    fn recorded() -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/full/rest-v0.60.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Deserializes the body of a response as this core's clients do.
    fn read(request: &str, body: &Value) -> serde_json::Result<()> {
        fn as_is<T: DeserializeOwned>(body: &Value) -> serde_json::Result<()> {
            from_slice::<Envelope<T>>(body.to_string().as_bytes()).map(drop)
        }
        match request.strip_prefix("GET /api/v1/").unwrap() {
            "status" => as_is::<Status>(body),
            "info" => as_is::<Info>(body),
            "servers" => as_is::<Servers>(body),
            "diagnostics" => as_is::<Diagnostics>(body),
            "activity?limit=20" => as_is::<ActivityList>(body),
            "activity/summary" => as_is::<ActivitySummary>(body),
            "tools" => as_is::<AllTools>(body),
            _ => as_is::<ServerTools>(body),
        }
    }

    const READ: [&str; 8] = [
        "GET /api/v1/status",
        "GET /api/v1/info",
        "GET /api/v1/servers",
        "GET /api/v1/diagnostics",
        "GET /api/v1/activity?limit=20",
        "GET /api/v1/activity/summary",
        "GET /api/v1/tools",
        "GET /api/v1/servers/changing/tools",
    ];

    #[test]
    fn the_go_cores_answers_are_read() {
        let recorded = recorded();
        for request in READ {
            read(request, &recorded[request]["body"]).unwrap_or_else(|error| panic!("{request}: {error}"));
        }
        let body = recorded["GET /api/v1/status"]["body"].to_string();
        let status: Envelope<Status> = from_slice(body.as_bytes()).unwrap();
        let activation = status.data.unwrap().activation.unwrap();
        assert!(activation.first_mcp_client_ever && activation.mcp_clients_seen_ever == ["claude-code"]);
    }

    #[test]
    fn a_status_with_unknown_words_and_empty_activation_is_read() {
        let body = json!({"success": true, "data": {"env_kind": "spaceship", "launch_source": "cron", "env_markers": 7,
            "activation": {"mcp_clients_seen_ever": null, "estimated_tokens_saved_24h_bucket": "", "new": [1]}}});
        let status: Envelope<Status> = from_slice(body.to_string().as_bytes()).unwrap();
        let status = status.data.unwrap();
        assert_eq!((status.env_kind, status.launch_source, status.env_markers), (None, None, None));
        assert_eq!(status.activation, Some(Activation::default()));
    }

    #[derive(Debug, Clone, Copy)]
    enum Change {
        Drop,
        Null,
        Add,
    }

    /// Changes the field that these steps lead to.
    fn change(value: &mut Value, steps: &[usize], how: Change) {
        let Some((step, rest)) = steps.split_first() else { return };
        match value {
            Value::Array(values) if !values.is_empty() => {
                let at = step % values.len();
                change(&mut values[at], rest, how);
            }
            Value::Object(fields) if !fields.is_empty() => {
                let key = fields.keys().nth(step % fields.len()).unwrap().clone();
                let is_last = rest.is_empty() || !(fields[&key].is_object() || fields[&key].is_array());
                match how {
                    Change::Drop if is_last => drop(fields.shift_remove(&key)),
                    Change::Null if is_last => fields[&key] = Value::Null,
                    Change::Add if is_last => drop(fields.insert("a_new_field".into(), json!({"nested": [null]}))),
                    _ => change(&mut fields[&key], rest, how),
                }
            }
            _ => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Tests that dropped, `null` and added fields in `data` never make deserialization fail.
        #[test]
        fn changed_answers_are_read(
            request in 0..READ.len(),
            changes in prop::collection::vec((prop::collection::vec(any::<usize>(), 1..6), 0..3_usize), 1..12),
        ) {
            let mut body = recorded()[READ[request]]["body"].clone();
            for (steps, how) in changes {
                change(&mut body["data"], &steps, [Change::Drop, Change::Null, Change::Add][how]);
            }
            let result = read(READ[request], &body);
            prop_assert!(result.is_ok(), "{}: {:?}\n{}", READ[request], result, body);
        }
    }
}

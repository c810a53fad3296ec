//! Deserializes JSON from the Go core or another version of this core: fields may be missing, `null` or new, and values
//! unknown.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::contract::run_facts::Activation;

/// Deserializes JSON. If that fails, tries again without `null` values, so that each of those fields gets its default.
///
/// # Errors
/// The value is invalid even without its `null` values.
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
/// The value is invalid even without its `null` values.
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
        ActiveProfile, ActivityList, ActivitySummary, AiClient, AllTools, Approved, BulkResult, ConfigApplied,
        ConfigCheck, ConnectPreview, ConnectResult, Diagnostics, Envelope, EventBody, FoundTools, ImportResult, Info,
        ProfileList, SecretList, ServerAction, ServerTools, Servers, ServersChanged, SessionList, Status,
    };

    /// Bodies of the Go core's answers, by request.
    fn recorded() -> serde_json::Map<String, Value> {
        let read = |file: &str| -> serde_json::Map<String, Value> {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/full").join(file);
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let mut all = read("rest-v0.60.json");
        all.extend(read("actions-v0.60.json"));
        all
    }

    type Read = fn(&Value) -> serde_json::Result<()>;

    fn data<T: DeserializeOwned>(body: &Value) -> serde_json::Result<()> {
        from_slice::<Envelope<T>>(body.to_string().as_bytes()).map(drop)
    }

    /// Requests that our programs send to the Go core, each with the type that reads its answer.
    const READ: &[(&str, Read)] = &[
        ("GET /api/v1/status", data::<Status>),
        ("GET /api/v1/info", data::<Info>),
        ("GET /api/v1/servers", data::<Servers>),
        ("GET /api/v1/diagnostics", data::<Diagnostics>),
        ("GET /api/v1/activity?limit=20", data::<ActivityList>),
        ("GET /api/v1/activity/summary", data::<ActivitySummary>),
        ("GET /api/v1/tools", data::<AllTools>),
        ("GET /api/v1/servers/changing/tools", data::<ServerTools>),
        ("GET /api/v1/profiles", data::<ProfileList>),
        ("GET /api/v1/profiles/active", data::<ActiveProfile>),
        ("GET /api/v1/connect", data::<Option<Vec<AiClient>>>),
        ("GET /api/v1/connect/cursor", data::<AiClient>),
        ("GET /api/v1/connect/cursor/preview", data::<ConnectPreview>),
        ("POST /api/v1/connect/cursor {}", data::<ConnectResult>),
        ("POST /api/v1/connect/cursor/undo {}", data::<ConnectResult>),
        ("GET /api/v1/index/search?q=add&limit=3", data::<FoundTools>),
        ("GET /api/v1/sessions", data::<SessionList>),
        ("GET /api/v1/secrets/config", data::<SecretList>),
        ("POST /api/v1/servers/new/enable", data::<ServerAction>),
        ("POST /api/v1/servers/new/unquarantine {}", data::<ServerAction>),
        ("DELETE /api/v1/servers/new", data::<ServerAction>),
        ("PATCH /api/v1/servers/new {\"enabled\":false}", data::<ServerAction>),
        ("POST /api/v1/servers/changing/tools/approve {\"tools\":[\"mul\"]}", data::<Approved>),
        ("POST /api/v1/servers/changing/tools/sub/enabled {\"enabled\":false}", data::<ServerAction>),
        ("POST /api/v1/servers/restart_all", data::<BulkResult>),
        ("PATCH /api/v1/config {\"telemetry\":{\"enabled\":false}}", data::<ConfigApplied>),
        ("POST /api/v1/config/validate {\"listen\":\"nowhere\"}", data::<ConfigCheck>),
        (
            "POST /api/v1/servers/import/json?preview=true {\"content\":\"{\\\"mcpServers\\\":{\\\"x\\\":{\\\"command\\\":\\\"npx\\\"}}}\"}",
            data::<ImportResult>,
        ),
    ];

    #[test]
    fn the_go_cores_answers_are_read() {
        let recorded = recorded();
        for (request, read) in READ {
            let body = &recorded.get(*request).unwrap_or_else(|| panic!("{request} is not recorded"))["body"];
            assert_eq!(body["success"], true, "{request}");
            read(body).unwrap_or_else(|error| panic!("{request}: {error}"));
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
            let (request, read) = READ[request];
            let mut body = recorded()[request]["body"].clone();
            for (steps, how) in changes {
                change(&mut body["data"], &steps, [Change::Drop, Change::Null, Change::Add][how]);
            }
            let result = read(&body);
            prop_assert!(result.is_ok(), "{}: {:?}\n{}", request, result, body);
        }
    }

    /// The `servers.changed` events, whose payload may have no list.
    #[test]
    fn the_go_cores_events_are_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/full/events-v0.60.txt");
        let text = std::fs::read_to_string(path).unwrap();
        let mut read = 0;
        for (event, data) in text.lines().zip(text.lines().skip(1)) {
            let Some(data) = data.strip_prefix("data: ") else { continue };
            match event {
                "event: status" => drop(from_slice::<Status>(data.as_bytes()).unwrap()),
                "event: servers.changed" => drop(from_slice::<EventBody<ServersChanged>>(data.as_bytes()).unwrap()),
                _ => continue,
            }
            read += 1;
        }
        assert!(read > 1);
    }
}

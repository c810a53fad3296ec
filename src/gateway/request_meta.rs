//! Decides which members of a request's `_meta` reach the server: all except those about one connection.

use rmcp::model::{GetMeta as _, RequestMetaObject, ServerRequest};

/// Whether a key is about the connection between two programs, and therefore not forwarded.
pub fn is_of_connection(key: &str) -> bool {
    key == "progressToken"
        || key.strip_prefix("io.modelcontextprotocol/").is_some_and(|key| {
            matches!(key, "protocolVersion" | "clientInfo" | "clientCapabilities" | "logLevel" | "subscriptionId")
        })
}

/// Returns the part of a client's `_meta` that is forwarded to the server.
pub fn forwarded(meta: &RequestMetaObject) -> RequestMetaObject {
    let mut forwarded = meta.clone();
    forwarded.0.0.retain(|key, _| !is_of_connection(key));
    forwarded
}

/// Removes the `_meta` of a server's request that concerns the connection to the server. Everything else reaches the
/// client.
pub fn for_client(mut request: ServerRequest) -> ServerRequest {
    let meta = forwarded(request.get_meta());
    *request.get_meta_mut() = meta;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_context_and_vendor_keys_go_on() {
        let meta = serde_json::json!({"progressToken": 1, "traceparent": "00-a-b-01", "vendor.example/key": {"a": 1},
            "io.modelcontextprotocol/clientInfo": {}, "io.modelcontextprotocol/related-task": {"taskId": "1"}});
        let meta = forwarded(&serde_json::from_value(meta).unwrap());
        let keys: Vec<&str> = meta.0.0.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "traceparent",
                "vendor.example/key",
                "io.modelcontextprotocol/related-task"
            ]
        );
    }

    #[test]
    fn the_metadata_of_a_servers_request_reaches_the_client() {
        let request = serde_json::json!({"method": "elicitation/create", "params": {
            "message": "?", "requestedSchema": {"type": "object", "properties": {}},
            "_meta": {"traceparent": "00-a-b-01", "vendor.example/key": [1], "progressToken": 7}}});
        let request: ServerRequest = serde_json::from_value(request).unwrap();
        let sent = serde_json::to_value(for_client(request)).unwrap();
        let meta = serde_json::json!({"traceparent": "00-a-b-01", "vendor.example/key": [1]});
        assert_eq!(sent["params"]["_meta"], meta, "{sent}");
    }
}

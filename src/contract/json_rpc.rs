//! Rules of JSON-RPC 2.0 that the fast path and the library path share.

use serde_json::Value;

/// Whether a value is a valid request ID: a string or a 64-bit integer, as in the MCP library. MCP excludes `null` and
/// fractions.
pub fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

/// Whether unparsed JSON, without surrounding whitespace, is a valid request ID.
pub fn is_raw_id(id: &str) -> bool {
    // Skips parsing values that are neither strings nor numbers.
    id.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
        && serde_json::from_str(id).is_ok_and(|id| is_id(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_or_a_whole_number_on_both_paths() {
        for (id, expected) in [
            ("1", true),
            ("-1", true),
            ("0", true),
            ("9223372036854775807", true),
            ("18446744073709551615", false),
            ("\"a\"", true),
            ("\"\"", true),
            ("1.5", false),
            ("1e3", false),
            ("1.0", false),
            ("18446744073709551616", false),
            ("null", false),
            ("{}", false),
            ("[1]", false),
            ("true", false),
        ] {
            assert_eq!(is_raw_id(id), expected, "{id}");
            assert_eq!(is_id(&serde_json::from_str(id).unwrap()), expected, "{id}");
        }
    }
}

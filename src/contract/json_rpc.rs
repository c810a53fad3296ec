//! Rules of JSON-RPC 2.0 that every path shares.

use serde_json::Value;

/// Whether a value can be a request's id: a string or a whole number of 64 bits, as the library reads it. MCP excludes
/// `null` and fractions.
pub fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

/// The same for an id that was not parsed, without whitespace around it.
pub fn is_raw_id(id: &str) -> bool {
    // Anything that is neither a string nor a number need not be parsed.
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

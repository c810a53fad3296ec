//! Formats numbers and strings for the page.

use serde_json::Value;

/// A string from the figures.
pub(super) fn text(figures: &Value, pointer: &str) -> String {
    escape(figures.pointer(pointer).and_then(Value::as_str).unwrap_or("–"))
}

/// A number for people; `hidden` if it is not public.
pub(super) fn number(value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(number)) => grouped(number.as_u64().unwrap_or(0)),
        Some(Value::Null) => "hidden".to_owned(),
        _ => "–".to_owned(),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A percentage, or a dash if a number is hidden or the divisor is zero.
pub(super) fn share(part: Option<&Value>, whole: Option<&Value>) -> String {
    match (part.and_then(Value::as_u64), whole.and_then(Value::as_u64)) {
        (Some(part), Some(whole)) if whole > 0 => format!("{:.1}\u{a0}%", 100.0 * part as f64 / whole as f64),
        _ => "–".to_owned(),
    }
}

/// Escapes a string for HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

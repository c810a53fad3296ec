//! Repairs JSON that real servers write and strict parsers refuse.
//!
//! Invalid UTF-8 and lone surrogates become U+FFFD, raw control characters and unknown escapes are escaped, and `NaN` and
//! `Infinity` become `null`. Numbers keep their text, whatever their size. A text may hold several values.

use std::collections::VecDeque;

/// Deepest nesting that is passed on; common JSON parsers stop at 128 levels, and a response adds a few.
pub const MAX_DEPTH: usize = 100;

/// A defect of JSON text that parses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    TooDeep,
    Repairable,
}

/// Checks valid JSON for what a parser that skips values does not see: depth and lone surrogates.
///
/// # Errors
/// The first defect.
pub fn inspect(text: &str) -> Result<(), Defect> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = inspect_string(bytes, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Defect::TooDeep);
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Looks through a string from after its quote to after its closing quote.
fn inspect_string(bytes: &[u8], mut at: usize) -> Result<usize, Defect> {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { return Ok(bytes.len()) };
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return Ok(at + 1);
        }
        at += match surrogate(bytes, at) {
            None => 2,
            Some(high) if high < 0xdc00 && surrogate(bytes, at + 6).is_some_and(|low| low >= 0xdc00) => 12,
            Some(_) => return Err(Defect::Repairable),
        };
    }
}

/// The surrogate that is escaped here, if one is.
fn surrogate(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}

/// Takes bytes as they come and gives repaired JSON values.
#[derive(Debug, Default)]
pub struct Scanner {
    value: Vec<u8>,
    depth: usize,
    state: State,
    /// An escaped high surrogate whose low one has not come.
    high: Option<[u8; 6]>,
    done: VecDeque<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    /// In text that is not JSON, up to the end of its line.
    Noise,
    InValue,
    InToken(usize),
    InString,
    AfterBackslash,
    InEscape([u8; 4], usize),
}

impl Scanner {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.take(*byte);
        }
    }

    /// Whether a value has begun and not ended.
    pub fn is_incomplete(&self) -> bool {
        !matches!(self.state, State::Between | State::Noise)
    }

    /// Bytes of the value that has not ended.
    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// Whether no value has begun.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// Gives up the value that has not ended, as far as it came.
    pub fn abandon(&mut self) -> Vec<u8> {
        self.depth = 0;
        self.state = State::Between;
        self.high = None;
        std::mem::take(&mut self.value)
    }

    /// No more bytes come: an incomplete value is given as it is.
    pub fn end(&mut self) {
        self.end_token();
        if self.is_incomplete() || !self.value.is_empty() {
            let rest = self.abandon();
            self.done.push_back(String::from_utf8_lossy(&rest).into_owned());
        }
    }

    /// The next value.
    pub fn next_text(&mut self) -> Option<String> {
        self.done.pop_front()
    }

    fn take(&mut self, byte: u8) {
        match self.state {
            State::Between | State::Noise => self.begin(byte),
            State::InToken(_) if is_token(byte) => self.value.push(byte),
            State::InToken(_) => {
                self.end_token();
                self.in_value(byte);
            }
            State::InValue => self.in_value(byte),
            State::InString => self.in_string(byte),
            State::AfterBackslash => self.after_backslash(byte),
            State::InEscape(digits, count) => self.in_escape(byte, digits, count),
        }
    }

    fn begin(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' if self.state == State::Between => {
                self.state = State::InValue;
                self.in_value(byte);
            }
            b'\n' => self.state = State::Between,
            _ if byte.is_ascii_whitespace() || matches!(byte, b',' | 0) => {}
            _ => self.state = State::Noise,
        }
    }

    fn in_value(&mut self, byte: u8) {
        match byte {
            b'"' => self.state = State::InString,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.value.push(byte);
                    let value = self.abandon();
                    self.done.push_back(String::from_utf8_lossy(&value).into_owned());
                    return;
                }
            }
            _ if is_token(byte) => self.state = State::InToken(self.value.len()),
            b'\n' | b'\r' => return,
            _ => {}
        }
        self.value.push(byte);
    }

    fn end_token(&mut self) {
        let State::InToken(start) = self.state else { return };
        self.state = State::InValue;
        let token = self.value.get(start..).and_then(|token| std::str::from_utf8(token).ok()).unwrap_or_default();
        // Rust reads more spellings of these than Python and JavaScript write.
        let is_number = token.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        if !is_number && token.parse::<f64>().is_ok_and(|number| !number.is_finite()) {
            self.value.truncate(start);
            self.value.extend_from_slice(b"null");
        }
    }

    fn in_string(&mut self, byte: u8) {
        if byte == b'\\' {
            self.state = State::AfterBackslash;
            return;
        }
        self.end_high();
        match byte {
            b'"' => {
                self.state = State::InValue;
                self.value.push(byte);
            }
            b'\t' => self.value.extend_from_slice(b"\\t"),
            b'\n' => self.value.extend_from_slice(b"\\n"),
            b'\r' => self.value.extend_from_slice(b"\\r"),
            0..=0x1f => self.value.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => self.value.push(byte),
        }
    }

    fn after_backslash(&mut self, byte: u8) {
        if byte == b'u' {
            self.state = State::InEscape([0; 4], 0);
            return;
        }
        self.end_high();
        self.state = State::InString;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.value.extend_from_slice(&[b'\\', byte]),
            _ => {
                self.value.extend_from_slice(b"\\\\");
                self.in_string(byte);
            }
        }
    }

    fn in_escape(&mut self, byte: u8, mut digits: [u8; 4], count: usize) {
        if !byte.is_ascii_hexdigit() {
            self.end_high();
            self.state = State::InString;
            self.value.extend_from_slice(b"\\\\u");
            self.value.extend_from_slice(digits.get(..count).unwrap_or_default());
            self.in_string(byte);
            return;
        }
        if let Some(digit) = digits.get_mut(count) {
            *digit = byte;
        }
        if count < 3 {
            self.state = State::InEscape(digits, count + 1);
            return;
        }
        self.state = State::InString;
        let [a, b, c, d] = digits;
        let escape = [b'\\', b'u', a, b, c, d];
        match surrogate(&escape, 0) {
            Some(unit) if unit < 0xdc00 => {
                self.end_high();
                self.high = Some(escape);
            }
            Some(_) => match self.high.take() {
                Some(high) => self.value.extend_from_slice(&[high, escape].concat()),
                None => self.value.extend_from_slice(b"\\ufffd"),
            },
            None => {
                self.end_high();
                self.value.extend_from_slice(&escape);
            }
        }
    }

    /// Replaces a high surrogate that no low one follows.
    fn end_high(&mut self) {
        if self.high.take().is_some() {
            self.value.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: &[&str]) -> Vec<String> {
        let mut scanner = Scanner::default();
        for piece in pieces {
            scanner.push(piece.as_bytes());
        }
        std::iter::from_fn(|| scanner.next_text()).collect()
    }

    #[test]
    fn values_are_found_however_they_are_cut() {
        let text = "{\"a\": [1,\n 2]}{\"b\":\"}\\\"\"}noise {\n[{\"c\":null}]";
        let expected = ["{\"a\": [1, 2]}", "{\"b\":\"}\\\"\"}", "[{\"c\":null}]"];
        assert_eq!(texts(&[text]), expected);
        let pieces: Vec<&str> = text.split_inclusive(|_| true).collect();
        assert_eq!(texts(&pieces), expected);
    }

    #[test]
    fn a_value_that_does_not_end_is_given_up() {
        let mut scanner = Scanner::default();
        scanner.push(b"{\"a\":\"");
        assert!(scanner.is_incomplete() && scanner.next_text().is_none());
        assert_eq!(scanner.abandon(), b"{\"a\":\"");
        scanner.push(b"{}");
        assert_eq!(scanner.next_text().as_deref(), Some("{}"));
    }

    #[test]
    fn clean_text_has_no_defect() {
        for clean in [
            r#"{"a":[1,-2.5e10,true],"b":"\ud83d\ude00 \\ud83d [[[ 1e999"}"#,
            "18446744073709551616",
            "[1e400]",
            r#""\\""#,
        ] {
            assert_eq!(inspect(clean), Ok(()), "{clean}");
        }
        assert_eq!(inspect(r#"["\ud83d\ud83d\ude00"]"#), Err(Defect::Repairable));
        assert_eq!(inspect(&"[".repeat(101)), Err(Defect::TooDeep));
    }

    #[test]
    fn strict_parsers_accept_the_output() {
        for (sent, expected) in [
            ("[\"\\ud83d\\ud83d\\ude00\"]", "[\"\\ufffd\\ud83d\\ude00\"]"),
            ("[-NaN, Infinity , nan]", "[null, null , null]"),
            ("[-1e400,NaN, 1.50]", "[-1e400,null, 1.50]"),
            ("[\"a\nb\"]", "[\"a\\nb\"]"),
        ] {
            let found = texts(&[sent]);
            assert_eq!(found, [expected]);
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok());
        }
    }
}

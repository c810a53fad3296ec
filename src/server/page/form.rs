//! The fields of a submitted form or a query, in order.

use percent_encoding::percent_decode_str;

/// Fields by name; a name may occur several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Parses `application/x-www-form-urlencoded`.
    pub(super) fn parse(text: &str) -> Fields {
        let decoded = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Fields(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }

    /// Returns the first field with this name, trimmed; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    /// Whether there is a field with this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Returns every field with this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns every field whose name has this prefix, with the rest of its name.
    pub(super) fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

/// Splits a command line into words, with single and double quotes; nothing is expanded.
///
/// # Errors
/// A quote is not closed.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut is_open) = (Vec::new(), String::new(), false);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            quote @ ('"' | '\'') => {
                is_open = true;
                loop {
                    match characters.next() {
                        None => return Err(format!("the quotation mark {quote} is not closed")),
                        Some(end) if end == quote => break,
                        Some(inner) => word.push(inner),
                    }
                }
            }
            space if space.is_whitespace() => {
                if is_open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                    is_open = false;
                }
            }
            other => word.push(other),
        }
    }
    if is_open || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_kept_in_order() {
        let fields = Fields::parse("a=1&b=x+y%26z&a=%C3%A4&c&tool.x=fp");
        assert_eq!((fields.text("a"), fields.text("b"), fields.text("none")), ("1", "x y&z", ""));
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "ä"]);
        assert!(fields.has("c") && !fields.has("d"));
        assert_eq!(fields.starting("tool.").collect::<Vec<_>>(), [("x", "fp")]);
    }

    #[test]
    fn a_command_line_is_split_as_people_write_it() {
        assert_eq!(words("npx -y 'a b' \"c\"d '' ").unwrap(), ["npx", "-y", "a b", "cd", ""]);
        assert!(words("a 'b").is_err());
        assert!(words("  ").unwrap().is_empty());
    }
}

//! Values that identify the user of this computer and must not appear in a payload: names, addresses and secrets.

use std::collections::BTreeSet;
use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::telemetry::payload::HeartbeatPayload;
use crate::telemetry::payload::schema::Allowed;

/// The kind of an identifying value; also the name of the rule that finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    User,
    Host,
    Home,
    FullName,
    Email,
    Machine,
    Secret,
}

impl IdentityKind {
    /// The rule's name in hits and logs.
    pub const fn rule(self) -> &'static str {
        match self {
            IdentityKind::User => "identity_user",
            IdentityKind::Host => "identity_host",
            IdentityKind::Home => "identity_home",
            IdentityKind::FullName => "identity_full_name",
            IdentityKind::Email => "identity_email",
            IdentityKind::Machine => "identity_machine",
            IdentityKind::Secret => "secret_value",
        }
    }
}

/// From this length (in bytes) the search also looks inside words; a shorter value must stand between word boundaries.
const LONG: usize = 8;
/// Minimum length: shorter values occur in too many words.
const SHORTEST: usize = 3;

struct Mark {
    of: IdentityKind,
    /// In lower case and compatibility-normalised; a secret unchanged.
    text: String,
    inside_words: bool,
}

/// Values that identify the user. Debug output shows how many, never which.
#[derive(Default)]
pub struct Identity {
    marks: Vec<Mark>,
}

impl Identity {
    /// Adds a value. Ignores values that are too short, and generic names such as `localhost`.
    pub fn add(&mut self, of: IdentityKind, value: &str) {
        let value = value.trim();
        let text = if of == IdentityKind::Secret { value.to_owned() } else { normal(value) };
        let nobody = [
            "localhost",
            "localhost.localdomain",
            "root@localhost",
            "/",
            "unknown",
            "none",
            "true",
            "false",
        ];
        if text.len() < SHORTEST || nobody.contains(&text.as_str()) {
            return;
        }
        if of == IdentityKind::Host {
            // For `anns-mac.local` also searches `anns-mac`.
            if let Some((short, _)) = text.split_once('.') {
                self.add(IdentityKind::Host, short);
            }
        }
        if of == IdentityKind::FullName {
            for part in text.split_whitespace().filter(|part| part.len() < text.len()) {
                self.push(IdentityKind::FullName, part.to_owned(), false);
            }
        }
        let inside_words = text.len() >= LONG && !vocabulary().contains(text.as_str());
        self.push(of, text, inside_words);
    }

    fn push(&mut self, of: IdentityKind, text: String, inside_words: bool) {
        if text.len() >= SHORTEST && !self.marks.iter().any(|mark| mark.of == of && mark.text == text) {
            self.marks.push(Mark { of, text, inside_words });
        }
    }

    /// Calls `hit` with the rule of every value that this view contains. `normal` is [`normal`] of the view.
    pub(crate) fn find(&self, view: &str, normal: &str, hit: &mut impl FnMut(&'static str)) {
        for mark in &self.marks {
            let text = if mark.of == IdentityKind::Secret { view } else { normal };
            let seen = match mark.inside_words {
                true => text.contains(&mark.text),
                false => between_boundaries(text, &mark.text),
            };
            if seen {
                hit(mark.of.rule());
            }
        }
    }

    /// The rule of a long secret in a string that matches a closed pattern. A machine id is a UUID without dashes and
    /// would pass as a random identifier.
    pub(crate) fn long_secret_in(&self, text: &str) -> Option<&'static str> {
        let digits = text.replace('-', "").to_ascii_lowercase();
        let shown = self.marks.iter().filter(|mark| mark.inside_words).find(|mark| match mark.of {
            IdentityKind::Secret => text.contains(&mark.text),
            IdentityKind::Machine => digits.contains(&mark.text.replace('-', "")),
            _ => false,
        });
        shown.map(|mark| mark.of.rule())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("values", &self.marks.len()).finish_non_exhaustive()
    }
}

/// The form in which names and paths are compared: compatibility-normalised, lower case, `/` for `\`.
pub(crate) fn normal(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase().replace('\\', "/");
    }
    text.nfkc().collect::<String>().to_lowercase().replace('\\', "/")
}

/// Whether `text` contains `needle` without a letter or digit directly before or after it.
pub(crate) fn between_boundaries(text: &str, needle: &str) -> bool {
    text.match_indices(needle).any(|(at, found)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Every value in the payload's schema: inside longer words such a user or host name identifies no one.
fn vocabulary() -> &'static BTreeSet<&'static str> {
    static WORDS: std::sync::OnceLock<BTreeSet<&'static str>> = std::sync::OnceLock::new();
    WORDS.get_or_init(|| {
        let mut words = BTreeSet::new();
        HeartbeatPayload::RULE.words(&mut |word| {
            words.insert(word);
        });
        words
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(of: IdentityKind, value: &str, text: &str) -> bool {
        let mut identity = Identity::default();
        identity.add(of, value);
        let mut found = false;
        identity.find(text, &normal(text), &mut |_| found = true);
        found
    }

    #[test]
    fn a_short_name_is_found_as_a_word_and_not_inside_one() {
        assert!(finds(IdentityKind::User, "ann", "config of Ann"));
        assert!(finds(IdentityKind::User, "ann", "ann-laptop"));
        assert!(!finds(IdentityKind::User, "ann", "annual cannon"));
        assert!(!finds(IdentityKind::User, "a", "a b"));
    }

    #[test]
    fn a_long_name_is_found_inside_words_too() {
        assert!(finds(IdentityKind::Host, "Anns-MacBook.local", "xanns-macbookx"));
        assert!(finds(IdentityKind::FullName, "Ann Example", "signed: example"));
        assert!(!finds(IdentityKind::User, "container", "containers"), "a value of the schema identifies no one");
    }

    #[test]
    fn a_secret_keeps_its_case() {
        assert!(finds(IdentityKind::Secret, "Tr0ub4dor", "xTr0ub4dorx"));
        assert!(!finds(IdentityKind::Secret, "Tr0ub4dor", "tr0ub4dor"));
    }

    #[test]
    fn debug_output_has_no_values() {
        let mut identity = Identity::default();
        identity.add(IdentityKind::User, "annabelle");
        assert_eq!(format!("{identity:?}"), "Identity { values: 1, .. }");
    }
}

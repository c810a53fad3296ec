//! Finds secrets and personal numbers in arguments and results: keys, tokens, private keys, cards, credential files.
//!
//! It reads raw text, JSON included, without parsing it: a call must not get slower than 50 µs per 4 kB.

mod assignments;
mod cards;
mod decision;
mod formats;
mod keys;
mod paths;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use decision::{Action, Decision, Policy, decide, redact_json};

/// What kind of data was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A key or token of a known service.
    Token,
    /// A private key.
    PrivateKey,
    /// A password, key or token by the name in front of it.
    Secret,
    /// A password in a URL.
    UrlPassword,
    /// A payment card number.
    CardNumber,
    /// The path of a file that holds credentials.
    CredentialPath,
}

/// Something sensitive in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensitive {
    /// The rule that matched, for example `github-token`.
    pub rule: &'static str,
    pub kind: Kind,
    /// The bytes of the text to replace.
    pub range: Range<usize>,
}

/// Everything sensitive in a text, in order and without overlaps.
pub fn find(text: &str) -> Vec<Sensitive> {
    let mut found = Vec::new();
    formats::find(text, &mut found);
    keys::find(text, &mut found);
    assignments::find(text, &mut found);
    cards::find(text, &mut found);
    paths::find(text, &mut found);
    // The longest of those that start together; of two that overlap, the first.
    found.sort_by_key(|one| (one.range.start, std::cmp::Reverse(one.range.end)));
    let mut end = 0;
    found.retain(|one| {
        let free = one.range.start >= end;
        if free {
            end = one.range.end;
        }
        free
    });
    found
}

/// The rules with what they find, for the documentation.
pub fn rules() -> Vec<(&'static str, Kind)> {
    let mut all: Vec<_> = formats::FORMATS.iter().map(|format| (format.rule, Kind::Token)).collect();
    all.dedup();
    all.push((keys::PRIVATE_KEY, Kind::PrivateKey));
    all.push((keys::URL_PASSWORD, Kind::UrlPassword));
    all.push((assignments::PASSWORD, Kind::Secret));
    all.push((assignments::HIGH_ENTROPY, Kind::Secret));
    all.push((cards::CARD_NUMBER, Kind::CardNumber));
    all.extend(paths::PATHS.iter().map(|path| (path.rule, Kind::CredentialPath)));
    all.dedup();
    all
}

/// Length of the run of bytes from `start` on that `of` accepts.
fn run(text: &str, start: usize, of: impl Fn(u8) -> bool) -> usize {
    text.as_bytes().get(start..).unwrap_or_default().iter().take_while(|byte| of(**byte)).count()
}

/// The byte before `at`, if there is one.
fn byte_before(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at.checked_sub(1)?).copied()
}

/// Whether a letter or digit stands before `at`; the letter of an escape such as `\n` does not count.
fn joined_to_word(text: &str, at: usize) -> bool {
    let Some(before) = byte_before(text, at) else { return false };
    let escape = matches!(before, b'n' | b't' | b'r') && at >= 2 && byte_before(text, at - 1) == Some(b'\\');
    (before.is_ascii_alphanumeric() || before == b'_') && !escape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Example {
        rule: String,
        text: String,
        found: bool,
    }

    /// Parts of the examples are separated by `~`, so that no tool takes this file for a leak.
    fn examples() -> Vec<Example> {
        let lines = include_str!("../../../tests/data/scan/sensitive_rules.jsonl").lines();
        let parsed = lines.map(|line| serde_json::from_str::<Example>(line).unwrap());
        parsed
            .map(|example| Example {
                text: example.text.replace('~', ""),
                ..example
            })
            .collect()
    }

    #[test]
    fn each_rule_finds_its_examples_and_spares_their_look_alikes() {
        for example in examples() {
            let hit = find(&example.text).iter().any(|one| one.rule == example.rule);
            assert_eq!(hit, example.found, "{}: {:?} gives {:?}", example.rule, example.text, find(&example.text));
        }
    }

    #[test]
    fn every_rule_has_an_example_of_both_kinds() {
        let examples = examples();
        for (rule, _) in rules() {
            for found in [true, false] {
                let has = examples.iter().any(|example| example.rule == rule && example.found == found);
                assert!(has, "{rule} has no example with found = {found}");
            }
        }
    }

    #[test]
    fn findings_come_in_order_without_overlaps() {
        let text = format!("token=ghp_{0} and ghp_{0} https://u:ghp_{0}@h/", "a1B2".repeat(9));
        let found = find(&text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "{found:?}");
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::find;

    proptest! {
        #[test]
        fn every_range_is_one_of_the_text(text in "\\PC{0,200}|[A-Za-z0-9:=/@._ \\\\\"-]{0,200}") {
            for one in find(&text) {
                prop_assert!(text.get(one.range.clone()).is_some_and(|found| !found.is_empty()), "{one:?}");
            }
        }
    }
}

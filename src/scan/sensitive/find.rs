//! Applies every rule for sensitive data to a text.

use super::value::{Kind, Sensitive};
use super::{assignments, cards, formats, keys, paths};

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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

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

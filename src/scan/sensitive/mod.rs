//! Finds secrets and personal numbers in arguments and results: keys, tokens, private keys, cards, credential files.
//!
//! It reads raw text, JSON included, without parsing it: a call must not get slower than 50 µs per 4 kB.

mod assignments;
mod cards;
mod decision;
mod formats;
mod keys;
mod matches;
mod paths;
mod search;

pub use matches::{Kind, Sensitive};
pub use search::{find, rules};

pub use decision::{Action, Decision, Policy, decide, redact_json};

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

//! Applies all rules to a text.

use super::matches::{Kind, Sensitive};
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

//! Words with the same meaning for people who search and authors of tools.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::catalog::tokenizer::Words;

/// One group of synonyms per line.
const GROUPS: &str = include_str!("synonyms.txt");

fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.lines().filter(|line| !line.starts_with('#'))
}

/// Returns every word that has a synonym.
pub fn words() -> impl Iterator<Item = &'static str> {
    groups().flat_map(|group| group.split(' '))
}

/// Returns the stems of a stem's synonyms.
pub fn of(stem: &str) -> &'static [String] {
    static STEMS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
        let words = Words::english();
        let mut stems: HashMap<String, Vec<String>> = HashMap::new();
        for group in groups() {
            let group: Vec<String> = group.split(' ').filter_map(|word| words.term(word)).collect();
            for stem in &group {
                let others = stems.entry(stem.clone()).or_default();
                others.extend(group.iter().filter(|other| *other != stem).cloned());
                others.sort_unstable();
                others.dedup();
            }
        }
        stems
    });
    STEMS.get(stem).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_meaning_find_each_other() {
        assert!(of("folder").contains(&"directori".to_owned()));
        assert!(of("directori").contains(&"folder".to_owned()));
        assert!(of("zebra").is_empty());
        assert!(!of("get").contains(&"get".to_owned()));
    }
}

//! Words that people and tool authors use for one another.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::catalog::tokenizer::Words;

/// Each line is one meaning. What tools do first, then what they do it to; a word may stand in several lines.
const MEANINGS: &[&str] = &[
    "get fetch retrieve read show view display see open load obtain return",
    "list show enumerate browse see",
    "search find query lookup locate look discover",
    "create make add new generate write build",
    "insert add append put",
    "save store write persist",
    "delete remove erase drop clear destroy discard uninstall",
    "update edit change modify set replace alter patch adjust",
    "send post publish message deliver",
    "move rename relocate",
    "copy duplicate clone",
    "run execute invoke start launch",
    "stop end cancel kill terminate",
    "check verify validate test inspect",
    "calculate compute",
    "convert transform translate",
    "summarize summary",
    "extract scrape parse crawl",
    "merge combine join concatenate",
    "download fetch",
    "analyze analysis statistics",
    "compare diff difference",
    "click press tap",
    "screenshot capture",
    "file document doc",
    "content contents text body",
    "directory folder",
    "image picture photo",
    "url link website webpage page site web",
    "repository repo codebase project",
    "issue ticket bug",
    "pr pull",
    "email mail",
    "calendar event meeting appointment schedule",
    "database db sql",
    "user person people contact",
    "weather forecast",
    "time clock hour",
    "date day",
    "location place address geocode",
    "map route direction",
    "chart graph plot diagram visualization",
    "price cost quote",
    "stock share ticker",
    "video movie clip",
    "audio music sound song",
    "news headline article",
    "paper article publication research",
    "hotel accommodation",
    "restaurant food dining",
    "train railway",
    "flight airline",
    "note memory remember",
    "size big large length",
    "recent latest newest current",
    "shell command terminal bash",
    "key secret password token",
    "table spreadsheet sheet excel",
    "slide presentation powerpoint",
    "word docx",
    "node entity",
    "edge relation relationship connection",
];

/// The other stems of a stem's meanings.
pub fn of(stem: &str) -> &'static [String] {
    static STEMS: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
        let words = Words::english();
        let mut stems: HashMap<String, Vec<String>> = HashMap::new();
        for meaning in MEANINGS {
            let group: Vec<String> = meaning.split(' ').filter_map(|word| words.term(word)).collect();
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

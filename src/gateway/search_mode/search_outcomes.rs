//! Counts the searches of AI clients that were followed by a call. Stores only counts, no queries or names.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use crate::contract::api::SearchCounts;
use crate::contract::tokens::estimate;

/// Maximum time between a search and a call that counts for it, and maximum number of searches that wait for a call.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);
const MOST_WAITING: usize = 64;
/// How many of the best tools count as the first ones.
const FIRST: usize = 5;

/// The counts since the core started, and the searches that wait for a call.
#[derive(Debug, Default)]
pub struct SearchOutcomes {
    counts: SearchCounts,
    /// The latest result. Its tokens are counted when they are asked for, because that takes longer than some searches.
    latest: String,
    waiting: VecDeque<Search>,
}

/// A search that was not followed by a call yet.
#[derive(Debug)]
struct Search {
    at: Instant,
    /// Hashes of the tools that it returned, best first.
    tools: Vec<u64>,
}

impl SearchOutcomes {
    /// Records a search and the tools that it returned, best first, each as server and name.
    pub fn searched<'a>(&mut self, tools: impl Iterator<Item = (&'a str, &'a str)>, now: Instant) {
        self.counts.searches += 1;
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Search {
            at: now,
            tools: tools.map(hash).collect(),
        });
    }

    /// Records the result of a search.
    pub fn answered(&mut self, text: &str) {
        self.counts.result_bytes = self.counts.result_bytes.saturating_add(text.len() as u64);
        text.clone_into(&mut self.latest);
    }

    /// Records a call. It counts for the latest search that returned the tool.
    pub fn called(&mut self, server: &str, tool: &str, now: Instant) {
        self.waiting.retain(|search| now.duration_since(search.at) <= LONGEST_WAIT);
        let called = hash((server, tool));
        let latest = self.waiting.iter().enumerate().rev().find_map(|(at, search)| {
            let place = search.tools.iter().position(|tool| *tool == called)?;
            Some((at, place))
        });
        let Some((at, place)) = latest else { return };
        self.waiting.remove(at);
        self.counts.led_to_call += 1;
        self.counts.called_best += u64::from(place == 0);
        self.counts.called_first_five += u64::from(place < FIRST);
    }

    /// Returns the counts since the core started.
    pub fn counts(&self) -> SearchCounts {
        let (tokens, bytes) = (estimate(&self.latest), self.latest.len().max(1) as u64);
        SearchCounts {
            result_tokens: self.counts.result_bytes.saturating_mul(tokens) / bytes,
            ..self.counts.clone()
        }
    }
}

fn hash(tool: (&str, &str)) -> u64 {
    let mut hasher = DefaultHasher::new();
    tool.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_for_the_latest_search_that_returned_the_tool() {
        let mut outcomes = SearchOutcomes::default();
        let start = Instant::now();
        outcomes.searched([("s", "a"), ("s", "b")].into_iter(), start);
        outcomes.searched([("s", "c"), ("s", "b")].into_iter(), start);
        outcomes.called("s", "b", start);
        outcomes.called("s", "b", start);
        outcomes.called("s", "b", start);
        outcomes.called("t", "a", start);
        let counts = outcomes.counts();
        assert_eq!((counts.searches, counts.led_to_call), (2, 2));
        assert_eq!((counts.called_best, counts.called_first_five), (0, 2));
        outcomes.answered("three words here");
        outcomes.answered("three words");
        assert_eq!((outcomes.counts().result_bytes, outcomes.counts().result_tokens), (27, 4));
    }

    #[test]
    fn a_search_does_not_wait_for_ever() {
        let mut outcomes = SearchOutcomes::default();
        let start = Instant::now();
        outcomes.searched([("s", "a")].into_iter(), start);
        outcomes.called("s", "a", start + LONGEST_WAIT + Duration::from_secs(1));
        for _ in 0..2 * MOST_WAITING {
            outcomes.searched([("s", "a")].into_iter(), start);
        }
        assert_eq!(outcomes.waiting.len(), MOST_WAITING);
        assert_eq!(outcomes.counts().led_to_call, 0);
        outcomes.called("s", "a", start);
        assert_eq!((outcomes.counts().called_best, outcomes.counts().searches), (1, 1 + 2 * MOST_WAITING as u64));
    }
}

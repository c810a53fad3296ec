//! Keeps truncated results in memory for a while, so that the client can read the rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a result is kept.
const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);
/// Maximum total size, in bytes of text. The oldest results are dropped first.
const MOST: usize = 32 << 20;

/// The results of one core, oldest first.
#[derive(Default)]
pub struct ResultCache {
    results: VecDeque<CachedResult>,
    size: usize,
}

/// A stored result.
#[derive(Clone)]
pub struct CachedResult {
    key: String,
    /// The server that returned it. The result is not shown if the user has blocked the server since.
    pub server: String,
    pub tool: String,
    pub text: Arc<str>,
    since: Instant,
}

impl ResultCache {
    /// Stores a result under a key that cannot be guessed; returns `None` if the result is too large.
    pub fn keep(&mut self, server: &str, tool: &str, text: &str, now: Instant) -> Option<String> {
        self.expire(now);
        if text.len() > MOST {
            return None;
        }
        while self.size + text.len() > MOST {
            self.drop_oldest();
        }
        let key = uuid::Uuid::new_v4().simple().to_string();
        self.size += text.len();
        self.results.push_back(CachedResult {
            key: key.clone(),
            server: server.to_owned(),
            tool: tool.to_owned(),
            text: text.into(),
            since: now,
        });
        Some(key)
    }

    /// Returns the result with this key, if it is still stored.
    pub fn get(&mut self, key: &str, now: Instant) -> Option<CachedResult> {
        self.expire(now);
        self.results.iter().find(|kept| kept.key == key).cloned()
    }

    fn expire(&mut self, now: Instant) {
        while self.results.front().is_some_and(|kept| now.saturating_duration_since(kept.since) >= LIFETIME) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        match self.results.pop_front() {
            Some(kept) => self.size = self.size.saturating_sub(kept.text.len()),
            None => self.size = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_until_its_time_is_over() {
        let (mut kept, now) = (ResultCache::default(), Instant::now());
        let key = kept.keep("s", "t", "text", now).unwrap();
        let almost = now + LIFETIME - Duration::from_secs(1);
        assert_eq!(&*kept.get(&key, almost).unwrap().text, "text");
        assert!(kept.get("another", almost).is_none());
        assert!(kept.get(&key, now + LIFETIME).is_none());
        assert_eq!((kept.size, kept.results.len()), (0, 0));
    }

    #[test]
    fn the_oldest_make_room_and_memory_stays_bounded() {
        let (mut kept, now) = (ResultCache::default(), Instant::now());
        let text = "x".repeat(MOST / 4);
        let keys: Vec<String> = (0..6).filter_map(|_| kept.keep("s", "t", &text, now)).collect();
        assert_eq!((kept.size, kept.results.len(), keys.len()), (MOST, 4, 6));
        assert!(kept.get(&keys[1], now).is_none());
        assert!(kept.get(&keys[2], now).is_some());
        assert!(kept.keep("s", "t", &"x".repeat(MOST + 1), now).is_none());
    }
}

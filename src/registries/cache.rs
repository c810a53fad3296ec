//! Records received earlier, for use without the network: one file for each registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::os::files;

/// Most records of a registry in the cache.
const MOST_RECORDS: usize = 2000;
/// Largest file, in bytes.
const LARGEST_FILE: u64 = 16 << 20;

/// The records of one registry, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cached {
    #[serde(default)]
    pub records: BTreeMap<String, CachedRecord>,
}

/// A record as the registry sent it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CachedRecord {
    /// In seconds since 1970.
    pub fetched_at: i64,
    pub item: Value,
}

impl Cached {
    /// Adds records. The oldest leave if there are too many.
    pub(crate) fn add(&mut self, items: Vec<(String, Value)>, now: i64) {
        let items = items.into_iter().map(|(name, item)| (name, CachedRecord { fetched_at: now, item }));
        self.records.extend(items);
        if self.records.len() > MOST_RECORDS {
            let mut times: Vec<i64> = self.records.values().map(|record| record.fetched_at).collect();
            times.sort_unstable_by(|one, other| other.cmp(one));
            let oldest = times.get(MOST_RECORDS - 1).copied().unwrap_or_default();
            self.records.retain(|_, record| record.fetched_at >= oldest);
            while self.records.len() > MOST_RECORDS {
                self.records.pop_last();
            }
        }
    }

    /// Reads a registry's file. A missing or damaged file is an empty cache.
    pub(crate) fn read(directory: &Path, url: &str) -> Cached {
        let bytes = files::read_bounded(&path(directory, url), LARGEST_FILE).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes a registry's file.
    ///
    /// # Errors
    /// The file could not be written.
    pub(crate) fn write(&self, directory: &Path, url: &str) -> std::io::Result<()> {
        files::create_private_dir(directory)?;
        let mut bytes = serde_json::to_vec(self)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_FILE {
            bytes.clear();
        }
        files::replace_private(&path(directory, url), &bytes)
    }
}

fn path(directory: &Path, url: &str) -> PathBuf {
    let hash = Sha256::digest(url.as_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    directory.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_kept_and_the_oldest_leave() {
        let directory = tempfile::tempdir().unwrap();
        let mut cached = Cached::read(directory.path(), "https://h/");
        assert_eq!(cached, Cached::default());
        cached.add(vec![("old".into(), json!({}))], 1);
        cached.add((0..MOST_RECORDS).map(|index| (format!("n{index:05}"), json!(index))).collect(), 2);
        assert_eq!(cached.records.len(), MOST_RECORDS);
        assert!(!cached.records.contains_key("old"));
        cached.add(vec![("zz".into(), json!({}))], 2);
        assert_eq!(cached.records.len(), MOST_RECORDS);
        cached.write(directory.path(), "https://h/").unwrap();
        assert_eq!(Cached::read(directory.path(), "https://h/"), cached);
        assert_eq!(Cached::read(directory.path(), "https://other/"), Cached::default());
    }

    #[test]
    fn a_damaged_file_is_an_empty_cache() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(path(directory.path(), "u"), b"\xff{").unwrap();
        assert_eq!(Cached::read(directory.path(), "u"), Cached::default());
    }
}

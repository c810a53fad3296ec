//! The settings of the configuration file that have no effect. They are computed once for each content of the file: every
//! page of the web UI counts them, and a file with a thousand servers takes long to parse.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use crate::config::store::ConfigStore;
use crate::os::sync::lock;
use crate::takeover::settings::{Unused, unused};

/// The unused settings of the last content that was read.
#[derive(Debug, Default)]
pub struct UnusedSettings(Mutex<Option<(u64, Arc<[Unused]>)>>);

impl UnusedSettings {
    /// Returns the settings of the file that have no effect; none if the file is missing or invalid. Waits for the disk.
    pub(super) fn of(&self, store: &ConfigStore) -> Arc<[Unused]> {
        let Ok(Some(text)) = store.text() else { return Arc::default() };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some((_, found)) = lock(&self.0).as_ref().filter(|(known, _)| *known == hash) {
            return found.clone();
        }
        let found: Arc<[Unused]> = store.value_of(&text).map(|document| unused(&document)).unwrap_or_default().into();
        *lock(&self.0) = Some((hash, found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_of_the_file_has_its_own_unused_settings() {
        let directory = tempfile::tempdir().unwrap();
        let store = ConfigStore::new(directory.path().join("mcp_config.json"));
        let settings = UnusedSettings::default();
        let keys = || settings.of(&store).iter().map(|one| one.key.clone()).collect::<Vec<_>>();
        let write = |text: &str| crate::os::files::replace_private(store.path(), text.as_bytes()).unwrap();
        assert!(keys().is_empty(), "without a file");
        write(r#"{"logging": {"max_size": 1}}"#);
        assert_eq!((keys(), keys()), (vec!["logging.max_size".to_owned()], vec!["logging.max_size".to_owned()]));
        write(r#"{"logging": "#);
        assert!(keys().is_empty(), "an invalid file");
        write(r#"{"debug_search": true}"#);
        assert_eq!(keys(), ["debug_search"]);
        write("{}");
        assert!(keys().is_empty());
    }
}

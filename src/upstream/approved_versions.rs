//! The approved version of each server in full: a review shows the differences from it.
//!
//! One file for each server and part, read only for a review. Nothing depends on it but what people are shown: approvals
//! themselves are in [`crate::upstream::approvals`].

use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::os::files;

/// Largest file that is read or written.
const LARGEST: usize = 16 * 1024 * 1024;

/// The approved versions, in a folder of the data directory.
#[derive(Debug)]
pub struct ApprovedVersions {
    folder: PathBuf,
}

/// A part of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its entry, with secrets masked.
    Entry,
    /// The definitions of its tools, by name.
    Tools,
    /// Fingerprints of the tools that the scanner approved, by name.
    Scanned,
}

impl Part {
    fn word(self) -> &'static str {
        match self {
            Part::Entry => "entry",
            Part::Tools => "tools",
            Part::Scanned => "scanned",
        }
    }
}

impl ApprovedVersions {
    /// Those in this folder, which need not exist.
    pub fn new(folder: PathBuf) -> ApprovedVersions {
        ApprovedVersions { folder }
    }

    /// The version that was approved last; `None` if nothing was, or it cannot be read. Blocks.
    pub fn read(&self, server: &str, part: Part) -> Option<Map<String, Value>> {
        serde_json::from_slice(&files::read_bounded(&self.file(server, part), LARGEST as u64).ok()?).ok()
    }

    /// Replaces the version that was approved last. The largest parts of a version that is too large are not kept. Blocks.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, server: &str, part: Part, version: Map<String, Value>) -> io::Result<()> {
        let text = serde_json::to_vec(&Value::Object(bounded(version, LARGEST)?))?;
        files::create_private_dir(&self.folder)?;
        files::replace_private(&self.file(server, part), &text)
    }

    /// Adds to what was approved, and drops what the server no longer has. Blocks.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn extend(
        &self,
        server: &str,
        part: Part,
        more: Map<String, Value>,
        still_there: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let mut version = self.read(server, part).unwrap_or_default();
        version.retain(|name, _| still_there(name));
        version.extend(more);
        self.write(server, part, version)
    }

    /// Deletes what is kept of a server that was removed. Blocks.
    pub fn forget(&self, server: &str) {
        for part in [Part::Entry, Part::Tools, Part::Scanned] {
            let _ = files::remove_if_there(&self.file(server, part));
        }
    }

    /// A digest, because any text may be a name.
    fn file(&self, server: &str, part: Part) -> PathBuf {
        let name: String = Sha256::digest(server).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{name}.{}.json", part.word()))
    }
}

/// Drops the largest values until the whole has at most `most` bytes as JSON.
fn bounded(mut version: Map<String, Value>, most: usize) -> io::Result<Map<String, Value>> {
    let mut sizes = Vec::new();
    for (name, value) in &version {
        // With the quotes, the colon and the comma; a name grows if it is escaped.
        let size = serde_json::to_vec(value)?.len() + serde_json::to_vec(name)?.len() + 2;
        sizes.push((size, name.clone()));
    }
    let mut total: usize = 2 + sizes.iter().map(|(size, _)| size).sum::<usize>();
    sizes.sort_unstable();
    while total > most
        && let Some((size, name)) = sizes.pop()
    {
        version.shift_remove(&name);
        total -= size;
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_server_and_part_has_its_own_version() {
        let directory = tempfile::tempdir().unwrap();
        let versions = ApprovedVersions::new(directory.path().join("approved"));
        let version = |text: &str| json!({"a": text}).as_object().unwrap().clone();
        assert_eq!(versions.read("../x", Part::Tools), None);
        versions.write("../x", Part::Tools, version("one")).unwrap();
        versions.extend("../x", Part::Tools, json!({"b": 1}).as_object().unwrap().clone(), |_| true).unwrap();
        versions.write("../X", Part::Tools, version("two")).unwrap();
        assert_eq!(versions.read("../x", Part::Tools).map(Value::Object), Some(json!({"a": "one", "b": 1})));
        assert_eq!(versions.read("../x", Part::Entry), None);
        versions.forget("../x");
        assert_eq!(versions.read("../x", Part::Tools), None);
        assert_eq!(versions.read("../X", Part::Tools), Some(version("two")));
    }

    #[test]
    fn gone_tools_are_dropped_and_the_file_stays_readable() {
        let directory = tempfile::tempdir().unwrap();
        let versions = ApprovedVersions::new(directory.path().join("approved"));
        let large = "x".repeat(1 << 20);
        for number in 0..20 {
            let name = format!("tool{number}");
            let more = [(name.clone(), json!(large))].into_iter().collect();
            versions.extend("s", Part::Tools, more, |known| known == "tool0" || known == name).unwrap();
        }
        let kept: Vec<_> = versions.read("s", Part::Tools).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(kept, ["tool0", "tool19"]);
        let all = (0..20).map(|number| (format!("tool{number}"), json!("x".repeat((number + 1) << 17)))).collect();
        versions.extend("s", Part::Tools, all, |_| true).unwrap();
        let kept = versions.read("s", Part::Tools).unwrap();
        assert!(kept.contains_key("tool1") && !kept.contains_key("tool19"), "the largest one is not kept");
        assert!(!kept.contains_key("tool0") || kept["tool0"] == json!("x".repeat(1 << 17)));
    }

    #[test]
    fn the_largest_parts_are_dropped_first() {
        let version = json!({"a": "x".repeat(50), "b": "y", "c": "z".repeat(20)}).as_object().unwrap().clone();
        let names =
            |most| bounded(version.clone(), most).unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(1000), ["a", "b", "c"]);
        assert_eq!(names(60), ["b", "c"]);
        assert_eq!(names(20), ["b"]);
        assert!(names(0).is_empty());
    }
}

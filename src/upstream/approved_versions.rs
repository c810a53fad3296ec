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
const LARGEST: u64 = 16 * 1024 * 1024;

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
        serde_json::from_slice(&files::read_bounded(&self.file(server, part), LARGEST).ok()?).ok()
    }

    /// Replaces the version that was approved last. Blocks.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, server: &str, part: Part, version: Map<String, Value>) -> io::Result<()> {
        let text = serde_json::to_vec(&Value::Object(version))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
            return Err(io::Error::other("it is too large"));
        }
        files::create_private_dir(&self.folder)?;
        files::replace_private(&self.file(server, part), &text)
    }

    /// Adds to what was approved. Blocks.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn extend(&self, server: &str, part: Part, more: Map<String, Value>) -> io::Result<()> {
        let mut version = self.read(server, part).unwrap_or_default();
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
        versions.extend("../x", Part::Tools, json!({"b": 1}).as_object().unwrap().clone()).unwrap();
        versions.write("../X", Part::Tools, version("two")).unwrap();
        assert_eq!(versions.read("../x", Part::Tools).map(Value::Object), Some(json!({"a": "one", "b": 1})));
        assert_eq!(versions.read("../x", Part::Entry), None);
        versions.forget("../x");
        assert_eq!(versions.read("../x", Part::Tools), None);
        assert_eq!(versions.read("../X", Part::Tools), Some(version("two")));
        assert!(versions.write("y", Part::Tools, version(&"x".repeat(20 << 20))).is_err());
    }
}

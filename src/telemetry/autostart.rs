//! Reads from the tray's sidecar file whether launch at login is on: yes, no, or unknown.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use crate::contract::instance_root::InstanceRoot;
use crate::os::files;

/// How long a valid read is cached while the file does not change.
const BELIEVED: Duration = Duration::from_secs(3600);

/// Maximum size of a sidecar. A normal one has about a hundred bytes.
const LIMIT: u64 = 64 * 1024;

/// The only field that matters: later versions may add values of `state`, but `enabled` keeps its meaning.
#[derive(Deserialize)]
struct SidecarText {
    enabled: bool,
}

/// Distinguishes versions of the file: every replacement changes at least one of these values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

/// Reads the sidecar and caches a valid result for an hour. Does not cache missing, unreadable or malformed files.
#[derive(Debug)]
pub struct AutostartReader {
    path: PathBuf,
    good: Option<(Identity, Instant, bool)>,
    /// The malformed version that was already logged.
    reported: Option<Identity>,
}

impl AutostartReader {
    /// A reader for the sidecar of this data directory. Reads nothing yet.
    pub fn new(root: &InstanceRoot) -> AutostartReader {
        AutostartReader {
            path: root.sidecar(),
            good: None,
            reported: None,
        }
    }

    /// Whether launch at login is on; `None` if the tray has written no valid sidecar.
    ///
    /// Never blocks: reads only regular files of limited size.
    pub fn read(&mut self, now: Instant) -> Option<bool> {
        let identity = identity(&self.path).ok()?;
        if let Some((known, at, enabled)) = self.good
            && known == identity
            && now.saturating_duration_since(at) < BELIEVED
        {
            return Some(enabled);
        }
        self.good = None;
        let bytes = match files::read_bounded(&self.path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.report(identity, "it is not a short regular file");
                return None;
            }
            Err(_) => return None,
        };
        // serde_json accepts invalid UTF-8 inside ignored values.
        let Ok(text) = std::str::from_utf8(strip_mark(&bytes)) else {
            self.report(identity, "it is not UTF-8");
            return None;
        };
        match serde_json::from_str::<SidecarText>(text) {
            Ok(sidecar) => {
                self.good = Some((identity, now, sidecar.enabled));
                self.reported = None;
                Some(sidecar.enabled)
            }
            Err(error) => {
                // The parser's message may quote the file; the category does not.
                self.report(
                    identity,
                    match error.classify() {
                        serde_json::error::Category::Data => "it has no boolean `enabled`",
                        _ => "it is not JSON",
                    },
                );
                None
            }
        }
    }

    fn report(&mut self, identity: Identity, reason: &str) {
        if self.reported.replace(identity) != Some(identity) {
            tracing::warn!(file = %self.path.display(), reason, "the launch-at-login sidecar is malformed");
        }
    }
}

/// Removes the byte order mark that some Windows editors write.
fn strip_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = std::fs::metadata(path)?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Ok(Identity {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        inode,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(root: &InstanceRoot, text: &str) {
        files::replace_private(&root.sidecar(), text.as_bytes()).unwrap();
    }

    fn root() -> (tempfile::TempDir, InstanceRoot) {
        let directory = tempfile::tempdir().unwrap();
        let root = InstanceRoot::resolve(directory.path(), directory.path().to_str());
        (directory, root)
    }

    #[test]
    fn the_result_is_yes_no_or_unknown() {
        let (_directory, root) = root();
        let mut reader = AutostartReader::new(&root);
        let now = Instant::now();
        assert_eq!(reader.read(now), None);
        write(&root, r#"{"enabled":true,"state":"enabled","updated_at":"2026-01-02T03:04:05Z"}"#);
        assert_eq!(reader.read(now), Some(true), "a missing file is not remembered");
        write(&root, r#"{"enabled":false}"#);
        assert_eq!(reader.read(now), Some(false), "a changed file is read again at once");
        fs::remove_file(root.sidecar()).unwrap();
        assert_eq!(reader.read(now), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_valid_read_is_cached_for_an_hour() {
        let (_directory, root) = root();
        write(&root, r#"{"enabled":true}"#);
        let mut reader = AutostartReader::new(&root);
        let now = Instant::now();
        assert_eq!(reader.read(now), Some(true));
        // A different content with identical metadata.
        let modified = fs::metadata(root.sidecar()).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(root.sidecar()).unwrap();
        std::io::Write::write_all(&mut &file, br#"{"enabled":1234}"#).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(reader.read(now + BELIEVED - Duration::from_secs(1)), Some(true));
        assert_eq!(reader.read(now + BELIEVED), None);
    }

    #[test]
    fn a_malformed_file_is_unknown_and_read_again() {
        let (_directory, root) = root();
        let mut reader = AutostartReader::new(&root);
        let now = Instant::now();
        for text in [
            "",
            "{",
            "[]",
            "null",
            r#"{"enabled":"yes"}"#,
            r#"{"enabled":null}"#,
            r#"{"state":"enabled"}"#,
            "\u{1}",
        ] {
            write(&root, text);
            assert_eq!(reader.read(now), None, "{text}");
        }
        files::replace_private(&root.sidecar(), b"{\"enabled\":true,\"x\":\"\xff\"}").unwrap();
        assert_eq!(reader.read(now), None, "not UTF-8");
        files::replace_private(&root.sidecar(), &vec![b' '; 70_000]).unwrap();
        assert_eq!(reader.read(now), None, "too long");
        write(&root, "\u{feff}{\"enabled\":true}");
        assert_eq!(reader.read(now), Some(true));
    }

    #[test]
    fn a_directory_instead_of_the_sidecar_is_unknown() {
        let (_directory, root) = root();
        fs::create_dir(root.sidecar()).unwrap();
        assert_eq!(AutostartReader::new(&root).read(Instant::now()), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_instead_of_the_sidecar_is_unknown_and_does_not_block() {
        let (_directory, root) = root();
        assert!(std::process::Command::new("mkfifo").arg(root.sidecar()).status().unwrap().success());
        assert_eq!(AutostartReader::new(&root).read(Instant::now()), None);
    }
}

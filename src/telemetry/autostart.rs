//! Whether launch-at-login is on, as the tray's sidecar file says: yes, no, or not known.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use crate::contract::instance_root::InstanceRoot;
use crate::os::files;

/// How long a good read is believed while the file does not change.
const BELIEVED: Duration = Duration::from_secs(3600);

/// A sidecar has a hundred bytes; a longer file is not one.
const LIMIT: u64 = 64 * 1024;

/// All that is asked of the file: the words of its `state` may grow, and `enabled` stays what it is.
#[derive(Deserialize)]
struct SidecarText {
    enabled: bool,
}

/// What tells one version of the file from the next: every replacement changes at least one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

/// Reads the sidecar, and remembers a good read for an hour. Missing, unreadable and malformed files are never
/// remembered.
#[derive(Debug)]
pub struct AutostartReader {
    path: PathBuf,
    good: Option<(Identity, Instant, bool)>,
    /// The malformed version that the log already names.
    reported: Option<Identity>,
}

impl AutostartReader {
    /// A reader of this root's sidecar that has not read yet.
    pub fn new(root: &InstanceRoot) -> AutostartReader {
        AutostartReader {
            path: root.sidecar(),
            good: None,
            reported: None,
        }
    }

    /// Whether launch-at-login is on; `None` where the tray has not said, or not so that it can be understood.
    ///
    /// Never waits: a pipe, a directory or a file of any size is looked at and left alone.
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
        // serde_json lets bytes that are no text pass inside values that are ignored.
        let Ok(text) = std::str::from_utf8(strip_mark(&bytes)) else {
            self.report(identity, "it is not UTF-8");
            return None;
        };
        match serde_json::from_str::<SidecarText>(text) {
            Ok(said) => {
                self.good = Some((identity, now, said.enabled));
                self.reported = None;
                Some(said.enabled)
            }
            Err(error) => {
                // The parser's words may quote the file, the category does not.
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

/// Some Windows editors begin a file with a byte order mark.
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
    fn the_answer_is_yes_no_or_not_known() {
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
    fn a_good_read_is_believed_for_an_hour() {
        let (_directory, root) = root();
        write(&root, r#"{"enabled":true}"#);
        let mut reader = AutostartReader::new(&root);
        let now = Instant::now();
        assert_eq!(reader.read(now), Some(true));
        // The same file in every respect that a look at it shows, with other bytes in it.
        let modified = fs::metadata(root.sidecar()).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(root.sidecar()).unwrap();
        std::io::Write::write_all(&mut &file, br#"{"enabled":1234}"#).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(reader.read(now + BELIEVED - Duration::from_secs(1)), Some(true));
        assert_eq!(reader.read(now + BELIEVED), None);
    }

    #[test]
    fn what_is_malformed_is_not_known_and_is_tried_again() {
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
    fn a_directory_in_its_place_is_not_known() {
        let (_directory, root) = root();
        fs::create_dir(root.sidecar()).unwrap();
        assert_eq!(AutostartReader::new(&root).read(Instant::now()), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_its_place_is_not_known_and_does_not_hang() {
        let (_directory, root) = root();
        assert!(std::process::Command::new("mkfifo").arg(root.sidecar()).status().unwrap().success());
        assert_eq!(AutostartReader::new(&root).read(Instant::now()), None);
    }
}

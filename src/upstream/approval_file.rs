//! A file of approvals, by server and name. Its unreadable parts count as not approved, also after the file is written again and
//! after a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::os::files;

/// Largest file that is read or written: tens of thousands of tools.
const LARGEST: u64 = 64 * 1024 * 1024;
/// The name under which the file says that approvals were lost. No server has it.
const LOST: &str = "";

/// Writes the file. Another one in tests.
pub type Write = Box<dyn Fn(&Path, &[u8]) -> io::Result<()> + Send + Sync>;

/// The approvals, by server and name.
pub type Servers<T> = BTreeMap<String, BTreeMap<String, T>>;

/// The readable part of a file.
#[derive(Debug, PartialEq)]
pub struct Content<T> {
    pub servers: Servers<T>,
    /// Servers of which a part could not be read: everything else of them needs approval.
    pub damaged: Vec<String>,
    /// Any server may have been in the part that could not be read, so none counts as new.
    pub lost: bool,
}

/// The file that approvals are written to.
pub struct ApprovalFile {
    path: PathBuf,
    write: Write,
    /// The file on the disk has a part that was not understood. It is set aside before it is replaced.
    is_unread: AtomicBool,
}

impl ApprovalFile {
    /// Reads a file, which need not exist.
    pub fn load<T: DeserializeOwned>(path: &Path) -> (ApprovalFile, Content<T>) {
        ApprovalFile::load_with(path, Box::new(files::replace_private))
    }

    /// Like [`ApprovalFile::load`], with another way to write.
    pub fn load_with<T: DeserializeOwned>(path: &Path, write: Write) -> (ApprovalFile, Content<T>) {
        let (content, problem) = match files::read_bounded(path, LARGEST) {
            Ok(bytes) => understood(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (none(false), None),
            Err(error) => (none(true), Some(error.to_string())),
        };
        if let Some(problem) = &problem {
            let held = if content.lost { "everything".to_owned() } else { content.damaged.join(", ") };
            let path = path.display();
            tracing::error!("could not read all of `{path}`: {problem}; approve again: {held}");
        }
        let file = ApprovalFile {
            path: path.to_path_buf(),
            write,
            is_unread: AtomicBool::new(problem.is_some()),
        };
        (file, content)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file. One that was not understood is set aside first.
    ///
    /// # Errors
    /// The file could not be written or set aside, or would be too large to read; it is unchanged then.
    pub fn save<T: Serialize + Clone>(&self, servers: &Servers<T>, lost: bool) -> io::Result<()> {
        let text = if lost {
            let mut servers = servers.clone();
            servers.insert(LOST.to_owned(), BTreeMap::new());
            serde_json::to_vec(&servers)?
        } else {
            serde_json::to_vec(servers)?
        };
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
            return Err(io::Error::other(format!("it would be longer than {LARGEST} bytes")));
        }
        if self.is_unread.load(Ordering::Acquire) {
            let copy = files::set_aside(&self.path)?;
            tracing::warn!("kept the damaged file as `{}`", copy.display());
            self.is_unread.store(false, Ordering::Release);
        }
        (self.write)(&self.path, &text)
    }
}

fn none<T>(lost: bool) -> Content<T> {
    Content {
        servers: BTreeMap::new(),
        damaged: Vec::new(),
        lost,
    }
}

/// Returns the content of a file, and the problem if a part of it cannot be understood.
fn understood<T: DeserializeOwned>(bytes: &[u8]) -> (Content<T>, Option<String>) {
    let (mut content, problem) = match serde_json::from_slice::<Servers<T>>(bytes) {
        Ok(servers) => (Content { servers, ..none(false) }, None),
        Err(error) => (readable(bytes), Some(error.to_string())),
    };
    content.lost |= content.servers.remove(LOST).is_some();
    (content, problem)
}

/// The parts of a damaged file that can be read.
fn readable<T: DeserializeOwned>(bytes: &[u8]) -> Content<T> {
    let Ok(Value::Object(written)) = serde_json::from_slice(bytes) else {
        return none(true);
    };
    let mut content = none(false);
    for (server, names) in written {
        let names = match names {
            Value::Object(names) => names,
            // Not even the names can be read.
            _ => [(String::new(), Value::Null)].into_iter().collect(),
        };
        let count = names.len();
        let known: BTreeMap<String, T> =
            names.into_iter().filter_map(|(name, value)| Some((name, serde_json::from_value(value).ok()?))).collect();
        if known.len() < count {
            content.damaged.push(server.clone());
        }
        content.servers.insert(server, known);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(path: &Path) -> (ApprovalFile, Content<u32>) {
        ApprovalFile::load(path)
    }

    #[test]
    fn the_readable_parts_of_a_damaged_file_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        for (text, servers, damaged, lost) in [
            (r#"{"a": {"x": 1}}"#, r#"{"a": {"x": 1}}"#, &[][..], false),
            (
                r#"{"a": {"x": 1, "y": "?"}, "b": 7, "c": {}}"#,
                r#"{"a": {"x": 1}, "b": {}, "c": {}}"#,
                &["a", "b"],
                false,
            ),
            (r#"{"a": {"x": 1}, "": {}}"#, r#"{"a": {"x": 1}}"#, &[], true),
            (r#"{"a": {"x": 1"#, "{}", &[], true),
            ("[]", "{}", &[], true),
            ("", "{}", &[], true),
        ] {
            std::fs::write(&path, text).unwrap();
            let content = load(&path).1;
            assert_eq!(content.servers, serde_json::from_str(servers).unwrap(), "{text}");
            assert_eq!(
                (content.damaged, content.lost),
                (damaged.iter().map(ToString::to_string).collect(), lost),
                "{text}"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_its_loss_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        std::fs::write(&path, "{damaged").unwrap();
        let (file, content) = load(&path);
        assert_eq!(std::fs::read(&path).unwrap(), b"{damaged", "reading changes nothing");
        file.save(&content.servers, content.lost).unwrap();
        file.save(&content.servers, content.lost).unwrap();
        assert_eq!(std::fs::read(directory.path().join("a.json.damaged")).unwrap(), b"{damaged");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        assert!(load(&path).1.lost, "also after a restart");
        std::fs::write(&path, "again").unwrap();
        let (file, content) = load(&path);
        file.save(&content.servers, content.lost).unwrap();
        assert_eq!(std::fs::read(directory.path().join("a.json.damaged")).unwrap(), b"{damaged");
        assert_eq!(std::fs::read(directory.path().join("a.json.damaged-2")).unwrap(), b"again");
    }

    #[test]
    fn a_file_that_cannot_be_set_aside_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        std::fs::create_dir(&path).unwrap();
        let (file, content) = load(&path);
        assert!(content.lost && file.save(&content.servers, true).is_err());
        assert!(path.is_dir());
    }
}

//! Forgotten ids, stored as keyed hashes: a replay or a restored backup cannot bring them back, and the list does not
//! reveal them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::collector::report::Id;
use crate::collector::store::Entry;

/// The list and its key.
pub struct Forgotten {
    key: [u8; 32],
    marks: HashSet<[u8; 16]>,
    path: PathBuf,
}

impl Forgotten {
    /// Reads the list of a data directory. Creates a key if there is none.
    ///
    /// # Errors
    /// The system's error, or a damaged file.
    pub fn open(directory: &Path) -> io::Result<Forgotten> {
        let key = secret(&directory.join("forgotten.key"))?;
        let path = directory.join("forgotten.list");
        let mut marks = HashSet::new();
        match std::fs::read_to_string(&path) {
            Ok(text) => marks.extend(text.lines().filter_map(parse_mark)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Forgotten { key, marks, path })
    }

    /// Whether an id was forgotten.
    pub fn contains(&self, id: Id) -> bool {
        !self.marks.is_empty() && self.marks.contains(&self.mark(id))
    }

    /// Adds an id. The list is on disk when this returns.
    ///
    /// # Errors
    /// The system's error.
    pub fn add(&mut self, id: Id) -> io::Result<()> {
        let mark = self.mark(id);
        if self.marks.contains(&mark) {
            return Ok(());
        }
        let mut options = File::options();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(&self.path)?;
        writeln!(file, "{}", uuid::Uuid::from_bytes(mark).simple())?;
        file.sync_all()?;
        self.marks.insert(mark);
        Ok(())
    }

    /// Number of forgotten ids.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Removes the entries of forgotten ids.
    pub fn filter(&self, entries: Vec<Entry>) -> Vec<Entry> {
        entries
            .into_iter()
            .filter(|entry| match entry {
                Entry::Report(report) => !self.contains(report.id),
                Entry::OptOut { id, .. } => !self.contains(*id),
                Entry::Count { .. } | Entry::Forget { .. } => true,
            })
            .collect()
    }

    fn mark(&self, id: Id) -> [u8; 16] {
        let mut mark = [0; 16];
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) {
            mac.update(&id.0);
            for (byte, value) in mark.iter_mut().zip(mac.finalize().into_bytes()) {
                *byte = value;
            }
        }
        mark
    }
}

fn parse_mark(line: &str) -> Option<[u8; 16]> {
    uuid::Uuid::try_parse(line.trim()).ok().map(uuid::Uuid::into_bytes)
}

/// Reads a secret of 32 bytes, stored as 64 hexadecimal digits. Creates a random one if the file does not exist.
///
/// # Errors
/// The system's error, or a file with other content.
pub fn secret(path: &Path) -> io::Result<[u8; 32]> {
    match crate::os::files::read_bounded(path, 1024) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            parse_secret(text.trim()).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("`{}` is not a key of 64 hexadecimal digits", path.display()),
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = random();
            let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            crate::os::files::replace_private(path, format!("{text}\n").as_bytes())?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}

fn parse_secret(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut secret = [0; 32];
    for (index, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(secret)
}

/// 32 random bytes from the system.
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    // A UUID has 122 random bits, so the hash of three has 256.
    let mut hash = <Sha256 as sha2::Digest>::new();
    for half in halves {
        sha2::Digest::update(&mut hash, half.as_bytes());
    }
    for (byte, value) in bytes.iter_mut().zip(sha2::Digest::finalize(hash)) {
        *byte = value;
    }
    bytes
}

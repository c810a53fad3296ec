//! Questions about the file system that the planning of paths needs.

use std::path::{Path, PathBuf};

/// The kind of file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
}

/// Questions that the planning asks about the file system.
pub trait Disk {
    /// The kind of file at a path, with links followed; `None` if there is none.
    fn kind(&self, path: &Path) -> Option<Kind>;
    /// The entries of a directory.
    fn children(&self, path: &Path) -> Vec<PathBuf>;
    /// The path with all links resolved.
    fn real(&self, path: &Path) -> Option<PathBuf>;
    /// The program of this name in the path of the session.
    fn program(&self, name: &str) -> Option<PathBuf>;
}

/// The file system itself.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn kind(&self, path: &Path) -> Option<Kind> {
        let found = std::fs::metadata(path).ok()?;
        Some(if found.is_dir() { Kind::Directory } else { Kind::File })
    }

    fn children(&self, path: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        std::fs::canonicalize(path).ok()
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        which::which(name).ok()
    }
}

//! The path of this program, as configuration files of other programs can refer to it for years.

use std::io;
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// The suffix that Linux adds to the path of a running program whose file was replaced.
const REPLACED: &str = " (deleted)";

/// A path of this program that stays valid across upgrades.
///
/// # Errors
/// The path is unknown or temporary; the text says what to do.
pub fn lasting() -> io::Result<PathBuf> {
    let environment = Environment::read(|name| name.eq_ignore_ascii_case("PATH") || name == "APPDIR");
    let running = present(std::env::current_exe()?)?;
    if let Some(reason) = temporary_reason(&running, environment.non_empty("APPDIR")) {
        return Err(io::Error::other(reason));
    }
    Ok(link_on_path(&running, environment.get("PATH").unwrap_or_default()).unwrap_or(running))
}

/// The running file, or the one that replaced it.
fn present(running: PathBuf) -> io::Result<PathBuf> {
    if running.is_file() {
        return Ok(running);
    }
    let replaced = running.to_str().and_then(|path| path.strip_suffix(REPLACED)).map(PathBuf::from);
    replaced.filter(|path| path.is_file()).ok_or_else(|| {
        let sentence = format!("the running program is no longer at `{}`: restart it", running.display());
        io::Error::new(io::ErrorKind::NotFound, sentence)
    })
}

/// Why a path is valid for this run only.
fn temporary_reason(running: &Path, image: Option<&str>) -> Option<&'static str> {
    if running.components().any(|part| part.as_os_str() == "AppTranslocation") {
        return Some(
            "macOS runs a copy of a freshly downloaded program: move MCPProxy to Applications and open it there",
        );
    }
    image
        .is_some_and(|image| running.starts_with(image))
        .then_some("it runs from a disk image that disappears when it exits")
}

/// The link in `PATH` to this program: package managers keep each version in its own directory, which an upgrade removes, and a link to the
/// current one.
fn link_on_path(running: &Path, path: &str) -> Option<PathBuf> {
    let file = running.file_name()?;
    let directories: Vec<PathBuf> = std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect();
    if directories.iter().any(|directory| Some(directory.as_path()) == running.parent()) {
        return None;
    }
    let target = std::fs::canonicalize(running).ok()?;
    let points_here = |place: &PathBuf| std::fs::canonicalize(place).is_ok_and(|found| found == target);
    directories.iter().map(|directory| directory.join(file)).find(points_here)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn this_program_has_a_lasting_path() {
        let found = lasting().unwrap();
        assert!(found.is_absolute());
        assert_eq!(fs::canonicalize(found).unwrap(), fs::canonicalize(std::env::current_exe().unwrap()).unwrap());
    }

    #[test]
    fn a_replaced_program_is_found_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("my program");
        let shown = directory.path().join("my program (deleted)");
        let gone = present(shown.clone()).unwrap_err().to_string();
        assert!(gone.contains("restart it"), "{gone}");
        fs::write(&program, "new").unwrap();
        assert_eq!(present(shown).unwrap(), program);
        assert_eq!(present(program.clone()).unwrap(), program);
    }

    #[test]
    fn a_temporary_path_is_refused() {
        let moved = "/private/var/folders/x/AppTranslocation/1/d/MCPProxy.app/Contents/MacOS/mcpproxy";
        assert!(temporary_reason(Path::new(moved), None).unwrap().contains("Applications"));
        assert!(temporary_reason(Path::new("/tmp/.mount_a/usr/bin/mcpproxy"), Some("/tmp/.mount_a")).is_some());
        assert!(temporary_reason(Path::new("/usr/bin/mcpproxy"), Some("/tmp/.mount_a")).is_none());
        assert!(temporary_reason(Path::new("/usr/bin/mcpproxy"), None).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn the_link_to_a_version_outlives_the_version() {
        let directory = tempfile::tempdir().unwrap();
        let (cellar, bin, other) = ["cellar/1.2.3", "bin", "other"].map(|below| directory.path().join(below)).into();
        for made in [&cellar, &bin, &other] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(cellar.join("mcpproxy"), "1.2.3").unwrap();
        fs::write(other.join("mcpproxy"), "another").unwrap();
        std::os::unix::fs::symlink(cellar.join("mcpproxy"), bin.join("mcpproxy")).unwrap();
        let found = |directories: &[&PathBuf]| {
            let path = std::env::join_paths(directories).unwrap().into_string().unwrap();
            link_on_path(&cellar.join("mcpproxy"), &path)
        };
        assert_eq!(found(&[&other, &bin]), Some(bin.join("mcpproxy")));
        assert_eq!(found(&[&other]), None);
        // A program in `PATH` needs no link.
        assert_eq!(found(&[&bin, &cellar]), None);
        assert_eq!(link_on_path(&cellar.join("mcpproxy"), "relative"), None);
    }
}

//! Where this program lies, as somebody else's file may name it for years.

use std::io;
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// What Linux adds to the path of a program whose file was replaced while it runs.
const REPLACED: &str = " (deleted)";

/// The path of this program that an upgrade leaves good.
///
/// # Errors
/// The system does not say it, or it leads to a place that will be gone; the words say what helps.
pub fn lasting() -> io::Result<PathBuf> {
    let environment = Environment::read(|name| name.eq_ignore_ascii_case("PATH") || name == "APPDIR");
    let running = present(std::env::current_exe()?)?;
    if let Some(reason) = passing(&running, environment.non_empty("APPDIR")) {
        return Err(io::Error::other(reason));
    }
    Ok(link_on_path(&running, environment.get("PATH").unwrap_or_default()).unwrap_or(running))
}

/// The file itself, or the one that took its place.
fn present(running: PathBuf) -> io::Result<PathBuf> {
    if running.is_file() {
        return Ok(running);
    }
    let replaced = running.to_str().and_then(|path| path.strip_suffix(REPLACED)).map(PathBuf::from);
    replaced.filter(|path| path.is_file()).ok_or_else(|| {
        let sentence = format!("the running program is no longer at `{}`: start it again", running.display());
        io::Error::new(io::ErrorKind::NotFound, sentence)
    })
}

/// Why the place is one for this run only.
fn passing(running: &Path, image: Option<&str>) -> Option<&'static str> {
    if running.components().any(|part| part.as_os_str() == "AppTranslocation") {
        return Some(
            "macOS runs a copy of a freshly downloaded program: move MCPProxy to Applications and open it there",
        );
    }
    image.is_some_and(|image| running.starts_with(image)).then_some("it runs from an image that is gone with it")
}

/// The link through which this program is found, where its file lies elsewhere: package managers keep each version in a
/// directory of its own, which goes with it, and one link to the current one.
fn link_on_path(running: &Path, path: &str) -> Option<PathBuf> {
    let file = running.file_name()?;
    let directories: Vec<PathBuf> = std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect();
    if directories.iter().any(|directory| Some(directory.as_path()) == running.parent()) {
        return None;
    }
    let target = std::fs::canonicalize(running).ok()?;
    let leads_here = |place: &PathBuf| std::fs::canonicalize(place).is_ok_and(|found| found == target);
    directories.iter().map(|directory| directory.join(file)).find(leads_here)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn this_program_has_a_path_that_leads_to_it() {
        let found = lasting().unwrap();
        assert!(found.is_absolute());
        assert_eq!(fs::canonicalize(found).unwrap(), fs::canonicalize(std::env::current_exe().unwrap()).unwrap());
    }

    #[test]
    fn a_program_that_was_replaced_is_the_one_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("my program");
        let shown = directory.path().join("my program (deleted)");
        let gone = present(shown.clone()).unwrap_err().to_string();
        assert!(gone.contains("start it again"), "{gone}");
        fs::write(&program, "new").unwrap();
        assert_eq!(present(shown).unwrap(), program);
        assert_eq!(present(program.clone()).unwrap(), program);
    }

    #[test]
    fn a_place_that_is_gone_with_the_run_is_not_given_out() {
        let moved = "/private/var/folders/x/AppTranslocation/1/d/MCPProxy.app/Contents/MacOS/mcpproxy";
        assert!(passing(Path::new(moved), None).unwrap().contains("Applications"));
        assert!(passing(Path::new("/tmp/.mount_a/usr/bin/mcpproxy"), Some("/tmp/.mount_a")).is_some());
        assert!(passing(Path::new("/usr/bin/mcpproxy"), Some("/tmp/.mount_a")).is_none());
        assert!(passing(Path::new("/usr/bin/mcpproxy"), None).is_none());
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
        // Whoever is found under its own name needs no other.
        assert_eq!(found(&[&bin, &cellar]), None);
        assert_eq!(link_on_path(&cellar.join("mcpproxy"), "relative"), None);
    }
}

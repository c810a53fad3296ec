//! Reads, writes and removes the XDG autostart entry (Linux and other free desktops).

use std::io;
use std::path::{Path, PathBuf};

use super::linux::{Installed, Surroundings};
use super::{Click, Status, linux};
use crate::contract::names;
use crate::os::environment::Environment;
use crate::os::files;

/// Maximum size of an entry in bytes. A normal entry has some hundred.
const LIMIT: u64 = 64 << 10;
/// Exists in every Flatpak sandbox, and nowhere else.
const FLATPAK_INFO: &str = "/.flatpak-info";

/// Launch at login for this program.
#[derive(Debug, Clone)]
pub struct Autostart {
    entry: PathBuf,
    program: PathBuf,
    sandboxed: bool,
}

impl Autostart {
    /// Launch at login for the running program, or for the AppImage that holds it.
    ///
    /// `environment` holds [`super::VARIABLES`].
    ///
    /// # Errors
    /// The system's error if the program's path is unknown.
    pub fn of_this_program(environment: &Environment, home: &Path) -> io::Result<Autostart> {
        let executable = std::env::current_exe()?;
        Ok(Autostart::of(surroundings(environment, &executable, Path::new(FLATPAK_INFO).exists()), environment, home))
    }

    fn of(surroundings: Surroundings, environment: &Environment, home: &Path) -> Autostart {
        // The specification says to ignore relative paths.
        let configured = environment.non_empty("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = configured.unwrap_or_else(|| home.join(".config"));
        let Installed { program, sandboxed } = surroundings.installed();
        Autostart {
            entry: config.join("autostart").join(names::AUTOSTART_ENTRY),
            program,
            sandboxed,
        }
    }

    /// The file to watch for changes that the user makes in the system's settings.
    pub fn entry(&self) -> &Path {
        &self.entry
    }

    /// Reads the state from the entry.
    pub fn status(&self) -> Status {
        if let Some(reason) = linux::obstacle(&self.program, self.sandboxed) {
            return Status::Impossible(reason);
        }
        match self.read() {
            Ok(entry) => entry.status(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Status::Disabled,
            Err(error) => Status::Impossible(error.to_string()),
        }
    }

    /// Registers this program.
    ///
    /// # Errors
    /// A sentence that names what could not be written and the cause.
    pub fn enable(&self, _: Click) -> Result<Status, String> {
        if let Some(reason) = linux::obstacle(&self.program, self.sandboxed) {
            return Err(reason);
        }
        self.write()?;
        Ok(self.status())
    }

    /// Removes the registration. Deletes the file, because a disabled entry left behind would look like the user's
    /// choice later.
    ///
    /// # Errors
    /// A sentence that names what could not be removed and the cause.
    pub fn disable(&self, _: Click) -> Result<Status, String> {
        self.remove()?;
        Ok(self.status())
    }

    /// Removes the entry when the package is uninstalled.
    ///
    /// # Errors
    /// A sentence that names what could not be removed and the cause.
    pub fn unregister(&self) -> Result<(), String> {
        self.remove()
    }

    /// Corrects the path of an enabled entry whose program no longer exists, after a move or an upgrade.
    pub fn correct_stale_path(&self) {
        let Ok(entry) = self.read() else { return };
        let Some(program) = self.program.to_str() else { return };
        let possible = linux::obstacle(&self.program, self.sandboxed).is_none();
        if possible && linux::corrected(&entry, program, |path| Path::new(path).exists()) {
            match self.write() {
                Ok(()) => tracing::info!(was = entry.program, "corrected the path in the autostart entry"),
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }

    fn read(&self) -> io::Result<linux::Entry> {
        let bytes = files::read_bounded(&self.entry, LIMIT)?;
        Ok(linux::Entry::parse(&String::from_utf8_lossy(&bytes)))
    }

    fn write(&self) -> Result<(), String> {
        let failed = |error: io::Error| format!("could not write `{}`: {error}", self.entry.display());
        if let Some(directory) = self.entry.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let text = linux::text(&self.program.to_string_lossy());
        files::replace_private(&self.entry, text.as_bytes()).map_err(failed)
    }

    fn remove(&self) -> Result<(), String> {
        match std::fs::remove_file(&self.entry) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("could not remove `{}`: {error}", self.entry.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The surroundings of this program. The system reports the executable's path without symbolic links, so this resolves
/// the links in the variables, too.
fn surroundings(environment: &Environment, executable: &Path, has_flatpak_info: bool) -> Surroundings {
    let path = |name: &str| environment.non_empty(name).map(PathBuf::from);
    let mount = |name: &str| path(name).map(|path| std::fs::canonicalize(&path).unwrap_or(path));
    Surroundings {
        executable: executable.to_path_buf(),
        app_image: path("APPIMAGE"),
        app_dir: mount("APPDIR"),
        snap: mount("SNAP"),
        has_flatpak_info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn autostart(config: &Path) -> Autostart {
        let variable = ("XDG_CONFIG_HOME".to_owned(), config.display().to_string());
        Autostart::of_this_program(&Environment::from_iter([variable]), Path::new("/nonexistent")).unwrap()
    }

    #[test]
    fn a_click_registers_and_a_click_takes_it_back() {
        let config = tempfile::tempdir().unwrap();
        let autostart = autostart(config.path());
        assert_eq!(autostart.status(), Status::Disabled);
        assert_eq!(autostart.enable(Click::by_user()), Ok(Status::Enabled));
        assert!(config.path().join("autostart/app.mcpproxy.tray.desktop").exists());
        assert_eq!(autostart.disable(Click::by_user()), Ok(Status::Disabled));
        assert_eq!(autostart.disable(Click::by_user()), Ok(Status::Disabled));
        assert!(!autostart.entry().exists());
    }

    #[test]
    fn the_terminal_of_an_editor_changes_nothing() {
        let config = tempfile::tempdir().unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = Environment::from_iter([
            variable("XDG_CONFIG_HOME", &config.path().display().to_string()),
            variable("APPIMAGE", "/home/u/Cursor-1.7.AppImage"),
            variable("APPDIR", "/tmp/.mount_CursorX"),
            variable("SNAP", "/snap/code/180"),
            variable("FLATPAK_ID", "com.visualstudio.code"),
        ]);
        let autostart = Autostart::of_this_program(&environment, Path::new("/nonexistent")).unwrap();
        assert_eq!(autostart.enable(Click::by_user()), Ok(Status::Enabled));
        let text = std::fs::read_to_string(autostart.entry()).unwrap();
        assert_eq!(linux::Entry::parse(&text).program, std::env::current_exe().unwrap().display().to_string());
    }

    #[test]
    fn an_app_image_that_is_reached_by_a_link_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("mounted");
        std::fs::create_dir(&mounted).unwrap();
        std::os::unix::fs::symlink(&mounted, folder.path().join("link")).unwrap();
        let environment = Environment::from_iter([
            ("APPIMAGE".to_owned(), "/home/u/MCP.AppImage".to_owned()),
            ("APPDIR".to_owned(), folder.path().join("link").display().to_string()),
        ]);
        let executable = std::fs::canonicalize(&mounted).unwrap().join("usr/bin/tray");
        let installed = surroundings(&environment, &executable, false).installed();
        assert_eq!(installed.program, Path::new("/home/u/MCP.AppImage"));
    }

    #[test]
    fn the_persons_own_no_stands_until_a_click() {
        let config = tempfile::tempdir().unwrap();
        let autostart = autostart(config.path());
        autostart.enable(Click::by_user()).unwrap();
        let text = std::fs::read_to_string(autostart.entry()).unwrap() + "Hidden=true\n";
        files::replace_private(autostart.entry(), text.as_bytes()).unwrap();
        autostart.correct_stale_path();
        assert_eq!(autostart.status(), Status::DisabledInSystem);
        assert_eq!(autostart.enable(Click::by_user()), Ok(Status::Enabled));
    }

    #[test]
    fn a_config_directory_that_cannot_be_written_is_said() {
        let config = tempfile::tempdir().unwrap();
        let file = config.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = autostart(&file).enable(Click::by_user()).unwrap_err();
        assert!(error.contains("could not write"), "{error}");
    }
}

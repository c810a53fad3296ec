//! Reads and writes the XDG autostart entry.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Consent, Status, linux};
use crate::contract::names;
use crate::os::environment::Environment;
use crate::os::files;

/// An entry longer than this was not written by anybody.
const LONGEST_ENTRY: u64 = 64 << 10;

/// This person's autostart entry.
#[derive(Debug, Clone)]
pub struct System {
    program: Result<String, String>,
    entry: PathBuf,
    /// System-wide entries that start us when there is none of ours.
    shared: Vec<PathBuf>,
}

impl System {
    /// The entry for `program`, in `$XDG_CONFIG_HOME` or `~/.config`.
    pub fn new(program: Result<String, String>, home: &Path, environment: &Environment) -> System {
        // The base-directory specification: a relative path counts as unset.
        let configured = environment.non_empty("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let config = configured.unwrap_or_else(|| home.join(".config"));
        System {
            program,
            entry: config.join("autostart").join(names::AUTOSTART_ENTRY),
            shared: vec![Path::new("/etc/xdg/autostart").join(names::AUTOSTART_ENTRY)],
        }
    }

    /// What the system would do at the next login.
    pub fn status(&self) -> Status {
        if let Err(why) = &self.program {
            return Status::Impossible(why.clone());
        }
        match self.read() {
            Ok(Some(entry)) => linux::status(Some(&entry)),
            Ok(None) if self.shared.iter().any(|path| path.exists()) => Status::Enabled,
            Ok(None) => Status::Disabled,
            Err(error) => Status::Impossible(error.to_string()),
        }
    }

    /// Starts MCPProxy at every login from now on.
    ///
    /// # Errors
    /// What the system says.
    pub fn enable(&self, _consent: Consent) -> Result<(), String> {
        self.write_enabled()
    }

    /// No longer starts MCPProxy at login.
    ///
    /// # Errors
    /// What the system says.
    pub fn disable(&self) -> Result<(), String> {
        let done = if self.shared.iter().any(|path| path.exists()) {
            // Without ours the system-wide entry would count again.
            self.write(&linux::hiding_entry())
        } else {
            match fs::remove_file(&self.entry) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        done.map_err(|error| format!("cannot remove `{}`: {error}", self.entry.display()))
    }

    /// Corrects the path in our own enabled entry after the program was moved; enables nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn correct(&self) -> Result<(), String> {
        let (Ok(program), Ok(Some(entry))) = (&self.program, self.read()) else { return Ok(()) };
        if linux::is_stale(&entry, program, |old| Path::new(old).exists()) {
            self.write_enabled()
        } else {
            Ok(())
        }
    }

    /// Where the person can change it, when this program cannot.
    pub fn settings(&self) -> String {
        self.entry.display().to_string()
    }

    fn write_enabled(&self) -> Result<(), String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        self.write(&linux::entry(program))
            .map_err(|error| format!("cannot write `{}`: {error}", self.entry.display()))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        if let Some(directory) = self.entry.parent() {
            fs::create_dir_all(directory)?;
        }
        files::replace_private(&self.entry, text.as_bytes())
    }

    fn read(&self) -> io::Result<Option<String>> {
        match files::read_bounded(&self.entry, LONGEST_ENTRY) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent() -> Consent {
        Consent::of_answer(crate::tray::first_run::Answer::Continue { ticked: true }).unwrap()
    }

    fn system(home: &Path) -> System {
        System::new(Ok("/opt/My App/tray".into()), home, &Environment::default())
    }

    #[test]
    fn on_off_and_on_again_are_what_the_system_says() {
        let home = tempfile::tempdir().unwrap();
        let system = system(home.path());
        assert_eq!(system.status(), Status::Disabled);
        system.enable(consent()).unwrap();
        system.enable(consent()).unwrap();
        assert_eq!(system.status(), Status::Enabled);
        assert!(home.path().join(".config/autostart/app.mcpproxy.tray.desktop").exists());
        system.disable().unwrap();
        system.disable().unwrap();
        assert_eq!(system.status(), Status::Disabled);
        assert_eq!(fs::read_dir(home.path().join(".config/autostart")).unwrap().count(), 0);
    }

    #[test]
    fn the_configuration_directory_is_the_persons_own() {
        let (home, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let set =
            |value: &str| -> Environment { [("XDG_CONFIG_HOME".to_owned(), value.to_owned())].into_iter().collect() };
        let moved = System::new(Ok("/a".into()), home.path(), &set(&config.path().display().to_string()));
        moved.enable(consent()).unwrap();
        assert!(config.path().join("autostart").join(names::AUTOSTART_ENTRY).exists());
        let relative = System::new(Ok("/a".into()), home.path(), &set("config"));
        assert!(relative.entry.starts_with(home.path()));
    }

    #[test]
    fn a_move_of_the_program_corrects_the_path_and_enables_nothing() {
        let home = tempfile::tempdir().unwrap();
        let old = System::new(Ok("/nowhere/tray".into()), home.path(), &Environment::default());
        let new = system(home.path());
        new.correct().unwrap();
        assert_eq!(new.status(), Status::Disabled);
        old.enable(consent()).unwrap();
        new.correct().unwrap();
        assert!(fs::read_to_string(&new.entry).unwrap().contains("\"/opt/My App/tray\""));
    }

    #[test]
    fn with_a_system_wide_entry_off_hides_it() {
        let home = tempfile::tempdir().unwrap();
        let mut system = system(home.path());
        let shared = home.path().join("shared.desktop");
        files::replace_private(&shared, linux::entry("/a").as_bytes()).unwrap();
        system.shared = vec![shared];
        assert_eq!(system.status(), Status::Enabled);
        system.disable().unwrap();
        assert_eq!(system.status(), Status::DisabledInSystem);
        system.enable(consent()).unwrap();
        assert_eq!(system.status(), Status::Enabled);
    }

    #[test]
    fn a_directory_in_the_entrys_place_is_told_and_not_a_panic() {
        let home = tempfile::tempdir().unwrap();
        let system = system(home.path());
        fs::create_dir_all(&system.entry).unwrap();
        assert!(matches!(system.status(), Status::Impossible(_)));
        assert!(system.enable(consent()).is_err());
    }
}

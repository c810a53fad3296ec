//! The XDG autostart entry as a value: its text, and the state that an existing entry means.
//!
//! The crate auto-launch is not used on Linux: it writes the command unquoted, ignores `XDG_CONFIG_HOME`, treats every
//! file as enabled and overwrites the user's own changes (pitfalls B2–B4).

use std::path::{Path, PathBuf};

use super::Status;
use crate::contract::names;

/// The contents of an autostart entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The program of its command, unquoted; empty if the command cannot be parsed.
    pub program: String,
    /// `Hidden=true` or `X-GNOME-Autostart-enabled=false`: the user turned it off.
    pub switched_off: bool,
}

impl Entry {
    /// Parses an entry. Only the first group counts.
    pub fn parse(text: &str) -> Entry {
        let mut entry = Entry {
            program: String::new(),
            switched_off: false,
        };
        let mut in_group = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                in_group = line == "[Desktop Entry]";
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| in_group) else { continue };
            match (key.trim(), value.trim()) {
                ("Hidden", "true") | ("X-GNOME-Autostart-enabled", "false") => entry.switched_off = true,
                ("Exec", command) => entry.program = program_of(&unescape(command)),
                _ => {}
            }
        }
        entry
    }

    /// The launch-at-login state that this entry means.
    pub fn status(&self) -> Status {
        if self.switched_off { Status::DisabledInSystem } else { Status::Enabled }
    }
}

/// The text of an entry for a program (its own path, or the path of its AppImage).
pub fn text(program: &str) -> String {
    let argument = names::AUTOSTART_ARGUMENT;
    format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Name={name}\n\
         Comment=One local MCP endpoint for every AI client\n\
         Exec={exec} {argument}\n\
         TryExec={try_exec}\n\
         Icon={icon}\n\
         Terminal=false\n\
         StartupNotify=false\n\
         Categories=Utility;\n\
         X-GNOME-Autostart-enabled=true\n",
        name = names::PRODUCT,
        exec = escape(&quote(program)),
        try_exec = escape(program),
        icon = names::APP_ID,
    )
}

/// How this program was installed, according to the system and the environment. The paths have no symbolic links.
///
/// Programs started from an AppImage or a snap inherit its variables: an editor's terminal passes on the editor's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    pub executable: PathBuf,
    /// `APPIMAGE`: the AppImage's file.
    pub app_image: Option<PathBuf>,
    /// `APPDIR`: where the AppImage is mounted.
    pub app_dir: Option<PathBuf>,
    /// `SNAP`: where the snap is mounted.
    pub snap: Option<PathBuf>,
    /// Whether `/.flatpak-info` exists, which the system creates in every Flatpak sandbox.
    pub has_flatpak_info: bool,
}

/// The program to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The program, or the AppImage that holds it.
    pub program: PathBuf,
    /// Whether this program runs in a Flatpak or a snap.
    pub sandboxed: bool,
}

impl Surroundings {
    /// Trusts the variables of an AppImage or a snap only if this program is part of it.
    pub fn installed(self) -> Installed {
        let executable = self.executable;
        let holds_this = |mount: Option<PathBuf>| {
            mount.is_some_and(|mount| {
                mount.is_absolute() && mount.parent().is_some() && executable != mount && executable.starts_with(mount)
            })
        };
        let sandboxed = self.has_flatpak_info || holds_this(self.snap);
        let is_app_image = holds_this(self.app_dir);
        let image = self.app_image.filter(|image| is_app_image && image.is_absolute());
        Installed {
            program: image.unwrap_or(executable),
            sandboxed,
        }
    }
}

/// Why a program at this path cannot be registered; `None` when it can.
pub fn obstacle(program: &Path, sandboxed: bool) -> Option<String> {
    let shown = program.display();
    if sandboxed {
        return Some(
            "this is a sandboxed program (Flatpak or Snap): switch it on in the system's own settings".to_owned(),
        );
    }
    if program.starts_with("/tmp")
        && program.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".mount_"))
    {
        return Some(format!("`{shown}` exists only while the AppImage runs: start the AppImage itself"));
    }
    match program.to_str() {
        None => Some(format!("the path `{shown}` is not Unicode, which an autostart entry must be: move the program")),
        Some(path) if path.contains(['\n', '\r', '=']) => {
            Some(format!("the path `{shown}` has a character that an autostart entry cannot hold: move the program"))
        }
        Some(_) => None,
    }
}

/// Whether to replace the path in an enabled entry: only if that path no longer exists.
///
/// A path that still works may belong to another installation that the user chose.
pub fn corrected(entry: &Entry, current: &str, exists: impl Fn(&str) -> bool) -> bool {
    let stale = !entry.program.is_empty() && entry.program != current && !exists(&entry.program);
    stale && !entry.switched_off
}

/// Quotes an argument of `Exec` (desktop entry specification, *The Exec key*).
fn quote(argument: &str) -> String {
    let mut quoted = String::from("\"");
    for c in argument.chars() {
        match c {
            '"' | '`' | '$' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Escapes a value (desktop entry specification, *Possible value types*), in addition to [`quote`].
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\")
}

fn unescape(value: &str) -> String {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('s') => text.push(' '),
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            (c, false) => text.push(c),
        }
    }
    text
}

/// The first argument of a command line, unquoted.
fn program_of(command: &str) -> String {
    let mut program = String::new();
    let mut characters = command.trim_start().chars().peekable();
    let quoted = characters.next_if_eq(&'"').is_some();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted => break,
            ' ' | '\t' if !quoted => break,
            '\\' if quoted => program.extend(characters.next()),
            '%' => program.extend(characters.next_if_eq(&'%')),
            _ => program.push(c),
        }
    }
    program
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_path_gives_a_plain_entry() {
        let text = text("/usr/bin/mcpproxy-tray");
        assert!(text.contains("\nExec=\"/usr/bin/mcpproxy-tray\" --autostart\n"), "{text}");
        assert!(text.contains("\nTryExec=/usr/bin/mcpproxy-tray\n"), "{text}");
        assert!(text.ends_with('\n'));
        assert_eq!(Entry::parse(&text).status(), Status::Enabled);
    }

    #[test]
    fn the_persons_own_no_is_read_in_both_spellings() {
        let hidden = "[Desktop Entry]\nExec=x\nHidden=true\n";
        let gnome = "[Desktop Entry]\nExec=\"/a b\" --autostart\nX-GNOME-Autostart-enabled=false\n";
        assert_eq!(Entry::parse(hidden).status(), Status::DisabledInSystem);
        assert_eq!(Entry::parse(gnome).status(), Status::DisabledInSystem);
        assert_eq!(Entry::parse(gnome).program, "/a b");
    }

    #[test]
    fn keys_of_another_group_do_not_count() {
        let text = "[Desktop Entry]\nExec=/a\n[Desktop Action x]\nHidden=true\nExec=/b\n";
        assert_eq!(
            Entry::parse(text),
            Entry {
                program: "/a".into(),
                switched_off: false
            }
        );
    }

    #[test]
    fn only_a_path_that_leads_nowhere_is_corrected_and_only_when_enabled() {
        let entry = |off| Entry {
            program: "/old".into(),
            switched_off: off,
        };
        assert!(corrected(&entry(false), "/new", |_| false));
        assert!(!corrected(&entry(false), "/new", |_| true));
        assert!(!corrected(&entry(true), "/new", |_| false));
        assert!(!corrected(&entry(false), "/old", |_| false));
    }

    #[test]
    fn what_vanishes_or_cannot_be_written_is_an_obstacle() {
        assert!(obstacle(Path::new("/tmp/.mount_abc/usr/bin/mcpproxy-tray"), false).is_some());
        assert!(obstacle(Path::new("/opt/a\nb"), false).is_some());
        assert!(obstacle(Path::new("/app/bin/mcpproxy-tray"), true).is_some());
        assert_eq!(obstacle(Path::new("/opt/größe 100%/漢字 \"x\"/tray"), false), None);
    }

    #[test]
    fn variables_of_another_program_are_not_ours() {
        let of = |executable: &str, [image, mount, snap]: [&str; 3], has_flatpak_info| {
            let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
            let surroundings = Surroundings {
                executable: executable.into(),
                app_image: path(image),
                app_dir: path(mount),
                snap: path(snap),
                has_flatpak_info,
            };
            let installed = surroundings.installed();
            (installed.program.display().to_string(), installed.sandboxed)
        };
        let (tray, cursor) = ("/usr/bin/mcpproxy-tray", "/home/u/Cursor-1.7.AppImage");
        for (executable, variables, flatpak, program, sandboxed) in [
            (tray, ["", "", ""], false, tray, false),
            // An editor's terminal.
            (tray, [cursor, "/tmp/.mount_CursorX", ""], false, tray, false),
            (tray, [cursor, "", ""], false, tray, false),
            (tray, ["", "", "/snap/code/180"], false, tray, false),
            (tray, [cursor, "/", "/"], false, tray, false),
            (tray, [cursor, tray, tray], false, tray, false),
            (tray, [cursor, "usr", "usr"], false, tray, false),
            ("/snap/code/1800/bin/tray", ["", "", "/snap/code/180"], false, "/snap/code/1800/bin/tray", false),
            // Our own package.
            (
                "/tmp/.mount_MCP1/usr/bin/tray",
                ["/home/u/MCP.AppImage", "/tmp/.mount_MCP1", ""],
                false,
                "/home/u/MCP.AppImage",
                false,
            ),
            (
                "/tmp/.mount_MCP1/usr/bin/tray",
                [cursor, "/tmp/.mount_CursorX", ""],
                false,
                "/tmp/.mount_MCP1/usr/bin/tray",
                false,
            ),
            (
                "/tmp/.mount_MCP1/usr/bin/tray",
                ["MCP.AppImage", "/tmp/.mount_MCP1", ""],
                false,
                "/tmp/.mount_MCP1/usr/bin/tray",
                false,
            ),
            ("/snap/mcpproxy/3/bin/tray", ["", "", "/snap/mcpproxy/3"], false, "/snap/mcpproxy/3/bin/tray", true),
            ("/app/bin/tray", ["", "", ""], true, "/app/bin/tray", true),
        ] {
            let expected = (program.to_owned(), sandboxed);
            assert_eq!(of(executable, variables, flatpak), expected, "{executable} {variables:?} {flatpak}");
        }
    }

    proptest! {
        #[test]
        fn any_path_comes_back_as_it_was(path in "/[^\n\r\0=]{1,60}") {
            prop_assert_eq!(Entry::parse(&text(&path)).program, path);
        }
    }
}

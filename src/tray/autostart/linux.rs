//! The XDG autostart entry as text.
//!
//! Written here and not by `auto-launch`: that one leaves `Exec` unquoted (a path with a space or `%` is then skipped
//! or starts something else), ignores `XDG_CONFIG_HOME`, and takes an entry with `Hidden=true` for enabled.

use crate::contract::names;
use crate::tray::autostart::{Status, command_line};

/// The entry that starts `program` at login.
pub fn entry(program: &str) -> String {
    let exec: Vec<String> = command_line(program).iter().map(|argument| quoted(argument)).collect();
    format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Name={name}\n\
         Comment=Keeps the MCP proxy running and shows it in the notification area\n\
         Exec={exec}\n\
         TryExec={program}\n\
         Icon={icon}\n\
         Terminal=false\n\
         StartupNotify=false\n\
         Categories=Network;\n\
         X-GNOME-Autostart-enabled=true\n",
        name = names::PRODUCT,
        exec = escaped(&exec.join(" ")),
        program = escaped(program),
        icon = names::APP_ID,
    )
}

/// The entry that hides a system-wide one of the same name.
pub fn hiding_entry() -> String {
    format!("[Desktop Entry]\nType=Application\nName={}\nHidden=true\n", names::PRODUCT)
}

/// What an entry's text means; `None` is no entry.
pub fn status(entry: Option<&str>) -> Status {
    let Some(entry) = entry else { return Status::Disabled };
    let says = |key, value: &str| field(entry, key).is_some_and(|found| found.eq_ignore_ascii_case(value));
    if says("Hidden", "true") || says("X-GNOME-Autostart-enabled", "false") {
        return Status::DisabledInSystem;
    }
    // An entry without a program starts nothing.
    if argv(entry).is_some_and(|argv| !argv.is_empty()) {
        Status::Enabled
    } else {
        Status::Disabled
    }
}

/// Whether an enabled entry is ours, and starts a program that is no longer where the entry says.
pub fn is_stale(entry: &str, program: &str, exists: impl Fn(&str) -> bool) -> bool {
    let Some(argv) = argv(entry) else { return false };
    let ours = argv.iter().any(|argument| argument == names::AUTOSTART_ARGUMENT);
    let old = argv.first().map(String::as_str).unwrap_or_default();
    status(Some(entry)) == Status::Enabled && ours && old != program && !exists(old)
}

/// The command line that an entry starts, as a session reads it.
fn argv(entry: &str) -> Option<Vec<String>> {
    let exec = unescaped(field(entry, "Exec")?);
    let (mut argv, mut word, mut in_word, mut in_quotes) = (Vec::new(), String::new(), false, false);
    let mut characters = exec.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                in_quotes = !in_quotes;
            }
            '\\' if in_quotes => word.extend(characters.next()),
            '%' => match characters.next() {
                Some('%') => word.push('%'),
                // A field code stands for files, and none are passed at login.
                _ => continue,
            },
            ' ' | '\t' if !in_quotes => {
                if std::mem::take(&mut in_word) {
                    argv.push(std::mem::take(&mut word));
                }
                continue;
            }
            other => word.push(other),
        }
        in_word = true;
    }
    if in_word {
        argv.push(word);
    }
    (!in_quotes).then_some(argv)
}

/// One argument of `Exec`: quoted, with the four characters escaped that are special in quotes, and `%` doubled.
fn quoted(argument: &str) -> String {
    let mut quoted = String::from("\"");
    for character in argument.chars() {
        match character {
            '"' | '`' | '$' | '\\' => quoted.extend(['\\', character]),
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A value of type string: the file format's own escapes, which come on top of the quoting of `Exec`.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('\n', r"\n").replace('\t', r"\t").replace('\r', r"\r")
}

fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('s') => text.push(' '),
            Some('\\') => text.push('\\'),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

fn field<'a>(entry: &'a str, key: &str) -> Option<&'a str> {
    let mut ours = false;
    for line in entry.lines().map(str::trim_end) {
        if line.starts_with('[') {
            ours = line == "[Desktop Entry]";
        } else if ours
            && let Some((found, value)) = line.split_once('=')
            && found.trim_end() == key
        {
            return Some(value.trim_start());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ODD: [&str; 6] = [
        "/usr/bin/mcpproxy-tray",
        "/opt/My App 100%/tray",
        r#"/home/ann/"quoted" $HOME `x` \back\\slash/tray"#,
        "/home/Łukasz/приложения/托盘",
        "/opt/%f %U/tray",
        "/opt/tab\there/tray",
    ];

    #[test]
    fn a_session_starts_the_very_program_whatever_its_path() {
        for program in ODD {
            let entry = entry(program);
            assert_eq!(argv(&entry).unwrap(), [program, "--autostart"], "{entry}");
            assert_eq!(status(Some(&entry)), Status::Enabled);
            assert_eq!(unescaped(field(&entry, "TryExec").unwrap()), program);
        }
    }

    /// Skipped where the validator is not installed.
    #[test]
    fn the_validator_of_the_desktop_projects_accepts_it() {
        let directory = tempfile::tempdir().unwrap();
        for (number, program) in ODD.iter().enumerate() {
            let path = directory.path().join(format!("t{number}.desktop"));
            crate::os::files::replace_private(&path, entry(program).as_bytes()).unwrap();
            let Ok(output) = std::process::Command::new("desktop-file-validate").arg(&path).output() else {
                return;
            };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }

    #[test]
    fn what_a_person_switched_off_is_off() {
        let enabled = entry("/usr/bin/mcpproxy-tray");
        assert_eq!(status(None), Status::Disabled);
        assert_eq!(status(Some(&hiding_entry())), Status::DisabledInSystem);
        assert_eq!(status(Some(&format!("{enabled}Hidden=true\n"))), Status::DisabledInSystem);
        let gnome = enabled.replace("enabled=true", "enabled=false");
        assert_eq!(status(Some(&gnome)), Status::DisabledInSystem);
        assert_eq!(status(Some("[Other]\nHidden=true\n[Desktop Entry]\nExec=x\n")), Status::Enabled);
        assert_eq!(status(Some("\u{0}garbage")), Status::Disabled);
    }

    #[test]
    fn only_our_own_enabled_entry_of_a_vanished_program_is_stale() {
        let (ours, foreign) = (entry("/old/tray"), "[Desktop Entry]\nExec=/old/tray\n");
        let gone = |_: &str| false;
        assert!(is_stale(&ours, "/new/tray", gone));
        assert!(!is_stale(&ours, "/new/tray", |_| true), "the other copy may be the wanted one");
        assert!(!is_stale(&ours, "/old/tray", gone));
        assert!(!is_stale(foreign, "/new/tray", gone));
        assert!(!is_stale(&format!("{ours}Hidden=true\n"), "/new/tray", gone));
    }

    proptest! {
        #[test]
        fn every_path_comes_back(path in "/[^\u{0}]{1,40}") {
            prop_assert_eq!(argv(&entry(&path)).unwrap(), [path.as_str(), "--autostart"]);
        }

        #[test]
        fn no_text_breaks_the_reader(text in any::<String>()) {
            let _ = status(Some(&text));
            let _ = is_stale(&text, "/x", |_| false);
        }
    }
}

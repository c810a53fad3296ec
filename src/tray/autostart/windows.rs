//! The registry values of launch at login, as values.

use crate::tray::autostart::{Status, command_line};

/// Key of the current user that Windows starts programs from.
pub const RUN_KEY: &str = r"Software\Microsoft\Windows\CurrentVersion\Run";
/// Key in which Windows keeps what the person switched off in Task Manager or Settings.
pub const APPROVED_KEY: &str = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run";
/// Where the person switches it on again.
pub const SETTINGS: &str = "ms-settings:startupapps";

/// The program as it must stand in the `Run` value: quoted, for `C:\Program Files\…` would else be searched for as
/// `C:\Program.exe` first. A path cannot hold a quote on Windows, and backslashes before a letter are plain.
pub fn quoted(program: &str) -> String {
    format!("\"{program}\"")
}

/// The whole `Run` value.
pub fn run_value(program: &str) -> String {
    let [program, argument] = command_line(program);
    format!("{} {argument}", quoted(program))
}

/// What the two values mean.
pub fn status(run: Option<&str>, approved: Option<&[u8]>) -> Status {
    match (run, approved.and_then(|bytes| bytes.first())) {
        (None, _) => Status::Disabled,
        (Some(value), _) if value.trim().is_empty() => Status::Disabled,
        // The lowest bit of the first byte is the person's "off"; what follows is when.
        (Some(_), Some(byte)) if byte & 1 == 1 => Status::DisabledInSystem,
        (Some(_), _) => Status::Enabled,
    }
}

/// Whether an enabled value is ours and names a program that is no longer there.
pub fn is_stale(run: &str, program: &str, exists: impl Fn(&str) -> bool) -> bool {
    let Some((old, rest)) = run.strip_prefix('"').and_then(|rest| rest.split_once('"')) else {
        return false;
    };
    let [_, ours] = command_line(program);
    rest.trim() == ours && !old.eq_ignore_ascii_case(program) && !exists(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits the first argument off as `CommandLineToArgvW` does.
    fn first_argument(line: &str) -> &str {
        match line.strip_prefix('"') {
            Some(rest) => rest.split('"').next().unwrap(),
            None => line.split(' ').next().unwrap(),
        }
    }

    #[test]
    fn windows_starts_the_very_program() {
        for program in [
            r"C:\Program Files\MCPProxy\mcpproxy-tray.exe",
            r"C:\Users\Łukasz 100%\托盘.exe",
        ] {
            let value = run_value(program);
            assert_eq!(first_argument(&value), program);
            assert!(value.ends_with(" --autostart"), "{value}");
        }
    }

    #[test]
    fn the_lowest_bit_of_the_first_byte_is_the_persons_off() {
        let run = Some(r#""C:\a.exe" --autostart"#);
        let table: [(&[u8], Status); 6] = [
            (&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Status::Enabled),
            (&[6, 0, 0, 0], Status::Enabled),
            (&[3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], Status::DisabledInSystem),
            (&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Status::DisabledInSystem),
            (&[7], Status::DisabledInSystem),
            (&[], Status::Enabled),
        ];
        for (approved, expected) in table {
            assert_eq!(status(run, Some(approved)), expected, "{approved:?}");
        }
        assert_eq!(status(run, None), Status::Enabled);
        assert_eq!(status(None, Some(&[3])), Status::Disabled, "a left-over of an earlier installation");
    }

    #[test]
    fn only_our_own_value_of_a_vanished_program_is_stale() {
        let ours = run_value(r"C:\old\tray.exe");
        assert!(is_stale(&ours, r"C:\new\tray.exe", |_| false));
        assert!(!is_stale(&ours, r"c:\OLD\tray.exe", |_| false));
        assert!(!is_stale(&ours, r"C:\new\tray.exe", |_| true));
        assert!(!is_stale(r"C:\old\tray.exe", r"C:\new\tray.exe", |_| false));
    }
}

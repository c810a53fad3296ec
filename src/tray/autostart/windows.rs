//! The `Run` value and Task Manager's value about it.

use super::Status;
use crate::contract::names;

/// The key that lists the user's programs that start at login.
pub const RUN: &str = r"Software\Microsoft\Windows\CurrentVersion\Run";
/// The key in which Task Manager and the system's settings store whether such a program is disabled.
pub const APPROVED: &str = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run";

/// The command of a `Run` value. It quotes the program because Windows would otherwise split a path with spaces and run
/// another program (pitfalls B9).
pub fn command(program: &str) -> String {
    format!("{} {}", quoted(program), names::AUTOSTART_ARGUMENT)
}

/// A program's path in quotes. Windows paths contain no quotes themselves.
pub fn quoted(program: &str) -> String {
    format!("\"{program}\"")
}

/// The program of a `Run` value's command, as Windows splits it.
pub fn program_of(command: &str) -> &str {
    let command = command.trim_start();
    match command.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or_default(),
        None => command.split(' ').next().unwrap_or_default(),
    }
}

/// The state that the two registry values mean. `approved` is the value under `StartupApproved\Run`: the program is
/// disabled if the lowest bit of its first byte is set, whatever follows (pitfalls B12).
pub fn status(run: Option<&str>, approved: Option<&[u8]>) -> Status {
    match (run, approved.and_then(<[u8]>::first)) {
        (None, _) => Status::Disabled,
        (Some(_), Some(first)) if first & 1 == 1 => Status::DisabledInSystem,
        (Some(_), _) => Status::Enabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_same_program_when_it_is_split_again() {
        for program in [
            r"C:\Program Files\MCPProxy\mcpproxy-tray.exe",
            r"C:\Users\Zoë 漢字\tray.exe",
            r"D:\x.exe",
        ] {
            let command = command(program);
            assert_eq!(program_of(&command), program);
            assert!(command.ends_with("\" --autostart"), "{command}");
        }
        assert_eq!(program_of("C:\\x.exe --autostart"), "C:\\x.exe");
    }

    #[test]
    fn task_managers_no_is_the_lowest_bit() {
        let run = Some("x");
        for off in [&[3, 0, 0, 0][..], &[7, 1, 2], &[3]] {
            assert_eq!(status(run, Some(off)), Status::DisabledInSystem, "{off:?}");
        }
        for on in [&[2, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9][..], &[6], &[]] {
            assert_eq!(status(run, Some(on)), Status::Enabled, "{on:?}");
        }
        assert_eq!(status(run, None), Status::Enabled);
        assert_eq!(status(None, Some(&[2])), Status::Disabled);
    }
}

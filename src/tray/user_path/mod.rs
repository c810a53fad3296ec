//! The PATH that the user has in a terminal. A desktop starts programs without the additions of the login shell's rc
//! files, and servers started from there do not find `npx`, `uvx` or `docker` (pitfalls D1–D7). On Windows PATH comes
//! from the registry, because Explorer may have an older one.
//!
//! The shell command, the parsing of its output and the merging are pure functions; [`capture`] runs the shell.

#[cfg_attr(unix, path = "login_shell.rs")]
#[cfg_attr(not(unix), path = "environment_block.rs")]
mod mechanism;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use mechanism::capture;

/// Set for the shell that the tray runs: rc files can check it, and a tray started by one does not run a shell again.
pub const ENV_ASKING: &str = "MCPPROXY_ASKING_FOR_PATH";

/// Where package managers install programs, below the home directory. Added even if no shell lists them.
const BELOW_HOME: [&str; 6] = [
    ".local/bin",
    ".cargo/bin",
    ".bun/bin",
    ".deno/bin",
    ".volta/bin",
    ".docker/bin",
];
/// The same for the whole computer.
const OF_THE_COMPUTER: [&str; 4] = [
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/snap/bin",
    "/Applications/Docker.app/Contents/Resources/bin",
];

/// The shell arguments to try, best first. `/usr/bin/env` prints the environment, because shells print PATH in
/// different ways.
pub fn attempts(shell: &Path, mark: &str) -> Vec<Vec<String>> {
    let name = shell.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let command = format!("echo {mark}; /usr/bin/env -0; echo {mark}");
    let with = |flags: &[&str], command: &str| {
        flags.iter().copied().chain(["-c", command]).map(str::to_owned).collect::<Vec<String>>()
    };
    match name.trim_end_matches(".exe") {
        // csh accepts `-l` only without other arguments; it reads the rc file without it.
        "tcsh" | "csh" => vec![with(&[], &command)],
        "nu" => vec![with(
            &["-l"],
            &format!("print '{mark}'; ^/usr/bin/env -0; print '{mark}'"),
        )],
        // Interactive first, because most users set PATH there. Some rc files fail without a terminal.
        "bash" | "zsh" | "fish" | "ksh" | "mksh" => vec![with(&["-l", "-i"], &command), with(&["-l"], &command)],
        _ => vec![with(&["-l"], &command)],
    }
}

/// The result of reading so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The second mark has not arrived yet.
    Incomplete,
    /// The value of PATH between the marks; `None` if the environment has no PATH.
    Complete(Option<Vec<u8>>),
}

/// Parses a shell's output. Ignores what its rc files print before the first mark or after the second.
pub fn read(output: &[u8], mark: &str) -> Answer {
    let find = |text: &[u8]| text.windows(mark.len()).position(|window| window == mark.as_bytes());
    let Some((_, after)) = find(output).and_then(|at| output.split_at_checked(at + mark.len())) else {
        return Answer::Incomplete;
    };
    let Some((between, _)) = find(after).and_then(|at| after.split_at_checked(at)) else {
        return Answer::Incomplete;
    };
    let between = between.strip_prefix(b"\r\n").or(between.strip_prefix(b"\n")).unwrap_or(between);
    let mut variables = between.split(|byte| *byte == 0);
    Answer::Complete(variables.find_map(|variable| variable.strip_prefix(b"PATH=").map(<[u8]>::to_vec)))
}

/// Drops the output before the first mark as it arrives: rc files may print without end.
pub fn forget_noise(output: &mut Vec<u8>, mark: &str) {
    let at = output.windows(mark.len()).position(|window| window == mark.as_bytes());
    // Only part of the mark may have arrived.
    output.drain(..at.unwrap_or(output.len().saturating_sub(mark.len())));
}

/// The value of PATH among `NAME=value` entries. Windows does not fix the case of the name.
#[cfg_attr(unix, allow(dead_code, reason = "the shell's answer is bytes and is read by `read`"))]
pub fn path_among(variables: Vec<OsString>) -> Option<OsString> {
    let value = |variable: &OsString| {
        let (name, value) = variable.to_str()?.split_once('=')?;
        name.eq_ignore_ascii_case("PATH").then(|| value.into())
    };
    variables.iter().find_map(value)
}

/// The PATH to use: the shell's entries, then the inherited ones, then existing well-known folders, each once. Leaves
/// out relative and missing entries.
pub fn merged(
    captured: &[PathBuf],
    inherited: &[PathBuf],
    home: &Path,
    exists: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let known = BELOW_HOME.iter().map(|below| home.join(below)).chain(OF_THE_COMPUTER.iter().map(PathBuf::from));
    let mut seen = HashSet::new();
    let all = captured.iter().chain(inherited).cloned().chain(known);
    all.filter(|entry| entry.is_absolute() && exists(entry) && seen.insert(entry.clone())).collect()
}

/// The value of the variable PATH; `None` if an entry contains the separator.
pub fn joined(entries: &[PathBuf]) -> Option<OsString> {
    std::env::join_paths(entries).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_gets_the_flags_it_knows() {
        let flags = |shell: &str| {
            let attempts = attempts(Path::new(shell), "M");
            attempts.iter().map(|arguments| arguments[..arguments.len() - 2].join(" ")).collect::<Vec<String>>()
        };
        assert_eq!(flags("/bin/bash"), ["-l -i", "-l"]);
        assert_eq!(flags("/usr/bin/fish"), ["-l -i", "-l"]);
        assert_eq!(flags("/bin/tcsh"), [""]);
        assert_eq!(flags("/bin/dash"), ["-l"]);
        assert_eq!(flags("/opt/nu"), ["-l"]);
        assert!(attempts(Path::new("nu"), "M")[0][2].contains("^/usr/bin/env"));
    }

    #[test]
    fn output_outside_the_marks_is_ignored() {
        let output = b"\x1b[0mwelcome PATH=/evil\nMARK\nA=PATH=/no\0PATH=/a b:/c\0Z=1\0MARK\nbye PATH=/x";
        assert_eq!(read(output, "MARK"), Answer::Complete(Some(b"/a b:/c".to_vec())));
        assert_eq!(read(b"MARK\nA=1\0MARK", "MARK"), Answer::Complete(None));
        assert_eq!(read(b"MARK\nPATH=/a", "MARK"), Answer::Incomplete);
        assert_eq!(read(b"noise", "MARK"), Answer::Incomplete);
        let mut noisy = b"noise noise MA".to_vec();
        forget_noise(&mut noisy, "MARK");
        noisy.extend(b"RK\nPATH=/a\0");
        forget_noise(&mut noisy, "MARK");
        assert_eq!(noisy, b"MARK\nPATH=/a\0");
        assert_eq!(read(b"MARK\nPATH=/\xff\0MARK", "MARK"), Answer::Complete(Some(b"/\xff".to_vec())));
    }

    #[test]
    fn windows_writes_the_name_in_any_case() {
        let block = ["=C:=C:\\x", "Pathext=.EXE", r"Path=C:\Windows;D:\nodejs", "PATH=no"].map(OsString::from).to_vec();
        assert_eq!(path_among(block), Some(r"C:\Windows;D:\nodejs".into()));
        assert_eq!(path_among(Vec::new()), None);
    }

    #[test]
    fn the_shells_entries_come_first_and_each_once() {
        let paths = |text: &[&str]| text.iter().map(PathBuf::from).collect::<Vec<PathBuf>>();
        let merged = merged(
            &paths(&["/n/bin", "", ".", "/gone", "/usr/bin"]),
            &paths(&["/usr/bin", "/bin"]),
            Path::new("/home/ann"),
            |path| !path.starts_with("/gone") && !path.starts_with("/snap") && !path.starts_with("/opt"),
        );
        let home = |below: &str| Path::new("/home/ann").join(below);
        assert_eq!(merged[..4], [paths(&["/n/bin", "/usr/bin", "/bin"]), vec![home(".local/bin")]].concat());
        assert_eq!(merged.iter().filter(|path| path.ends_with("usr/bin")).count(), 1);
    }
}

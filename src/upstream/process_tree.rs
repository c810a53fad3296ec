//! Ends what a server started in sessions of its own, which the end of its process group does not reach. Linux only; on Windows a
//! job does it.
//!
//! These processes are found by a variable that they inherit, so one that deletes it stays. Programs that a server without isolation
//! opened for the user stay, too: a browser with the user's profile, programs of the desktop, and services that the user's other
//! programs share.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::contract::names;
use crate::os::process::{Marked, ask_to_end, kill, kill_tree, marked};
use crate::os::sync::lock;

/// The end of the mark of a server without isolation, which may open programs for the user.
pub const OPEN: &str = "-open";

/// How long a process may take to exit after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// Each look reads the variables of all processes of the user.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Servers that have ended. Those that end at the same time share one look at all processes.
static ENDED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOOKING: Mutex<()> = Mutex::new(());

/// Ends the processes with this mark. Blocks for up to a second, or two if other servers end, too.
pub fn end(mark: String) {
    lock(&ENDED).push(mark);
    let _alone = lock(&LOOKING);
    let ended: BTreeSet<Vec<u8>> = lock(&ENDED).drain(..).map(String::into_bytes).collect();
    // Otherwise a look that began later than this server's end has dealt with it.
    if !ended.is_empty() {
        end_left(|variable| ended.contains(variable));
    }
}

/// Ends the processes one of whose variables is accepted.
pub fn end_left(is_mark: impl Fn(&[u8]) -> bool) {
    let until = Instant::now() + GRACE;
    let mut asked = BTreeSet::new();
    loop {
        let ending = to_end(&marked(&is_mark));
        if ending.is_empty() {
            return;
        }
        if Instant::now() >= until {
            break;
        }
        ending.iter().filter(|one| asked.insert(one.pid)).for_each(|one| ask_to_end(one.pid));
        thread::sleep(BETWEEN_LOOKS);
    }
    // One that is just being started may be missed at first.
    for _ in 0..5 {
        let ending = to_end(&marked(&is_mark));
        if ending.is_empty() {
            return;
        }
        for one in ending {
            if one.with_group { kill_tree(one.pid) } else { kill(one.pid) }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Ending {
    pid: u32,
    /// None of its process group stays.
    with_group: bool,
}

/// The processes that end: all but those that a server opened for the user, and what these started.
fn to_end(found: &[Marked]) -> Vec<Ending> {
    let mut staying: BTreeSet<u32> = found.iter().filter(|one| is_for_the_user(one)).map(|one| one.pid).collect();
    loop {
        let before = staying.len();
        let children = found.iter().filter(|one| is_open(one) && staying.contains(&one.parent)).map(|one| one.pid);
        let children: Vec<u32> = children.collect();
        staying.extend(children);
        if staying.len() == before {
            break;
        }
    }
    let ending = found.iter().filter(|one| !staying.contains(&one.pid));
    let stays_in = |group: u32| found.iter().any(|one| one.group == group && staying.contains(&one.pid));
    let ending = ending.map(|one| Ending {
        pid: one.pid,
        with_group: !stays_in(one.pid),
    });
    ending.collect()
}

fn is_open(process: &Marked) -> bool {
    process.mark.ends_with(OPEN.as_bytes())
}

fn is_for_the_user(process: &Marked) -> bool {
    let from_desktop = || process.variables.split(|byte| *byte == 0).any(|one| one.starts_with(DESKTOP_ENTRY));
    let is_known = || is_browser(&process.command) || is_shared(&process.command);
    is_open(process) && (process.is_apart || from_desktop() || is_known())
}

/// The desktop sets this variable for programs that it starts from an entry, such as the one that opens a PDF file.
const DESKTOP_ENTRY: &[u8] = b"GIO_LAUNCHED_DESKTOP_FILE=";

/// The names of browsers' programs.
const BROWSERS: [&str; 18] = [
    "firefox",
    "librewolf",
    "waterfox",
    "floorp",
    "zen-bin",
    "chrome",
    "google-chrome",
    "chromium",
    "ungoogled-chromium",
    "brave",
    "msedge",
    "microsoft-edge",
    "vivaldi",
    "opera",
    "epiphany",
    "falkon",
    "konqueror",
    "x-www-browser",
];
/// The starts of options of a browser that a program controls, and that has a profile of its own.
const CONTROLLED: [&str; 9] = [
    "--headless",
    "-headless",
    "--remote-debugging",
    "--enable-automation",
    "--user-data-dir",
    "--marionette",
    "-marionette",
    "--profile",
    "-profile",
];

/// Services that all programs of the user share, no matter which one started them: the user's own terminals may run in this `tmux`.
/// A model with a shell may have restarted this program, too.
const SHARED: [&str; 4] = ["tmux", "gpg-agent", "ssh-agent", names::CORE_PROGRAM];

/// Whether a command is a browser with the user's own profile.
fn is_browser(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    is_one_of(&BROWSERS, &program) && !words.any(|word| CONTROLLED.iter().any(|option| word.starts_with(option)))
}

fn is_shared(command: &[u8]) -> bool {
    let program = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).next().unwrap_or_default();
    is_one_of(&SHARED, &program)
}

/// Whether a program has one of these names, also with an addition: `firefox-esr`. `chromedriver` is not `chrome`.
fn is_one_of(known: &[&str], program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or_default();
    let mut additions = known.iter().filter_map(|known| name.strip_prefix(known));
    additions.any(|addition| !addition.starts_with(|c: char| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, group: u32, command: &str) -> Marked {
        Marked {
            pid,
            parent,
            group,
            mark: b"M=1-2-open".to_vec(),
            command: command.replace(' ', "\0").into_bytes(),
            ..Marked::default()
        }
    }

    fn ended(found: &[Marked]) -> Vec<(u32, bool)> {
        to_end(found).iter().map(|one| (one.pid, one.with_group)).collect()
    }

    #[test]
    fn a_browser_with_the_users_profile_stays_with_all_it_started() {
        for (command, stays) in [
            ("/usr/lib/firefox/firefox https://h/", true),
            ("/opt/google/chrome/chrome", true),
            ("chromium-browser --new-window https://h/", true),
            ("/usr/lib/firefox/firefox -headless -profile /tmp/x", false),
            ("/root/.cache/ms-playwright/chrome --remote-debugging-pipe --user-data-dir=/tmp/x", false),
            ("x-www-browser https://h/", true),
            ("/usr/bin/python3 firefox.py", false),
            ("/usr/bin/chromedriver --port=9515", false),
            ("/opt/operator", false),
            ("sleep 1000", false),
            ("", false),
        ] {
            assert_eq!(is_browser(command.replace(' ', "\0").as_bytes()), stays, "{command}");
        }
        // `xdg-open` leads the group of the browser that it started.
        let found = [
            process(7, 1, 7, "/bin/sh /usr/bin/xdg-open https://h/"),
            process(8, 7, 7, "firefox https://h/"),
            process(9, 8, 7, "/usr/lib/firefox/plugin-container"),
            process(10, 9, 7, "/usr/lib/firefox/plugin-container"),
            process(11, 1, 11, "sleep 1000"),
        ];
        assert_eq!(ended(&found), [(7, false), (11, true)]);
    }

    #[test]
    fn programs_of_the_desktop_stay() {
        let mut from_entry = process(7, 1, 7, "evince a.pdf");
        from_entry.variables = b"A=1\0GIO_LAUNCHED_DESKTOP_FILE=/usr/share/applications/evince.desktop\0".to_vec();
        let mut apart = process(8, 1, 8, "gedit");
        apart.is_apart = true;
        assert_eq!(ended(&[from_entry, apart, process(9, 1, 9, "evince a.pdf")]), [(9, true)]);
    }

    #[test]
    fn services_that_other_programs_share_stay_with_all_they_started() {
        let found = [
            process(7, 1, 7, "tmux new-session -d"),
            process(8, 7, 8, "-bash"),
            process(9, 1, 9, "/usr/bin/gpg-agent --daemon"),
            process(10, 1, 10, "/opt/mcpproxy-tray"),
            process(11, 10, 10, "/opt/mcpproxy serve"),
            process(12, 1, 12, "tmuxinator"),
        ];
        assert_eq!(ended(&found), [(12, true)]);
    }

    #[test]
    fn nothing_of_a_sandboxed_server_stays() {
        let sandboxed = |mut process: Marked| {
            process.mark = b"M=1-2".to_vec();
            process
        };
        let (mut apart, browser) = (process(8, 1, 8, "gedit"), process(7, 1, 7, "firefox"));
        apart.is_apart = true;
        assert_eq!(ended(&[sandboxed(browser), sandboxed(apart)]), [(7, true), (8, true)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn marked_processes_end_in_any_session_and_others_run_on() {
        use std::os::unix::process::ExitStatusExt;
        use std::process::{Child, Command};
        let mark = format!("TEST_MARK={}", std::process::id());
        let start = |program: &[&str], mark: &str| -> Child {
            let mut command = Command::new("setsid");
            command.args(program).env("TEST_MARK", mark).spawn().unwrap()
        };
        let own = std::process::id().to_string();
        let mut polite = start(&["sleep", "1000"], &own);
        let mut stubborn = start(&["sh", "-c", "trap '' TERM; while :; do sleep 1; done"], &own);
        let mut other = start(&["sleep", "1000"], "another");
        let runs = |child: &Child, word: &str| {
            // It has its variables and handles signals once the new program runs.
            let command = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
            command.starts_with(word.as_bytes())
        };
        while !runs(&polite, "sleep") || !runs(&stubborn, "sh") {
            thread::yield_now();
        }
        end(mark);
        assert_eq!(polite.wait().unwrap().signal(), Some(15));
        assert!(stubborn.wait().unwrap().signal().is_some());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

//! Reads the PATH of real login shells with typical rc files.
#![cfg(all(unix, feature = "tray"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by ending")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mcpproxy::tray::user_path::capture;

/// Long enough for a real shell on a busy machine, short enough for one that hangs.
const LIMIT: Duration = Duration::from_secs(3);

/// Runs the shell with these files in its home. Starts it through a script that sets HOME.
fn captured(shell: &str, files: &[(&str, &str)], limit: Duration) -> Option<Vec<PathBuf>> {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/shells"); // where scripts/test puts what the system lacks
    let program = ["/bin", "/usr/bin", tools].map(|folder| Path::new(folder).join(shell));
    let program = program.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{shell} is not installed"));
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    // The script has the shell's name, because the name selects the dialect.
    let wrapper = home.path().join("bin").join(shell);
    fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\nexport HOME='{home}' XDG_CONFIG_HOME='{home}/.config' PATH=/usr/bin:/bin\nunset ENV ZDOTDIR\nexec {program} \"$@\"\n",
        home = home.path().display(),
        program = program.display()
    );
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(capture(&wrapper, home.path(), limit))
}

fn knows_node(shell: &str, files: &[(&str, &str)]) -> bool {
    captured(shell, files, LIMIT).is_some_and(|path| path.contains(&PathBuf::from("/opt/node/bin")))
}

const SET: &str = "export PATH=/opt/node/bin:$PATH\n";

#[test]
fn every_shell_tells_what_its_own_file_adds() {
    for (shell, file, text) in [
        ("bash", ".bashrc", SET),
        ("bash", ".profile", SET),
        ("zsh", ".zshrc", SET),
        ("zsh", ".zprofile", SET),
        ("dash", ".profile", SET),
        ("fish", ".config/fish/config.fish", "set -gx PATH /opt/node/bin $PATH\n"),
        ("nu", ".config/nushell/env.nu", "$env.PATH = ($env.PATH | prepend /opt/node/bin)\n"),
        ("tcsh", ".tcshrc", "setenv PATH /opt/node/bin:$PATH\n"),
    ] {
        // A login shell of bash does not read .bashrc itself, but most .profile files do.
        let files = [
            (".bash_profile", "[ -f ~/.profile ] && . ~/.profile\n[ -f ~/.bashrc ] && . ~/.bashrc\n"),
            (file, text),
        ];
        assert!(knows_node(shell, &files), "{shell} {file}");
    }
}

#[test]
fn noisy_and_odd_files_do_not_hide_the_path() {
    for (what, text) in [
        ("megabytes", "yes | head -c 3000000\n"),
        ("escapes and a prompt", "printf '\\033[2J\\033]0;title\\007PATH=/evil\\n'; PS1='$ '\n"),
        ("errors", "no-such-command; false; set -u; echo $nothing 2>&1 || true; set +u\n"),
        ("a child that keeps the output open", "sleep 1000 &\n"),
        ("a question", "read -r answer\n"),
        ("a terminal is wanted", "stty -a; tty; test -t 0 && exec sleep 1000\n"),
    ] {
        assert!(knows_node("bash", &[(".bash_profile", &format!("{text}{SET}"))]), "{what}");
    }
}

#[test]
fn files_that_hang_crash_or_become_another_program_are_given_up_in_time() {
    for (what, text) in [
        ("hangs", "sleep 1000\n"),
        ("ignores signals", "trap '' TERM INT HUP; while :; do sleep 1000; done\n"),
        ("ends", "exit 3\n"),
        ("kills itself", "kill -9 $$\n"),
        ("becomes another program", "exec cat /dev/zero\n"),
    ] {
        let began = Instant::now();
        let path = captured("bash", &[(".bash_profile", text)], Duration::from_millis(500));
        assert_eq!(path, None, "{what}");
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
    }
}

#[test]
fn what_only_the_interactive_way_breaks_is_asked_the_other_way() {
    let files = [(".bash_profile", "case $- in *i*) exec sleep 1000 ;; esac\nexport PATH=/opt/node/bin:$PATH\n")];
    let path = captured("bash", &files, Duration::from_millis(700));
    assert!(path.is_some_and(|path| path.contains(&PathBuf::from("/opt/node/bin"))));
}

#[test]
fn a_shell_that_is_not_there_is_no_error_of_anybody() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(capture(Path::new("/no/such/shell"), Path::new("/"), LIMIT)), None);
}

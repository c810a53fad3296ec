//! Reads PATH from the user's login shell.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessSession};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{Answer, ENV_ASKING, attempts, forget_noise, read};
use crate::contract::names;
use crate::os::process;

/// Maximum size of the output. The kernel would not start a program with a larger environment.
const LONGEST_OUTPUT: usize = 8 << 20;
/// Size of one read, in bytes.
const CHUNK: usize = 64 << 10;

/// The entries of the shell's PATH. Every attempt gets `limit`; a shell that takes longer is killed with its children.
/// `None` if no attempt succeeded.
pub async fn capture(shell: &Path, home: &Path, limit: Duration) -> Option<Vec<PathBuf>> {
    // Unguessable: an rc file that prints its arguments must not end the output early.
    let mark = format!("path-{}", uuid::Uuid::new_v4().simple());
    for arguments in attempts(shell, &mark) {
        match tokio::time::timeout(limit, ask(shell, &arguments, home, &mark)).await {
            Ok(Ok(Some(path))) => return Some(std::env::split_paths(&OsString::from_vec(path)).collect()),
            Ok(Ok(None)) => tracing::info!("`{}` {} printed no PATH", shell.display(), flags(&arguments)),
            Ok(Err(error)) => tracing::info!("`{}` {}: {error}", shell.display(), flags(&arguments)),
            Err(_) => tracing::warn!(
                "`{}` {} did not answer within {} s; its startup files may be waiting for input",
                shell.display(),
                flags(&arguments),
                limit.as_secs_f32()
            ),
        }
    }
    None
}

fn flags(arguments: &[String]) -> String {
    arguments.iter().take_while(|argument| *argument != "-c").cloned().collect::<Vec<String>>().join(" ")
}

async fn ask(shell: &Path, arguments: &[String], home: &Path, mark: &str) -> io::Result<Option<Vec<u8>>> {
    let mut command = Command::new(shell);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env(ENV_ASKING, "1").env_remove(names::ENV_LAUNCHED_BY).env_remove(names::ENV_TRAY_LAUNCHED_BY);
    if home.is_dir() {
        command.current_dir(home);
    }
    let mut command = CommandWrap::from(command);
    // In its own session: an interactive shell would otherwise stop at the terminal that started the tray.
    command.wrap(KillOnDrop).wrap(ProcessSession);
    let mut child = command.spawn()?;
    let _tree = Tree(child.id());
    let mut stdout = child.stdout().take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut output = Vec::new();
    // Reads up to the second mark, not to the end: a process that an rc file started may keep the pipe open forever.
    loop {
        if let Answer::Complete(path) = read(&output, mark) {
            return Ok(path);
        }
        if output.len() > LONGEST_OUTPUT {
            return Err(io::Error::other("its output is too long"));
        }
        output.reserve(CHUNK);
        if stdout.read_buf(&mut output).await? == 0 {
            return Ok(None);
        }
        forget_noise(&mut output, mark);
    }
}

/// The shell's process group. Killed on drop.
struct Tree(Option<u32>);

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            process::kill_tree(pid);
        }
    }
}

//! Starts the process of a stdio server in a group (Unix) or job (Windows) of its own, and ends all of it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::poll_immediate;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

#[cfg(target_os = "linux")]
use crate::upstream::isolation::landlock;
#[cfg(unix)]
use crate::upstream::isolation::limits;
use crate::upstream::isolation::prepare::StartedContainer;
use crate::upstream::isolation::{Launch, engine};

/// A started server: its process and its two streams.
pub struct Spawned {
    pub process: Process,
    pub stdout: ChildStdout,
    pub stdin: ChildStdin,
}

/// The process of a server with everything it started.
#[derive(Debug)]
pub struct Process {
    child: Box<dyn ChildWrapper>,
    pid: Option<u32>,
    container: Option<StartedContainer>,
    log: PathBuf,
}

/// Longest log a server may write before it is begun anew; one older file is kept.
const LOG_LIMIT: u64 = 5 << 20;
/// Bytes of its standard error that are taken between two rests: a server that floods it must not keep others waiting.
/// Much at once and seldom: each time disturbs whatever call is under way.
const SLICE: usize = 64 << 10;
/// Bytes that are read at once of one that says little.
const AT_ONCE: usize = 4 << 10;
const REST: Duration = Duration::from_millis(50);
/// How long a server may take to end by itself, and again after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Starts a stdio server that was prepared; its standard error goes to `log`.
///
/// # Errors
/// The system's word on why it does not start.
pub fn spawn(name: &str, launch: Launch, log: &Path) -> Result<Spawned, String> {
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What it may know of this session was decided: it inherits nothing.
    command.env_clear().envs(&launch.variables);
    if let Some(directory) = &launch.working_directory {
        command.current_dir(directory);
    }
    #[cfg(target_os = "linux")]
    end_with_us(&mut command);
    #[cfg(unix)]
    restore_limits(&mut command);
    #[cfg(target_os = "linux")]
    if let Some(rules) = launch.landlock {
        shut_off(&mut command, rules);
    }
    let container = launch.container;
    let mut command = CommandWrap::from(command);
    command.wrap(KillOnDrop);
    #[cfg(unix)]
    command.wrap(process_wrap::tokio::ProcessGroup::leader());
    #[cfg(windows)]
    {
        use windows_sys::Win32::System::Threading::CREATE_NO_WINDOW;
        let mut flags = process_wrap::tokio::CreationFlags(Default::default());
        flags.0.0 = CREATE_NO_WINDOW;
        command.wrap(flags);
        command.wrap(process_wrap::tokio::JobObject);
    }
    #[cfg(target_os = "linux")]
    let started = crate::upstream::spawn_thread::on_lasting_thread(move || command.spawn());
    #[cfg(not(target_os = "linux"))]
    let started = command.spawn();
    let mut child = started.map_err(|error| format!("could not start `{name}`: {error}"))?;
    let pid = child.id();
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin().take(), child.stdout().take(), child.stderr().take())
    else {
        return Err(format!("`{name}` was started without its streams"));
    };
    tokio::spawn(copy_to_log(stderr, log.to_path_buf()));
    Ok(Spawned {
        process: Process {
            child,
            pid,
            container,
            log: log.to_path_buf(),
        },
        stdout,
        stdin,
    })
}

/// Has the system kill the process when we end, however we end. Without it, as on macOS, a server of a core that was killed
/// ends because its input does; on Windows its job does.
#[cfg(target_os = "linux")]
fn end_with_us(command: &mut Command) {
    let ask = || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?);
    // SAFETY: between fork and exec only prctl(2) is called, which takes no lock and no memory.
    unsafe {
        command.pre_exec(ask);
    }
}

/// Gives the server the limits that this program was started with.
#[cfg(unix)]
fn restore_limits(command: &mut Command) {
    let restore = || {
        limits::restore();
        Ok(())
    };
    // SAFETY: between fork and exec only setrlimit(2) is called, which takes no lock and no memory.
    unsafe {
        command.pre_exec(restore);
    }
}

/// Shuts the server off before its first instruction. If the kernel refuses, it does not start.
#[cfg(target_os = "linux")]
fn shut_off(command: &mut Command, mut rules: landlock::Prepared) {
    let apply = move || {
        limits::of_sandbox();
        rules.apply()
    };
    // SAFETY: everything was prepared before; between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(apply);
    }
}

impl Process {
    /// Waits for the process to end by itself, and says how it did.
    pub async fn ended(&mut self) -> String {
        let status = match self.child.wait().await {
            Ok(status) => status,
            Err(error) => return error.to_string(),
        };
        let explained = match &self.container {
            Some(container) => {
                let said = last_words(&self.log).await;
                engine::explain_end(status.code(), &container.image, &container.command, &said)
            }
            None => None,
        };
        explained.unwrap_or_else(|| status.to_string())
    }

    /// Ends the process and all it started: its input is closed already, so it has 2 s; then it is asked, 2 s; then
    /// the whole tree is killed.
    pub async fn end(mut self) {
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            #[cfg(unix)]
            {
                let _ = self.child.signal(rustix::process::Signal::TERM.as_raw());
                let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
            }
        }
        if let Some(container) = &self.container {
            // Ending the engine's program does not end the container.
            engine::remove(&container.engine, &container.name).await;
        }
        // Also after a clean end: a package runner may leave what it started behind.
        if let Some(pid) = self.pid {
            crate::os::process::kill_tree(pid);
        }
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
    }
}

/// The end of what a server wrote to its log.
async fn last_words(log: &Path) -> String {
    const LINES: usize = 5;
    let log = log.to_path_buf();
    let lines = tokio::task::spawn_blocking(move || crate::os::files::last_lines(&log, LINES)).await;
    lines.ok().and_then(Result::ok).unwrap_or_default().join("\n")
}

/// Drains standard error for as long as the server lives: a full pipe would stop it.
async fn copy_to_log(mut stderr: ChildStderr, path: std::path::PathBuf) {
    let mut log = Log::open(&path).await;
    let mut said = Vec::with_capacity(AT_ONCE);
    let mut since_rest = 0;
    loop {
        let Ok(1..) = stderr.read_buf(&mut said).await else { return };
        // What there is more already goes into the same write.
        while said.len() == said.capacity() && said.len() < SLICE {
            said.reserve(said.len());
            let Some(Ok(1..)) = poll_immediate(stderr.read_buf(&mut said)).await else { break };
        }
        since_rest += said.len();
        log.write(&said).await;
        said.clear();
        said.shrink_to(AT_ONCE);
        if since_rest >= SLICE {
            tokio::time::sleep(REST).await;
            since_rest = 0;
        }
    }
}

struct Log {
    path: std::path::PathBuf,
    file: Option<tokio::fs::File>,
    written: u64,
    /// The last write ended with a line.
    at_line_start: bool,
}

impl Log {
    async fn open(path: &Path) -> Log {
        let opened = tokio::fs::File::options().append(true).create(true).open(path).await;
        let file = opened.inspect_err(|error| tracing::warn!("`{}` cannot be written: {error}", path.display())).ok();
        let written = match &file {
            Some(file) => file.metadata().await.map(|metadata| metadata.len()).unwrap_or(0),
            None => 0,
        };
        Log {
            path: path.to_path_buf(),
            file,
            written,
            at_line_start: true,
        }
    }

    async fn write(&mut self, said: &[u8]) {
        // Between two lines, if it ever ends one.
        if self.written > LOG_LIMIT && (self.at_line_start || self.written > 2 * LOG_LIMIT) {
            let _ = tokio::fs::rename(&self.path, self.path.with_extension("log.1")).await;
            *self = Log::open(&self.path.clone()).await;
        }
        if let Some(file) = &mut self.file {
            let written: io::Result<()> = async {
                file.write_all(said).await?;
                file.flush().await
            }
            .await;
            if written.is_ok() {
                self.written = self.written.saturating_add(said.len() as u64);
                self.at_line_start = said.ends_with(b"\n");
            }
        }
    }
}

//! Starts the process of a stdio server in a group (Unix) or job (Windows) of its own, and ends all of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::poll_immediate;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::diagnostics::fault::Failure;
use crate::os::line_times::LineTimes;
#[cfg(unix)]
use crate::os::process::restore_file_limit;
use crate::os::rotating_file::RotatingFile;
use crate::upstream::exit::Exit;
#[cfg(target_os = "linux")]
use crate::upstream::isolation::landlock;
#[cfg(target_os = "linux")]
use crate::upstream::isolation::limits;
use crate::upstream::isolation::prepare::StartedContainer;
use crate::upstream::isolation::{Launch, engine};
use crate::upstream::stderr_tail::StderrTail;
use crate::upstream::{process_tree, start_error};

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
    stderr: StderrTail,
    container: Option<StartedContainer>,
    mark: Option<String>,
}

/// Longest log of a server before it is rotated; one older file is kept.
const LOG_LIMIT: u64 = 5 << 20;
/// Bytes of standard error that are read between two rests: a server that floods it must not delay others. Large and rare reads
/// disturb calls in flight less than small ones.
const SLICE: usize = 64 << 10;
/// Bytes that are read at once from a quiet server.
const AT_ONCE: usize = 4 << 10;
const REST: Duration = Duration::from_millis(50);
/// How long a server may take to exit by itself, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Starts a stdio server; its standard error goes to `log`.
///
/// # Errors
/// Why the program could not be started, and what to do.
pub async fn spawn(name: &str, launch: Launch, log: &Path) -> Result<Spawned, Failure> {
    let program = launch.program.clone();
    let mut command = Command::new(&program);
    command.args(&launch.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Its variables were chosen before: it inherits none of this program's.
    command.env_clear().envs(&launch.variables);
    if let Some(directory) = &launch.working_directory {
        command.current_dir(directory);
    }
    let (container, mark) = (launch.container, launch.mark);
    #[cfg(target_os = "linux")]
    end_with_us(&mut command);
    #[cfg(unix)]
    restore_limits(&mut command);
    #[cfg(target_os = "linux")]
    if let Some(rules) = launch.landlock {
        shut_off(&mut command, rules);
    }
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
    let started = crate::upstream::spawn_thread::on_spawn_thread(move || command.spawn()).await;
    #[cfg(not(target_os = "linux"))]
    let started = command.spawn();
    let mut child = started.map_err(|error| start_error::explain(name, &program, &error))?;
    let pid = child.id();
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin().take(), child.stdout().take(), child.stderr().take())
    else {
        return Err(format!("could not start `{name}`: the system gave it no standard streams").into());
    };
    let tail = StderrTail::default();
    tokio::spawn(copy_to_log(stderr, log.to_path_buf(), tail.clone()));
    Ok(Spawned {
        process: Process {
            child,
            pid,
            stderr: tail,
            container,
            mark,
        },
        stdout,
        stdin,
    })
}

/// Makes the system kill the process when this program ends, however it ends. On macOS a server of a killed core exits because its
/// input closes; on Windows its job object ends it.
#[cfg(target_os = "linux")]
fn end_with_us(command: &mut Command) {
    let ask = || Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?);
    // SAFETY: between fork and exec only prctl(2) is called, which takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(ask);
    }
}

/// Gives the server the limits that this program was started with.
#[cfg(unix)]
fn restore_limits(command: &mut Command) {
    // SAFETY: between fork and exec only setrlimit(2) is called, which takes no lock and allocates nothing.
    unsafe {
        command.pre_exec(restore_file_limit);
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
    /// The last lines of its standard error.
    pub fn stderr(&self) -> &StderrTail {
        &self.stderr
    }

    /// An exit status; for a container, what it means.
    async fn explained(&self, status: std::process::ExitStatus) -> Exit {
        let exit = Exit::of(status);
        let Some(container) = &self.container else { return exit };
        self.stderr.complete().await;
        let output = self.stderr.lines().join("\n");
        match engine::explain_end(status.code(), &container.image, &container.command, &output) {
            Some((code, text)) => Exit {
                text,
                container: Some(code),
                ..exit
            },
            None => exit,
        }
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> Exit {
        match self.child.wait().await {
            Ok(status) => self.explained(status).await,
            Err(error) => Exit {
                text: error.to_string(),
                ..Exit::default()
            },
        }
    }

    /// Ends the process and everything it started: its input is already closed, so it has 2 s to exit; then SIGTERM and 2 s more;
    /// then the whole tree is killed. Returns the exit status of a process that exited by itself.
    pub async fn end(mut self) -> Exit {
        let exited = tokio::time::timeout(GRACE, self.child.wait()).await;
        let status = match &exited {
            Ok(Ok(status)) => self.explained(*status).await,
            _ => Exit::default(),
        };
        if exited.is_err() {
            #[cfg(unix)]
            {
                let _ = self.child.signal(rustix::process::Signal::TERM.as_raw());
                let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
            }
        }
        if let Some(container) = self.container.take() {
            // Ending the engine's program does not end the container.
            engine::remove(&container.engine, &container.name).await;
        }
        // Also after a clean exit: a package runner may leave its child processes behind.
        if let Some(pid) = self.pid.take() {
            crate::os::process::kill_tree(pid);
        }
        if let Some(mark) = self.mark.take() {
            let _ = spawn_blocking(move || process_tree::end(mark)).await;
        }
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        status
    }
}

impl Drop for Process {
    /// Ends everything that is left of a start that was given up, such as one of a server that was turned off meanwhile.
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            crate::os::process::kill_tree(pid);
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(container) = self.container.take() {
            runtime.spawn(async move { engine::remove(&container.engine, &container.name).await });
        }
        if let Some(mark) = self.mark.take() {
            runtime.spawn_blocking(move || process_tree::end(mark));
        }
    }
}

/// Drains standard error as long as the server lives: a full pipe would block it.
async fn copy_to_log(mut stderr: ChildStderr, path: PathBuf, tail: StderrTail) {
    let mut log = spawn_blocking(move || open_log(path)).await.ok().flatten();
    let mut output = Vec::with_capacity(AT_ONCE);
    let mut times = LineTimes::default();
    let mut since_rest = 0;
    loop {
        let Ok(1..) = stderr.read_buf(&mut output).await else {
            tail.close();
            return;
        };
        // Whatever else is there already goes into the same write.
        while output.len() == output.capacity() && output.len() < SLICE {
            output.reserve(output.len());
            let Some(Ok(1..)) = poll_immediate(stderr.read_buf(&mut output)).await else { break };
        }
        since_rest += output.len();
        tail.push(&output);
        let written = spawn_blocking(move || {
            let stamped = times.stamp(&output, &format!("{:.3}", crate::os::clock::now()));
            let _ = log.as_mut().map(|log| log.write_all(&stamped));
            output.clear();
            output.shrink_to(AT_ONCE);
            (log, output, times)
        });
        // It fails only when the runtime ends.
        let Ok(after) = written.await else { return };
        (log, output, times) = after;
        if since_rest >= SLICE {
            tokio::time::sleep(REST).await;
            since_rest = 0;
        }
    }
}

/// Opens a server's log; a log that cannot be written must not keep the server from running.
fn open_log(path: PathBuf) -> Option<RotatingFile> {
    let shown = path.display().to_string();
    RotatingFile::open(path, LOG_LIMIT)
        .inspect_err(|error| tracing::warn!("could not write `{shown}`: {error}"))
        .ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{Pid, test_kill_process};

    use super::*;
    use crate::upstream::isolation::plan::Choice;

    #[tokio::test]
    async fn a_start_that_is_given_up_leaves_no_process() {
        let directory = tempfile::tempdir().unwrap();
        let written = directory.path().join("pid");
        let script = "sleep 600 & echo $! > \"$0.new\" && mv \"$0.new\" \"$0\"; wait";
        let launch = Launch {
            program: "/bin/sh".into(),
            arguments: ["-c".to_owned(), script.to_owned(), written.display().to_string()].to_vec(),
            variables: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            working_directory: None,
            choice: Choice::None { note: None },
            container: None,
            mark: None,
            landlock: None,
        };
        let spawned = spawn("s", launch, &directory.path().join("s.log")).await.unwrap();
        let within = tokio::time::timeout(Duration::from_secs(20), async {
            let text = loop {
                match tokio::fs::read_to_string(&written).await {
                    Ok(text) => break text,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            let started = text.trim().parse().ok().and_then(Pid::from_raw).unwrap();
            drop(spawned);
            while test_kill_process(started).is_ok() {
                tokio::task::yield_now().await;
            }
        });
        within.await.unwrap();
    }
}

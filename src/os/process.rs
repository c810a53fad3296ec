//! Other processes: checks whether one runs, asks it to exit, or kills it with its children.

/// Whether a process with this id exists and belongs to this user.
pub fn is_running(pid: u32) -> bool {
    imp::is_running(pid)
}

/// Asks a process to exit (SIGTERM). Does nothing on Windows, where a process without a window cannot be asked.
pub fn ask_to_end(pid: u32) {
    imp::ask_to_end(pid);
}

/// Kills a process and the group it leads.
pub fn kill_tree(pid: u32) {
    imp::kill_tree(pid);
}

/// Kills one process.
pub fn kill(pid: u32) {
    imp::kill(pid);
}

/// A process that was started with a certain variable. Children inherit it, also in a session of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    pub pid: u32,
    pub parent: u32,
    /// The process group.
    pub group: u32,
    /// The accepted variable, as `NAME=VALUE`.
    pub mark: Vec<u8>,
    /// The variables that it was started with, each followed by a zero byte.
    pub variables: Vec<u8>,
    /// Its program and arguments, each followed by a zero byte.
    pub command: Vec<u8>,
    /// It is in another control group than this program: the system started it as a program of its own.
    pub is_apart: bool,
}

/// The processes of this user one of whose variables is accepted, without this one. Linux only.
pub fn marked(is_marked: impl Fn(&[u8]) -> bool) -> Vec<Marked> {
    imp::processes_with(is_marked)
}

/// Whether standard input is a terminal.
pub fn stdin_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdin())
}

/// The file limit that child processes get: that of our own start.
#[cfg(unix)]
static FILE_LIMIT_AT_START: std::sync::OnceLock<rustix::process::Rlimit> = std::sync::OnceLock::new();

/// Raises the limit of open files to what the system allows, and returns it. A desktop's default of 1,024 is used up by
/// some 200 servers.
#[cfg(unix)]
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = FILE_LIMIT_AT_START.set(Rlimit {
        current: limit.current,
        maximum: limit.maximum,
    });
    let raised = Rlimit {
        // macOS takes no more than this, whatever the maximum says.
        current: if cfg!(target_os = "macos") {
            Some(limit.maximum.unwrap_or(10_240).min(10_240))
        } else {
            limit.maximum
        },
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub fn raise_file_limit() -> u64 {
    1 << 20
}

/// Gives a child process the file limit of our own start: programs that use `select` cannot cope with more. Called between
/// fork and exec.
///
/// # Errors
/// The limit could not be set.
#[cfg(unix)]
pub fn restore_file_limit() -> std::io::Result<()> {
    let Some(limit) = FILE_LIMIT_AT_START.get() else { return Ok(()) };
    let limit = rustix::process::Rlimit {
        current: limit.current,
        maximum: limit.maximum,
    };
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
}

#[cfg(unix)]
mod imp {
    use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

    use super::Marked;

    #[cfg(target_os = "linux")]
    pub(super) fn processes_with(is_marked: impl Fn(&[u8]) -> bool) -> Vec<Marked> {
        let own = std::process::id();
        let read = |pid: u32, file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let id = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(id);
        let our_group = read(own, "cgroup");
        let marked = |pid: u32| {
            let variables = read(pid, "environ");
            let mark = variables.split(|byte| *byte == 0).find(|variable| is_marked(variable))?.to_vec();
            let (parent, group) = parent_and_group(&read(pid, "stat"))?;
            let control_group = read(pid, "cgroup");
            Some(Marked {
                pid,
                parent,
                group,
                mark,
                variables,
                command: read(pid, "cmdline"),
                is_apart: !control_group.is_empty() && control_group != our_group,
            })
        };
        ids.filter(|pid| *pid != own).filter_map(marked).collect()
    }

    /// The program's name, which comes before them in parentheses, may contain anything.
    #[cfg(target_os = "linux")]
    fn parent_and_group(stat: &[u8]) -> Option<(u32, u32)> {
        let end = memchr::memrchr(b')', stat)?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace().skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn processes_with(_: impl Fn(&[u8]) -> bool) -> Vec<Marked> {
        Vec::new()
    }

    pub(super) fn kill(pid: u32) {
        if let Some(pid) = id(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    fn id(pid: u32) -> Option<Pid> {
        Pid::from_raw(i32::try_from(pid).ok()?)
    }

    pub(super) fn is_running(pid: u32) -> bool {
        id(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
    }

    pub(super) fn ask_to_end(pid: u32) {
        if let Some(pid) = id(pid) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    pub(super) fn kill_tree(pid: u32) {
        if let Some(pid) = id(pid) {
            // The first call does not reach a process that leads no group.
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(windows)]
mod imp {
    use windows_sys::Win32::Foundation::{CloseHandle, WAIT_TIMEOUT};
    use windows_sys::Win32::System::Threading::{
        OpenProcess, PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
    };

    pub(super) fn processes_with(_: impl Fn(&[u8]) -> bool) -> Vec<super::Marked> {
        Vec::new()
    }

    pub(super) fn is_running(pid: u32) -> bool {
        // SAFETY: the handle is checked, used once and closed here.
        unsafe {
            let process = OpenProcess(PROCESS_SYNCHRONIZE, 0, pid);
            if process.is_null() {
                return false;
            }
            let running = WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
            CloseHandle(process);
            running
        }
    }

    pub(super) fn ask_to_end(_pid: u32) {}

    pub(super) fn kill(pid: u32) {
        kill_tree(pid);
    }

    pub(super) fn kill_tree(pid: u32) {
        // The core's own children are in its job object, which ends with it.
        // SAFETY: the handle is checked, used once and closed here.
        unsafe {
            let process = OpenProcess(PROCESS_TERMINATE, 0, pid);
            if !process.is_null() {
                TerminateProcess(process, 1);
                CloseHandle(process);
            }
        }
    }
}

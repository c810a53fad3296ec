//! Limits on open files: raised for this process, which holds a connection per server and client, and restored for servers.

#[cfg(unix)]
use std::sync::OnceLock;

/// The limit on open files that this process was started with.
#[cfg(unix)]
static STARTED_WITH: OnceLock<rustix::process::Rlimit> = OnceLock::new();

/// Raises the soft limit on open files to the hard limit. Programs that use `select` need the old one, so servers get it back.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let started = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: started.maximum,
        maximum: started.maximum,
    };
    // macOS says that there is no limit and then refuses to set none.
    let most = rustix::process::Rlimit {
        current: Some(10_240),
        maximum: started.maximum,
    };
    let changed = setrlimit(Resource::Nofile, raised).or_else(|error| match started.current {
        Some(current) if current < 10_240 => setrlimit(Resource::Nofile, most),
        _ => Err(error),
    });
    if changed.is_ok() {
        let _ = STARTED_WITH.set(started);
    }
}

#[cfg(not(unix))]
pub fn raise() {}

/// How many files this process may have open.
#[cfg(unix)]
pub fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Gives the child the limit that this process was started with. Only system calls: it runs between fork and exec.
#[cfg(unix)]
pub fn restore() {
    if let Some(started) = STARTED_WITH.get() {
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, started.clone());
    }
}

/// Limits of a sandboxed server: no core dumps, which hold its secrets, and an end to fork bombs.
#[cfg(target_os = "linux")]
pub fn of_sandbox() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const PROCESSES: u64 = 4096;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    let most = getrlimit(Resource::Nproc).maximum.map_or(PROCESSES, |most| most.min(PROCESSES));
    let processes = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    let _ = setrlimit(Resource::Nproc, processes);
}

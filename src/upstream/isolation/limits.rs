//! Resource limits of a sandboxed server.

/// Limits of a sandboxed server: no core dumps, which hold its secrets, and an end to fork bombs.
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

//! Keeps long work off the runtime: one thread serves all clients, and others must go on meanwhile.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Work on fewer bytes ends before another thread would have taken over.
const LARGE: usize = 256 << 10;

/// Runs work on so many bytes; other tasks move to another thread if there are many.
pub fn block_in_place_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes > LARGE { block_in_place(work) } else { work() }
}

/// Runs work that waits, for a disk for example; other tasks move to another thread.
pub fn block_in_place<T>(work: impl FnOnce() -> T) -> T {
    let can = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if can { tokio::task::block_in_place(work) } else { work() }
}

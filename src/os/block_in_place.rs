//! Work on large answers, done aside: one thread serves everybody, and must not be kept from it.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Work on fewer bytes is done sooner than another thread takes over.
const LARGE: usize = 256 << 10;

/// Does the work on so many bytes; others are served meanwhile where it is much.
pub fn block_in_place_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let can = || Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes > LARGE && can() { tokio::task::block_in_place(work) } else { work() }
}

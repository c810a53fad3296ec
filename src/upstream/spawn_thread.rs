//! A thread that lives as long as the program, to start processes on.
//!
//! With the parent-death signal Linux kills a process when the *thread* that started it ends; the runtime's threads come and go.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

static JOBS: OnceLock<Option<Sender<Job>>> = OnceLock::new();

/// Runs the work on that thread, inside the current runtime, and waits for it. Copying this process takes milliseconds, in which the
/// runtime's own thread serves others.
///
/// # Errors
/// The thread could not be started, or has ended.
pub async fn on_spawn_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let (sender, receiver) = oneshot::channel();
    let job = Box::new(move || {
        let _runtime = runtime.enter();
        // The server may have been removed while it waited for this thread.
        if !sender.is_closed() {
            let _ = sender.send(work());
        }
    });
    let gone = || io::Error::other("the thread that starts servers is not running");
    JOBS.get_or_init(begin).as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(gone)?;
    receiver.await.map_err(|_| gone())?
}

fn begin() -> Option<Sender<Job>> {
    let (sender, jobs) = channel::<Job>();
    let run = move || jobs.into_iter().for_each(|job| job());
    thread::Builder::new().name("start-servers".to_owned()).spawn(run).ok()?;
    Some(sender)
}

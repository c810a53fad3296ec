//! A thread that lasts as long as the program, to start processes on.
//!
//! Linux ends a process with the thread that started it, if asked to; the threads of the runtime come and go.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::runtime::Handle;

type Job = Box<dyn FnOnce() + Send>;

static JOBS: OnceLock<Option<Sender<Job>>> = OnceLock::new();

/// Does the work there, as a part of this runtime, and waits for it.
///
/// # Errors
/// There is no such thread, or it has ended.
pub fn on_lasting_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let (tell, told) = channel();
    let job = Box::new(move || {
        let _runtime = runtime.enter();
        let _ = tell.send(work());
    });
    let gone = || io::Error::other("there is no thread to start it on");
    JOBS.get_or_init(begin).as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(gone)?;
    told.recv().map_err(|_| gone())?
}

fn begin() -> Option<Sender<Job>> {
    let (jobs, waiting) = channel::<Job>();
    let run = move || waiting.into_iter().for_each(|job| job());
    thread::Builder::new().name("start-servers".to_owned()).spawn(run).ok()?;
    Some(jobs)
}

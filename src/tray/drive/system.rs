//! The driver's access to the operating system: processes, programs and the clipboard.

use std::ffi::OsStr;
use std::io;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::os::{browser, process};
use crate::tray::autostart;
use crate::tray::start_core::{self, CoreStart};
use crate::tray::supervisor::Failure;

/// The operating system as the driver uses it. Tests record the calls instead.
pub(crate) trait System: Send + Sync + 'static {
    /// Starts a core that outlives this tray.
    ///
    /// # Errors
    /// [`Failure`]: no program exists, or the system could not start it.
    fn start_core(&self, start: &CoreStart<'_>) -> Result<StartedCore, Failure>;

    fn is_running(&self, pid: u32) -> bool;

    /// Asks a process to end (SIGTERM).
    fn ask_to_end(&self, pid: u32);

    /// Kills a process and its children.
    fn kill_tree(&self, pid: u32);

    /// Opens a file or URL with the user's program for it. Blocks.
    ///
    /// # Errors
    /// The system's error.
    fn open(&self, target: &OsStr) -> io::Result<()>;

    /// Opens a web page in the browser.
    ///
    /// # Errors
    /// The system's error.
    fn open_page(&self, url: &str) -> io::Result<()>;

    /// Opens the settings page where the user allows launch at login (macOS). Does not block.
    ///
    /// # Errors
    /// The system's error.
    fn open_login_settings(&self) -> io::Result<()>;

    /// Copies a string to the clipboard.
    ///
    /// # Errors
    /// A message for the user if there is no clipboard, or if copying fails.
    fn copy(&self, text: String) -> Result<(), String>;
}

/// A core that was just started.
pub(crate) struct StartedCore {
    pub pid: u32,
    /// Completes when the process has ended.
    pub exit: BoxFuture<'static, Exit>,
}

/// The end of a core.
pub(crate) struct Exit {
    /// Absent if a signal ended the process.
    pub code: Option<i32>,
    /// The end of its standard error.
    pub stderr: String,
}

/// The operating system of this computer.
#[derive(Default)]
pub(crate) struct ThisSystem {
    /// Kept because on X11 copied text disappears with its owner.
    clipboard: Mutex<Option<arboard::Clipboard>>,
}

impl System for ThisSystem {
    fn start_core(&self, start: &CoreStart<'_>) -> Result<StartedCore, Failure> {
        let mut child = start_core::start(start)?;
        let root = start.root.clone();
        Ok(StartedCore {
            pid: child.id().unwrap_or_default(),
            exit: Box::pin(async move {
                let code = child.wait().await.ok().and_then(|status| status.code());
                Exit {
                    code,
                    stderr: start_core::last_words(&root),
                }
            }),
        })
    }

    fn is_running(&self, pid: u32) -> bool {
        process::is_running(pid)
    }

    fn ask_to_end(&self, pid: u32) {
        process::ask_to_end(pid);
    }

    fn kill_tree(&self, pid: u32) {
        process::kill_tree(pid);
    }

    fn open(&self, target: &OsStr) -> io::Result<()> {
        open::that(target)
    }

    fn open_page(&self, url: &str) -> io::Result<()> {
        browser::open_page(url)
    }

    fn open_login_settings(&self) -> io::Result<()> {
        open::that_detached(autostart::SETTINGS)
    }

    fn copy(&self, text: String) -> Result<(), String> {
        let mut kept = self.clipboard.lock().unwrap_or_else(PoisonError::into_inner);
        let clipboard = match kept.take() {
            Some(clipboard) => clipboard,
            None => arboard::Clipboard::new().map_err(|error| error.to_string())?,
        };
        kept.insert(clipboard).set_text(text).map_err(|error| error.to_string())
    }
}

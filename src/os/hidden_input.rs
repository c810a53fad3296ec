//! Reads a line from the terminal without showing it.

use std::io;
#[cfg(any(unix, windows))]
use std::io::Write as _;

/// Asks for a line on standard error. The terminal shows nothing of what the user types.
///
/// # Errors
/// There is no terminal, or the user cancelled with Ctrl-C.
pub fn ask(prompt: &str) -> io::Result<String> {
    system::ask(prompt)
}

/// Writes the prompt. Not before the terminal hides what is typed: users and programs answer at once.
#[cfg(any(unix, windows))]
fn show(prompt: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    stderr.write_all(prompt.as_bytes())?;
    stderr.flush()
}

/// The effect of a typed byte on a line.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    More,
    Done,
    Cancelled,
}

/// Adds a typed byte to a line, as a terminal in line mode would.
#[cfg_attr(not(unix), allow(dead_code, reason = "Windows edits the line itself"))]
fn typed(line: &mut Vec<u8>, byte: u8) -> Typed {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    match byte {
        b'\n' | b'\r' => return Typed::Done,
        CTRL_C => return Typed::Cancelled,
        CTRL_D if line.is_empty() => return Typed::Cancelled,
        CTRL_U => line.clear(),
        8 | 127 => {
            // A character of several bytes goes as a whole.
            while line.pop().is_some_and(|removed| removed & 0b1100_0000 == 0b1000_0000) {}
        }
        byte => line.push(byte),
    }
    Typed::More
}

#[cfg(unix)]
mod system {
    use std::io::{self, Read as _};

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    use super::{Typed, show, typed};

    /// Restores the terminal when dropped.
    struct Restored(Termios);

    impl Drop for Restored {
        fn drop(&mut self) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        }
    }

    pub(super) fn ask(prompt: &str) -> io::Result<String> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        // Signals are off, too: a program that Ctrl-C ends here would leave a terminal that shows nothing.
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        let _restored = Restored(before);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        show(prompt)?;
        let mut line = Vec::new();
        for byte in io::stdin().lock().bytes() {
            match typed(&mut line, byte?) {
                Typed::More => {}
                Typed::Done => break,
                Typed::Cancelled => return Err(io::ErrorKind::Interrupted.into()),
            }
        }
        String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(windows)]
mod system {
    use std::io::{self, BufRead as _};
    use std::os::windows::io::AsRawHandle as _;

    use windows_sys::Win32::System::Console::{ENABLE_ECHO_INPUT, GetConsoleMode, SetConsoleMode};

    pub(super) fn ask(prompt: &str) -> io::Result<String> {
        let console = io::stdin().as_raw_handle();
        let mut before = 0;
        // SAFETY: the handle of standard input is valid for the whole run, and `before` outlives the call.
        if unsafe { GetConsoleMode(console, &mut before) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        if unsafe { SetConsoleMode(console, before & !ENABLE_ECHO_INPUT) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let shown = super::show(prompt);
        let mut line = String::new();
        let read = shown.and_then(|()| io::stdin().lock().read_line(&mut line));
        // SAFETY: as above.
        unsafe { SetConsoleMode(console, before) };
        read?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(not(any(unix, windows)))]
mod system {
    use std::io;

    pub fn ask(_prompt: &str) -> io::Result<String> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(bytes: &[u8]) -> Option<String> {
        let mut line = Vec::new();
        for byte in bytes {
            match typed(&mut line, *byte) {
                Typed::More => {}
                Typed::Done => return String::from_utf8(line).ok(),
                Typed::Cancelled => return None,
            }
        }
        None
    }

    #[test]
    fn a_hidden_line_can_be_edited_and_cancelled() {
        assert_eq!(entered(b"secret\r").as_deref(), Some("secret"));
        assert_eq!(entered("aü\u{7f}b\n".as_bytes()).as_deref(), Some("ab"));
        assert_eq!(entered(b"wrong\x15right\n").as_deref(), Some("right"));
        assert_eq!((entered(b"half\x03"), entered(b"\x04")), (None, None));
    }
}

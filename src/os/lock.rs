//! A lock on a file, held by one process and released when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::os::files;

/// A held lock; the file contains the process id of its holder. Dropping it releases the lock.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The outcome of an attempt to take a lock.
#[derive(Debug)]
pub enum Attempt {
    Held(Lock),
    /// Another process holds it; its id is known if the file contains it.
    Taken {
        pid: Option<u32>,
    },
}

impl Lock {
    /// Takes the lock, or returns at once if it is taken.
    ///
    /// # Errors
    /// The file could not be opened or locked.
    pub fn attempt(path: &Path) -> io::Result<Attempt> {
        let mut file = files::open_private(path, File::options().read(true).write(true).truncate(false))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                file.flush()?;
                Ok(Attempt::Held(Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Windows does not let others read a locked range: the id is then unknown.
                let _ = file.rewind();
                let _ = (&file).take(16).read_to_string(&mut text);
                Ok(Attempt::Taken {
                    pid: text.trim().parse().ok(),
                })
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_attempt_fails_until_the_lock_is_released() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        let Attempt::Held(first) = Lock::attempt(&path).unwrap() else {
            panic!("the first attempt must hold");
        };
        assert!(matches!(Lock::attempt(&path).unwrap(), Attempt::Taken { .. }));
        drop(first);
        assert!(matches!(Lock::attempt(&path).unwrap(), Attempt::Held(_)));
    }
}

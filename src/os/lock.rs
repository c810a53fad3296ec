//! A lock that one process of this user holds on a file, and that ends with the process, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// A held lock; the file names the process that holds it. Dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What became of an attempt to take a lock.
#[derive(Debug)]
pub enum Attempt {
    Held(Lock),
    /// Somebody else has it; the process id is there when the file says so.
    Taken {
        pid: Option<u32>,
    },
}

impl Lock {
    /// Takes the lock, or says at once that it is taken.
    ///
    /// # Errors
    /// What the system says about the file itself.
    pub fn attempt(path: &Path) -> io::Result<Attempt> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                file.flush()?;
                Ok(Attempt::Held(Lock { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Windows does not let others read a locked range: the id is then unknown, the answer is the same.
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
    fn a_second_holder_is_told_and_a_freed_lock_is_taken_again() {
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

//! Files of one user: private, bounded when read, replaced as a whole when written.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Creates a directory and its parents, for this user only (0700 on Unix); an existing one is closed to others unless it is shared (sticky).
///
/// # Errors
/// The directory could not be created; `PermissionDenied` if it belongs to another user.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let metadata = fs::metadata(path)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            let text = format!("`{}` belongs to another user", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        // The sticky bit marks a directory that all users share, such as `/tmp`: closing it would break their programs.
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 && mode & 0o1000 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    fs::create_dir_all(path)
}

/// Copies that [`set_aside`] makes of one file.
const MOST_COPIES: u32 = 100;
/// Bytes of the end of a file that [`last_lines`] reads.
const END: u64 = 1 << 20;

/// The last lines of a text file; none if the file does not exist.
///
/// # Errors
/// The file could not be read.
pub fn last_lines(path: &Path, most: usize) -> io::Result<Vec<String>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let start = file.metadata()?.len().saturating_sub(END);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may be incomplete.
    let lines: Vec<&str> = text.lines().skip(usize::from(start > 0)).collect();
    Ok(lines.iter().skip(lines.len().saturating_sub(most)).map(|line| (*line).to_owned()).collect())
}

/// Returns the complete lines of a text file after its first `from` bytes, and their end. A file that has become shorter
/// is read from its start. At most `END` bytes are read; what is before them is skipped.
///
/// # Errors
/// The file could not be read.
pub fn lines_after(path: &Path, from: u64) -> io::Result<(Vec<String>, u64)> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let from = if length < from { 0 } else { from };
    let start = from.max(length.saturating_sub(END));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(END).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        return Ok((Vec::new(), from));
    };
    bytes.truncate(end + 1);
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().skip(usize::from(start > from)).map(str::to_owned).collect();
    Ok((lines, start + end as u64 + 1))
}

/// Advice for a file or directory that cannot be created or written.
pub fn remedy(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free up space on that disk".to_owned(),
        _ => format!("make `{}` writable for your user", path.display()),
    }
}

/// Closes a file of ours to other users.
///
/// # Errors
/// What the system says.
pub fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    fs::metadata(path)?;
    Ok(())
}

/// Replaces a file as a whole (0600 on Unix): a reader or a crash finds the old content or the new one.
///
/// A symbolic link stays; the file it points to is replaced.
///
/// # Errors
/// The file could not be replaced; the old one is untouched.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = link_target(path)?;
    // Temporary files have mode 0600 on Unix and the ACL of the profile on Windows.
    let mut temporary = tempfile::Builder::new().prefix(&temporary_prefix()).tempfile_in(directory_of(&target))?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    persist(temporary, &target)?;
    sync_directory(&target)
}

/// Moves the file into place. Windows refuses while another program, such as a virus scanner, has the old file open: retries for a third
/// of a second.
fn persist(mut temporary: tempfile::NamedTempFile, target: &Path) -> io::Result<()> {
    let mut pause = Duration::from_millis(10);
    loop {
        match temporary.persist(target) {
            Ok(_) => return Ok(()),
            Err(error) if is_in_use(&error.error) && pause < Duration::from_millis(320) => temporary = error.file,
            Err(error) => return Err(error.error),
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
}

fn is_in_use(error: &io::Error) -> bool {
    // ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32))
}

/// Replaces a private file if its content is still `before` (`None`: no file): users and other programs write it, too.
///
/// # Errors
/// The file could not be replaced; the old one is untouched.
pub fn replace_private_if(path: &Path, before: Option<&[u8]>, after: &[u8]) -> io::Result<Replaced> {
    let target = link_target(path)?;
    let mut temporary = tempfile::Builder::new().prefix(&temporary_prefix()).tempfile_in(directory_of(&target))?;
    temporary.write_all(after)?;
    temporary.as_file().sync_all()?;
    put_in_place(temporary, &target, before, after.len())
}

/// The outcome of replacing a file that other programs write, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    Done,
    /// Another program has written it since it was read; it is unchanged.
    ChangedMeanwhile,
}

/// Replaces another program's file if its content is still `before` (`None`: no file). Permissions and symbolic links are kept; a new file is
/// for this user only.
///
/// # Errors
/// The file could not be replaced; the old one is untouched.
pub fn replace_shared(path: &Path, before: Option<&[u8]>, after: &[u8]) -> io::Result<Replaced> {
    let target = link_target(path)?;
    put_in_place(temporary_like(&target, &target, after)?, &target, before, after.len())
}

fn put_in_place(
    temporary: tempfile::NamedTempFile,
    target: &Path,
    before: Option<&[u8]>,
    length: usize,
) -> io::Result<Replaced> {
    if before != read_if_there(target, length.max(before.map_or(0, <[u8]>::len)))?.as_deref() {
        return Ok(Replaced::ChangedMeanwhile);
    }
    let persisted = match before {
        Some(_) => persist(temporary, target),
        None => temporary.persist_noclobber(target).map(drop).map_err(|error| error.error),
    };
    match persisted {
        Ok(()) => sync_directory(target).map(|()| Replaced::Done),
        Err(error) if before.is_none() && error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(Replaced::ChangedMeanwhile)
        }
        Err(error) => Err(error),
    }
}

/// Removes another program's file if its content is still `before`.
///
/// # Errors
/// The file could not be removed.
pub fn remove_shared(path: &Path, before: &[u8]) -> io::Result<Replaced> {
    if read_if_there(path, before.len())?.as_deref() != Some(before) {
        return Ok(Replaced::ChangedMeanwhile);
    }
    fs::remove_file(path).map(|()| Replaced::Done)
}

/// Writes a new file with the permissions of another.
///
/// # Errors
/// `AlreadyExists`, or the file could not be written.
pub fn create_like(path: &Path, like: &Path, bytes: &[u8]) -> io::Result<()> {
    temporary_like(path, like, bytes)?.persist_noclobber(path).map_err(|error| error.error)?;
    sync_directory(path)
}

fn temporary_like(path: &Path, like: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut temporary = tempfile::Builder::new().prefix(&temporary_prefix()).tempfile_in(directory_of(path))?;
    temporary.write_all(bytes)?;
    if let Ok(metadata) = fs::metadata(like) {
        temporary.as_file().set_permissions(metadata.permissions())?;
    }
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Keeps a copy of a file beside it, before it is replaced: `NAME.damaged`, `NAME.damaged-2` and so on. Returns its path.
///
/// # Errors
/// The copy could not be made; the file is unchanged in any case.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let target = link_target(path)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1..=MOST_COPIES {
        let end = if number == 1 { String::new() } else { format!("-{number}") };
        let copy = target.with_file_name(format!("{name}.damaged{end}"));
        // A second name needs no space on a full disk. Not every file system has them.
        let kept = fs::hard_link(&target, &copy).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => copy_to_new(&target, &copy),
        });
        match kept {
            Ok(()) => return sync_directory(&copy).map(|()| copy),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("`{}` has too many damaged copies beside it: delete some", target.display())))
}

fn copy_to_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new().prefix(&temporary_prefix()).tempfile_in(directory_of(to))?;
    io::copy(&mut File::open(from)?, &mut temporary)?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(to).map(drop).map_err(|error| error.error)
}

/// The first `length` + 1 bytes of a file.
fn read_if_there(path: &Path, length: usize) -> io::Result<Option<Vec<u8>>> {
    match File::open(path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(length as u64 + 1).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// `NotFound`; `InvalidData` for a directory, a pipe, a device or a longer file; or the file could not be read.
/// Never blocks on a pipe and never holds more than `limit` bytes.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` {what}", path.display()));
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Opening a FIFO without a writer would block.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(refuse(&format!("is longer than {limit} bytes")));
    }
    Ok(bytes)
}

fn link_target(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_symlink() => {
            if !is_trusted(&metadata) {
                let text = format!("`{}` is a symbolic link of another user", path.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
            fs::canonicalize(path)
        }
        _ => Ok(path.to_path_buf()),
    }
}

/// Whether a link belongs to this user or to the system.
#[cfg(unix)]
fn is_trusted(link: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    link.uid() == 0 || link.uid() == rustix::process::geteuid().as_raw()
}

/// Windows lets only administrators create links.
#[cfg(not(unix))]
fn is_trusted(_: &fs::Metadata) -> bool {
    true
}

/// Opens a file of ours: created private (0600 on Unix), never through a symbolic link. A link in its place is removed.
///
/// # Errors
/// The file could not be opened.
pub fn open_private(path: &Path, options: &mut fs::OpenOptions) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
        fs::remove_file(path)?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A link that was put there after the check makes this fail.
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options.create(true).open(path)
}

/// Opens a file of ours like [`open_private`], to write at its end.
///
/// # Errors
/// The file could not be opened.
pub fn append_private(path: &Path) -> io::Result<File> {
    open_private(path, File::options().append(true))
}

/// Opens an empty file of ours in place of the one at this path. A program that still writes to the old one keeps it.
///
/// # Errors
/// The old file could not be removed, or the new one not created.
pub fn new_private(path: &Path) -> io::Result<File> {
    remove_if_there(path)?;
    open_private(path, File::options().append(true).create_new(true))
}

/// Deletes a file, if it exists.
///
/// # Errors
/// The file exists and could not be deleted.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Deletes a directory with everything in it, as far as possible.
pub fn remove_directory(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("could not delete `{}`: {error}", path.display());
    }
}

/// Start of the names of temporary files.
const TEMPORARY: &str = ".mcpproxy-";
/// A temporary file that does not say whose it is belongs to a program that has ended, if it is this old.
const STALE: Duration = Duration::from_secs(5);

/// Names this process, for [`remove_temporaries`] of a later one.
fn temporary_prefix() -> String {
    format!("{TEMPORARY}{}-", std::process::id())
}

/// Deletes the temporary files that killed processes left in a directory, and returns how many. `is_running` tells of a
/// process whether it may still need its files.
pub fn remove_temporaries(directory: &Path, is_running: impl Fn(u32) -> bool) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_left = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY)) else {
            return false;
        };
        match rest.split_once('-').and_then(|(pid, _)| pid.parse().ok()) {
            Some(pid) => pid != std::process::id() && !is_running(pid),
            None => {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > STALE))
            }
        }
    };
    entries.filter(is_left).filter(|entry| fs::remove_file(entry.path()).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_directory_is_closed_to_others_unless_all_users_share_it() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        for (before, after) in [(0o755, 0o700), (0o1777, 0o1777), (0o700, 0o700)] {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(before)).unwrap();
            create_private_dir(directory.path()).unwrap();
            assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o7777, after);
        }
    }

    #[test]
    fn a_file_is_followed_by_complete_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        assert_eq!(lines_after(&path, 7).unwrap(), (Vec::new(), 0));
        fs::write(&path, "one\ntwo\nthr").unwrap();
        let (lines, end) = lines_after(&path, 4).unwrap();
        assert_eq!((lines, end), (vec!["two".to_owned()], 8));
        assert_eq!(lines_after(&path, end).unwrap(), (Vec::new(), 8));
        fs::write(&path, "new\n").unwrap();
        assert_eq!(lines_after(&path, end).unwrap(), (vec!["new".to_owned()], 4), "rotated");
        fs::write(&path, "x\n".repeat(usize::try_from(END).unwrap())).unwrap();
        let (lines, end) = lines_after(&path, 0).unwrap();
        assert_eq!((lines.len() as u64, end), (END / 2 - 1, END * 2));
    }

    #[test]
    fn the_files_of_killed_processes_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::write(directory.path().join(name), "secret").unwrap();
        file(".mcpproxy-1-abc");
        file(".mcpproxy-2-abc");
        file(&format!("{}abc", temporary_prefix()));
        file(".mcpproxy-fresh");
        file(".mcpproxy-older");
        file("mcp_config.json");
        let older = File::options().write(true).open(directory.path().join(".mcpproxy-older")).unwrap();
        older.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        assert_eq!(remove_temporaries(directory.path(), |pid| pid == 2), 2);
        let mut left: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let own = format!("{}abc", temporary_prefix());
        let mut expected = vec![".mcpproxy-2-abc", ".mcpproxy-fresh", &own, "mcp_config.json"];
        expected.sort_unstable();
        assert_eq!(left, expected);
        replace_private(&directory.path().join("a"), b"x").unwrap();
        assert_eq!(remove_temporaries(Path::new("/nonexistent"), |_| false), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, link) = (directory.path().join("victim"), directory.path().join("core.lock"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let mut file = append_private(&link).unwrap();
        file.write_all(b"log").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read(&link).unwrap(), b"log");
        assert!(!fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    }

    #[test]
    fn a_replaced_file_has_the_new_bytes_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        replace_private(&path, b"one").unwrap();
        replace_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_another_program_has_written_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        assert_eq!(replace_shared(&path, Some(b"one"), b"two").unwrap(), Replaced::ChangedMeanwhile);
        assert_eq!(replace_shared(&path, None, b"one").unwrap(), Replaced::Done);
        assert_eq!(replace_shared(&path, None, b"two").unwrap(), Replaced::ChangedMeanwhile);
        fs::write(&path, "one, and a long word of another program").unwrap();
        assert_eq!(replace_shared(&path, Some(b"one"), b"two").unwrap(), Replaced::ChangedMeanwhile);
        assert_eq!(remove_shared(&path, b"one").unwrap(), Replaced::ChangedMeanwhile);
        assert_eq!(fs::read(&path).unwrap(), b"one, and a long word of another program");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_the_file_behind_it_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        fs::write(&real, "one").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace_private(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"two");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn only_bounded_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(read_bounded(&fifo, 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_bounded(directory.path(), 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let long = directory.path().join("long");
        fs::write(&long, "12345678901").unwrap();
        assert_eq!(read_bounded(&long, 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_bounded(&long, 11).unwrap().len(), 11);
    }
}

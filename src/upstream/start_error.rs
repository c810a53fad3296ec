//! Why a server's program could not be started, and what to do. The checks read the file system and decide nothing else.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::config::ServerConfig;
use crate::diagnostics::fault::{Failure, Fault};

/// Replaces a leading `~` by the home directory, as a shell would.
pub fn expand_home(text: &str, home: Option<&Path>) -> Option<String> {
    let rest = text.strip_prefix('~')?;
    if !rest.is_empty() && !rest.starts_with(['/', '\\']) {
        return None;
    }
    Some(format!("{}{rest}", home?.to_str()?))
}

/// The entry with `~` expanded in its program, its arguments and its working directory. No shell does that for a server.
pub fn with_home(mut config: ServerConfig, home: Option<&Path>) -> ServerConfig {
    let expand = |text: &mut String| {
        if let Some(expanded) = expand_home(text, home) {
            *text = expanded;
        }
    };
    config.command.iter_mut().for_each(expand);
    config.args.iter_mut().for_each(expand);
    if let Some(directory) = &mut config.working_dir
        && let Some(expanded) = directory.to_str().and_then(|text| expand_home(text, home))
    {
        *directory = PathBuf::from(expanded);
    }
    config
}

/// Why a server cannot start, as far as its working directory and the path of its program show.
pub fn precheck(config: &ServerConfig) -> Option<Failure> {
    if let Some(directory) = &config.working_dir
        && let Some(text) = unusable(directory)
    {
        let directory = directory.display().to_string();
        return Some(Failure::new(Fault::WorkingDirectory { directory }, text));
    }
    let name = config.command.as_deref().unwrap_or_default();
    if !name.contains(['/', std::path::MAIN_SEPARATOR]) {
        return None;
    }
    let path = config.working_dir.as_deref().unwrap_or(Path::new("")).join(name);
    let program = path.display().to_string();
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            let text = format!("`{name}` is a directory; `command` must be a program");
            Some(Failure::new(Fault::WrongFormat { program }, text))
        }
        Ok(metadata) if !may_run(&metadata) => {
            let text = format!("`{name}` is not executable. Run: chmod +x {program}");
            Some(Failure::new(Fault::NotExecutable { program }, text))
        }
        _ => None,
    }
}

/// Why a program cannot be started in this directory.
fn unusable(directory: &Path) -> Option<String> {
    let shown = directory.display();
    match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => None,
        Ok(_) => Some(format!("`working_dir` is not a directory: `{shown}`")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("`working_dir` does not exist: `{shown}`. Create it, or correct the server's entry"))
        }
        Err(error) => Some(format!("could not use `working_dir` `{shown}`: {error}")),
    }
}

#[cfg(unix)]
fn may_run(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_metadata: &std::fs::Metadata) -> bool {
    true
}

/// The failure for a program that is in no directory of `path`.
pub fn not_found(name: &str, path: &str) -> Failure {
    let fault = Fault::CommandNotFound {
        command: name.to_owned(),
        path: path.to_owned(),
    };
    Failure::new(fault, format!("`{name}` not found. Install it, or use its full path in `command`"))
}

/// Explains the system's refusal to start a program.
pub fn explain(name: &str, program: &Path, error: &io::Error) -> Failure {
    /// Not an executable file; on Windows: not a valid application for this system.
    const WRONG_FORMAT: [i32; 2] = if cfg!(windows) { [193, 216] } else { [8, 86] };
    let start = first_bytes(program);
    let interpreter = interpreter(&start);
    let program = program.display().to_string();
    let failure = |fault, reason: String| Failure::new(fault, format!("could not start `{name}`: {reason}"));
    match error.kind() {
        io::ErrorKind::NotFound if let Some(interpreter) = interpreter => {
            let text = format!("its interpreter `{interpreter}` (first line of the file) does not exist");
            failure(Fault::InterpreterMissing { program, interpreter }, text)
        }
        io::ErrorKind::NotFound if start.starts_with(b"\x7fELF") => {
            let text = "the loader it was built for is missing; it was built for another system";
            failure(Fault::WrongFormat { program }, text.to_owned())
        }
        io::ErrorKind::NotFound => not_found(name, ""),
        io::ErrorKind::PermissionDenied => {
            let text = format!("no permission to execute it. Run: chmod +x {program}");
            failure(Fault::NotExecutable { program }, text)
        }
        _ if error.raw_os_error().is_some_and(|code| WRONG_FORMAT.contains(&code)) => {
            let is_binary = start.starts_with(b"\x7fELF") || start.starts_with(b"MZ") || is_mach(&start);
            let text = if is_binary {
                "it was built for another processor or system"
            } else {
                "it is not a program; a script needs a first line like `#!/bin/sh`"
            };
            failure(Fault::WrongFormat { program }, text.to_owned())
        }
        _ => failure(Fault::Unclassified, error.to_string()),
    }
}

/// The failure of a program that was built for another processor. Systems do not always refuse it: a shell may read it as a
/// script.
pub fn foreign_binary(name: &str, program: &Path) -> Option<Failure> {
    /// The ELF machine numbers that this computer runs.
    const NATIVE: &[u16] = if cfg!(target_arch = "x86_64") {
        &[62, 3]
    } else if cfg!(target_arch = "aarch64") {
        &[183, 40]
    } else {
        &[]
    };
    let machine = elf_machine(&first_bytes(program)).filter(|machine| !NATIVE.is_empty() && !NATIVE.contains(machine));
    machine.map(|_| {
        let program = program.display().to_string();
        let text = format!("could not start `{name}`: it was built for another processor or system");
        Failure::new(Fault::WrongFormat { program }, text)
    })
}

/// The processor that an ELF file was built for.
fn elf_machine(start: &[u8]) -> Option<u16> {
    const BIG_ENDIAN: u8 = 2;
    let order = *start.strip_prefix(b"\x7fELF")?.get(1)?;
    let machine: [u8; 2] = start.get(18..20)?.try_into().ok()?;
    Some(if order == BIG_ENDIAN {
        u16::from_be_bytes(machine)
    } else {
        u16::from_le_bytes(machine)
    })
}

fn is_mach(start: &[u8]) -> bool {
    [&b"\xcf\xfa\xed\xfe"[..], b"\xca\xfe\xba\xbe"].iter().any(|magic| start.starts_with(magic))
}

fn first_bytes(program: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    // A program that cannot be read says nothing about itself.
    let _ = std::fs::File::open(program).and_then(|file| file.take(256).read_to_end(&mut start));
    start
}

/// The interpreter that a script's first line names.
fn interpreter(start: &[u8]) -> Option<String> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    // A carriage return belongs to the name: it is why the interpreter is not found.
    let name = line.trim_start_matches(' ').split([' ', '\t']).next().filter(|name| !name.is_empty())?;
    Some(name.escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(command: &str, directory: Option<&Path>) -> ServerConfig {
        ServerConfig {
            command: Some(command.to_owned()),
            working_dir: directory.map(Path::to_path_buf),
            ..ServerConfig::default()
        }
    }

    #[test]
    fn a_tilde_is_the_home_directory_only_at_the_start_of_a_path() {
        let home = Some(Path::new("/home/u"));
        let expanded = |text| expand_home(text, home);
        assert_eq!(expanded("~").as_deref(), Some("/home/u"));
        assert_eq!(expanded("~/bin/x").as_deref(), Some("/home/u/bin/x"));
        assert_eq!((expanded("~other/x"), expanded("a~/x"), expand_home("~/x", None)), (None, None, None));
        let entry = ServerConfig {
            args: vec!["~/notes".into(), "--x".into()],
            ..config("~/bin/server", Some(Path::new("~/work")))
        };
        let entry = with_home(entry, home);
        assert_eq!(entry.command.as_deref(), Some("/home/u/bin/server"));
        assert_eq!(
            (entry.args, entry.working_dir),
            (vec!["/home/u/notes".into(), "--x".into()], Some("/home/u/work".into()))
        );
    }

    #[test]
    fn a_missing_working_directory_is_not_a_missing_program() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        let error = precheck(&config("sh", Some(&gone))).unwrap().text;
        assert!(error.contains("`working_dir` does not exist") && error.contains("gone"), "{error}");
        std::fs::write(&gone, "").unwrap();
        assert!(precheck(&config("sh", Some(&gone))).unwrap().text.contains("not a directory"));
        assert_eq!(precheck(&config("sh", Some(directory.path()))), None);
    }

    #[test]
    fn the_processor_of_an_elf_file_is_read_in_its_byte_order() {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(18, 0);
        let of = |order: u8, bytes: [u8; 2]| {
            let mut file = file.clone();
            file[5] = order;
            file.extend(bytes);
            elf_machine(&file)
        };
        assert_eq!((of(1, [62, 0]), of(1, [183, 0]), of(2, [0, 8])), (Some(62), Some(183), Some(8)));
        assert_eq!((elf_machine(&file), elf_machine(b"#!/bin/sh\n, not a program")), (None, None));
    }

    #[cfg(unix)]
    #[test]
    fn each_reason_not_to_start_has_its_own_words() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8], mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let explained = |path: &Path| {
            let error = std::process::Command::new(path).spawn().unwrap_err();
            let failure = explain("x", path, &error);
            format!("{} {}", failure.fault.code().name(), failure.text)
        };
        let plain = file("plain", b"#!/bin/sh\n", 0o644);
        assert!(precheck(&config(plain.to_str().unwrap(), None)).unwrap().text.contains("chmod +x"));
        let denied = explained(&plain);
        assert!(denied.contains("chmod +x") && denied.starts_with("MCPX_STDIO_SPAWN_EACCES "), "{denied}");
        for (name, content, code) in [
            ("script", &b"#!/no/such/python3 -u\n"[..], "MCPX_STDIO_INTERPRETER_MISSING "),
            ("elf", b"\x7fELF\x02\x01\x01 not for here", "MCPX_STDIO_SPAWN_EXEC_FORMAT "),
        ] {
            assert!(explained(&file(name, content, 0o755)).starts_with(code), "{name}");
        }
        assert!(explained(&directory.path().join("none")).starts_with("MCPX_STDIO_SPAWN_ENOENT "));
        assert!(explained(&file("script", b"#!/no/such/python3 -u\n", 0o755)).contains("`/no/such/python3`"));
        assert!(explained(&file("dos", b"#!/bin/sh\r\n", 0o755)).contains("`/bin/sh\\r`"));
        assert!(explained(&file("elf", b"\x7fELF\x02\x01\x01 not for here", 0o755)).contains("another processor"));
        assert!(explained(&directory.path().join("none")).contains("not found"));
        assert!(precheck(&config(directory.path().to_str().unwrap(), None)).unwrap().text.contains("is a directory"));
    }
}

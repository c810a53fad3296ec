//! Talks to Docker or Podman: is one there, is an image there, what went wrong.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::container::LABEL_INSTALLATION;
use super::machine::{Engine, EngineKind, NoEngine};
use crate::diagnostics::code::Code;
use crate::diagnostics::fault::{Failure, Fault};
use crate::os::files;

/// How long an engine may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long an image may take to arrive, unless the settings say more.
const PULL: Duration = Duration::from_secs(600);

/// The engines' programs in the path of the session.
pub fn programs() -> Vec<(EngineKind, PathBuf)> {
    let found = |kind: EngineKind| which::which(kind.program()).ok().map(|program| (kind, program));
    [EngineKind::Docker, EngineKind::Podman].into_iter().filter_map(found).collect()
}

/// The first engine that answers.
///
/// # Errors
/// Why none does.
pub async fn find() -> Result<Engine, NoEngine> {
    let mut problem = None;
    for (kind, program) in programs() {
        match ask(kind, &program).await {
            Ok(engine) => return Ok(engine),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| NoEngine {
        code: Code::DockerMissing,
        message: "could not find Docker or Podman. Install one of them, or set `isolation` to `sandbox`".to_owned(),
    }))
}

async fn ask(kind: EngineKind, program: &Path) -> Result<Engine, NoEngine> {
    let format = match kind {
        EngineKind::Docker => "{{.ServerVersion}} {{.SecurityOptions}}",
        EngineKind::Podman => "{{.Version.Version}} rootless={{.Host.Security.Rootless}}",
    };
    let output = run(program, &["info", "--format", format], ANSWER).await;
    let (success, stdout, stderr) = match output {
        Ok(output) => output,
        Err(error) => (false, String::new(), error),
    };
    // Docker's program prints an empty version and exits with 0 where its daemon does not run.
    let version = stdout
        .split_whitespace()
        .next()
        .is_some_and(|version| version.starts_with(|char: char| char.is_ascii_digit()));
    if success && version {
        return Ok(Engine {
            kind,
            program: program.to_path_buf(),
            rootless: stdout.contains("rootless=true") || stdout.contains("name=rootless"),
        });
    }
    Err(unusable(kind, program, &format!("{stderr}\n{stdout}")))
}

/// Why an engine that is installed cannot be used.
fn unusable(kind: EngineKind, program: &Path, said: &str) -> NoEngine {
    let name = kind.name();
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let (code, message) = if program.starts_with("/snap") || has(&["snap-confine", "snap/docker"]) {
        let help = "Install Docker from docker.com or your distribution, or Podman, and remove the snap";
        (Code::DockerSnap, format!("could not use Docker: its snap package forbids what isolation needs. {help}"))
    } else if has(&["permission denied", "access is denied"]) {
        let help = "Add yourself to its group (`sudo usermod -aG docker $USER`) and sign in again, or install Podman";
        (Code::DockerDenied, format!("could not use {name}: no permission for its socket. {help}"))
    } else if has(&["newuidmap", "newgidmap", "subuid", "subgid"]) {
        let help = "Run `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`, then `podman system migrate`";
        (Code::DockerRuntime, format!("could not use {name}: your account has no subordinate ids. {help}"))
    } else if has(&[
        "cannot connect",
        "connection refused",
        "is the docker daemon running",
        "no such file",
        "not running",
        "machine",
    ]) {
        let help = match kind {
            EngineKind::Docker => "Start Docker Desktop, or run `sudo systemctl start docker`",
            EngineKind::Podman => "Run `podman machine start`",
        };
        (Code::DockerDown, format!("could not use {name}: it is not running. {help}"))
    } else if has(&["did not answer"]) {
        (Code::DockerDown, format!("could not use {name}: it did not answer within {} s. Restart it", ANSWER.as_secs()))
    } else {
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no reason");
        (Code::DockerRuntime, format!("could not use {name}: {last}. Run `{} info` to see more", kind.program()))
    };
    NoEngine { code, message }
}

/// Has the image brought here, if it is not; what the engine says goes to `log`.
///
/// # Errors
/// Why it did not arrive, and what to do.
pub async fn provide_image(engine: &Engine, image: &str, limit: Option<Duration>, log: &Path) -> Result<(), Failure> {
    let failed = |text| Failure::new(Fault::Container(Code::DockerPull), text);
    let there = run(&engine.program, &["image", "inspect", "--format", "{{.Id}}", image], ANSWER).await;
    if there.is_ok_and(|(success, ..)| success) {
        return Ok(());
    }
    let limit = limit.map_or(PULL, |limit| limit.max(PULL));
    tracing::info!(image, "pulling the image; its progress is in the server's log");
    let mut command = command(&engine.program, &["pull", image]);
    let mut child = command.spawn().map_err(|error| format!("could not start {}: {error}", engine.kind.name()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = async {
        let (one, other) = tokio::join!(copy_lines(stdout, log), copy_lines(stderr, log));
        (child.wait().await.is_ok_and(|status| status.success()), format!("{one}\n{other}"))
    };
    match tokio::time::timeout(limit, said).await {
        Ok((true, _)) => Ok(()),
        Ok((false, said)) => Err(failed(not_pulled(image, &said))),
        Err(_) => Err(failed(format!(
            "could not pull `{image}` within {} s. Pull it yourself with `{} pull {image}`, or raise `docker_isolation.timeout`",
            limit.as_secs(),
            engine.kind.program()
        ))),
    }
}

/// Why an image did not arrive.
fn not_pulled(image: &str, said: &str) -> String {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let (cause, help) = if has(&["manifest unknown", "not found", "does not exist", "name unknown"]) {
        ("it does not exist", "Check the name in `isolation.image` or `docker_isolation.default_images`")
    } else if has(&["denied", "unauthorized", "authentication required"]) {
        ("its registry wants you to sign in", "Run `docker login` for its registry, or choose another image")
    } else if has(&[
        "no matching manifest",
        "no image found in manifest",
        "does not match the specified platform",
    ]) {
        ("there is none for this computer's processor", "Choose another image with `isolation.image`")
    } else if has(&[
        "no such host",
        "timeout",
        "connection refused",
        "network is unreachable",
        "dial tcp",
        "lookup",
    ]) {
        ("its registry could not be reached", "Check the network, or pull it yourself when there is one")
    } else if has(&["no space left"]) {
        ("the disk is full", "Free some space, for example with `docker system prune`")
    } else {
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
        return format!("could not pull `{image}`: {last}");
    };
    format!("could not pull `{image}`: {cause}. {help}")
}

/// Explains the exit of a container; `None` if the server itself exited. `said` is the end of its standard error.
pub fn explain_end(code: Option<i32>, image: &str, program: &str, said: &str) -> Option<(Code, String)> {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&[
        "exec format error",
        "does not match the detected host platform",
        "wrong architecture",
    ]) {
        let text = "is for another processor than this computer's. Choose another image with `isolation.image`";
        return Some((Code::DockerRuntime, format!("`{image}` {text}")));
    }
    let explained = match code? {
        125 if has(&["no such image", "image not known", "unable to find image"]) => {
            (Code::DockerPull, format!("the image `{image}` is gone. Restart the server to pull it again"))
        }
        125 | 126 if has(&["permission denied"]) => {
            (Code::DockerRuntime, format!("`{program}` in `{image}` may not be run: permission denied"))
        }
        125 => {
            let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
            (Code::DockerRuntime, format!("could not start the container: {last}"))
        }
        127 => {
            let is_missing =
                |line: &&str| ["not found", "no such file"].iter().any(|word| line.to_lowercase().contains(word));
            let missing = said.lines().filter(is_missing).map(str::trim).next_back()?;
            let help = "Choose one that has it with `isolation.image`";
            let text = match missing.contains(program) {
                true => format!("the image `{image}` has no `{program}`. {help}"),
                // The program is there, and lacks another one.
                false => format!("the image `{image}` lacks a program that `{program}` needs: {missing}. {help}"),
            };
            (Code::DockerNoProgram, text)
        }
        137 if !has(&["terminated"]) => {
            let text = "the container was killed, probably because it needed more memory. Raise `memory_limit`";
            (Code::DockerRuntime, format!("{text} (`{image}`)"))
        }
        _ => return None,
    };
    Some(explained)
}

/// Removes one container.
pub async fn remove(engine: &Engine, name: &str) {
    let _ = run(&engine.program, &["rm", "--force", "--volumes", name], ANSWER).await;
}

/// Removes the containers that a core of this installation left behind when it was killed.
pub async fn remove_orphans(installation: &str) -> usize {
    let mut removed = 0;
    for (_, program) in programs() {
        let filter = format!("label={LABEL_INSTALLATION}={installation}");
        let Ok((true, ids, _)) = run(&program, &["ps", "--all", "--quiet", "--filter", &filter], ANSWER).await else {
            continue;
        };
        for id in ids.split_whitespace() {
            if run(&program, &["rm", "--force", "--volumes", id], ANSWER).await.is_ok_and(|(success, ..)| success) {
                removed += 1;
            }
        }
    }
    removed
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(windows)]
    command.creation_flags(windows_sys::Win32::System::Threading::CREATE_NO_WINDOW);
    command
}

/// Runs the engine: whether it succeeded, and what it said.
async fn run(program: &Path, arguments: &[&str], limit: Duration) -> Result<(bool, String, String), String> {
    let output = tokio::time::timeout(limit, command(program, arguments).output()).await;
    let output = output.map_err(|_| "it did not answer".to_owned())?.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

/// Copies what an engine says to the server's log; returns the end of it.
async fn copy_lines(stream: Option<impl tokio::io::AsyncRead + Unpin>, log: &Path) -> String {
    const KEPT: usize = 20;
    let mut last = std::collections::VecDeque::new();
    let Some(stream) = stream else { return String::new() };
    let own = log.to_path_buf();
    let opened = tokio::task::spawn_blocking(move || files::append_private(&own)).await;
    let mut file = opened.ok().and_then(Result::ok).map(tokio::fs::File::from_std);
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(file) = &mut file {
            let _ = file.write_all(format!("{line}\n").as_bytes()).await;
        }
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_an_engine_has_its_own_message() {
        let docker = |program: &str, said: &str| unusable(EngineKind::Docker, Path::new(program), said);
        for (program, said, code, part) in [
            (
                "/usr/bin/docker",
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                "MCPX_DOCKER_DAEMON_DOWN",
                "not running",
            ),
            (
                "/usr/bin/docker",
                "permission denied while trying to connect to the Docker daemon socket",
                "MCPX_DOCKER_NO_PERMISSION",
                "usermod",
            ),
            ("/snap/bin/docker", "x", "MCPX_DOCKER_SNAP_APPARMOR", "snap"),
            ("/usr/bin/docker", "it did not answer", "MCPX_DOCKER_DAEMON_DOWN", "within 10 s"),
            ("/usr/bin/docker", "ERROR: weird\n", "MCPX_DOCKER_OCI_RUNTIME", "weird"),
        ] {
            let found = docker(program, said);
            assert_eq!(found.code.name(), code, "{said}");
            assert!(found.message.contains(part), "{}", found.message);
        }
        let podman = unusable(
            EngineKind::Podman,
            Path::new("/usr/bin/podman"),
            "exec: \"newuidmap\": executable file not found",
        );
        assert!(podman.message.contains("subordinate ids"), "{}", podman.message);
    }

    #[test]
    fn each_failure_of_an_image_has_its_own_message() {
        for (said, part) in [
            ("manifest for x:9 not found: manifest unknown", "does not exist"),
            ("pull access denied for x", "sign in"),
            ("no matching manifest for linux/arm64/v8", "processor"),
            ("dial tcp: lookup registry-1.docker.io: no such host", "could not be reached"),
            ("write /var/lib/x: no space left on device", "disk is full"),
            ("odd", "odd"),
        ] {
            assert!(not_pulled("x:9", said).contains(part), "{said}: {}", not_pulled("x:9", said));
        }
    }

    #[test]
    fn the_end_of_a_container_is_explained() {
        let explained = |code, said| explain_end(Some(code), "img", "npx", said).map(|(_, text)| text);
        assert!(explained(127, "sh: 1: exec: npx: not found").unwrap().contains("has no `npx`"));
        let other = explained(127, "Installed 3 packages\n/x/bin/server: 2: exec: ./python: not found\n").unwrap();
        assert!(other.contains("`npx` needs: /x/bin/server: 2: exec: ./python: not found"), "{other}");
        assert!(explained(1, "exec /bin/sh: exec format error").unwrap().contains("another processor"));
        assert!(explained(125, "Error: image not known").unwrap().contains("is gone"));
        assert!(explained(125, "Error: odd").unwrap().contains("odd"));
        assert!(explained(137, "").unwrap().contains("memory"));
        assert_eq!(explained(1, "Traceback"), None);
        assert_eq!(explain_end(None, "img", "npx", ""), None);
    }
}

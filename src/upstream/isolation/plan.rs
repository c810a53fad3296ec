//! Decides how a server is isolated: a pure function of its entry and of what the machine offers.

use super::images;
use super::machine::{Machine, System};
use crate::config::isolation::{Mode, Network};
use crate::config::{Protocol, ServerConfig};
use crate::contract::words::IsolationOutcome;
use crate::diagnostics::fault::{Failure, Fault};

/// The purpose of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Work,
    /// Only to list its tools. It may read its own code; a package runner downloads it and reads nothing.
    Inspection {
        reads_code: bool,
    },
}

/// How a server will be isolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It runs as any other program of yours; the note says why, where isolation was wanted.
    None {
        note: Option<String>,
    },
    /// Its command starts a container itself.
    OwnContainer,
    /// Nothing of it runs on this computer.
    Remote,
    Sandbox,
    Container,
}

impl Choice {
    /// The choice as it appears in lists and in the API.
    pub fn outcome(&self) -> IsolationOutcome {
        match self {
            Choice::None { .. } => IsolationOutcome::None,
            Choice::OwnContainer => IsolationOutcome::OwnContainer,
            Choice::Remote => IsolationOutcome::Remote,
            Choice::Sandbox => IsolationOutcome::Sandbox,
            Choice::Container => IsolationOutcome::Docker,
        }
    }
}

/// Whether the decision needs to know the container engine; finding it out takes a moment.
pub fn asks_for_engine(config: &ServerConfig, system: System, landlock: Option<u32>) -> bool {
    let sandbox_first = system == System::Linux && landlock.is_some();
    let loopback = config.isolation.network == Network::Loopback;
    match config.isolation.mode {
        Mode::Container => true,
        Mode::Auto => !sandbox_first || loopback,
        _ => false,
    }
}

/// How a server is isolated.
///
/// # Errors
/// The server must not start, because its isolation cannot be enforced. The message says how to fix it.
pub fn choose(config: &ServerConfig, machine: &Machine, is_engine: bool) -> Result<Choice, Failure> {
    if config.effective_protocol() != Protocol::Stdio {
        return Ok(Choice::Remote);
    }
    let network = config.isolation.network;
    match &config.isolation.mode {
        Mode::None => Ok(Choice::None { note: None }),
        Mode::Unknown(word) => {
            let text = format!(
                "`isolation` is `{word}`, which this version does not know: use `auto`, `sandbox`, `sandbox_or_none`, `docker` or `none`"
            );
            Err(Failure::new(Fault::InvalidEntry, text))
        }
        // One that runs in a container of its own is not put into another.
        _ if is_engine => Ok(Choice::OwnContainer),
        Mode::Sandbox => sandbox(machine, network).map(|()| Choice::Sandbox).map_err(refused),
        Mode::SandboxOrNone => Ok(match sandbox(machine, network) {
            Ok(()) => Choice::Sandbox,
            Err(note) => Choice::None { note: Some(note) },
        }),
        Mode::Container => match &machine.engine {
            Ok(_) => Ok(Choice::Container),
            Err(missing) => Err(missing.failure()),
        },
        Mode::Auto => automatic(machine, network),
    }
}

/// The sandbox starts at once and is tested on Linux; elsewhere a container is the surer choice.
fn automatic(machine: &Machine, network: Network) -> Result<Choice, Failure> {
    let sandbox = sandbox(machine, network);
    let container = machine.engine.is_ok();
    match sandbox {
        Ok(()) if machine.system == System::Linux || !container => Ok(Choice::Sandbox),
        _ if container => Ok(Choice::Container),
        // Less than was asked for is not what `auto` means.
        Err(note) if network != Network::On => Err(refused(note)),
        Err(note) => Ok(Choice::None { note: Some(note) }),
        Ok(()) => Ok(Choice::Sandbox),
    }
}

fn refused(text: String) -> Failure {
    Failure::new(Fault::IsolationRefused, text)
}

/// Whether the system's own sandbox can enforce what is wanted.
fn sandbox(machine: &Machine, network: Network) -> Result<(), String> {
    const INSTEAD: &str = "Set `isolation` to `docker`, or to `sandbox_or_none` to run the server without a sandbox";
    match machine.system {
        System::Linux if machine.landlock.is_none() => {
            Err(format!("could not enforce the sandbox: this kernel does not have Landlock enabled. {INSTEAD}"))
        }
        System::Linux if network == Network::Loopback => Err(format!(
            "could not limit the network to this computer: Linux's sandbox knows `off` and `on` only. {INSTEAD}, or change `network`"
        )),
        System::Linux => Ok(()),
        System::MacOs if machine.seatbelt => Ok(()),
        System::MacOs => Err(format!("could not enforce the sandbox: `sandbox-exec` was not found. {INSTEAD}")),
        System::Windows | System::Other => {
            Err(format!("could not enforce the sandbox: MCPProxy has none for this system. {INSTEAD}"))
        }
    }
}

/// Whether a command is a container engine: exactly that program, not just any path that contains its name.
pub fn is_engine_command(command: &str, program: Option<&std::path::Path>, engines: &[std::path::PathBuf]) -> bool {
    let named = matches!(images::program_name(command), "docker" | "podman");
    named && program.is_some_and(|program| engines.iter().any(|engine| engine == program))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::machine::{Engine, EngineKind, NoEngine};
    use super::*;

    fn machine(system: System, landlock: Option<u32>, engine: bool) -> Machine {
        let found = Engine {
            kind: EngineKind::Podman,
            program: PathBuf::from("/usr/bin/podman"),
            rootless: true,
        };
        let missing = NoEngine {
            code: crate::diagnostics::code::Code::DockerMissing,
            message: "no engine".to_owned(),
        };
        Machine {
            system,
            landlock,
            seatbelt: system == System::MacOs,
            engine: if engine { Ok(found) } else { Err(missing) },
            home: None,
            data_directory: PathBuf::from("/d"),
            ids: None,
        }
    }

    fn chosen(machine: &Machine, mode: &str, network: Network) -> String {
        let mut config = ServerConfig {
            name: "s".to_owned(),
            command: Some("npx".to_owned()),
            ..ServerConfig::default()
        };
        config.isolation.mode = Mode::from(mode);
        config.isolation.network = network;
        match choose(&config, machine, false) {
            Ok(choice) => choice.outcome().to_string(),
            Err(error) => format!("refused: {}", error.text.split([':', '.']).next().unwrap_or_default()),
        }
    }

    #[test]
    fn each_mode_on_each_machine() {
        use System::{Linux, MacOs, Windows};
        let refused = "refused: could not enforce the sandbox";
        let on = Network::On;
        for (system, landlock, engine, mode, network, expected) in [
            (Linux, Some(7), false, "auto", on, "sandbox"),
            (Linux, Some(1), true, "auto", on, "sandbox"),
            (Linux, None, true, "auto", on, "docker"),
            (Linux, None, false, "auto", on, "none"),
            (Linux, None, false, "auto", Network::Off, refused),
            (Linux, Some(7), true, "auto", Network::Loopback, "docker"),
            (Linux, Some(7), false, "auto", Network::Loopback, "refused: could not limit the network to this computer"),
            (MacOs, None, true, "auto", on, "docker"),
            (MacOs, None, false, "auto", on, "sandbox"),
            (Windows, None, false, "auto", on, "none"),
            (Linux, Some(7), true, "sandbox", on, "sandbox"),
            (Linux, None, true, "sandbox", on, refused),
            (Windows, None, true, "sandbox", on, refused),
            (Linux, None, true, "sandbox_or_none", on, "none"),
            (Linux, Some(7), true, "sandbox_or_none", on, "sandbox"),
            (Linux, Some(7), true, "docker", on, "docker"),
            (Linux, Some(7), false, "docker", on, "refused: no engine"),
            (Linux, Some(7), true, "none", on, "none"),
            (Linux, Some(7), true, "vault", on, "refused: `isolation` is `vault`, which this version does not know"),
        ] {
            assert_eq!(
                chosen(&machine(system, landlock, engine), mode, network),
                expected,
                "{system:?} {landlock:?} {mode}"
            );
        }
    }

    #[test]
    fn only_a_container_engine_itself_is_its_own_container() {
        let engines = [PathBuf::from("/usr/bin/docker")];
        let is = |command: &str, program: &str| is_engine_command(command, Some(Path::new(program)), &engines);
        assert!(is("docker", "/usr/bin/docker") && is("/usr/bin/docker", "/usr/bin/docker"));
        for (command, program) in [
            ("/opt/docker/evil", "/opt/docker/evil"),
            ("docker-helper", "/usr/bin/docker-helper"),
            ("/tmp/docker", "/tmp/docker"),
            ("docker", "/home/ann/bin/docker"),
        ] {
            assert!(!is(command, program), "{command}");
        }
        assert!(!is_engine_command("docker", None, &engines));
    }

    #[test]
    fn a_server_over_http_runs_elsewhere() {
        let mut config = ServerConfig {
            url: Some("http://h".to_owned()),
            ..ServerConfig::default()
        };
        config.isolation.mode = Mode::Container;
        assert_eq!(choose(&config, &machine(System::Linux, None, false), false), Ok(Choice::Remote));
    }
}

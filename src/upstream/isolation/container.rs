//! The command line that starts a server in a container, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::environment::{Source, Variable};
use super::images;
use super::machine::{Engine, EngineKind};
use super::paths::Grants;
use crate::config::isolation::{Isolation, Network};

/// Settings that the containers of one installation share.
pub const LABEL_INSTALLATION: &str = "io.mcpproxy.installation";
pub const LABEL_SERVER: &str = "io.mcpproxy.server";

/// Where the cache and the home directory are inside.
const CACHE: &str = "/mcpproxy";
const MEMORY: &str = "1g";
const CPUS: &str = "2";
const PIDS: u32 = 512;

/// A container that is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub engine: Engine,
    pub name: String,
    pub image: String,
    /// Arguments of the engine.
    pub arguments: Vec<String>,
    /// Variables of the engine's own process; those that the server receives are taken from there, so that no value is
    /// part of a command line.
    pub variables: BTreeMap<String, String>,
    /// The directory used as the cache if it is not a volume.
    pub cache_directory: Option<PathBuf>,
    pub mounts: Vec<Mount>,
    pub network: String,
}

/// A path of this computer that the container sees under the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    pub path: PathBuf,
    pub write: bool,
}

/// The server to start in a container.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    pub server: &'a str,
    /// The command as the entry has it.
    pub command: &'a str,
    /// The program that it stands for on this computer, if there is one.
    pub program: Option<&'a Path>,
    pub arguments: &'a [String],
    pub working_directory: Option<&'a Path>,
    pub variables: &'a BTreeMap<String, Variable>,
    pub grants: &'a Grants,
    /// Tells the containers of this installation from those of others.
    pub installation: &'a str,
    /// Makes the name of the container unique.
    pub unique: &'a str,
    pub ids: Option<(u32, u32)>,
    pub private: &'a Path,
}

/// Variables of the session that mean something inside a container too.
const MEANINGFUL: &[&str] = &["LANG", "LANGUAGE", "TZ", "NO_COLOR", "DO_NOT_TRACK"];
/// Names that the engine's own process needs with its own values.
const OF_THE_ENGINE: &[&str] = &["PATH", "HOME", "USER", "TMPDIR", "SHELL"];

impl Container {
    /// The container of one server.
    ///
    /// # Errors
    /// Why it cannot be started like that, and what to do.
    pub fn of(engine: &Engine, isolation: &Isolation, launch: &Launch<'_>) -> Result<Container, String> {
        let image = match &isolation.image {
            Some(image) => images::qualified(image, isolation.registry.as_deref()),
            None => images::image(launch.command, &isolation.default_images, isolation.registry.as_deref()),
        };
        let mut container = Container {
            name: name(launch.server, launch.unique),
            image,
            engine: engine.clone(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            cache_directory: None,
            mounts: mounts(launch, isolation)?,
            network: network(isolation),
        };
        container.write_arguments(isolation, launch);
        Ok(container)
    }

    fn write_arguments(&mut self, isolation: &Isolation, launch: &Launch<'_>) {
        let options = ["run", "--rm", "--interactive", "--init", "--pull=never"];
        self.arguments.extend(options.map(str::to_owned));
        self.option("--name", self.name.clone());
        self.option("--label", format!("{LABEL_INSTALLATION}={}", launch.installation));
        self.option("--label", format!("{LABEL_SERVER}={}", launch.server));
        self.option("--cap-drop", "ALL".to_owned());
        self.option("--security-opt", "no-new-privileges".to_owned());
        self.option("--memory", isolation.memory_limit.clone().unwrap_or_else(|| MEMORY.to_owned()));
        self.option("--cpus", isolation.cpu_limit.clone().unwrap_or_else(|| CPUS.to_owned()));
        self.option("--pids-limit", isolation.pids_limit.unwrap_or(PIDS).to_string());
        self.option("--network", self.network.clone());
        self.logs(isolation);
        let as_user = self.as_user(launch);
        self.cache(isolation, launch, as_user);
        for mount in self.mounts.clone() {
            let access = if mount.write { "" } else { ",readonly" };
            self.option("--mount", format!("type=bind,source={0},target={0}{access}", mount.path.display()));
        }
        if self.engine.kind == EngineKind::Podman && !self.mounts.is_empty() {
            // The files keep their SELinux labels, which the container could not read otherwise.
            self.option("--security-opt", "label=disable".to_owned());
        }
        self.environment(launch);
        let directory = isolation.working_dir.clone();
        let directory = directory.or_else(|| launch.working_directory.map(|directory| directory.display().to_string()));
        self.option("--workdir", directory.unwrap_or_else(|| format!("{CACHE}/home")));
        self.arguments.extend(isolation.extra_args.iter().cloned());
        self.arguments.push(self.image.clone());
        self.arguments.extend(command(launch));
    }

    fn option(&mut self, name: &str, value: String) {
        self.arguments.extend([name.to_owned(), value]);
    }

    /// Docker writes what passes through a container to disk unless told otherwise; the messages are none of its business.
    fn logs(&mut self, isolation: &Isolation) {
        self.option("--log-driver", isolation.log_driver.clone().unwrap_or_else(|| "none".to_owned()));
        if isolation.log_driver.as_deref() == Some("json-file") {
            let sizes = [
                ("max-size", &isolation.log_max_size),
                ("max-file", &isolation.log_max_files),
            ];
            for (name, value) in sizes {
                if let Some(value) = value {
                    self.option("--log-opt", format!("{name}={value}"));
                }
            }
        }
    }

    /// Files that the server writes belong to the person. A rootless engine does that by itself.
    fn as_user(&mut self, launch: &Launch<'_>) -> bool {
        match launch.ids {
            Some((user, group)) if user != 0 && !self.engine.rootless && cfg!(target_os = "linux") => {
                self.option("--user", format!("{user}:{group}"));
                true
            }
            _ => false,
        }
    }

    /// Packages are kept from one start to the next. A new volume belongs to root, so a user gets a directory.
    fn cache(&mut self, isolation: &Isolation, launch: &Launch<'_>, as_user: bool) {
        if isolation.no_cache_volume {
            self.option("--tmpfs", format!("{CACHE}:rw,exec,mode=1777"));
        } else if as_user {
            let directory = launch.private.join("cache");
            self.option("--mount", format!("type=bind,source={},target={CACHE}", directory.display()));
            self.cache_directory = Some(directory);
        } else {
            // Of the private directory's name: two servers never share one.
            let own = launch.private.file_name().unwrap_or_default().to_string_lossy();
            let volume = format!("mcpproxy-{}-{own}", launch.installation);
            self.option("--mount", format!("type=volume,source={volume},target={CACHE}"));
        }
    }

    fn environment(&mut self, launch: &Launch<'_>) {
        self.option("--env", format!("HOME={CACHE}/home"));
        for (name, variable) in launch.variables {
            let meaningful = MEANINGFUL.contains(&name.as_str()) || name.starts_with("LC_") || is_proxy(name);
            let wanted = variable.source != Source::AllowList || meaningful;
            if !wanted {
                self.variables.insert(name.clone(), variable.value.clone());
            } else if OF_THE_ENGINE.contains(&name.as_str())
                || name.starts_with("DOCKER_")
                || name.starts_with("CONTAINER")
            {
                self.option("--env", format!("{name}={}", variable.value));
            } else {
                self.option("--env", name.clone());
                self.variables.insert(name.clone(), variable.value.clone());
            }
        }
    }
}

/// What runs inside. The home directory is made first: a cache that is new has none.
fn command(launch: &Launch<'_>) -> Vec<String> {
    let name = images::program_name(launch.command);
    let own = images::runtime(launch.command).is_none();
    let program = match launch.program {
        Some(program) if own => program.display().to_string(),
        _ => name.to_owned(),
    };
    let install = if name == "pipx" {
        "command -v pipx >/dev/null || pip install --quiet --user pipx >&2; "
    } else {
        ""
    };
    let script = format!("mkdir -p \"$HOME\" && PATH=\"$PATH:$HOME/.local/bin\"; {install}exec \"$0\" \"$@\"");
    let mut command = vec!["sh".to_owned(), "-c".to_owned(), script, program];
    command.extend(launch.arguments.iter().cloned());
    command
}

fn mounts(launch: &Launch<'_>, isolation: &Isolation) -> Result<Vec<Mount>, String> {
    let write: BTreeSet<_> = launch.grants.write.iter().chain(&isolation.write).collect();
    let read = launch.grants.read.iter().chain(&isolation.read).filter(|path| !write.contains(path));
    let mounts = write.iter().map(|path| (*path, true)).chain(read.map(|path| (path, false)));
    let mut found = BTreeSet::new();
    for (path, write) in mounts {
        let text = path.to_string_lossy();
        if text.contains([',', '"', '\n']) {
            let problem =
                format!("could not mount `{text}` into a container: its name has a comma, a quote or a line break");
            return Err(format!("{problem}. Rename it, or set `isolation` to `sandbox`"));
        }
        found.insert(Mount {
            path: path.clone(),
            write,
        });
    }
    Ok(found.into_iter().collect())
}

fn network(isolation: &Isolation) -> String {
    match (isolation.network, &isolation.network_mode) {
        // Loopback inside of the container is all there is without a network.
        (Network::Off | Network::Loopback, _) => "none".to_owned(),
        (Network::On, Some(mode)) => mode.clone(),
        (Network::On, None) => "bridge".to_owned(),
    }
}

fn is_proxy(name: &str) -> bool {
    name.to_ascii_uppercase().ends_with("_PROXY")
}

fn name(server: &str, unique: &str) -> String {
    format!("mcpproxy-{}-{unique}", slug(server))
}

/// A name as engines allow it; names that differ only in other characters are the caller's concern.
fn slug(name: &str) -> String {
    let allowed = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' };
    name.chars().map(allowed).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(kind: EngineKind, rootless: bool) -> Engine {
        Engine {
            kind,
            program: PathBuf::from("/usr/bin/engine"),
            rootless,
        }
    }

    fn arguments(
        kind: EngineKind,
        rootless: bool,
        isolation: &Isolation,
        ids: Option<(u32, u32)>,
    ) -> Result<Container, String> {
        let variable = |value: &str, source| Variable {
            value: value.to_owned(),
            source,
        };
        let variables = BTreeMap::from([
            ("PATH".to_owned(), variable("/bin", Source::AllowList)),
            ("LANG".to_owned(), variable("C", Source::AllowList)),
            ("TOKEN".to_owned(), variable("s3cret", Source::Entry)),
        ]);
        let grants = Grants {
            read: [PathBuf::from("/home/ann/srv")].into(),
            write: [PathBuf::from("/home/ann/data")].into(),
            refused: BTreeSet::new(),
        };
        let arguments = ["-y".to_owned(), "fs-server".to_owned(), "/home/ann/data".to_owned()];
        let launch = Launch {
            server: "My Files",
            command: "npx",
            program: Some(Path::new("/home/ann/.nvm/bin/npx")),
            arguments: &arguments,
            working_directory: None,
            variables: &variables,
            grants: &grants,
            installation: "abc",
            unique: "1f",
            ids,
            private: Path::new("/home/ann/.mcpproxy/isolation/x"),
        };
        Container::of(&engine(kind, rootless), isolation, &launch)
    }

    #[test]
    fn a_container_gets_nothing_that_it_does_not_need() {
        let container = arguments(EngineKind::Podman, true, &Isolation::default(), Some((1000, 1000))).unwrap();
        let expected = "run --rm --interactive --init --pull=never --name mcpproxy-my-files-1f \
            --label io.mcpproxy.installation=abc --label io.mcpproxy.server=My Files --cap-drop ALL \
            --security-opt no-new-privileges --memory 1g --cpus 2 --pids-limit 512 --network bridge --log-driver none \
            --mount type=volume,source=mcpproxy-abc-x,target=/mcpproxy \
            --mount type=bind,source=/home/ann/data,target=/home/ann/data \
            --mount type=bind,source=/home/ann/srv,target=/home/ann/srv,readonly --security-opt label=disable \
            --env HOME=/mcpproxy/home --env LANG --env TOKEN --workdir /mcpproxy/home docker.io/library/node:22 sh -c";
        let all = container.arguments.join(" ");
        assert!(all.starts_with(expected), "{all}");
        assert!(all.ends_with("npx -y fs-server /home/ann/data"), "{all}");
        assert!(!all.contains("s3cret"), "{all}");
        assert_eq!(container.variables["TOKEN"], "s3cret");
        assert_eq!(container.variables["PATH"], "/bin");
    }

    #[test]
    fn the_settings_change_the_limits_and_docker_runs_it_as_the_person() {
        let isolation = Isolation {
            image: Some("me/own:1".to_owned()),
            memory_limit: Some("256m".to_owned()),
            cpu_limit: Some("0.5".to_owned()),
            pids_limit: Some(64),
            network: Network::Off,
            network_mode: Some("host".to_owned()),
            extra_args: vec!["--ulimit".to_owned(), "nofile=1024:1024".to_owned()],
            working_dir: Some("/w".to_owned()),
            ..Isolation::default()
        };
        let container = arguments(EngineKind::Docker, false, &isolation, Some((1000, 1000))).unwrap();
        let all = container.arguments.join(" ");
        for part in [
            "--memory 256m --cpus 0.5 --pids-limit 64 --network none",
            "--workdir /w --ulimit nofile=1024:1024 docker.io/me/own:1 sh",
        ] {
            assert!(all.contains(part), "{all}");
        }
        if cfg!(target_os = "linux") {
            assert!(
                all.contains("--user 1000:1000 --mount type=bind,source=/home/ann/.mcpproxy/isolation/x/cache,"),
                "{all}"
            );
        }
        let as_root = arguments(EngineKind::Docker, false, &isolation, Some((0, 0))).unwrap();
        assert!(!as_root.arguments.contains(&"--user".to_owned()));
    }

    #[test]
    fn a_path_that_no_engine_can_mount_is_refused() {
        let isolation = Isolation {
            write: vec![PathBuf::from("/a,b")],
            ..Isolation::default()
        };
        assert!(arguments(EngineKind::Docker, true, &isolation, None).unwrap_err().contains("`/a,b`"));
    }
}

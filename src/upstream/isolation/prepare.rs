//! Turns an entry into what is started: the isolation that was decided, prepared on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::container::{self, Container};
use super::disk::RealDisk;
use super::environment::{self, Variable};
use super::facts::{self, IsolationFacts, VariableFact};
use super::machine::{Engine, Machine, NoEngine, System};
use super::paths::{self, Named};
use super::plan::{Choice, Purpose, asks_for_engine, choose, is_engine_command};
use super::sandbox::{self, Sandbox};
use super::{engine, seatbelt};
use crate::config::ServerConfig;
use crate::diagnostics::code::Code;
use crate::diagnostics::fault::Failure;
#[cfg(target_os = "linux")]
use crate::diagnostics::fault::Fault;
use crate::os::environment::{Environment, home_directory};
use crate::upstream::{process_tree, start_error};

/// Prepares servers for their start. One for each core.
pub struct Isolator {
    data_directory: PathBuf,
    installation: String,
    engine: tokio::sync::Mutex<Option<(Instant, Engine)>>,
    started: AtomicU64,
}

/// Everything that starting a server takes.
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// All variables of the process; it inherits none.
    pub variables: BTreeMap<String, String>,
    pub working_directory: Option<PathBuf>,
    pub choice: Choice,
    pub container: Option<StartedContainer>,
    /// The variable that marks everything that the server starts, as `NAME=VALUE`.
    pub mark: Option<String>,
    #[cfg(target_os = "linux")]
    pub landlock: Option<super::landlock::Prepared>,
}

/// A container, for as long as its server runs.
#[derive(Debug, Clone)]
pub struct StartedContainer {
    pub engine: Engine,
    pub name: String,
    pub image: String,
    /// The command that runs inside, as in the entry.
    pub command: String,
}

/// The directory of one inspection.
pub struct InspectionDirectory(PathBuf);

impl InspectionDirectory {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for InspectionDirectory {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // It may hold thousands of downloaded files. The next start deletes those that are left when the core ends.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || crate::os::files::remove_directory(&path));
        }
    }
}

/// Marks the processes of a server. One in a container has none: the engine ends those.
const MARK: &str = "MCPPROXY_SERVER_RUN";
/// How long an engine that answered is taken to be there.
const REMEMBERED: Duration = Duration::from_secs(60);

impl Isolator {
    pub fn new(data_directory: &Path) -> Isolator {
        use sha2::{Digest as _, Sha256};
        let digest = Sha256::digest(data_directory.to_string_lossy().as_bytes());
        Isolator {
            data_directory: data_directory.to_path_buf(),
            installation: digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
            engine: tokio::sync::Mutex::new(None),
            started: AtomicU64::new(0),
        }
    }

    /// A directory for one inspection. It is deleted with the returned value, and nothing of it is used again: what a server
    /// writes before its approval must not change what runs after it.
    pub fn inspection_directory(&self) -> InspectionDirectory {
        InspectionDirectory(self.inspections().join(self.unique()))
    }

    fn inspections(&self) -> PathBuf {
        self.data_directory.join("isolation").join("inspections")
    }

    /// Removes what a core of this data directory left behind when it was killed. Asks no engine where none was ever used.
    pub async fn remove_orphans(&self) {
        let _ = tokio::fs::remove_dir_all(self.inspections()).await;
        let (all, own) = (format!("{MARK}={}-", self.installation), format!("{MARK}={}", self.own_prefix()));
        let is_left =
            move |variable: &[u8]| variable.starts_with(all.as_bytes()) && !variable.starts_with(own.as_bytes());
        let _ = tokio::task::spawn_blocking(move || process_tree::end_left(is_left)).await;
        if !tokio::fs::try_exists(self.containers_mark()).await.unwrap_or(false) {
            return;
        }
        let removed = engine::remove_orphans(&self.installation).await;
        if removed > 0 {
            tracing::info!(removed, "removed containers that an earlier run left behind");
        }
    }

    /// What the review shows: how a server will be isolated, and the variables that it receives.
    pub async fn facts(&self, config: &ServerConfig) -> (IsolationFacts, Vec<VariableFact>) {
        let session = Environment::read(|_| true);
        let machine = self.machine(config).await;
        let variables = environment::for_server(config, session.iter(), cfg!(windows));
        let program = find_program(config, &variables).ok();
        let is_engine = is_engine(config, program.as_deref());
        let isolation = facts::isolation(config, &machine, is_engine);
        (isolation, facts::variables(config, session.iter(), cfg!(windows)))
    }

    /// Prepares the start of a server whose references are resolved; `log` is the server's log.
    ///
    /// # Errors
    /// Why it cannot be started as its entry asks, and what to do.
    pub async fn prepare(&self, config: &ServerConfig, log: &Path) -> Result<Launch, Failure> {
        let variables = environment::for_server(config, Environment::read(|_| true).iter(), cfg!(windows));
        for name in environment::not_inherited(config, &variables, cfg!(windows)) {
            tracing::warn!(server = config.name, "`inherit_env` names `{name}`, which is not set or never passed on");
        }
        let machine = self.machine(config).await;
        let config = config.clone();
        let unique = self.unique();
        let installation = self.installation.clone();
        let prepared = move || Preparing::of(&config, &machine, variables, &installation, &unique)?.launch();
        let (launch, container) = tokio::task::spawn_blocking(prepared).await.map_err(|error| error.to_string())??;
        if let Some((container, limit)) = container {
            let mark = self.containers_mark();
            let directory = self.data_directory.join("isolation");
            let created = tokio::task::spawn_blocking(move || create_private(&directory)).await;
            created.map_err(|error| error.to_string())??;
            let written = tokio::fs::write(&mark, b"").await;
            written.map_err(|error| format!("could not write `{}`: {error}", mark.display()))?;
            engine::provide_image(&container.engine, &container.image, limit, log).await?;
        }
        Ok(launch)
    }

    /// A file that says that containers were started from here.
    fn containers_mark(&self) -> PathBuf {
        self.data_directory.join("isolation").join("containers")
    }

    /// The start of the marks of this run.
    fn own_prefix(&self) -> String {
        format!("{}-{:x}-", self.installation, std::process::id())
    }

    fn unique(&self) -> String {
        format!("{:x}-{:x}", std::process::id(), self.started.fetch_add(1, Ordering::Relaxed))
    }

    async fn machine(&self, config: &ServerConfig) -> Machine {
        let landlock = landlock_version();
        let system = System::here();
        let unasked = || NoEngine {
            code: Code::DockerMissing,
            message: "no container engine was asked for".to_owned(),
        };
        Machine {
            system,
            landlock,
            seatbelt: system == System::MacOs && Path::new(seatbelt::PROGRAM).exists(),
            engine: if asks_for_engine(config, system, landlock) {
                self.engine().await
            } else {
                Err(unasked())
            },
            home: home_directory(),
            data_directory: self.data_directory.clone(),
            ids: user_ids(),
        }
    }

    async fn engine(&self) -> Result<Engine, NoEngine> {
        let mut known = self.engine.lock().await;
        if let Some((since, engine)) = known.as_ref().filter(|(since, _)| since.elapsed() < REMEMBERED) {
            let _ = since;
            return Ok(engine.clone());
        }
        let found = engine::find().await?;
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }
}

fn landlock_version() -> Option<u32> {
    #[cfg(target_os = "linux")]
    return super::landlock::version();
    #[cfg(not(target_os = "linux"))]
    return None;
}

fn user_ids() -> Option<(u32, u32)> {
    #[cfg(unix)]
    return Some((rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()));
    #[cfg(not(unix))]
    return None;
}

fn is_engine(config: &ServerConfig, program: Option<&Path>) -> bool {
    let engines: Vec<PathBuf> = engine::programs().into_iter().map(|(_, program)| program).collect();
    is_engine_command(config.command.as_deref().unwrap_or_default(), program, &engines)
}

/// The program that an entry's command stands for, in the server's own path.
fn find_program(config: &ServerConfig, variables: &BTreeMap<String, Variable>) -> Result<PathBuf, Failure> {
    let name = config.command.as_deref().unwrap_or_default();
    let path = variables.iter().find(|(name, _)| name.eq_ignore_ascii_case("PATH")).map(|(_, path)| &path.value);
    let directory = config.working_dir.clone().unwrap_or_else(|| std::env::current_dir().unwrap_or_default());
    let searched = path.map(String::as_str).unwrap_or_default();
    which::which_in(name, path, directory).map_err(|_| start_error::not_found(name, searched))
}

struct Preparing<'a> {
    config: &'a ServerConfig,
    machine: &'a Machine,
    variables: BTreeMap<String, Variable>,
    program: Result<PathBuf, Failure>,
    choice: Choice,
    installation: &'a str,
    unique: &'a str,
}

type WithImage = Option<(Container, Option<Duration>)>;

impl<'a> Preparing<'a> {
    fn of(
        config: &'a ServerConfig,
        machine: &'a Machine,
        variables: BTreeMap<String, Variable>,
        installation: &'a str,
        unique: &'a str,
    ) -> Result<Preparing<'a>, Failure> {
        let program = find_program(config, &variables);
        let is_engine = is_engine(config, program.as_deref().ok());
        let choice = choose(config, machine, is_engine)?;
        if let Choice::None { note: Some(note) } = &choice {
            tracing::warn!(server = config.name, "runs without isolation: {note}");
        }
        Ok(Preparing {
            config,
            machine,
            variables,
            program,
            choice,
            installation,
            unique,
        })
    }

    fn launch(self) -> Result<(Launch, WithImage), Failure> {
        match self.choice {
            Choice::Sandbox => self.sandboxed().map(|launch| (launch, None)),
            Choice::Container => self.contained(),
            _ => self.plain().map(|launch| (launch, None)),
        }
    }

    fn plain(self) -> Result<Launch, Failure> {
        let mut variables = values(self.variables);
        let mark = (self.choice != Choice::OwnContainer).then(|| {
            let mark = format!("{}-{}{}", self.installation, self.unique, process_tree::OPEN);
            variables.insert(MARK.to_owned(), mark.clone());
            format!("{MARK}={mark}")
        });
        Ok(Launch {
            program: self.program?,
            arguments: self.config.args.clone(),
            variables,
            working_directory: self.config.working_dir.clone(),
            choice: self.choice,
            container: None,
            mark,
            #[cfg(target_os = "linux")]
            landlock: None,
        })
    }

    fn grants(&self, program: &Path, with_runtime: bool) -> paths::Grants {
        let own = |variable: &&Variable| variable.source != environment::Source::AllowList;
        let values: Vec<&str> = self.variables.values().filter(own).map(|variable| variable.value.as_str()).collect();
        let secret = self.secret();
        let reads_code =
            !super::images::is_package_runner(self.config.command.as_deref().unwrap_or_default(), &self.config.args);
        let named = Named {
            purpose: match self.config.isolation.inspection {
                Some(_) => Purpose::Inspection { reads_code },
                None => Purpose::Work,
            },
            program,
            arguments: &self.config.args,
            values: &values,
            working_directory: self.config.working_dir.as_deref(),
            read: &self.config.isolation.read,
            write: &self.config.isolation.write,
        };
        // A container brings its own runtime.
        let home = self.machine.home.as_deref();
        let grants = if with_runtime {
            paths::grants(&named, home, &secret, &RealDisk)
        } else {
            paths::grants_of_entry(&named, home, &secret, &RealDisk)
        };
        for path in &grants.refused {
            let help = "name a directory below it instead";
            tracing::warn!(server = self.config.name, "`{}` stays closed to this server: {help}", path.display());
        }
        grants
    }

    fn secret(&self) -> std::collections::BTreeSet<PathBuf> {
        let as_root = self.machine.ids.is_some_and(|(user, _)| user == 0);
        paths::secret(self.machine.home.as_deref(), &self.machine.data_directory, as_root)
    }

    fn private(&self) -> PathBuf {
        match &self.config.isolation.inspection {
            Some(directory) => directory.clone(),
            None => sandbox::private_directory(&self.machine.data_directory, &self.config.name),
        }
    }

    fn sandboxed(self) -> Result<Launch, Failure> {
        let program = self.program.clone()?;
        let grants = self.grants(&program, true);
        let secret = self.secret();
        let network = self.config.isolation.network;
        let sandbox =
            Sandbox::of(self.machine.system, grants, secret, network, self.private(), self.config.working_dir.clone());
        for directory in sandbox.own_directories() {
            create_private(&directory)?;
        }
        let mut variables = values(sandbox.variables(self.variables));
        let mark = format!("{}-{}", self.installation, self.unique);
        variables.insert(MARK.to_owned(), mark.clone());
        let (program, arguments) = under_sandbox(&sandbox, program, &self.config.args, self.machine);
        Ok(Launch {
            program,
            arguments,
            variables,
            working_directory: Some(sandbox.working_directory.clone()),
            choice: Choice::Sandbox,
            container: None,
            mark: Some(format!("{MARK}={mark}")),
            #[cfg(target_os = "linux")]
            landlock: Some(super::landlock::prepare(&sandbox, self.machine.landlock.unwrap_or(1)).map_err(
                |error| Failure::new(Fault::IsolationRefused, format!("could not enforce the sandbox: {error}")),
            )?),
        })
    }

    fn contained(self) -> Result<(Launch, WithImage), Failure> {
        let engine = self.machine.engine.as_ref().map_err(NoEngine::failure)?;
        let program = self.program.as_deref().ok();
        let command = self.config.command.as_deref().unwrap_or_default();
        let own_program = super::images::runtime(command).is_none();
        let mut grants = self.grants(program.unwrap_or(Path::new(command)), false);
        if own_program {
            // It is mounted, for no image has it.
            grants.read.insert(self.program.clone()?);
        }
        let private = self.private();
        let launch = container::Launch {
            server: &self.config.name,
            command,
            program,
            arguments: &self.config.args,
            working_directory: self.config.working_dir.as_deref(),
            variables: &self.variables,
            grants: &grants,
            installation: self.installation,
            unique: self.unique,
            ids: self.machine.ids,
            private: &private,
        };
        let container = Container::of(engine, &self.config.isolation, &launch)?;
        if let Some(directory) = &container.cache_directory {
            create_private(directory)?;
        }
        let launch = Launch {
            program: engine.program.clone(),
            arguments: container.arguments.clone(),
            variables: container.variables.clone(),
            working_directory: None,
            choice: Choice::Container,
            container: Some(StartedContainer {
                engine: engine.clone(),
                name: container.name.clone(),
                image: container.image.clone(),
                command: super::images::program_name(command).to_owned(),
            }),
            mark: None,
            #[cfg(target_os = "linux")]
            landlock: None,
        };
        let limit = self.config.isolation.timeout;
        Ok((launch, Some((container, limit))))
    }
}

/// On macOS another program applies the sandbox; on Linux the child does it itself.
fn under_sandbox(
    sandbox: &Sandbox,
    program: PathBuf,
    arguments: &[String],
    machine: &Machine,
) -> (PathBuf, Vec<String>) {
    if machine.system != System::MacOs {
        return (program, arguments.to_vec());
    }
    let profile = seatbelt::profile(sandbox, machine.home.as_deref());
    let mut all = vec!["-p".to_owned(), profile, program.to_string_lossy().into_owned()];
    all.extend(arguments.iter().cloned());
    (PathBuf::from(seatbelt::PROGRAM), all)
}

fn values(variables: BTreeMap<String, Variable>) -> BTreeMap<String, String> {
    variables.into_iter().map(|(name, variable)| (name, variable.value)).collect()
}

/// A directory that only this user may enter.
fn create_private(directory: &Path) -> Result<(), String> {
    crate::os::files::create_private_dir(directory)
        .map_err(|error| format!("could not create `{}`: {error}", directory.display()))
}

//! What a person sees and touches: model → menu, icon and tooltip as one value; supervisor, launch at login, first run.
//!
//! Two threads. The main thread draws (`render`) and forwards clicks. The other (`drive`) knows and decides: it
//! holds the model, steps the supervisor and carries out what comes of it. They talk by `drive::Input` and
//! `drive::Order` and share nothing.

pub mod another_port;
pub mod autostart;
mod await_signal;
pub mod core_program;
pub mod decision;
mod display;
mod drive;
pub mod first_run;
mod host;
pub mod icon;
pub mod journal;
pub mod label;
pub mod menu;
pub mod message;
pub mod model;
#[cfg(target_os = "macos")]
mod next_turn;
#[cfg(target_os = "macos")]
mod notification_center;
pub mod options;
mod own_program;
pub mod preferences;
mod render;
pub mod session;
mod single_instance;
mod start_core;
mod status_window;
pub mod supervisor;
pub mod terminal_path;
pub mod user_path;
pub mod view;
mod write_journal;
mod write_log;
mod write_state;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tao::event::{Event, StartCause};
use tao::event_loop::{ControlFlow, EventLoop, EventLoopBuilder, EventLoopProxy};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::client::Client;
use crate::contract::endpoint::{Endpoint, LocalAddress, LocalAddressOverrides};
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::os::environment::{self, Environment};
use crate::os::files;
use crate::os::lock::{Attempt, Lock};
use autostart::{Autostart, write_sidecar};
use drive::{Input, Order, Setting, Where};
use first_run::{Circumstances, Question};
use journal::Kind;
use menu::Command;
use model::Model;
use options::Request;
use own_program::Program;
use preferences::Preferences;
use render::Shown;
use single_instance::{InstanceRequest, single_instance};
use status_window::StatusWindow;
use view::View;
use write_journal::Journal;

/// Asks no first-run question: for managed computers and tests.
const ENV_NO_FIRST_RUN: &str = "MCPPROXY_NO_FIRST_RUN";
/// What to do where nothing can be shown.
const WITHOUT_DISPLAY: &str = "start the core alone with `mcpproxy serve`";
/// This program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long `--quit` waits: the core is asked, terminated and killed within 10 s.
const LONGEST_QUIT: Duration = Duration::from_secs(15);
/// Inputs that may wait for the loop: a core that floods its events waits at its own end.
const WAITING_INPUTS: usize = 256;

/// The world at the start of the process: read once.
pub struct World {
    pub arguments: Vec<String>,
    pub environment: Environment,
    pub home: Option<PathBuf>,
    pub user: String,
    pub executable: Option<PathBuf>,
}

impl World {
    /// Reads this process's world.
    pub fn read() -> World {
        World {
            arguments: std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect(),
            environment: Environment::read(|name| {
                let wanted = ["PATH", "CI", "SHELL", user_path::ENV_ASKING];
                names::is_declared(name)
                    || name == ENV_NO_FIRST_RUN
                    || wanted
                        .iter()
                        .chain(&autostart::VARIABLES)
                        .chain(&display::VARIABLES)
                        .any(|known| name.eq_ignore_ascii_case(known))
            }),
            home: environment::home_directory(),
            user: environment::user_name(),
            executable: std::env::current_exe().ok(),
        }
    }
}

/// The tray's only door: does what this start asks for.
pub fn run(world: World) -> ExitCode {
    match Request::read(world.arguments.iter().map(String::as_str)) {
        Request::Run { autostart } => match start(world, autostart) {
            Ok(Started::ElsewhereAlready(sentence)) => {
                say(&sentence);
                ExitCode::SUCCESS
            }
            Err(NoStart { sentence, has_display }) => {
                say(&sentence);
                if has_display && !autostart {
                    message::tell_in_a_window(&format!("MCPProxy cannot start: {sentence}"));
                }
                ExitCode::FAILURE
            }
        },
        Request::Quit => quit(&world),
        Request::Unregister => unregister(&world),
        Request::AddToPath => add_to_path(&world),
        Request::Version => {
            print(&format!("{} {VERSION}\n", names::TRAY_PROGRAM));
            ExitCode::SUCCESS
        }
        Request::Help => {
            print(options::HELP);
            ExitCode::SUCCESS
        }
        Request::Unknown(argument) => {
            say(&format!("unknown argument `{argument}`\n{}", options::HELP));
            ExitCode::from(2)
        }
    }
}

/// Why the tray left before its loop began.
enum Started {
    ElsewhereAlready(String),
}

struct NoStart {
    sentence: String,
    has_display: bool,
}

fn start(world: World, by_the_system: bool) -> Result<Started, NoStart> {
    let environment = &world.environment;
    let has_display = display::is_named(Platform::HOST, environment);
    let fails = |sentence: String| NoStart { sentence, has_display };
    if !has_display {
        let sentence = "there is no display here (DISPLAY and WAYLAND_DISPLAY are not set)";
        return Err(fails(format!("{sentence}; {WITHOUT_DISPLAY}")));
    }
    let home = world.home.clone().ok_or_else(|| fails("this user has no home directory".to_owned()))?;
    let root = InstanceRoot::resolve(&home, environment.get(names::ENV_HOME));
    for directory in [root.path(), &root.logs()] {
        files::create_private_dir(directory).map_err(|error| {
            fails(format!(
                "`{}` cannot be used: {error}; {}, or name another directory in {}",
                directory.display(),
                files::remedy(directory, &error),
                names::ENV_HOME
            ))
        })?;
    }
    let lock = match Lock::attempt(&root.tray_lock()) {
        Ok(Attempt::Held(lock)) => lock,
        Ok(Attempt::Taken { pid }) => {
            let process = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            if !by_the_system && let Err(error) = knock_at(&world, &root, InstanceRequest::Show) {
                say(&format!("the MCPProxy that runs does not answer: {error}"));
            }
            return Ok(Started::ElsewhereAlready(format!(
                "MCPProxy already runs here{process}: see its icon in the notification area"
            )));
        }
        Err(error) => {
            let (path, remedy) = (root.tray_lock(), files::remedy(&root.tray_lock(), &error));
            return Err(fails(format!("`{}` cannot be used: {error}; {remedy}", path.display())));
        }
    };
    if let Err(error) = write_log::begin(&root.logs(), environment.get(names::ENV_LOG)) {
        say(&format!("no log is written: {error}"));
    }
    run_loop(Opened {
        world,
        by_the_system,
        root,
        home,
        lock: Some(lock),
    })
}

/// A start that has this root for itself.
struct Opened {
    world: World,
    by_the_system: bool,
    root: InstanceRoot,
    home: PathBuf,
    /// Held until the tray ends.
    lock: Option<Lock>,
}

/// What the driver needs, and what is to be asked. Called by the event loop: macOS says only then who started us.
fn prepare(opened: &Opened) -> Result<(Setting, Model, Option<Question>), String> {
    let Opened { world, root, home, .. } = opened;
    let environment = &world.environment;
    let at_login = opened.by_the_system || session::launched_at_login();
    let start = TrayStart::read(at_login, environment.get(names::ENV_LAUNCHED_BY));
    tracing::info!("{} {VERSION} starts: {start:?}, {}", names::TRAY_PROGRAM, root.path().display());

    let autostart = Autostart::of_this_program(environment, home)
        .map_err(|error| format!("the system does not say where this program is: {error}"))?;
    autostart.correct_stale_path();
    let mut model = Model::new(VERSION, autostart.status());
    let (preferences, question) = first_question(environment, root, start, &mut model);
    model.starts_core = preferences.starts_core();

    let mut journal = Journal::open(root);
    if journal.after_unclean_end {
        tracing::warn!("the tray before this one ended without a word: it crashed, was killed, or lost its session");
    }
    let reason = journal::start_reason(start, journal.after_unclean_end);
    journal.record(Kind::AppLaunched, std::process::id(), reason);
    let own = world.executable.as_deref().unwrap_or(Path::new(""));
    let named_core = environment.non_empty(names::ENV_CORE_PATH);
    let setting = Setting {
        journal,
        bundled: core_program::bundled(Platform::HOST, named_core, own).filter(|core| core.is_file()).and_then(|_| {
            // Built, packaged and upgraded together.
            semver::Version::parse(VERSION).ok()
        }),
        listen: environment.non_empty(names::ENV_LISTEN).map(str::to_owned),
        listen_is_named: environment.non_empty(names::ENV_LISTEN).is_some(),
        program: Program::remember(own),
        path: std::env::split_paths(environment.get("PATH").unwrap_or_default()).collect(),
        shell: shell(environment),
        knocks: LocalAddress::of_tray(Platform::HOST, root, &world.user),
        client: Client::new(local_endpoint(world, root), "tray", VERSION),
        may_start: !is_true(environment.get(names::ENV_TRAY_SKIP_CORE)),
        places: core_program::places(
            Platform::HOST,
            named_core,
            own,
            home,
            &std::env::split_paths(environment.get("PATH").unwrap_or_default()).collect::<Vec<PathBuf>>(),
        ),
        autostart,
        preferences,
        root: root.clone(),
        home: home.clone(),
        start,
    };
    Ok((setting, model, question))
}

/// What is stored of the person, and what is still to be asked; the question is on record before it is shown.
fn first_question(
    environment: &Environment,
    root: &InstanceRoot,
    start: TrayStart,
    model: &mut Model,
) -> (Preferences, Option<Question>) {
    let mut preferences = match write_state::read_preferences(root) {
        Ok(preferences) => preferences,
        Err(error) => {
            tracing::warn!("{error}; nothing is asked and nothing is changed there");
            return (Preferences::default(), None);
        }
    };
    let seen = Circumstances {
        start,
        ci: is_true(environment.get("CI")),
        unwanted: is_true(environment.get(ENV_NO_FIRST_RUN)),
        has_configuration: root.config().exists(),
        autostart: &model.autostart,
    };
    let Some((question, record)) = first_run::question(&seen, &preferences.first_run) else {
        return (preferences, None);
    };
    preferences.first_run = record;
    match write_state::preferences(root, &preferences) {
        Ok(()) => (preferences, Some(question)),
        Err(error) => {
            model.trouble = Some(error);
            (preferences, None)
        }
    }
}

fn run_loop(mut opened: Opened) -> Result<Started, NoStart> {
    let (inputs, receiver) = tokio::sync::mpsc::channel(WAITING_INPUTS);
    let post = {
        let inputs = inputs.clone();
        move |input| {
            // A click that finds 256 others waiting is lost: better than an icon that hangs.
            let _ = inputs.try_send(input);
        }
    };
    display::open_display().map_err(|error| NoStart {
        sentence: format!("{error}; {WITHOUT_DISPLAY}"),
        has_display: false,
    })?;
    // First of all: the first event ever sent fixes whether there is a handler.
    muda::MenuEvent::set_event_handler(Some({
        let post = post.clone();
        move |event: muda::MenuEvent| {
            if let Some(command) = Command::from_id(event.id().as_ref()) {
                post(Input::Chosen(command, Where::Menu));
            }
        }
    }));
    // Nothing hangs on a click on the icon itself: the desktops differ in what they make of it.
    tray_icon::TrayIconEvent::set_event_handler(Some(|_| {}));

    let event_loop: EventLoop<FromDriver> = EventLoopBuilder::with_user_event().build();
    #[cfg(target_os = "macos")]
    let event_loop = {
        use tao::platform::macos::{ActivationPolicy, EventLoopExtMacOS};
        let mut event_loop = event_loop;
        event_loop.set_activation_policy(ActivationPolicy::Accessory);
        // A start at login must not take the keyboard from what the person is doing.
        event_loop.set_activate_ignoring_other_apps(false);
        event_loop
    };
    let proxy = event_loop.create_proxy();
    let (done, driver_done) = mpsc::channel();
    let mut to_begin = Some((receiver, done));
    let mut shown: Option<Shown> = None;
    let mut watches = None;
    let mut status_window = Some(StatusWindow::new({
        let post = post.clone();
        move |command| post(Input::Chosen(command, Where::StatusWindow))
    }));
    let mut current = None;
    let mut successor = None;
    let mut leaving = false;
    event_loop.run(move |event, _, flow| {
        *flow = ControlFlow::Wait;
        match event {
            Event::NewEvents(StartCause::Init) => {
                let Some((receiver, done)) = to_begin.take() else { return };
                let begun = prepare(&opened).and_then(|(setting, model, question)| {
                    let (view, autostart) = (View::of(&model), setting.autostart.clone());
                    start_driver(setting, model, (inputs.clone(), receiver), proxy.clone(), done)?;
                    Ok((view, autostart, question))
                });
                let (view, autostart, question) = match begun {
                    Ok(begun) => begun,
                    Err(sentence) => {
                        say(&sentence);
                        if !opened.by_the_system {
                            message::tell_in_a_window(&format!("MCPProxy cannot start: {sentence}"));
                        }
                        leaving = true;
                        *flow = ControlFlow::ExitWithCode(1);
                        return;
                    }
                };
                current = Some(view.clone());
                build(&mut shown, view, &inputs);
                host::watch({
                    let post = post.clone();
                    move |seen| post(Input::HostSeen(seen))
                });
                let entry = autostart::watch::watch_entry(&autostart, {
                    let post = post.clone();
                    move || post(Input::AutostartChanged)
                });
                let session = session::watch_session({
                    let post = post.clone();
                    move || post(Input::Happened(supervisor::Event::Woke))
                });
                watches = Some((entry, session));
                if let Some(question) = question {
                    let post = post.clone();
                    first_run::window::ask(question, move |answer| post(Input::Answered(answer)));
                }
            }
            #[cfg(target_os = "macos")]
            Event::Reopen { .. } => {
                tracing::info!("the application was opened once more");
                if let (Some(window), Some(view)) = (&mut status_window, &current) {
                    window.present(view, shown.as_ref());
                }
            }
            Event::UserEvent(FromDriver(order)) => match order {
                Order::Show(view) => {
                    current = Some(view.clone());
                    if let Some(window) = &mut status_window {
                        window.follow(&view);
                    }
                    if let Some(shown) = &mut shown
                        && let Err(error) = shown.show(view)
                    {
                        tracing::warn!("the tray icon: {error}");
                    }
                }
                Order::Untick(command) => {
                    if let Some(shown) = &mut shown {
                        shown.ticked_by_itself(&command);
                    }
                }
                Order::BuildIcon(view) => {
                    current = Some(view.clone());
                    if shown.is_none() {
                        build(&mut shown, view, &inputs);
                    }
                }
                Order::Ask(decision) => {
                    let post = post.clone();
                    message::show(&decision.message(), move || post(Input::Decided(decision)));
                }
                Order::Tell(told) => message::show(&told, || {}),
                Order::ShowStatus => {
                    if let (Some(window), Some(view)) = (&mut status_window, &current) {
                        window.present(view, shown.as_ref());
                    }
                }
                Order::Leave { relaunch } => {
                    leaving = true;
                    successor = relaunch;
                    *flow = ControlFlow::Exit;
                }
            },
            Event::LoopDestroyed => {
                if !leaving {
                    // The session ends and gives us seconds: our core is stopped, or the system does it.
                    post(Input::Asked(supervisor::Ask::SessionEnds));
                }
                // It ends what it still waits for, such as a shell that hangs, and does so before this process is gone.
                let _ = driver_done.recv_timeout(Duration::from_secs(2));
                shown = None;
                status_window = None;
                drop(watches.take());
                tracing::info!("{} ends", names::TRAY_PROGRAM);
                // Only now may another tray have this root.
                drop(opened.lock.take());
                if let Some(program) = successor.take() {
                    relaunch(&program);
                }
            }
            _ => {}
        }
    })
}

/// An order on its way through the event loop.
#[derive(Debug)]
struct FromDriver(Order);

/// Starts the thread that knows and decides; `done` hears that it has ended.
fn start_driver(
    setting: Setting,
    model: Model,
    inputs: (Sender<Input>, Receiver<Input>),
    proxy: EventLoopProxy<FromDriver>,
    done: mpsc::Sender<()>,
) -> Result<(), String> {
    let drive = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async move {
                let signalled = inputs.0.clone();
                tokio::spawn(async move {
                    await_signal::await_signal().await;
                    let _ = signalled.send(Input::Asked(supervisor::Ask::SessionEnds)).await;
                });
                tokio::spawn(single_instance::listen(setting.knocks.clone(), inputs.0.clone()));
                let orders = move |order| {
                    // The loop is gone: so is everything that could be ordered.
                    let _ = proxy.send_event(FromDriver(order));
                };
                drive::drive(setting, model, inputs, orders).await;
            }),
            Err(error) => tracing::error!("the driver cannot run: {error}"),
        }
        let _ = done.send(());
    };
    let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(drive);
    thread.map(drop).map_err(|error| format!("the system gives no thread: {error}"))
}

fn build(shown: &mut Option<Shown>, view: View, inputs: &Sender<Input>) {
    let told = match Shown::build(view) {
        Ok(built) => {
            *shown = Some(built);
            Input::IconBuilt
        }
        Err(error) => Input::IconFailed(error),
    };
    let _ = inputs.try_send(told);
}

/// Starts the new version of this program in our place.
fn relaunch(program: &Path) {
    let mut command = std::process::Command::new(program);
    command.env_remove(names::ENV_LAUNCHED_BY);
    if let Err(error) = command.spawn() {
        tracing::error!("`{}` cannot be started: {error}", program.display());
    }
}

fn knock_at(world: &World, root: &InstanceRoot, wish: InstanceRequest) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(single_instance(&LocalAddress::of_tray(Platform::HOST, root, &world.user), wish))
}

/// Ends the tray that runs, and waits until it has ended.
fn quit(world: &World) -> ExitCode {
    let Some(home) = &world.home else {
        say("this user has no home directory");
        return ExitCode::FAILURE;
    };
    let root = InstanceRoot::resolve(home, world.environment.get(names::ENV_HOME));
    if !root.tray_lock().exists() {
        return ExitCode::SUCCESS;
    }
    let mut knocked = false;
    let began = Instant::now();
    while began.elapsed() < LONGEST_QUIT {
        match Lock::attempt(&root.tray_lock()) {
            Ok(Attempt::Held(_)) => return ExitCode::SUCCESS,
            Ok(Attempt::Taken { .. }) if !std::mem::replace(&mut knocked, true) => {
                if let Err(error) = knock_at(world, &root, InstanceRequest::Quit) {
                    say(&format!("the MCPProxy that runs does not answer: {error}"));
                    return ExitCode::FAILURE;
                }
            }
            Ok(Attempt::Taken { .. }) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => {
                say(&format!("`{}` cannot be used: {error}", root.tray_lock().display()));
                return ExitCode::FAILURE;
            }
        }
    }
    say("the MCPProxy that runs has not ended yet");
    ExitCode::FAILURE
}

fn unregister(world: &World) -> ExitCode {
    let Some(home) = &world.home else {
        say("this user has no home directory");
        return ExitCode::FAILURE;
    };
    let root = InstanceRoot::resolve(home, world.environment.get(names::ENV_HOME));
    let done =
        Autostart::of_this_program(&world.environment, home).map_err(|error| error.to_string()).and_then(|system| {
            system.unregister()?;
            if !root.path().is_dir() {
                return Ok(());
            }
            write_sidecar(&root, &system.status(), jiff::Timestamp::now()).map_err(|error| error.to_string())
        });
    #[cfg(windows)]
    let done = done.and(own_folder(world).and_then(terminal_path::remove));
    told(done)
}

#[cfg(windows)]
fn add_to_path(world: &World) -> ExitCode {
    told(own_folder(world).and_then(terminal_path::add))
}

#[cfg(not(windows))]
fn add_to_path(_: &World) -> ExitCode {
    told(Err("only on Windows: elsewhere the package puts the programs where they are found".to_owned()))
}

#[cfg(windows)]
fn own_folder(world: &World) -> Result<&Path, String> {
    world
        .executable
        .as_deref()
        .and_then(Path::parent)
        .ok_or_else(|| "the system does not say where this program is".into())
}

fn told(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

/// The shell to ask for PATH: nobody, where this start came from a terminal, whose PATH is the person's already.
fn shell(environment: &Environment) -> Option<PathBuf> {
    let asked = !std::io::stdin().is_terminal() && environment.get(user_path::ENV_ASKING).is_none();
    asked.then(|| PathBuf::from(environment.non_empty("SHELL").unwrap_or("/bin/sh")))
}

fn local_endpoint(world: &World, root: &InstanceRoot) -> Endpoint {
    let overrides = LocalAddressOverrides {
        socket_path: world.environment.get(names::ENV_SOCKET_PATH),
        endpoint_url: world.environment.get(names::ENV_TRAY_ENDPOINT),
    };
    Endpoint::Local(LocalAddress::of(Platform::HOST, root, &world.user, overrides))
}

fn is_true(value: Option<&str>) -> bool {
    let value = value.unwrap_or_default().trim();
    !["", "0", "false", "no", "off"].iter().any(|off| value.eq_ignore_ascii_case(off))
}

/// One sentence for whoever reads the terminal, if there is one.
fn say(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "{}: {sentence}", names::TRAY_PROGRAM);
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

//! The tray's main loop: carries out what the supervisor and the menu request and reports the results back to them.
//!
//! Runs on its own thread. The main thread only draws and forwards events.

mod act;
mod follow;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use semver::Version;
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinHandle;

use super::another_port;
use super::autostart::{Autostart, Move, on_click, write_sidecar};
use super::decision::Decision;
use super::first_run::{self, Answer};
use super::host;
use super::journal::{self, Kind};
use super::menu::Command;
use super::message::Message;
use super::model::Model;
use super::own_program::Program;
use super::preferences::Preferences;
use super::session;
use super::single_instance::InstanceRequest;
use super::supervisor::{self, Ask, Effect, Event, Supervisor};
use super::user_path;
use super::view::View;
use super::write_journal::Journal;
use super::{start_core, write_state};
use crate::client::Client;
use crate::contract::api::{AiClient, Info, Servers, Status};
use crate::contract::endpoint::LocalAddress;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::os::{files, process};

/// Minimum interval between two views.
const PACE: Duration = Duration::from_secs(1);
/// If an event stream ends sooner than this, the next attempt is delayed.
const SHORTEST_STREAM: Duration = Duration::from_secs(2);
/// How long a desktop may take to show its panel.
const PATIENCE_FOR_HOST: Duration = Duration::from_secs(10);

/// Maximum age of the AI clients' connection states.
const CLIENTS_STAY: Duration = Duration::from_secs(5 * 60);
/// Time limit for each attempt to read PATH from a shell.
const SHELL_LIMIT: Duration = Duration::from_secs(4);
/// Maximum size, in bytes, of a configuration that is searched for an address.
const LONGEST_CONFIGURATION: u64 = 8 << 20;

/// An event from outside the loop.
#[derive(Debug)]
pub enum Input {
    /// The user chose an item in the icon's menu or in the status window.
    Chosen(Command, Where),
    Answered(Answer),
    /// The system's launch-at-login setting may have changed.
    AutostartChanged,
    IconBuilt,
    IconFailed(String),
    /// It is time to try the icon again.
    IconDue,
    HostSeen(bool),
    /// The time in which the desktop's panel may appear is over.
    HostDue,
    Happened(Event),
    Asked(Ask),
    Info(Box<Info>),
    Status(Box<Status>),
    /// PATH for a core is known, so the core can start.
    PathKnown {
        first: bool,
        path: Vec<PathBuf>,
    },
    Servers(Servers),
    Clients(Vec<AiClient>),
    /// An action succeeded and the user must do something else.
    Hint(String),
    /// The core sent a ping: the occasion to check what sends no notification.
    Pinged,
    /// Another start of this program sent a request.
    InstanceRequested(InstanceRequest),
    /// Ask the user to confirm.
    Ask(Decision),
    /// The user confirmed.
    Decided(Decision),
    /// An action of the user ended.
    Done(Result<(), String>),
    /// The minimum interval between views is over.
    Pace,
}

/// Where the user chose an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    Menu,
    StatusWindow,
}

/// A task for the main thread.
#[derive(Debug, Clone)]
pub enum Order {
    Show(View),
    BuildIcon(View),
    /// The system has toggled this item's checkmark by itself. The next view must set it to the real state.
    Untick(Command),
    Ask(Decision),
    Tell(Message),
    /// Show the menu in a window, for desktops without a panel.
    ShowStatus,
    Leave {
        /// The program to start in place of this one.
        relaunch: Option<PathBuf>,
    },
}

/// The settings of this start.
pub struct Setting {
    pub root: InstanceRoot,
    pub home: PathBuf,
    pub start: TrayStart,
    pub may_start: bool,
    pub places: Vec<PathBuf>,
    /// Version of the bundled core, if there is one.
    pub bundled: Option<Version>,
    /// Address that the core gets on its command line.
    pub listen: Option<String>,
    /// The environment sets the address, so the tray never writes it to the configuration.
    pub listen_is_named: bool,
    pub program: Option<Program>,
    /// PATH of this process.
    pub path: Vec<PathBuf>,
    /// The shell that knows the user's PATH, if there is one.
    pub shell: Option<PathBuf>,
    /// Where a second start of this program reaches this one.
    pub single_instance: LocalAddress,
    pub client: Client,
    pub autostart: Autostart,
    pub preferences: Preferences,
    pub journal: Journal,
}

/// Runs until the tray may exit. `orders` passes tasks to the main thread.
pub async fn drive(
    setting: Setting,
    model: Model,
    inputs: (Sender<Input>, Receiver<Input>),
    orders: impl Fn(Order) + Send + 'static,
) {
    let (sender, mut receiver) = inputs;
    let mut driver = Driver {
        supervisor: Supervisor::new(setting.may_start, setting.preferences.starts_core()),
        setting,
        model,
        inputs: sender,
        orders: Box::new(orders),
        began: Instant::now(),
        timer: None,
        follower: None,
        shown: None,
        paced: false,
        clipboard: None,
        icon_tries: 0,
        host_is_there: true,
        host_missing_told: false,
        notice_told: false,
        promptness: session::Promptness::default(),
        cause: "",
        clients_looked_at: Instant::now(),
        listen_unsaved: false,
        relaunch: false,
        left: false,
    };
    driver.happened(Event::Begin);
    while !driver.left {
        let Some(input) = receiver.recv().await else { break };
        driver.take(input);
        driver.show();
    }
    driver.setting.journal.record(Kind::AppTerminating, std::process::id(), driver.cause.to_owned());
    let relaunch = driver.setting.program.take().filter(|_| driver.relaunch).map(Program::into_path);
    (driver.orders)(Order::Leave { relaunch });
}

struct Driver {
    setting: Setting,
    model: Model,
    supervisor: Supervisor,
    inputs: Sender<Input>,
    orders: Box<dyn Fn(Order) + Send>,
    began: Instant,
    timer: Option<JoinHandle<()>>,
    follower: Option<JoinHandle<()>>,
    /// The last view sent, and when.
    shown: Option<(View, Instant)>,
    paced: bool,
    /// Kept for the lifetime of the driver: on X11 copied text disappears with its owner.
    clipboard: Option<arboard::Clipboard>,
    icon_tries: u32,
    host_is_there: bool,
    host_missing_told: bool,
    notice_told: bool,
    promptness: session::Promptness,
    /// Why a core starts or stops, for the journal.
    cause: &'static str,
    clients_looked_at: Instant,
    /// The address in use is not the configured one and must be saved.
    listen_unsaved: bool,
    /// Exit to start a new version of this program.
    relaunch: bool,
    left: bool,
}

impl Driver {
    fn take(&mut self, input: Input) {
        match input {
            Input::Chosen(command, place) => self.chosen(command, place),
            Input::Answered(answer) => self.answered(answer),
            Input::AutostartChanged => self.autostart_changed(),
            Input::IconBuilt => {
                self.icon_tries = 0;
                self.shown = None;
            }
            Input::IconFailed(error) => self.icon_failed(&error),
            Input::IconDue => (self.orders)(Order::BuildIcon(View::of(&self.model))),
            Input::HostSeen(seen) => self.host_seen(seen),
            Input::HostDue => self.host_due(),
            Input::Happened(event) => self.happened(event),
            Input::Asked(ask) => self.happened(Event::Asked(ask)),
            Input::Info(info) => self.info(*info),
            Input::Status(status) => self.status(*status),
            Input::Servers(servers) if self.model.serving() => self.model.set_servers(servers),
            Input::Servers(_) => {}
            Input::PathKnown { first, path } => self.path_known(first, &path),
            Input::Clients(clients) => self.model.clients = clients,
            Input::Hint(hint) => {
                self.model.trouble = None;
                self.model.hint = Some(hint);
            }
            Input::Pinged => {
                self.look_at_program();
                self.look_at_clients();
            }
            Input::InstanceRequested(InstanceRequest::Show) => (self.orders)(Order::ShowStatus),
            Input::InstanceRequested(InstanceRequest::Quit) => self.happened(Event::Asked(Ask::Leave)),
            Input::Ask(decision) => (self.orders)(Order::Ask(decision)),
            Input::Decided(decision) => self.decided(decision),
            Input::Done(Ok(())) => self.model.trouble = None,
            Input::Done(Err(trouble)) => {
                self.model.hint = None;
                tracing::warn!("{trouble}");
                self.model.trouble = Some(trouble);
            }
            Input::Pace => self.paced = false,
        }
    }

    fn info(&mut self, info: Info) {
        if self.model.serving() {
            self.model.core_version = info.version;
            self.model.update = info.update;
            self.model.dashboard = Some(info.web_ui_url).filter(|address| !address.is_empty());
        }
        self.listen(info.listen_addr);
        self.save_listen();
    }

    fn listen(&mut self, address: String) {
        if self.model.serving() && !address.is_empty() {
            self.model.listen = Some(address);
        }
    }

    /// Checks whether this program was upgraded. Upgrades send no notification, so each event of the core triggers the
    /// check, at least every 30 s.
    fn look_at_program(&mut self) {
        self.model.updated = self.setting.program.as_ref().is_some_and(Program::is_another);
    }

    /// Reads the AI clients' connection states again. Clients send no notification of their own changes.
    fn look_at_clients(&mut self) {
        if self.clients_looked_at.elapsed() > CLIENTS_STAY && self.model.serving() {
            self.clients_looked_at = Instant::now();
            let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
            tokio::spawn(async move {
                let _ = inputs.send(Input::Clients(follow::ai_clients(&client).await)).await;
            });
        }
    }

    fn status(&mut self, status: Status) {
        self.look_at_program();
        self.listen(status.listen_addr);
        if self.model.serving() {
            self.model.statistics = status.telemetry;
            self.model.configuration = status.configuration;
            // The status of the Go core never contains an update.
            self.model.update = status.update.or(self.model.update.take());
            self.tell_notice();
        }
    }

    /// Reports to the core that the first-run window showed the telemetry notice; the core sends nothing before that.
    fn tell_notice(&mut self) {
        let due = self.model.statistics.as_ref().is_some_and(|state| state.enabled && !state.notice_shown);
        let answered = self.setting.preferences.first_run.answer.is_some();
        if due && answered && !std::mem::replace(&mut self.notice_told, true) {
            let client = self.setting.client.clone();
            tokio::spawn(async move {
                let part = json!({"telemetry": {"notice_shown": true}});
                if let Err(error) = client.patch::<serde_json::Value>("/api/v1/config", &part).await {
                    tracing::warn!("could not tell the core that the notice was shown: {error}");
                }
            });
        }
    }

    fn show(&mut self) {
        let view = View::of(&self.model);
        match &self.shown {
            Some((shown, _)) if *shown == view => {}
            Some((_, at)) if at.elapsed() < PACE => {
                if !std::mem::replace(&mut self.paced, true) {
                    self.later(PACE.saturating_sub(at.elapsed()), Input::Pace);
                }
            }
            _ => {
                self.shown = Some((view.clone(), Instant::now()));
                (self.orders)(Order::Show(view));
            }
        }
    }

    fn happened(&mut self, event: Event) {
        let mut waiting = VecDeque::from([event]);
        while let Some(event) = waiting.pop_front() {
            let before = self.supervisor.clone();
            let (after, effects) = supervisor::step(before, event.clone(), self.began.elapsed());
            let line = journal::of_step(&self.supervisor.state, &event, &after.state, self.cause);
            if let Some((kind, pid, reason)) = line {
                self.setting.journal.record(kind, pid, reason);
            }
            self.cause = journal::cause(&self.supervisor.state, &event).unwrap_or(self.cause);
            if after.state != self.supervisor.state {
                tracing::info!("core: {:?}", after.state);
            }
            self.supervisor = after;
            for effect in effects {
                waiting.extend(self.carry_out(effect));
            }
        }
        self.promptness.hold(session::is_in_transit(&self.supervisor.state));
        let failed_before = self.model.port_taken();
        self.model.set_core(&self.supervisor.state);
        if self.model.port_taken() && !failed_before {
            self.model.other_address = self.other_address();
        }
        if !self.model.serving()
            && let Some(follower) = self.follower.take()
        {
            follower.abort();
        }
    }

    fn other_address(&self) -> Option<String> {
        let configuration = files::read_bounded(&self.setting.root.config(), LONGEST_CONFIGURATION).unwrap_or_default();
        let taken = another_port::wanted(self.setting.listen.as_deref(), &configuration);
        another_port::next_free(&taken, another_port::is_free)
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Probe => {
                let client = self.setting.client.clone().with_answer_limit(Duration::from_secs(2));
                let bundled = self.setting.bundled.clone();
                self.later_event(async move { Event::Probed(follow::probe(&client, bundled.as_ref()).await) });
            }
            Effect::Spawn { first } => self.ask_for_path(first),
            Effect::Follow => {
                let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
                let follower = tokio::spawn(async move {
                    let began = Instant::now();
                    if let Err(error) = follow::follow(&client, &inputs).await {
                        tracing::warn!("could not read the core's events: {error}");
                    }
                    tokio::time::sleep(SHORTEST_STREAM.saturating_sub(began.elapsed())).await;
                    let _ = inputs.send(Input::Happened(Event::StreamEnded)).await;
                });
                if let Some(earlier) = self.follower.replace(follower) {
                    earlier.abort();
                }
            }
            Effect::AwaitEnd { pid } => self.later_event(async move {
                while process::is_running(pid) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Event::Exited {
                    pid,
                    code: None,
                    stderr: String::new(),
                }
            }),
            Effect::AskToEnd { pid, by_call } => {
                let client = self.setting.client.clone().with_answer_limit(Duration::from_secs(2));
                tokio::spawn(async move {
                    if by_call {
                        match client.post::<serde_json::Value>("/api/v1/shutdown", None).await {
                            Ok(_) => return,
                            Err(error) => tracing::warn!("the core refused the request to stop: {error}"),
                        }
                    }
                    process::ask_to_end(pid);
                });
            }
            Effect::Terminate { pid } => process::ask_to_end(pid),
            Effect::KillTree { pid } => {
                tracing::warn!("the core did not stop in time: killing process {pid} and its children");
                process::kill_tree(pid);
            }
            Effect::WakeAfter(pause) => {
                let inputs = self.inputs.clone();
                let timer = tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let _ = inputs.send(Input::Happened(Event::Wake)).await;
                });
                if let Some(earlier) = self.timer.replace(timer) {
                    earlier.abort();
                }
            }
            Effect::Leave => self.left = true,
        }
        None
    }

    /// Determines PATH for each core start: *Restart core* then finds a program that was just installed.
    fn ask_for_path(&self, first: bool) {
        let Setting { shell, path, home, .. } = &self.setting;
        let (shell, inherited, home, inputs) = (shell.clone(), path.clone(), home.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let captured = match &shell {
                Some(shell) => user_path::capture(shell, &home, SHELL_LIMIT).await,
                None => None,
            };
            let path = user_path::merged(&captured.unwrap_or_default(), &inherited, &home, |entry| entry.is_dir());
            let _ = inputs.send(Input::PathKnown { first, path }).await;
        });
    }

    fn path_known(&mut self, first: bool, path: &[PathBuf]) {
        // The user may have chosen Stop or Quit while the shell ran.
        if matches!(self.supervisor.state, supervisor::State::Starting { pid: None, .. }) {
            let event = self.spawn(first, path);
            self.happened(event);
        }
    }

    fn spawn(&mut self, first: bool, path: &[PathBuf]) -> Event {
        // The core reads the sidecar file when it starts.
        self.tell_autostart();
        let Setting {
            places,
            root,
            home,
            start,
            listen,
            ..
        } = &self.setting;
        match start_core::start(places, root, home, listen.as_deref(), path, *start, first) {
            Ok(mut child) => {
                let pid = child.id().unwrap_or_default();
                let root = root.clone();
                self.later_event(async move {
                    let code = child.wait().await.ok().and_then(|status| status.code());
                    Event::Exited {
                        pid,
                        code,
                        stderr: start_core::last_words(&root),
                    }
                });
                Event::Spawned { pid }
            }
            Err(failure) => {
                tracing::warn!("{}", failure.sentence());
                Event::SpawnFailed(failure)
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        tracing::info!("first-run window: {answer:?}");
        let preferences = &mut self.setting.preferences;
        preferences.first_run = first_run::answered(preferences.first_run.clone(), answer);
        // Stores the answer first: an answer that was not stored would be asked for again and must not take effect.
        let done = write_state::preferences(&self.setting.root, preferences).and_then(|()| {
            let system = &self.setting.autostart;
            match (answer, answer.click()) {
                (Answer::Continue { ticked: true }, Some(click)) => system.enable(click).map(drop),
                // If launch at login is already off, leaves it as it is.
                (Answer::Continue { ticked: false }, Some(click)) if on_click(&system.status()) == Move::Disable => {
                    system.disable(click).map(drop)
                }
                _ => Ok(()),
            }
        });
        self.tell_autostart();
        self.tell_notice();
        self.take(Input::Done(done));
    }

    /// Reads the state of launch at login and passes it to the menu and the core.
    fn tell_autostart(&mut self) {
        self.model.autostart = self.setting.autostart.status();
        let root = &self.setting.root;
        if let Err(error) = write_sidecar(root, &self.model.autostart, jiff::Timestamp::now()) {
            self.take(Input::Done(Err(format!("could not write `{}`: {error}", root.sidecar().display()))));
        }
    }

    /// Our own writes also trigger this, so only a different state counts.
    fn autostart_changed(&mut self) {
        if self.setting.autostart.status() != self.model.autostart {
            tracing::info!("launch at login changed in the system's settings");
            self.tell_autostart();
        }
    }

    fn icon_failed(&mut self, error: &str) {
        if self.icon_tries == 0 {
            let told = format!(
                "could not show the tray icon yet ({error}); on Linux this needs a session bus. MCPProxy runs without \
                 it, and tries again"
            );
            tracing::warn!("{told}");
            super::say(&told);
        }
        let pause = Duration::from_secs(1 << self.icon_tries.min(6)).min(Duration::from_secs(60));
        self.icon_tries = self.icon_tries.saturating_add(1);
        self.later(pause, Input::IconDue);
    }

    fn host_seen(&mut self, seen: bool) {
        self.host_is_there = seen;
        self.model.host_missing &= !seen;
        if !seen {
            // At login the panel may start after MCPProxy.
            self.later(PATIENCE_FOR_HOST, Input::HostDue);
        }
    }

    fn host_due(&mut self) {
        if self.host_is_there || std::mem::replace(&mut self.host_missing_told, true) {
            return;
        }
        tracing::warn!("{}", host::MISSING);
        super::say(host::MISSING);
        self.model.host_missing = true;
        // A user who started MCPProxy by hand expects an icon. Shows the status window instead, once.
        let preferences = &mut self.setting.preferences;
        if self.setting.start != TrayStart::Login && !preferences.told_no_tray_host {
            preferences.told_no_tray_host = true;
            if let Err(error) = write_state::preferences(&self.setting.root, preferences) {
                tracing::warn!("{error}");
            }
            (self.orders)(Order::ShowStatus);
        }
    }

    fn later(&self, pause: Duration, input: Input) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = inputs.send(input).await;
        });
    }

    fn later_event(&self, event: impl Future<Output = Event> + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let _ = inputs.send(Input::Happened(event.await)).await;
        });
    }
}

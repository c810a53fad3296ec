//! The one loop that obeys: carries out what the supervisor and the menu ask for, and tells them what came of it.
//!
//! It runs on a thread of its own. The main thread only draws and forwards.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinHandle;

use super::autostart::{self, Autostart, Click, Move, on_click, write_sidecar};
use super::first_run::{self, Answer};
use super::host;
use super::journal::{self, Kind};
use super::menu::{Command, ServerCommand};
use super::model::Model;
use super::preferences::Preferences;
use super::session;
use super::supervisor::{self, Ask, Core, Effect, Event, Probe, Supervisor};
use super::view::View;
use super::write_journal::Journal;
use super::{start_core, write_state};
use crate::client::{CallError, Client, path_segment};
use crate::contract::api::{self, EventBody, Info, Servers, Status};
use crate::contract::endpoint::mcp_url;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::os::{files, process};

/// Views follow each other this slowly at least.
const PACE: Duration = Duration::from_secs(1);
/// A stream of events that ends sooner is not asked for again at once.
const SHORTEST_STREAM: Duration = Duration::from_secs(2);
/// How long a desktop may take to show its panel.
const PATIENCE_FOR_HOST: Duration = Duration::from_secs(10);

/// Something that happened outside of the loop.
#[derive(Debug)]
pub enum Input {
    Chosen(Command),
    Answered(Answer),
    /// The system's setting of launch at login may be another.
    AutostartChanged,
    IconBuilt,
    IconFailed(String),
    /// The icon is to be tried again.
    IconDue,
    HostSeen(bool),
    /// The host has had its time to appear.
    HostDue,
    Happened(Event),
    Asked(Ask),
    Info(Info),
    Status(Box<Status>),
    Servers(Servers),
    /// An action of the person came to an end.
    Done(Result<(), String>),
    /// A view was held back for its pace.
    Pace,
}

/// Something the main thread has to do.
#[derive(Debug, Clone)]
pub enum Order {
    Show(View),
    BuildIcon(View),
    /// The system has turned the tick of this line over by itself: the next view must put it right.
    Untick(Command),
    Leave,
}

/// What the loop needs to know of this start.
pub struct Setting {
    pub root: InstanceRoot,
    pub home: PathBuf,
    pub start: TrayStart,
    pub may_start: bool,
    pub places: Vec<PathBuf>,
    pub client: Client,
    pub autostart: Autostart,
    pub preferences: Preferences,
    pub journal: Journal,
}

/// Runs until the tray may end. `orders` reaches the main thread.
pub async fn drive(
    setting: Setting,
    model: Model,
    inputs: (Sender<Input>, Receiver<Input>),
    orders: impl Fn(Order) + Send + 'static,
) {
    let (sender, mut receiver) = inputs;
    let mut driver = Driver {
        supervisor: Supervisor::new(setting.may_start, true),
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
        left: false,
    };
    driver.happened(Event::Begin);
    while !driver.left {
        let Some(input) = receiver.recv().await else { break };
        driver.take(input);
        driver.show();
    }
    driver.setting.journal.record(Kind::AppTerminating, std::process::id(), driver.cause.to_owned());
    (driver.orders)(Order::Leave);
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
    /// The view that was sent last, and when.
    shown: Option<(View, Instant)>,
    paced: bool,
    /// Kept: on X11 a copied text lives as long as its owner.
    clipboard: Option<arboard::Clipboard>,
    icon_tries: u32,
    host_is_there: bool,
    host_missing_told: bool,
    notice_told: bool,
    promptness: session::Promptness,
    /// Why a core is started or ended, for the journal.
    cause: &'static str,
    left: bool,
}

impl Driver {
    fn take(&mut self, input: Input) {
        match input {
            Input::Chosen(command) => self.chosen(command),
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
            Input::Info(info) => self.listen(info.listen_addr),
            Input::Status(status) => self.status(*status),
            Input::Servers(servers) if self.model.serving() => self.model.set_servers(servers),
            Input::Servers(_) => {}
            Input::Done(Ok(())) => self.model.trouble = None,
            Input::Done(Err(trouble)) => {
                tracing::warn!("{trouble}");
                self.model.trouble = Some(trouble);
            }
            Input::Pace => self.paced = false,
        }
    }

    fn listen(&mut self, address: String) {
        if self.model.serving() && !address.is_empty() {
            self.model.listen = Some(address);
        }
    }

    fn status(&mut self, status: Status) {
        self.listen(status.listen_addr);
        if self.model.serving() {
            self.model.statistics = status.telemetry;
            self.tell_notice();
        }
    }

    /// Tells the core that the first-run window has said what is sent: it sends nothing before.
    fn tell_notice(&mut self) {
        let due = self.model.statistics.as_ref().is_some_and(|state| state.enabled && !state.notice_shown);
        let answered = self.setting.preferences.first_run.answer.is_some();
        if due && answered && !std::mem::replace(&mut self.notice_told, true) {
            let client = self.setting.client.clone();
            tokio::spawn(async move {
                let part = json!({"telemetry": {"notice_shown": true}});
                if let Err(error) = client.patch::<serde_json::Value>("/api/v1/config", &part).await {
                    tracing::warn!("the core was not told that the notice was shown: {error}");
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
            self.cause = journal::cause(&event).unwrap_or(self.cause);
            if after.state != self.supervisor.state {
                tracing::info!("core: {:?}", after.state);
            }
            self.supervisor = after;
            for effect in effects {
                waiting.extend(self.carry_out(effect));
            }
        }
        self.promptness.hold(session::is_in_transit(&self.supervisor.state));
        self.model.set_core(&self.supervisor.state);
        if !self.model.serving()
            && let Some(follower) = self.follower.take()
        {
            follower.abort();
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Probe => {
                let client = self.setting.client.clone().with_answer_limit(Duration::from_secs(2));
                self.later_event(async move { Event::Probed(probe(&client).await) });
            }
            Effect::Spawn { first } => return Some(self.spawn(first)),
            Effect::Follow => {
                let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
                let follower = tokio::spawn(async move {
                    let began = Instant::now();
                    if let Err(error) = follow(&client, &inputs).await {
                        tracing::warn!("the core's events: {error}");
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
                            Err(error) => tracing::warn!("the core did not take the call to end: {error}"),
                        }
                    }
                    process::ask_to_end(pid);
                });
            }
            Effect::Terminate { pid } => process::ask_to_end(pid),
            Effect::KillTree { pid } => {
                tracing::warn!("the core did not end in time: process {pid} and what it started are killed");
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

    fn spawn(&mut self, first: bool) -> Event {
        // The core reads it when it starts.
        self.tell_autostart();
        let Setting {
            places,
            root,
            home,
            start,
            ..
        } = &self.setting;
        match start_core::start(places, root, home, *start, first) {
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

    fn chosen(&mut self, command: Command) {
        tracing::info!("chosen: {}", command.id());
        match command {
            Command::Server(ServerCommand::ViewLog, name) => self.open(server_log(&self.setting.root.logs(), &name)),
            Command::Server(command, name) => {
                let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
                tokio::spawn(async move {
                    let path = format!("/api/v1/servers/{}/{}", path_segment(&name), command.word());
                    let result = client.post::<serde_json::Value>(&path, None).await;
                    let done = result.map(drop).map_err(|error| format!("Cannot {} {name}: {error}", command.word()));
                    let _ = inputs.send(Input::Done(done)).await;
                });
            }
            Command::CopyAddress => {
                let done = self.copy_address().map_err(|error| format!("Cannot copy the address: {error}"));
                self.take(Input::Done(done));
            }
            Command::ToggleAutostart => self.toggle_autostart(&command),
            Command::ToggleStatistics => self.toggle_statistics(&command),
            Command::ShowReport => self.show_report(),
            Command::StartCore => self.happened(Event::Asked(Ask::Start)),
            Command::StopCore => self.happened(Event::Asked(Ask::Stop)),
            Command::RestartCore => self.happened(Event::Asked(Ask::Restart)),
            Command::OpenConfiguration => self.open(self.setting.root.config()),
            Command::OpenLogs => self.open(self.setting.root.logs()),
            Command::Quit => self.happened(Event::Asked(Ask::Leave)),
        }
    }

    fn copy_address(&mut self) -> Result<(), String> {
        let listen = self.model.listen.as_deref().ok_or("no core is running")?;
        if self.clipboard.is_none() {
            self.clipboard = Some(arboard::Clipboard::new().map_err(|error| error.to_string())?);
        }
        let clipboard = self.clipboard.as_mut().ok_or("there is no clipboard")?;
        clipboard.set_text(mcp_url(listen)).map_err(|error| error.to_string())
    }

    fn open(&self, path: PathBuf) {
        let inputs = self.inputs.clone();
        tokio::task::spawn_blocking(move || {
            let done = match path.try_exists() {
                Ok(false) => Err(format!("`{}` is not there yet", path.display())),
                // The desktop's own opener says by its exit code whether it knew what to do.
                _ => open::that(&path).map_err(|error| format!("Cannot open `{}`: {error}", path.display())),
            };
            let _ = inputs.blocking_send(Input::Done(done));
        });
    }

    fn toggle_autostart(&mut self, command: &Command) {
        let system = &self.setting.autostart;
        // Asked anew: the person may have changed it in the system since.
        let done = match (on_click(&system.status()), Click::of_command(command)) {
            (Move::Enable, Some(click)) => system.enable(click).map(drop),
            (Move::Disable, Some(click)) => system.disable(click).map(drop),
            (Move::OpenSettings, _) => open::that_detached(autostart::SETTINGS).map_err(|error| error.to_string()),
            _ => Ok(()),
        };
        self.tell_autostart();
        // The tick is turned over already, whatever came of it: the next view must be shown even if it equals the last.
        (self.orders)(Order::Untick(command.clone()));
        self.shown = None;
        self.take(Input::Done(done.map_err(|error| format!("Run at Startup: {error}"))));
    }

    fn toggle_statistics(&mut self, command: &Command) {
        let Some(state) = &self.model.statistics else { return };
        let wanted = !state.enabled;
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let outcome = async {
                let part = json!({"telemetry": {"enabled": wanted}});
                client.patch::<serde_json::Value>("/api/v1/config", &part).await?;
                client.get::<Status>("/api/v1/status").await
            };
            let done = match outcome.await {
                Ok(status) => {
                    // An off in the environment wins over every tick.
                    let told = status.telemetry.as_ref().filter(|state| state.enabled != wanted);
                    let done = told.map_or(Ok(()), |state| Err(format!("Anonymous statistics: {}", state.reason)));
                    let _ = inputs.send(Input::Status(Box::new(status))).await;
                    done
                }
                Err(error) => Err(format!("Anonymous statistics: {error}")),
            };
            let _ = inputs.send(Input::Done(done)).await;
        });
        (self.orders)(Order::Untick(command.clone()));
        self.shown = None;
    }

    /// Opens the next report as a file: the text that the core would send now.
    fn show_report(&self) {
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        let path = self.setting.root.logs().join("next-report.json");
        tokio::spawn(async move {
            let outcome = async {
                let report: serde_json::Value =
                    client.get("/api/v1/telemetry/payload").await.map_err(|error| error.to_string())?;
                let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
                files::replace_private(&path, text.as_bytes()).map_err(|error| error.to_string())?;
                let opened = tokio::task::spawn_blocking(move || open::that(&path)).await;
                opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
            };
            let done = outcome.await.map_err(|error| format!("Cannot show what is sent: {error}"));
            let _ = inputs.send(Input::Done(done)).await;
        });
    }

    fn answered(&mut self, answer: Answer) {
        tracing::info!("first-run window: {answer:?}");
        let preferences = &mut self.setting.preferences;
        preferences.first_run = first_run::answered(preferences.first_run.clone(), answer);
        // Stored first: an answer that cannot be kept would be asked for again, and must not take effect.
        let done = write_state::preferences(&self.setting.root, preferences).and_then(|()| {
            let system = &self.setting.autostart;
            match (answer, Click::of_answer(answer)) {
                (Answer::Continue { ticked: true }, Some(click)) => system.enable(click).map(drop),
                // Off already, by us or by the person, is left as it is.
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

    /// Asks the system for the state of launch at login, and tells the menu and the core.
    fn tell_autostart(&mut self) {
        self.model.autostart = self.setting.autostart.status();
        let root = &self.setting.root;
        if let Err(error) = write_sidecar(root, &self.model.autostart, jiff::Timestamp::now()) {
            self.take(Input::Done(Err(format!("cannot write `{}`: {error}", root.sidecar().display()))));
        }
    }

    /// Our own writes come back here, too: only another state is told.
    fn autostart_changed(&mut self) {
        if self.setting.autostart.status() != self.model.autostart {
            tracing::info!("launch at login was changed in the system");
            self.tell_autostart();
        }
    }

    fn icon_failed(&mut self, error: &str) {
        if self.icon_tries == 0 {
            let told = format!(
                "the tray icon cannot be shown yet ({error}); on Linux this needs a session bus. MCPProxy runs without \
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
        if !seen {
            // At login the panel may come after us.
            self.later(PATIENCE_FOR_HOST, Input::HostDue);
        }
    }

    fn host_due(&mut self) {
        if !self.host_is_there && !std::mem::replace(&mut self.host_missing_told, true) {
            tracing::warn!("{}", host::MISSING);
            super::say(host::MISSING);
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

async fn probe(client: &Client) -> Probe {
    let info = match client.ready().await {
        Ok(true) => client.get::<Info>("/api/v1/info").await,
        Ok(false) => return Probe::Silent("it is not ready yet".to_owned()),
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => Probe::Ready(Core::from_info(&info, None)),
        Err(error) if error.is_not_running() => Probe::Nobody,
        Err(error) => Probe::Silent(error.to_string()),
    }
}

/// Tells what the core tells, until it ends.
async fn follow(client: &Client, inputs: &Sender<Input>) -> Result<(), CallError> {
    let tell = async |input| drop(inputs.send(input).await);
    // Opened before the lists are read: a change in between is then in the stream.
    let mut events = client.events().await?;
    tell(Input::Info(client.get("/api/v1/info").await?)).await;
    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
    while let Some(event) = events.next().await {
        match event.name.as_str() {
            api::EVENT_STATUS => {
                if let Ok(status) = serde_json::from_str::<Status>(&event.data) {
                    tell(Input::Status(Box::new(status))).await;
                }
            }
            api::EVENT_SERVERS_CHANGED => {
                // The existing core leaves the list out when it takes too long to make.
                let told = serde_json::from_str::<EventBody<serde_json::Value>>(&event.data).ok().and_then(|body| {
                    body.payload.get("servers")?.as_array()?;
                    serde_json::from_value::<Servers>(body.payload).ok()
                });
                let servers = match told {
                    Some(servers) => servers,
                    None => client.get("/api/v1/servers").await?,
                };
                tell(Input::Servers(servers)).await;
            }
            "config.reloaded" => tell(Input::Servers(client.get("/api/v1/servers").await?)).await,
            _ => {}
        }
    }
    Ok(())
}

/// The log of a server; the directory, where its name makes no file name.
fn server_log(logs: &Path, name: &str) -> PathBuf {
    // The core's rule for file names.
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = name.chars().take(64).map(plain).collect();
    let file = logs.join(format!("server-{}.log", name.trim_start_matches('.')));
    if file.is_file() { file } else { logs.to_path_buf() }
}

//! The tray's main loop: carries out what the supervisor and the menu request and reports the results back to them.
//!
//! Runs on its own thread. The main thread only draws and forwards events.

mod act;
mod approve;
mod carry_out;
mod desktop;
mod fix;
mod follow;
mod input;
mod next_step;
pub(super) mod system;
// On macOS the driver is not `Send`, and the tests run it as a task.
#[cfg(test)]
#[cfg(not(target_os = "macos"))]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(super) use input::{Input, Order, Where};
use system::System;

use super::autostart::Autostart;
use super::journal::{self, Kind};
use super::model::Model;
use super::own_program::Program;
use super::preferences::Preferences;
use super::session;
use super::single_instance::InstanceRequest;
use super::supervisor::{self, Ask, Event, Supervisor};
use super::view::View;
use super::write_journal::Journal;
use crate::client::Client;
use crate::contract::api::{Info, Status};
use crate::contract::endpoint::LocalAddress;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::launch::TrayStart;
use crate::contract::setup::Seen;

/// Minimum interval between two views.
const PACE: Duration = Duration::from_secs(1);
/// Maximum age of the AI clients' connection states.
const CLIENTS_STAY: Duration = Duration::from_secs(5 * 60);

/// The settings of this start.
pub(super) struct Setting {
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
    pub system: Arc<dyn System>,
    pub autostart: Autostart,
    pub preferences: Preferences,
    pub journal: Journal,
}

/// Runs until the tray may exit. `orders` passes tasks to the main thread.
pub(super) async fn drive(
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
        icon_tries: 0,
        host_is_there: true,
        host_missing_told: false,
        notice_told: false,
        promptness: session::Promptness::default(),
        cause: "",
        clients_looked_at: Instant::now(),
        listen_unsaved: false,
        relaunch: false,
        next_step: None,
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
    /// The second step of the first-run window is due, after these steps.
    next_step: Option<Seen>,
    left: bool,
}

impl Driver {
    fn take(&mut self, input: Input) {
        match input {
            Input::Chosen(command, place) => self.chosen(command, place),
            Input::Answered(answer) => self.answered(answer),
            Input::SetupKnown(setup) => self.setup_known(setup),
            Input::NextChosen(choice, setup) => self.next_chosen(choice, &setup),
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
            Input::Profiles(profiles, active) => (self.model.profiles, self.model.active_profile) = (profiles, active),
            Input::GoSettings(state, is_https) if self.model.serving() => {
                (self.model.statistics, self.model.is_https) = (Some(state), is_https);
            }
            Input::GoSettings(..) => {}
            Input::Hint(hint) => {
                self.model.trouble = None;
                self.model.hint = Some(hint);
            }
            Input::Ending => self.model.is_ending = self.model.serving(),
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
            self.model.is_go_core = info.implementation.is_none();
            self.model.is_ending = false;
            self.model.is_https = info.https || (self.model.is_https && self.model.is_go_core);
            self.model.core_version = info.version;
            self.model.update = info.update;
            self.model.dashboard = Some(info.web_ui_url).filter(|address| !address.is_empty());
        }
        self.listen(info.listen_addr);
        self.save_listen();
        self.ask_setup();
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
            // The Go core's status contains neither its telemetry setting nor an update.
            self.model.statistics = status.telemetry.or(self.model.statistics.take());
            self.model.configuration = status.configuration;
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

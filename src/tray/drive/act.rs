//! The actions behind the user's clicks.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::input::{Input, Order, Where};
use super::{Driver, follow};
use crate::client::{CallError, path_segment};
use crate::contract::api::{ConnectRequest, ConnectResult, LoginStarted, ProfileChoice, Status, UiTicket, Update};
use crate::contract::endpoint::mcp_url;
use crate::contract::names;
use crate::contract::server_log;
use crate::os::{files, go_core_logs};
use crate::tray::autostart::{Move, on_click};
use crate::tray::decision::Decision;
use crate::tray::menu::{Command, ServerCommand};
use crate::tray::message::Message;
use crate::tray::supervisor::{Ask, Event};
use crate::tray::write_state;

impl Driver {
    pub(super) fn chosen(&mut self, command: Command, place: Where) {
        tracing::info!("chosen: {}", command.id());
        self.model.hint = None;
        match command {
            Command::Server(ServerCommand::ViewLog, name) => self.open(self.server_log(&name)),
            Command::Server(ServerCommand::Approve, name) => self.review(name),
            Command::Server(ServerCommand::SignIn, name) => {
                let (client, system) = (self.setting.client.clone(), self.setting.system.clone());
                self.act(format!("Could not sign in to {name}"), async move {
                    let path = format!("/api/v1/servers/{}/login", path_segment(&name));
                    let started: LoginStarted = client.post(&path, None).await?;
                    // If the core has no desktop, the tray opens the browser. Other URL schemes could start programs.
                    let is_page = |url: &String| url.starts_with("https://") || url.starts_with("http://");
                    if let Some(address) = started.auth_url.filter(is_page).filter(|_| !started.browser_opened)
                        && let Err(error) = system.open_page(&address)
                    {
                        tracing::warn!("could not open the sign-in page of {name}: {error}");
                    }
                    Ok(())
                });
            }
            Command::Server(command, name) => {
                let client = self.setting.client.clone();
                self.act(format!("Could not {} {name}", command.word()), async move {
                    let path = format!("/api/v1/servers/{}/{}", path_segment(&name), command.word());
                    client.post::<Value>(&path, None).await.map(drop)
                });
            }
            Command::UseProfile(ref name) => {
                self.use_profile(name.clone());
                self.turned_over(&command, place);
            }
            Command::Fix(fixer, name) => self.fix(fixer, name),
            Command::CopyRemedy(number, name) => {
                let done = self.copy_remedy(number, &name).map_err(|error| format!("Could not copy: {error}"));
                self.take(Input::Done(done));
            }
            Command::Explain(name) => self.explain(&name),
            Command::ToggleClient(ref id) => self.toggle_client(id, &command, place),
            Command::CopyAddress => {
                let done = self.copy_address().map_err(|error| format!("Could not copy the MCP address: {error}"));
                self.take(Input::Done(done));
            }
            Command::ToggleAutostart => self.toggle_autostart(&command, place),
            Command::ToggleStatistics => self.toggle_statistics(&command, place),
            Command::ShowReport => self.show_report(),
            Command::StartCore => self.happened(Event::Asked(Ask::Start)),
            Command::StopCore => self.happened(Event::Asked(Ask::Stop)),
            Command::RestartCore => self.happened(Event::Asked(Ask::Restart)),
            Command::ReplaceCore => self.happened(Event::Asked(Ask::Replace)),
            Command::UseOtherAddress => self.use_other_address(),
            Command::ToggleStartsCore => self.toggle_starts_core(&command, place),
            Command::OpenDashboard => self.open_page(""),
            Command::AddServer => self.open_page("/ui/add"),
            Command::ImportServers => self.open_page("/ui/add#import"),
            Command::GetStarted => self.open_page("/ui/setup"),
            Command::ShowRelease => self.show_release(),
            Command::About => (self.orders)(Order::Tell(self.about())),
            Command::Relaunch => {
                self.relaunch = true;
                self.happened(Event::Asked(Ask::Hand));
            }
            Command::OpenConfiguration => self.open(self.setting.root.config()),
            Command::OpenLogs => self.open(self.logs()),
            Command::Quit => self.happened(Event::Asked(Ask::Leave)),
        }
    }

    /// Runs a request to the core in the background and reports its result.
    pub(super) fn act(&self, what: String, call: impl Future<Output = Result<(), CallError>> + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let done = call.await.map_err(|error| format!("{what}: {error}"));
            let _ = inputs.send(Input::Done(done)).await;
        });
    }

    /// Carries out a decision that the user confirmed.
    pub(super) fn decided(&self, decision: Decision) {
        match decision {
            Decision::Approve(approval) => self.approve_at_go_core(approval),
            Decision::ApproveReviewed(reviewed) => self.approve_reviewed(*reviewed),
            Decision::ReplaceEntry { id, client, .. } => self.connect(id, client, true, true),
        }
    }

    /// Where the running core writes its logs.
    fn logs(&self) -> PathBuf {
        if self.model.is_go_core {
            go_core_logs::of_config(&self.setting.root.config())
        } else {
            self.setting.root.logs()
        }
    }

    /// The log file of a server; the log directory if it has none yet.
    fn server_log(&self, name: &str) -> PathBuf {
        let logs = self.logs();
        let file = logs.join(if self.model.is_go_core {
            server_log::go_core_file_name(name)
        } else {
            server_log::file_name(name)
        });
        if file.is_file() { file } else { logs }
    }

    /// Chooses the profile of clients that choose none; an empty name removes the limit.
    fn use_profile(&self, name: String) {
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let called: Result<Value, CallError> =
                client.put("/api/v1/profiles/active", &json!(ProfileChoice { profile: name })).await;
            let done = called.map(drop).map_err(|error| format!("Could not choose the profile: {error}"));
            let _ = inputs.send(Input::Done(done)).await;
            let _ = inputs.send(follow::profiles(&client).await).await;
        });
    }

    fn toggle_client(&mut self, id: &str, command: &Command, place: Where) {
        self.turned_over(command, place);
        let Some(chosen) = self.model.clients.iter().find(|client| client.id == id).cloned() else {
            return;
        };
        self.connect(chosen.id, chosen.name, !chosen.connected, false);
    }

    /// Connects or disconnects an AI client, then reads the state of all clients again.
    fn connect(&self, id: String, name: String, wanted: bool, force: bool) {
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let path = format!("/api/v1/connect/{}", path_segment(&id));
            let called = if wanted {
                let request = ConnectRequest {
                    force,
                    ..ConnectRequest::default()
                };
                client.post::<ConnectResult>(&path, Some(&json!(request))).await
            } else {
                client.delete::<ConnectResult>(&path).await
            };
            let input = match called {
                Ok(_) if wanted => Input::Hint(format!("Added MCPProxy to {name}. Restart {name} to use it.")),
                Ok(_) => Input::Done(Ok(())),
                Err(CallError::Status { code: 409, message }) if wanted && !force => {
                    Input::Ask(Decision::ReplaceEntry {
                        id,
                        client: name,
                        message,
                    })
                }
                Err(error) => Input::Done(Err(format!("{name}: {error}"))),
            };
            let _ = inputs.send(input).await;
            let _ = inputs.send(Input::Clients(follow::ai_clients(&client).await)).await;
        });
    }

    /// Starts the core at the free address and saves the address once the core listens there.
    fn use_other_address(&mut self) {
        let Some(address) = self.model.other_address.take() else { return };
        self.setting.listen = Some(address);
        self.listen_unsaved = !self.setting.listen_is_named;
        self.happened(Event::Asked(Ask::Start));
    }

    /// The core owns the configuration, so the tray sends it the address to write.
    pub(super) fn save_listen(&mut self) {
        let Some(address) = self.setting.listen.clone().filter(|_| self.listen_unsaved) else {
            return;
        };
        self.listen_unsaved = false;
        let client = self.setting.client.clone();
        self.act(format!("Using {address} for now, but it could not be saved"), async move {
            client.patch::<Value>("/api/v1/config", &json!({"listen": address})).await.map(drop)
        });
    }

    fn toggle_starts_core(&mut self, command: &Command, place: Where) {
        let wanted = !self.setting.preferences.starts_core();
        let mut preferences = self.setting.preferences.clone();
        preferences.start_core = Some(wanted);
        let done = write_state::preferences(&self.setting.root, &preferences);
        if done.is_ok() {
            self.setting.preferences = preferences;
            self.model.starts_core = wanted;
        }
        self.turned_over(command, place);
        self.take(Input::Done(done));
    }

    /// The system has already toggled the checkmark, whatever the outcome. Sends the next view even if it equals the
    /// last.
    fn turned_over(&mut self, command: &Command, place: Where) {
        if place == Where::Menu {
            (self.orders)(Order::Untick(command.clone()));
        }
        self.shown = None;
    }

    /// Opens a page of the web UI, signed in by a ticket; an empty path opens its first page. The Go core has no tickets:
    /// its address holds its key.
    pub(super) fn open_page(&self, page: &'static str) {
        let Some(address) = self.model.dashboard.clone() else { return };
        let (client, system, inputs) = (self.setting.client.clone(), self.setting.system.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let ticket = client.post::<UiTicket>("/api/v1/ui/ticket", None).await;
            let address = ticket.map_or(address, |ticket| at_page(&ticket.url, page));
            // The URL may contain a secret, so the error must not repeat it.
            let opened =
                tokio::task::spawn_blocking(move || system.open(address.as_ref()).map_err(|error| error.kind())).await;
            let done = match opened {
                Ok(Ok(())) => Ok(()),
                Ok(Err(kind)) => Err(format!("Could not open the web UI: {kind}")),
                Err(error) => Err(format!("Could not open the web UI: {error}")),
            };
            let _ = inputs.send(Input::Done(done)).await;
        });
    }

    fn show_release(&self) {
        let Some((_, page)) = self.model.update.as_ref().and_then(Update::news) else { return };
        let (page, system, inputs) = (page.to_owned(), self.setting.system.clone(), self.inputs.clone());
        tokio::task::spawn_blocking(move || {
            let done = system.open(page.as_ref()).map_err(|error| format!("Could not open {page}: {error}"));
            let _ = inputs.blocking_send(Input::Done(done));
        });
    }

    fn about(&self) -> Message {
        let core = match self.model.core_version.as_str() {
            version if self.model.serving() && !version.is_empty() => format!("core {version}"),
            _ => "no core is running".to_owned(),
        };
        Message {
            title: format!("{} {}", names::PRODUCT, self.model.version),
            text: format!(
                "One local address connects all your AI clients to all your MCP servers.\n\nTray {}, {core}.\nData directory: {}.\n\
                 License: {}.",
                self.model.version,
                self.setting.root.path().display(),
                env!("CARGO_PKG_LICENSE"),
            ),
            ..Message::default()
        }
    }

    fn copy_address(&self) -> Result<(), String> {
        let listen = self.model.listen.as_deref().ok_or("no core is running")?;
        self.setting.system.copy(mcp_url(listen, self.model.is_https))
    }

    fn open(&self, path: PathBuf) {
        let (system, inputs) = (self.setting.system.clone(), self.inputs.clone());
        tokio::task::spawn_blocking(move || {
            let done = match path.try_exists() {
                Ok(false) => Err(format!("`{}` does not exist yet", path.display())),
                // The desktop's opener reports by its exit code whether it found a program for the file.
                _ => system
                    .open(path.as_os_str())
                    .map_err(|error| format!("Could not open `{}`: {error}", path.display())),
            };
            let _ = inputs.blocking_send(Input::Done(done));
        });
    }

    fn toggle_autostart(&mut self, command: &Command, place: Where) {
        let system = &self.setting.autostart;
        // Reads the state again: the user may have changed it in the system's settings since.
        let done = match (on_click(&system.status()), command.click()) {
            (Move::Enable, Some(click)) => system.enable(click).map(drop),
            (Move::Disable, Some(click)) => system.disable(click).map(drop),
            (Move::OpenSettings, _) => self.setting.system.open_login_settings().map_err(|error| error.to_string()),
            _ => Ok(()),
        };
        self.tell_autostart();
        self.turned_over(command, place);
        self.take(Input::Done(done.map_err(|error| format!("Run at Startup: {error}"))));
    }

    fn toggle_statistics(&mut self, command: &Command, place: Where) {
        let Some(state) = &self.model.statistics else { return };
        let wanted = !state.enabled;
        // The item has no tick before and after: a hint shows that the click had an effect.
        let is_unseen = !wanted && state.has_no_collector();
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let outcome = async {
                let part = json!({"telemetry": {"enabled": wanted}});
                client.patch::<serde_json::Value>("/api/v1/config", &part).await?;
                client.get::<Status>("/api/v1/status").await
            };
            let done = match outcome.await {
                Ok(status) => {
                    // Telemetry disabled by the environment overrides the menu.
                    let differing = status.telemetry.as_ref().filter(|state| state.enabled != wanted);
                    let done = differing.map_or(Ok(()), |state| Err(format!("Anonymous statistics: {}", state.reason)));
                    let of_go_core = if status.telemetry.is_none() { follow::go_settings(&client).await } else { None };
                    let _ = inputs.send(Input::Status(Box::new(status))).await;
                    if let Some(settings) = of_go_core {
                        let _ = inputs.send(settings).await;
                    }
                    done
                }
                Err(error) => Err(format!("Anonymous statistics: {error}")),
            };
            let input = match done {
                Ok(()) if is_unseen => Input::Hint("Usage is no longer counted on this computer.".to_owned()),
                done => Input::Done(done),
            };
            let _ = inputs.send(input).await;
        });
        self.turned_over(command, place);
    }

    /// Opens the next report, exactly as the core would send it now, as a file.
    fn show_report(&self) {
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        let (system, path) = (self.setting.system.clone(), self.setting.root.logs().join("next-report.json"));
        tokio::spawn(async move {
            let outcome = async {
                let report: serde_json::Value =
                    client.get("/api/v1/telemetry/payload").await.map_err(|error| error.to_string())?;
                let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
                files::replace_private(&path, text.as_bytes()).map_err(|error| error.to_string())?;
                let opened = tokio::task::spawn_blocking(move || system.open(path.as_os_str())).await;
                opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
            };
            let done = outcome.await.map_err(|error| format!("Could not show the report: {error}"));
            let _ = inputs.send(Input::Done(done)).await;
        });
    }
}

/// The URL that redeems a ticket, then shows a page.
fn at_page(url: &str, page: &str) -> String {
    match page {
        "" => url.to_owned(),
        page => format!("{url}&to={}", path_segment(page)),
    }
}

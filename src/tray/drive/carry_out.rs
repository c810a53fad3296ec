//! Carries out the effects of the supervisor.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::input::Input;
use super::system::{Exit, StartedCore};
use super::{Driver, Setting, follow};
use crate::os::files;
use crate::tray::start_core::CoreStart;
use crate::tray::supervisor::{Effect, Event, State};
use crate::tray::{another_port, user_path};

/// If an event stream ends sooner than this, the next attempt is delayed.
const SHORTEST_STREAM: Duration = Duration::from_secs(2);
/// Time limit for each attempt to read PATH from a shell.
const SHELL_LIMIT: Duration = Duration::from_secs(4);
/// Maximum size, in bytes, of a configuration that is searched for an address.
const LONGEST_CONFIGURATION: u64 = 8 << 20;

impl Driver {
    pub(super) fn other_address(&self) -> Option<String> {
        let configuration = files::read_bounded(&self.setting.root.config(), LONGEST_CONFIGURATION).unwrap_or_default();
        let taken = another_port::wanted(self.setting.listen.as_deref(), &configuration);
        another_port::next_free(&taken, another_port::is_free)
    }

    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<Event> {
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
            Effect::AwaitEnd { pid } => {
                let system = self.setting.system.clone();
                self.later_event(async move {
                    while system.is_running(pid) {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    Event::Exited {
                        pid,
                        code: None,
                        stderr: String::new(),
                    }
                });
            }
            Effect::AskToEnd { pid, by_call } => {
                let client = self.setting.client.clone().with_answer_limit(Duration::from_secs(2));
                let system = self.setting.system.clone();
                tokio::spawn(async move {
                    if by_call {
                        match client.post::<serde_json::Value>("/api/v1/shutdown", None).await {
                            Ok(_) => return,
                            Err(error) => tracing::warn!("the core refused the request to stop: {error}"),
                        }
                    }
                    system.ask_to_end(pid);
                });
            }
            Effect::Terminate { pid } => self.setting.system.ask_to_end(pid),
            Effect::KillTree { pid } => {
                tracing::warn!("the core did not stop in time: killing process {pid} and its children");
                self.setting.system.kill_tree(pid);
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

    pub(super) fn path_known(&mut self, first: bool, path: &[PathBuf]) {
        // The user may have chosen Stop or Quit while the shell ran.
        if matches!(self.supervisor.state, State::Starting { pid: None, .. }) {
            let event = self.spawn(first, path);
            self.happened(event);
        }
    }

    fn spawn(&mut self, first: bool, path: &[PathBuf]) -> Event {
        // The core reads the sidecar file when it starts.
        self.tell_autostart();
        let setting = &self.setting;
        let started = setting.system.start_core(&CoreStart {
            places: &setting.places,
            root: &setting.root,
            home: &setting.home,
            listen: setting.listen.as_deref(),
            path,
            start: setting.start,
            first,
        });
        match started {
            Ok(StartedCore { pid, exit }) => {
                self.later_event(async move {
                    let Exit { code, stderr } = exit.await;
                    Event::Exited { pid, code, stderr }
                });
                Event::Spawned { pid }
            }
            Err(failure) => {
                tracing::warn!("{}", failure.sentence());
                Event::SpawnFailed(failure)
            }
        }
    }
}

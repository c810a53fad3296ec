//! The second step of the first-run window.

use serde_json::json;

use super::Driver;
use super::follow;
use super::input::{Input, Order};
use crate::client::{CallError, path_segment};
use crate::contract::api::{ConnectRequest, ConnectResult, Setup, SetupClient};
use crate::contract::setup::{Seen, Step};
use crate::tray::first_run::{self, Choice};

impl Driver {
    /// Asks the core what is still to be set up, once the user has pressed *Continue* and a core runs. The Go core does not
    /// know; its own web UI guides its users.
    pub(super) fn ask_setup(&mut self) {
        if self.next_step.is_none() || !self.model.serving() || self.model.is_go_core || self.model.dashboard.is_none()
        {
            return;
        }
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            match client.get::<Setup>("/api/v1/setup").await {
                Ok(setup) => drop(inputs.send(Input::SetupKnown(Box::new(setup))).await),
                Err(error) => tracing::warn!("could not ask the core what is still to be set up: {error}"),
            }
        });
    }

    pub(super) fn setup_known(&mut self, setup: Box<Setup>) {
        let step = self.next_step.take().and_then(|seen| first_run::next_step(&setup, seen));
        if let Some(step) = step {
            (self.orders)(Order::AskNext(step, setup));
        }
    }

    pub(super) fn next_chosen(&mut self, choice: Choice, setup: &Setup) {
        tracing::info!("first-run window, second step: {choice:?}");
        match choice {
            Choice::Connect => self.connect_found(setup.unconnected.clone()),
            Choice::GetStarted => self.open_page("/ui/setup"),
            Choice::Later => {}
        }
    }

    /// Adds the entry to every client that was found, then asks again what is left.
    fn connect_found(&mut self, found: Vec<SetupClient>) {
        self.next_step = Some(Seen::default().with(Step::Connect));
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let (mut added, mut failed) = (Vec::new(), Vec::new());
            for one in found {
                let path = format!("/api/v1/connect/{}", path_segment(&one.id));
                let request = json!(ConnectRequest::default());
                let called: Result<ConnectResult, CallError> = client.post(&path, Some(&request)).await;
                match called {
                    Ok(_) => added.push(one.name),
                    Err(error) => failed.push(format!("{}: {error}", one.name)),
                }
            }
            let outcome = if failed.is_empty() {
                Input::Hint(format!("Added MCPProxy to {}. Restart them to use it.", added.join(", ")))
            } else {
                Input::Done(Err(failed.join("; ")))
            };
            let _ = inputs.send(outcome).await;
            let _ = inputs.send(Input::Clients(follow::ai_clients(&client).await)).await;
            if let Ok(setup) = client.get::<Setup>("/api/v1/setup").await {
                let _ = inputs.send(Input::SetupKnown(Box::new(setup))).await;
            }
        });
    }
}

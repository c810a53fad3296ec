//! Fixes problems of servers for the user.

use super::Driver;
use super::input::{Input, Order};
use crate::client::CallError;
use crate::contract::api::{Diagnostic, FixMode, FixRequest, FixResult};
use crate::diagnostics::catalog::Fixer;
use crate::tray::fix_issues::{Remedy, explanation, remedies};
use crate::tray::message::Message;

impl Driver {
    fn problem(&self, name: &str) -> Option<&Diagnostic> {
        self.model.servers.iter().find(|server| server.name == name)?.diagnostic.as_ref()
    }

    /// Asks the core to run a fix. The click is the user's consent.
    pub(super) fn fix(&self, fixer: Fixer, name: String) {
        let Some(problem) = self.problem(&name) else { return };
        let request = FixRequest {
            server: name.clone(),
            code: problem.code.clone(),
            fixer_key: fixer.key().to_owned(),
            mode: Some(FixMode::Execute),
        };
        let (client, system) = (self.setting.client.clone(), self.setting.system.clone());
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let body = serde_json::to_value(&request).unwrap_or_default();
            let fixed: Result<FixResult, CallError> = client.post("/api/v1/diagnostics/fix", Some(&body)).await;
            let input = match fixed {
                Ok(FixResult {
                    failure_msg: Some(error),
                    ..
                }) => Input::Done(Err(format!("Could not fix {name}: {error}"))),
                Ok(fixed) => {
                    // The core has opened the page if it has a desktop; here it opens where the user is.
                    let page = fixed.open_url.filter(|url| url.starts_with("https://") || url.starts_with("http://"));
                    if let Some(page) = page.filter(|_| !fixed.browser_opened)
                        && let Err(error) = system.open_page(&page)
                    {
                        tracing::warn!("could not open the sign-in page of {name}: {error}");
                    }
                    Input::Hint(fixed.preview.unwrap_or_else(|| format!("{name}: done")))
                }
                Err(error) => Input::Done(Err(format!("Could not fix {name}: {error}"))),
            };
            let _ = inputs.send(input).await;
        });
    }

    /// Copies a command that helps a server to the clipboard.
    pub(super) fn copy_remedy(&self, number: usize, name: &str) -> Result<(), String> {
        let server = self.model.servers.iter().find(|server| server.name == name);
        let remedy = server.and_then(|server| remedies(server).into_iter().nth(number));
        let Some(Remedy::Copy { command, .. }) = remedy else {
            return Err(format!("{name} has no such problem any more"));
        };
        self.setting.system.copy(command)
    }

    /// Shows everything about a server's problem.
    pub(super) fn explain(&self, name: &str) {
        let Some(problem) = self.problem(name) else { return };
        (self.orders)(Order::Tell(Message {
            title: name.to_owned(),
            text: explanation(problem),
            ..Message::default()
        }));
    }
}

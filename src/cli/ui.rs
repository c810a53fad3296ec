//! `mcpproxy ui`: opens the web UI of the running core, signed in.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::{report, say};
use crate::client::CallError;
use crate::contract::api::{Info, UiTicket};
use crate::contract::endpoint::Endpoint;
use crate::os::browser;

#[derive(Debug, Args)]
pub struct UiArguments {
    /// Print the link instead of opening it; it works once, within 30 seconds
    #[arg(long)]
    print: bool,
}

/// The error for a core that issues no tickets. Its URL is shown without the key that it holds.
fn no_tickets(info: &Info) -> CliError {
    let core = if info.implementation.is_none() { "the Go core" } else { "an older version" };
    let error = CliError::new("OPERATION_FAILED", format!("could not sign in to the web UI: {core} is running"));
    let page = info.web_ui_url.split('?').next().unwrap_or_default();
    if page.is_empty() {
        return error.guided("stop it, then start MCPProxy again");
    }
    error.guided(format!("open {page} and enter the API key, which `mcpproxy status --show-key` shows"))
}

pub async fn run(context: &Context, link: &CoreLink, arguments: &UiArguments) -> Result<(), CliError> {
    let client = link.require()?;
    if !matches!(client.endpoint(), Endpoint::Local(_)) {
        return Err(CliError::new("OPERATION_FAILED", "could not sign in to the web UI: the local socket is off")
            .guided("open the web UI in a browser and paste the API key, or set `enable_socket` to true"));
    }
    let ticket = match client.post::<UiTicket>("/api/v1/ui/ticket", None).await {
        Err(CallError::Status { code: 404, .. }) => return Err(no_tickets(&client.get("/api/v1/info").await?)),
        ticket => ticket?,
    };
    if arguments.print {
        return report(context, &ticket, |ticket| ticket.url.clone());
    }
    match browser::open_page(&ticket.url) {
        Ok(()) => {
            say("Opening the web UI in your browser.");
            Ok(())
        }
        Err(error) => Err(CliError::new("OPERATION_FAILED", format!("could not open a browser: {error}"))
            .guided("run `mcpproxy ui --print` and open the link in a browser on this computer within 30 seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_without_tickets_is_named_and_its_key_is_not() {
        let info = serde_json::json!({"web_ui_url": "http://127.0.0.1:8080/ui/?apikey=secret"});
        let info: Info = serde_json::from_value(info).unwrap();
        let error = no_tickets(&info);
        assert!(error.message.contains("the Go core is running"), "{}", error.message);
        let guidance = error.guidance.unwrap();
        assert!(guidance.contains("http://127.0.0.1:8080/ui/ and") && !guidance.contains("secret"), "{guidance}");
    }
}

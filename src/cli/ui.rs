//! `mcpproxy ui`: opens the web UI of the running core, signed in.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::error::CliError;
use crate::cli::output::{report, say};
use crate::contract::api::UiTicket;
use crate::contract::endpoint::Endpoint;
use crate::os::browser;

#[derive(Debug, Args)]
pub struct UiArguments {
    /// Print the link instead of opening it; it works once, within 30 seconds
    #[arg(long)]
    print: bool,
}

pub async fn run(context: &Context, link: &CoreLink, arguments: &UiArguments) -> Result<(), CliError> {
    let client = link.require()?;
    if !matches!(client.endpoint(), Endpoint::Local(_)) {
        return Err(CliError::new("OPERATION_FAILED", "could not sign in to the web UI: the local socket is off")
            .guided("open the web UI in a browser and paste the API key, or set `enable_socket` to true"));
    }
    let ticket: UiTicket = client.post("/api/v1/ui/ticket", None).await?;
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

//! `mcpproxy update`: checks for a newer version.

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::core_link::{CoreLink, config_error};
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::contract::api::{Info, Update};
use crate::server::jobs::check_for_updates::{LIMIT, check_now};

#[derive(Debug, Serialize)]
struct UpdateReport {
    /// The version of the running core, or of this program if none runs.
    current_version: String,
    #[serde(flatten)]
    update: Update,
}

/// Checks now, even if automatic checks are off.
pub async fn update(context: &Context, link: &CoreLink) -> Result<(), CliError> {
    let (current_version, update) = match link.running() {
        Some(client) => {
            let info: Info = client.clone().with_answer_limit(LIMIT * 3).get("/api/v1/info?refresh=true").await?;
            let silent = || {
                CliError::new("OPERATION_FAILED", "could not check for updates: the running core returned no result")
            };
            (info.version, info.update.ok_or_else(silent)?)
        }
        None => {
            let config = context.store.load().map_err(|error| config_error(&error))?;
            (env!("CARGO_PKG_VERSION").to_owned(), check_now(config.update_check).await)
        }
    };
    if let Some(error) = update.check_error {
        return Err(CliError::new("OPERATION_FAILED", error).guided(
            "see how updates are configured in docs/updates.md, or look for a new version where you got this one",
        ));
    }
    let report = UpdateReport {
        current_version,
        update,
    };
    print(context.format, &report, table)
}

fn table(shown: &UpdateReport) -> String {
    let have = &shown.current_version;
    match shown.update.news() {
        Some((version, page)) => format!("Version {version} is available (this is {have}): {page}"),
        None => format!("mcpproxy {have} is up to date."),
    }
}

//! The result of an import as REST and the command line report it.

use crate::ai_clients::edit::config_path;
use crate::ai_clients::import::plan::{ImportPlan, Imported};
use crate::ai_clients::import::read::Source;
use crate::ai_clients::known_clients::{CLIENTS, Homes};
use crate::contract::api::{
    FailedServer, ImportPath, ImportPaths, ImportResult, ImportSummary, ImportedServer, OperatingSystem, SkippedServer,
};
use crate::contract::platform::Platform;

/// The result of an import of these sources.
pub fn result(plan: &ImportPlan, sources: &[Source]) -> ImportResult {
    let (format, format_name) = match sources {
        [only] => (only.format, only.format_name),
        _ => ("several", "Several sources"),
    };
    ImportResult {
        format: format.to_owned(),
        format_name: format_name.to_owned(),
        summary: ImportSummary {
            total: plan.total(),
            imported: plan.imported.len(),
            skipped: plan.skipped.len(),
            failed: plan.failed.len(),
        },
        imported: plan.imported.iter().map(imported).collect(),
        skipped: plan
            .skipped
            .iter()
            .map(|one| SkippedServer {
                name: one.name.clone(),
                reason: one.reason.clone(),
            })
            .collect(),
        failed: plan
            .failed
            .iter()
            .map(|one| FailedServer {
                name: one.name.clone(),
                error: one.error.clone(),
            })
            .collect(),
        warnings: plan.warnings.clone(),
    }
}

fn imported(one: &Imported) -> ImportedServer {
    let text = |key: &str| one.entry.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let arguments = one.entry.get("args").and_then(|value| value.as_array()).into_iter().flatten();
    ImportedServer {
        name: one.name.clone(),
        protocol: text("protocol").unwrap_or_default().as_str().into(),
        url: text("url"),
        command: text("command"),
        args: arguments.filter_map(|value| value.as_str()).map(str::to_owned).collect(),
        source_format: one.format.to_owned(),
        original_name: one.original_name.clone(),
        fields_skipped: one.fields_skipped.clone(),
        warnings: one.warnings.clone(),
        secrets: one.secrets.iter().map(|secret| format!("{}.{}", secret.block, secret.key)).collect(),
    }
}

/// Where the clients of this computer keep their configurations.
pub fn paths(homes: &Homes) -> ImportPaths {
    let os = match homes.platform {
        Platform::MacOs => OperatingSystem::MacOs,
        Platform::Windows => OperatingSystem::Windows,
        Platform::Linux => OperatingSystem::Linux,
        Platform::Other => OperatingSystem::Other,
    };
    let path = |client: &crate::ai_clients::known_clients::Client| {
        let path = config_path(client, homes).path;
        ImportPath {
            name: client.name.to_owned(),
            format: client.id.to_owned(),
            exists: path.exists(),
            path: path.display().to_string(),
            os: os.clone(),
            description: format!("{} configuration", client.name),
        }
    };
    ImportPaths {
        paths: CLIENTS.iter().map(path).collect(),
        os,
    }
}

//! `mcpproxy trust-cert`: how to make this computer trust the certificate of `tls.enabled`.

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::core_link::config_error;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::server::encryption;

/// Creates the local certificate authority where it is missing, and shows the commands that trust it. They change the
/// system's settings, so they are the user's to run.
pub fn trust_cert(context: &Context) -> Result<(), CliError> {
    let config = context.store.load().map_err(|error| config_error(&error))?;
    let tls = encryption::wanted(&config, &context.environment);
    let now = crate::os::clock::now().as_second();
    let authority = encryption::authority(&tls, context.root.path(), now)
        .map_err(|problem| CliError::new("OPERATION_FAILED", problem))?;
    let path = authority.display().to_string();
    let shown = json!({"certificate": path, "enabled": tls.enabled, "commands": commands(&path)});
    print(context.format, &shown, |_| {
        let commands = commands(&path).join("\n  ");
        let enable = if tls.enabled {
            ""
        } else {
            "\nHTTPS is off. Turn it on: set `tls.enabled` to true and restart."
        };
        format!(
            "The certificate authority of this computer's MCPProxy: {path}\nIt can sign certificates for localhost only. \
             To trust it:\n  {commands}{enable}"
        )
    })
}

fn commands(path: &str) -> Vec<String> {
    vec![
        format!(
            "sudo cp {path} /usr/local/share/ca-certificates/mcpproxy.crt && sudo update-ca-certificates   # Debian, Ubuntu"
        ),
        format!("sudo trust anchor {path}   # Fedora, Arch"),
        format!("NODE_EXTRA_CA_CERTS={path}   # in the environment of clients that run on Node.js"),
    ]
}

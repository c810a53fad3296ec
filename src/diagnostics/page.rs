//! The page of a code, for `docs/errors/` and for the terminal.

use std::fmt::Write as _;

use crate::contract::platform::Platform;
use crate::diagnostics::catalog::{Act, Entry};
use crate::diagnostics::diagnosis::{PLACEHOLDERS, replaced};

/// The page in Markdown.
pub fn markdown(entry: &Entry) -> String {
    let mut page = format!("# {}\n\n{}\n\n", entry.code.name(), general(entry.what));
    let _ = writeln!(page, "Severity: {}.\n\n## Why\n", entry.code.severity().word());
    for sentence in sentences(&general(entry.why)) {
        let _ = writeln!(page, "{sentence}");
    }
    let _ = writeln!(page, "\n## What to do\n\n{}\n", general(entry.remedy));
    for step in entry.steps {
        let label = general(step.label);
        let on = step.on.map(|on| format!(" ({})", system(on))).unwrap_or_default();
        let _ = match step.act {
            Act::Advice => writeln!(page, "- {label}{on}."),
            Act::Command(command) => writeln!(page, "- {label}{on}: `{}`", general(command)),
            Act::Fix { fixer, destructive } => {
                let (name, key) = (entry.code.name(), fixer.key());
                let run = if destructive { " --execute" } else { "" };
                let fix = format!("mcpproxy doctor fix {name} --server NAME --fixer {key}{run}");
                writeln!(page, "- {label}: in the tray's *Fix issues* menu, or `{fix}`")
            }
        };
    }
    page
}

/// A text with general names in place of the user's.
pub fn general(text: &str) -> String {
    let text = text.replace("{variable}{secret}", "{secret}");
    replaced(&text, |name| {
        PLACEHOLDERS.iter().find(|(placeholder, _)| *placeholder == name).map(|(_, general)| (*general).to_owned())
    })
}

const fn system(platform: Platform) -> &'static str {
    match platform {
        Platform::Linux => "Linux",
        Platform::MacOs => "macOS",
        Platform::Windows => "Windows",
        Platform::Other => "other systems",
    }
}

/// Each sentence by itself.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(". ").map(str::trim_end)
}

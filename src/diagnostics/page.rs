//! The page of a code, for `docs/errors/` and for the terminal.

use std::fmt::Write as _;

use crate::contract::platform::Platform;
use crate::diagnostics::catalog::{Act, Entry};
use crate::diagnostics::diagnosis::{PLACEHOLDERS, replaced};

/// The page in Markdown.
pub fn markdown(entry: &Entry) -> String {
    let mut page = format!("# {}\n\n", entry.code.name());
    add_sentences(&mut page, entry.what);
    let _ = writeln!(page, "\nSeverity: {}.\n\n## Why\n", entry.code.severity().word());
    add_sentences(&mut page, entry.why);
    page.push_str("\n## What to do\n\n");
    add_sentences(&mut page, entry.remedy);
    page.push('\n');
    for step in entry.steps {
        let label = general(step.label);
        let on = step.on.map(|on| format!(" ({})", system(on))).unwrap_or_default();
        let _ = match step.act {
            Act::Advice => writeln!(page, "- {label}{on}."),
            Act::Command(command) => writeln!(page, "- {label}{on}: `{}`", general(command)),
            Act::Fix { fixer, destructive } => {
                let fix = fix_command(entry.code.name(), fixer.key(), destructive);
                writeln!(page, "- {label}, in the tray's *Fix issues* menu or with this command:\n  `{fix}`")
            }
        };
    }
    page
}

/// The page as plain text, for the terminal.
pub fn plain(entry: &Entry) -> String {
    let code = entry.code;
    let mut page = format!("{} ({})\n", code.name(), code.severity().word());
    for (heading, text) in [("", entry.what), ("Why:", entry.why), ("What to do:", entry.remedy)] {
        let indent = if heading.is_empty() { "" } else { "  " };
        let heading = if heading.is_empty() { String::new() } else { format!("\n{heading}\n") };
        let _ = writeln!(page, "{heading}{indent}{}", general(text));
    }
    for step in entry.steps {
        let label = general(step.label).replace('*', "");
        let on = step.on.map(|on| format!(" ({})", system(on))).unwrap_or_default();
        let _ = match step.act {
            Act::Advice => writeln!(page, "  - {label}{on}."),
            Act::Command(command) => writeln!(page, "  - {label}{on}: {}", general(command)),
            Act::Fix { fixer, destructive } => {
                writeln!(page, "  - {label}{on}: {}", fix_command(code.name(), fixer.key(), destructive))
            }
        };
    }
    page
}

fn fix_command(code: &str, fixer: &str, destructive: bool) -> String {
    let execute = if destructive { " --execute" } else { "" };
    format!("mcpproxy doctor fix {code} --server NAME --fixer {fixer}{execute}")
}

/// A text with general names in place of the user's.
pub fn general(text: &str) -> String {
    let status = if text.contains("{url}") { "HTTP status N" } else { "exit status N" };
    let text = text.replace("{variable}{secret}", "{secret}").replace("{status}", status);
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

/// Adds a text with each sentence on a line of its own.
fn add_sentences(page: &mut String, text: &str) {
    for sentence in general(text).split_inclusive(". ") {
        page.push_str(sentence.trim_end());
        page.push('\n');
    }
}

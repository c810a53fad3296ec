//! The help of `mcpproxy` itself: commands by topic.

use clap::CommandFactory;

use crate::cli::args::Arguments;
use crate::cli::examples::with_examples;

/// The topics and their commands, in display order.
const TOPICS: [(&str, &[&str]); 4] = [
    ("Get started", &["setup", "import", "connect", "disconnect", "ui", "status", "doctor"]),
    (
        "Servers and tools",
        &[
            "add", "registry", "upstream", "tools", "call", "scan", "profile", "activity", "logs",
        ],
    ),
    ("Settings", &["config", "secrets", "telemetry", "migrate", "trust-cert"]),
    ("Program", &["serve", "stop", "stdio", "update", "uninstall", "completion", "version"]),
];

/// The command line, with its help grouped by topic.
pub fn command() -> clap::Command {
    let command = with_examples(Arguments::command());
    let topics = topics(&command);
    command
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{topics}\nOptions:\n{{options}}{{after-help}}"
        ))
        .after_help("Run `mcpproxy COMMAND --help` for the options and examples of a command.")
}

fn topics(command: &clap::Command) -> String {
    let about = |name: &str| {
        let found = command.find_subcommand(name).and_then(clap::Command::get_about);
        found.map(ToString::to_string).unwrap_or_default()
    };
    let topic = |(title, names): &(&str, &[&str])| {
        let lines: Vec<String> = names.iter().map(|name| format!("  {name:<11} {}", about(name))).collect();
        format!("{title}:\n{}\n", lines.join("\n"))
    };
    TOPICS.iter().map(topic).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_topic() {
        let command = Arguments::command();
        let mut expected: Vec<&str> =
            command.get_subcommands().filter(|one| !one.is_hide_set()).map(clap::Command::get_name).collect();
        let mut listed: Vec<&str> = TOPICS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        expected.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, expected);
        let help = super::command().render_help().to_string();
        assert!(help.contains("\n  import      Import servers"), "{help}");
    }
}

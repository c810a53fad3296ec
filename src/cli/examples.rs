//! Examples in the help and the manual pages of commands whose definition has none.

use clap::Command;

/// Commands and their examples.
const EXAMPLES: [(&str, &[&str]); 32] = [
    ("setup", &["mcpproxy setup", "mcpproxy setup --yes    # every step without asking"]),
    ("serve", &["mcpproxy serve", "mcpproxy serve --listen 127.0.0.1:9090"]),
    ("stop", &["mcpproxy stop"]),
    (
        "status",
        &[
            "mcpproxy status",
            "mcpproxy status --show-key",
            "mcpproxy status --json",
        ],
    ),
    ("ui", &["mcpproxy ui", "mcpproxy ui --print"]),
    ("logs", &["mcpproxy logs --follow", "mcpproxy logs --tray --tail 100"]),
    ("scan", &["mcpproxy scan", "mcpproxy scan github"]),
    ("disconnect", &["mcpproxy disconnect cursor"]),
    ("migrate", &["mcpproxy migrate --dry-run"]),
    ("update", &["mcpproxy update"]),
    (
        "completion",
        &[
            "mcpproxy completion bash > ~/.local/share/bash-completion/completions/mcpproxy",
            "mcpproxy completion zsh > ~/.zfunc/_mcpproxy",
            "mcpproxy completion fish > ~/.config/fish/completions/mcpproxy.fish",
            "mcpproxy completion powershell >> $PROFILE",
        ],
    ),
    ("upstream list", &["mcpproxy upstream list", "mcpproxy upstream ls --json"]),
    ("upstream remove", &["mcpproxy upstream remove fs", "mcpproxy upstream rm fs --yes"]),
    ("upstream enable", &["mcpproxy upstream enable fs"]),
    ("upstream disable", &["mcpproxy upstream disable fs"]),
    ("upstream restart", &["mcpproxy upstream restart fs"]),
    ("upstream login", &["mcpproxy upstream login sentry"]),
    ("upstream logout", &["mcpproxy upstream logout sentry"]),
    ("upstream inspect", &["mcpproxy upstream inspect fs"]),
    ("upstream logs", &["mcpproxy upstream logs fs --follow"]),
    ("tools list", &["mcpproxy tools list", "mcpproxy tools list --server fs"]),
    (
        "tools search",
        &[
            "mcpproxy tools search create an issue",
            "mcpproxy tools search -n 3 --explain weather",
        ],
    ),
    ("tools enable", &["mcpproxy tools enable fs:read_file"]),
    ("tools disable", &["mcpproxy tools disable fs:write_file fs:move_file"]),
    ("call tool-read", &["mcpproxy call tool-read --tool fs:read_file --json_args '{\"path\":\"/tmp/a.txt\"}'"]),
    ("call tool-write", &["mcpproxy call tool-write --tool fs:write_file --json_args -    # reads standard input"]),
    (
        "call tool-destructive",
        &["mcpproxy call tool-destructive --tool db:drop_table --json_args '{\"name\":\"old\"}'"],
    ),
    (
        "profile",
        &[
            "mcpproxy profile create work github sentry",
            "mcpproxy profile use work",
            "mcpproxy profile use",
        ],
    ),
    (
        "registry",
        &[
            "mcpproxy registry search airtable",
            "mcpproxy registry show airtable-mcp-server",
            "mcpproxy registry add-source mine https://registry.example.com/",
        ],
    ),
    ("secrets", &["mcpproxy secrets set github_token", "mcpproxy secrets list"]),
    ("telemetry", &["mcpproxy telemetry show", "mcpproxy telemetry disable"]),
    (
        "config",
        &[
            "mcpproxy config path",
            "mcpproxy config validate",
            "mcpproxy config edit",
        ],
    ),
];

/// The command line with these examples.
pub(super) fn with_examples(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (path, examples)| {
        let path: Vec<&'static str> = path.split(' ').collect();
        add(command, &path, examples)
    })
}

fn add(command: Command, path: &[&'static str], examples: &[&str]) -> Command {
    if let [name, rest @ ..] = path {
        return command.mut_subcommand(name, |subcommand| add(subcommand, rest, examples));
    }
    let examples = format!("Examples:\n  {}", examples.join("\n  "));
    let text = match command.get_after_help() {
        Some(before) => format!("{before}\n\n{examples}"),
        None => examples,
    };
    command.after_help(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::args::Arguments;

    /// The words of a line as a shell splits them, without redirection and comment.
    fn words(line: &str) -> Vec<String> {
        let line = line.split("    #").next().unwrap().split(" >").next().unwrap();
        line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
    }

    #[test]
    fn every_example_is_a_command() {
        for line in EXAMPLES.iter().flat_map(|(_, examples)| examples.iter()) {
            let parsed = Arguments::command().try_get_matches_from(words(line));
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        }
    }

    #[test]
    fn no_command_has_two_lists_of_examples() {
        let mut command = with_examples(Arguments::command());
        for (path, examples) in EXAMPLES {
            let found = path.split(' ').fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
            let help = found.render_long_help().to_string();
            assert_eq!(help.matches("Examples:").count(), 1, "{path}");
            assert!(help.contains(examples[0]), "{path}");
        }
    }
}

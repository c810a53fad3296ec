//! Shell completion: the generated script, and the names of servers, clients, profiles and codes that it asks for.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::args::{Arguments, Names};
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::output;
use crate::contract::api::AiClient;
use crate::contract::names;
use crate::diagnostics::code::Code;

/// Subcommands whose first argument is a name of this kind.
const NAMED: [(&str, &[&str], Names); 5] = [
    (
        "upstream",
        &[
            "approve", "disable", "enable", "inspect", "login", "logout", "logs", "remove", "restart", "rm", "set",
        ],
        Names::Servers,
    ),
    ("connect", &[""], Names::Clients),
    ("disconnect", &[""], Names::Clients),
    ("profile", &["use", "remove", "create"], Names::Profiles),
    ("doctor", &["fix", "list-codes"], Names::Codes),
];

/// The completion script of a shell.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    // Generated in memory because the library panics when its output is closed early.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), names::CORE_PROGRAM, &mut script);
    match shell {
        Shell::Bash => script.extend(bash().as_bytes()),
        Shell::Zsh => script.extend(zsh().as_bytes()),
        Shell::Fish => script.extend(fish().as_bytes()),
        _ => {}
    }
    script
}

/// The cases of a shell's `case` over the first two words.
fn cases(line: impl Fn(Names) -> String) -> String {
    let mut text = String::new();
    for (command, subcommands, kind) in NAMED {
        let patterns: Vec<String> = subcommands
            .iter()
            .map(|subcommand| {
                if subcommand.is_empty() {
                    format!("'{command} '*")
                } else {
                    format!("'{command} {subcommand}'")
                }
            })
            .collect();
        text.push_str(&format!("        {}) {} ;;\n", patterns.join("|"), line(kind)));
    }
    text
}

/// Completes names first; the generated function completes everything else.
///
/// Does not use `compgen -W`, which runs command substitutions in its words: imported names come from other people.
fn bash() -> String {
    let cases = cases(|kind| format!("kind={}", kind.word()));
    format!(
        r#"
_mcpproxy_names() {{
    local kind="" name="" cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}    esac
    if [[ "$prev" == --server ]]; then kind=servers; fi
    if [[ -n "$kind" && "$cur" != -* ]]; then
        COMPREPLY=()
        while IFS= read -r name; do
            if [[ -n "$name" && "$name" == "$cur"* ]]; then COMPREPLY+=("$(printf '%q' "$name")"); fi
        done <<< "$(mcpproxy names "$kind" 2>/dev/null)"
        if [[ ${{#COMPREPLY[@]}} -gt 0 ]]; then return 0; fi
    fi
    _mcpproxy "$@"
}}
complete -F _mcpproxy_names -o nosort -o bashdefault -o default mcpproxy 2>/dev/null || complete -F _mcpproxy_names -o bashdefault -o default mcpproxy
"#
    )
}

fn zsh() -> String {
    let cases = cases(|kind| format!("kind={}", kind.word()));
    format!(
        r#"
_mcpproxy_names() {{
    local kind=""
    case "${{words[2]}} ${{words[3]}}" in
{cases}    esac
    if [[ "${{words[CURRENT-1]}}" == --server ]]; then kind=servers; fi
    if [[ -n "$kind" && "${{words[CURRENT]}}" != -* ]]; then
        local -a found
        found=(${{(f)"$(mcpproxy names $kind 2>/dev/null)"}})
        (( ${{#found}} )) && compadd -a found && return 0
    fi
    _mcpproxy "$@"
}}
compdef _mcpproxy_names mcpproxy
"#
    )
}

fn fish() -> String {
    let mut text = String::from("\ncomplete -c mcpproxy -l server -f -a '(mcpproxy names servers 2>/dev/null)'\n");
    for (command, subcommands, kind) in NAMED {
        let also = match subcommands {
            [""] => String::new(),
            _ => format!("; and __fish_seen_subcommand_from {}", subcommands.join(" ")),
        };
        text.push_str(&format!(
            "complete -c mcpproxy -n '__fish_seen_subcommand_from {command}{also}' -f -a '(mcpproxy names {} 2>/dev/null)'\n",
            kind.word()
        ));
    }
    text
}

impl Names {
    const fn word(self) -> &'static str {
        match self {
            Names::Servers => "servers",
            Names::Clients => "clients",
            Names::Profiles => "profiles",
            Names::Codes => "codes",
        }
    }
}

/// Prints names, one per line. Ignores errors, because the user is typing.
pub(super) async fn print_names(context: &Context, link: &CoreLink, kind: Names) {
    let found: Vec<String> = match kind {
        Names::Servers => {
            let config = context.store.load().ok();
            config.into_iter().flat_map(|config| config.servers).map(|server| server.name).collect()
        }
        Names::Profiles => {
            let config = context.store.load().ok();
            config.into_iter().flat_map(|config| config.profiles).map(|profile| profile.name).collect()
        }
        Names::Clients => {
            let Some(client) = link.running() else { return };
            let clients = client.get::<Vec<AiClient>>("/api/v1/connect").await.unwrap_or_default();
            clients.into_iter().map(|client| client.id).collect()
        }
        Names::Codes => Code::ALL.iter().map(|code| code.name().to_owned()).collect(),
    };
    for name in found {
        if output::write_raw(&format!("{}\n", crate::contract::visible_text::one_line(&name))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_ask_for_names() {
        for (shell, part) in [
            (Shell::Bash, "complete -F _mcpproxy_names"),
            (Shell::Zsh, "compdef _mcpproxy_names mcpproxy"),
            (Shell::Fish, "(mcpproxy names codes 2>/dev/null)"),
        ] {
            let script = String::from_utf8(script(shell)).unwrap();
            assert!(script.contains(part) && script.contains("servers"), "{shell}");
            assert!(!script.contains(r#"compgen -W "$(mcpproxy"#), "{shell}: compgen would run commands in a name");
        }
    }

    /// The commands that complete names exist.
    #[test]
    fn commands_with_names_exist() {
        let root = Arguments::command();
        for (command, subcommands, _) in NAMED {
            let found = root.find_subcommand(command).unwrap();
            for subcommand in subcommands.iter().filter(|subcommand| !subcommand.is_empty()) {
                assert!(found.find_subcommand(subcommand).is_some(), "{command} {subcommand}");
            }
        }
    }
}

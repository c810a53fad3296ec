//! Shell completion: the generated script, and the names of servers, tools, clients, profiles and codes that it asks for.
//!
//! Names come from other people, so no shell may run them: each script quotes a name or hands it over as data.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::{Arguments, Names};
use crate::cli::context::Context;
use crate::cli::core_link::CoreLink;
use crate::cli::output;
use crate::contract::api::{AiClient, AllTools};
use crate::contract::names;
use crate::diagnostics::code::Code;

/// Subcommands whose arguments are names of this kind.
const NAMED: [(&str, &[&str], Names); 7] = [
    (
        "upstream",
        &[
            "approve", "disable", "enable", "inspect", "login", "logout", "logs", "remove", "restart", "rm", "set",
        ],
        Names::Servers,
    ),
    ("scan", &[""], Names::Servers),
    ("tools", &["disable", "enable"], Names::Tools),
    ("connect", &[""], Names::Clients),
    ("disconnect", &[""], Names::Clients),
    ("profile", &["use", "remove", "create"], Names::Profiles),
    ("doctor", &["fix", "list-codes"], Names::Codes),
];

/// Options whose value is a name of this kind.
const OPTIONS: [(&str, Names); 5] = [
    ("--server", Names::Servers),
    ("--tool", Names::Tools),
    ("-t", Names::Tools),
    ("--from", Names::Clients),
    ("--profile", Names::Profiles),
];

/// The start of the completer that is generated for PowerShell.
const REGISTER: &str = "Register-ArgumentCompleter -Native -CommandName 'mcpproxy' -ScriptBlock {";

/// The completion script of a shell.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    // Generated in memory because the library panics when its output is closed early.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), names::CORE_PROGRAM, &mut script);
    match shell {
        Shell::Bash => script.extend(bash().as_bytes()),
        Shell::Zsh => script.extend(zsh().as_bytes()),
        Shell::Fish => script.extend(fish().as_bytes()),
        Shell::PowerShell => return powershell(&String::from_utf8_lossy(&script)).into_bytes(),
        _ => {}
    }
    script
}

/// The patterns over the first two words, and the kind of names of each.
fn patterns() -> impl Iterator<Item = (Vec<String>, Names)> {
    NAMED.into_iter().map(|(command, subcommands, kind)| {
        let pattern = |subcommand: &&str| match *subcommand {
            "" => format!("{command} *"),
            subcommand => format!("{command} {subcommand}"),
        };
        (subcommands.iter().map(pattern).collect(), kind)
    })
}

/// The cases of a shell's `case` over the first two words.
fn cases() -> String {
    let quoted = |pattern: String| match pattern.strip_suffix('*') {
        Some(start) => format!("'{start}'*"),
        None => format!("'{pattern}'"),
    };
    let case = |(patterns, kind): (Vec<String>, Names)| {
        let patterns: Vec<String> = patterns.into_iter().map(quoted).collect();
        format!("        {}) kind={} ;;\n", patterns.join("|"), kind.word())
    };
    patterns().map(case).collect()
}

/// The cases of a shell's `case` over the word before the cursor.
fn option_cases() -> String {
    OPTIONS.iter().map(|(option, kind)| format!("        {option}) kind={} ;;\n", kind.word())).collect()
}

/// Completes names first; the generated function completes everything else.
///
/// Does not use `compgen -W`, which runs command substitutions in its words: imported names come from other people.
/// Bash splits `server:tool` into three words, so the name being typed is read from the line, and completed from its last colon.
fn bash() -> String {
    let (cases, options) = (cases(), option_cases());
    format!(
        r#"
_mcpproxy_names() {{
    local kind="" name="" start="" line="${{COMP_LINE:0:COMP_POINT}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    local cur="${{line##*[[:space:]]}}"
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{cases}    esac
    if [[ "$cur" == *:* ]]; then
        start="${{cur%:*}}:"
        local before="${{line%"$cur"}}"
        before="${{before%"${{before##*[![:space:]]}}"}}"
        prev="${{before##*[[:space:]]}}"
    fi
    case "$prev" in
{options}    esac
    if [[ -n "$kind" && "$cur" != -* ]]; then
        COMPREPLY=()
        while IFS= read -r name; do
            if [[ -n "$name" && "$name" == "$cur"* ]]; then
                if [[ "$COMP_WORDBREAKS" == *:* ]]; then name="${{name#"$start"}}"; fi
                COMPREPLY+=("$(printf '%q' "$name")")
            fi
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
    let (cases, options) = (cases(), option_cases());
    format!(
        r#"
_mcpproxy_names() {{
    local kind=""
    case "${{words[2]}} ${{words[3]}}" in
{cases}    esac
    case "${{words[CURRENT-1]}}" in
{options}    esac
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
    let names = |kind: Names| format!("-f -a '(mcpproxy names {} 2>/dev/null)'\n", kind.word());
    let mut text = String::from("\n");
    for (option, kind) in OPTIONS {
        let option = match option.strip_prefix("--") {
            Some(long) => format!("-l {long}"),
            None => format!("-s {}", option.trim_start_matches('-')),
        };
        text.push_str(&format!("complete -c mcpproxy {option} {}", names(kind)));
    }
    for (command, subcommands, kind) in NAMED {
        let also = match subcommands {
            [""] => String::new(),
            _ => format!("; and __fish_seen_subcommand_from {}", subcommands.join(" ")),
        };
        let condition = format!("-n '__fish_seen_subcommand_from {command}{also}'");
        text.push_str(&format!("complete -c mcpproxy {condition} {}", names(kind)));
    }
    text
}

/// Keeps the generated completer under another name, and registers one that completes names first.
///
/// A name with other than plain characters is completed in single quotes, which PowerShell takes literally.
fn powershell(generated: &str) -> String {
    let kept = generated.replace(REGISTER, "$global:__mcpproxy_commands = {");
    let mut cases = String::new();
    for (patterns, kind) in patterns() {
        for pattern in patterns {
            cases.push_str(&format!("        '{pattern}' {{ $kind = '{}' }}\n", kind.word()));
        }
    }
    let options: String =
        OPTIONS.iter().map(|(option, kind)| format!("        '{option}' {{ $kind = '{}' }}\n", kind.word())).collect();
    format!(
        r#"{kept}
Register-ArgumentCompleter -Native -CommandName 'mcpproxy', 'mcpproxy.exe' -ScriptBlock {{
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements | Where-Object {{ $_.Extent.EndOffset -lt $cursorPosition }} |
        ForEach-Object {{ $_.Extent.Text }})
    $kind = ''
    switch -Wildcard -CaseSensitive (($words + @('', ''))[1..2] -join ' ') {{
{cases}    }}
    switch -CaseSensitive ($words[-1]) {{
{options}    }}
    if ($kind -and $words.Count -gt 1 -and -not $wordToComplete.StartsWith('-')) {{
        $typed = $wordToComplete.Trim([char[]]"'``""")
        $found = @(& mcpproxy names $kind 2>$null | Where-Object {{
            $_ -and $_.StartsWith($typed, [StringComparison]::OrdinalIgnoreCase) }})
        if ($found.Count -gt 0) {{
            return $found | ForEach-Object {{
                $text = if ($_ -cmatch '^[A-Za-z0-9_.:/-]+$') {{ $_ }} else {{ "'" + ($_ -replace "['‘’‚‛]", '$0$0') + "'" }}
                [System.Management.Automation.CompletionResult]::new($text, $_, 'ParameterValue', $_)
            }}
        }}
    }}
    & $global:__mcpproxy_commands $wordToComplete $commandAst $cursorPosition
}}
"#
    )
}

impl Names {
    const fn word(self) -> &'static str {
        match self {
            Names::Servers => "servers",
            Names::Tools => "tools",
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
        Names::Tools => {
            let Some(client) = link.running() else { return };
            let tools = client.get::<AllTools>("/api/v1/tools").await.unwrap_or_default().tools;
            tools.into_iter().map(|tool| format!("{}:{}", tool.server_name, tool.name)).collect()
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

    fn text(shell: Shell) -> String {
        String::from_utf8(script(shell)).unwrap()
    }

    #[test]
    fn scripts_ask_for_names() {
        for (shell, part) in [
            (Shell::Bash, "complete -F _mcpproxy_names"),
            (Shell::Zsh, "compdef _mcpproxy_names mcpproxy"),
            (Shell::Fish, "(mcpproxy names codes 2>/dev/null)"),
            (Shell::PowerShell, "& mcpproxy names $kind 2>$null"),
        ] {
            let script = text(shell);
            for kind in ["servers", "tools", "clients", "profiles", "codes", part] {
                assert!(script.contains(kind), "{shell}: {kind}");
            }
            assert!(!script.contains(r#"compgen -W "$(mcpproxy"#), "{shell}: compgen would run commands in a name");
        }
    }

    #[test]
    fn powershell_completes_names_first_and_commands_as_before() {
        let script = text(Shell::PowerShell);
        assert_eq!(script.matches("Register-ArgumentCompleter").count(), 1, "the generated one would replace ours");
        assert!(script.contains("$global:__mcpproxy_commands = {\n    param($wordToComplete"), "{script}");
        assert!(script.contains("'connect *' { $kind = 'clients' }"), "{script}");
        assert!(!script.contains("Invoke-Expression") && !script.contains("iex "), "a name must never be run");
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

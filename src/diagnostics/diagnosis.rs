//! Explains a typed failure to the user, with the user's own names filled in. Pure functions.

use crate::contract::api::{Diagnostic, FixStep, FixStepKind};
use crate::contract::platform::Platform;
use crate::diagnostics::catalog::{Act, Entry, Step};
use crate::diagnostics::fault::Fault;
use crate::diagnostics::install::{self, Manager};

/// Facts about the server and the computer.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub server: &'a str,
    pub command: Option<&'a str>,
    /// Without user, password and query.
    pub url: Option<&'a str>,
    pub platform: Platform,
    /// The package managers of the computer, the best one first.
    pub managers: &'a [Manager],
}

/// The names that a placeholder stands for.
type Values = Vec<(&'static str, String)>;

/// Placeholders in the order of the documentation, and what stands for each there.
pub const PLACEHOLDERS: [(&str, &str); 14] = [
    ("server", "NAME"),
    ("command", "PROGRAM"),
    ("program", "/path/to/PROGRAM"),
    ("path", "/usr/local/bin:/usr/bin:…"),
    ("interpreter", "INTERPRETER"),
    ("directory", "DIR"),
    ("status", "status N"),
    ("seconds", "N"),
    ("url", "URL"),
    ("host", "HOST"),
    ("proxy", "PROXY"),
    ("variable", "NAME"),
    ("secret", "NAME"),
    ("image", "IMAGE"),
];

/// Where the page of a code is, relative to the project and to the installed documentation.
pub fn docs_url(entry: &Entry) -> String {
    format!("docs/errors/{}.md", entry.code.name())
}

/// Explains a failure. `cause` is its message; `detected_at` is in RFC 3339.
pub fn diagnose(fault: &Fault, cause: Option<String>, context: &Context<'_>, detected_at: String) -> Diagnostic {
    let entry = Entry::of(fault.code());
    let values = values(fault, context);
    let hint = match fault {
        Fault::CommandNotFound { command, .. } => install::hint(command, context.platform, context.managers),
        _ => None,
    };
    let remedy = fill(entry.remedy, &values);
    let mut steps = Vec::new();
    if let Some(hint) = &hint {
        steps.extend(hint.command.clone().map(|command| FixStep {
            command: Some(command),
            ..FixStep::new(FixStepKind::Command, "Install it")
        }));
        steps.push(FixStep {
            url: Some(hint.url.to_owned()),
            ..FixStep::new(FixStepKind::Link, "How to install it")
        });
    }
    let page = docs_url(entry);
    steps.extend(entry.steps.iter().filter_map(|step| filled(step, context.platform, &values, &page)));
    Diagnostic {
        code: entry.code.name().to_owned(),
        severity: entry.code.severity().word().into(),
        cause,
        remediation: Some(match hint {
            Some(hint) => format!("{} {remedy}", hint.text),
            None => remedy,
        }),
        why: fill(entry.why, &values),
        server_id: context.server.to_owned(),
        detected_at,
        user_message: fill(entry.what, &values),
        fix_steps: steps,
        docs_url: page,
    }
}

/// A step as REST shows it; `None` if it is for another system, or a name that it needs is not known.
fn filled(step: &Step, platform: Platform, values: &Values, page: &str) -> Option<FixStep> {
    if step.on.is_some_and(|on| on != platform) {
        return None;
    }
    let label = fill(step.label, values);
    Some(match step.act {
        Act::Advice => FixStep {
            url: Some(page.to_owned()),
            ..FixStep::new(FixStepKind::Link, &label)
        },
        Act::Command(command) => {
            let is_known = |(name, _): &(&str, &str)| {
                !command.contains(&format!("{{{name}}}")) || values.iter().any(|(known, _)| known == name)
            };
            if !PLACEHOLDERS.iter().all(is_known) {
                return None;
            }
            FixStep {
                command: Some(fill_command(command, values, platform)),
                ..FixStep::new(FixStepKind::Command, &label)
            }
        }
        Act::Fix { fixer, destructive } => FixStep {
            fixer_key: Some(fixer.key().to_owned()),
            destructive: Some(destructive),
            ..FixStep::new(FixStepKind::Button, &label)
        },
    })
}

fn values(fault: &Fault, context: &Context<'_>) -> Values {
    let mut values = vec![("server", context.server.to_owned())];
    values.extend(context.command.map(|command| ("command", command.to_owned())));
    values.extend(context.url.map(|url| ("url", url.to_owned())));
    let host = |host: &String| [("host", host.clone())];
    match fault {
        Fault::CommandNotFound { command, path } => {
            values.retain(|(name, _)| *name != "command");
            let path = if path.is_empty() { "it is empty".to_owned() } else { format!("`{path}`") };
            values.extend([("command", command.clone()), ("path", path)]);
        }
        Fault::NotExecutable { program } | Fault::WrongFormat { program } => {
            values.push(("program", program.clone()));
        }
        Fault::InterpreterMissing { program, interpreter } => {
            values.extend([("program", program.clone()), ("interpreter", interpreter.clone())]);
        }
        Fault::WorkingDirectory { directory } => values.push(("directory", directory.clone())),
        Fault::ExitedAtStart { status } | Fault::Exited { status } => {
            let status = status.map_or("a signal".to_owned(), |status| format!("exit status {status}"));
            values.push(("status", status));
        }
        Fault::NoReply { seconds, .. } => values.push(("seconds", seconds.to_string())),
        Fault::Http { status } => values.push(("status", status.to_string())),
        Fault::Dns { host: name }
        | Fault::Tls { host: name }
        | Fault::Refused { host: name }
        | Fault::HttpTimeout { host: name }
        | Fault::Lost { host: name }
        | Fault::Offline { host: name } => values.extend(host(name)),
        Fault::Proxy { proxy } => {
            values.push(("proxy", proxy.clone()));
            values.extend(context.url.map(|url| ("host", url.to_owned())));
        }
        Fault::MissingVariable { variable } => values.push(("variable", variable.clone())),
        Fault::MissingSecret { secret } => values.push(("secret", secret.clone())),
        _ => {}
    }
    values
}

/// A text with its placeholders filled in; those that are not known are left out.
fn fill(text: &str, values: &Values) -> String {
    replaced(text, |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
}

/// A command whose placeholders are quoted for a shell where that is necessary.
fn fill_command(text: &str, values: &Values, platform: Platform) -> String {
    replaced(text, |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| quoted(value, platform)))
}

/// A text with each placeholder replaced. Other text in braces, such as `${keyring:NAME}`, stays.
pub fn replaced(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = text.to_owned();
    for (name, _) in PLACEHOLDERS {
        let placeholder = format!("{{{name}}}");
        if filled.contains(&placeholder) {
            filled = filled.replace(&placeholder, &value(name).unwrap_or_default());
        }
    }
    filled
}

/// A value as one word of a shell.
fn quoted(value: &str, platform: Platform) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=~\\".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) && (platform == Platform::Windows || !value.contains('\\')) {
        return value.to_owned();
    }
    match platform {
        Platform::Windows => format!("\"{}\"", value.replace('"', "")),
        _ => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::code::Code;

    fn context(platform: Platform, managers: &'static [Manager]) -> Context<'static> {
        Context {
            server: "my server",
            command: Some("npx"),
            url: Some("https://h.example/mcp"),
            platform,
            managers,
        }
    }

    fn commands(found: &Diagnostic) -> Vec<&str> {
        found.fix_steps.iter().filter_map(|step| step.command.as_deref()).collect()
    }

    #[test]
    fn a_missing_package_runner_says_what_it_belongs_to_and_how_to_install_it() {
        let fault = Fault::CommandNotFound {
            command: "npx".to_owned(),
            path: "/usr/bin:/bin".to_owned(),
        };
        let found = diagnose(&fault, None, &context(Platform::Linux, &[Manager::Dnf]), "t".to_owned());
        assert_eq!(found.code, "MCPX_STDIO_SPAWN_ENOENT");
        assert_eq!(found.user_message, "MCPProxy could not find the program `npx`.");
        assert!(found.why.contains("`/usr/bin:/bin`"), "{}", found.why);
        assert!(found.remediation.as_deref().unwrap().starts_with("`npx` comes with Node.js."));
        let expected = [
            "sudo dnf install nodejs npm",
            "command -v npx",
            "mcpproxy upstream set 'my server' -- /full/path/to/npx",
        ];
        assert_eq!(commands(&found), expected);
        let windows = diagnose(&fault, None, &context(Platform::Windows, &[Manager::Winget]), "t".to_owned());
        assert!(commands(&windows).contains(&"where.exe npx") && commands(&windows)[0].starts_with("winget "));
    }

    #[test]
    fn a_step_that_needs_an_unknown_name_is_left_out() {
        let linux = context(Platform::Linux, &[]);
        let variable = Fault::MissingVariable {
            variable: "API_TOKEN".to_owned(),
        };
        let found = diagnose(&variable, None, &linux, String::new());
        assert!(found.user_message.contains("`API_TOKEN`") && commands(&found).is_empty(), "{found:?}");
        let secret = Fault::MissingSecret {
            secret: "api".to_owned(),
        };
        assert_eq!(commands(&diagnose(&secret, None, &linux, String::new())), ["mcpproxy secrets set api"]);
    }

    #[test]
    fn no_text_keeps_a_placeholder() {
        let context = context(Platform::MacOs, &[Manager::Brew]);
        for fault in [
            Fault::Unclassified,
            Fault::Http { status: 404 },
            Fault::Tls {
                host: "h.example".to_owned(),
            },
            Fault::ExitedAtStart { status: Some(1) },
            Fault::NoReply {
                seconds: 30,
                over_http: false,
            },
            Fault::Container(Code::DockerNoProgram),
            Fault::Proxy {
                proxy: "p:1".to_owned(),
            },
        ] {
            let found = diagnose(&fault, Some("x".to_owned()), &context, String::new());
            let texts = [&found.user_message, &found.why, found.remediation.as_ref().unwrap()];
            for text in texts.into_iter().map(String::as_str).chain(commands(&found)) {
                let is_left = PLACEHOLDERS.iter().any(|(name, _)| text.contains(&format!("{{{name}}}")));
                assert!(!is_left && !text.contains("``"), "{text}");
            }
        }
    }
}

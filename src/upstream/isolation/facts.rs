//! What the review shows about isolation and variables, as values: what will run, and what it receives from where.

use std::collections::BTreeMap;

use super::environment::{self, Source, Variable};
use super::machine::Machine;
use super::plan::{Choice, choose};
use crate::config::ServerConfig;
use crate::config::code_variables::changes_code;
use crate::config::isolation::Network;
use crate::config::references::{self, Kind};
pub use crate::contract::isolation::{IsolationFacts, VariableFact};
use crate::contract::words::{IsolationOutcome, NetworkAccess, VariableSource};

/// How a server will be isolated on this machine. A pure function; nothing is started.
pub fn isolation(config: &ServerConfig, machine: &Machine, is_engine: bool) -> IsolationFacts {
    let (effective, note) = match choose(config, machine, is_engine) {
        Ok(Choice::None { note }) => (IsolationOutcome::None, note),
        Ok(choice) => (choice.outcome(), None),
        Err(problem) => (IsolationOutcome::Refused, Some(problem.text)),
    };
    let limited = matches!(effective, IsolationOutcome::Sandbox | IsolationOutcome::Docker);
    let network = if limited { config.isolation.network } else { Network::On };
    let network = match network {
        Network::On => NetworkAccess::On,
        Network::Loopback => NetworkAccess::Loopback,
        Network::Off => NetworkAccess::Off,
    };
    IsolationFacts {
        configured: config.isolation.mode.word().into(),
        summary: summary(&effective).to_owned(),
        effective,
        note,
        network,
    }
}

fn summary(effective: &IsolationOutcome) -> &'static str {
    match effective {
        IsolationOutcome::Sandbox => {
            "Runs in a sandbox: it can use the files that its entry names, but none of your other files, keys or credentials."
        }
        IsolationOutcome::Docker => "Runs in a container: it sees only the files that its arguments name.",
        IsolationOutcome::OwnContainer => "Starts a container itself; its arguments decide what that container sees.",
        IsolationOutcome::Remote => "Runs on another computer; it sees only what is sent to it.",
        IsolationOutcome::Refused => "Does not start: the isolation that it asks for cannot be enforced here.",
        IsolationOutcome::None | IsolationOutcome::Unknown(_) => {
            "Runs without isolation: it can read and change everything that you can."
        }
    }
}

/// The variables that a server receives, from the entry as it is in the file. A pure function.
pub fn variables<'a>(
    config: &ServerConfig,
    session: impl Iterator<Item = (&'a str, &'a str)>,
    windows: bool,
) -> Vec<VariableFact> {
    let received = environment::for_server(config, session, windows);
    received.iter().map(|(name, variable)| variable_fact(name, variable)).collect()
}

fn variable_fact(name: &str, variable: &Variable) -> VariableFact {
    let own = matches!(variable.source, Source::Entry | Source::Settings);
    VariableFact {
        name: name.to_owned(),
        source: match variable.source {
            Source::AllowList => VariableSource::AllowList,
            Source::Inherited => VariableSource::Inherited,
            Source::Settings => VariableSource::Settings,
            Source::Entry => VariableSource::Entry,
        },
        references: if own { references_in(&variable.value) } else { Vec::new() },
        changes_code: own && changes_code(name),
    }
}

/// The references in one value.
fn references_in(value: &str) -> Vec<String> {
    let config = ServerConfig {
        env: BTreeMap::from([("x".to_owned(), value.to_owned())]),
        ..ServerConfig::default()
    };
    let of = |kind, word: &str| {
        references::names(&config, kind).into_iter().map(|name| format!("${{{word}:{name}}}")).collect::<Vec<_>>()
    };
    [of(Kind::Variable, "env"), of(Kind::Secret, "keyring")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_name_every_variable_and_no_value() {
        let config: ServerConfig = serde_json::from_str(
            r#"{"name": "s", "command": "npx", "env": {"KEY": "${keyring:GH} ${env:AWS}", "NODE_OPTIONS": "-r /x.js"},
                "inherit_env": ["TOKEN"]}"#,
        )
        .unwrap();
        let session = [("PATH", "/bin"), ("TOKEN", "s3cret"), ("AWS", "no")];
        let facts = variables(&config, session.into_iter(), false);
        let shown: Vec<_> = facts
            .iter()
            .map(|fact| format!("{} {} {:?} {}", fact.name, fact.source, fact.references, fact.changes_code))
            .collect();
        assert_eq!(
            shown,
            [
                r#"KEY entry ["${env:AWS}", "${keyring:GH}"] false"#,
                "NODE_OPTIONS entry [] true",
                "PATH allow_list [] false",
                "TOKEN inherited [] false",
            ]
        );
        assert!(!serde_json::to_string(&facts).unwrap().contains("s3cret"));
    }
}

//! The second step of the first-run window: what was found on this computer, and what to do with it.

use crate::contract::api::Setup;
use crate::contract::setup::{Seen, Step, next};

pub const NEXT_TITLE: &str = "Set up MCPProxy";
/// Label of the button that opens guided setup in the web UI.
pub const GET_STARTED: &str = "Get started…";
/// Label of the button that closes the window.
pub const LATER: &str = "Later";

/// Names in one sentence before the rest is only counted.
const MOST_NAMES: usize = 3;

/// A window to show now, with at most three buttons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    pub text: String,
    /// Label of the button that connects the found AI clients; `None` without one.
    pub connect: Option<String>,
}

/// The button that the user chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Connect the found AI clients.
    Connect,
    /// Open guided setup.
    GetStarted,
    /// *Later*, the title bar or Escape.
    Later,
}

/// The window for what is still to be set up; `None` if nothing is.
pub fn next_step(setup: &Setup, seen: Seen) -> Option<NextStep> {
    // The closing test belongs to guided setup: a new user has nothing to test yet, and others did not ask for it.
    let step = next(setup, seen.with(Step::Prove))?;
    let mut lines = Vec::new();
    match setup.importable.len() {
        0 => {}
        1 => lines.push(format!("1 server in {} can be imported.", listed(&setup.import_from))),
        count => lines.push(format!("{count} servers in {} can be imported.", listed(&setup.import_from))),
    }
    match setup.pending.len() {
        0 => {}
        1 => lines.push(format!("1 server needs your approval: {}.", listed(&setup.pending))),
        count => lines.push(format!("{count} servers need your approval: {}.", listed(&setup.pending))),
    }
    let clients: Vec<String> = setup.unconnected.iter().map(|client| client.name.clone()).collect();
    let connects = next(setup, seen.with(Step::Import).with(Step::Approve)) == Some(Step::Connect);
    if connects {
        lines.push(format!(
            "MCPProxy can be added to {}: one entry in the client's file, which you can undo in the menu.",
            listed(&clients)
        ));
    }
    if step == Step::AddServer {
        lines.push(
            "There is no server yet: add one, and its tools are available in every connected AI client.".to_owned(),
        );
    }
    lines.push(format!("{GET_STARTED} guides you through everything in your browser."));
    let connect = match clients.as_slice() {
        _ if !connects => None,
        [] => None,
        [one] => Some(format!("Connect {one}")),
        several => Some(format!("Connect {} AI clients", several.len())),
    };
    Some(NextStep {
        text: lines.join("\n\n"),
        connect,
    })
}

/// Names in one line.
fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
    match (names.len().saturating_sub(MOST_NAMES), shown.as_slice()) {
        (0, [others @ .., last]) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        (0, _) => shown.join(", "),
        (more, _) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::api::SetupClient;

    fn client(name: &str) -> SetupClient {
        SetupClient {
            name: name.into(),
            ..SetupClient::default()
        }
    }

    #[test]
    fn a_new_user_is_offered_what_was_found() {
        let setup = Setup {
            unconnected: vec![client("Cursor"), client("Codex")],
            importable: vec!["a".into(), "b".into()],
            import_from: vec!["Cursor".into()],
            ..Setup::default()
        };
        let step = next_step(&setup, Seen::default()).unwrap();
        assert_eq!(step.connect.as_deref(), Some("Connect 2 AI clients"));
        assert!(step.text.starts_with("2 servers in Cursor can be imported."), "{}", step.text);
        assert!(step.text.contains("added to Cursor and Codex"), "{}", step.text);
        assert!(step.text.ends_with("Get started… guides you through everything in your browser."), "{}", step.text);
        // After the clients are connected, the import is left.
        let rest = Setup {
            unconnected: Vec::new(),
            ..setup
        };
        assert_eq!(next_step(&rest, Seen::default().with(Step::Connect)).unwrap().connect, None);
    }

    #[test]
    fn clients_that_could_not_be_connected_are_not_offered_again() {
        let setup = Setup {
            unconnected: vec![client("Cursor")],
            servers: 1,
            ..Setup::default()
        };
        assert_eq!(next_step(&setup, Seen::default()).unwrap().connect.as_deref(), Some("Connect Cursor"));
        assert_eq!(next_step(&setup, Seen::default().with(Step::Connect)), None);
    }

    #[test]
    fn without_anything_the_user_is_asked_for_a_server() {
        let step = next_step(&Setup::default(), Seen::default()).unwrap();
        assert_eq!((step.connect, step.text.starts_with("There is no server yet")), (None, true));
    }

    #[test]
    fn a_user_who_is_set_up_is_not_asked() {
        let setup = Setup {
            servers: 2,
            connected: vec![client("Cursor")],
            ..Setup::default()
        };
        assert_eq!(next_step(&setup, Seen::default()), None);
    }

    #[test]
    fn long_lists_are_counted() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(listed(&names), "a, b, c and 2 more");
        assert_eq!(listed(names.get(..1).unwrap()), "a");
    }
}

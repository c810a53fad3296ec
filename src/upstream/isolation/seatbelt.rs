//! A [`Sandbox`] as a profile for macOS's `sandbox-exec`. Never run on macOS so far.

use std::fmt::Write as _;
use std::path::Path;

use super::sandbox::Sandbox;
use crate::config::isolation::Network;

/// The program that applies a profile.
pub const PROGRAM: &str = "/usr/bin/sandbox-exec";

/// The profile. Later rules win: what is secret is closed after its surroundings, the server's own directory opened last.
pub fn profile(sandbox: &Sandbox, home: Option<&Path>) -> String {
    let mut profile = String::from("(version 1)\n(allow default)\n");
    let mut rule = |action: &str, paths: &mut dyn Iterator<Item = &Path>| {
        for path in paths {
            let _ = writeln!(profile, "({action} (subpath {}))", quoted(path));
        }
    };
    rule("deny file-read*", &mut home.into_iter().chain([Path::new("/Volumes"), Path::new("/Users")]));
    rule("allow file-read*", &mut sandbox.read.iter().map(AsRef::as_ref));
    rule("deny file-read* file-write*", &mut sandbox.secret.iter().map(AsRef::as_ref));
    profile.push_str(
        "(deny file-write* (subpath \"/\"))\n(allow file-write* (literal \"/dev/null\") (literal \"/dev/tty\"))\n",
    );
    for path in &sandbox.write {
        let _ = writeln!(profile, "(allow file-read* file-write* (subpath {}))", quoted(path));
    }
    for secret in sandbox.secret.iter().filter(|secret| !sandbox.private.starts_with(secret)) {
        let _ = writeln!(profile, "(deny file-read* file-write* (subpath {}))", quoted(secret));
    }
    // A path that the entry names in full.
    for path in sandbox.read.iter().filter(|path| sandbox.secret.iter().any(|secret| path.starts_with(secret))) {
        let _ = writeln!(profile, "(allow file-read* (literal {}))", quoted(path));
    }
    profile.push_str("(deny process-info* (target others))\n(deny signal (target others))\n");
    profile.push_str(
        "(deny mach-lookup (global-name \"com.apple.SecurityServer\") (global-name \"com.apple.securityd.xpc\"))\n",
    );
    profile.push_str("(deny network* (remote unix-socket))\n");
    match sandbox.network {
        Network::On => {}
        Network::Off => profile.push_str("(deny network*)\n"),
        Network::Loopback => profile.push_str(
            "(deny network*)\n(allow network* (local ip \"localhost:*\"))\n(allow network* (remote ip \"localhost:*\"))\n",
        ),
    }
    profile
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::super::machine::System;
    use super::super::paths::Grants;
    use super::*;

    #[test]
    fn a_profile_closes_the_home_and_opens_what_was_granted() {
        let grants = Grants {
            read: [PathBuf::from("/Users/ann/.nvm")].into(),
            write: [PathBuf::from("/Users/ann/a \"b\"")].into(),
            refused: BTreeSet::new(),
        };
        let data = PathBuf::from("/Users/ann/.mcpproxy");
        let secret = BTreeSet::from([PathBuf::from("/Users/ann/.ssh"), data.clone()]);
        let sandbox = Sandbox::of(System::MacOs, grants, secret, Network::Loopback, data.join("isolation/s"), None);
        let expected = r#"(version 1)
(allow default)
(deny file-read* (subpath "/Users/ann"))
(deny file-read* (subpath "/Volumes"))
(deny file-read* (subpath "/Users"))
(allow file-read* (subpath "/Users/ann/.nvm"))
(deny file-read* file-write* (subpath "/Users/ann/.mcpproxy"))
(deny file-read* file-write* (subpath "/Users/ann/.ssh"))
(deny file-write* (subpath "/"))
(allow file-write* (literal "/dev/null") (literal "/dev/tty"))
(allow file-read* file-write* (subpath "/Users/ann/.mcpproxy/isolation/s"))
(allow file-read* file-write* (subpath "/Users/ann/a \"b\""))
(deny file-read* file-write* (subpath "/Users/ann/.ssh"))
(deny process-info* (target others))
(deny signal (target others))
(deny mach-lookup (global-name "com.apple.SecurityServer") (global-name "com.apple.securityd.xpc"))
(deny network* (remote unix-socket))
(deny network*)
(allow network* (local ip "localhost:*"))
(allow network* (remote ip "localhost:*"))
"#;
        assert_eq!(profile(&sandbox, Some(Path::new("/Users/ann"))), expected.replace(r#"a "b""#, r#"a \"b\""#));
    }
}

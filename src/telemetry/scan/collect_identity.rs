//! Collects values that identify the user, from the environment, the system's names and the version control settings.

use std::path::Path;

use crate::os::environment::{self, Environment};
use crate::os::files;
use crate::telemetry::scan::identity::{Identity, IdentityKind};

const USERS: &[&str] = &["USER", "LOGNAME", "USERNAME", "SUDO_USER"];
const HOMES: &[&str] = &["HOME", "USERPROFILE"];
const HOSTS: &[&str] = &["HOSTNAME", "COMPUTERNAME", "HOST", "USERDOMAIN", "NAME"];
const EMAILS: &[&str] = &["EMAIL", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
const FULL_NAMES: &[&str] = &["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"];

/// Parts of the names of variables that contain secrets.
const SECRET_PARTS: &[&str] = &[
    "TOKEN", "KEY", "SECRET", "PASS", "CRED", "AUTH", "COOKIE", "SESSION", "DSN", "PRIVATE", "WEBHOOK",
];

/// Maximum size of a file to read. Settings and account files are short.
const FILE_LIMIT: u64 = 256 * 1024;

fn is(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn holds_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
}

fn holds_an_address(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["URL", "URI", "PROXY"].iter().any(|part| name.ends_with(part))
}

/// Collects the identity of the user who runs this process. Reads a few small files. Call it once per process, not on
/// hot paths.
pub fn collect_identity() -> Identity {
    let variables = Environment::read(|name| {
        [USERS, HOMES, HOSTS, EMAILS, FULL_NAMES].iter().any(|names| is(name, names))
            || holds_a_secret(name)
            || holds_an_address(name)
    });
    let mut identity = of_variables(&variables);
    if let Some(home) = environment::home_directory() {
        identity.add(IdentityKind::Home, &home.to_string_lossy());
        if let Some(base) = home.file_name() {
            identity.add(IdentityKind::User, &base.to_string_lossy());
        }
        for settings in [".gitconfig", ".config/git/config"] {
            of_git_settings(&text(&home.join(settings)), &mut identity);
        }
    }
    #[cfg(unix)]
    {
        identity.add(IdentityKind::Host, &rustix::system::uname().nodename().to_string_lossy());
        let user = rustix::process::getuid().as_raw().to_string();
        of_accounts(&text(Path::new("/etc/passwd")), &user, &mut identity);
        for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
            identity.add(IdentityKind::Machine, &text(Path::new(path)));
        }
    }
    identity
}

fn text(path: &Path) -> String {
    let bytes = files::read_bounded(path, FILE_LIMIT).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The identity from the variables alone.
fn of_variables(variables: &Environment) -> Identity {
    let mut identity = Identity::default();
    for (name, value) in variables.iter() {
        if is(name, USERS) {
            identity.add(IdentityKind::User, value);
        } else if is(name, HOMES) {
            identity.add(IdentityKind::Home, value);
            let base = value.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
            identity.add(IdentityKind::User, base.unwrap_or_default());
        } else if is(name, HOSTS) {
            identity.add(IdentityKind::Host, value);
        } else if is(name, EMAILS) {
            identity.add(IdentityKind::Email, value);
        } else if is(name, FULL_NAMES) {
            identity.add(IdentityKind::FullName, value);
        } else if holds_a_secret(name) {
            identity.add(IdentityKind::Secret, value);
        }
        // `https://user:password@host`: both the whole value and the password alone.
        if let Some((_, rest)) = value.split_once("://")
            && let Some((user_info, _)) = rest.rsplit_once('@')
        {
            identity.add(IdentityKind::Secret, value);
            if let Some((_, password)) = user_info.split_once(':') {
                identity.add(IdentityKind::Secret, password);
            }
        }
    }
    identity
}

/// `name` and `email` of a git configuration file, in any section.
fn of_git_settings(text: &str, identity: &mut Identity) {
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match key.trim().to_ascii_lowercase().as_str() {
            "email" => {
                identity.add(IdentityKind::Email, value);
                if let Some((local, _)) = value.split_once('@') {
                    identity.add(IdentityKind::User, local);
                }
            }
            "name" => identity.add(IdentityKind::FullName, value),
            _ => {}
        }
    }
}

/// The account name and full name of a user id in a `passwd` file.
#[cfg(any(unix, test))]
fn of_accounts(text: &str, user: &str, identity: &mut Identity) {
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [name, _, id, _, full_name, home, ..] = fields.as_slice()
            && *id == user
        {
            identity.add(IdentityKind::User, name);
            identity.add(IdentityKind::FullName, full_name.split(',').next().unwrap_or_default());
            identity.add(IdentityKind::Home, home);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::scan::verify;

    fn caught(identity: &Identity, text: &str) -> bool {
        let json = serde_json::json!({ "note": text }).to_string();
        verify(json.as_bytes(), identity).iter().any(|hit| hit.net == 2)
    }

    #[test]
    fn names_and_secrets_of_the_environment_are_collected() {
        let set = [
            ("USER", "jdoe"),
            ("HOME", "/srv/people/jonny"),
            ("HOSTNAME", "wintermute.acme"),
            ("ACME_API_TOKEN", "plainlooking"),
            ("HTTPS_PROXY", "http://jd:s3cr3t@proxy:3128"),
            ("PATH", "/usr/bin"),
        ];
        let variables = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let identity = of_variables(&variables);
        for text in [
            "jdoe",
            "x /srv/people/jonny/y",
            "jonny",
            "WINTERMUTE",
            "plainlooking",
            "s3cr3t",
        ] {
            assert!(caught(&identity, text), "{text}");
        }
        for text in ["/usr/bin", "people", "plain looking"] {
            assert!(!caught(&identity, text), "{text}");
        }
    }

    #[test]
    fn full_names_and_addresses_come_from_accounts_and_git() {
        let mut identity = Identity::default();
        of_accounts("root:x:0:0::/root:/bin/sh\njd:x:1000:1000:Jonathan Doe,,,:/h/jd:/bin/sh\n", "1000", &mut identity);
        of_git_settings("[user]\n\tname = \"J. Doughnut\"\n\temail = jd42@example.org\n", &mut identity);
        for text in ["Jonathan", "doughnut", "jd42"] {
            assert!(caught(&identity, text), "{text}");
        }
        assert!(!caught(&identity, "someone else"));
    }

    #[test]
    fn the_identity_of_this_machine_is_collected() {
        let _ = format!("{:?}", collect_identity());
    }
}

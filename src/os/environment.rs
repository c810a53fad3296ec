//! Environment variables, read into a value that holds only the requested names.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Some of this process's environment variables. Names compare without case on Windows, as the system does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the variables whose name `wanted` accepts; invalid Unicode is replaced.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the process's environment"
    )]
    pub fn read(wanted: impl Fn(&str) -> bool) -> Environment {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .filter(|(name, _)| wanted(name))
            .collect()
    }

    /// The value of a variable; `""` if it is set but empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        if cfg!(windows) {
            let mut found = self.variables.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            return found.next().map(|(_, value)| value.as_str());
        }
        self.variables.get(name).map(String::as_str)
    }

    /// The value of a variable that is set and not empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All variables that were read, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Environment {
        Environment {
            variables: pairs.into_iter().collect(),
        }
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: a value may be a secret, and debug output is logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// The home directory of the user.
pub fn home_directory() -> Option<PathBuf> {
    dirs::home_dir()
}

/// The account name, for the name of the pipe; empty if unknown.
pub fn user_name() -> String {
    let names = Environment::read(|name| ["USER", "LOGNAME", "USERNAME"].iter().any(|n| name.eq_ignore_ascii_case(n)));
    let order = if cfg!(windows) {
        ["USERNAME", "USER", "LOGNAME"]
    } else {
        ["USER", "LOGNAME", "USERNAME"]
    };
    order.iter().find_map(|name| names.non_empty(name)).unwrap_or_default().to_owned()
}

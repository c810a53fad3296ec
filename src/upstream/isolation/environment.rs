//! Which environment variables a server receives, and where each comes from: a pure function.
//!
//! A server gets a short list of harmless variables instead of the whole session, in which other servers' secrets are.

use std::collections::BTreeMap;

use crate::config::ServerConfig;
use crate::config::environment_filter::EnvironmentFilter;
use crate::contract::names;

/// Where the value of a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The session, because the name is on the allow-list.
    AllowList,
    /// The session, because the entry names it in `inherit_env`.
    Inherited,
    /// `custom_vars` of the settings for all servers.
    Settings,
    /// The entry's own `env`.
    Entry,
}

/// A variable that a server receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub value: String,
    pub source: Source,
}

/// Names that every program may need and that hold no secrets; those of a proxy may hold its password.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_DIRS",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    // Certificates
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
    "DENO_CERT",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    // Where runtimes and their caches are
    "NVM_DIR",
    "NVM_BIN",
    "FNM_DIR",
    "VOLTA_HOME",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "PYENV_ROOT",
    "CONDA_PREFIX",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "BUN_INSTALL",
    "DENO_DIR",
    "DENO_INSTALL",
    "JAVA_HOME",
    "DOTNET_ROOT",
    "HOMEBREW_PREFIX",
    "UV_CACHE_DIR",
    "UV_PYTHON_INSTALL_DIR",
    "PNPM_HOME",
    "NIX_PROFILES",
    "COLIMA_HOME",
    "NPM_CONFIG_CACHE",
    "npm_config_cache",
    "PIPX_HOME",
    "PIPX_BIN_DIR",
    "PIP_CACHE_DIR",
    // Container engines, for servers that are containers
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    // Privacy choices of the person
    "DO_NOT_TRACK",
];

const WINDOWS: &[&str] = &[
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "USERNAME",
    "USERDOMAIN",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "PROGRAMW6432",
    "COMMONPROGRAMFILES",
    "COMMONPROGRAMFILES(X86)",
    "HOMEDRIVE",
    "HOMEPATH",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "OS",
    "PUBLIC",
    "ALLUSERSPROFILE",
    "PSMODULEPATH",
    "NVM_HOME",
    "NVM_SYMLINK",
];

const PROXY: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY"];

/// The variables that a server receives. `session` is the environment of this process.
pub fn for_server<'a>(
    config: &ServerConfig,
    session: impl Iterator<Item = (&'a str, &'a str)>,
    windows: bool,
) -> BTreeMap<String, Variable> {
    let filter = &config.environment;
    let mut variables = BTreeMap::new();
    for (name, value) in session.filter(|(name, _)| !is_private(name)) {
        let source = if config.inherit_env.iter().any(|wanted| same_name(wanted, name, windows)) {
            Source::Inherited
        } else if is_allowed(filter, name, windows) {
            Source::AllowList
        } else {
            continue;
        };
        let value = value.to_owned();
        variables.insert(name.to_owned(), Variable { value, source });
    }
    let mut set = |name: &String, value: &String, source| {
        variables.retain(|other, _| !same_name(other, name, windows));
        let value = value.clone();
        variables.insert(name.clone(), Variable { value, source });
    };
    filter.custom_vars.iter().for_each(|(name, value)| set(name, value, Source::Settings));
    config.env.iter().for_each(|(name, value)| set(name, value, Source::Entry));
    variables
}

/// Names in `inherit_env` that are not set, or that no server receives.
pub fn not_inherited<'a>(
    config: &'a ServerConfig,
    variables: &BTreeMap<String, Variable>,
    windows: bool,
) -> Vec<&'a str> {
    let missing = |wanted: &&String| !variables.keys().any(|name| same_name(name, wanted, windows));
    config.inherit_env.iter().filter(missing).map(String::as_str).collect()
}

fn is_allowed(filter: &EnvironmentFilter, name: &str, windows: bool) -> bool {
    if !filter.inherit_system_safe {
        return false;
    }
    if PROXY.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
        let named = filter.allowed_system_vars.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
        return named || filter.forward_proxy_env != Some(false);
    }
    if filter.allowed_system_vars.is_empty() {
        listed(ALLOWED, name, windows) || (windows && listed(WINDOWS, name, windows))
    } else {
        filter.allowed_system_vars.iter().any(|allowed| matches(allowed, name, windows))
    }
}

/// The key of this proxy and the handshake of its own start are for no server, whatever the settings say.
fn is_private(name: &str) -> bool {
    [names::ENV_API_KEY, names::ENV_LAUNCHED_BY, names::ENV_TRAY_LAUNCHED_BY]
        .iter()
        .any(|private| private.eq_ignore_ascii_case(name))
}

fn listed(list: &[&str], name: &str, ignore_case: bool) -> bool {
    list.iter().any(|pattern| matches(pattern, name, ignore_case))
}

fn matches(pattern: &str, name: &str, ignore_case: bool) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|head| same_name(start, head, ignore_case)),
        None => same_name(pattern, name, ignore_case),
    }
}

fn same_name(one: &str, other: &str, ignore_case: bool) -> bool {
    if ignore_case { one.eq_ignore_ascii_case(other) } else { one == other }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &[(&str, &str)] = &[
        ("PATH", "/bin"),
        ("HOME", "/home/ann"),
        ("LC_TIME", "C"),
        ("https_proxy", "http://u:p@proxy"),
        ("NODE_EXTRA_CA_CERTS", "/ca.pem"),
        ("AWS_SECRET_ACCESS_KEY", "aws"),
        ("GITHUB_TOKEN", "gh"),
        ("SSH_AUTH_SOCK", "/run/agent"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/bus"),
        ("LD_PRELOAD", "/evil.so"),
        ("MCPPROXY_API_KEY", "key"),
        ("MCPPROXY_LAUNCHED_BY", "tray"),
    ];

    fn received(entry: &str, environment: &str) -> Vec<String> {
        let mut config: ServerConfig = serde_json::from_str(entry).unwrap();
        config.environment = serde_json::from_str(environment).unwrap();
        let variables = for_server(&config, SESSION.iter().copied(), false);
        variables
            .into_iter()
            .map(|(name, variable)| format!("{name}={} {:?}", variable.value, variable.source))
            .collect()
    }

    #[test]
    fn a_server_receives_the_allow_list_and_its_own_variables_only() {
        let allow = [
            "HOME=/home/ann AllowList",
            "LC_TIME=C AllowList",
            "NODE_EXTRA_CA_CERTS=/ca.pem AllowList",
            "PATH=/bin AllowList",
            "https_proxy=http://u:p@proxy AllowList",
        ];
        assert_eq!(received(r#"{"name": "s"}"#, "{}"), allow);
        let own =
            received(r#"{"name": "s", "env": {"PATH": "/mine", "TOKEN": "t"}, "inherit_env": ["GITHUB_TOKEN"]}"#, "{}");
        assert!(own.contains(&"PATH=/mine Entry".to_owned()), "{own:?}");
        assert!(own.contains(&"TOKEN=t Entry".to_owned()), "{own:?}");
        assert!(own.contains(&"GITHUB_TOKEN=gh Inherited".to_owned()), "{own:?}");
        assert!(!own.iter().any(|one| one.starts_with("AWS_")), "{own:?}");
    }

    #[test]
    fn the_settings_narrow_and_widen_the_list() {
        let plain = r#"{"name": "s"}"#;
        assert_eq!(received(plain, r#"{"inherit_system_safe": false}"#), [""; 0]);
        assert_eq!(
            received(plain, r#"{"allowed_system_vars": ["PATH", "AWS_*"], "forward_proxy_env": false}"#),
            ["AWS_SECRET_ACCESS_KEY=aws AllowList", "PATH=/bin AllowList"]
        );
        assert_eq!(received(plain, r#"{"inherit_system_safe": false, "custom_vars": {"A": "1"}}"#), ["A=1 Settings"]);
        assert_eq!(
            received(
                r#"{"name": "s", "env": {"A": "2"}}"#,
                r#"{"inherit_system_safe": false, "custom_vars": {"A": "1"}}"#
            ),
            ["A=2 Entry"]
        );
    }

    #[test]
    fn the_key_of_this_proxy_is_never_passed_on() {
        let entry = r#"{"name": "s", "inherit_env": ["MCPPROXY_API_KEY", "MCPPROXY_LAUNCHED_BY", "NOPE"]}"#;
        let all = received(entry, r#"{"allowed_system_vars": ["*"]}"#);
        assert!(all.iter().all(|one| !one.starts_with("MCPPROXY")), "{all:?}");
        assert!(all.iter().any(|one| one.starts_with("AWS_")), "{all:?}");
        let config: ServerConfig = serde_json::from_str(entry).unwrap();
        let variables = for_server(&config, SESSION.iter().copied(), false);
        assert_eq!(not_inherited(&config, &variables, false), ["MCPPROXY_API_KEY", "MCPPROXY_LAUNCHED_BY", "NOPE"]);
    }

    #[test]
    fn names_compare_without_case_on_windows() {
        let config: ServerConfig =
            serde_json::from_str(r#"{"name": "s", "env": {"PATH": "mine"}, "inherit_env": ["token"]}"#).unwrap();
        let session = [("Path", "theirs"), ("SystemRoot", "C:\\Windows"), ("TOKEN", "t")];
        let variables = for_server(&config, session.into_iter(), true);
        let shown: Vec<_> = variables.iter().map(|(name, variable)| (name.as_str(), variable.value.as_str())).collect();
        assert_eq!(shown, [("PATH", "mine"), ("SystemRoot", "C:\\Windows"), ("TOKEN", "t")]);
    }
}

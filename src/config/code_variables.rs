//! The environment variables that change which code a program runs, or where it comes from. The review warns about them, and a
//! registry's record may not set them.

/// Names in capitals; `*` at the end stands for any rest.
const NAMES: &[&str] = &[
    // The system, and what it loads into every program.
    "PATH",
    "PATHEXT",
    "HOME",
    "USERPROFILE",
    "LD_*",
    "DYLD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    // Shells.
    "SHELL",
    "COMSPEC",
    "BASH_ENV",
    "BASH_FUNC_*",
    "ENV",
    "IFS",
    "PROMPT_COMMAND",
    "PS4",
    "SHELLOPTS",
    "ZDOTDIR",
    // JavaScript.
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE",
    "ELECTRON_RUN_AS_NODE",
    "NPM_CONFIG_*",
    "PNPM_*",
    "YARN_*",
    "COREPACK_*",
    "BUN_*",
    "DENO_*",
    // Python.
    "PYTHONBREAKPOINT",
    "PYTHONEXECUTABLE",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONPATH",
    "PYTHONPLATLIBDIR",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "PIP_*",
    "PIPX_*",
    "UV_*",
    "VIRTUAL_ENV",
    // Other languages and their package managers.
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "RUBYLIB",
    "RUBYOPT",
    "RUBYSHELL",
    "BUNDLE_*",
    "GEM_*",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "COMPOSER_*",
    "LUA_CPATH*",
    "LUA_INIT*",
    "LUA_PATH*",
    "R_PROFILE*",
    "R_ENVIRON*",
    "JAVA_HOME",
    "JAVA_OPTS",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JDK_JAVAC_OPTIONS",
    "CLASSPATH",
    "MAVEN_*",
    "GRADLE_*",
    "DOTNET_*",
    "CORECLR_*",
    "COR_*",
    "NUGET_*",
    "GOENV",
    "GOFLAGS",
    "GOINSECURE",
    "GONOSUMDB",
    "GOPROXY",
    "GOROOT",
    "GOSUMDB",
    "GOTOOLCHAIN",
    "CARGO_*",
    "RUSTC*",
    "RUSTFLAGS",
    "RUSTUP_*",
    // Programs that others start.
    "GIT_ASKPASS",
    "GIT_CONFIG*",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH*",
    "GIT_TEMPLATE_DIR",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESSOPEN",
    "LESSCLOSE",
    "MANPAGER",
    "BROWSER",
    // Container engines.
    "DOCKER_*",
    "CONTAINER_HOST",
];

/// Whether setting this variable changes which code runs. Programs and Windows read some names in any case.
pub fn changes_code(name: &str) -> bool {
    NAMES.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(pattern),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_change_code_are_known_in_any_case() {
        for name in [
            "NODE_OPTIONS",
            "LD_PRELOAD",
            "LD_AUDIT",
            "PATH",
            "Path",
            "DYLD_INSERT_LIBRARIES",
            "npm_config_registry",
            "UV_INDEX_URL",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG",
            "BASH_FUNC_ls%%",
            "JDK_JAVA_OPTIONS",
            "PYTHONPATH",
            "HOME",
        ] {
            assert!(changes_code(name), "{name}");
        }
        for name in [
            "",
            "API_TOKEN",
            "LANG",
            "PYTHONUNBUFFERED",
            "PYTHONIOENCODING",
            "GIT_AUTHOR_NAME",
            "NODE_ENV",
            "NODE_EXTRA_CA_CERTS",
            "ÄPATH",
            "LDAP_URL",
            "ENVIRONMENT",
            "GITHUB_TOKEN",
        ] {
            assert!(!changes_code(name), "{name}");
        }
    }

    /// The names that one of the three earlier lists had.
    #[test]
    fn the_review_and_the_registry_know_the_same_names() {
        let known = "PATHEXT LD_LIBRARY_PATH PYTHONINSPECT PYTHONUSERBASE ZDOTDIR DOTNET_STARTUP_HOOKS GIT_SSH GIT_EXEC_PATH \
            PIP_CONFIG_FILE UV_PYTHON GOFLAGS GOPROXY RUSTC_WRAPPER CARGO_HOME BUN_OPTIONS EDITOR VISUAL PAGER BROWSER \
            DOCKER_HOST CONTAINER_HOST HOME IFS COMSPEC PERL5OPT RUBYOPT _JAVA_OPTIONS PIP_INDEX_URL";
        for name in known.split_whitespace() {
            assert!(changes_code(name), "{name}");
        }
    }
}

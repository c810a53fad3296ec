//! `profiles`: named sets of servers. A profile limits what a client can see and call to the servers in it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::deserialize::null_as_default;

/// One entry of `profiles`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ProfileConfig {
    /// Its name, which is part of its URL: `/mcp/p/NAME`.
    pub name: String,
    /// Names of servers. One that does not exist is skipped; without any, the profile shows nothing.
    #[serde(default, deserialize_with = "null_as_default")]
    #[schemars(with = "Option<Vec<String>>")]
    pub servers: Vec<String>,
}

/// Longest name.
const LONGEST: usize = 63;
/// Segments of URLs that have another meaning.
const RESERVED: [&str; 4] = ["all", "code", "call", "p"];

/// Checks the name of a profile.
///
/// # Errors
/// The name is not valid; the message says why.
pub fn check_name(name: &str) -> Result<(), String> {
    let starts = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit());
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if !starts || !name.bytes().all(fits) || name.len() > LONGEST {
        return Err(format!(
            "invalid profile name `{name}`: use 1 to {LONGEST} lower-case letters, digits, `-` or `_`, starting with a \
             letter or digit"
        ));
    }
    if RESERVED.contains(&name) {
        return Err(format!("the profile name `{name}` is reserved: choose another"));
    }
    Ok(())
}

/// The first entry that cannot be used: its name, and why.
pub fn mistake(profiles: &[ProfileConfig]) -> Option<(String, String)> {
    let mut seen = BTreeSet::new();
    profiles.iter().find_map(|profile| {
        let name = &profile.name;
        let problem = match check_name(name) {
            Err(problem) => problem,
            Ok(()) if !seen.insert(name) => format!("two profiles are named `{name}`: expected each name once"),
            Ok(()) => return None,
        };
        Some((name.clone(), problem))
    })
}

/// Entries that work, and probably not as meant; one sentence each.
pub fn warnings<'a>(profiles: &[ProfileConfig], servers: impl Iterator<Item = &'a str>) -> Vec<String> {
    let known: BTreeSet<&str> = servers.collect();
    let mut warnings = Vec::new();
    for ProfileConfig { name, servers } in profiles {
        if servers.is_empty() {
            warnings.push(format!("the profile `{name}` has no servers, so it shows no tools"));
        }
        let unknown = servers.iter().filter(|server| !known.contains(server.as_str()));
        warnings.extend(
            unknown.map(|server| format!("the profile `{name}` has the server `{server}`, which does not exist")),
        );
    }
    warnings
}

/// The choices of a profile, in order of precedence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choices<'a> {
    /// The profile that the client's token is limited to.
    pub token: Option<&'a str>,
    /// `/mcp/p/NAME`.
    pub url: Option<&'a str>,
    /// The session's choice with `set_profile`.
    pub session: Option<&'a str>,
    /// `active_profile`.
    pub default: Option<&'a str>,
}

/// The servers that a request may know of.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileScope {
    /// `None`: there is no limit.
    limit: Option<(String, BTreeSet<String>)>,
}

impl ProfileScope {
    /// The scope that these choices result in. A profile that does not exist, or no longer does, has no servers: its
    /// deletion must not show more than it did.
    pub fn resolve(profiles: &[ProfileConfig], choices: Choices<'_>) -> ProfileScope {
        let chosen = choices.token.or(choices.url).or(choices.session).or(choices.default);
        let limit = chosen.map(|name| {
            let profile = profiles.iter().find(|profile| profile.name == name);
            let servers = profile.into_iter().flat_map(|profile| profile.servers.iter().cloned()).collect();
            (name.to_owned(), servers)
        });
        ProfileScope { limit }
    }

    /// Whether a server exists in it.
    pub fn allows(&self, server: &str) -> bool {
        self.limit.as_ref().is_none_or(|(_, servers)| servers.contains(server))
    }

    /// The profile.
    pub fn name(&self) -> Option<&str> {
        self.limit.as_ref().map(|(name, _)| name.as_str())
    }

    /// Whether every server is in it.
    pub fn is_unlimited(&self) -> bool {
        self.limit.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles(text: &str) -> Vec<ProfileConfig> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn names_are_parts_of_a_url() {
        for name in ["a", "0", "work-2_x", &"a".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "-a",
            "_a",
            "A",
            "a b",
            "a/b",
            "ä",
            "..",
            &"a".repeat(64),
            "all",
            "code",
            "call",
            "p",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_entry_that_cannot_be_used_is_named() {
        let twice = profiles(r#"[{"name":"a","servers":["x"]},{"name":"b","servers":null},{"name":"a"}]"#);
        assert_eq!(mistake(&twice).unwrap().1, "two profiles are named `a`: expected each name once");
        assert_eq!(mistake(&twice[..2]), None);
        assert!(mistake(&profiles(r#"[{"name":"all"}]"#)).unwrap().1.contains("reserved"));
        let told = warnings(&twice[..2], ["y"].into_iter());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("`x`, which does not exist") && told[1].contains("`b` has no servers"));
    }

    #[test]
    fn the_token_decides_before_the_url_the_session_and_the_default() {
        let all = profiles(
            r#"[{"name":"t","servers":["1"]},{"name":"u","servers":["2"]},{"name":"s","servers":["3"]},
                {"name":"d","servers":["4"]}]"#,
        );
        let mut choices = Choices {
            token: Some("t"),
            url: Some("u"),
            session: Some("s"),
            default: Some("d"),
        };
        let decides = |choices| {
            let scope = ProfileScope::resolve(&all, choices);
            ["1", "2", "3", "4"].into_iter().filter(|server| scope.allows(server)).collect::<String>()
        };
        assert_eq!(decides(choices), "1");
        choices.token = None;
        assert_eq!(decides(choices), "2");
        choices.url = None;
        assert_eq!(decides(choices), "3");
        choices.session = None;
        assert_eq!(decides(choices), "4");
        choices.default = None;
        assert_eq!(decides(choices), "1234");
    }

    #[test]
    fn an_empty_or_deleted_profile_shows_nothing_and_never_falls_back_to_more() {
        let all = profiles(r#"[{"name":"empty","servers":[]},{"name":"d","servers":["x"]}]"#);
        for choices in [
            Choices {
                session: Some("empty"),
                ..Choices::default()
            },
            Choices {
                session: Some("gone"),
                default: Some("d"),
                ..Choices::default()
            },
            Choices {
                token: Some("gone"),
                url: Some("d"),
                ..Choices::default()
            },
            Choices {
                default: Some("gone"),
                ..Choices::default()
            },
        ] {
            let scope = ProfileScope::resolve(&all, choices);
            assert!(!scope.allows("x") && !scope.is_unlimited(), "{choices:?}");
        }
        assert!(ProfileScope::resolve(&all, Choices::default()).allows("x"));
    }
}

//! `server__name`: the name of one server's tool or prompt in a list of all servers.
//!
//! Model APIs only accept tool names that match `^[a-zA-Z0-9_-]{1,64}$`. A name that does not match, or that could
//! belong to another server, is replaced by a short form, which depends only on the server and the tool.

use sha2::{Digest, Sha256};

const SEPARATOR: &str = "__";
/// Maximum length of a tool name in model APIs.
const MAX_LENGTH: usize = 64;

/// Returns the qualified name.
pub fn join(server: &str, name: &str) -> String {
    format!("{server}{SEPARATOR}{name}")
}

/// Splits a qualified name into server and tool. The longest matching server name wins.
pub fn split(name: &str, is_server: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    (0..name.len()).rev().find_map(|at| {
        let (server, rest) = (name.get(..at)?, name.get(at..)?);
        let tool = rest.strip_prefix(SEPARATOR)?;
        is_server(server).then_some((server, tool))
    })
}

/// Returns the name under which a tool is listed.
pub fn offered(server: &str, tool: &str, is_server: impl Fn(&str) -> bool) -> String {
    let plain = join(server, tool);
    if fits(&plain) && split(&plain, is_server) == Some((server, tool)) {
        plain
    } else {
        short_form(server, tool)
    }
}

/// Whether a name may be a short form.
pub fn may_be_short_form(name: &str) -> bool {
    let digits = name.rsplit_once('_').map(|(_, digits)| digits).unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Returns the beginning of the name, with an eight-digit hash of the whole name.
pub fn short_form(server: &str, tool: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let start: String = join(server, tool).chars().take(MAX_LENGTH - 9).map(allowed).collect();
    // A server's name never contains a line break.
    let digest = Sha256::digest(format!("{server}\n{tool}"));
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{start}_{digits}")
}

fn fits(name: &str) -> bool {
    (1..=MAX_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Returns the possible meanings of a prompt's name, longest server name first: a server's name may contain the
/// separator.
pub fn meanings<'a, 'n>(servers: impl Iterator<Item = &'a str>, name: &'n str) -> Vec<(&'a str, &'n str)> {
    let mut found: Vec<(&str, &str)> =
        servers.filter_map(|server| Some((server, name.strip_prefix(server)?.strip_prefix(SEPARATOR)?))).collect();
    found.sort_by_key(|(server, _)| std::cmp::Reverse(server.len()));
    found
}

/// Whether a URI matches the fixed beginning of a template. A template without a fixed scheme and authority owns no
/// URI.
pub fn may_be_of(template: &str, uri: &str) -> bool {
    let Some((fixed, _)) = template.split_once('{') else { return template == uri };
    let has_authority = fixed.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && rest.contains('/') && rest.trim_matches('/').chars().next().is_some()
    });
    has_authority && uri.starts_with(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(names: &'static [&'static str]) -> impl Fn(&str) -> bool + Copy {
        move |name: &str| names.contains(&name)
    }

    #[test]
    fn a_server_may_have_the_separator_in_its_name() {
        let known = servers(&["a", "a__b", "c", "c_"]);
        assert_eq!(split("a__b__x", known), Some(("a__b", "x")));
        assert_eq!(split("a__x", known), Some(("a", "x")));
        assert_eq!(split("c___x", known), Some(("c_", "x")));
        assert_eq!(split("ax", known), None);
        assert_eq!(split("ä__x", known), None);
        assert_eq!(meanings(["a", "a__b"].into_iter(), "a__b__x"), [("a__b", "x"), ("a", "b__x")]);
    }

    #[test]
    fn names_fit_model_apis_and_never_collide() {
        let known = servers(&["a", "a__b", "s", "ä"]);
        let names = [
            ("s", "x".to_owned()),
            ("s", "x".repeat(61)),
            ("s", "x".repeat(62)),
            ("s", "x".repeat(300)),
            ("s", "file.read".to_owned()),
            ("s", "file/read".to_owned()),
            ("s", "file read".to_owned()),
            ("s", "файл".to_owned()),
            ("ä", "x".to_owned()),
            ("a", "b__x".to_owned()),
            ("a__b", "x".to_owned()),
            ("s", String::new()),
        ];
        let offered: Vec<String> = names.iter().map(|(server, tool)| offered(server, tool, known)).collect();
        assert_eq!(offered.first().map(String::as_str), Some("s__x"));
        assert_eq!(offered.get(1).map(String::len), Some(64), "a name that fits is not changed");
        assert_eq!(offered.get(10).map(String::as_str), Some("a__b__x"));
        assert_eq!(offered.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
        for (name, (server, tool)) in offered.iter().zip(&names) {
            assert!(fits(name), "{name}");
            let plain = split(name, known) == Some((*server, tool.as_str()));
            assert!(plain || (may_be_short_form(name) && *name == short_form(server, tool)), "{name}");
        }
    }

    #[test]
    fn a_uri_is_shown_only_to_the_server_that_owns_it() {
        assert!(may_be_of("demo://text/{id}", "demo://text/1"));
        assert!(may_be_of("file:///home/u/{path}", "file:///home/u/a"));
        assert!(may_be_of("demo://text", "demo://text"));
        for (template, uri) in [
            ("demo://text/{id}", "file:///secret"),
            ("{+any}", "file:///secret"),
            ("f{x}", "file:///secret"),
            ("file:{x}", "file:///secret"),
            ("file://{x}", "file:///secret"),
            ("file:///{x}", "file:///secret"),
            ("https://h{x}", "https://h.example/secret"),
        ] {
            assert!(!may_be_of(template, uri), "{template}");
        }
    }
}

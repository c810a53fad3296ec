//! `server__name`: a tool or prompt of one server among those of all (contract: mcp-tools §1).

const SEPARATOR: &str = "__";

/// The name among those of all servers.
pub fn join(server: &str, name: &str) -> String {
    format!("{server}{SEPARATOR}{name}")
}

/// The server and its tool that a name means: the longest server name that fits.
pub fn split<'n>(name: &'n str, is_server: impl Fn(&str) -> bool) -> Option<(&'n str, &'n str)> {
    name.rmatch_indices(SEPARATOR).find_map(|(at, separator)| {
        let (server, tool) = (name.get(..at)?, name.get(at + separator.len()..)?);
        is_server(server).then_some((server, tool))
    })
}

/// What a name may mean, the longest server first: a server's own name may hold the separator, too.
pub fn meanings<'a, 'n>(servers: impl Iterator<Item = &'a str>, name: &'n str) -> Vec<(&'a str, &'n str)> {
    let mut found: Vec<(&str, &str)> =
        servers.filter_map(|server| Some((server, name.strip_prefix(server)?.strip_prefix(SEPARATOR)?))).collect();
    found.sort_by_key(|(server, _)| std::cmp::Reverse(server.len()));
    found
}

/// Whether an address may be one of a template's: it begins as the template does before its first variable.
pub fn may_be_of(template: &str, uri: &str) -> bool {
    let beginning = template.split('{').next().unwrap_or_default();
    !beginning.is_empty() && uri.starts_with(beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_have_the_separator_in_its_name() {
        let servers = ["a", "a__b", "c"];
        assert_eq!(join("a__b", "x"), "a__b__x");
        assert_eq!(meanings(servers.into_iter(), "a__b__x"), [("a__b", "x"), ("a", "b__x")]);
        assert_eq!(meanings(servers.into_iter(), "ax"), []);
    }

    #[test]
    fn an_address_is_shown_only_to_the_server_whose_it_may_be() {
        assert!(may_be_of("demo://text/{id}", "demo://text/1"));
        assert!(!may_be_of("demo://text/{id}", "file:///secret"));
        assert!(!may_be_of("{+any}", "file:///secret"));
    }
}

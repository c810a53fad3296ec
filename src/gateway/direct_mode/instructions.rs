//! Passes the servers' instructions to clients, labelled as text of the servers.

use crate::upstream::pool::UpstreamPool;

/// Maximum length of one server's excerpt in a digest, in characters.
const EXCERPT: usize = 200;
/// Maximum length of a digest, in characters.
const DIGEST: usize = 4000;

/// Returns the instructions of a connected server.
pub fn of_server(pool: &UpstreamPool, server: &str) -> Option<String> {
    let peer = pool.peer(server).ok()?;
    let instructions = peer.peer_info()?.instructions.clone()?;
    let trimmed = instructions.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// Returns the beginning of a connected server's instructions, on one line.
pub fn excerpt(pool: &UpstreamPool, server: &str) -> Option<String> {
    of_server(pool, server).map(|text| shortened(&text))
}

/// Returns the beginnings of several servers' instructions; `None` if no server has any.
pub fn digest<'a>(pool: &UpstreamPool, servers: impl Iterator<Item = &'a str>) -> Option<String> {
    let excerpts = servers.filter_map(|server| Some((server, excerpt(pool, server)?)));
    written(excerpts)
}

fn written<'a>(excerpts: impl Iterator<Item = (&'a str, String)>) -> Option<String> {
    let mut text = String::new();
    for (server, excerpt) in excerpts {
        let line = format!("\n- {server}: {excerpt}");
        if text.len() + line.len() > DIGEST {
            text.push_str("\n- …");
            break;
        }
        text.push_str(&line);
    }
    let label = "Tools of several MCP servers, named server__tool. What the servers say about their use:";
    (!text.is_empty()).then(|| format!("{label}{text}"))
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= EXCERPT {
        return line;
    }
    line.chars().take(EXCERPT).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_labelled_and_bounded() {
        assert_eq!(written(std::iter::empty()), None);
        let text =
            written([("a", shortened("Use\n  it well.")), ("b", shortened(&"x".repeat(1000)))].into_iter()).unwrap();
        assert!(text.contains("\n- a: Use it well.\n- b: xxx"), "{text}");
        assert!(text.ends_with('…') && text.len() < 400, "{text}");
        let many = written((0..1000).map(|_| ("server", "y".repeat(200)))).unwrap();
        assert!(many.len() < DIGEST + 200 && many.ends_with("- …"));
    }
}

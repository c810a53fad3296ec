//! `server:tool`: the full name by which clients call a tool.

/// Splits at the first colon: server names contain none, but tool names may.
///
/// # Errors
/// A message for the caller.
pub fn split(id: &str) -> Result<(&str, &str), String> {
    match id.split_once(':') {
        Some((server, tool)) if !server.is_empty() && !tool.is_empty() => Ok((server, tool)),
        _ => Err(format!("Invalid tool name format: {id} (expected server:tool)")),
    }
}

/// Joins a server's and a tool's name; the reverse of [`split`].
pub fn join(server: &str, tool: &str) -> String {
    format!("{server}:{tool}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_splits() {
        assert_eq!(split("github:issue:create"), Ok(("github", "issue:create")));
        assert!(split("echo").is_err());
        assert!(split(":echo").is_err());
        assert!(split("a:").is_err());
    }
}

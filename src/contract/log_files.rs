//! Names of log files: the core writes them, the CLI and the tray show them.

/// File name of a server's log.
pub fn server_log(server: &str) -> String {
    format!("server-{}.log", file_name(server))
}

/// A server's name as part of a file name: characters that could leave the directory or that Windows forbids become `_`.
fn file_name(name: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = name.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect();
    text.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_log_stays_in_its_directory() {
        assert_eq!(server_log("fs"), "server-fs.log");
        assert_eq!(server_log("../../etc/passwd"), "server-_.._etc_passwd.log");
        assert_eq!(server_log("a:b\\c"), "server-a_b_c.log");
        assert_eq!(server_log(&"x".repeat(100)).len(), "server-.log".len() + 64);
    }
}

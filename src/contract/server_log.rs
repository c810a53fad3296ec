//! The name of a server's log file, which the core writes, and the tray and the command line open.

use sha2::{Digest as _, Sha256};

/// Maximum number of characters of the server's name in the file name.
const LONGEST: usize = 64;

/// `server-NAME.log`. Characters that could leave the directory or that Windows forbids become `_`; a digest of the name then
/// keeps the files of two servers apart.
pub fn file_name(server: &str) -> String {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = server.chars().take(LONGEST).map(|c| if allowed(c) { c } else { '_' }).collect();
    let text = text.trim_start_matches('.');
    if text == server {
        return format!("server-{text}.log");
    }
    let digest: String = Sha256::digest(server).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("server-{text}-{digest}.log")
}

/// The Go core's name of the same file: every character but ASCII letters, digits, `-`, `_` and `.` becomes `_`.
pub fn go_core_file_name(server: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text: String = server.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    format!("server-{text}.log")
}

#[cfg(test)]
mod tests {
    use super::{file_name, go_core_file_name};

    #[test]
    fn the_go_core_keeps_fewer_characters_and_adds_no_digest() {
        assert_eq!(go_core_file_name("my-server_1.x"), file_name("my-server_1.x"));
        assert_eq!(go_core_file_name("io.github.ann/notes"), "server-io.github.ann_notes.log");
        assert_eq!(go_core_file_name("../é"), "server-..__.log");
    }

    #[test]
    fn each_server_has_a_log_of_its_own() {
        assert_eq!(file_name("my-server_1.x"), "server-my-server_1.x.log");
        let names = ["a/b", "a_b", "a\\b", ".a", "a", "..", "."].map(file_name);
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| !name.contains(['/', '\\'])), "{names:?}");
        let (one, other) = ("x".repeat(64) + "1", "x".repeat(64) + "2");
        assert_ne!(file_name(&one), file_name(&other));
        assert!(file_name(&"ü".repeat(1000)).len() < 200);
    }
}

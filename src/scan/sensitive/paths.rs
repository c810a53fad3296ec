//! Paths of files that hold credentials, with any kind of separator, escaped or not.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::value::{Kind, Sensitive, byte_before, run};

/// A file, or all files of a folder, that hold credentials.
pub(super) struct CredentialPath {
    pub rule: &'static str,
    /// The last parts of the path.
    parts: &'static [&'static str],
    /// Whether the last part may go on, such as `id_rsa` in `id_rsa_work`.
    open: bool,
}

const fn path(rule: &'static str, parts: &'static [&'static str], open: bool) -> CredentialPath {
    CredentialPath { rule, parts, open }
}

/// All such files.
pub(super) const PATHS: &[CredentialPath] = &[
    path("ssh-key-path", &[".ssh", "id_"], true),
    path("ssh-key-path", &["id_rsa"], false),
    path("ssh-key-path", &["id_ed25519"], false),
    path("ssh-key-path", &["id_ecdsa"], false),
    path("aws-credentials-path", &[".aws", "credentials"], false),
    path("gcloud-credentials-path", &["application_default_credentials.json"], false),
    path("gcloud-credentials-path", &["gcloud", "credentials.db"], false),
    path("azure-credentials-path", &[".azure", "accessTokens.json"], false),
    path("azure-credentials-path", &[".azure", "msal_token_cache"], true),
    path("kubernetes-config-path", &[".kube", "config"], false),
    path("docker-config-path", &[".docker", "config.json"], false),
    path("env-file-path", &[".env"], false),
    path("env-file-path", &[".env.local"], false),
    path("env-file-path", &[".env.production"], false),
    path("netrc-path", &[".netrc"], false),
    path("package-registry-path", &[".npmrc"], false),
    path("package-registry-path", &[".pypirc"], false),
    path("git-credentials-path", &[".git-credentials"], false),
    path("git-credentials-path", &[".config", "gh", "hosts.yml"], false),
    path("database-password-path", &[".pgpass"], false),
    path("database-password-path", &[".my.cnf"], false),
    path("gnupg-path", &[".gnupg", ""], true),
    path("keyring-path", &[".local", "share", "keyrings"], true),
    path("keyring-path", &["login.keychain-db"], false),
    path("password-file-path", &["etc", "shadow"], false),
    path("browser-passwords-path", &["key4.db"], false),
    path("browser-passwords-path", &["logins.json"], false),
    path("browser-passwords-path", &["Login Data"], false),
    path("vault-token-path", &[".vault-token"], false),
    path("terraform-credentials-path", &["credentials.tfrc.json"], false),
    path("wallet-path", &["wallet.dat"], false),
];

pub(super) fn find(text: &str, found: &mut Vec<Sensitive>) {
    for hit in first_parts().into_iter().flat_map(|parts| parts.find_overlapping_iter(text)) {
        let Some(path) = PATHS.get(hit.pattern().as_usize()) else { continue };
        let before = byte_before(text, hit.start());
        if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
            continue;
        }
        if let Some(end) = path.end(text, hit.end()) {
            found.push(Sensitive {
                rule: path.rule,
                kind: Kind::CredentialPath,
                range: hit.start()..end,
            });
        }
    }
}

impl CredentialPath {
    /// Where the path ends, if its other parts follow at `at`.
    fn end(&self, text: &str, mut at: usize) -> Option<usize> {
        for part in self.parts.iter().skip(1) {
            let separators = run(text, at, |byte| matches!(byte, b'/' | b'\\'));
            if separators == 0 {
                return None;
            }
            at += separators;
            text.get(at..)?.strip_prefix(part)?;
            at += part.len();
        }
        let more = run(text, at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        // A full stop that ends a sentence is not part of a name.
        let dot = more == 1 && text.as_bytes().get(at) == Some(&b'.');
        (self.open || more == 0 || dot).then_some(if self.open { at + more } else { at })
    }
}

fn first_parts() -> Option<&'static AhoCorasick> {
    static PARTS: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::Standard);
        builder.build(PATHS.iter().filter_map(|path| path.parts.first())).ok()
    };
    PARTS.get_or_init(build).as_ref()
}

//! Finds identifying text of any user: paths, addresses and tokens. These rules of net 2 need no
//! [`Identity`](super::identity::Identity).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::telemetry::scan::identity::between_boundaries;

/// Prefixes of home directories and mounted disks, in normal form.
const HOMES: &[&str] = &[
    "/users/",
    "/home/",
    "/var/folders/",
    "/var/home/",
    "/private/var/",
    "/volumes/",
    "/workspaces/",
    "/cygdrive/",
    "/documents and settings/",
    "/appdata/",
    "/storage/emulated/",
    "/run/user/",
    "/media/",
    "/nfs/",
];

/// Prefixes without the leading separator, as in relative paths.
const RELATIVE_HOMES: &[&str] = &["users/", "home/"];

/// Variables for a home directory or its owner.
const VARIABLES: &[&str] = &[
    "%userprofile%",
    "%homepath%",
    "%homedrive%",
    "%username%",
    "%appdata%",
    "%localappdata%",
    "%computername%",
    "$home",
    "${home}",
    "$user",
    "${user}",
    "$env:userprofile",
    "$env:username",
    "$env:computername",
];

/// Suffixes of names that only private networks resolve.
const PRIVATE_SUFFIXES: &[&str] = &[
    ".local",
    ".internal",
    ".lan",
    ".home",
    ".corp",
    ".intranet",
    ".localdomain",
    ".home.arpa",
    ".private",
    ".ts.net",
];

/// Rule, prefix, minimum number of characters after it, and which characters.
type TokenShape = (&'static str, &'static str, usize, fn(u8) -> bool);

/// Tokens with well-known prefixes.
const TOKENS: &[TokenShape] = &[
    ("tok_github", "ghp_", 16, word),
    ("tok_github", "gho_", 16, word),
    ("tok_github", "ghu_", 16, word),
    ("tok_github", "ghs_", 16, word),
    ("tok_github", "ghr_", 16, word),
    ("tok_github", "github_pat_", 16, word),
    ("tok_gitlab", "glpat-", 12, dashed),
    ("tok_gitlab", "gldt-", 12, dashed),
    ("tok_gitlab", "glrt-", 12, dashed),
    ("tok_gitlab", "glptt-", 12, dashed),
    ("tok_gitlab", "glcbt-", 12, dashed),
    ("tok_sk", "sk-", 12, dashed),
    ("tok_sk", "sk_live_", 8, word),
    ("tok_sk", "sk_test_", 8, word),
    ("tok_sk", "rk_live_", 8, word),
    ("tok_sk", "pk_live_", 8, word),
    ("tok_sk", "whsec_", 12, word),
    ("tok_aws", "AKIA", 16, upper),
    ("tok_aws", "ASIA", 16, upper),
    ("tok_aws", "AROA", 16, upper),
    ("tok_aws", "AIDA", 16, upper),
    ("tok_aws", "ABIA", 16, upper),
    ("tok_google", "AIza", 30, dashed),
    ("tok_google", "ya29.", 12, dashed),
    ("tok_google", "GOCSPX-", 12, dashed),
    ("tok_slack", "xoxb-", 8, dashed),
    ("tok_slack", "xoxp-", 8, dashed),
    ("tok_slack", "xoxa-", 8, dashed),
    ("tok_slack", "xoxr-", 8, dashed),
    ("tok_slack", "xoxs-", 8, dashed),
    ("tok_slack", "xoxe", 8, dashed),
    ("tok_slack", "xapp-", 8, dashed),
    ("tok_npm", "npm_", 20, alphanumeric),
    ("tok_pypi", "pypi-", 16, dashed),
    ("tok_hf", "hf_", 16, alphanumeric),
    ("tok_docker", "dckr_pat_", 12, dashed),
    ("tok_vault", "hvs.", 12, dashed),
    ("tok_vault", "hvb.", 12, dashed),
    ("tok_grafana", "glsa_", 12, word),
    ("tok_sendgrid", "SG.", 16, dashed_dotted),
    ("tok_shopify", "shpat_", 16, word),
    ("tok_digitalocean", "dop_v1_", 16, word),
    ("tok_linear", "lin_api_", 16, word),
    ("tok_groq", "gsk_", 16, word),
    ("tok_xai", "xai-", 16, dashed),
    ("tok_atlassian", "ATATT", 16, dashed),
    ("tok_tailscale", "tskey-", 12, dashed),
    ("tok_age", "AGE-SECRET-KEY-", 12, dashed),
    ("tok_nvidia", "nvapi-", 16, dashed),
    ("tok_sentry", "sntrys_", 12, dashed),
    ("tok_perplexity", "pplx-", 16, dashed),
    ("tok_replicate", "r8_", 20, alphanumeric),
    ("tok_figma", "figd_", 12, dashed),
    ("tok_databricks", "dapi", 32, alphanumeric),
    ("tok_stripe", "acct_", 12, alphanumeric),
];

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn dashed_dotted(byte: u8) -> bool {
    dashed(byte) || byte == b'.'
}

/// Calls `hit` with the rule of everything that the view contains. `normal` is the view in normal form.
pub(crate) fn find(view: &str, normal: &str, hit: &mut impl FnMut(&'static str)) {
    paths(normal, hit);
    addresses(view, normal, hit);
    tokens(view, normal, hit);
}

fn paths(normal: &str, hit: &mut impl FnMut(&'static str)) {
    if VARIABLES.iter().any(|variable| normal.contains(variable)) {
        hit("path_variable");
    }
    if !normal.contains('/') {
        if normal.trim() == "~" {
            hit("path_home");
        }
        return;
    }
    if unc(normal) {
        hit("path_unc");
    }
    let mut single = normal.to_owned();
    while single.contains("//") {
        single = single.replace("//", "/");
    }
    let relative = RELATIVE_HOMES.iter().any(|head| {
        single.match_indices(head).any(|(at, _)| {
            !char_before(&single, at).is_some_and(char::is_alphanumeric)
                && single.get(at + head.len()..).is_some_and(|rest| rest.starts_with(char::is_alphanumeric))
        })
    });
    let named_home = single.match_indices('~').any(|(at, _)| {
        let rest = single.get(at + 1..).unwrap_or_default();
        !char_before(&single, at).is_some_and(char::is_alphanumeric)
            && rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '-').starts_with('/')
    });
    let mount = single.match_indices("/mnt/").any(|(at, head)| {
        let mut rest = single.get(at + head.len()..).unwrap_or_default().chars();
        rest.next().is_some_and(|c| c.is_ascii_alphabetic()) && rest.next().is_none_or(|c| c == '/')
    });
    if relative
        || named_home
        || mount
        || HOMES.iter().any(|head| single.contains(head))
        || between_boundaries(&single, "/root")
    {
        hit("path_home");
    }
    let drive = single.match_indices(":/").any(|(at, _)| {
        let mut before = single.get(..at).unwrap_or_default().chars().rev();
        before.next().is_some_and(|c| c.is_ascii_alphabetic()) && !before.next().is_some_and(char::is_alphanumeric)
    });
    if drive {
        hit("path_drive");
    }
}

/// Matches `//server/share` and `//?/…`, but not the middle of `https://…` or a doubled separator.
fn unc(normal: &str) -> bool {
    normal.match_indices("//").any(|(at, _)| {
        let before = char_before(normal, at);
        let rest = normal.get(at + 2..).unwrap_or_default().trim_start_matches('/');
        let head = rest.chars().next();
        before.is_none_or(|c| c != ':' && c != '/' && !c.is_alphanumeric())
            && head.is_some_and(|c| c.is_alphanumeric() || c == '?' || c == '.')
            && rest.contains('/')
    })
}

fn char_before(text: &str, at: usize) -> Option<char> {
    text.get(..at).and_then(|text| text.chars().next_back())
}

fn addresses(view: &str, normal: &str, hit: &mut impl FnMut(&'static str)) {
    let mail = normal.match_indices('@').any(|(at, _)| {
        char_before(normal, at).is_some_and(|c| c.is_alphanumeric() || "._+-\"".contains(c))
            && normal.get(at + 1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['))
    });
    if mail {
        hit("email");
    }
    if normal.contains("://") {
        hit("url");
    }
    let name = |c: char| c.is_alphanumeric() || c == '.' || c == '-' || c == '_';
    for token in normal.split(|c| !name(c)).filter(|token| token.contains('.')) {
        let token = token.trim_matches('.');
        let private =
            |suffix: &&str| token.strip_suffix(*suffix).is_some_and(|rest| rest.chars().any(char::is_alphanumeric));
        if PRIVATE_SUFFIXES.iter().any(private) {
            hit("host_suffix");
        }
        if token.split(['-', '_']).any(is_ipv4) {
            hit("net_ipv4");
        }
    }
    if view.contains(':') {
        let run = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
        for (token, bounded) in runs(view, run) {
            if bounded
                && token.matches(':').count() >= 2
                && token != "::"
                && token.trim_matches('.').parse::<Ipv6Addr>().is_ok()
            {
                hit("net_ipv6");
            }
        }
    }
    for separator in [':', '-', '.'] {
        let run = |c: char| c.is_ascii_hexdigit() || c == separator;
        let mac = |token: &str| {
            let groups: Vec<&str> = token.split(separator).collect();
            let (count, width) = if separator == '.' { (3, 4) } else { (6, 2) };
            groups.len() == count
                && groups.iter().all(|group| group.len() == width)
                // Three groups of four decimals are a number and not an address.
                && (separator != '.' || token.bytes().any(|byte| byte.is_ascii_alphabetic()))
        };
        if view.contains(separator) && runs(view, run).any(|(token, bounded)| bounded && mac(token)) {
            hit("net_mac");
        }
    }
}

fn is_ipv4(token: &str) -> bool {
    token.parse::<Ipv4Addr>().is_ok()
}

/// The longest runs of such characters, and whether a letter or digit touches them.
fn runs(text: &str, of: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = (&str, bool)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text.get(at..)?.find(of)?;
        let rest = text.get(start..)?;
        let length = rest.find(|c| !of(c)).unwrap_or(rest.len());
        at = start + length;
        let after = text.get(at..).and_then(|text| text.chars().next());
        let bounded =
            !char_before(text, start).is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric);
        Some((rest.get(..length)?, bounded))
    })
}

fn tokens(view: &str, normal: &str, hit: &mut impl FnMut(&'static str)) {
    for (rule, head, fewest, of) in TOKENS {
        let found = view.match_indices(head).any(|(at, _)| {
            let rest = view.as_bytes().get(at + head.len()..).unwrap_or_default();
            !char_before(view, at).is_some_and(|c| c.is_ascii_alphanumeric())
                && rest.iter().take_while(|byte| of(**byte)).count() >= *fewest
        });
        if found {
            hit(rule);
        }
    }
    let jwt = view.match_indices("eyJ").any(|(at, _)| {
        let token: String = view
            .get(at..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_ascii() && dashed_dotted(*c as u8))
            .collect();
        let mut parts = token.split('.');
        parts.next().is_some_and(|head| head.len() >= 10) && parts.next().is_some_and(|body| body.len() >= 4)
    });
    if jwt {
        hit("tok_jwt");
    }
    if view.contains("-----BEGIN ") || normal.contains("ssh-rsa ") || normal.contains("ssh-ed25519 ") {
        hit("tok_pem");
    }
    for scheme in ["bearer ", "basic "] {
        let credential = normal.match_indices(scheme).any(|(at, head)| {
            let rest = normal.as_bytes().get(at + head.len()..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| dashed_dotted(**byte) || b"~+/=".contains(byte)).count();
            !char_before(normal, at).is_some_and(char::is_alphanumeric) && length >= 8
        });
        if credential {
            hit("tok_bearer");
        }
    }
    const ASSIGNED: &[&str] = &[
        "password",
        "passwd",
        "pwd",
        "secret",
        "token",
        "api_key",
        "api-key",
        "apikey",
        "access_key",
    ];
    let assigned = ASSIGNED.iter().any(|name| {
        normal.match_indices(name).any(|(at, name)| {
            let rest = normal.get(at + name.len()..).unwrap_or_default().trim_start_matches(['"', '\'', ' ']);
            rest.strip_prefix(['=', ':']).is_some_and(|value| {
                value.trim_start_matches(['"', '\'', ' ']).chars().take_while(|c| !c.is_whitespace()).count() >= 4
            })
        })
    });
    if assigned {
        hit("tok_assignment");
    }
}

/// The rules that match a string without decoding it, each once.
#[cfg(test)]
fn rules(text: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    find(text, &crate::telemetry::scan::identity::normal(text), &mut |rule| {
        if !found.contains(&rule) {
            found.push(rule);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each rule, strings that leak and similar innocent ones.
    #[test]
    fn each_rule_finds_its_leaks_and_spares_its_lookalikes() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "path_home",
                &[
                    "/Users/ann",
                    "/users/ann/x",
                    "/home/ann",
                    "/HOME/ann",
                    "at /root",
                    "/root/.ssh",
                    "/var/home/ann",
                    "/mnt/c/x",
                    "/c/Users/ann",
                    "/cygdrive/d/x",
                    "~/x",
                    "~ann/x",
                    "/var/folders/zz/x",
                    "/Volumes/Disk",
                    "/workspaces/acme",
                    r"Users\ann",
                    "home/ann",
                    "//home//ann",
                ],
                &[
                    "homes",
                    "user",
                    "/rooted",
                    "root",
                    "a~b",
                    "/mnt/data",
                    "home/",
                    "whome/x",
                ],
            ),
            (
                "path_drive",
                &[r"C:\Users\ann", "c:/x", r"D:\work", r"x=E:\\y", "z:/"],
                &["http:/x", "tcp:/", "std::fs", "10:20", "c:"],
            ),
            (
                "path_unc",
                &[r"\\server\share", r"\\?\C:\x", r"\\wsl.localhost\U\x", "at //srv/x"],
                &["a//b/c", "https://x/y", "//", "// comment"],
            ),
            (
                "path_variable",
                &["%USERPROFILE%", "%UserName%", "$HOME/x", "${HOME}", "$env:USERPROFILE"],
                &["100%", "home", "%home"],
            ),
            ("email", &["ann@example.org", "<ann@localhost>", "a.b+c@d"], &["@scope", "a @ b", "x@"]),
            ("url", &["https://acme.example", "ssh://x"], &["https", "a:/b"]),
            (
                "host_suffix",
                &["anns-mac.local", "db.acme.internal", "nas.lan.", "x.tail1.ts.net"],
                &[".local", "local", "internal", "0.1.0", "main.localize"],
            ),
            (
                "net_ipv4",
                &["10.0.0.7", "at 192.168.1.1:80", "x-10.1.2.3"],
                &["1.2.3", "256.1.1.1", "0.21.0", "1.2.3.4.5"],
            ),
            (
                "net_ipv6",
                &["fe80::1", "2001:db8::7%eth0", "[::1]", "1:2:3:4:5:6:7:8"],
                &["std::fs", "10:20:30", "::", "a::b::c", "d::fs"],
            ),
            (
                "net_mac",
                &["00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E", "001a.2b3c.4d5e"],
                &["10:20:30", "2026-01-02", "00:1a:2b:3c:4d:5e:6f", "1.2.3"],
            ),
            (
                "tok_github",
                &["ghp_0123456789abcdefghij", "github_pat_11ABCDEFG0123456789_x"],
                &["ghp_", "ghp_short", "xghp_0123456789abcdefghij"],
            ),
            ("tok_gitlab", &["glpat-abcdefghij0123456789"], &["glpat-", "glpat-x"]),
            (
                "tok_sk",
                &["sk-abcdefghijklmnop", "sk-ant-api03-abcdefghijk", "sk_live_12345678"],
                &["sk-", "task-management-service", "sk-short"],
            ),
            ("tok_aws", &["AKIAIOSFODNN7EXAMPLE"], &["AKIA", "akiaiosfodnn7example", "MAKIAIOSFODNN7EXAMPLE"]),
            ("tok_google", &["AIzaSyA0123456789abcdefghijklmnopqrstuv"], &["AIza", "AIzaShort"]),
            ("tok_slack", &["xoxb-123456789012-abc", "xapp-1-A0-123"], &["xoxb-", "xox"]),
            ("tok_npm", &["npm_abcdefghijklmnopqrstuvwxyz0123456789"], &["npm_config_registry", "npm_"]),
            ("tok_jwt", &["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x"], &["eyJ", "eye", "keyJ.x.y"]),
            ("tok_pem", &["-----BEGIN PRIVATE KEY-----"], &["BEGIN", "-----"]),
            (
                "tok_bearer",
                &["Bearer abcdefgh12345678", "authorization: bearer abc.def-ghi"],
                &["bearer", "bearer of x", "forbearer abcdefghijk"],
            ),
            (
                "tok_assignment",
                &["password=hunter2", "api_key: abcd1234", "TOKEN=\"abcd\""],
                &["password", "tokens", "token=", "token_count"],
            ),
        ];
        for (rule, leaking, innocent) in cases {
            for text in *leaking {
                assert!(rules(text).contains(rule), "{rule} spares {text}: {:?}", rules(text));
            }
            for text in *innocent {
                assert!(!rules(text).contains(rule), "{rule} fires on {text}");
            }
        }
    }

    #[test]
    fn values_of_the_payload_match_no_rule() {
        for text in [
            "interactive",
            "cloud_ide",
            "0.21.0-rc.1",
            "rust1.95",
            "2026-01-02T03:04:05Z",
            "1_100",
            "claude-code",
            "100k_plus",
        ] {
            assert_eq!(rules(text), Vec::<&str>::new(), "{text}");
        }
    }
}

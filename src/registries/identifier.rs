//! Strict forms of what a record names: a package must not be read as an option, a path or a URL by the program that
//! installs it.

use reqwest::Url;

use crate::config::code_variables::changes_code;

/// Longest identifier of a package.
const LONGEST: usize = 214;

/// Whether a text is a server's name in a registry: `namespace/name` in ASCII letters, digits, `.`, `-` and `_`.
pub(crate) fn is_server_name(name: &str) -> bool {
    let part = |text: &str, more: &[char]| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    name.len() <= 200
        && name.split_once('/').is_some_and(|(space, name)| part(space, &['.', '-']) && part(name, &['.', '-', '_']))
}

/// Whether a text is a version: no range, no tag such as `latest`, no option.
pub(crate) fn is_version(version: &str) -> bool {
    let digits = version.strip_prefix('v').unwrap_or(version);
    version.len() <= 64
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'))
        // `1.x` and `1.*` are ranges.
        && !version.split('.').any(|part| matches!(part, "x" | "X"))
}

/// Whether a text is the name of an npm package, with or without a scope.
pub(crate) fn is_npm(name: &str) -> bool {
    let part = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_'))
    };
    name.len() <= LONGEST
        && match name.strip_prefix('@') {
            Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| part(scope) && part(name)),
            None => part(name),
        }
}

/// Whether a text is the name of a package on PyPI or NuGet.
pub(crate) fn is_plain(name: &str) -> bool {
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// Whether a text is a container image, with or without host, tag and digest.
pub(crate) fn is_image(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let hex = |digest: &str| {
        digest
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let (path, last) = name.rsplit_once('/').map_or(("", name), |(path, last)| (path, last));
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    let part = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_'))
    };
    let host =
        |text: &str| text.split_once(':').map_or(part(text), |(host, port)| part(host) && port.parse::<u16>().is_ok());
    let mut parts = path.split('/').filter(|_| !path.is_empty());
    image.len() <= LONGEST * 2
        && !name.starts_with('/')
        && parts.next().is_none_or(host)
        && parts.all(part)
        && part(last)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(hex)
}

/// Whether a text is the tag of an image.
pub(crate) fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// Whether a text is the name of an environment variable that a record may set. Variables that change which code runs are
/// not.
pub(crate) fn is_variable(name: &str) -> bool {
    name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !changes_code(name)
}

/// Whether a text is the name of an HTTP header that a record may set.
pub(crate) fn is_header(name: &str) -> bool {
    const FORBIDDEN: [&str; 6] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
    ];
    name.len() <= 128
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        && !FORBIDDEN.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether a text is the name of an option of a program, such as `--port`.
pub(crate) fn is_flag(name: &str) -> bool {
    let word = name.strip_prefix("--").or_else(|| name.strip_prefix('-')).unwrap_or_default();
    name.len() <= 100
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
}

/// Whether a text is the name of an input: a part of a template in braces.
pub(crate) fn is_input(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Why the URL of a remote server cannot be used.
pub(crate) fn remote_problem(url: &str) -> Option<&'static str> {
    match Url::parse(url) {
        Err(_) => Some("its URL is invalid"),
        Ok(url) if url.scheme() != "https" => Some("its URL does not use HTTPS"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => Some("its URL contains a user name"),
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Some("its URL has no host"),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_be_an_option_a_path_or_a_look_alike_of_another_script() {
        for good in ["io.github.domdomegg/airtable-mcp-server", "com.stripe/mcp", "a/b_c.d"] {
            assert!(is_server_name(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a/b/c",
            "/a",
            "-a/b",
            "a/-b",
            "a/..",
            "a b/c",
            "io.githuḅ/x",
            "а/b",
            "a/b\u{1b}[31m",
            "a/b\n",
        ] {
            assert!(!is_server_name(bad), "{bad}");
        }
        for good in ["@scope/name", "name", "a.b-c_d", "1password-mcp"] {
            assert!(is_npm(good), "{good}");
        }
        for bad in [
            "",
            "--yes",
            "-y",
            "@scope",
            "@/a",
            "@a/",
            "../x",
            "a/b",
            "a@1",
            "https://x",
            "a b",
            "a;b",
            "$(x)",
            ".a",
            "Ä",
            "git+ssh",
        ] {
            assert!(!is_npm(bad), "{bad}");
        }
        for bad in [
            "",
            "--index-url",
            "-e",
            "a[extra]",
            "a==1",
            "a/b",
            "./a",
            "a b",
            "a\0",
            "a-",
        ] {
            assert!(!is_plain(bad), "{bad}");
        }
        assert!(is_plain("TimeMcpServer") && is_plain("Knapcode.SampleMcpServer") && is_plain("mcp_server-x"));
    }

    #[test]
    fn a_version_is_exact() {
        for good in ["1.7.2", "0.4.0-beta", "v1.0", "2025.11.25", "1.0.0+build.5", "0.1.0rc1"] {
            assert!(is_version(good), "{good}");
        }
        for bad in [
            "", "latest", "^1.2", "~1", ">=1", "1.x", "1.*", "--yes", "1 2", "1\n", "1;x", "next",
        ] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn an_image_has_a_tag_or_a_digest_at_most() {
        let digest = "a".repeat(64);
        for good in [
            "docker.io/domdomegg/airtable-mcp-server:1.7.2",
            "mcp/filesystem",
            "ghcr.io/github/github-mcp-server:v1.0",
            "localhost:5000/a",
            "postgres",
            &format!("ghcr.io/a/b@sha256:{digest}"),
        ] {
            assert!(is_image(good), "{good}");
        }
        for bad in [
            "",
            "--privileged",
            "-v",
            "a b",
            "A/b",
            "a/../b",
            "a//b",
            "a:b:c",
            "a@sha256:1",
            "https://x/y",
            "a:-x",
            "/a",
        ] {
            assert!(!is_image(bad), "{bad}");
        }
    }

    #[test]
    fn variables_headers_and_options_that_change_other_programs_are_refused() {
        assert!(is_variable("AIRTABLE_API_KEY") && is_variable("_x1"));
        for bad in [
            "",
            "PATH",
            "path",
            "LD_PRELOAD",
            "NODE_OPTIONS",
            "RUBYOPT",
            "npm_config_registry",
            "UV_INDEX_URL",
            "A B",
            "A=B",
            "1A",
        ] {
            assert!(!is_variable(bad), "{bad}");
        }
        assert!(is_header("Authorization") && is_header("X-API-Key"));
        for bad in ["", "Host", "content-length", "A B", "A:", "A\r\nB"] {
            assert!(!is_header(bad), "{bad}");
        }
        assert!(is_flag("--port") && is_flag("-p") && is_flag("--a.b"));
        for bad in ["", "port", "-", "--", "---x", "--a=b", "--a b", "--a\n"] {
            assert!(!is_flag(bad), "{bad}");
        }
    }

    #[test]
    fn a_remote_uses_https() {
        assert_eq!(remote_problem("https://mcp.example.com/mcp?x=1"), None);
        for bad in [
            "http://mcp.example.com/mcp",
            "https://u:p@h/",
            "file:///etc",
            "javascript:x",
            "h/mcp",
            "https://",
        ] {
            assert!(remote_problem(bad).is_some(), "{bad}");
        }
    }
}

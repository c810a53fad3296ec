//! Keys and tokens that are known by how they begin. Formats as their makers document them, looked up in November 2026.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::value::{Kind, Sensitive, joined_to_word, run};

/// How the tokens of one kind look.
pub(super) struct Format {
    pub rule: &'static str,
    /// The prefix, case-sensitive.
    prefix: &'static str,
    /// Fewest characters after that, and most.
    length: (usize, usize),
    /// The characters that may follow.
    of: fn(u8) -> bool,
}

const fn format(rule: &'static str, prefix: &'static str, fewest: usize, most: usize, of: fn(u8) -> bool) -> Format {
    Format {
        rule,
        prefix,
        length: (fewest, most),
        of,
    }
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}
fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}
fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-'
}
fn dotted(byte: u8) -> bool {
    dashed(byte) || byte == b'.'
}
fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-')
}

/// All known formats.
pub(super) const FORMATS: &[Format] = &[
    format("github-token", "ghp_", 36, 255, alphanumeric),
    format("github-token", "gho_", 36, 255, alphanumeric),
    format("github-token", "ghu_", 36, 255, alphanumeric),
    format("github-token", "ghs_", 36, 600, dotted),
    format("github-token", "ghr_", 36, 255, alphanumeric),
    format("github-token", "github_pat_", 40, 255, word),
    format("gitlab-token", "glpat-", 20, 400, dotted),
    format("gitlab-token", "gldt-", 20, 400, dotted),
    format("gitlab-token", "glrt-", 20, 400, dotted),
    format("gitlab-token", "glptt-", 20, 400, dotted),
    format("gitlab-token", "glcbt-", 20, 400, dotted),
    format("anthropic-key", "sk-ant-", 30, 200, dashed),
    format("openai-key", "sk-proj-", 30, 255, dashed),
    format("openai-key", "sk-svcacct-", 30, 255, dashed),
    format("openai-key", "sk-", 40, 64, alphanumeric),
    format("openrouter-key", "sk-or-v1-", 40, 128, hex),
    format("stripe-key", "sk_live_", 16, 255, alphanumeric),
    format("stripe-key", "rk_live_", 16, 255, alphanumeric),
    format("stripe-key", "sk_test_", 16, 255, alphanumeric),
    format("stripe-key", "whsec_", 24, 255, base64),
    format("aws-key-id", "AKIA", 16, 16, upper),
    format("aws-key-id", "ASIA", 16, 16, upper),
    format("google-key", "AIza", 35, 35, dashed),
    format("google-key", "ya29.", 40, 1024, dashed),
    format("google-key", "GOCSPX-", 20, 64, dashed),
    format("slack-token", "xoxb-", 20, 255, dashed),
    format("slack-token", "xoxp-", 20, 255, dashed),
    format("slack-token", "xoxa-", 20, 255, dashed),
    format("slack-token", "xoxr-", 20, 255, dashed),
    format("slack-token", "xoxs-", 20, 255, dashed),
    format("slack-token", "xapp-", 20, 255, dashed),
    format("npm-token", "npm_", 36, 36, alphanumeric),
    format("pypi-token", "pypi-AgE", 50, 400, dashed),
    format("huggingface-token", "hf_", 30, 60, alphanumeric),
    format("docker-token", "dckr_pat_", 20, 100, dashed),
    format("vault-token", "hvs.", 24, 255, dashed),
    format("vault-token", "hvb.", 24, 255, dashed),
    format("grafana-token", "glsa_", 32, 80, word),
    format("grafana-token", "glc_", 32, 400, base64),
    format("sendgrid-key", "SG.", 40, 80, dotted),
    format("shopify-token", "shpat_", 32, 40, hex),
    format("shopify-token", "shpss_", 32, 40, hex),
    format("digitalocean-token", "dop_v1_", 64, 64, hex),
    format("digitalocean-token", "doo_v1_", 64, 64, hex),
    format("linear-key", "lin_api_", 32, 60, alphanumeric),
    format("groq-key", "gsk_", 40, 70, alphanumeric),
    format("xai-key", "xai-", 60, 120, alphanumeric),
    format("atlassian-token", "ATATT3", 60, 255, base64),
    format("atlassian-token", "ATCTT3", 60, 255, base64),
    format("tailscale-key", "tskey-", 20, 100, dashed),
    format("age-key", "AGE-SECRET-KEY-1", 50, 64, upper),
    format("notion-token", "ntn_", 40, 60, alphanumeric),
    format("notion-token", "secret_", 43, 43, alphanumeric),
    format("figma-token", "figd_", 36, 60, dashed),
    format("postman-key", "PMAK-", 50, 70, dashed),
    format("airtable-token", "pat", 79, 79, dotted),
    format("telegram-token", "bot", 44, 47, |byte| dashed(byte) || byte == b':'),
    format("supabase-token", "sbp_", 40, 48, hex),
    format("planetscale-token", "pscale_tkn_", 32, 64, dashed),
    format("databricks-token", "dapi", 32, 34, |byte| hex(byte) || byte == b'-'),
    format("doppler-token", "dp.pt.", 40, 48, alphanumeric),
    format("perplexity-key", "pplx-", 40, 64, alphanumeric),
    format("replicate-token", "r8_", 37, 40, alphanumeric),
    format("sentry-token", "sntrys_", 60, 300, base64),
    format("newrelic-key", "NRAK-", 27, 27, upper),
    format("cloudflare-token", "v1.0-", 140, 200, |byte| hex(byte) || byte == b'-'),
    format("json-web-token", "eyJ", 30, 8192, dotted),
];

/// Finds every token of a known format.
pub(super) fn find(text: &str, found: &mut Vec<Sensitive>) {
    for hit in prefixes().into_iter().flat_map(|prefixes| prefixes.find_iter(text)) {
        let Some(format) = FORMATS.get(hit.pattern().as_usize()) else { continue };
        let length = run(text, hit.end(), format.of);
        let (fewest, most) = format.length;
        if length < fewest || length > most || joined_to_word(text, hit.start()) {
            continue;
        }
        let range = hit.start()..hit.end() + length;
        let token = text.get(range.clone()).unwrap_or_default();
        if plausible(format.rule, token) {
            found.push(Sensitive {
                rule: format.rule,
                kind: Kind::Token,
                range,
            });
        }
    }
}

/// Formats that a table of prefixes and lengths cannot express.
fn plausible(rule: &str, token: &str) -> bool {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    match rule {
        "json-web-token" => {
            let mut parts = token.split('.');
            let long = |part: Option<&str>| part.is_some_and(|part| part.len() >= 10);
            long(parts.next()) && long(parts.next()) && parts.next().is_some() && parts.next().is_none()
        }
        "telegram-token" => token.find(':').is_some_and(|at| (11..=14).contains(&at)),
        "airtable-token" => token.find('.') == Some(17),
        "sendgrid-key" => token.matches('.').count() == 2,
        _ => digits > 0,
    }
}

fn prefixes() -> Option<&'static AhoCorasick> {
    static PREFIXES: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostLongest).build(FORMATS.iter().map(|format| format.prefix)).ok()
    };
    PREFIXES.get_or_init(build).as_ref()
}

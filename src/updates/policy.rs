//! Decides whether and where to check for updates automatically.

use std::time::Duration;

use minisign_verify::PublicKey;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::os::https::Url;
use crate::updates::manifest::Channel;

/// Notices about newer versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UpdateCheck {
    /// Looks for newer versions once a day. By default this is on if a list of releases is known, and off in CI.
    #[schemars(title = "Check for updates")]
    pub enabled: Option<bool>,
    /// Which releases to report: `stable`, or release candidates (`rc`) too.
    #[schemars(title = "Releases")]
    pub channel: Option<Channel>,
    /// URL of the signed release list, instead of the built-in one.
    #[schemars(title = "List of releases")]
    pub manifest: Option<String>,
    /// The minisign key that signs the list, instead of the built-in one.
    #[schemars(title = "Key of the list of releases")]
    pub public_key: Option<String>,
}

/// Set at build time for our own installers; distribution packages leave them out.
const BUILT_IN_MANIFEST: Option<&str> = option_env!("MCPPROXY_UPDATE_MANIFEST");
const BUILT_IN_KEY: Option<&str> = option_env!("MCPPROXY_UPDATE_KEY");

/// The manifest to read and the key to verify it with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub manifest: Url,
    pub key: PublicKey,
    pub channel: Channel,
}

impl UpdateCheck {
    /// The update source.
    ///
    /// # Errors
    /// A sentence that says what is missing or invalid.
    pub fn source(&self) -> Result<Source, String> {
        let choose = |own: &Option<String>, built_in: Option<&str>| {
            own.as_deref().or(built_in).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        // A configured manifest is never verified with the built-in key, or the other way round.
        let built_in = if self.manifest.is_some() { (None, None) } else { (BUILT_IN_MANIFEST, BUILT_IN_KEY) };
        let Some(manifest) = choose(&self.manifest, built_in.0) else {
            return Err("this build has no update source configured (set update_check.manifest)".to_owned());
        };
        let manifest = Url::parse(&manifest)
            .ok_or("update_check.manifest is neither an https URL nor a loopback URL".to_owned())?;
        let Some(key) = choose(&self.public_key, built_in.1) else {
            return Err("update_check.public_key is missing, so the manifest cannot be verified".to_owned());
        };
        let key = PublicKey::from_base64(&key).map_err(|_| {
            "update_check.public_key is not a minisign key (56 characters that begin with RW)".to_owned()
        })?;
        Ok(Source {
            manifest,
            key,
            channel: self.channel.unwrap_or_default(),
        })
    }

    /// Whether to check automatically. The setting wins over the default; `off`, from the environment, wins over both.
    pub fn is_automatic(&self, off: bool, ci: bool) -> bool {
        !off && self.enabled.unwrap_or(!ci) && self.source().is_ok()
    }
}

/// The delay before the next check: a day plus up to an hour after a success, exponential backoff after failures. `jitter`
/// is from 0 to 1.
pub fn wait(failures: u32, jitter: f64) -> Duration {
    let minutes = match failures {
        0 => 24.0 * 60.0 + 60.0 * jitter,
        // From five minutes, doubled each time, to a day.
        some => (5.0 * 2_f64.powi(i32::try_from(some).unwrap_or(i32::MAX).saturating_sub(1))).min(24.0 * 60.0),
    };
    Duration::from_secs_f64(minutes * 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(enabled: Option<bool>) -> UpdateCheck {
        UpdateCheck {
            enabled,
            channel: None,
            manifest: Some("https://example.com/releases.json".to_owned()),
            public_key: Some("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3".to_owned()),
        }
    }

    #[test]
    fn a_person_outranks_ci_and_the_environments_no_outranks_both() {
        assert!(check(None).is_automatic(false, false));
        assert!(!check(None).is_automatic(false, true));
        assert!(check(Some(true)).is_automatic(false, true));
        assert!(!check(Some(true)).is_automatic(true, false));
        assert!(!check(Some(false)).is_automatic(false, false));
    }

    #[test]
    fn without_a_place_and_a_key_nothing_is_looked_for() {
        let without = |take: fn(&mut UpdateCheck)| {
            let mut check = check(Some(true));
            take(&mut check);
            assert!(!check.is_automatic(false, false));
            check.source().unwrap_err()
        };
        assert!(without(|check| check.public_key = None).contains("public_key is missing"));
        assert!(without(|check| check.public_key = Some("RW".to_owned())).contains("not a minisign key"));
        assert!(without(|check| check.manifest = Some("http://example.com".to_owned())).contains("neither an https"));
        if BUILT_IN_MANIFEST.is_none() {
            assert!(without(|check| check.manifest = None).contains("no update source"));
        }
    }

    #[test]
    fn a_failure_is_tried_again_soon_and_never_more_than_a_day_later() {
        let minutes = |failures| wait(failures, 1.0).as_secs() / 60;
        assert_eq!([0, 1, 2, 3, 40, u32::MAX].map(minutes), [1500, 5, 10, 20, 1440, 1440]);
    }
}

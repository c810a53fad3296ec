//! What a manifest says, once its signature was verified.
//!
//! `{"product":"mcpproxy","releases":[{"version":"1.2.0","url":"https://…"}]}`, signed with minisign; the signature lies beside it, with
//! `.minisig` after its name.

use minisign_verify::{PublicKey, Signature};
use schemars::JsonSchema;
use semver::Version;
use serde::Deserialize;

use crate::contract::names;

/// The largest manifest that is read, in bytes.
pub const LARGEST: u64 = 256 * 1024;

/// A manifest whose signature fits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// Another text that was signed with the same key is no manifest.
    product: String,
    releases: Vec<Release>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    pub version: Version,
    /// The page that tells of it and has the installers.
    pub url: String,
}

/// Releases to report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Channel {
    /// Stable releases only.
    #[default]
    #[serde(rename = "stable")]
    Stable,
    /// Release candidates, too.
    #[serde(rename = "rc")]
    Candidates,
}

impl Channel {
    /// The word as it stands in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Stable => "stable",
            Channel::Candidates => "rc",
        }
    }
}

/// Why a text is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("its signature does not fit update_check.public_key")]
    Signature,
    #[error("it is signed, but it is no list of this program's releases: {0}")]
    Shape(String),
}

impl Manifest {
    /// Believes a text only if `signature` is this key's for exactly these bytes.
    ///
    /// # Errors
    /// [`Doubt`].
    pub fn verified(text: &[u8], signature: &str, key: &PublicKey) -> Result<Manifest, Doubt> {
        let signature = Signature::decode(signature).map_err(|_| Doubt::Signature)?;
        key.verify(text, &signature, false).map_err(|_| Doubt::Signature)?;
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| Doubt::Shape(error.to_string()))?;
        if manifest.product != names::CORE_PROGRAM {
            return Err(Doubt::Shape(format!("its product is `{}`", manifest.product)));
        }
        if let Some(release) = manifest.releases.iter().find(|release| !release.url.starts_with("https://")) {
            return Err(Doubt::Shape(format!("the page of {} has no https address", release.version)));
        }
        Ok(manifest)
    }

    /// The newest release of a channel that is newer than `version`.
    pub fn newer_than(&self, version: &Version, channel: Channel) -> Option<&Release> {
        self.releases
            .iter()
            .filter(|release| channel == Channel::Candidates || release.version.pre.is_empty())
            // Builds of one version are one version.
            .filter(|release| release.version.cmp_precedence(version).is_gt())
            .max_by(|a, b| a.version.cmp_precedence(&b.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(versions: &[&str]) -> Manifest {
        let release = |version: &&str| Release {
            version: version.parse().unwrap(),
            url: "https://example.com".to_owned(),
        };
        Manifest {
            product: "mcpproxy".to_owned(),
            releases: versions.iter().map(release).collect(),
        }
    }

    #[test]
    fn the_newest_of_the_channel_that_is_newer() {
        let newest = |versions: &[&str], have: &str, channel| {
            let manifest = manifest(versions);
            manifest.newer_than(&have.parse().unwrap(), channel).map(|release| release.version.to_string())
        };
        let all = ["0.9.0", "0.10.0", "1.0.0-rc.1", "0.2.0"];
        assert_eq!(newest(&all, "0.9.0", Channel::Stable), Some("0.10.0".into()));
        assert_eq!(newest(&all, "0.9.0", Channel::Candidates), Some("1.0.0-rc.1".into()));
        assert_eq!(newest(&all, "0.10.0", Channel::Stable), None);
        assert_eq!(newest(&all, "2.0.0", Channel::Candidates), None);
        assert_eq!(newest(&["1.0.0"], "1.0.0-rc.1", Channel::Stable), Some("1.0.0".into()));
        assert_eq!(newest(&["1.0.0+2"], "1.0.0+1", Channel::Stable), None);
        assert_eq!(newest(&[], "1.0.0", Channel::Stable), None);
    }
}

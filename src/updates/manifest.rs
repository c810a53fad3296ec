//! The manifest of releases, with its signature verified.
//!
//! `{"product":"mcpproxy","releases":[{"version":"1.2.0","url":"https://…"}]}`, signed with minisign. The signature is in
//! a file with the same name plus `.minisig`.

use minisign_verify::{PublicKey, Signature};
use schemars::JsonSchema;
use semver::Version;
use serde::Deserialize;

use crate::contract::names;

/// Maximum size of a manifest in bytes.
pub const LARGEST: usize = 256 * 1024;

/// A manifest with a valid signature.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// Distinguishes a manifest from other data signed with the same key.
    product: String,
    releases: Vec<Release>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    pub version: Version,
    /// The release page with the installers.
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
    /// The name in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Channel::Stable => "stable",
            Channel::Candidates => "rc",
        }
    }
}

/// Why a manifest is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("signature verification failed (see update_check.public_key)")]
    Signature,
    #[error("its signature is valid, but it is not a list of MCPProxy releases: {0}")]
    Shape(String),
}

impl Manifest {
    /// Accepts a manifest only if `signature` was made with this key for exactly these bytes.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn verified(text: &[u8], signature: &str, key: &PublicKey) -> Result<Manifest, ManifestError> {
        let signature = Signature::decode(signature).map_err(|_| ManifestError::Signature)?;
        key.verify(text, &signature, false).map_err(|_| ManifestError::Signature)?;
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|error| ManifestError::Shape(error.to_string()))?;
        if manifest.product != names::CORE_PROGRAM {
            return Err(ManifestError::Shape(format!("its product is `{}`", manifest.product)));
        }
        if let Some(release) = manifest.releases.iter().find(|release| !release.url.starts_with("https://")) {
            return Err(ManifestError::Shape(format!("the URL of {} is not https", release.version)));
        }
        Ok(manifest)
    }

    /// The newest release of a channel that is newer than `version`.
    pub fn newer_than(&self, version: &Version, channel: Channel) -> Option<&Release> {
        self.releases
            .iter()
            .filter(|release| channel == Channel::Candidates || release.version.pre.is_empty())
            // Build metadata does not make a version newer.
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

//! `trust_mode`, and the two older keys that say the same.

use serde::{Deserialize, Serialize};

/// Who approves new and changed tools of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// They need no approval.
    Auto,
    /// They need none if a scan finds nothing.
    Scan,
    /// A person.
    Manual,
}

impl Trust {
    /// The trust mode of an entry: the newest of the three keys that is there decides. A `trust_mode` that is not known is
    /// `manual`, so that a typing error opens nothing.
    pub fn effective(mode: Option<&str>, auto_approve: Option<bool>, skip_quarantine: bool) -> Trust {
        match (mode.filter(|mode| !mode.is_empty()), auto_approve) {
            (Some("auto"), _) => Trust::Auto,
            (Some("scan"), _) => Trust::Scan,
            (Some(_), _) => Trust::Manual,
            (None, Some(true)) => Trust::Auto,
            (None, Some(false)) => Trust::Manual,
            (None, None) if skip_quarantine => Trust::Auto,
            (None, None) => Trust::Manual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_key_on_trust_decides_and_a_typing_error_trusts_nobody() {
        for (mode, auto, skip, effective) in [
            (Some("manual"), Some(true), true, Trust::Manual),
            (Some("auto"), Some(false), false, Trust::Auto),
            (Some("Auto"), Some(true), true, Trust::Manual),
            (Some("scan"), None, false, Trust::Scan),
            (Some(""), Some(true), false, Trust::Auto),
            (None, Some(false), true, Trust::Manual),
            (None, None, true, Trust::Auto),
            (None, None, false, Trust::Manual),
        ] {
            assert_eq!(Trust::effective(mode, auto, skip), effective, "{mode:?} {auto:?} {skip}");
        }
    }
}

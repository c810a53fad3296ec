//! Prompts and resource templates of servers: which ones are approved, by a fingerprint of their definitions.
//!
//! Those that a server offers when it is first listed are approved with it. From then on, a new or changed one is hidden
//! until a person approves it, like a tool.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmcp::model::{Prompt, ResourceTemplate};
use rmcp::service::{Peer, RoleClient};
use serde_json::Value;

use crate::os::files;
use crate::upstream::approvals::fingerprint;
use crate::upstream::list::{after, all_pages};

/// Largest file that is read.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A kind of offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferKind {
    Prompt,
    Template,
}

impl OfferKind {
    /// The value in JSON, and the prefix of an offer's key.
    pub fn word(self) -> &'static str {
        match self {
            OfferKind::Prompt => "prompt",
            OfferKind::Template => "template",
        }
    }
}

/// A prompt or a resource template as its server defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    pub kind: OfferKind,
    /// The prompt's name or the URI template.
    pub name: String,
    pub definition: Value,
}

impl Offer {
    /// A prompt.
    pub fn prompt(prompt: &Prompt) -> Offer {
        Offer {
            kind: OfferKind::Prompt,
            name: prompt.name.clone(),
            definition: serde_json::to_value(prompt).unwrap_or_default(),
        }
    }

    /// A resource template.
    pub fn template(template: &ResourceTemplate) -> Offer {
        Offer {
            kind: OfferKind::Template,
            name: template.uri_template.clone(),
            definition: serde_json::to_value(template).unwrap_or_default(),
        }
    }

    /// SHA-256 of the definition.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.definition)
    }

    /// Its key among the tools and offers of its server: `prompt:NAME` or `template:URI`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.kind.word(), self.name)
    }
}

/// The approved offers of each server: fingerprints by key.
pub struct OfferApprovals {
    path: PathBuf,
    approved: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

impl OfferApprovals {
    /// The approvals in this file. If it cannot be read, an offer counts as approved only once it is listed again.
    pub fn load(path: &Path) -> OfferApprovals {
        let approved = match files::read_bounded(path, LARGEST) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!("could not read `{}`: {error}", path.display());
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        OfferApprovals {
            path: path.to_path_buf(),
            approved: Mutex::new(approved),
        }
    }

    fn approved(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, String>>> {
        self.approved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether each offer is approved; `offers` are all of one kind. The first list of a kind is approved. Blocks.
    pub fn check(&self, server: &str, kind: OfferKind, offers: &[Offer]) -> Vec<bool> {
        let mut approved = self.approved();
        // Stands for the kind itself, so that an empty first list counts, too.
        let listed = format!("{}s", kind.word());
        let known = approved.entry(server.to_owned()).or_default();
        if let Entry::Vacant(first) = known.entry(listed) {
            first.insert(String::new());
            known.extend(offers.iter().map(|offer| (offer.key(), offer.fingerprint())));
            if let Err(error) = self.save(&approved) {
                tracing::error!("could not write `{}`: {error}", self.path.display());
            }
            return vec![true; offers.len()];
        }
        offers.iter().map(|offer| known.get(&offer.key()) == Some(&offer.fingerprint())).collect()
    }

    /// Whether an offer with this key was approved before, in another version.
    pub fn knows(&self, server: &str, key: &str) -> bool {
        self.approved().get(server).is_some_and(|known| known.contains_key(key))
    }

    /// Approves these offers. Blocks.
    ///
    /// # Errors
    /// The file cannot be written; nothing is approved then.
    pub fn approve(&self, server: &str, offers: &[Offer]) -> io::Result<()> {
        let mut approved = self.approved();
        let before = approved.clone();
        let known = approved.entry(server.to_owned()).or_default();
        known.extend(offers.iter().map(|offer| (offer.key(), offer.fingerprint())));
        self.save(&approved).inspect_err(|_| *approved = before)
    }

    fn save(&self, approved: &BTreeMap<String, BTreeMap<String, String>>) -> io::Result<()> {
        files::replace_private(&self.path, &serde_json::to_vec(approved)?)
    }
}

/// The prompts of a server that offers any.
///
/// # Errors
/// The server's list failed.
pub async fn prompts(peer: &Peer<RoleClient>) -> Result<Vec<Prompt>, String> {
    if peer.peer_info().is_none_or(|info| info.capabilities.prompts.is_none()) {
        return Ok(Vec::new());
    }
    let page = async |cursor| peer.list_prompts(Some(after(cursor))).await.map(|page| (page.prompts, page.next_cursor));
    all_pages(page).await
}

/// The resource templates of a server that offers any.
///
/// # Errors
/// The server's list failed.
pub async fn templates(peer: &Peer<RoleClient>) -> Result<Vec<ResourceTemplate>, String> {
    if peer.peer_info().is_none_or(|info| info.capabilities.resources.is_none()) {
        return Ok(Vec::new());
    }
    let page = async |cursor| {
        peer.list_resource_templates(Some(after(cursor)))
            .await
            .map(|page| (page.resource_templates, page.next_cursor))
    };
    all_pages(page).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(name: &str, description: &str) -> Offer {
        Offer::prompt(&Prompt::new(name, Some(description), None))
    }

    #[test]
    fn what_a_server_offers_first_is_approved_and_changes_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("offers");
        let approvals = OfferApprovals::load(&path);
        let kind = OfferKind::Prompt;
        assert_eq!(approvals.check("s", kind, &[prompt("a", "says")]), [true]);
        let later = [prompt("a", "says"), prompt("a", "steals"), prompt("b", "says")];
        assert_eq!(approvals.check("s", kind, &later), [true, false, false]);
        assert_eq!(approvals.check("t", kind, &[]), [true; 0]);
        assert_eq!(approvals.check("t", kind, &later), [false, false, false], "an empty list counts, too");
        let approvals = OfferApprovals::load(&path);
        assert_eq!(approvals.check("s", kind, &later), [true, false, false]);
        approvals.approve("s", &[prompt("b", "says")]).unwrap();
        assert_eq!(OfferApprovals::load(&path).check("s", kind, &later), [true, false, true]);
        assert!(approvals.knows("s", "prompt:b") && !approvals.knows("s", "prompt:c"));
    }
}

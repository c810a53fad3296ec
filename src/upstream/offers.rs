//! Prompts and resource templates of servers: which ones are approved, by a fingerprint of their definitions.
//!
//! Those that a server offers when it is first listed are approved with it. From then on, a new or changed one is hidden
//! until a person approves it, like a tool.

use std::collections::btree_map::Entry;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use rmcp::model::{Prompt, ResourceTemplate};
use rmcp::service::{Peer, RoleClient};
use serde_json::Value;

use crate::os::files;
use crate::os::sync::lock;
use crate::upstream::approval_file::{ApprovalFile, Servers, Write};
use crate::upstream::approvals::fingerprint;
use crate::upstream::list::{list_prompts, list_templates};

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

    /// The key that stands for the kind itself, so that an empty first list counts, too.
    fn listed(self) -> String {
        format!("{}s", self.word())
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
        let mut definition = serde_json::to_value(template).unwrap_or_default();
        let priority = template.annotations.as_ref().and_then(|annotations| annotations.priority);
        if let (Some(priority), Some(written)) = (priority, definition.pointer_mut("/annotations/priority")) {
            // Stored fingerprints have this number as a double.
            *written = f64::from(priority).into();
        }
        Offer {
            kind: OfferKind::Template,
            name: template.uri_template.clone(),
            definition,
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

/// The approved offers of each server.
///
/// The disk may take seconds. Only one thread waits for it at a time, and `approved` is not locked meanwhile.
pub struct OfferApprovals {
    file: ApprovalFile,
    /// Fingerprints by key.
    approved: Mutex<Servers<String>>,
    /// Any server may have been in the unreadable part of the file.
    lost: bool,
    /// Held while the file is written, so that an older state does not replace a newer one.
    writing: Mutex<()>,
    /// Whether the first list of a server is not approved with it either.
    is_held: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl OfferApprovals {
    /// The approvals in this file. Its unreadable parts are not approved.
    pub fn load(path: &Path) -> OfferApprovals {
        OfferApprovals::load_with(path, Box::new(files::replace_private))
    }

    fn load_with(path: &Path, write: Write) -> OfferApprovals {
        let (file, mut content) = ApprovalFile::load_with(path, write);
        for server in content.damaged {
            let known = content.servers.entry(server).or_default();
            known.extend([OfferKind::Prompt, OfferKind::Template].map(|kind| (kind.listed(), String::new())));
        }
        OfferApprovals {
            file,
            approved: Mutex::new(content.servers),
            lost: content.lost,
            writing: Mutex::default(),
            is_held: Box::new(|_| false),
        }
    }

    /// Does not approve the first list of these servers: what the Go core kept of them is not known.
    pub fn hold_while(self, is_held: impl Fn(&str) -> bool + Send + Sync + 'static) -> OfferApprovals {
        OfferApprovals {
            is_held: Box::new(is_held),
            ..self
        }
    }

    /// Whether each offer is approved; `offers` are all of one kind. The first list of a kind is approved, and waits for the
    /// disk.
    pub fn check(&self, server: &str, kind: OfferKind, offers: &[Offer]) -> Vec<bool> {
        let is_open = !self.lost && !(self.is_held)(server);
        {
            let mut approved = lock(&self.approved);
            let known = approved.entry(server.to_owned()).or_default();
            let Entry::Vacant(first) = known.entry(kind.listed()) else {
                let is_known = |offer: &Offer| known.get(&offer.key()) == Some(&offer.fingerprint());
                return offers.iter().map(is_known).collect();
            };
            first.insert(String::new());
            if is_open {
                known.extend(offers.iter().map(|offer| (offer.key(), offer.fingerprint())));
            }
        }
        let _writing = lock(&self.writing);
        let approved = lock(&self.approved).clone();
        let saved = self.file.save(&approved, self.lost);
        if let Err(error) = &saved {
            tracing::error!("could not write `{}`: {error}", self.file.path().display());
            // After the next start, any other offers would be approved in their place.
            if let Some(known) = lock(&self.approved).get_mut(server) {
                known.remove(&kind.listed());
                offers.iter().for_each(|offer| drop(known.remove(&offer.key())));
            }
        }
        vec![saved.is_ok() && is_open; offers.len()]
    }

    /// Whether an offer with this key was approved before, in another version.
    pub fn knows(&self, server: &str, key: &str) -> bool {
        lock(&self.approved).get(server).is_some_and(|known| known.contains_key(key))
    }

    /// Approves these offers. Waits for the disk.
    ///
    /// # Errors
    /// The file cannot be written; nothing is approved then.
    pub fn approve(&self, server: &str, offers: &[Offer]) -> io::Result<()> {
        let _writing = lock(&self.writing);
        let more = || offers.iter().map(|offer| (offer.key(), offer.fingerprint()));
        let mut approved = lock(&self.approved).clone();
        approved.entry(server.to_owned()).or_default().extend(more());
        self.file.save(&approved, self.lost)?;
        // A server that was listed for the first time meanwhile keeps what was noted of it.
        lock(&self.approved).entry(server.to_owned()).or_default().extend(more());
        Ok(())
    }
}

/// The prompts of a server that offers any.
///
/// # Errors
/// The server's list failed.
pub async fn prompts(peer: &Peer<RoleClient>, server: &str) -> Result<Vec<Prompt>, String> {
    if peer.peer_info().is_none_or(|info| info.capabilities.prompts.is_none()) {
        return Ok(Vec::new());
    }
    list_prompts(peer, server).await
}

/// The resource templates of a server that offers any.
///
/// # Errors
/// The server's list failed.
pub async fn templates(peer: &Peer<RoleClient>, server: &str) -> Result<Vec<ResourceTemplate>, String> {
    if peer.peer_info().is_none_or(|info| info.capabilities.resources.is_none()) {
        return Ok(Vec::new());
    }
    list_templates(peer, server).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(name: &str, description: &str) -> Offer {
        Offer::prompt(&Prompt::new(name, Some(description), None))
    }

    #[test]
    fn first_offers_are_approved_and_changes_are_not() {
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

    #[test]
    fn the_first_offers_of_a_held_server_need_approval_also_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("offers");
        let approvals = OfferApprovals::load(&path).hold_while(|server| server == "held");
        let offers = [prompt("a", "says"), prompt("b", "says")];
        assert_eq!(approvals.check("held", OfferKind::Prompt, &offers), [false, false]);
        assert_eq!(approvals.check("other", OfferKind::Prompt, &offers), [true, true]);
        approvals.approve("held", &offers[..1]).unwrap();
        assert_eq!(OfferApprovals::load(&path).check("held", OfferKind::Prompt, &offers), [true, false]);
    }

    #[test]
    fn the_priority_of_a_template_is_fingerprinted_as_a_double() {
        let text = r#"{"uriTemplate": "t://{id}", "name": "t", "annotations": {"priority": 0.8}}"#;
        let offer = Offer::template(&serde_json::from_str(text).unwrap());
        assert_eq!(offer.definition["annotations"]["priority"], f64::from(0.8_f32));
    }

    #[test]
    fn unreadable_approvals_stay_held_after_a_save_and_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("offers");
        let (kind, offers) = (OfferKind::Prompt, [prompt("a", "says"), prompt("b", "says")]);
        for damaged in [r#"{"s": {"prompts": "", "prompt:a""#, "", "[]"] {
            std::fs::write(&path, damaged).unwrap();
            let approvals = OfferApprovals::load(&path);
            assert_eq!(approvals.check("s", kind, &offers), [false, false], "{damaged}");
            approvals.approve("s", &offers[..1]).unwrap();
            let again = OfferApprovals::load(&path);
            assert_eq!(again.check("s", kind, &offers), [true, false], "{damaged}");
            assert_eq!(again.check("t", kind, &offers), [false, false], "{damaged}");
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, r#"{"s": 7}"#).unwrap();
        let approvals = OfferApprovals::load(&path);
        assert_eq!(approvals.check("s", kind, &offers), [false, false]);
        assert_eq!(approvals.check("t", kind, &offers), [true, true], "this server's name is not in the file");
        assert!(directory.path().join("offers.damaged-4").exists());
    }

    #[test]
    fn offers_stay_closed_if_not_saved() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("offers");
        let approvals = OfferApprovals::load_with(&path, Box::new(|_, _| Err(io::Error::other("full"))));
        let offers = [prompt("a", "says")];
        assert_eq!(approvals.check("s", OfferKind::Prompt, &offers), [false]);
        assert_eq!(approvals.check("s", OfferKind::Prompt, &offers), [false]);
    }

    #[test]
    fn a_disk_that_hangs_delays_only_the_thread_that_writes() {
        use std::sync::mpsc;
        use std::time::Duration;

        let (began, wait_until_began) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let write = move |_: &Path, _: &[u8]| {
            let _ = began.send(());
            let _ = lock(&wait).recv();
            Ok(())
        };
        let directory = tempfile::tempdir().unwrap();
        let approvals = OfferApprovals::load_with(&directory.path().join("offers"), Box::new(write));
        let (done, is_done) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| approvals.check("s", OfferKind::Prompt, &[prompt("a", "says")]));
            wait_until_began.recv().unwrap();
            // The disk hangs now.
            scope.spawn(|| {
                let seen = approvals.check("s", OfferKind::Prompt, &[prompt("a", "says"), prompt("b", "says")]);
                let _ = done.send((seen, approvals.knows("s", "prompt:a")));
            });
            let seen = is_done.recv_timeout(Duration::from_secs(20));
            drop(go_on);
            assert_eq!(seen, Ok((vec![true, false], true)), "the list waited for the disk");
        });
    }
}

//! Reviews and approvals: the user approves exactly the version in the review.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{ApproveServerError, ServerControl, Unconfirmed, entry_of};
use crate::activity::Change;
use crate::config::document::EditError;
use crate::config::store::StoreError;
use crate::contract::review::{
    ApproveServer, ApproveTools, Confirmation, Review, ReviewChange, ReviewConflict, ReviewOffer,
};
use crate::contract::review_text::{self, Subject};
use crate::contract::words::{ActivityKind, ApprovalStatus, AutomaticApproval};
use crate::control::actor;
use crate::control::review::{ReviewedEntry, new_tool};
use crate::control::scan_tools::add_findings;
use crate::os::sync::lock;
use crate::upstream::approvals::PendingTool;
use crate::upstream::approved_versions::Part;
use crate::upstream::error::ApproveError;
use crate::upstream::inspect::{self, InspectError};
use crate::upstream::offers;
use crate::upstream::offers::{Offer, OfferKind};

/// Timeout for listing a server's prompts and templates for a review.
const LIST_LIMIT: Duration = Duration::from_secs(5);

impl ServerControl {
    /// Returns the review for the user, and remembers it as shown.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn review(&self, name: &str) -> Result<Review, StoreError> {
        let (entry, review) = self.current(name).await?;
        let tools = review.tools.iter().map(|tool| (tool.name.clone(), tool.fingerprint.clone())).collect();
        let mut shown = self.shown();
        let shown = shown.entry(name.to_owned()).or_default();
        shown.tools = Some(tools);
        shown.remember(entry);
        Ok(review)
    }

    /// Returns the review for a page that approves nothing, without marking it as shown.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn peek(&self, name: &str) -> Result<Review, StoreError> {
        Ok(self.entry(name).await?.0.review(self.pool.snapshot(name).as_ref()))
    }

    /// Starts a server that needs approval in isolation to list its tools, and stops it. Returns the review with them.
    ///
    /// # Errors
    /// [`InspectError`], or the entry has changed meanwhile.
    pub async fn inspect(&self, name: &str) -> Result<Review, InspectError> {
        let failed = |error: StoreError| InspectError::Failed(name.to_owned(), error.to_string());
        let before = self.entry(name).await.map_err(failed)?.0.fingerprint();
        let tools = self.pool.inspect(name).await?;
        lock(&self.inspected).insert(name.to_owned(), (before, tools));
        self.review(name).await.map_err(failed)
    }

    /// Returns the inspected tools of exactly this entry.
    fn inspected(&self, name: &str, fingerprint: &str) -> Option<Vec<PendingTool>> {
        let inspected = lock(&self.inspected);
        inspected.get(name).filter(|(known, _)| known == fingerprint).map(|(_, tools)| tools.clone())
    }

    async fn current(&self, name: &str) -> Result<(ReviewedEntry, Review), StoreError> {
        let (entry, config) = self.entry(name).await?;
        let mut review = entry.review(self.pool.snapshot(name).as_ref());
        review.offers = self.review_offers(name).await;
        if review.needs_approval
            && let Some(tools) = self.inspected(name, &review.fingerprint)
        {
            review.tools = tools.iter().map(new_tool).collect();
            review.inspected = true;
        }
        if let Some(config) = config {
            let (isolation, variables) = self.pool.isolator().facts(&config).await;
            review.isolation = Some(isolation);
            review.variables = variables;
            review.inspection = inspect::description(&config);
        }
        let (servers, versions, server) = (self.pool.snapshots(), self.versions.clone(), name.to_owned());
        // Scanning and reading the approved version take too long for this thread.
        let completed = tokio::task::spawn_blocking(move || {
            if let Some(before) = versions.read(&server, Part::Entry) {
                review.changes = entry.changes_since(&before);
            }
            let before = versions.read(&server, Part::Tools).unwrap_or_default();
            for tool in review.tools.iter_mut().filter(|tool| tool.previous_description.is_some()) {
                tool.previous = before.get(&tool.name).cloned();
            }
            let scanned = versions.read(&server, Part::Scanned).unwrap_or_default();
            for tool in review.tools.iter_mut().filter(|tool| tool.approval == ApprovalStatus::Approved) {
                let by_scan = scanned.get(&tool.name).and_then(Value::as_str) == Some(tool.fingerprint.as_str());
                tool.approved_by = by_scan.then_some(AutomaticApproval::Scan);
            }
            add_findings(&mut review, &servers);
            (entry, review)
        });
        completed.await.map_err(|_| EditError::Shape("the review was aborted".to_owned()).into())
    }

    /// Remembers the fingerprints of a server's tools that were shown to the user.
    pub fn record_tools_shown(&self, name: &str, tools: BTreeMap<String, String>) {
        self.shown().entry(name.to_owned()).or_default().tools = Some(tools);
    }

    /// Approves a server as the user saw it: `fingerprint` comes from the review. Without it, the version shown last is
    /// approved.
    ///
    /// # Errors
    /// [`ApproveServerError::Changed`] if the server has changed since; [`ApproveServerError::Unconfirmed`] if a danger
    /// was not confirmed. Nothing is approved then.
    pub async fn approve(&self, name: &str, request: ApproveServer) -> Result<(), ApproveServerError> {
        let expected = request.fingerprint.or_else(|| {
            let shown = self.shown();
            shown.get(name).and_then(|shown| shown.entries.back()).map(|(fingerprint, _)| fingerprint.clone())
        });
        // Decides on the entry that is approved: the edit below fails if the entry has changed by then.
        let (entry, review) = self.current(name).await?;
        let fingerprint = entry.fingerprint();
        let is_current = expected.as_ref().is_none_or(|expected| *expected == fingerprint);
        let approved = if is_current {
            let unconfirmed = missing(review_text::confirmations(&review, &Subject::Server), &request.confirmed);
            if !unconfirmed.is_empty() {
                return Err(Unconfirmed(Box::new(ReviewConflict {
                    unconfirmed,
                    review,
                    ..ReviewConflict::default()
                }))
                .into());
            }
            // Approves before the server starts: otherwise, the tools that it lists then would be approved.
            self.approve_inspected(name, review, request.tools).await?;
            let server = name.to_owned();
            let edit = self.config.edit(move |document| {
                if entry_of(document, &server)?.fingerprint() != fingerprint {
                    return Err(EditError::Changed(server.clone()));
                }
                document.set_in_server(&server, "quarantined", json!(false))
            });
            edit.await
        } else {
            // Does not try the edit: the entry may be the expected one again by then, without these checks.
            Err(EditError::Changed(name.to_owned()).into())
        };
        match approved {
            Ok(()) => {
                self.keep_version(name, entry.version()).await;
                Ok(())
            }
            Err(StoreError::Edit(EditError::Changed(_))) => {
                let before = self.shown().get(name).and_then(|shown| {
                    let same = |(known, _): &&(String, ReviewedEntry)| Some(known) == expected.as_ref();
                    shown.entries.iter().find(same).map(|(_, entry)| entry.clone())
                });
                // Does not mark this review as shown: the user may still be looking at the previous one.
                let (after, review) = self.current(name).await?;
                let changes = before.map(|before| after.changes_since(&before.version())).unwrap_or_default();
                Err(ApproveServerError::Changed(Box::new(ReviewConflict {
                    changes,
                    review,
                    ..ReviewConflict::default()
                })))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Approves the tools of an inspected server as shown, or all of them if the request names none.
    async fn approve_inspected(
        &self,
        name: &str,
        review: Review,
        shown: Option<BTreeMap<String, String>>,
    ) -> Result<(), ApproveServerError> {
        let shown = match shown {
            Some(shown) => shown,
            None if !review.inspected => return Ok(()),
            None => review.tools.iter().map(|tool| (tool.name.clone(), tool.fingerprint.clone())).collect(),
        };
        let pending = self.inspected(name, &review.fingerprint).unwrap_or_default();
        let is_listed = |(tool, fingerprint): (&String, &String)| {
            pending
                .iter()
                .any(|pending| pending.tool.name == tool.as_str() && pending.fingerprint.hash(tool) == *fingerprint)
        };
        let changed: Vec<ReviewChange> = shown
            .iter()
            .filter(|shown| !is_listed(*shown))
            .map(|(tool, _)| ReviewChange {
                field: format!("tools.{tool}"),
                ..ReviewChange::default()
            })
            .collect();
        if !changed.is_empty() {
            return Err(ApproveServerError::Changed(Box::new(ReviewConflict {
                changes: changed,
                review,
                ..ReviewConflict::default()
            })));
        }
        let chosen: Vec<PendingTool> =
            pending.into_iter().filter(|pending| shown.contains_key(pending.tool.name.as_ref())).collect();
        let (approvals, server) = (self.pool.approvals(), name.to_owned());
        let approved = tokio::task::spawn_blocking(move || approvals.approve(&server, &chosen)).await;
        Ok(approved.unwrap_or_else(|error| Err(std::io::Error::other(error)))?)
    }

    /// Keeps the approved version, for the differences in a later review.
    async fn keep_version(&self, name: &str, version: Map<String, Value>) {
        let (versions, server) = (self.versions.clone(), name.to_owned());
        let written = tokio::task::spawn_blocking(move || versions.write(&server, Part::Entry, version)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!(server = name, "could not keep the approved version for later reviews: {error}");
        }
    }

    /// Approves tools as the user saw them. With `fingerprints`, approves exactly those definitions; without, the
    /// definitions shown last, or the current ones if none were shown.
    ///
    /// # Errors
    /// [`ApproveError`]; nothing is approved then.
    pub async fn approve_tools(&self, name: &str, mut request: ApproveTools) -> Result<Vec<String>, ApproveError> {
        let is_offer = |key: &String| key.starts_with("prompt:") || key.starts_with("template:");
        if let Some(fingerprints) = &mut request.fingerprints {
            let offers: BTreeMap<String, String> = fingerprints.extract_if(.., |key, _| is_offer(key)).collect();
            if !offers.is_empty() {
                let mut approved = self.approve_offers(name, offers).await?;
                if !request.fingerprints.as_ref().is_some_and(BTreeMap::is_empty) {
                    approved.extend(Box::pin(self.approve_tools(name, request)).await?);
                }
                return Ok(approved);
            }
        }
        let shown = self.shown().get(name).and_then(|shown| shown.tools.clone());
        let named = |tool: &String| request.tools.contains(tool);
        let wanted = match (request.fingerprints, shown) {
            (Some(wanted), _) if request.tools.is_empty() => Some(wanted),
            (Some(wanted), _) | (None, Some(wanted)) if !request.approve_all => {
                if let Some(unseen) = request.tools.iter().find(|tool| !wanted.contains_key(*tool)) {
                    let (server, tools) = (name.to_owned(), vec![format!("`{unseen}`")]);
                    // A tool that does not exist remains a separate error.
                    return match self.pool.snapshot(name) {
                        Some(snapshot) if snapshot.has_tool(unseen) => Err(ApproveError::Changed { server, tools }),
                        Some(_) => Err(ApproveError::UnknownTool {
                            server,
                            tool: unseen.clone(),
                        }),
                        None => Err(ApproveError::UnknownServer(server)),
                    };
                }
                Some(wanted.into_iter().filter(|(tool, _)| named(tool)).collect())
            }
            (wanted, shown) => wanted.or(shown),
        };
        let (pool, server) = (self.pool.clone(), name.to_owned());
        // An approval writes to the disk, which must not delay the tool calls on this thread.
        let approved = tokio::task::spawn_blocking(move || match wanted {
            Some(wanted) => pool.approve_exactly(&server, &wanted),
            None if request.approve_all => pool.approve(&server, None),
            None => pool.approve(&server, Some(&request.tools)),
        });
        let approved: Result<Vec<String>, ApproveError> =
            approved.await.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
        if let Ok(tools) = &approved
            && !tools.is_empty()
        {
            self.report_approval(name, tools);
        }
        approved
    }

    fn report_approval(&self, name: &str, tools: &[String]) {
        self.config.activity().change(Change {
            kind: ActivityKind::ToolQuarantineChange,
            by: actor::current(),
            server: name.to_owned(),
            details: Some(json!({"action": "approved", "tools": tools})),
            ..Change::default()
        });
    }

    /// Lists the prompts and resource templates of a running server. Omits a kind that could not be listed: an empty
    /// list would mean that there are none.
    async fn offers_of(&self, name: &str) -> Vec<(OfferKind, Vec<Offer>)> {
        let Ok(peer) = self.pool.peer(name) else { return Vec::new() };
        let listed = async { tokio::join!(offers::prompts(&peer, name), offers::templates(&peer, name)) };
        let Ok((prompts, templates)) = tokio::time::timeout(LIST_LIMIT, listed).await else {
            return Vec::new();
        };
        let prompts = prompts.ok().map(|prompts| (OfferKind::Prompt, prompts.iter().map(Offer::prompt).collect()));
        let templates =
            templates.ok().map(|templates| (OfferKind::Template, templates.iter().map(Offer::template).collect()));
        prompts.into_iter().chain(templates).collect()
    }

    async fn review_offers(&self, name: &str) -> Vec<ReviewOffer> {
        let listed = self.offers_of(name).await;
        let (approvals, server) = (self.offers.clone(), name.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let mut reviewed = Vec::new();
            for (kind, offers) in listed {
                let approved = approvals.check(&server, kind, &offers);
                reviewed.extend(offers.into_iter().zip(approved).map(|(offer, approved)| ReviewOffer {
                    approval: match (approved, approvals.knows(&server, &offer.key())) {
                        (true, _) => ApprovalStatus::Approved,
                        (false, true) => ApprovalStatus::Changed,
                        (false, false) => ApprovalStatus::Pending,
                    },
                    key: offer.key(),
                    fingerprint: offer.fingerprint(),
                    definition: offer.definition,
                    findings: Vec::new(),
                }));
            }
            reviewed
        });
        checked.await.unwrap_or_default()
    }

    /// Approves prompts and resource templates as the user saw them, and returns their keys.
    async fn approve_offers(&self, name: &str, shown: BTreeMap<String, String>) -> Result<Vec<String>, ApproveError> {
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let listed: Vec<Offer> = self.offers_of(name).await.into_iter().flat_map(|(_, offers)| offers).collect();
        let is_current = |(key, fingerprint): (&String, &String)| {
            listed.iter().any(|offer| offer.key() == *key && offer.fingerprint() == *fingerprint)
        };
        let changed: Vec<String> =
            shown.iter().filter(|shown| !is_current(*shown)).map(|(key, _)| format!("`{key}`")).collect();
        if !changed.is_empty() {
            let server = name.to_owned();
            return Err(ApproveError::Changed { server, tools: changed });
        }
        let chosen: Vec<Offer> = listed.into_iter().filter(|offer| shown.contains_key(&offer.key())).collect();
        let keys: Vec<String> = chosen.iter().map(Offer::key).collect();
        let (approvals, server) = (self.offers.clone(), name.to_owned());
        let approved = tokio::task::spawn_blocking(move || approvals.approve(&server, &chosen)).await;
        approved.unwrap_or_else(|error| Err(std::io::Error::other(error)))?;
        self.report_approval(name, &keys);
        Ok(keys)
    }
}

/// Returns the unconfirmed dangers.
fn missing(dangers: Vec<Confirmation>, confirmed: &[String]) -> Vec<Confirmation> {
    dangers.into_iter().filter(|danger| !confirmed.contains(&danger.key)).collect()
}

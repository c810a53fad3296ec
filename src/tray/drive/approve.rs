//! The review of a server: reads it from the core, asks the user, and approves exactly what the window showed.

use serde_json::{Value, json};

use super::{Driver, Input};
use crate::client::{CallError, Client, path_segment};
use crate::contract::api::{Info, Server};
use crate::contract::review::{ApproveTools, Review, ReviewChange};
use crate::contract::review_text::{Subject, approval};
use crate::tray::decision::{Approval, Decision, Reviewed};

impl Driver {
    /// Reads from the core what an approval would cover, then asks the user.
    pub(super) fn review(&self, name: String) {
        let Some(server) = self.model.servers.iter().find(|server| server.name == name).cloned() else {
            return;
        };
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let input = match is_go_core(&client).await {
                Ok(true) => Input::Ask(Decision::Approve(legacy_approval(&client, server).await)),
                Ok(false) => match review_of(&client, &name).await {
                    Ok(review) => asked(review, None),
                    Err(error) => Input::Done(Err(format!("Could not review {name}: {error}"))),
                },
                Err(error) => Input::Done(Err(format!("Could not review {name}: {error}"))),
            };
            let _ = inputs.send(input).await;
        });
    }

    /// Approves what the window showed. If it has changed meanwhile, shows the differences and asks again.
    pub(super) fn approve_reviewed(&self, reviewed: Reviewed) {
        let (client, inputs) = (self.setting.client.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let name = reviewed.review.name.clone();
            let Some((action, body)) = approval(&reviewed.review, &reviewed.subject) else { return };
            let path = format!("/api/v1/servers/{}/{action}", path_segment(&name));
            let input = match client.post_or_conflict(&path, &body).await {
                Ok(Ok(_)) => Input::Done(Ok(())),
                Ok(Err(conflict)) => again(&client, &name, &conflict).await,
                Err(error) => Input::Done(Err(format!("Could not approve {name}: {error}"))),
            };
            let _ = inputs.send(input).await;
        });
    }

    /// Approves at the Go core, which has neither reviews nor fingerprints.
    pub(super) fn approve_at_go_core(&self, approval: Approval) {
        let client = self.setting.client.clone();
        self.act(format!("Could not approve {}", approval.server), async move {
            let server = format!("/api/v1/servers/{}", path_segment(&approval.server));
            if approval.quarantined {
                client.post::<Value>(&format!("{server}/unquarantine"), None).await?;
            }
            // Approves only the tools that the window showed, not those added since.
            let tools: Vec<String> = approval.tools.into_iter().map(|(name, _)| name).collect();
            if !tools.is_empty() {
                let request = ApproveTools {
                    tools,
                    ..ApproveTools::default()
                };
                client.post::<Value>(&format!("{server}/tools/approve"), Some(&json!(request))).await?;
            }
            Ok(())
        });
    }
}

/// Only the Go core does not say what it is.
async fn is_go_core(client: &Client) -> Result<bool, CallError> {
    Ok(client.get::<Info>("/api/v1/info").await?.implementation.is_none())
}

async fn review_of(client: &Client, name: &str) -> Result<Review, String> {
    let path = format!("/api/v1/servers/{}/review", path_segment(name));
    let review = client.get::<Value>(&path).await.map_err(|error| error.to_string())?;
    match Review::read(&review)? {
        review if review.name == name => Ok(review),
        _ => Err("the core answered with the review of another server".to_owned()),
    }
}

/// The question about a review; `news` are the changes since an earlier window showed it.
fn asked(review: Review, news: Option<Vec<ReviewChange>>) -> Input {
    let name = review.name.clone();
    match Reviewed::new(review, news) {
        Reviewed {
            subject: Subject::Nothing,
            ..
        } => Input::Hint(format!("Nothing of {name} needs approval.")),
        reviewed => Input::Ask(Decision::ApproveReviewed(Box::new(reviewed))),
    }
}

/// The question after the core refused because something had changed.
async fn again(client: &Client, name: &str, conflict: &Value) -> Input {
    let part = |key: &str| conflict.get(key).cloned().unwrap_or_default();
    let changes: Vec<ReviewChange> = serde_json::from_value(part("changes")).unwrap_or_default();
    let review = match Review::read(&part("review")) {
        // The core may have left it out: an empty review has no name.
        Ok(review) if review.name == name => Ok(review),
        _ => review_of(client, name).await,
    };
    match review {
        Ok(review) => asked(review, Some(changes)),
        Err(error) => Input::Done(Err(format!("Could not review {name}: {error}"))),
    }
}

/// Reads from the Go core what there is to know about a server.
async fn legacy_approval(client: &Client, server: Server) -> Approval {
    let runs = match (&server.command, &server.url) {
        (Some(command), _) => format!("{command} {}", server.args.join(" ")),
        (None, url) => url.clone().unwrap_or_default(),
    };
    let mut approval = Approval {
        quarantined: server.quarantined,
        runs,
        tools: Vec::new(),
        server: server.name,
    };
    let path = format!("/api/v1/servers/{}/tools", path_segment(&approval.server));
    match client.get::<Value>(&path).await {
        Ok(tools) => approval.read_tools(&tools),
        // A server that is not connected has no tools to show yet.
        Err(error) => tracing::info!("could not read the tools of {}: {error}", approval.server),
    }
    approval
}

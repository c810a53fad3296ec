//! Guided setup: one step at a time, each of which can be skipped. The steps use the pages that exist for them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::contract::api::{Setup, SetupCall, SetupProof};
use crate::contract::setup::{Step, next, sentence};
use crate::server::page::access::Visitor;
use crate::server::page::api::ApiError;
use crate::server::page::gate::Submitted;
use crate::server::page::layout::{Frame, foreign, heading, message, number, page, token};
use crate::server::page::pages::Pages;

type Core = State<Arc<Pages>>;
type Who = Extension<Visitor>;

/// `GET /ui/setup`: begins or continues setup.
pub(super) async fn show_setup(State(pages): Core, Extension(visitor): Who) -> Response {
    let seen = pages.app.access.setup(&visitor.session).unwrap_or_default();
    pages.app.access.set_setup(&visitor.session, Some(seen));
    match pages.api.get::<Setup>("/api/v1/setup").await {
        Ok(setup) => {
            let frame = frame(&pages, &visitor).await;
            view(&frame, &setup, next(&setup, seen)).into_response()
        }
        Err(error) => pages.failed(&visitor, &error).await,
    }
}

/// `POST /ui/setup/{action}`: skips a step, makes the test calls, or ends setup.
pub(super) async fn act_on_setup(
    State(pages): Core,
    Extension(visitor): Who,
    Path(action): Path<String>,
    Extension(Submitted(fields)): Extension<Submitted>,
) -> Response {
    let seen = pages.app.access.setup(&visitor.session).unwrap_or_default();
    match action.as_str() {
        "skip" => {
            let seen = Step::of_word(fields.text("step")).map_or(seen, |step| seen.with(step));
            pages.app.access.set_setup(&visitor.session, Some(seen));
            Redirect::to("/ui/setup").into_response()
        }
        "prove" => {
            let proof: Result<SetupProof, ApiError> = pages.api.post("/api/v1/setup/proof", None).await;
            match proof {
                Ok(proof) => proved(&frame(&pages, &visitor).await, &proof.calls).into_response(),
                Err(error) => pages.failed(&visitor, &error).await,
            }
        }
        "end" => {
            pages.app.access.set_setup(&visitor.session, None);
            Redirect::to("/ui/").into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The frame without the link back to setup.
async fn frame(pages: &Pages, visitor: &Visitor) -> Frame {
    Frame {
        in_setup: false,
        ..pages.frame(visitor).await
    }
}

/// Renders the page of a step; `None` if all are done.
fn view(frame: &Frame, setup: &Setup, step: Option<Step>) -> Markup {
    let contents = html! {
        (heading("Get started", "One step at a time. Each shows what it changes, and can be skipped and undone.", &html! {}))
        section.panel aria-labelledby="step" {
            @match step {
                Some(step) => {
                    h2 #step { (title(step)) }
                    p { (explanation(setup, step)) }
                    (names(setup, step))
                    div.actions {
                        @match link(step) {
                            Some((path, label)) => a.button.primary href=(path) { (label) },
                            None => (form(frame, "prove", html! {}, "primary", "Make the test call")),
                        }
                        (form(frame, "skip", html! { input type="hidden" name="step" value=(step.word()); }, "", "Skip this step"))
                        (form(frame, "end", html! {}, "link", "Leave setup"))
                    }
                }
                None => {
                    h2 #step { "Nothing is left to set up" }
                    p { "You can come back at any time: choose Get started… in the tray menu." }
                    div.actions { (form(frame, "end", html! {}, "primary", "Done")) }
                }
            }
        }
    };
    page(frame, "/ui/", "Get started", &contents)
}

fn form(frame: &Frame, action: &str, fields: Markup, class: &str, label: &str) -> Markup {
    html! {
        form.inline method="post" action={"/ui/setup/" (action)} {
            (token(frame))
            (fields)
            button type="submit" class=(class) { (label) }
        }
    }
}

fn title(step: Step) -> &'static str {
    match step {
        Step::Import => "Import your servers",
        Step::Approve => "Review and approve",
        Step::Connect => "Connect your AI clients",
        Step::AddServer => "Add a server",
        Step::Prove => "Prove that it works",
    }
}

/// The page of a step and the label of its button; `None` for the test call, which has no page.
fn link(step: Step) -> Option<(&'static str, &'static str)> {
    match step {
        Step::Import => Some(("/ui/add#import", "Choose servers")),
        Step::Approve => Some(("/ui/review", "Review")),
        Step::Connect => Some(("/ui/clients", "Choose clients")),
        Step::AddServer => Some(("/ui/add", "Add a server")),
        Step::Prove => None,
    }
}

fn explanation(setup: &Setup, step: Step) -> String {
    match step {
        Step::Import => {
            let found = number(setup.importable.len(), "server", "servers");
            format!("MCPProxy found {found} in {}. Importing does not change these files.", setup.import_from.join(", "))
        }
        Step::Approve => "A server does not run before you have seen what it runs. Undo: disable or remove the server.".to_owned(),
        Step::Connect => {
            "MCPProxy adds one entry to the client's configuration. You see the change first. Undo: Undo on the page Clients."
                .to_owned()
        }
        Step::AddServer => "Without a server there are no tools. Add one by its command or its URL.".to_owned(),
        Step::Prove => {
            "MCPProxy reads the entry in each connected client's configuration, connects with it, and calls a tool that is \
             marked as read-only. Nothing is changed."
                .to_owned()
        }
    }
}

/// The subjects of a step.
fn names(setup: &Setup, step: Step) -> Markup {
    let names: Vec<&str> = match step {
        Step::Import => setup.importable.iter().map(String::as_str).collect(),
        Step::Approve => setup.pending.iter().map(String::as_str).collect(),
        Step::Connect => setup.unconnected.iter().map(|client| client.name.as_str()).collect(),
        Step::AddServer => Vec::new(),
        Step::Prove => setup.connected.iter().map(|client| client.name.as_str()).collect(),
    };
    html! { @if !names.is_empty() { ul.plain { @for name in names { li { (foreign(name)) } } } } }
}

/// Renders the results of the test calls.
fn proved(frame: &Frame, calls: &[SetupCall]) -> Markup {
    let works = calls.iter().all(|call| call.error.is_none());
    let lead = if works {
        "It works. Restart your AI clients to use it."
    } else {
        "Not every test call was successful."
    };
    let contents = html! {
        (heading("Get started", lead, &html! {}))
        section.panel aria-labelledby="step" {
            h2 #step { "Test calls" }
            ul.plain { @for call in calls { li { (message(&sentence(call))) } } }
            div.actions {
                @if !works { a.button href="/ui/health" { "See what is wrong" } (form(frame, "prove", html! {}, "", "Try again")) }
                (form(frame, "end", html! {}, "primary", "Done"))
            }
        }
    };
    page(frame, "/ui/", "Get started", &contents)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::contract::setup::Seen;
    use crate::server::page::access::Access;

    #[test]
    fn every_step_can_be_done_skipped_or_left() {
        let setup = Setup {
            importable: vec!["a<b".to_owned()],
            import_from: vec!["Cursor".to_owned()],
            ..Setup::default()
        };
        let text = view(&Frame::default(), &setup, next(&setup, Seen::default())).into_string();
        for part in [
            "1 server in Cursor",
            "a&lt;b",
            "/ui/add#import",
            "/ui/setup/skip",
            "/ui/setup/end",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = view(&Frame::default(), &setup, Some(Step::Prove)).into_string();
        assert!(text.contains("/ui/setup/prove"), "{text}");
        assert!(view(&Frame::default(), &setup, None).into_string().contains("Nothing is left"));
    }

    #[test]
    fn a_failed_test_call_offers_help() {
        let call = SetupCall {
            client: "Cursor".into(),
            error: Some("refused".into()),
            ..SetupCall::default()
        };
        let text = proved(&Frame::default(), &[call]).into_string();
        assert!(text.contains("does not work: refused") && text.contains("/ui/health"), "{text}");
    }

    #[test]
    fn setup_belongs_to_one_session_and_ends() {
        let access = Access::default();
        let (one, other) = (access.begin(Instant::now()), access.begin(Instant::now()));
        access.set_setup(&one, Some(Seen::default().with(Step::Import)));
        assert_eq!(access.setup(&one), Some(Seen::default().with(Step::Import)));
        assert_eq!(access.setup(&other), None);
        access.set_setup(&one, None);
        assert_eq!(access.setup(&one), None);
    }
}

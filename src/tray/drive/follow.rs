//! Follows a running core: translates its events into inputs of the driver.

use std::time::Duration;

use semver::Version;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;

use super::input::Input;
use crate::client::{CallError, Client, EventStream, path_segment};
use crate::contract::api::{
    self, AccessState, ActiveProfile, AiClient, CorePhase, EventBody, Info, ProfileList, Servers, Status, Takeover,
    TakeoverRequest, TelemetryState,
};
use crate::contract::lenient;
use crate::contract::platform::Platform;
use crate::tray::supervisor::{Core, Probe};

/// How long the core's info stays valid before it is read again.
const INFO_STAYS: Duration = Duration::from_secs(6 * 3600);

/// Minimum interval at which events make the tray read the core's lists, and the delay after an event of the Go core.
const LISTS_EVERY: Duration = Duration::from_secs(1);
/// Interval at which the tray checks whether the Go core still serves.
const READY_EVERY: Duration = Duration::from_secs(3);

/// Tries to reach a core.
pub(super) async fn probe(client: &Client, bundled: Option<&Version>) -> Probe {
    let info = match client.ready().await {
        Ok(true) => client.get::<Info>("/api/v1/info").await,
        Ok(false) => return Probe::Silent("it is still starting".to_owned()),
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => Probe::Ready(Core::from_info(&info, bundled)),
        Err(error) if error.is_not_running() => Probe::NotRunning,
        Err(error) => Probe::Silent(error.to_string()),
    }
}

/// The AI clients that the core knows; empty if the core does not report them.
pub(super) async fn ai_clients(client: &Client) -> Vec<AiClient> {
    let Ok(Some(mut list)) = client.get::<Option<Vec<AiClient>>>("/api/v1/connect").await else {
        return Vec::new();
    };
    for one in list.iter_mut().filter(|one| one.exists && one.access_state == AccessState::NotChecked) {
        // The core did not open this client's configuration. On macOS opening it could trigger a system prompt.
        if Platform::HOST == Platform::MacOs {
            continue;
        }
        if let Ok(read) = client.get::<AiClient>(&format!("/api/v1/connect/{}", path_segment(&one.id))).await {
            *one = read;
        }
    }
    list
}

/// The result of taking over the Go core's data, until the user has seen it.
async fn takeover(client: &Client) -> Option<String> {
    let takeover: Takeover = client.get("/api/v1/takeover").await.ok()?;
    if takeover.taken_over_at.is_none() || takeover.shown {
        return None;
    }
    let request = TakeoverRequest {
        shown: true,
        ..TakeoverRequest::default()
    };
    client.post::<Takeover>("/api/v1/takeover", Some(&serde_json::json!(request))).await.ok()?;
    Some(format!("{} Details: mcpproxy migrate", takeover.summary))
}

/// The profiles and the active one. An older core has none.
pub(super) async fn profiles(client: &Client) -> Input {
    let list: ProfileList = client.get("/api/v1/profiles").await.unwrap_or_default();
    let active: ActiveProfile = client.get("/api/v1/profiles/active").await.unwrap_or_default();
    Input::Profiles(list.profiles, active.active_profile)
}

/// Reads the settings that only the configuration of the Go core contains.
pub(super) async fn go_settings(client: &Client) -> Option<Input> {
    let config: serde_json::Value = client.get("/api/v1/config").await.ok()?;
    let flag = |pointer: &str| config.pointer(pointer).and_then(serde_json::Value::as_bool);
    let telemetry = TelemetryState {
        enabled: flag("/config/telemetry/enabled") != Some(false),
        notice_shown: true,
        ..TelemetryState::default()
    };
    Some(Input::GoSettings(telemetry, flag("/config/tls/enabled") == Some(true)))
}

/// When to read the core's lists after an event at `now`: at once, but at most once a second, however many events arrive. The
/// Go core reports a server before it has listed the server's tools, and does not report it again afterwards.
fn next_read(now: Instant, last: Instant, is_ours: bool) -> Instant {
    if is_ours { now.max(last + LISTS_EVERY) } else { now + LISTS_EVERY }
}

/// Forwards the core's events as inputs until the stream ends.
pub(super) async fn follow(client: &Client, inputs: &Sender<Input>) -> Result<(), CallError> {
    // Opens the stream before it reads the lists, so that the stream contains changes made in between.
    let events = client.events().await?;
    let info: Info = client.get("/api/v1/info").await?;
    let is_ours = info.implementation.is_some();
    let ended = forward(client, inputs, events, info).await;
    // A Go core that stops refuses new connections while it waits for our stream to end.
    if !is_ours && ended.as_ref().is_err_and(CallError::is_not_running) {
        let _ = inputs.send(Input::Ending).await;
    }
    ended
}

async fn forward(
    client: &Client,
    inputs: &Sender<Input>,
    mut events: EventStream,
    info: Info,
) -> Result<(), CallError> {
    let tell = async |input| drop(inputs.send(input).await);
    // The Go core stops only after our stream ends; an open stream would delay that by minutes.
    let is_ours = info.implementation.is_some();
    let mut look = tokio::time::interval(READY_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tell(Input::Info(Box::new(info))).await;
    // The stream does not repeat the events from just before it began.
    let mut again = (!is_ours).then(|| Instant::now() + LISTS_EVERY);
    let mut is_list_old = !is_ours;
    let mut asked = Instant::now();
    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
    tell(profiles(client).await).await;
    if !is_ours && let Some(settings) = go_settings(client).await {
        tell(settings).await;
    }
    tell(Input::Clients(ai_clients(client).await)).await;
    if is_ours && let Some(sentence) = takeover(client).await {
        tell(Input::Hint(sentence)).await;
    }
    let mut read = Instant::now();
    loop {
        let event = tokio::select! {
            // A flood of events delays neither of the others.
            biased;
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                again = None;
                if std::mem::take(&mut is_list_old) {
                    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
                }
                tell(profiles(client).await).await;
                read = Instant::now();
                continue;
            }
            _ = look.tick(), if !is_ours => {
                if !matches!(client.ready().await, Ok(true)) {
                    tell(Input::Ending).await;
                    return Ok(());
                }
                continue;
            }
            event = events.next() => event,
        };
        let Some(event) = event else { break };
        match event.name.as_str() {
            api::EVENT_STATUS => {
                if let Ok(status) = lenient::from_slice::<Status>(event.data.as_bytes()) {
                    let is_ending = matches!(status.status.phase, CorePhase::Stopping | CorePhase::Stopped);
                    tell(Input::Status(Box::new(status))).await;
                    if is_ending && !is_ours {
                        tell(Input::Ending).await;
                        return Ok(());
                    }
                }
            }
            api::EVENT_SERVERS_CHANGED => {
                // The Go core leaves the list out if it takes too long to build.
                let sent = serde_json::from_str::<EventBody<serde_json::Value>>(&event.data).ok().and_then(|body| {
                    body.payload.get("servers")?.as_array()?;
                    lenient::from_value::<Servers>(body.payload).ok()
                });
                is_list_old |= sent.is_none() || !is_ours;
                if let Some(servers) = sent {
                    tell(Input::Servers(servers)).await;
                }
                again = Some(next_read(Instant::now(), read, is_ours));
            }
            api::EVENT_PING => {
                tell(Input::Pinged).await;
                if !is_ours {
                    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
                }
                // The Go core has no event for a newer release.
                if asked.elapsed() > INFO_STAYS {
                    asked = Instant::now();
                    tell(Input::Info(Box::new(client.get("/api/v1/info").await?))).await;
                }
            }
            "config.reloaded" => {
                tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
                tell(profiles(client).await).await;
                if !is_ours && let Some(settings) = go_settings(client).await {
                    tell(settings).await;
                }
            }
            "active_profile.changed" => tell(profiles(client).await).await,
            _ => {}
        }
    }
    Ok(())
}

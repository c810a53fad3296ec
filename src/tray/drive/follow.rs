//! What the loop hears of a running core.

use std::time::{Duration, Instant};

use semver::Version;
use tokio::sync::mpsc::Sender;

use super::Input;
use crate::client::{CallError, Client, path_segment};
use crate::contract::api::{self, AccessState, AiClient, CorePhase, EventBody, Info, Servers, Status, Takeover};
use crate::contract::lenient;
use crate::contract::platform::Platform;
use crate::tray::supervisor::{Core, Probe};

/// How long what the core says of itself is taken for true.
const INFO_STAYS: Duration = Duration::from_secs(6 * 3600);

/// How long after an event of the Go core its servers are asked for again.
const SERVERS_AGAIN: Duration = Duration::from_secs(1);
/// How often the Go core is asked whether it still serves.
const READY_EVERY: Duration = Duration::from_secs(3);

/// Tries to reach a core.
pub async fn probe(client: &Client, bundled: Option<&Version>) -> Probe {
    let info = match client.ready().await {
        Ok(true) => client.get::<Info>("/api/v1/info").await,
        Ok(false) => return Probe::Silent("it is still starting".to_owned()),
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => Probe::Ready(Core::from_info(&info, bundled)),
        Err(error) if error.is_not_running() => Probe::Nobody,
        Err(error) => Probe::Silent(error.to_string()),
    }
}

/// The AI clients that the core knows of; none, where it does not say.
pub async fn ai_clients(client: &Client) -> Vec<AiClient> {
    let Ok(Some(mut list)) = client.get::<Option<Vec<AiClient>>>("/api/v1/connect").await else {
        return Vec::new();
    };
    for one in list.iter_mut().filter(|one| one.exists && one.access_state == AccessState::NotChecked) {
        // Its configuration was not opened. On macOS opening it could put a question of the system before the person.
        if Platform::HOST == Platform::MacOs {
            continue;
        }
        if let Ok(read) = client.get::<AiClient>(&format!("/api/v1/connect/{}", path_segment(&one.id))).await {
            *one = read;
        }
    }
    list
}

/// What became of a previous MCPProxy's data, until a person has been told.
async fn takeover(client: &Client) -> Option<String> {
    let takeover: Takeover = client.get("/api/v1/takeover").await.ok()?;
    if takeover.taken_over_at.is_none() || takeover.shown {
        return None;
    }
    let shown = serde_json::json!({"shown": true});
    client.post::<Takeover>("/api/v1/takeover", Some(&shown)).await.ok()?;
    Some(format!("{} Details: mcpproxy migrate", takeover.summary))
}

/// Tells what the core tells, until it ends.
pub async fn follow(client: &Client, inputs: &Sender<Input>) -> Result<(), CallError> {
    let tell = async |input| drop(inputs.send(input).await);
    // Opened before the lists are read: a change in between is then in the stream.
    let mut events = client.events().await?;
    let info: Info = client.get("/api/v1/info").await?;
    // The Go core waits for our stream to end before it ends itself, and so would run for minutes longer.
    let is_ours = info.implementation.is_some();
    let mut look = tokio::time::interval(READY_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tell(Input::Info(Box::new(info))).await;
    let mut again: Option<tokio::time::Instant> = None;
    let mut asked = Instant::now();
    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
    tell(Input::Clients(ai_clients(client).await)).await;
    if is_ours && let Some(sentence) = takeover(client).await {
        tell(Input::Hint(sentence)).await;
    }
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = tokio::time::sleep_until(again.unwrap_or_else(tokio::time::Instant::now)), if again.is_some() => {
                again = None;
                tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
                continue;
            }
            _ = look.tick(), if !is_ours => {
                if !matches!(client.ready().await, Ok(true)) {
                    return Ok(());
                }
                continue;
            }
        };
        let Some(event) = event else { break };
        match event.name.as_str() {
            api::EVENT_STATUS => {
                if let Ok(status) = lenient::from_slice::<Status>(event.data.as_bytes()) {
                    let is_ending = matches!(status.status.phase, CorePhase::Stopping | CorePhase::Stopped);
                    tell(Input::Status(Box::new(status))).await;
                    if is_ending && !is_ours {
                        return Ok(());
                    }
                }
            }
            api::EVENT_SERVERS_CHANGED => {
                // The existing core leaves the list out when it takes too long to make.
                let told = serde_json::from_str::<EventBody<serde_json::Value>>(&event.data).ok().and_then(|body| {
                    body.payload.get("servers")?.as_array()?;
                    lenient::from_value::<Servers>(body.payload).ok()
                });
                let servers = match told {
                    Some(servers) => servers,
                    None => client.get("/api/v1/servers").await?,
                };
                tell(Input::Servers(servers)).await;
                // The Go core tells of a server before it has listed the server's tools, and not again after it.
                again = (!is_ours).then(|| tokio::time::Instant::now() + SERVERS_AGAIN);
            }
            api::EVENT_PING => {
                tell(Input::Pinged).await;
                if !is_ours {
                    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
                }
                // The existing core has no event for a newer release.
                if asked.elapsed() > INFO_STAYS {
                    asked = Instant::now();
                    tell(Input::Info(Box::new(client.get("/api/v1/info").await?))).await;
                }
            }
            "config.reloaded" => tell(Input::Servers(client.get("/api/v1/servers").await?)).await,
            _ => {}
        }
    }
    Ok(())
}

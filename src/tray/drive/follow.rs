//! What the loop hears of a running core.

use std::time::{Duration, Instant};

use semver::Version;
use tokio::sync::mpsc::Sender;

use super::Input;
use crate::client::{CallError, Client, path_segment};
use crate::contract::api::{self, AiClient, EventBody, Info, Servers, Status};
use crate::contract::platform::Platform;
use crate::tray::supervisor::{Core, Probe};

/// How long what the core says of itself is taken for true.
const INFO_STAYS: Duration = Duration::from_secs(6 * 3600);

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
    for one in list.iter_mut().filter(|one| one.exists && one.access_state == "unknown") {
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

/// Tells what the core tells, until it ends.
pub async fn follow(client: &Client, inputs: &Sender<Input>) -> Result<(), CallError> {
    let tell = async |input| drop(inputs.send(input).await);
    // Opened before the lists are read: a change in between is then in the stream.
    let mut events = client.events().await?;
    tell(Input::Info(Box::new(client.get("/api/v1/info").await?))).await;
    let mut asked = Instant::now();
    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
    tell(Input::Clients(ai_clients(client).await)).await;
    while let Some(event) = events.next().await {
        match event.name.as_str() {
            api::EVENT_STATUS => {
                if let Ok(status) = serde_json::from_str::<Status>(&event.data) {
                    tell(Input::Status(Box::new(status))).await;
                }
            }
            api::EVENT_SERVERS_CHANGED => {
                // The existing core leaves the list out when it takes too long to make.
                let told = serde_json::from_str::<EventBody<serde_json::Value>>(&event.data).ok().and_then(|body| {
                    body.payload.get("servers")?.as_array()?;
                    serde_json::from_value::<Servers>(body.payload).ok()
                });
                let servers = match told {
                    Some(servers) => servers,
                    None => client.get("/api/v1/servers").await?,
                };
                tell(Input::Servers(servers)).await;
            }
            api::EVENT_PING => {
                tell(Input::Pinged).await;
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

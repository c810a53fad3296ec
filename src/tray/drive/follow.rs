//! What the loop hears of a running core.

use semver::Version;
use tokio::sync::mpsc::Sender;

use super::Input;
use crate::client::{CallError, Client};
use crate::contract::api::{self, EventBody, Info, Servers, Status};
use crate::tray::supervisor::{Core, Probe};

/// Tries to reach a core.
pub async fn probe(client: &Client, bundled: Option<&Version>) -> Probe {
    let info = match client.ready().await {
        Ok(true) => client.get::<Info>("/api/v1/info").await,
        Ok(false) => return Probe::Silent("it is not ready yet".to_owned()),
        Err(error) => Err(error),
    };
    match info {
        Ok(info) => Probe::Ready(Core::from_info(&info, bundled)),
        Err(error) if error.is_not_running() => Probe::Nobody,
        Err(error) => Probe::Silent(error.to_string()),
    }
}

/// Tells what the core tells, until it ends.
pub async fn follow(client: &Client, inputs: &Sender<Input>) -> Result<(), CallError> {
    let tell = async |input| drop(inputs.send(input).await);
    // Opened before the lists are read: a change in between is then in the stream.
    let mut events = client.events().await?;
    tell(Input::Info(client.get("/api/v1/info").await?)).await;
    tell(Input::Servers(client.get("/api/v1/servers").await?)).await;
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
            api::EVENT_PING => tell(Input::Pinged).await,
            "config.reloaded" => tell(Input::Servers(client.get("/api/v1/servers").await?)).await,
            _ => {}
        }
    }
    Ok(())
}

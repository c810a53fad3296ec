//! Requests records from a registry.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::os::https::{self, Url};
use crate::registries::record::{Page, Record};

/// Longest time for one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest response, in bytes.
const LARGEST_ANSWER: usize = 8 << 20;
/// Most redirects to follow.
const REDIRECTS: usize = 2;
/// Records in one response.
const PAGE: usize = 100;

/// A record with the JSON that it was read from.
pub(crate) type Received = (Record, Value);

/// Requests the first page of a search.
///
/// # Errors
/// The registry could not be reached, or its answer is invalid; the message says which.
pub(crate) async fn search(servers: &Url, search: &str) -> Result<Vec<Received>, String> {
    let mut address = format!("{}?version=latest&limit={PAGE}", servers.as_str());
    if !search.is_empty() {
        address.push_str(&format!("&search={}", encoded(search)));
    }
    let body = get(servers, &address).await?.ok_or("it has no list of servers (404)")?;
    let page: Page =
        serde_json::from_slice(&body).map_err(|_| "its answer is not that of an MCP registry".to_owned())?;
    let read = page.servers.into_iter().filter_map(|item| Some((Record::read(&item)?, item)));
    Ok(read.collect())
}

/// Requests the latest version of one server. `None` if there is none.
///
/// # Errors
/// The registry could not be reached, or its answer is invalid; the message says which.
pub(crate) async fn one(servers: &Url, name: &str) -> Result<Option<Received>, String> {
    let address = format!("{}/{}/versions/latest", servers.as_str(), encoded(name));
    let Some(body) = get(servers, &address).await? else { return Ok(None) };
    let item: Value =
        serde_json::from_slice(&body).map_err(|_| "its answer is not that of an MCP registry".to_owned())?;
    // Another record than the requested one must not be used in its place.
    Ok(Record::read(&item).filter(|record| record.name == name).map(|record| (record, item)))
}

async fn get(servers: &Url, address: &str) -> Result<Option<Vec<u8>>, String> {
    let answer = https::get(servers, address, PATIENCE, REDIRECTS).await.map_err(|error| error.to_string())?;
    match answer.status {
        200 => answer.body(LARGEST_ANSWER).await.map(Some).map_err(|error| error.to_string()),
        404 => Ok(None),
        status => Err(format!("it answered with HTTP status {status}")),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

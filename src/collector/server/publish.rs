//! Publishes figures that cannot be changed unnoticed later: each document is signed and contains the hash of the
//! previous one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::intake::{self, bytes};
use super::listener::Answer;
use super::service::{Service, blocking};
use super::state::locked;
use crate::collector::audience::{Audience, Who};
use crate::collector::public::{self, SMALLEST};
use crate::collector::published::{LONGEST, document, hash, newest, signature, write};
use crate::collector::report::{Day, Moment};
use crate::collector::stats::Stats;
use crate::os::files;

/// Changed figures of a past day are published again after this time, in milliseconds.
const AGAIN: i64 = 3_600_000;

/// Handles `/public/NAME`.
pub(super) async fn answer(service: Arc<Service>, name: String) -> Answer {
    let found = blocking(move || {
        let directory = service.options.place.public();
        let latest = {
            let _one_at_a_time = locked(&service.publishing);
            publish(&service, &directory)?
        };
        let file = match name.as_str() {
            "stats.json" => document(&directory, latest),
            "stats.json.minisig" => signature(&directory, latest),
            "key.pub" => directory.join("key.pub"),
            other => match numbered(other) {
                Some(name) => directory.join(name),
                None => return Ok(None),
            },
        };
        match files::read_bounded(&file, LONGEST) {
            Ok(bytes) => Ok(Some((bytes, name.ends_with(".json")))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    });
    match found.await {
        Ok(Some((content, true))) => bytes(StatusCode::OK, "application/json", content),
        Ok(Some((content, false))) => bytes(StatusCode::OK, "text/plain; charset=utf-8", content),
        Ok(None) => intake::error(StatusCode::NOT_FOUND, "path", ""),
        Err(failure) => {
            tracing::error!("could not publish the figures: {failure}");
            intake::unavailable("database")
        }
    }
}

/// Accepts only `stats-N.json` and its signature.
fn numbered(name: &str) -> Option<&str> {
    let number = name.strip_prefix("stats-")?;
    let number = number.strip_suffix(".minisig").unwrap_or(number).strip_suffix(".json")?;
    (!number.is_empty() && number.len() < 10 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

/// The number of the newest document. Creates one if the figures of the last whole day are not published yet.
fn publish(service: &Service, directory: &Path) -> Result<u32, String> {
    let text = |error: io::Error| error.to_string();
    files::create_private_dir(directory).map_err(text)?;
    let number = newest(directory).map_err(text)?;
    let before = match number {
        0 => None,
        number => Some(files::read_bounded(&document(directory, number), LONGEST).map_err(text)?),
    };
    let parsed: Option<Value> = before.as_deref().and_then(|bytes| serde_json::from_slice(bytes).ok());
    let now = Moment::now();
    if !is_due(parsed.as_ref(), now) {
        return Ok(number);
    }
    let snapshot = service.desk.snapshot()?;
    let (first, last) = snapshot.stats.census.span();
    let until = Day::of(now).minus(1).min(last);
    let figures = match until < first || snapshot.stats.empty {
        true => json!({}),
        false if until == last => selected(&snapshot.stats),
        false => selected(&service.desk.as_of(until)?),
    };
    if let Some(parsed) = &parsed
        && parsed.get("figures") == Some(&figures)
        && parsed.get("until") == Some(&json!(until.to_string()))
    {
        return Ok(number);
    }
    let hash = before.map(|bytes| hash(&bytes));
    let next = json!({
        "number": number + 1,
        "previous_sha256": hash,
        "published_at": now.to_string(),
        "until": until.to_string(),
        "smallest_cell": SMALLEST,
        "note": "Cells from 1 to 9 are null, and so are other cells if a sum would reveal one. Reports can be forged.",
        "figures": figures,
    });
    write(directory, number + 1, next.to_string().as_bytes())?;
    Ok(number + 1)
}

/// Whether a new document may be due.
fn is_due(newest: Option<&Value>, now: Moment) -> bool {
    let Some(newest) = newest else { return true };
    let is_empty = newest.get("figures").and_then(Value::as_object).is_none_or(Map::is_empty);
    let published = newest.get("published_at").and_then(Value::as_str).and_then(Moment::parse).unwrap_or(Moment(0));
    is_empty || now.0 - published.0 > AGAIN
}

fn selected(stats: &Stats) -> Value {
    let mut figures = Map::new();
    for (audience, value) in public::figures(stats) {
        let name = match (audience.who, audience.system) {
            (_, None) => audience.who_word().to_owned(),
            (Who::People, Some(system)) => format!("{}_{}", Audience::PEOPLE.who_word(), system.word()),
            _ => continue,
        };
        figures.insert(name, value);
    }
    Value::Object(figures)
}

//! Readers for values that the existing core writes in a form of its own: `null`, empty strings and Go durations.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub(crate) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The existing core writes an empty text for what is not set.
pub(crate) fn text_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let said: Option<String> = Option::deserialize(deserializer)?;
    Ok(said.filter(|text| !text.is_empty()))
}

/// Reads a Go duration, a text such as `90s`, `2m` or `1h30m`.
pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let said: Option<String> = Option::deserialize(deserializer)?;
    let Some(text) = said.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || serde::de::Error::custom(format!("`{text}` is no duration, expected a text such as `90s` or `2m`"));
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map(Some).map_err(|_| wrong())
}

/// The default of a switch that is on unless turned off.
pub(crate) fn yes() -> bool {
    true
}

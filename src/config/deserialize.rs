//! Deserializers for values in the Go core's style: `null`, empty strings and Go durations.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default value.
pub(crate) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads an empty string as `None`: the Go core writes unset values that way.
pub(crate) fn string_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value: Option<String> = Option::deserialize(deserializer)?;
    Ok(value.filter(|text| !text.is_empty()))
}

/// Reads a Go duration such as `90s`, `2m` or `1h30m`.
pub(crate) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value: Option<String> = Option::deserialize(deserializer)?;
    let Some(text) = value.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = || serde::de::Error::custom(format!("invalid duration `{text}`; expected e.g. `90s` or `2m`"));
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map(Some).map_err(|_| wrong())
}

/// The default of a setting that is on.
pub(crate) fn yes() -> bool {
    true
}

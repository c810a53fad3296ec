//! Deserializers for values in the Go core's style: `null`, empty strings and Go durations.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Longer durations are cut to a year: one that is added to the current time must not overflow.
pub(crate) const LONGEST_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads `null` as the default value.
pub(crate) fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads `null` as `true`: the setting is on unless it is turned off.
pub(crate) fn null_as_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(true))
}

/// Reads an array and leaves out each `null` in it.
pub(crate) fn without_nulls<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(values.into_iter().flatten().flatten().collect())
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
    let duration = Duration::try_from(signed).map_err(|_| wrong())?;
    Ok(Some(duration.min(LONGEST_DURATION)))
}

/// The default of a setting that is on.
pub(crate) fn yes() -> bool {
    true
}

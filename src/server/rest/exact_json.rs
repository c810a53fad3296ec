//! JSON bodies whose numbers keep their text until the configuration file, a server or a response receives them.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::contract::exact_numbers::hold;

/// A body that [`read`] reads.
pub(super) type Body = Result<Json<Box<RawValue>>, JsonRejection>;

/// Reads a body; `None` if it is invalid.
pub(super) fn read<T: DeserializeOwned>(body: Body) -> Option<T> {
    serde_json::from_str(&hold(body.ok()?.get())).ok()
}

//! Checks for newer releases. They are announced but never downloaded: installing is up to the user.

pub mod manifest;
pub mod policy;

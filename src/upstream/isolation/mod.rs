//! How a server is shut off from this computer: decided as values, enforced by small shims.
//!
//! `environment`, `paths`, `plan`, `sandbox`, `container` and `seatbelt` are pure; `landlock` and `engine` act.

pub mod browsers;
pub mod container;
pub mod disk;
pub mod engine;
pub mod environment;
pub mod facts;
pub mod images;
#[cfg(target_os = "linux")]
pub mod landlock;
#[cfg(target_os = "linux")]
pub mod limits;
pub mod machine;
pub mod paths;
mod places;
pub mod plan;
pub mod prepare;
pub mod sandbox;
pub mod seatbelt;

pub use prepare::{Isolator, Launch};

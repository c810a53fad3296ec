//! The programs' folder in the user's PATH on Windows, for terminals to find `mcpproxy`. The installer's script
//! language truncates long values and would lose the user's own entries, so these programs do it.

mod entries;
#[cfg(windows)]
mod registry;

pub use entries::{with, without};
#[cfg(windows)]
pub use registry::{add, remove};

//! What every command is given.

use crate::cli::output::Format;
use crate::config::store::ConfigStore;
use crate::contract::instance_root::InstanceRoot;
use crate::os::environment::Environment;

/// Where a command works: one instance and its configuration file.
pub struct Context {
    pub root: InstanceRoot,
    pub store: ConfigStore,
    pub format: Format,
    pub environment: Environment,
}

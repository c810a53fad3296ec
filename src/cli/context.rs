//! The input that every command shares.

use crate::cli::output::Format;
use crate::config::store::ConfigStore;
use crate::contract::instance_root::InstanceRoot;
use crate::os::environment::Environment;

/// One instance, its configuration file and how to print the answer.
pub struct Context {
    pub root: InstanceRoot,
    pub store: ConfigStore,
    pub format: Format,
    pub environment: Environment,
}

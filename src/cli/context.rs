//! The input that every command shares.

use crate::cli::format::Format;
use crate::config::store::ConfigStore;
use crate::contract::instance_root::InstanceRoot;
use crate::os::environment::Environment;

/// One instance, its configuration file and how to print the answer.
pub struct Context {
    pub root: InstanceRoot,
    pub store: ConfigStore,
    pub format: Format,
    /// Only print errors and requested data.
    pub quiet: bool,
    pub environment: Environment,
}

//! Determines the installation of a body: its machine id, else the machine id first seen with its anonymous id, else
//! the anonymous id.

use crate::collector::repeat::Kept;
use crate::collector::report::Id;

/// An installation: a machine, or an id without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    Machine(Id),
    Id(Id),
}

/// The machine that an id belongs to permanently: the one in its earliest body with a machine id.
pub fn machine_of(bodies: &[Kept]) -> Option<Id> {
    bodies.iter().find_map(|body| body.machine)
}

/// The bodies of one id that belong to `machine`; with `None`, those that belong to no machine.
pub fn belonging(bodies: &[Kept], machine: Option<Id>) -> impl Iterator<Item = &Kept> {
    let home = machine_of(bodies);
    bodies.iter().filter(move |body| body.machine.or(home) == machine)
}

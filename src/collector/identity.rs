//! Which installation a body belongs to: the machine that it names, else the machine that its id was first seen with, else its id.

use crate::collector::repeat::Kept;
use crate::collector::report::Id;

/// The machine that an id belongs to permanently: the one that its earliest body with a machine names.
pub fn machine_of(bodies: &[Kept]) -> Option<Id> {
    bodies.iter().find_map(|body| body.machine)
}

/// The bodies of one id that belong to `machine`; with `None`, those that belong to no machine.
pub fn belonging(bodies: &[Kept], machine: Option<Id>) -> impl Iterator<Item = &Kept> {
    let home = machine_of(bodies);
    bodies.iter().filter(move |body| body.machine.or(home) == machine)
}

//! Selects the installations that a figure counts: people, everything, or one kind of environment, on all systems or
//! one.

use std::fmt;

use crate::collector::installation::Installation;
use crate::collector::report::{KINDS, SYSTEMS, System, kind_index};
use crate::contract::run_facts::EnvKind;

/// The attributes that decide whether an installation belongs to an audience. Every installation has exactly one, so figures of segments add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    kind: u8,
    system: System,
    development: bool,
}

impl Segment {
    /// The segment of an installation.
    pub fn of(installation: &Installation) -> Segment {
        Segment {
            kind: u8::try_from(kind_index(installation.kind)).unwrap_or(u8::MAX),
            system: installation.system,
            development: installation.is_development(),
        }
    }
}

/// The kinds of environment to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Interactive, headless or unknown environments, without development builds.
    People,
    Everything,
    /// One kind of environment, by its place in [`KINDS`].
    Kind(u8),
}

/// The kinds of environment and the system to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience {
    pub who: Who,
    pub system: Option<System>,
}

impl Audience {
    pub const PEOPLE: Audience = Audience {
        who: Who::People,
        system: None,
    };
    pub const EVERYTHING: Audience = Audience {
        who: Who::Everything,
        system: None,
    };

    /// Parses the two parameters of a request: `people`, `all` or a kind, and a system or an empty string.
    pub fn parse(who: &str, system: &str) -> Option<Audience> {
        let who = match who {
            "" | "people" | "humans" => Who::People,
            "all" | "everything" => Who::Everything,
            word => Who::Kind(u8::try_from(KINDS.iter().position(|kind| kind.word() == word)?).ok()?),
        };
        let system = match system {
            "" | "all" => None,
            "macos" => Some(System::Darwin),
            word => Some(*SYSTEMS.iter().find(|system| system.word() == word)?),
        };
        Some(Audience { who, system })
    }

    /// Whether a segment belongs to it.
    pub fn includes(self, segment: Segment) -> bool {
        let kind = match self.who {
            Who::Everything => true,
            Who::Kind(kind) => kind == segment.kind,
            Who::People => !segment.development && is_personal(segment.kind),
        };
        kind && self.system.is_none_or(|system| system == segment.system)
    }

    /// Every audience, for tests and for the public figures.
    pub fn all() -> Vec<Audience> {
        let kinds = (0..u8::try_from(KINDS.len()).unwrap_or(0)).map(Who::Kind);
        let systems = || std::iter::once(None).chain(SYSTEMS.into_iter().map(Some));
        [Who::People, Who::Everything]
            .into_iter()
            .chain(kinds)
            .flat_map(|who| systems().map(move |system| Audience { who, system }))
            .collect()
    }

    /// The name of the audience without its system.
    pub fn who_word(self) -> &'static str {
        match self.who {
            Who::People => "people",
            Who::Everything => "all",
            Who::Kind(kind) => KINDS.get(usize::from(kind)).map_or("unknown", |kind| kind.word()),
        }
    }
}

fn is_personal(kind: u8) -> bool {
    let kind = KINDS.get(usize::from(kind)).copied().unwrap_or(EnvKind::Unknown);
    matches!(kind, EnvKind::Interactive | EnvKind::Headless | EnvKind::Unknown)
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.system {
            None => f.write_str(self.who_word()),
            Some(system) => write!(f, "{} on {}", self.who_word(), system.word()),
        }
    }
}

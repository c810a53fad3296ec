//! Summarises the bodies of one installation: pure rules for its days, lifetime flags and kind.

use std::collections::BTreeMap;

use crate::collector::repeat::Kept;
use crate::collector::report::{Client, Day, KINDS, Reached, System, kind_index};
use crate::contract::run_facts::{EnvKind, LaunchSource};

/// An active day, described by its last body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveDay {
    pub day: Day,
    pub kind: EnvKind,
    pub launch: LaunchSource,
}

/// The facts about one installation that the figures need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The kind on most of its days; a tie goes to the kind seen last.
    pub kind: EnvKind,
    /// The latest system and version.
    pub system: System,
    pub version: String,
    /// The oldest of its bodies came in a flood of new ids.
    pub suspect: bool,
    pub reached: Reached,
    /// Sorted.
    pub clients: Vec<Client>,
    /// Different bodies, and the lowest and highest schema among them.
    pub bodies: u32,
    /// How often a body was sent again.
    pub repeats: u32,
    /// Bodies whose own time differs from the time of receipt, and those that differ by more than a day or have no
    /// usable time.
    pub skewed: u32,
    pub badly_skewed: u32,
    /// Paths of unknown keys and dropped values, with the number of bodies.
    pub unknown: BTreeMap<String, u32>,
    pub schemas: (u8, u8),
    /// The sum of the calls of `retrieve_tools` in the last body of each day.
    pub calls: u64,
    /// Sorted, at least one.
    pub days: Vec<ActiveDay>,
}

impl Default for Installation {
    /// An installation without reports.
    fn default() -> Installation {
        Installation {
            kind: EnvKind::Unknown,
            system: System::Other,
            version: String::new(),
            suspect: false,
            reached: Reached::default(),
            clients: Vec::new(),
            bodies: 0,
            repeats: 0,
            skewed: 0,
            badly_skewed: 0,
            unknown: BTreeMap::new(),
            schemas: (0, 0),
            calls: 0,
            days: Vec::new(),
        }
    }
}

impl Installation {
    /// Its first day.
    pub fn first_day(&self) -> Day {
        self.days.first().map_or(Day(0), |active| active.day)
    }

    /// Its last day.
    pub fn last_day(&self) -> Day {
        self.days.last().map_or(Day(0), |active| active.day)
    }

    /// Whether the version is a development build.
    pub fn is_development(&self) -> bool {
        self.version.contains("-dev")
    }
}

/// Summarises the bodies of one installation, in the order of [`Kept::order`]; `None` if there are none.
pub fn summarise<'a>(bodies: impl IntoIterator<Item = &'a Kept>) -> Option<Installation> {
    let mut bodies = bodies.into_iter();
    let first = bodies.next()?;
    let mut summary = Summary::begin(first);
    summary.count_quality(first);
    for body in bodies {
        summary.add(body);
    }
    Some(summary.finish())
}

struct Summary {
    installation: Installation,
    /// Calls of the day's latest body so far.
    calls_of_day: u32,
}

impl Summary {
    fn begin(body: &Kept) -> Summary {
        let facts = &body.facts;
        let mut clients = facts.clients.clone();
        clients.sort_unstable();
        Summary {
            installation: Installation {
                kind: facts.kind,
                system: facts.system,
                version: facts.version.clone(),
                suspect: body.suspect,
                reached: Reached::default().and(facts.reached),
                clients,
                schemas: (facts.schema, facts.schema),
                days: vec![active_day(body)],
                ..Installation::default()
            },
            calls_of_day: facts.calls,
        }
    }

    fn add(&mut self, body: &Kept) {
        let (facts, all) = (&body.facts, &mut self.installation);
        all.system = facts.system;
        if all.version != facts.version {
            all.version.clone_from(&facts.version);
        }
        all.reached = all.reached.and(facts.reached);
        for client in &facts.clients {
            if let Err(at) = all.clients.binary_search(client) {
                all.clients.insert(at, *client);
            }
        }
        all.schemas = (all.schemas.0.min(facts.schema), all.schemas.1.max(facts.schema));
        match all.days.last_mut() {
            Some(last) if last.day == body.day() => *last = active_day(body),
            _ => {
                all.calls += u64::from(self.calls_of_day);
                all.days.push(active_day(body));
            }
        }
        self.calls_of_day = facts.calls;
        self.count_quality(body);
    }

    fn count_quality(&mut self, body: &Kept) {
        let all = &mut self.installation;
        all.bodies = all.bodies.saturating_add(1);
        all.repeats = all.repeats.saturating_add(u32::try_from(body.repeats()).unwrap_or(u32::MAX));
        all.skewed += u32::from(body.facts.skew != Some(0));
        all.badly_skewed += u32::from(body.facts.skew.is_none_or(|skew| skew.unsigned_abs() > 86_400));
        for path in &body.unknown {
            *all.unknown.entry(path.clone()).or_default() += 1;
        }
    }

    fn finish(mut self) -> Installation {
        self.installation.calls += u64::from(self.calls_of_day);
        self.installation.kind = usual_kind(&self.installation.days);
        self.installation
    }
}

fn active_day(body: &Kept) -> ActiveDay {
    ActiveDay {
        day: body.day(),
        kind: body.facts.kind,
        launch: body.facts.launch,
    }
}

/// The kind of most days; a tie goes to the kind seen last.
pub fn usual_kind(days: &[ActiveDay]) -> EnvKind {
    let mut counts = [0_u32; KINDS.len()];
    for active in days {
        if let Some(count) = counts.get_mut(kind_index(active.kind)) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let is_usual = |active: &&ActiveDay| counts.get(kind_index(active.kind)) == Some(&most);
    days.iter().rev().find(is_usual).map_or(EnvKind::Unknown, |active| active.kind)
}

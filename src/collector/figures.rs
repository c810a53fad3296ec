//! The figures of one audience and their JSON form.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::collector::report::{Day, KINDS, LAUNCHES, launch_word};

/// The steps of the funnel, in order.
pub const STEPS: [&str; 5] = [
    "first_run",
    "server_configured",
    "server_connected",
    "client_connected",
    "retrieve_tools",
];

/// Days after the first for which returns are counted.
const RETURN_DAYS: [u16; 3] = [1, 7, 30];

/// How many of the eligible installations came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Retention {
    pub eligible: u32,
    pub retained: u32,
    pub retained_on_or_after: u32,
}

/// How many came back in the week after their first day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FirstWeek {
    pub eligible: u32,
    pub retained: u32,
}

/// How many were active on one day only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Once {
    pub eligible: u32,
    pub once: u32,
    pub once_all_ages: u32,
}

/// Every figure of one audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    pub first: Day,
    pub last: Day,
    pub installs: u32,
    /// One number for each day.
    pub dau: Vec<u32>,
    pub wau: Vec<u32>,
    pub mau: Vec<u32>,
    /// By days after the first.
    pub retention: Vec<(u16, Retention)>,
    pub week1: FirstWeek,
    pub once: Once,
    /// Active on two days or more, then silent.
    pub churned: u32,
    pub funnel_each: [u32; STEPS.len()],
    pub funnel_strict: [u32; STEPS.len()],
    /// The data behind the figures: distinct bodies, and their lowest and highest schema.
    pub bodies: u64,
    pub schemas: Option<(u8, u8)>,
    /// By week of the first day, and by weeks since.
    pub weekly: BTreeMap<(u16, u16), u32>,
    /// Latest versions of the installations active in the last 14 days.
    pub versions: BTreeMap<String, u32>,
    /// Days of installations in the last 30 days, by launch source.
    pub launches: [u32; LAUNCHES.len()],
    /// Installations by their usual kind, and days of the last 7 by the kind of that day.
    pub kinds: [u32; KINDS.len()],
    pub kind_days: [u32; KINDS.len()],
    pub clients: BTreeMap<&'static str, u32>,
    pub calls: u64,
    /// Bodies that were sent again, and bodies whose own time differs from the time of receipt.
    pub repeats: u64,
    pub skewed: u64,
    pub badly_skewed: u64,
    /// Bodies with an unknown key or a dropped value, by its path.
    pub unknown: BTreeMap<String, u32>,
}

impl Figures {
    /// Figures without installations.
    pub fn new(first: Day, last: Day) -> Figures {
        let days = usize::from(last.since(first)) + 1;
        Figures {
            first,
            last,
            installs: 0,
            dau: vec![0; days],
            wau: vec![0; days],
            mau: vec![0; days],
            retention: RETURN_DAYS.map(|day| (day, Retention::default())).to_vec(),
            week1: FirstWeek::default(),
            once: Once::default(),
            churned: 0,
            funnel_each: [0; STEPS.len()],
            funnel_strict: [0; STEPS.len()],
            bodies: 0,
            schemas: None,
            weekly: BTreeMap::new(),
            versions: BTreeMap::new(),
            launches: [0; LAUNCHES.len()],
            kinds: [0; KINDS.len()],
            kind_days: [0; KINDS.len()],
            clients: BTreeMap::new(),
            calls: 0,
            repeats: 0,
            skewed: 0,
            badly_skewed: 0,
            unknown: BTreeMap::new(),
        }
    }

    /// Adds other figures of the same days.
    pub fn add(&mut self, other: &Figures) {
        self.installs += other.installs;
        add_each(&mut self.dau, &other.dau);
        add_each(&mut self.wau, &other.wau);
        add_each(&mut self.mau, &other.mau);
        for ((_, one), (_, other)) in self.retention.iter_mut().zip(&other.retention) {
            one.eligible += other.eligible;
            one.retained += other.retained;
            one.retained_on_or_after += other.retained_on_or_after;
        }
        self.week1.eligible += other.week1.eligible;
        self.week1.retained += other.week1.retained;
        self.once.eligible += other.once.eligible;
        self.once.once += other.once.once;
        self.once.once_all_ages += other.once.once_all_ages;
        self.churned += other.churned;
        add_each(&mut self.funnel_each, &other.funnel_each);
        add_each(&mut self.funnel_strict, &other.funnel_strict);
        self.bodies += other.bodies;
        self.schemas = match (self.schemas, other.schemas) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        add_all(&mut self.weekly, &other.weekly);
        add_all(&mut self.versions, &other.versions);
        add_each(&mut self.launches, &other.launches);
        add_each(&mut self.kinds, &other.kinds);
        add_each(&mut self.kind_days, &other.kind_days);
        add_all(&mut self.clients, &other.clients);
        self.calls += other.calls;
        self.repeats += other.repeats;
        self.skewed += other.skewed;
        self.badly_skewed += other.badly_skewed;
        add_all(&mut self.unknown, &other.unknown);
    }

    /// Active in the 1, 7 and 30 days that end on the last day.
    pub fn latest(&self) -> (u32, u32, u32) {
        let last = |series: &Vec<u32>| series.last().copied().unwrap_or(0);
        (last(&self.dau), last(&self.wau), last(&self.mau))
    }

    /// The figures as JSON.
    pub fn to_json(&self) -> Value {
        let (dau_last, wau_last, mau_last) = self.latest();
        json!({
            "installs": self.installs,
            "dau": self.dau, "wau": self.wau, "mau": self.mau,
            "dau_last": dau_last, "wau_last": wau_last, "mau_last": mau_last,
            "retention": self.retention_json(),
            "one_and_done": self.once,
            "funnel": {
                "each": steps(&self.funnel_each), "strict": steps(&self.funnel_strict),
                "reports": self.bodies,
                "schemas": self.schemas.map(|(low, high)| [low, high]),
            },
            "weekly_cohorts": self.weekly_json(),
            "versions_active_14d": self.versions,
            "launch_source_30d": words(LAUNCHES.map(launch_word), &self.launches),
            "env_kinds": words(KINDS.map(|kind| kind.word()), &self.kinds),
            "env_kind_days_7d": words(KINDS.map(|kind| kind.word()), &self.kind_days),
            "clients": self.clients,
            "churned_2d_then_14d_silent": self.churned,
            "retrieve_tools_calls_total": self.calls,
        })
    }

    fn retention_json(&self) -> Value {
        let mut all = Map::new();
        for (day, retention) in &self.retention {
            all.insert(format!("d{day}"), json!(retention));
        }
        all.insert("week1".into(), json!(self.week1));
        Value::Object(all)
    }

    /// Cohorts by the week of the first day, each with the number of installations active 0, 1, 2 … weeks later. Leaves out
    /// cohorts from before the first day of the figures.
    fn weekly_json(&self) -> Value {
        let mut all: BTreeMap<u16, BTreeMap<u16, u32>> = BTreeMap::new();
        for ((cohort, age), count) in &self.weekly {
            if let Some(week) = cohort.checked_sub(self.first.week()) {
                all.entry(week).or_default().insert(*age, *count);
            }
        }
        json!(all)
    }
}

fn add_each(one: &mut [u32], other: &[u32]) {
    for (one, other) in one.iter_mut().zip(other) {
        *one += other;
    }
}

fn add_all<K: Clone + Ord>(one: &mut BTreeMap<K, u32>, other: &BTreeMap<K, u32>) {
    for (key, count) in other {
        *one.entry(key.clone()).or_default() += count;
    }
}

fn steps(counts: &[u32]) -> Value {
    words(STEPS, counts)
}

fn words<const N: usize>(words: [&'static str; N], counts: &[u32]) -> Value {
    Value::Object(words.iter().zip(counts).map(|(word, count)| ((*word).to_owned(), json!(count))).collect())
}

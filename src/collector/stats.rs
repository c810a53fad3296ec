//! The figures of a store, for the CLI, the page and `/v1/stats`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::collector::audience::Audience;
use crate::collector::census::Census;
use crate::collector::report::Day;
use crate::collector::store::{Ledger, Store, StoreError};

/// Maximum number of days; older data is deleted.
pub const LONGEST_SPAN: u16 = 400;

/// A census, and the counts beside the reports.
#[derive(Debug, Clone)]
pub struct Stats {
    pub census: Census,
    pub ledger: Ledger,
    /// Whether there are no reports.
    pub empty: bool,
    /// The last requested day.
    until: Option<Day>,
}

/// Computes the figures of a store at the end of `until`, or of the last day with a report.
///
/// # Errors
/// The database's error.
pub fn take(store: &mut dyn Store, until: Option<Day>) -> Result<Stats, StoreError> {
    let ledger = store.ledger()?;
    let first = ledger.first.unwrap_or(Day(0));
    // A day on which only repeats, opt-outs or rejected bodies arrived is a day without active installations.
    let arrivals = ledger.latest.map(Day::of).into_iter().chain(ledger.counts.keys().map(|(day, _)| *day));
    let newest = match ledger.first {
        None => first,
        Some(_) => arrivals.fold(first, Day::max),
    };
    let last = until.map_or(newest, |until| until.max(first));
    let mut census = Census::new(first.max(last.minus(LONGEST_SPAN - 1)), last);
    let past = until.filter(|until| *until < newest);
    store.installations(past, &mut |installation| census.add(installation))?;
    Ok(Stats {
        census,
        empty: ledger.first.is_none(),
        until,
        ledger,
    })
}

impl Stats {
    /// Ids that opted out, up to the requested day.
    fn opt_outs(&self) -> u64 {
        let days = self.ledger.opt_outs.iter();
        days.filter(|(day, _)| self.until.is_none_or(|until| **day <= until)).map(|(_, count)| count).sum()
    }

    /// Counts by name, over all days up to the requested one.
    pub fn counts(&self) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for ((day, name), count) in &self.ledger.counts {
            if self.until.is_none_or(|until| *day <= until) && !name.starts_with("new_ids:") {
                *sums.entry(name.as_str()).or_default() += count;
            }
        }
        sums
    }

    /// Counts whose name begins with `prefix`, by the rest of their name.
    pub fn counts_of(&self, prefix: &str) -> BTreeMap<&str, u64> {
        self.counts().into_iter().filter_map(|(name, count)| Some((name.strip_prefix(prefix)?, count))).collect()
    }

    /// The figures of one audience and the data behind them, as JSON.
    pub fn to_json(&self, audience: Audience) -> Value {
        let (first, last) = self.census.span();
        let mut json = self.census.figures(audience).to_json();
        if let Value::Object(map) = &mut json {
            map.insert("audience".into(), json!(audience.to_string()));
            let day = |day: Day| (!self.empty).then(|| day.to_string());
            map.insert("first_day".into(), json!(day(first)));
            map.insert("last_day".into(), json!(day(last)));
            map.insert("opt_outs".into(), json!(self.opt_outs()));
            map.insert("quality".into(), self.quality());
        }
        json
    }

    /// The data quality: every dropped value with its reason.
    pub fn quality(&self) -> Value {
        let all = self.census.figures(Audience::EVERYTHING);
        let (values, fields): (Vec<_>, Vec<_>) = all.unknown.iter().partition(|(path, _)| path.ends_with(":value"));
        let (values, fields): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (values.into_iter().collect(), fields.into_iter().collect());
        json!({
            "accepted": all.bodies,
            "repeated": all.repeats,
            "opt_outs": self.opt_outs(),
            "rejected": self.counts_of("rejected:"),
            "refused": self.counts_of("refused:"),
            "unknown_fields": fields,
            "dropped_values": values,
            "clock_untrusted": all.skewed,
            "clock_off_by_a_day": all.badly_skewed,
            "suspect_installs": self.census.suspects,
        })
    }
}

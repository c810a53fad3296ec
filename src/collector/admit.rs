//! Limits on reports per network and id. The state is in memory only: the collector never stores an address.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::collector::report::Id;

/// How much the collector accepts from one network or id.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For each network: reports and new ids per hour, and the maximum burst.
    pub reports: u32,
    pub new_ids: u32,
    pub burst: u32,
    /// For each id: reports per hour, with the same burst.
    pub reports_of_id: u32,
    /// Whether the limits also apply to this computer.
    pub loopback: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            reports: 600,
            new_ids: 60,
            burst: 100,
            reports_of_id: 20,
            loopback: false,
        }
    }
}

/// Why the collector does not accept a report now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub reason: &'static str,
    /// Seconds.
    pub retry_after: u32,
}

/// Maximum number of networks or ids in memory.
const MOST: usize = 100_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    reports: f32,
    new_ids: f32,
    /// Seconds since the start of the collector.
    at: u32,
}

/// The state of all limits.
pub struct Admission {
    limits: Limits,
    salt: [u8; 32],
    networks: HashMap<u64, Bucket>,
    ids: HashMap<u64, Bucket>,
}

impl Admission {
    /// Starts without history. The salt is random and never stored, so that the keys mean nothing outside this process.
    pub fn new(limits: Limits, salt: [u8; 32]) -> Admission {
        Admission {
            limits,
            salt,
            networks: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    /// Takes one report from the budget of its network and its id.
    ///
    /// # Errors
    /// The exceeded limit.
    pub fn admit(&mut self, source: IpAddr, id: Id, is_new: bool, now: u32) -> Result<(), Refusal> {
        if source.is_loopback() && !self.limits.loopback {
            return Ok(());
        }
        let (network, limits) = (self.key(&prefix(source)), self.limits);
        let of_id = self.key(&id.0);
        let mut bucket = refilled(&self.networks, network, &limits, limits.reports, now);
        let mut id_bucket = refilled(&self.ids, of_id, &limits, limits.reports_of_id, now);
        take(&mut bucket.reports, limits.reports, "network")?;
        if is_new {
            take(&mut bucket.new_ids, limits.new_ids, "new_ids")?;
        }
        take(&mut id_bucket.reports, limits.reports_of_id, "id")?;
        store(&mut self.networks, network, bucket);
        store(&mut self.ids, of_id, id_bucket);
        Ok(())
    }

    /// The number of networks and ids in memory.
    pub fn remembered(&self) -> usize {
        self.networks.len() + self.ids.len()
    }

    fn key(&self, bytes: &[u8]) -> u64 {
        // HMAC accepts a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.salt) else { return 0 };
        mac.update(bytes);
        mac.finalize().into_bytes().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
    }
}

fn refilled(buckets: &HashMap<u64, Bucket>, key: u64, limits: &Limits, hourly: u32, now: u32) -> Bucket {
    let burst = limits.burst as f32;
    let Some(bucket) = buckets.get(&key) else {
        return Bucket {
            reports: burst,
            new_ids: burst.min(limits.new_ids as f32),
            at: now,
        };
    };
    let hours = now.saturating_sub(bucket.at) as f32 / 3600.0;
    Bucket {
        reports: (bucket.reports + hours * hourly as f32).min(burst),
        new_ids: (bucket.new_ids + hours * limits.new_ids as f32).min(burst.min(limits.new_ids as f32)),
        at: now,
    }
}

fn take(tokens: &mut f32, hourly: u32, reason: &'static str) -> Result<(), Refusal> {
    if *tokens >= 1.0 {
        *tokens -= 1.0;
        return Ok(());
    }
    let seconds = (1.0 - *tokens) * 3600.0 / hourly.max(1) as f32;
    Err(Refusal {
        reason,
        retry_after: (seconds.ceil() as u32).clamp(1, 3600),
    })
}

fn store(buckets: &mut HashMap<u64, Bucket>, key: u64, bucket: Bucket) {
    if buckets.len() >= MOST && !buckets.contains_key(&key) {
        // Drops the networks or ids that were inactive for longest: their budget would soon be full again.
        let mut times: Vec<u32> = buckets.values().map(|bucket| bucket.at).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        buckets.retain(|_, bucket| bucket.at > median);
        if buckets.len() >= MOST {
            buckets.clear();
        }
    }
    buckets.insert(key, bucket);
}

/// The network of an address: /24 of IPv4, /48 of IPv6.
fn prefix(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().into_iter().take(3).collect(),
        IpAddr::V6(address) => address.octets().into_iter().take(6).collect(),
    }
}

/// The ids seen so far, with an error rate of one in a thousand: a Bloom filter of a fixed size with a random key.
pub struct SeenIds {
    bits: Vec<u64>,
    key: RandomState,
}

/// 8 MiB: three million ids with one error in a thousand.
const WORDS: usize = 1 << 20;

impl Default for SeenIds {
    fn default() -> SeenIds {
        SeenIds {
            bits: vec![0; WORDS],
            key: RandomState::new(),
        }
    }
}

impl SeenIds {
    /// Adds an id. Returns whether it was already present.
    pub fn insert(&mut self, id: Id) -> bool {
        let mut was_there = true;
        for bit in self.places(id) {
            if let Some(word) = self.bits.get_mut(bit / 64) {
                let mask = 1 << (bit % 64);
                was_there &= *word & mask != 0;
                *word |= mask;
            }
        }
        was_there
    }

    /// Whether an id was added.
    pub fn contains(&self, id: Id) -> bool {
        self.places(id).iter().all(|bit| self.bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
    }

    /// Five positions, from two hashes.
    fn places(&self, id: Id) -> [usize; 5] {
        let (one, other) = (self.key.hash_one(id), self.key.hash_one((id, 1_u8)));
        [0, 1, 2, 3, 4].map(|index: u64| one.wrapping_add(index.wrapping_mul(other | 1)) as usize % (WORDS * 64))
    }
}

/// Detects a flood of new ids: more per hour than ten times the usual number at that time of day.
#[derive(Debug, Default)]
pub struct FloodWatch {
    /// New ids by hour since 1970.
    hours: HashMap<u32, u32>,
}

/// Before there are three days to compare with, more new ids per hour than this are a flood.
const UNKNOWN_USUAL: u32 = 50_000;
/// Fewer new ids per hour are never a flood.
const NEVER_A_FLOOD: u32 = 100;

impl FloodWatch {
    /// Adds the count of an earlier run.
    pub fn remember(&mut self, hour: u32, new_ids: u32) {
        *self.hours.entry(hour).or_default() += new_ids;
    }

    /// Counts a new id. Returns whether it is part of a flood.
    pub fn count(&mut self, hour: u32) -> bool {
        let limit = self.limit(hour);
        if !self.hours.contains_key(&hour) {
            self.hours.retain(|old, _| hour.saturating_sub(*old) <= 8 * 24);
        }
        let count = self.hours.entry(hour).or_default();
        *count = count.saturating_add(1);
        *count > limit
    }

    fn limit(&self, hour: u32) -> u32 {
        let oldest = self.hours.keys().copied().min().unwrap_or(hour);
        if hour.saturating_sub(oldest) < 3 * 24 {
            return UNKNOWN_USUAL;
        }
        let mut usual: Vec<u32> = (1..=7)
            .filter_map(|days| hour.checked_sub(days * 24))
            .filter(|hour| *hour >= oldest)
            .map(|hour| self.hours.get(&hour).copied().unwrap_or(0))
            .collect();
        usual.sort_unstable();
        let median = usual.get(usual.len() / 2).copied().unwrap_or(0);
        median.saturating_mul(10).max(NEVER_A_FLOOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> Id {
        let mut bytes = [0x5a; 16];
        for (byte, value) in bytes.iter_mut().zip(number.wrapping_mul(0x9e37_79b9).to_be_bytes()) {
            *byte = value;
        }
        for (byte, value) in bytes.iter_mut().skip(8).zip(number.wrapping_mul(0x85eb_ca6b).to_be_bytes()) {
            *byte = value;
        }
        Id(bytes)
    }

    fn admission() -> Admission {
        Admission::new(Limits::default(), [7; 32])
    }

    #[test]
    fn a_network_has_a_budget_of_new_ids_and_of_reports() {
        let (mut admission, source) = (admission(), "198.51.100.7".parse().unwrap());
        let accepted = (0..1000).filter(|n| admission.admit(source, id(*n), true, 0).is_ok()).count();
        assert_eq!(accepted, 60);
        let neighbour = "198.51.100.200".parse().unwrap();
        assert_eq!(admission.admit(neighbour, id(2000), true, 0).unwrap_err().reason, "new_ids");
        let other = "198.51.101.7".parse().unwrap();
        assert!(admission.admit(other, id(2001), true, 0).is_ok());
        let an_hour_later = (0..1000).filter(|n| admission.admit(source, id(3000 + n), true, 3600).is_ok()).count();
        assert_eq!(an_hour_later, 60);
        let known = (0..1000).filter(|n| admission.admit(other, id(*n), false, 7200).is_ok()).count();
        assert_eq!(known, 100);
    }

    #[test]
    fn one_id_from_ten_thousand_networks_has_one_budget() {
        let mut admission = admission();
        let accepted = (0..10_000_u32)
            .filter(|n| {
                let source = IpAddr::from([10, (n >> 8) as u8, *n as u8, 1]);
                admission.admit(source, id(1), false, 0).is_ok()
            })
            .count();
        assert_eq!(accepted, 100);
    }

    #[test]
    fn memory_is_bounded() {
        let mut admission = admission();
        for n in 0..400_000_u32 {
            let source = IpAddr::from([(n >> 16) as u8 + 1, (n >> 8) as u8, n as u8, 1]);
            let _ = admission.admit(source, id(n), true, n / 100);
        }
        assert!(admission.remembered() <= 2 * MOST);
    }

    #[test]
    fn a_million_new_ids_in_an_hour_take_no_more_memory_and_are_suspect() {
        let (mut admission, mut seen, mut watch) = (admission(), SeenIds::default(), FloodWatch::default());
        (0..7 * 24).for_each(|hour| watch.remember(hour, 20));
        let (mut accepted, mut suspect) = (0_u32, 0_u32);
        for n in 0..1_000_000_u32 {
            // From as many networks as an attacker with many computers has. The limits are full after the first ones.
            let source = IpAddr::from([10, (n >> 8) as u8, n as u8, 1]);
            if n > 120_000 || admission.admit(source, id(n), true, n / 278).is_ok() {
                accepted += 1;
                if !seen.insert(id(n)) {
                    suspect += u32::from(watch.count(7 * 24));
                }
            }
        }
        assert!(accepted > 900_000, "{accepted}");
        // All but ten times the usual, and the few that the filter took for known ones.
        assert!(accepted - suspect < 1200, "{suspect} of {accepted}");
        assert!(admission.remembered() <= 2 * MOST);
        assert_eq!(seen.bits.len(), WORDS);
        assert!(watch.hours.len() <= 8 * 24 + 1);
    }

    #[test]
    fn seen_ids_are_known_and_others_are_not() {
        let mut seen = SeenIds::default();
        for n in 0..100_000 {
            seen.insert(id(n));
        }
        assert!((0..100_000).all(|n| seen.contains(id(n))));
        assert!((100_000..200_000).filter(|n| seen.contains(id(*n))).count() < 100);
    }

    #[test]
    fn a_flood_is_ten_times_what_is_usual_at_that_hour() {
        let mut watch = FloodWatch::default();
        for hour in 0..7 * 24 {
            watch.remember(hour, if hour % 24 == 12 { 50 } else { 2 });
        }
        let noon = 7 * 24 + 12;
        assert_eq!((0..600).filter(|_| watch.count(noon)).count(), 100);
        assert_eq!((0..600).filter(|_| watch.count(noon + 1)).count(), 500);
        let mut fresh = FloodWatch::default();
        assert_eq!((0..1_000_000).filter(|_| fresh.count(5)).count(), 950_000);
    }
}

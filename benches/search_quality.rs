//! Measures the quality of the tool search on every labelled data set, with 95 % bootstrap intervals.
//!
//! ```text
//! cargo bench --no-default-features --bench search_quality                     each data set
//! cargo bench … -- without                                                     what each component adds
//! cargo bench … -- leave-one-out                                               weights chosen on the other data sets
//! cargo bench … -- typos                                                       queries with a typing mistake, or joined words
//! cargo bench … -- languages                                                   queries in eleven other languages
//! ```
//! The data sets are in `tests/data/search`; the environment variable `MCPPROXY_BENCH_CORPUS` names another folder.

#![allow(clippy::print_stdout, reason = "a benchmark's table is its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![allow(clippy::indexing_slicing, reason = "same")]

use std::collections::{BTreeSet, HashMap};

use mcpproxy::catalog::search_index::ToolIndex;
use mcpproxy::catalog::weights::Weights;

#[path = "../tests/search_sets/mod.rs"]
mod search_sets;

use search_sets::{Quality, Query, Set, interval, mean, measure};

/// Turns one component off.
type Off = (&'static str, fn(&mut Weights));

const COMPONENTS: [Off; 11] = [
    ("synonyms", |weights| weights.synonym = 0.0),
    ("fewer synonyms in long queries", |weights| weights.long_query = 0.0),
    ("spelling", |weights| weights.spelling = 0.0),
    ("beginnings", |weights| weights.prefix = 0.0),
    ("joined words in queries", |weights| weights.parts = 0.0),
    ("joined words in names", |weights| weights.split_names = false),
    ("values count less", |weights| (weights.literal, weights.path) = (1.0, 1.0)),
    ("kinds of values", |weights| weights.literal_kind = 0.0),
    ("file extensions", |weights| weights.extension = 0.0),
    ("whole name", |weights| weights.whole_name = 0.0),
    ("coverage", |weights| weights.coverage = 0.0),
];

/// A weight to choose, and the values to try.
type Knob = (fn(&mut Weights, f32), &'static [f32]);

const KNOBS: [Knob; 15] = [
    (|weights, value| weights.fields[0] = value, &[0.5, 1.0, 1.5, 2.0]),
    (|weights, value| weights.fields[1] = value, &[2.0, 3.0, 4.0]),
    (|weights, value| weights.fields[3] = value, &[0.15, 0.3, 0.5, 0.8]),
    (|weights, value| weights.fields[4] = value, &[0.1, 0.3, 0.5, 0.8]),
    (|weights, value| weights.k1 = value, &[0.6, 0.9, 1.2, 1.6]),
    (|weights, value| weights.b = value, &[0.5, 0.65, 0.75, 0.9]),
    (|weights, value| weights.synonym = value, &[0.0, 0.3, 0.45, 0.6, 0.75, 0.9]),
    (|weights, value| weights.long_query = value, &[0.0, 0.25, 0.5, 1.0]),
    (|weights, value| weights.spelling = value, &[0.0, 0.4, 0.6, 0.8]),
    (|weights, value| weights.prefix = value, &[0.0, 0.25, 0.5]),
    (|weights, value| weights.literal = value, &[0.2, 0.4, 0.7, 1.0]),
    (|weights, value| weights.path = value, &[0.2, 0.4, 0.6, 1.0]),
    (|weights, value| weights.literal_kind = value, &[0.0, 0.5, 1.0]),
    (|weights, value| weights.whole_name = value, &[0.0, 0.3, 0.6, 1.0]),
    (|weights, value| weights.coverage = value, &[0.0, 0.3, 0.6, 1.0]),
];
/// Minimum gain for changing a weight.
const LEAST_GAIN: f64 = 0.0003;

/// A change of a query.
type Change = fn(&str) -> String;

fn objective(quality: &[Quality]) -> f64 {
    mean(quality, Quality::objective)
}

fn every(sets: &[Set], weights: Weights) -> Vec<Vec<Quality>> {
    sets.iter().map(|set| measure(&set.queries, &ToolIndex::with_weights(set.tools.clone(), weights))).collect()
}

fn table(sets: &[Set]) {
    println!("{:<16} {:>5} {:>7} {:>24} {:>24} {:>24}", "set", "tools", "queries", "recall@5", "recall@10", "MRR");
    let quality = every(sets, Weights::CHOSEN);
    for (set, quality) in sets.iter().zip(&quality) {
        let shown = |of: fn(&Quality) -> f64| {
            let values: Vec<f64> = quality.iter().map(of).collect();
            let (low, high) = interval(&values);
            format!("{:.3} [{low:.3}, {high:.3}]", mean(quality, of))
        };
        let (five, ten, rank) = (shown(|q| q.recall5), shown(|q| q.recall10), shown(|q| q.rank));
        println!("{:<16} {:>5} {:>7} {five:>24} {ten:>24} {rank:>24}", set.name, set.tools.len(), quality.len());
    }
    let macro_mean = |of: fn(&Quality) -> f64| quality.iter().map(|set| mean(set, of)).sum::<f64>() / sets.len() as f64;
    let (five, ten, rank) = (macro_mean(|q| q.recall5), macro_mean(|q| q.recall10), macro_mean(|q| q.rank));
    println!("{:<16} {:>5} {:>7} {five:>24.3} {ten:>24.3} {rank:>24.3}", "mean of the sets", "", "");
}

/// Returns the gain of `better` over `worse` over the queries of one set, as mean and interval.
fn gain(worse: &[Quality], better: &[Quality]) -> String {
    let gains: Vec<f64> = worse.iter().zip(better).map(|(w, b)| 100.0 * (b.objective() - w.objective())).collect();
    let (low, high) = interval(&gains);
    format!("{:+.1} [{low:+.1}, {high:+.1}]", gains.iter().sum::<f64>() / gains.len() as f64)
}

fn without(sets: &[Set]) {
    println!("What each component adds, in points of the mean of recall@5, recall@10 and MRR");
    print!("{:<32}", "");
    sets.iter().for_each(|set| print!(" {:>20}", set.name));
    println!();
    let full = every(sets, Weights::CHOSEN);
    for (name, off) in COMPONENTS {
        let mut weights = Weights::CHOSEN;
        off(&mut weights);
        print!("{name:<32}");
        for (without, full) in every(sets, weights).iter().zip(&full) {
            print!(" {:>20}", gain(without, full));
        }
        println!();
    }
}

/// Chooses weights on all sets but one, by changing one weight at a time.
fn choose(sets: &[Set], left_out: usize, known: &mut HashMap<String, Vec<f64>>) -> Weights {
    let mut score = |weights: Weights| {
        let of_sets = known
            .entry(format!("{weights:?}"))
            .or_insert_with(|| every(sets, weights).iter().map(|set| objective(set)).collect());
        let others = of_sets.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, score)| score);
        others.sum::<f64>() / (sets.len() - 1) as f64
    };
    let mut chosen = Weights::CHOSEN;
    let mut best = score(chosen);
    loop {
        let before = best;
        for (set, values) in KNOBS {
            for value in values {
                let mut tried = chosen;
                set(&mut tried, *value);
                let reached = score(tried);
                if reached > best + LEAST_GAIN {
                    (best, chosen) = (reached, tried);
                }
            }
        }
        if best - before < LEAST_GAIN {
            return chosen;
        }
    }
}

fn leave_one_out(sets: &[Set]) {
    println!(
        "Weights chosen on the other sets against ours, in points of the mean of recall@5, recall@10 and MRR on the set left out"
    );
    let ours = every(sets, Weights::CHOSEN);
    let mut known = HashMap::new();
    for (at, set) in sets.iter().enumerate() {
        let chosen = choose(sets, at, &mut known);
        let theirs = measure(&set.queries, &ToolIndex::with_weights(set.tools.clone(), chosen));
        println!("{:<16} {:>20}   {chosen:?}", set.name, gain(&ours[at], &theirs));
    }
}

/// Adds a typing mistake to the longest word: swaps, drops or doubles letters. The choice depends only on the query.
fn mistyped(query: &str) -> String {
    let words: Vec<&str> = query.split(' ').collect();
    let longest = words.iter().copied().max_by_key(|word| (word.chars().count(), *word)).unwrap_or_default();
    let mut letters: Vec<char> = longest.chars().collect();
    if letters.len() < 5 {
        return query.to_owned();
    }
    let seed: usize = query.bytes().map(usize::from).sum();
    let at = 1 + seed % (letters.len() - 3);
    match seed % 3 {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        _ => letters.insert(at, letters[at]),
    }
    let typed: String = letters.into_iter().collect();
    words.iter().map(|word| if *word == longest { typed.as_str() } else { word }).collect::<Vec<_>>().join(" ")
}

/// Maximum number of words in a short query.
const SHORT: usize = 8;

fn typos(sets: &[Set]) {
    let changes: [(&str, Change); 4] = [
        ("as it is", str::to_owned),
        ("one typing mistake", mistyped),
        ("camelCase", |query| joined(query, |word| word[..1].to_uppercase() + &word[1..])),
        ("all words joined", |query| joined(query, str::to_owned)),
    ];
    println!(
        "Short queries (up to {SHORT} words), recall@5 with and without the handling of mistakes and joined words"
    );
    let mut off = Weights::CHOSEN;
    (off.spelling, off.parts, off.split_names) = (0.0, 0.0, false);
    for set in sets {
        let short: Vec<&Query> = set.queries.iter().filter(|query| query.query.split(' ').count() <= SHORT).collect();
        if short.is_empty() {
            continue;
        }
        for (name, change) in changes {
            let changed: Vec<Query> = short.iter().map(|query| query.with(change(&query.query))).collect();
            let recall = |weights| {
                mean(&measure(&changed, &ToolIndex::with_weights(set.tools.clone(), weights)), |quality| {
                    quality.recall5
                })
            };
            println!(
                "{:<16} {:>4} {name:<20} {:.3} {:.3}",
                set.name,
                short.len(),
                recall(Weights::CHOSEN),
                recall(off)
            );
        }
    }
}

/// Joins the first two words of a query.
fn joined(query: &str, change: fn(&str) -> String) -> String {
    let mut words = query.split(' ');
    let plain = |word: &&str| word.is_ascii() && !word.is_empty();
    match (words.next().filter(plain), words.next().filter(plain)) {
        (Some(one), Some(other)) => {
            let rest: Vec<&str> = words.collect();
            format!("{one}{} {}", change(other), rest.join(" "))
        }
        _ => query.to_owned(),
    }
}

fn languages() {
    let set = Set::of("languages", "golden45").unwrap();
    let index = ToolIndex::new(set.tools.clone());
    let names: BTreeSet<&str> = set.queries.iter().map(|query| query.source.as_str()).collect();
    println!("{:<12} {:>7} {:>8} {:>9}", "language", "queries", "recall@5", "recall@10");
    for name in names {
        let queries: Vec<Query> = set.queries.iter().filter(|query| query.source == name).cloned().collect();
        let quality = measure(&queries, &index);
        let (five, ten) = (mean(&quality, |q| q.recall5), mean(&quality, |q| q.recall10));
        println!("{name:<12} {:>7} {five:>8.3} {ten:>9.3}", queries.len());
    }
}

fn main() {
    let sets = search_sets::development();
    match std::env::args().skip(1).find(|argument| argument != "--bench").as_deref() {
        None => table(&sets),
        Some("without") => without(&sets),
        Some("leave-one-out") => leave_one_out(&sets),
        Some("typos") => typos(&sets),
        Some("languages") => languages(),
        Some(other) => println!("unknown measurement {other}: there are without, leave-one-out, typos and languages"),
    }
}

//! Checks that the tool search does not get worse: the floor of each data set is the lower end of its 95 % bootstrap
//! interval.
//!
//! `cargo bench --no-default-features --bench search_quality` prints the intervals. `docs/search-quality.md` explains them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fail where it stands")]

use mcpproxy::catalog::search_index::ToolIndex;

mod search_sets;

use search_sets::{Set, mean, measure};

/// Data sets with their floors of recall@5, recall@10 and mean reciprocal rank, measured on 2026-11-29.
const FLOORS: [(&str, f64, f64, f64); 5] = [
    ("golden45", 0.777, 0.848, 0.681),
    ("livemcpbench", 0.347, 0.446, 0.455),
    ("toolsearchmcp", 0.885, 0.920, 0.806),
    ("metatool", 0.650, 0.710, 0.531),
    ("sealtools", 0.932, 0.967, 0.973),
];

#[test]
fn no_data_set_falls_below_its_interval() {
    for (name, recall5, recall10, rank) in FLOORS {
        let set = Set::read(name).unwrap();
        let quality = measure(&set.queries, &ToolIndex::new(set.tools));
        for (measure, floor, reached) in [
            ("recall@5", recall5, mean(&quality, |q| q.recall5)),
            ("recall@10", recall10, mean(&quality, |q| q.recall10)),
            ("MRR", rank, mean(&quality, |q| q.rank)),
        ] {
            assert!(reached >= floor, "{name}: {measure} is {reached:.3}, below {floor}");
        }
    }
}

#[test]
fn the_mean_over_the_sets_does_not_fall() {
    let sets = search_sets::development();
    let of_sets = sets.iter().map(|set| {
        let quality = measure(&set.queries, &ToolIndex::new(set.tools.clone()));
        mean(&quality, |q| q.objective())
    });
    let reached = of_sets.sum::<f64>() / sets.len() as f64;
    assert!(reached >= 0.77, "the mean of recall@5, recall@10 and MRR is {reached:.3}");
}

#[test]
fn common_requests_are_found_in_eleven_other_languages() {
    let set = Set::of("languages", "golden45").unwrap();
    let quality = measure(&set.queries, &ToolIndex::new(set.tools));
    let reached = mean(&quality, |q| q.recall5);
    assert!(reached >= 0.9, "recall@5 is {reached:.3}");
}

#[test]
fn hard_requests_find_a_right_tool_among_the_first_five() {
    let set = Set::of("hard", "livemcpbench").unwrap();
    let quality = measure(&set.queries, &ToolIndex::new(set.tools));
    let reached = mean(&quality, |q| f64::from(u8::from(q.rank >= 0.2)));
    assert!(reached >= 0.93, "{reached:.3} of the requests");
}

#[test]
fn mistyped_and_joined_words_are_understood() {
    let set = Set::read("golden45").unwrap();
    let index = ToolIndex::new(set.tools);
    for (query, tool) in [
        ("creat dirctory", "create_directory"),
        ("createDirectory", "create_directory"),
        ("serach fils", "search_files"),
        ("gitcommit", "git_commit"),
        ("list_tables", "list_tables"),
        ("unstaged difs", "git_diff_unstaged"),
        ("open https://example.com/news", "fetch"),
    ] {
        let found: Vec<String> = index.search(query, 3).iter().map(|found| found.entry.tool.name.to_string()).collect();
        assert!(found.iter().any(|name| name == tool), "{query}: {found:?}");
    }
}

//! Checks that the test named in each line of SECURITY.md exists.

use std::path::Path;

#[test]
fn every_line_of_the_threat_model_names_a_test_that_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(project.join("SECURITY.md")).unwrap();
    let (_, held) = page.split_once("## What holds").unwrap();
    let (held, _) = held.split_once("\n## ").unwrap();
    let lines: Vec<&str> = held.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(lines.len() > 20);
    for line in lines {
        let named = line.trim_end_matches([' ', '|']).rsplit("| ").next().unwrap().trim_matches('`');
        let (file, test) = named.split_once("::").unwrap_or_else(|| panic!("{line}: names no test"));
        let text = std::fs::read_to_string(project.join(file)).unwrap_or_else(|_| panic!("{line}: no `{file}`"));
        // `…` stands for the rest of a long name.
        let (name, end) = test.strip_suffix('…').map_or((test, "("), |beginning| (beginning, ""));
        let kinds = [
            format!("def {name}{end}"),
            format!("fn {name}{end}"),
            format!("check(\"{name}"),
        ];
        assert!(kinds.iter().any(|kind| text.contains(kind)), "{line}: no `{test}`");
    }
}

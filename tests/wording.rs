//! Phrases that must not come back: CONTRIBUTING.md lists them for writers. Scans string literals and comments in `src`, the
//! documents, the scripts and the packaging.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::path::{Path, PathBuf};

/// Words that must not occur, compared without case, as whole words.
const PHRASES: &[&str] = &[
    "nobody",
    "nobody's",
    "somebody",
    "whoever",
    "whose each",
    "is told",
    "are told",
    "was told",
    "be told",
    "is said",
    "are said",
    "was said",
    "says of",
    "said of",
    "hears of",
    "heard of",
    "of before",
    "cannot be had",
    "put right",
    "puts right",
    "puts it right",
    "lets in",
    "lets it in",
    "let in",
    "leads to",
    "leads you",
    "leads here",
    "leads nowhere",
    "leads elsewhere",
    "lead here",
    "own words",
    "'s word",
    "under way",
    "short way",
    "spoken to",
    "has a mistake",
    "is held against",
    "come to nothing",
    "comes to nothing",
    "waits for you",
    "what is new",
    "throw-away",
    "taken up",
    "takes up",
    "anew",
    "heed",
    "heeded",
    "as they say",
    "expected a text",
    "expected a list",
    "a text such as",
    "knows no",
    "has no word",
    "existing mcpproxy",
    "existing core",
    "existing go core",
    "previous mcpproxy",
    "go version",
];

/// Words that may follow "is no" and the like; anything else should read "is not a".
const AFTER_NO: &[&str] = &["longer", "more", "need"];

/// Names of types that are not nouns or use a private metaphor; the standard terms replaced them.
const TYPES: &[&str] = &[
    "Addressee",
    "Announcement",
    "Asking",
    "Attended",
    "Deed",
    "Door",
    "News",
    "Noting",
    "Parked",
    "Print",
    "ShortWay",
    "Trouble",
    "Underway",
    "Usual",
    "Wishes",
];

/// How a statement must not begin; a question may.
const OPENERS: &[&str] = &["Of", "What", "Who", "Whoever", "Whose"];

/// What is wrong with a text.
fn findings(text: &str) -> Vec<String> {
    let words = words(text);
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let mut found = Vec::new();
    for phrase in PHRASES {
        let phrase_words: Vec<&str> = phrase.split(' ').collect();
        let bare = |word: &String| word.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        let hit = match phrase.strip_prefix("'s ") {
            Some(word) => lower.windows(2).any(|pair| pair[0].ends_with("'s") && bare(&pair[1]) == word),
            None => lower.windows(phrase_words.len()).any(|at| at.iter().map(bare).eq(phrase_words.iter().copied())),
        };
        if hit {
            found.push(format!("“{phrase}”"));
        }
    }
    for (index, three) in lower.windows(3).enumerate() {
        let negated = ["is", "are", "was", "were"].contains(&three[0].as_str()) && three[1] == "no";
        let there = index > 0 && lower[index - 1].trim_matches(|c: char| !c.is_alphanumeric()) == "there";
        let next = three[2].trim_matches(|c: char| !c.is_alphanumeric());
        if negated && !there && !AFTER_NO.contains(&next) {
            found.push(format!("“{} no {next}”: write “not a”", three[0]));
        }
    }
    for sentence in sentences(text) {
        let first = sentence.split_whitespace().next().unwrap_or_default();
        // Headings, labels and short phrases are not statements.
        let statement = sentence.ends_with('.') && sentence.split_whitespace().count() > 3;
        if statement && OPENERS.contains(&first) && !sentence.starts_with("Of course") {
            found.push(format!("a sentence that begins with “{first}”"));
        }
    }
    found
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.replace('’', "'")).collect()
}

/// The sentences of a text, each with its full stop.
fn sentences(text: &str) -> Vec<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = vec![String::new()];
    for word in text.split(' ') {
        let sentence = found.last_mut().unwrap();
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
        if word.ends_with(['.', '?', '!', ':']) {
            found.push(String::new());
        }
    }
    found
}

/// The text without what stands between backquotes: names, commands and examples.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" code ")
}

/// Comments and string literals of a Rust file, each with its first line. Comments on consecutive lines are one text.
fn texts_of_rust(source: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let (mut found, mut index, mut line) = (Vec::<(usize, String)>::new(), 0, 1);
    let mut last_comment = 0;
    while index < chars.len() {
        let start = line;
        match at(index) {
            '\n' => {
                line += 1;
                index += 1;
            }
            '/' if at(index + 1) == '/' => {
                let mut text = String::new();
                while index < chars.len() && at(index) != '\n' {
                    text.push(at(index));
                    index += 1;
                }
                let text = text.trim_start_matches(['/', '!']).trim().to_owned();
                match found.last_mut() {
                    Some((_, before)) if last_comment + 1 == line && last_comment > 0 => {
                        before.push(' ');
                        before.push_str(&text);
                    }
                    _ => found.push((start, text)),
                }
                last_comment = line;
            }
            '\'' if at(index + 1) == '\\' => {
                index += 3;
                while index < chars.len() && at(index) != '\'' {
                    index += 1;
                }
                index += 1;
            }
            '\'' if at(index + 2) == '\'' => index += 3,
            'r' if (at(index + 1) == '"' || at(index + 1) == '#')
                && !(index > 0 && at(index - 1).is_alphanumeric()) =>
            {
                let mut hashes = 0;
                while at(index + 1 + hashes) == '#' {
                    hashes += 1;
                }
                if at(index + 1 + hashes) != '"' {
                    index += 1;
                    continue;
                }
                index += 2 + hashes;
                let mut text = String::new();
                while index < chars.len() && !(at(index) == '"' && (1..=hashes).all(|more| at(index + more) == '#')) {
                    line += usize::from(at(index) == '\n');
                    text.push(at(index));
                    index += 1;
                }
                index += 1 + hashes;
                found.push((start, text));
                last_comment = 0;
            }
            '"' => {
                index += 1;
                let mut text = String::new();
                while index < chars.len() && at(index) != '"' {
                    line += usize::from(at(index) == '\n');
                    if at(index) == '\\' {
                        index += 1;
                        line += usize::from(at(index) == '\n');
                        text.push(if at(index) == '"' { '"' } else { ' ' });
                    } else {
                        text.push(at(index));
                    }
                    index += 1;
                }
                index += 1;
                found.push((start, text));
                last_comment = 0;
            }
            _ => index += 1,
        }
    }
    found
}

/// The lines of a document, without code blocks and what is generated from `src`; or of a script.
fn texts_of_lines(text: &str, markdown: bool) -> Vec<(usize, String)> {
    let (mut found, mut code) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        if markdown && line.starts_with("<!-- begin generated") {
            code = true;
        } else if markdown && line.starts_with("<!-- end generated") {
            code = false;
        } else if markdown && line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            // Cells of tables are not sentences, but phrases count there, too.
            let line = line.trim_start_matches([' ', '-', '*', '#', '/', '|', '>']);
            found.push((index + 1, line.to_owned()));
        }
    }
    found
}

fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, wanted, found);
        } else if wanted(&path) {
            found.push(path);
        }
    }
}

fn scanned() -> Vec<(String, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let extension = |path: &Path, wanted: &str| path.extension().is_some_and(|extension| extension == wanted);
    files(&project.join("src"), &|path| extension(path, "rs"), &mut found);
    for folder in ["docs", "scripts", "packaging"] {
        files(&project.join(folder), &|_| true, &mut found);
    }
    let at_the_top = std::fs::read_dir(project).unwrap().map(|entry| entry.unwrap().path());
    found.extend(at_the_top.filter(|path| extension(path, "md")));
    found
        .into_iter()
        // Pictures are not text.
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path.strip_prefix(project).unwrap().to_string_lossy().replace('\\', "/"), text))
        })
        .collect()
}

fn wrong() -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, text) in scanned() {
        let texts = if name.ends_with(".rs") {
            texts_of_rust(&text)
        } else {
            texts_of_lines(&text, name.ends_with(".md"))
        };
        for (line, text) in texts {
            for finding in findings(&without_code(&text)) {
                wrong.push(format!("{name}:{line}: {finding}"));
            }
        }
    }
    wrong
}

#[test]
fn no_text_contains_a_phrase_that_must_not_come_back() {
    let wrong = wrong();
    assert!(wrong.is_empty(), "rewrite these (see CONTRIBUTING.md):\n{}", wrong.join("\n"));
}

#[test]
fn no_type_has_a_name_that_must_not_come_back() {
    let mut wrong = Vec::new();
    for (name, text) in scanned().into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        for (index, line) in text.lines().enumerate() {
            for keyword in ["struct ", "enum ", "trait ", "type "] {
                let Some((before, rest)) = line.split_once(keyword) else { continue };
                let named = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                // A definition, and not a comment that mentions one.
                let definition = before.trim().is_empty() || before.trim().starts_with("pub");
                if definition && TYPES.contains(&named) {
                    wrong.push(format!("{name}:{}: {named}", index + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rename these (see the glossary):\n{}", wrong.join("\n"));
}

#[test]
fn each_rule_finds_its_phrase_and_leaves_good_text_alone() {
    for bad in [
        "a server that nobody approved",
        "the file of before is kept",
        "`x` is no server name",
        "It is told with the tool's schema.",
        "What of the chunk was not looked at.",
        "the system's word on that",
        "Lets it in at once.",
    ] {
        assert_eq!(findings(&without_code(bad)).len(), 1, "{bad}");
    }
    for good in [
        "There is no tray icon.",
        "The server is no longer running.",
        "What needs your approval?",
        "the previous file is kept",
        "a folder called `nobody`",
        "What it does",
    ] {
        assert_eq!(findings(&without_code(good)), Vec::<String>::new(), "{good}");
    }
}

#[test]
fn comments_and_strings_of_rust_are_found() {
    let source =
        "//! One\n//! two.\nfn f<'a>(c: char) { let s = \"a \\\"b\\\" c\"; '\"'; r#\"raw \"q\" x\"#; } // end\n";
    let texts: Vec<String> = texts_of_rust(source).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["One two.", "a \"b\" c", "raw \"q\" x", "end"]);
}

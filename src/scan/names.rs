//! Compares the name of a tool, and the tools that it mentions, with the tools of other servers.

use std::collections::{BTreeMap, BTreeSet};

use super::normal_text::{NormalText, fold};

/// A tool that another server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourTool {
    pub server: String,
    pub name: String,
    pub description: String,
}

/// The tools of all servers, by how their names look.
#[derive(Debug, Default)]
pub struct Neighbours {
    by_look: BTreeMap<String, Vec<NeighbourTool>>,
    names_of: BTreeMap<String, BTreeSet<String>>,
}

/// How a tool relates to one of another server.
#[derive(Debug, PartialEq, Eq)]
pub enum Relation<'a> {
    /// The name looks like that of the other tool but is spelt with other characters.
    LooksLike(&'a NeighbourTool),
    /// Same name, and nearly but not quite the same description.
    Imitates(&'a NeighbourTool),
}

impl Neighbours {
    pub fn of(tools: impl IntoIterator<Item = NeighbourTool>) -> Neighbours {
        let mut neighbours = Neighbours::default();
        for tool in tools {
            neighbours.names_of.entry(tool.server.clone()).or_default().insert(tool.name.clone());
            neighbours.by_look.entry(look(&tool.name)).or_default().push(tool);
        }
        neighbours
    }

    /// The tools of other servers that a tool could be taken for.
    pub fn relations<'a>(&'a self, server: &str, name: &str, description: &str) -> Vec<Relation<'a>> {
        let alike = self.by_look.get(&look(name)).into_iter().flatten();
        alike
            .filter(|other| other.server != server && !self.same_program(server, &other.server))
            .filter_map(|other| {
                if other.name != name {
                    // Two ways of writing the same words are a matter of style.
                    let differs = letters(&other.name) != letters(name);
                    return differs.then_some(Relation::LooksLike(other));
                }
                // A single word such as `add` is what many would call it.
                if !name.contains(['_', '-']) {
                    return None;
                }
                let imitates = other.description != description && similar(&other.description, description);
                imitates.then_some(Relation::Imitates(other))
            })
            .collect()
    }

    /// The first tool of another server whose name stands as a word in a text; `server` has no such tool itself.
    pub fn mentioned<'a>(&'a self, server: &str, text: &str) -> Option<(&'a NeighbourTool, std::ops::Range<usize>)> {
        let own = self.names_of.get(server);
        for word in text.split(|char: char| !(char.is_alphanumeric() || matches!(char, '_' | '-'))) {
            // A single word such as `search` says nothing about whose tool is meant.
            if !word.contains('_') && !word.contains('-') || own.is_some_and(|own| own.contains(word)) {
                continue;
            }
            let others = self.by_look.get(&look(word)).into_iter().flatten();
            if let Some(other) = others.into_iter().find(|other| other.server != server && other.name == word) {
                let start = word.as_ptr() as usize - text.as_ptr() as usize;
                return Some((other, start..start + word.len()));
            }
        }
        None
    }

    /// Two entries of one program share most of their tools: both of them are the person's own.
    fn same_program(&self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (self.names_of.get(one), self.names_of.get(other)) else {
            return false;
        };
        let shared = one.intersection(other).count();
        shared >= 3 && shared * 2 >= one.len().min(other.len())
    }
}

/// Whether a name mixes letters of two alphabets that look the same.
pub(super) fn mixes_alphabets(name: &str) -> bool {
    let latin = name.chars().any(|char| char.is_ascii_alphabetic());
    latin && name.chars().any(|char| !char.is_ascii() && fold(char).is_ascii_alphabetic())
}

/// A name reduced to how it looks at a glance.
fn look(name: &str) -> String {
    let folded: String = name.chars().flat_map(char::to_lowercase).map(fold).collect();
    let folded = folded.replace("rn", "m").replace("vv", "w");
    folded
        .chars()
        .filter_map(|char| match char {
            '-' | '_' | '.' => Some('_'),
            '0' => Some('o'),
            '1' | '|' => Some('l'),
            char if super::finding::is_invisible(char) => None,
            char => Some(char),
        })
        .collect()
}

fn letters(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether most of the words of two descriptions are the same.
fn similar(one: &str, other: &str) -> bool {
    let words = |text: &str| -> BTreeSet<String> {
        let normal = NormalText::of(text).text;
        normal
            .split(|char: char| !char.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (one, other) = (words(one), words(other));
    let shared = one.intersection(&other).count();
    shared >= 3 && shared * 10 >= one.union(&other).count() * 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(server: &str, name: &str, description: &str) -> NeighbourTool {
        NeighbourTool {
            server: server.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
        }
    }

    #[test]
    fn look_alikes_and_imitations_are_told_from_coincidences() {
        let bank = "Start a bank transfer between two accounts.";
        let all = Neighbours::of([
            tool("bank", "transfer_funds", bank),
            tool("mail", "send_mail", "Sends a mail."),
            tool("fs", "read_file", "Reads a file."),
            tool("kaggle", "list_models", "Browse the registry of machine-learning models."),
        ]);
        let relations = |name, description| all.relations("new", name, description);
        assert!(matches!(
            relations("transfer_funds", "start a Bank transfer between two accounts, fast")[..],
            [Relation::Imitates(_)]
        ));
        assert!(matches!(relations("send_rnail", "x")[..], [Relation::LooksLike(_)]));
        assert!(matches!(relations("re\u{430}d_file", "x")[..], [Relation::LooksLike(_)]));
        // The same program twice, and two programs with the same idea.
        assert_eq!(relations("transfer_funds", bank), []);
        assert_eq!(relations("list_models", "Lists speech voices with quality tiers."), []);
        assert_eq!(all.relations("bank", "transfer_funds", "x"), []);
        assert!(mixes_alphabets("re\u{430}d_file") && !mixes_alphabets("lire_été") && !mixes_alphabets("чтение"));
    }

    #[test]
    fn only_tools_of_other_servers_are_mentioned() {
        let all = Neighbours::of([tool("db", "query_database", ""), tool("own", "import_report", "")]);
        let text = "Run import_report, then query_database.";
        let (other, range) = all.mentioned("own", text).unwrap();
        assert_eq!((other.name.as_str(), &text[range]), ("query_database", "query_database"));
        assert!(all.mentioned("db", "Run query_database.").is_none());
        assert!(all.mentioned("own", "Run a query on the database.").is_none());
    }
}

//! Splits a query into the words to search for. Recognises values such as paths, URLs and quoted text, which count
//! less.

use crate::catalog::interner::Interner;
use crate::catalog::tokenizer::{Words, split};
use crate::catalog::translations;

/// One word to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryWord {
    /// The word in lower case.
    pub word: String,
    /// Its stem, as in the index.
    pub term: String,
    pub kind: WordKind,
    /// Whether an unknown word may be corrected. Names, values and foreign words are not.
    pub correctable: bool,
}

/// The origin of a word of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordKind {
    /// The text of the request.
    Word,
    /// A part of an unknown compound in the request, such as `pull` in `pullrequest`.
    Part,
    /// The English translation of a word of the request.
    Translation,
    /// A file path. Its words often say what the file is for.
    Path,
    /// A quoted value, URL, email address or number.
    Literal,
    /// The kind of value in the request: `url`, `email` or `file`.
    LiteralKind,
    /// The meaning of a file extension: `image` for `.png`.
    Extension,
}

/// Maximum number of words in a query whose capitalised words are corrected. In longer queries they are usually names.
const LONGEST_WITHOUT_NAMES: usize = 4;
/// Maximum number of words in a query that is corrected.
const LONGEST_CORRECTED: usize = 16;
/// Share of a query's Latin words, in tenths, that must be in the translation list for the query to count as a foreign
/// language.
const FOREIGN_TENTHS: usize = 4;

/// Returns the words of a query in order, each stem once.
///
/// If no tool contains a word of it (`is_unknown`), one word of the translation list is enough for a foreign language:
/// `Wetter in Berlin`.
pub fn parse(query: &str, words: &Words, is_unknown: bool) -> Vec<QueryWord> {
    let pieces = pieces(query);
    let latin = || pieces.iter().filter(|piece| piece.kind == WordKind::Word && piece.is_latin());
    let translated = latin().filter(|piece| !translations::of(piece.text).is_empty()).count();
    let is_foreign = translated > 0 && (is_unknown || translated * 10 >= latin().count() * FOREIGN_TENTHS);
    let mut found = Found {
        words,
        list: Vec::new(),
        places: Interner::new(),
    };
    for piece in &pieces {
        let name = piece.text.starts_with(char::is_uppercase) && pieces.len() > LONGEST_WITHOUT_NAMES;
        let correctable = piece.kind == WordKind::Word && !name && !is_foreign && pieces.len() <= LONGEST_CORRECTED;
        found.add(piece.text, piece.kind, correctable);
        if piece.kind == WordKind::Word && (is_foreign || !piece.is_latin()) {
            for english in translations::of(piece.text) {
                found.add(english, WordKind::Translation, false);
            }
        }
        for (text, kind) in &piece.about {
            found.add(text, *kind, false);
        }
    }
    found.list
}

struct Found<'a> {
    words: &'a Words,
    list: Vec<QueryWord>,
    /// The place of each term in the list.
    places: Interner,
}

impl Found<'_> {
    fn add(&mut self, text: &str, kind: WordKind, correctable: bool) {
        for word in split(text).filter(|word| !self.words.is_filler(word)) {
            let Some(term) = self.words.term(&word) else { continue };
            let (place, is_new) = self.places.add(&term);
            if is_new {
                self.list.push(QueryWord {
                    word,
                    term,
                    kind,
                    correctable,
                });
            } else if kind == WordKind::Word
                && let Some(known) = self.list.get_mut(place as usize)
            {
                // A word in the text of the request counts in full, even if a value contains it too.
                known.kind = kind;
            }
        }
    }
}

/// A word or value of a query.
#[derive(Debug)]
struct Piece<'a> {
    text: &'a str,
    kind: WordKind,
    /// Additional words: the value's kind, and the meaning of its extension.
    about: Vec<(&'static str, WordKind)>,
}

impl<'a> Piece<'a> {
    fn plain(text: &'a str, kind: WordKind) -> Piece<'a> {
        Piece {
            text,
            kind,
            about: Vec::new(),
        }
    }

    /// Classifies a word without spaces: a path, a URL or email address, a number, or a plain word.
    fn of(text: &'a str) -> Piece<'a> {
        let with = |kind, about: &[&'static str]| Piece {
            text,
            kind,
            about: about.iter().map(|word| (*word, WordKind::LiteralKind)).collect(),
        };
        let is_path = ["/", "~/", "./", "../"].iter().any(|start| text.starts_with(start)) || text.contains(":\\");
        let means = text.rsplit_once('.').filter(|(stem, _)| stem.ends_with(char::is_alphanumeric));
        let means = means.and_then(|(_, extension)| meaning_of_extension(&extension.to_ascii_lowercase()));
        if text.contains("://") || text.starts_with("www.") {
            with(WordKind::Literal, &["url"])
        } else if text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.')) {
            with(WordKind::Literal, &["email"])
        } else if is_domain(text) {
            with(WordKind::Literal, &["url"])
        } else if means.is_some() || (text.len() > 2 && is_path) || text.matches('/').count() >= 2 {
            let mut piece = with(WordKind::Path, &["file"]);
            piece.about.extend(means.map(|words| (words, WordKind::Extension)));
            piece
        } else if text.len() >= 2 && text.chars().filter(char::is_ascii_digit).count() * 3 > text.len() {
            Piece::plain(text, WordKind::Literal)
        } else {
            Piece::plain(text, WordKind::Word)
        }
    }

    fn is_latin(&self) -> bool {
        self.text.chars().find(|c| c.is_alphabetic()).is_some_and(|c| c < '\u{250}')
    }
}

fn pieces(query: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = query;
    while let Some((before, inside, after)) = quoted(rest) {
        pieces.extend(plain_words(before).map(Piece::of));
        pieces.push(match Piece::of(inside.trim()) {
            piece if piece.kind == WordKind::Word => Piece::plain(inside, WordKind::Literal),
            piece => piece,
        });
        rest = after;
    }
    pieces.extend(plain_words(rest).map(Piece::of));
    pieces
}

fn plain_words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches([',', ';', '(', ')', '[', ']', '?', '!', '"']).trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
}

/// Splits a text at its first quoted value: returns the text before, the value, and the text after.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let mut previous = ' ';
    for (at, open) in text.char_indices() {
        let close = match open {
            '"' | '`' => Some(open),
            '“' | '„' => Some('”'),
            '«' => Some('»'),
            '「' => Some('」'),
            // An apostrophe inside a word is not a quotation mark.
            '\'' if !previous.is_alphanumeric() => Some('\''),
            _ => None,
        };
        previous = open;
        let Some(close) = close else { continue };
        let body = text.get(at + open.len_utf8()..)?;
        let ends = body.char_indices().filter(|(_, c)| *c == close).find(|(end, c)| {
            let next = body.get(end + c.len_utf8()..).and_then(|rest| rest.chars().next());
            close != '\'' || next.is_none_or(|next| !next.is_alphanumeric())
        });
        if let Some((end, c)) = ends {
            return Some((text.get(..at)?, body.get(..end)?, body.get(end + c.len_utf8()..)?));
        }
    }
    None
}

fn is_domain(text: &str) -> bool {
    const ENDINGS: [&str; 9] = ["com", "org", "net", "io", "dev", "ai", "app", "edu", "gov"];
    text.rsplit_once('.').is_some_and(|(name, ending)| !name.is_empty() && ENDINGS.contains(&ending))
}

/// Returns the words that tools use for files with this extension.
fn meaning_of_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "pdf" => "pdf",
        "doc" | "docx" | "odt" => "word document",
        "xls" | "xlsx" | "ods" => "excel spreadsheet",
        "ppt" | "pptx" | "odp" => "powerpoint presentation",
        "csv" | "tsv" => "csv",
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "svg" | "bmp" => "image",
        "mp3" | "wav" | "flac" | "ogg" | "m4a" => "audio",
        "mp4" | "mov" | "avi" | "mkv" | "webm" => "video",
        "md" => "markdown",
        "html" | "htm" => "html",
        "json" => "json",
        "xml" => "xml",
        "yaml" | "yml" => "yaml",
        "txt" | "log" => "text",
        "zip" | "tar" | "gz" => "archive",
        "py" => "python code",
        "js" | "ts" | "rs" | "go" | "java" | "c" | "cpp" => "code",
        "sql" | "db" | "sqlite" => "sql database",
        "sh" => "shell script",
        "ipynb" => "notebook",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(query: &str) -> Vec<(String, WordKind)> {
        parse(query, &Words::english(), false).into_iter().map(|word| (word.word, word.kind)).collect()
    }

    fn of_kind(query: &str, kind: WordKind) -> Vec<String> {
        words(query).into_iter().filter(|(_, found)| *found == kind).map(|(word, _)| word).collect()
    }

    #[test]
    fn values_are_distinguished_from_the_words_of_the_request() {
        use WordKind::{Extension, Literal, LiteralKind, Path, Word};
        let query = "Please open 'weekly report' from https://example.com/a and save it to /root/pics/cat.png";
        assert_eq!(of_kind(query, Word), ["open", "save"]);
        assert_eq!(of_kind(query, Literal), ["weekly", "report", "https", "example", "com"]);
        assert_eq!(of_kind(query, Path), ["root", "pics", "cat", "png"]);
        assert_eq!(of_kind(query, LiteralKind), ["url", "file"]);
        assert_eq!(of_kind(query, Extension), ["image"]);
        assert_eq!(of_kind("mail a@example.org about 2025-11-29", LiteralKind), ["email"]);
        assert_eq!(of_kind("don't split what's joined", Literal), Vec::<String>::new());
        assert_eq!(of_kind("go to google.com", LiteralKind), ["url"]);
    }

    #[test]
    fn identifiers_are_split_and_each_word_is_searched_once() {
        assert_eq!(of_kind("createIssue create_issue issues", WordKind::Word), ["create", "issue"]);
        let correctable = |query: &str| -> Vec<bool> {
            parse(query, &Words::english(), false).into_iter().map(|word| word.correctable).collect()
        };
        assert_eq!(correctable("Creat isue"), [true, true]);
        assert_eq!(correctable("weather forecast for the city of Romme"), [true, true, true, false]);
    }

    #[test]
    fn foreign_words_are_translated_and_english_ones_are_not() {
        let translated = |query| of_kind(query, WordKind::Translation);
        assert_eq!(translated("buscar archivos"), ["search", "file"]);
        assert_eq!(translated("lösche die Datei"), ["delete", "file"]);
        assert_eq!(translated("读取文件"), ["read", "file"]);
        assert_eq!(translated("удалить файл"), ["delete", "file"]);
        assert!(translated("Wetter in Berlin").is_empty(), "one word of three may be a name");
        let unknown = parse("Wetter in Berlin", &Words::english(), true);
        assert!(unknown.iter().any(|word| word.word == "weather"), "{unknown:?}");
        assert!(translated("search the files").is_empty());
        assert!(translated("read a document about pasta, images and notes").is_empty());
    }
}

//! Weights for ranking tools.

/// Number of a tool's text fields: server, name, title and description, parameters, their descriptions.
pub const FIELDS: usize = 5;

/// The weights of a search index. `docs/search-quality.md` records how they were chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Weight of each field, in the order of [`FIELDS`].
    pub fields: [f32; FIELDS],
    /// BM25's k1: how quickly further occurrences of a word lose weight.
    pub k1: f32,
    /// BM25's b: how much long fields are penalised.
    pub b: f32,
    /// Weight of a synonym, relative to the word itself.
    pub synonym: f32,
    /// Synonyms count less in queries with more words than this.
    pub short_query: f32,
    /// How quickly the weight of synonyms falls with the number of words; 0 means not at all.
    pub long_query: f32,
    /// Weight of a term that shares its prefix with an unknown word.
    pub prefix: f32,
    /// Weight of a term that differs from an unknown word by one typing mistake; two mistakes count half.
    pub spelling: f32,
    /// Weight of each part of an unknown compound, such as `pullrequest`.
    pub parts: f32,
    /// Whether to index compounds in tool names, such as `getweather`, also by their parts.
    pub split_names: bool,
    /// Weight of a word inside a quoted value, URL, email address or number.
    pub literal: f32,
    /// Weight of a word inside a file path.
    pub path: f32,
    /// Weight of the word for a value's kind: `url`, `email`, `file`.
    pub literal_kind: f32,
    /// Weight of the word for a file's extension: `image` for `.png`.
    pub extension: f32,
    /// Weight of the English translation of a word.
    pub translation: f32,
    /// Gain for a tool whose whole name is in the query.
    pub whole_name: f32,
    /// Gain for a tool that matches every word of the query.
    pub coverage: f32,
}

impl Weights {
    /// The weights in use.
    pub const CHOSEN: Weights = Weights {
        fields: [1.5, 3.0, 1.0, 0.65, 0.65],
        k1: 1.2,
        b: 0.75,
        synonym: 0.6,
        short_query: 8.0,
        long_query: 0.75,
        prefix: 0.5,
        spelling: 0.9,
        parts: 0.8,
        split_names: true,
        literal: 0.7,
        path: 0.6,
        literal_kind: 1.0,
        extension: 1.0,
        translation: 0.9,
        whole_name: 0.6,
        coverage: 0.6,
    };
}

impl Default for Weights {
    fn default() -> Weights {
        Weights::CHOSEN
    }
}

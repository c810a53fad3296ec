//! The rules for each value of a payload. The types carry these rules, so that the types, the byte-level check (net 1)
//! and the JSON Schema always agree.

use serde_json::{Map, Value, json};

/// The rule for one value of a payload.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    Bool,
    /// `true`, `false` or `null` (unknown).
    BoolOrNull,
    /// A whole number from 0 to this maximum.
    Count(u64),
    /// One of a closed set of values.
    Words(&'static [&'static str]),
    /// A closed grammar of ASCII characters without free text.
    Pattern(&'static Pattern),
    /// An object with only these keys.
    Object(&'static [Field]),
    /// An object whose keys all match one rule.
    Map {
        key: &'static Rule,
        value: &'static Rule,
    },
    /// An array of distinct values.
    List {
        of: &'static Rule,
        longest: usize,
    },
}

/// One key of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    /// Meaning, with an example.
    pub doc: &'static str,
    /// Whether the key may be absent.
    pub optional: bool,
    pub rule: &'static Rule,
}

/// A closed grammar: a function for the check and an anchored expression for the schema.
#[derive(Debug, Clone, Copy)]
pub struct Pattern {
    pub name: &'static str,
    /// ECMA 262, anchored at both ends.
    pub expression: &'static str,
    pub matches: fn(&str) -> bool,
}

/// A type with a rule for its values.
pub trait Allowed {
    const RULE: Rule;
}

impl Allowed for bool {
    const RULE: Rule = Rule::Bool;
}

impl Rule {
    /// The rule as JSON Schema (draft 2020-12).
    pub fn schema(&self) -> Value {
        match self {
            Rule::Bool => json!({"type": "boolean"}),
            Rule::BoolOrNull => json!({"type": ["boolean", "null"]}),
            Rule::Count(most) => json!({"type": "integer", "minimum": 0, "maximum": most}),
            Rule::Words(words) => json!({"type": "string", "enum": words}),
            Rule::Pattern(pattern) => json!({"type": "string", "pattern": pattern.expression, "maxLength": 64}),
            Rule::Object(fields) => object_schema(fields),
            Rule::Map { key, value } => {
                json!({"type": "object", "propertyNames": key.schema(), "additionalProperties": value.schema()})
            }
            Rule::List { of, longest } => {
                json!({"type": "array", "items": of.schema(), "maxItems": longest, "uniqueItems": true})
            }
        }
    }

    /// Calls `each` with every value that the rule lists: members of closed sets and names of keys.
    pub fn words(&self, each: &mut impl FnMut(&'static str)) {
        match self {
            Rule::Words(words) => words.iter().for_each(|word| each(word)),
            Rule::Object(fields) => {
                for field in *fields {
                    each(field.name);
                    field.rule.words(each);
                }
            }
            Rule::Map { key, value } => {
                key.words(each);
                value.words(each);
            }
            Rule::List { of, .. } => of.words(each),
            Rule::Bool | Rule::BoolOrNull | Rule::Count(_) | Rule::Pattern(_) => {}
        }
    }
}

fn object_schema(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = field.rule.schema();
        if let (Value::Object(schema), false) = (&mut schema, field.doc.is_empty()) {
            schema.insert("description".into(), field.doc.trim().into());
        }
        properties.insert(field.name.into(), schema);
    }
    let required: Vec<_> = fields.iter().filter(|field| !field.optional).map(|field| field.name).collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

/// Declares an object of the payload: the struct, its serialization and its rule, from one list of fields.
///
/// `pub field: Type` is always written; `pub field?optional: Type` is left out when it is empty.
macro_rules! allowed_object {
    (
        $(#[doc = $about:literal])*
        pub struct $Name:ident { $( $(#[doc = $doc:literal])* pub $field:ident $(? $optional:tt)? : $Type:ty, )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $Name { $( $(#[doc = $doc])* pub $field: allowed_object!(@type $Type $(, $optional)?), )* }

        impl $crate::telemetry::payload::schema::Allowed for $Name {
            const RULE: $crate::telemetry::payload::schema::Rule = $crate::telemetry::payload::schema::Rule::Object(&[ $(
                $crate::telemetry::payload::schema::Field {
                    name: stringify!($field),
                    doc: concat!($($doc),*),
                    optional: allowed_object!(@optional $($optional)?),
                    rule: &<$Type as $crate::telemetry::payload::schema::Allowed>::RULE,
                },
            )* ]);
        }

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $( allowed_object!(@entry map, self, $field $(, $optional)?); )*
                map.end()
            }
        }
    };
    (@type $Type:ty) => { $Type };
    (@type $Type:ty, $optional:tt) => { Option<$Type> };
    (@optional) => { false };
    (@optional $optional:tt) => { true };
    (@entry $map:ident, $self:ident, $field:ident) => { $map.serialize_entry(stringify!($field), &$self.$field)? };
    (@entry $map:ident, $self:ident, $field:ident, $optional:tt) => {
        if let Some(value) = &$self.$field { $map.serialize_entry(stringify!($field), value)?; }
    };
}

/// Declares a closed set of values as an enum.
macro_rules! allowed_words {
    ($(#[doc = $about:literal])* pub enum $Name:ident { $( $Word:ident = $word:literal, )* }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
        pub enum $Name { $( #[serde(rename = $word)] $Word, )* }

        impl $crate::telemetry::payload::schema::Allowed for $Name {
            const RULE: $crate::telemetry::payload::schema::Rule = $crate::telemetry::payload::schema::Rule::Words(&[ $($word),* ]);
        }

        impl $Name {
            /// The member with this value.
            pub fn from_word(word: &str) -> Option<$Name> {
                match word { $( $word => Some($Name::$Word), )* _ => None }
            }
        }
    };
}

pub(crate) use {allowed_object, allowed_words};

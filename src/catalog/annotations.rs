//! Tool annotations. A missing annotation counts as its most dangerous value, as MCP specifies.

use rmcp::model::ToolAnnotations;
use serde::Serialize;

/// The annotations of one tool that matter here; `None` if the server did not set them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    read_only: Option<bool>,
    destructive: Option<bool>,
    open_world: Option<bool>,
}

impl Hints {
    /// Reads the hints from a tool's annotations.
    pub fn of(annotations: Option<&ToolAnnotations>) -> Hints {
        let hint = |read: fn(&ToolAnnotations) -> Option<bool>| annotations.and_then(read);
        Hints {
            read_only: hint(|a| a.read_only_hint),
            destructive: hint(|a| a.destructive_hint),
            open_world: hint(|a| a.open_world_hint),
        }
    }

    fn may_write(self) -> bool {
        self.read_only != Some(true)
    }

    /// Whether the tool may be destructive. A read-only tool never is, whatever its other annotations say.
    fn may_destroy(self) -> bool {
        self.may_write() && self.destructive != Some(false)
    }

    fn may_reach_out(self) -> bool {
        self.open_world != Some(false)
    }
}

/// A kind of tool that a search can exclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    ReadOnlyOnly,
    ExcludeDestructive,
    ExcludeOpenWorld,
}

impl Filter {
    /// All filters, in the order in which they are checked.
    pub const ALL: [Filter; 3] = [
        Filter::ReadOnlyOnly,
        Filter::ExcludeDestructive,
        Filter::ExcludeOpenWorld,
    ];

    /// Returns the filter's parameter name.
    pub const fn name(self) -> &'static str {
        match self {
            Filter::ReadOnlyOnly => "read_only_only",
            Filter::ExcludeDestructive => "exclude_destructive",
            Filter::ExcludeOpenWorld => "exclude_open_world",
        }
    }
}

/// The filters of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filters {
    pub read_only_only: bool,
    pub exclude_destructive: bool,
    pub exclude_open_world: bool,
}

/// Why a tool is excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    pub filter: Filter,
    /// Whether the server set the annotation explicitly; false if it is missing.
    pub said: bool,
}

impl Filters {
    /// Returns the first filter that excludes a tool with these hints.
    pub fn withhold(self, hints: Hints) -> Option<Withheld> {
        let withheld = |filter, said| Some(Withheld { filter, said });
        if self.read_only_only && hints.may_write() {
            withheld(Filter::ReadOnlyOnly, hints.read_only.is_some())
        } else if self.exclude_destructive && hints.may_destroy() {
            withheld(Filter::ExcludeDestructive, hints.destructive.is_some())
        } else if self.exclude_open_world && hints.may_reach_out() {
            withheld(Filter::ExcludeOpenWorld, hints.open_world.is_some())
        } else {
            None
        }
    }
}

/// The risk that all tools together pose if an attacker's text reaches a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SessionRisk {
    pub level: RiskLevel,
    pub lethal_trifecta: bool,
    pub has_open_world_tools: bool,
    pub has_destructive_tools: bool,
    pub has_write_tools: bool,
}

/// The number of present risks: all three, two, or fewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    #[default]
    Low,
    Medium,
    High,
}

impl SessionRisk {
    /// The warning for models that request it.
    pub const WARNING: &str = "LETHAL TRIFECTA: the tools of all servers together reach outside, destroy and write. Text that \
        an attacker planted in a tool's result could use them against the user. The filters read_only_only, \
        exclude_destructive and exclude_open_world leave such tools out of a search.";

    /// Returns the risk of tools with these hints.
    pub fn of(tools: &[Hints]) -> SessionRisk {
        let has_open_world_tools = tools.iter().any(|hints| hints.may_reach_out());
        let has_destructive_tools = tools.iter().any(|hints| hints.may_destroy());
        let has_write_tools = tools.iter().any(|hints| hints.may_write());
        let level =
            match [has_open_world_tools, has_destructive_tools, has_write_tools].into_iter().filter(|is| *is).count() {
                3 => RiskLevel::High,
                2 => RiskLevel::Medium,
                _ => RiskLevel::Low,
            };
        SessionRisk {
            level,
            lethal_trifecta: level == RiskLevel::High,
            has_open_world_tools,
            has_destructive_tools,
            has_write_tools,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(read_only: Option<bool>, destructive: Option<bool>, open_world: Option<bool>) -> Hints {
        Hints {
            read_only,
            destructive,
            open_world,
        }
    }

    #[test]
    fn a_tool_without_annotations_passes_no_filter() {
        for filter in Filter::ALL {
            let filters = Filters {
                read_only_only: filter == Filter::ReadOnlyOnly,
                exclude_destructive: filter == Filter::ExcludeDestructive,
                exclude_open_world: filter == Filter::ExcludeOpenWorld,
            };
            assert_eq!(filters.withhold(Hints::default()), Some(Withheld { filter, said: false }));
            assert_eq!(Filters::default().withhold(Hints::default()), None);
        }
    }

    #[test]
    fn a_missing_annotation_is_distinguished_from_an_explicit_one() {
        let filters = Filters {
            exclude_destructive: true,
            exclude_open_world: true,
            ..Filters::default()
        };
        let said = |filter| Some(Withheld { filter, said: true });
        assert_eq!(filters.withhold(hints(Some(false), Some(true), None)), said(Filter::ExcludeDestructive));
        assert_eq!(filters.withhold(hints(Some(true), None, Some(true))), said(Filter::ExcludeOpenWorld));
        assert_eq!(filters.withhold(hints(Some(true), Some(true), Some(false))), None);
    }

    #[test]
    fn the_risk_is_of_all_tools_together() {
        let (reads, writes) = (hints(Some(true), None, Some(true)), hints(Some(false), Some(false), Some(false)));
        assert_eq!(SessionRisk::of(&[]), SessionRisk::default());
        assert_eq!(SessionRisk::of(&[reads]).level, RiskLevel::Low);
        let both = SessionRisk::of(&[reads, writes]);
        assert_eq!((both.level, both.lethal_trifecta, both.has_destructive_tools), (RiskLevel::Medium, false, false));
        let unsaid = SessionRisk::of(&[reads, Hints::default()]);
        assert_eq!((unsaid.level, unsaid.lethal_trifecta), (RiskLevel::High, true));
        let shown = serde_json::to_value(unsaid).unwrap();
        assert_eq!((&shown["level"], &shown["has_write_tools"]), (&"high".into(), &true.into()));
    }
}

//! Decides whether telemetry may record or send anything, and explains the decision. A pure function.
//!
//! Any "off" wins, and nothing overrides it. CI is a kind of environment and not an opt-out.

use crate::contract::flag::is_on;
use crate::contract::words::SendingNeeds;
use crate::telemetry::collector::Collector;

/// The inputs of the decision.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches<'a> {
    /// Value of `DO_NOT_TRACK`.
    pub do_not_track: Option<&'a str>,
    /// Value of `MCPPROXY_TELEMETRY`.
    pub own_variable: Option<&'a str>,
    /// `telemetry.enabled` of the configuration; absent means on.
    pub configured: Option<bool>,
    /// `telemetry.endpoint` of the configuration, else the packager's default.
    pub endpoint: Option<&'a str>,
    /// Whether the user has seen the notice.
    pub notice_shown: bool,
}

/// The decision and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consent {
    /// Telemetry records, stores and sends nothing.
    Off(OptOut),
    /// Telemetry records the activation funnel on this computer and sends nothing.
    Local(Waiting),
    /// Telemetry records the activation funnel and sends heartbeats to the collector.
    Send(Collector),
}

/// The source of an opt-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptOut {
    DoNotTrack,
    OwnVariable,
    /// `MCPPROXY_TELEMETRY` has an unknown value. It counts as off, with a warning.
    OwnVariableUnclear,
    Configuration,
}

/// The reason why nothing may be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    NoEndpoint,
    /// The endpoint is neither an HTTPS URL nor on this computer.
    BadEndpoint,
    NoticeNotShown,
}

impl Consent {
    /// Decides. Called at the start, before each heartbeat, and whenever one of the inputs changes.
    pub fn decide(switches: &Switches<'_>) -> Consent {
        if switches.do_not_track.is_some_and(is_on) {
            return Consent::Off(OptOut::DoNotTrack);
        }
        if let Some(reason) = switches.own_variable.and_then(own_opt_out) {
            return Consent::Off(reason);
        }
        if switches.configured == Some(false) {
            return Consent::Off(OptOut::Configuration);
        }
        match switches.endpoint.map(str::trim).filter(|endpoint| !endpoint.is_empty()).map(Collector::parse) {
            None => Consent::Local(Waiting::NoEndpoint),
            Some(None) => Consent::Local(Waiting::BadEndpoint),
            Some(Some(_)) if !switches.notice_shown => Consent::Local(Waiting::NoticeNotShown),
            Some(Some(collector)) => Consent::Send(collector),
        }
    }

    /// Whether the activation funnel may be recorded on this computer.
    pub fn may_record(&self) -> bool {
        !matches!(self, Consent::Off(_))
    }

    /// Whether a setting or a variable opts out.
    pub fn is_off(&self) -> bool {
        matches!(self, Consent::Off(_))
    }

    /// A value for machines: `on`, `off` or `waiting`.
    pub fn word(&self) -> &'static str {
        match self {
            Consent::Off(_) => "off",
            Consent::Local(_) => "waiting",
            Consent::Send(_) => "on",
        }
    }

    /// Returns the first condition that is not met before a report can be sent, if telemetry is on.
    pub fn needs(&self) -> Option<SendingNeeds> {
        match self {
            Consent::Off(_) | Consent::Send(_) => None,
            Consent::Local(Waiting::NoEndpoint) => Some(SendingNeeds::Endpoint),
            Consent::Local(Waiting::BadEndpoint) => Some(SendingNeeds::ValidEndpoint),
            Consent::Local(Waiting::NoticeNotShown) => Some(SendingNeeds::Notice),
        }
    }

    /// The reason, as a sentence for the user.
    pub fn reason(&self) -> &'static str {
        match self {
            Consent::Off(OptOut::DoNotTrack) => "Off: the environment variable DO_NOT_TRACK turns telemetry off.",
            Consent::Off(OptOut::OwnVariable) => {
                "Off: the environment variable MCPPROXY_TELEMETRY turns telemetry off."
            }
            Consent::Off(OptOut::OwnVariableUnclear) => {
                "Off: the environment variable MCPPROXY_TELEMETRY has an unknown value, which counts as off."
            }
            Consent::Off(OptOut::Configuration) => "Off: telemetry.enabled is false in the configuration.",
            Consent::Local(Waiting::NoEndpoint) => {
                "Nothing is sent: no telemetry.endpoint is set. Usage is only counted on this computer."
            }
            Consent::Local(Waiting::BadEndpoint) => {
                "Nothing is sent: telemetry.endpoint is neither an https URL nor on this computer. Usage is only counted on this \
                 computer."
            }
            Consent::Local(Waiting::NoticeNotShown) => "On, but nothing is sent before you have seen the notice.",
            Consent::Send(_) => "On: MCPProxy sends one report a day to telemetry.endpoint.",
        }
    }
}

/// `MCPPROXY_TELEMETRY`: an off value opts out, an on value changes nothing, and any other value counts as off.
fn own_opt_out(value: &str) -> Option<OptOut> {
    let value = value.trim();
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if value.is_empty() || is(&["1", "true", "yes", "on", "enabled"]) {
        None
    } else if is(&["0", "false", "no", "off", "disabled"]) {
        Some(OptOut::OwnVariable)
    } else {
        Some(OptOut::OwnVariableUnclear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_ON: Switches<'_> = Switches {
        do_not_track: None,
        own_variable: None,
        configured: None,
        endpoint: Some("https://collector.example/v1"),
        notice_shown: true,
    };

    #[test]
    fn do_not_track_is_any_value_except_off_values() {
        for value in ["1", "true", "yes", " 1 ", "please", "2"] {
            let consent = Consent::decide(&Switches {
                do_not_track: Some(value),
                own_variable: Some("1"),
                ..ALL_ON
            });
            assert_eq!(consent, Consent::Off(OptOut::DoNotTrack), "{value}");
        }
        for value in ["", " ", "0", "false", "FALSE", "no", "Off"] {
            assert_eq!(
                Consent::decide(&Switches {
                    do_not_track: Some(value),
                    ..ALL_ON
                })
                .word(),
                "on",
                "{value}"
            );
        }
    }

    #[test]
    fn our_own_variable_turns_telemetry_off_generously_and_never_on() {
        for value in ["0", "false", "No", "OFF", " disabled "] {
            let consent = Consent::decide(&Switches {
                own_variable: Some(value),
                ..ALL_ON
            });
            assert_eq!(consent, Consent::Off(OptOut::OwnVariable), "{value}");
        }
        let unclear = Consent::decide(&Switches {
            own_variable: Some("nope"),
            ..ALL_ON
        });
        assert_eq!(unclear, Consent::Off(OptOut::OwnVariableUnclear));
        for value in ["", "1", "true", "on", "yes"] {
            let refused = Switches {
                own_variable: Some(value),
                configured: Some(false),
                ..ALL_ON
            };
            assert_eq!(Consent::decide(&refused), Consent::Off(OptOut::Configuration), "{value}");
            assert_eq!(
                Consent::decide(&Switches {
                    configured: None,
                    ..refused
                })
                .word(),
                "on",
                "{value}"
            );
        }
    }

    #[test]
    fn nothing_is_sent_without_an_endpoint_or_before_the_notice() {
        for (endpoint, notice_shown, waiting, needs) in [
            (None, true, Waiting::NoEndpoint, "endpoint"),
            (Some("  "), true, Waiting::NoEndpoint, "endpoint"),
            (Some("ftp://x"), true, Waiting::BadEndpoint, "valid_endpoint"),
            (Some("http://collector.example"), true, Waiting::BadEndpoint, "valid_endpoint"),
            (Some("http://127.0.0.1:9"), false, Waiting::NoticeNotShown, "notice"),
        ] {
            let consent = Consent::decide(&Switches {
                endpoint,
                notice_shown,
                ..ALL_ON
            });
            assert_eq!(consent, Consent::Local(waiting));
            assert_eq!(consent.needs().as_ref().map(SendingNeeds::word), Some(needs));
            assert!(consent.may_record() && !consent.is_off());
        }
        let off = Consent::decide(&Switches {
            configured: Some(false),
            endpoint: None,
            ..ALL_ON
        });
        assert!(!off.may_record() && off.needs().is_none() && Consent::decide(&ALL_ON).needs().is_none());
    }
}

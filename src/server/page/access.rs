//! Access control of the web UI: one-time tickets, sessions, and form tokens. Times are parameters.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::contract::setup::Seen;

/// Lifetime of a ticket.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// Lifetime of a session.
pub const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// Maximum number of tickets and of sessions. The oldest is dropped first.
const MOST_TICKETS: usize = 16;
const MOST_SESSIONS: usize = 64;

/// The tickets and sessions of the running core. They are never stored, so a restart signs out every browser.
#[derive(Debug, Default)]
pub struct Access {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tickets: VecDeque<(String, Instant)>,
    sessions: HashMap<String, Session>,
}

#[derive(Debug)]
struct Session {
    since: Instant,
    form_token: String,
    notice: Option<Notice>,
    /// The steps of guided setup that the user has seen; `None` if the user is not in setup.
    setup: Option<Seen>,
}

/// A message for the next page of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub is_error: bool,
    pub text: String,
}

/// A valid session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    pub session: String,
    pub form_token: String,
    /// Whether the script updates an open page. The notice waits for the next page that the user opens.
    pub refreshes: bool,
}

impl Access {
    /// Issues a ticket.
    pub fn issue_ticket(&self, now: Instant) -> String {
        let ticket = secret();
        let mut kept = self.kept();
        kept.tickets.retain(|(_, since)| now.duration_since(*since) < TICKET_LIFE);
        if kept.tickets.len() >= MOST_TICKETS {
            kept.tickets.pop_front();
        }
        kept.tickets.push_back((ticket.clone(), now));
        ticket
    }

    /// Exchanges a ticket for a new session; `None` if the ticket was used, has expired or is unknown.
    pub fn redeem(&self, ticket: &str, now: Instant) -> Option<String> {
        {
            let mut kept = self.kept();
            let place = kept.tickets.iter().position(|(known, _)| same(known, ticket))?;
            let (_, since) = kept.tickets.remove(place)?;
            if now.duration_since(since) >= TICKET_LIFE {
                return None;
            }
        }
        Some(self.begin(now))
    }

    /// Starts a session and returns its secret.
    pub fn begin(&self, now: Instant) -> String {
        let session = secret();
        let mut kept = self.kept();
        kept.sessions.retain(|_, session| now.duration_since(session.since) < SESSION_LIFE);
        if kept.sessions.len() >= MOST_SESSIONS {
            let oldest = kept.sessions.iter().min_by_key(|(_, session)| session.since).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                kept.sessions.remove(&oldest);
            }
        }
        kept.sessions.insert(
            session.clone(),
            Session {
                since: now,
                form_token: secret(),
                notice: None,
                setup: None,
            },
        );
        session
    }

    /// Returns the session with this secret.
    pub fn visitor(&self, session: &str, now: Instant) -> Option<Visitor> {
        let mut kept = self.kept();
        let found = kept.sessions.get(session)?;
        if now.duration_since(found.since) >= SESSION_LIFE {
            kept.sessions.remove(session);
            return None;
        }
        Some(Visitor {
            session: session.to_owned(),
            form_token: found.form_token.clone(),
            refreshes: false,
        })
    }

    /// Ends a session.
    pub fn end(&self, session: &str) {
        self.kept().sessions.remove(session);
    }

    /// Stores a message for a session's next page.
    pub fn leave(&self, session: &str, notice: Notice) {
        if let Some(session) = self.kept().sessions.get_mut(session) {
            session.notice = Some(notice);
        }
    }

    /// Returns and removes the message for a session's next page.
    pub fn take_notice(&self, session: &str) -> Option<Notice> {
        self.kept().sessions.get_mut(session)?.notice.take()
    }

    /// Returns the steps of guided setup that a session has seen; `None` if its user is not in setup.
    pub fn setup(&self, session: &str) -> Option<Seen> {
        self.kept().sessions.get(session)?.setup
    }

    /// Stores the steps that a session has seen; `None` ends setup.
    pub fn set_setup(&self, session: &str, seen: Option<Seen>) {
        if let Some(session) = self.kept().sessions.get_mut(session) {
            session.setup = seen;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two secrets are equal, in constant time.
pub fn same(known: &str, given: &str) -> bool {
    !known.is_empty() && bool::from(known.as_bytes().ct_eq(given.as_bytes()))
}

/// Returns a secret with 244 random bits.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Returns the value of a cookie in a `Cookie` header.
pub fn cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether a request with side effects comes from a page of this origin (`scheme://host:port`). Browsers always send
/// `Origin` with such a request; a page of another port or site has another one.
pub fn is_same_origin(own: &str, origin: Option<&str>, fetch_site: Option<&str>) -> bool {
    match (origin, fetch_site) {
        (Some(origin), _) => origin.eq_ignore_ascii_case(own),
        (None, Some(site)) => site == "same-origin",
        (None, None) => false,
    }
}

/// Whether a `Host` header names this computer or a trusted host. Any other name may be DNS rebinding.
pub fn is_known_host(host: &str, trusted: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    let is_loopback = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost") || trusted.iter().any(|host| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_one_session_for_half_a_minute() {
        let (access, now) = (Access::default(), Instant::now());
        let ticket = access.issue_ticket(now);
        assert!(access.redeem("", now).is_none() && access.redeem("0", now).is_none());
        let session = access.redeem(&ticket, now).unwrap();
        assert!(access.redeem(&ticket, now).is_none(), "a stolen ticket that was used opens nothing");
        assert!(access.visitor(&session, now).is_some());
        let late = access.issue_ticket(now);
        assert!(access.redeem(&late, now + TICKET_LIFE).is_none());
    }

    #[test]
    fn a_session_ends_after_twelve_hours_or_when_the_user_signs_out() {
        let (access, now) = (Access::default(), Instant::now());
        let (first, second) = (access.begin(now), access.begin(now));
        assert_ne!(access.visitor(&first, now), access.visitor(&second, now));
        access.end(&first);
        assert!(access.visitor(&first, now).is_none());
        assert!(access.visitor(&second, now + SESSION_LIFE).is_none());
        for _ in 0..MOST_SESSIONS + 5 {
            access.begin(now);
        }
        assert_eq!(access.kept().sessions.len(), MOST_SESSIONS);
    }

    #[test]
    fn a_notice_is_shown_once() {
        let (access, now) = (Access::default(), Instant::now());
        let session = access.begin(now);
        let notice = Notice {
            is_error: false,
            text: "Saved.".to_owned(),
        };
        access.leave(&session, notice.clone());
        assert_eq!((access.take_notice(&session), access.take_notice(&session)), (Some(notice), None));
    }

    #[test]
    fn forms_of_other_ports_and_sites_are_refused() {
        let own = "http://127.0.0.1:8080";
        assert!(is_same_origin(own, Some(own), None));
        assert!(is_same_origin(own, None, Some("same-origin")));
        for (origin, site) in [
            (Some("http://127.0.0.1:9999"), Some("same-site")),
            (Some("http://evil.example"), Some("cross-site")),
            (Some("null"), None),
            (None, Some("same-site")),
            (None, None),
        ] {
            assert!(!is_same_origin(own, origin, site), "{origin:?} {site:?}");
        }
    }

    #[test]
    fn only_names_of_this_computer_are_hosts() {
        let trusted = ["box.lan".to_owned()];
        for host in [
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8080",
            "box.lan:80",
            "127.9.9.9",
        ] {
            assert!(is_known_host(host, &trusted), "{host}");
        }
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "", "192.168.1.2:8080"] {
            assert!(!is_known_host(host, &trusted), "{host}");
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(cookie("a=1; mcpproxy=x; b=2", "mcpproxy"), Some("x"));
        assert_eq!(cookie("xmcpproxy=x; mcpproxy_2=y", "mcpproxy"), None);
    }
}

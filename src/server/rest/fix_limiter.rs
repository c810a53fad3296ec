//! Refuses fixes that are requested too often.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::diagnostics::code::Code;
use crate::os::sync::lock;

/// Minimum time between two fixes of the same server and code.
const BETWEEN: Duration = Duration::from_secs(1);

/// The time at which each fix last ran.
#[derive(Debug, Default)]
pub struct FixLimiter {
    last: Mutex<HashMap<(String, Code), Instant>>,
}

impl FixLimiter {
    /// Whether a fix may run now.
    pub fn admit(&self, server: &str, code: Code, now: Instant) -> bool {
        let mut last = lock(&self.last);
        last.retain(|_, at| now.saturating_duration_since(*at) < BETWEEN);
        let fix = (server.to_owned(), code);
        let may_run = !last.contains_key(&fix);
        // A refused request does not extend the wait.
        if may_run {
            last.insert(fix, now);
        }
        may_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fix_of_a_server_and_code_runs_in_a_second() {
        let limiter = FixLimiter::default();
        let now = Instant::now();
        assert!(limiter.admit("a", Code::Http401, now));
        assert!(!limiter.admit("a", Code::Http401, now + Duration::from_millis(500)));
        assert!(limiter.admit("b", Code::Http401, now) && limiter.admit("a", Code::Http403, now));
        assert!(limiter.admit("a", Code::Http401, now + Duration::from_millis(1001)));
    }
}

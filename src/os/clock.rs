//! The current time. The computer's clock may be wrong by any amount, which must not end the program.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// The last time that is reported: it leaves room to add to it. The last day of the year 9998.
const LATEST: Timestamp = Timestamp::constant(253_370_678_400, 0);

/// The current time, or the nearest one between 1970 and 9998.
pub fn now() -> Timestamp {
    at(SystemTime::now())
}

/// The start of the last day of the year 9999, after 1970: a core that runs through that day would reach a time without a form.
const AFTER_HTTP: Duration = Duration::from_secs(253_402_214_400);

/// Whether HTTP can say what time it is: times before 1970 and after 9999 have no form, and the HTTP library does not run at them.
pub fn has_http_date() -> bool {
    is_of_http(SystemTime::now())
}

fn is_of_http(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since < AFTER_HTTP)
}

fn at(time: SystemTime) -> Timestamp {
    if time < SystemTime::from(Timestamp::UNIX_EPOCH) {
        return Timestamp::UNIX_EPOCH;
    }
    Timestamp::try_from(time).map_or(LATEST, |time| time.min(LATEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_clock_has_a_time() {
        let epoch = SystemTime::UNIX_EPOCH;
        for (time, text, of_http) in [
            (epoch + Duration::from_secs(1_000_000_000), "2001-09-09T01:46:40Z", true),
            (epoch - Duration::from_secs(1_000_000_000), "1970-01-01T00:00:00Z", false),
            (epoch + Duration::from_secs(253_384_000_000), "9998-12-31T00:00:00Z", true),
            (epoch + Duration::from_secs(253_402_300_800), "9998-12-31T00:00:00Z", false),
            (epoch + Duration::from_secs(900_000_000_000), "9998-12-31T00:00:00Z", false),
        ] {
            assert_eq!((at(time).to_string().as_str(), is_of_http(time)), (text, of_http));
        }
    }
}

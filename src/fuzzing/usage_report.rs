//! Properties of the collector that hold for any bytes sent as a usage report.

use std::net::IpAddr;

use crate::collector::admit::{Admission, Limits};
use crate::collector::judge::{Judged, LONGEST_BODY, Verdict, judge};
use crate::collector::lines;
use crate::collector::repeat::{Arrival, arrive};
use crate::collector::report::{Moment, Reached, Report};
use crate::collector::store::Entry;
use crate::telemetry::scan::strict_json;

/// When it is received: 2026-01-05, one o'clock.
const NOW: Moment = Moment(1_767_574_800_000);

/// A body of `/v1/heartbeat`: the decision does not depend on the time, only closed words are kept, and the journal, an
/// export and a repeat return the same report.
pub fn usage_report(body: &[u8]) {
    let verdict = judge(body, NOW);
    assert_eq!(verdict, judge(body, NOW));
    assert!(body.len() <= LONGEST_BODY || matches!(verdict, Verdict::Rejected(_)));
    match (&verdict, judge(&spaced(body), Moment(NOW.0 + 86_400_000))) {
        (Verdict::Report(one), Verdict::Report(other)) => {
            assert_eq!((one.id, one.machine, &one.unknown), (other.id, other.machine, &other.unknown));
            assert_eq!((one.facts.reached, &one.facts.version), (other.facts.reached, &other.facts.version));
            assert_ne!(one.hash, other.hash, "other bytes");
        }
        (Verdict::Rejected(_), Verdict::Rejected(_)) => {}
        // The added space may exceed the limit.
        (_, Verdict::Rejected(rejection)) => assert_eq!(rejection.status, 413),
        (one, other) => assert_eq!(*one, other),
    }
    match verdict {
        Verdict::Rejected(rejection) => {
            assert!(matches!(rejection.status, 400 | 413), "{rejection:?}");
            assert!(!rejection.reason.is_empty() && rejection.field.len() < 100, "{rejection:?}");
        }
        Verdict::OptOut(_) => assert!(strict_json::read(body).is_some()),
        Verdict::Report(judged) => report(body, *judged),
    }
    line(body);
}

fn spaced(body: &[u8]) -> Vec<u8> {
    [body, b" "].concat()
}

fn report(body: &[u8], judged: Judged) {
    let facts = &judged.facts;
    let is_closed = |letter: u8| letter.is_ascii_alphanumeric() || b".+-".contains(&letter);
    assert!(facts.version.len() <= 64 && facts.version.bytes().all(is_closed), "{facts:?}");
    assert!(facts.clients.len() <= 16 && facts.clients.is_sorted(), "{facts:?}");
    assert_eq!(facts.reached, Reached::default().and(facts.reached), "a connected server is a configured one");
    assert!(judged.unknown.len() <= 32, "{judged:?}");
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"_.:*".contains(&letter);
    assert!(judged.unknown.iter().all(|path| path.len() < 200 && path.bytes().all(is_plain)), "{judged:?}");

    let report = Report {
        id: judged.id,
        machine: judged.machine,
        received: NOW,
        hash: judged.hash,
        suspect: false,
        facts: judged.facts,
        unknown: judged.unknown,
    };
    let entry = Entry::Report(Box::new(report.clone()));
    let written = serde_json::to_vec(&entry).unwrap();
    assert_eq!(serde_json::from_slice::<Entry>(&written).unwrap(), entry, "the journal");
    let mut bodies = Vec::new();
    assert_eq!(arrive(&mut bodies, &report), Arrival::New);
    assert_eq!(arrive(&mut bodies, &report), Arrival::Known);
    let stored = crate::collector::store::Stored {
        bodies,
        opted_out: None,
    };
    for line in lines::of_id(report.id, &stored) {
        let again = lines::read(&serde_json::to_string(&line).unwrap()).unwrap();
        assert_eq!(again, entry, "the export of {:?}", String::from_utf8_lossy(body));
    }
    let mut admission = Admission::new(Limits::default(), [7; 32]);
    let source = IpAddr::from([198, 51, 100, 7]);
    assert_eq!(admission.admit(source, report.id, true, 0), Ok(()));
}

/// The same bytes as a line of a file for `replay`.
fn line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = lines::read(text);
    let line = serde_json::json!({"received_at": NOW.to_string(), "src": "x", "body": text}).to_string();
    let read = lines::read(&line).unwrap();
    match (read, judge(bytes, NOW)) {
        (Entry::Report(report), Verdict::Report(judged)) => {
            assert_eq!((report.id, report.hash), (judged.id, judged.hash));
        }
        (Entry::OptOut { id, .. }, Verdict::OptOut(other)) => assert_eq!(id, other),
        (Entry::Count { name, .. }, Verdict::Rejected(rejection)) => {
            assert_eq!(name, format!("rejected:{}", rejection.reason));
        }
        (read, verdict) => panic!("{read:?} and {verdict:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1e999",
        "1.5",
        "NaN",
        "4294967296",
        "\"anonymous_id\":\"812542bd-c65b-42f3-91d6-af87164cc28b\",",
        "\"anonymous_id\":\"812542BD-C65B-42F3-91D6-AF87164CC28B\"",
        "\"anonymous_id\":",
        "\"version\":\"0.5.0\",",
        "\"version\":\"1.2.3-dev+ann\",",
        "\"os\":\"linux\",",
        "\"env_kind\":\"interactive\",",
        "\"env_kind\":",
        "\"env_markers\":{\"has_tty\":true},",
        "\"env_markers\":",
        "\"schema_version\":3,",
        "\"schema_version\":300,",
        "\"server_count\":",
        "\"timestamp\":\"9999-12-31T23:59:59Z\",",
        "\"timestamp\":\"1970-01-01T00:00:00Z\",",
        "\"event\":\"telemetry_disabled\"",
        "\"machine_id\":\"abababababababababababababababababababababababababababababababab\",",
        "\"activation\":{\"first_mcp_client_ever\":true,\"mcp_clients_seen_ever\":[\"codex\",\"acme\"]},",
        "\"builtin_tool_calls\":{\"retrieve_tools\":7},",
        "\"new_thing\":1,",
        "\"/home/ann\":1,",
        "\"last\":0}",
        "\\u0000",
        "ü",
        "\u{feff}",
    ];

    /// Reports as they come, with a piece or two that do not belong there.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            12 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..3),
        ];
        let pieces = proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat());
        let whole = proptest::sample::subsequence(&PIECES[17..], 0..12)
            .prop_map(|pieces| ["{", PIECES[17], &pieces.concat(), "\"last\":0}"].concat().into_bytes());
        prop_oneof![pieces, whole]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn any_report(bytes in bodies()) { usage_report(&bytes); }
    }

    #[test]
    fn whole_reports_are_among_what_is_tried() {
        usage_report(["{", PIECES[17], "\"last\":0}"].concat().as_bytes());
        assert!(matches!(judge(["{", PIECES[17], "\"last\":0}"].concat().as_bytes(), NOW), Verdict::Report(_)));
        usage_report(&[b'['; 10_000]);
        usage_report(&vec![b' '; LONGEST_BODY + 1]);
    }
}

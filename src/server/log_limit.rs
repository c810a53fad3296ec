//! Limits the lines about one server in the core's log: a server must neither fill the disk nor displace other lines.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Mutex;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::contract::visible_text::one_line;
use crate::os::sync::lock;
use crate::upstream::session::rate_limit::{Decision, RateLimit};

/// Maximum number of sources with a limit. One more clears them all.
const MOST: usize = 10_000;

/// Formats events, and drops those of a source that logs too much. A source is a server, or a module for other events.
pub(super) struct Limited<F> {
    inner: F,
    limits: Mutex<HashMap<String, RateLimit>>,
    now: fn() -> Instant,
}

impl<F> Limited<F> {
    pub(super) fn new(inner: F) -> Limited<F> {
        Limited {
            inner,
            limits: Mutex::default(),
            now: Instant::now,
        }
    }

    fn decide(&self, source: &str, is_server: bool, bytes: usize) -> Decision {
        let mut limits = lock(&self.limits);
        if !limits.contains_key(source) {
            if limits.len() >= MOST {
                limits.clear();
            }
            limits.insert(source.to_owned(), limit(is_server));
        }
        limits.get_mut(source).map_or(Decision::Pass, |limit| limit.take((self.now)(), bytes))
    }
}

/// 100 lines at once for a server and one every two seconds: about 10 MB a day. A module speaks for all servers.
fn limit(is_server: bool) -> RateLimit {
    if is_server {
        RateLimit::new((100.0, 0.5), (f64::from(64 << 10), 128.0))
    } else {
        RateLimit::new((1000.0, 5.0), (f64::from(1 << 20), 1024.0))
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // The user asked for the details.
        if *event.metadata().level() > Level::INFO {
            return self.inner.format_event(context, writer, event);
        }
        let mut source = Source::default();
        event.record(&mut source);
        let name = source.server.as_deref();
        match self.decide(name.unwrap_or(event.metadata().target()), name.is_some(), source.bytes) {
            Decision::Pass => self.inner.format_event(context, writer, event),
            Decision::Drop { report: false } => Ok(()),
            Decision::Drop { report: true } => {
                let name = one_line(name.unwrap_or(event.metadata().target()));
                let time = crate::os::clock::now();
                writeln!(writer, "{time:.6} WARN mcpproxy: dropping log lines about `{name}`: too many")
            }
        }
    }
}

/// The server of an event, and the length of its text.
#[derive(Default)]
struct Source {
    server: Option<String>,
    bytes: usize,
}

impl Visit for Source {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.bytes += value.len();
        if field.name() == "server" {
            self.server = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "server" {
            self.server = Some(format!("{value:?}"));
        }
        let mut length = Length(0);
        let _ = write!(length, "{value:?}");
        self.bytes += length.0;
    }
}

/// Counts what is written to it.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use tracing_subscriber::fmt::format;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(action: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let limited = Limited::new(format().with_ansi(false));
        let layer = tracing_subscriber::fmt::layer().event_format(limited).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), action);
        let bytes = lock(&written.0).clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_server_that_floods_the_log_leaves_room_for_others() {
        let lines = logged(|| {
            for number in 0..10_000 {
                tracing::warn!(server = "loud", "line {number}");
            }
            tracing::warn!(server = %"calm", "heard");
            tracing::info!("started");
        });
        let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert!((100..105).contains(&of("server=\"loud\"")), "{}", of("loud"));
        assert_eq!(of("dropping log lines about `loud`"), 1);
        assert_eq!((of("heard"), of("started")), (1, 1));
    }

    #[test]
    fn few_long_lines_are_a_flood_too() {
        let long = "x".repeat(10_000);
        let lines = logged(|| {
            for _ in 0..100 {
                tracing::warn!(server = "loud", "{long}");
            }
        });
        assert!(lines.iter().map(String::len).sum::<usize>() < 70_000);
    }
}

//! Serves HTTP on a listener, with limits on the number of connections and on their duration.
//!
//! The limit keeps file descriptors free for the local socket and for servers: thousands of TCP connections must not
//! lock out the user. At the limit, a new connection replaces the one that has been idle longest.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use crate::os::clock;

/// Timeout for a request's headers, and for an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Timeout for a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of open connections.
    connections: usize,
    /// Timeout for a request's headers, and for an idle connection.
    headers: Duration,
}

impl Limits {
    /// Default timeouts, with this maximum number of connections.
    pub fn of_connections(connections: usize) -> Limits {
        Limits {
            connections,
            headers: HEADER_TIMEOUT,
        }
    }
}

/// Serves until `stop`, then lets the requests in flight finish.
pub async fn serve<L: Listener>(mut listener: L, router: Router, limits: Limits, stop: CancellationToken) {
    let open = Arc::new(Open::default());
    let tasks = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            (stream, _) = listener.accept() => stream,
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = open.make_room(limits.connections) => {}
        }
        tasks.spawn(connection(stream, router.clone(), open.clone(), limits.headers, stop.clone()));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn connection<S>(mut stream: S, router: Router, open: Arc<Open>, headers: Duration, stop: CancellationToken)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    if !clock::has_http_date() {
        let _ = stream.write_all(refusal().as_bytes()).await;
        return;
    }
    let registration = open.register();
    let state = registration.state.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut router, use_of) = (router.clone(), Arc::new(Use::of(state.clone())));
        async move {
            let request = request.map(|body| Body::new(TimedBody::new(body, use_of.clone())));
            let response = router.call(Request::from(request)).await;
            response.map(|response| until_sent(response, use_of))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(headers);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = poll_fn(|context| poll_at_valid_time(served.as_mut(), context)) => outcome,
        () = registration.state.close.cancelled() => return,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            poll_fn(|context| poll_at_valid_time(served.as_mut(), context)).await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Ends a connection if the clock jumps to a time that HTTP does not have: the library would panic.
fn poll_at_valid_time<F>(served: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output>
where
    F: Future<Output = hyper::Result<()>>,
{
    if clock::has_http_date() { served.poll(context) } else { Poll::Ready(Ok(())) }
}

/// The response at a time that HTTP does not have.
fn refusal() -> String {
    const WHY: &str = "the clock of this computer shows a time before 1970 or after 9999: set the clock";
    static LOGGED: std::sync::Once = std::sync::Once::new();
    LOGGED.call_once(|| tracing::error!("could not serve a connection: {WHY}"));
    let body = serde_json::json!({"success": false, "error": WHY}).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// The open connections of one listener, least recently used first.
#[derive(Default)]
struct Open {
    connections: Mutex<VecDeque<Arc<ConnectionState>>>,
    /// Notifies when a connection has closed.
    closed: Notify,
}

#[derive(Default)]
struct ConnectionState {
    /// Number of requests whose responses have not been sent completely.
    busy: AtomicUsize,
    close: CancellationToken,
}

impl Open {
    fn connections(&self) -> MutexGuard<'_, VecDeque<Arc<ConnectionState>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(self: &Arc<Open>) -> Registration {
        let state = Arc::<ConnectionState>::default();
        self.connections().push_back(state.clone());
        Registration {
            open: self.clone(),
            state,
        }
    }

    /// Waits until fewer than `limit` connections are open. Closes idle ones if necessary.
    async fn make_room(&self, limit: usize) {
        loop {
            let closed = self.closed.notified();
            {
                let mut connections = self.connections();
                if connections.len() < limit {
                    return;
                }
                let idle = connections.iter().position(|state| state.busy.load(Ordering::Acquire) == 0);
                if let Some(state) = idle.and_then(|at| connections.remove(at)) {
                    state.close.cancel();
                    return;
                }
            }
            closed.await;
        }
    }
}

/// Registers an open connection; deregisters it on drop.
struct Registration {
    open: Arc<Open>,
    state: Arc<ConnectionState>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.open.connections().retain(|state| !Arc::ptr_eq(state, &self.state));
        self.open.closed.notify_waiters();
    }
}

/// Marks a connection as busy, from the end of a request until the end of its response.
struct Use {
    state: Arc<ConnectionState>,
    began: AtomicBool,
}

impl Use {
    fn of(state: Arc<ConnectionState>) -> Use {
        Use {
            state,
            began: AtomicBool::new(false),
        }
    }

    fn begin(&self) {
        if !self.began.swap(true, Ordering::AcqRel) {
            self.state.busy.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if *self.began.get_mut() {
            self.state.busy.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Keeps the connection busy until the response has been sent.
fn until_sent(response: Response, use_of: Arc<Use>) -> Response {
    response.map(|body| {
        if body.size_hint().exact().is_some() {
            return body;
        }
        Body::new(body.map_frame(move |frame| {
            let _ = &use_of;
            frame
        }))
    })
}

/// A request body with a timeout.
struct TimedBody {
    inner: Incoming,
    use_of: Arc<Use>,
    deadline: Pin<Box<Sleep>>,
}

impl TimedBody {
    fn new(inner: Incoming, use_of: Arc<Use>) -> TimedBody {
        if inner.is_end_stream() {
            use_of.begin();
        }
        TimedBody {
            inner,
            use_of,
            deadline: Box::pin(tokio::time::sleep_until(Instant::now() + BODY_TIMEOUT)),
        }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            if frame.is_none() || this.inner.is_end_stream() {
                this.use_of.begin();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.deadline.as_mut().poll(context).is_ready() {
            let text = format!("the request did not arrive within {} s", BODY_TIMEOUT.as_secs());
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, text).into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Starts a server with these limits; returns its address.
    async fn server(connections: usize, headers: Duration) -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new()
            .route("/", axum::routing::get(|| async { "here" }).post(|body: String| async { body }))
            .route("/slow", axum::routing::get(|| async { std::future::pending::<()>().await }));
        tokio::spawn(serve(listener, router, Limits { connections, headers }, stop.clone()));
        (address, stop)
    }

    async fn open(address: std::net::SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = vec![0; 4096];
        let length = stream.read(&mut text).await.unwrap();
        String::from_utf8_lossy(text.get(..length).unwrap()).into_owned()
    }

    #[tokio::test]
    async fn idle_connections_do_not_lock_out_new_ones() {
        let (address, _stop) = server(8, HEADER_TIMEOUT).await;
        // Connections that send nothing, half a request line, or half a body.
        let mut idle = Vec::new();
        for number in 0..40 {
            let text = [
                "",
                "GET / HT",
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx",
            ];
            idle.push(open(address, text.get(number % 3).unwrap()).await);
        }
        for _ in 0..3 {
            let mut stream = open(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert!(answer(&mut stream).await.ends_with("here"));
        }
        let mut first = idle.swap_remove(0);
        assert_eq!(answer(&mut first).await, "", "the connection that was idle longest is closed");
    }

    #[tokio::test]
    async fn a_request_in_flight_is_not_dropped_for_a_new_connection() {
        let (address, stop) = server(2, HEADER_TIMEOUT).await;
        let mut slow = open(address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut other = open(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer(&mut other).await.ends_with("here"));
        let mut third = open(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer(&mut third).await.ends_with("here"));
        assert_eq!(answer(&mut other).await, "");
        let mut byte = [0];
        let waits = tokio::time::timeout(Duration::from_millis(50), slow.read(&mut byte)).await;
        assert!(waits.is_err(), "its connection is still open");
        stop.cancel();
    }

    #[tokio::test]
    async fn a_connection_that_sends_no_request_is_closed() {
        let (address, _stop) = server(8, Duration::from_millis(50)).await;
        let mut idle = open(address, "GET / HT").await;
        assert_eq!(answer(&mut idle).await, "");
    }
}

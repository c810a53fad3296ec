//! Which kind of network failure a connection had: from the types of its errors, not from their text.

use std::error::Error;
use std::io;

use reqwest::Url;

use crate::diagnostics::fault::Fault;
use crate::os::environment::Environment;
use crate::upstream::transport::error_text::causes;
use crate::upstream::transport::http::is_loopback;
use crate::upstream::transport::resolver::NotResolved;

/// The kind of a failed request to this URL. `proxy` is the HTTP proxy it goes through, if there is one.
pub fn of_request(error: &reqwest::Error, url: &str, proxy: Option<String>) -> Fault {
    let parsed = Url::parse(url).ok();
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
    if let Some(status) = error.status() {
        return Fault::Http {
            status: status.as_u16(),
        };
    }
    if error.is_connect()
        && let Some(proxy) = proxy
    {
        return Fault::Proxy { proxy };
    }
    let mut kind = None;
    for cause in all_causes(error) {
        if cause.is::<NotResolved>() {
            return Fault::Dns { host };
        }
        #[cfg(not(any(windows, target_os = "macos")))]
        if cause.is::<rustls::Error>() {
            return Fault::Tls { host };
        }
        kind = kind.or(cause.downcast_ref::<io::Error>().and_then(network_kind));
    }
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => Fault::Refused { host },
        Some(io::ErrorKind::TimedOut) => Fault::HttpTimeout { host },
        Some(io::ErrorKind::ConnectionReset) => Fault::Lost { host },
        Some(_) => Fault::Offline { host },
        None if error.is_timeout() => Fault::HttpTimeout { host },
        // The system's own TLS has no type here, and nothing else is left of a connection that was made.
        None if error.is_connect() && parsed.is_some_and(|url| url.scheme() == "https") => Fault::Tls { host },
        None => Fault::Lost { host },
    }
}

fn network_kind(error: &io::Error) -> Option<io::ErrorKind> {
    let kind = error.kind();
    matches!(
        kind,
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
    )
    .then_some(kind)
}

/// An error and its sources. An I/O error that wraps another error names that one's source as its own, so it is added here.
fn all_causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    causes(error).flat_map(|cause| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        [Some(cause), wrapped.map(|wrapped| wrapped as &'a (dyn Error + 'static))].into_iter().flatten()
    })
}

/// The HTTP proxy that the environment names for this URL.
pub fn proxy_of(url: &str) -> Option<String> {
    const NAMES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];
    let environment = Environment::read(|name| NAMES.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)));
    proxy_for(url, |name| {
        let value = environment.non_empty(name).or_else(|| environment.non_empty(&name.to_ascii_uppercase()));
        value.map(str::to_owned)
    })
}

/// The proxy for this URL, by the usual variables. Loopback never goes through one.
fn proxy_for(url: &str, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| !is_loopback(url))?;
    let host = url.host_str()?;
    let excluded = variable("no_proxy").is_some_and(|list| {
        list.split(',').map(|entry| entry.trim().trim_start_matches('.')).any(|entry| {
            let below = || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.'));
            entry == "*" || (!entry.is_empty() && (entry == host || below()))
        })
    });
    if excluded {
        return None;
    }
    let proxy = variable(&format!("{}_proxy", url.scheme())).or_else(|| variable("all_proxy"))?;
    // Without user and password.
    Some(proxy.rsplit_once('@').map_or(proxy.clone(), |(_, address)| address.to_owned()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::upstream::transport::http;

    async fn fault(url: &str) -> Fault {
        crate::os::https::prepare();
        let client = http::build(&Url::parse(url).unwrap(), |client| client).unwrap();
        of_request(&client.post(url).send().await.unwrap_err(), url, None)
    }

    #[tokio::test]
    async fn a_real_failure_has_the_kind_that_it_is() {
        let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let host = || "127.0.0.1".to_owned();
        assert_eq!(fault(&format!("http://{refused}/mcp")).await, Fault::Refused { host: host() });
        let name = "no-such-host.invalid";
        assert_eq!(fault(&format!("http://{name}/mcp")).await, Fault::Dns { host: name.to_owned() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        assert_eq!(fault(&format!("https://{plain}/mcp")).await, Fault::Tls { host: host() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closing = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
            }
        });
        assert_eq!(fault(&format!("http://{closing}/mcp")).await, Fault::Lost { host: host() });
    }

    #[test]
    fn the_proxy_of_a_url_follows_the_usual_variables() {
        let with = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let url = "https://mcp.example.com/mcp";
        let proxy = with(&[("https_proxy", "http://ann:pw@proxy:3128")]);
        assert_eq!(proxy_for(url, proxy).as_deref(), Some("proxy:3128"));
        assert_eq!(proxy_for("http://mcp.example.com/", proxy), None);
        assert_eq!(proxy_for("https://127.0.0.1/", proxy), None);
        let excluded = with(&[("all_proxy", "http://proxy:1"), ("no_proxy", "localhost, .example.com")]);
        assert_eq!(proxy_for(url, excluded), None);
        assert_eq!(proxy_for("https://other.org/", excluded).as_deref(), Some("http://proxy:1"));
    }
}

//! The addresses that a sign-in may use. A server on the internet must not make this program send requests into your network,
//! so addresses are checked when a connection is made: a name may have another address than a moment ago.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::os::environment::Environment;
use crate::upstream::transport::error_text::shown;
use crate::upstream::transport::http::is_loopback;
use crate::upstream::transport::resolver::SystemResolver;

/// How long the server's own name may take to resolve.
const LIMIT: Duration = Duration::from_secs(3);

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Internet,
    PrivateNetwork,
    ThisComputer,
    /// Link-local addresses, such as the one where clouds keep credentials, and addresses of no computer.
    Nowhere,
}

impl Place {
    fn of(address: IpAddr) -> Place {
        match address {
            IpAddr::V4(address) => Place::of_v4(address),
            IpAddr::V6(address) => embedded(address).map_or_else(|| Place::of_v6(address), Place::of_v4),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Place {
        match address.octets() {
            [127, ..] => Place::ThisComputer,
            [0 | 224.., ..] | [169, 254, ..] => Place::Nowhere,
            [100, 64..=127, ..] => Place::PrivateNetwork,
            _ if address.is_private() => Place::PrivateNetwork,
            _ => Place::Internet,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Place {
        match address.segments() {
            _ if address.is_loopback() => Place::ThisComputer,
            [0xfc00..=0xfdff, ..] => Place::PrivateNetwork,
            // Also local translations of private addresses, and Teredo, which hides an address.
            [0xfe80..=0xffff, ..] | [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Place::Nowhere,
            _ if address.is_unspecified() => Place::Nowhere,
            _ => Place::Internet,
        }
    }
}

/// The IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(of(high, low))
        }
        _ => None,
    }
}

/// The addresses that a sign-in to one server may use.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// The server's host, with the addresses that its name had first: it keeps them for the whole sign-in.
    own: Option<(String, Vec<SocketAddr>)>,
    private: bool,
    this_computer: bool,
    /// The proxies of the environment: of a request through one, only the proxy's name is resolved here.
    proxies: Vec<String>,
}

impl AddressPolicy {
    /// The policy for the server at this URL. Only a server on this computer or in a private network leads there.
    pub async fn of(url: &Url) -> AddressPolicy {
        let policy = AddressPolicy {
            proxies: proxies(&Environment::read(|name| name.to_ascii_uppercase().ends_with("_PROXY"))),
            ..AddressPolicy::default()
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        if is_loopback(url) {
            return AddressPolicy {
                own: Some((host, Vec::new())),
                private: true,
                this_computer: true,
                ..policy
            };
        }
        if let Some(address) = literal(url) {
            let policy = policy.at(host, vec![SocketAddr::new(address, 0)]);
            // An address is not resolved.
            return AddressPolicy {
                own: policy.own.map(|(host, _)| (host, Vec::new())),
                ..policy
            };
        }
        let found = tokio::time::timeout(LIMIT, tokio::net::lookup_host((host.as_str(), 0))).await;
        let addresses = found.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default();
        policy.at(host, addresses)
    }

    /// The policy for a server at these addresses.
    fn at(self, host: String, addresses: Vec<SocketAddr>) -> AddressPolicy {
        let is_private =
            |address: &SocketAddr| matches!(Place::of(address.ip()), Place::PrivateNetwork | Place::ThisComputer);
        if addresses.is_empty() || !addresses.iter().all(is_private) {
            return self;
        }
        AddressPolicy {
            own: Some((host, addresses)),
            private: true,
            ..self
        }
    }

    /// Whether the server is in a private network or on this computer.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Whether the server's name led into a private network. It may lead elsewhere now.
    pub fn is_by_name(&self) -> bool {
        self.own.as_ref().is_some_and(|(_, addresses)| !addresses.is_empty())
    }

    /// Whether the server is on this computer.
    pub fn is_on_this_computer(&self) -> bool {
        self.this_computer
    }

    /// Whether a URL that the server names may be used, as far as the URL itself tells.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), String> {
        let is_own = self.own.as_ref().is_some_and(|(host, _)| url.host_str() == Some(host));
        if is_own && matches!(url.scheme(), "http" | "https") {
            return Ok(());
        }
        let name = || shown(url.as_str());
        if is_loopback(url) {
            return if self.this_computer { Ok(()) } else { Err(format!("`{}` is on this computer", name())) };
        }
        if url.scheme() != "https" {
            return Err(format!("`{}` is neither on this computer nor HTTPS", name()));
        }
        match literal(url) {
            Some(address) if !self.allows(address) => Err(format!("`{}` is in a private network", name())),
            _ => Ok(()),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        match Place::of(address) {
            Place::Internet => true,
            Place::PrivateNetwork => self.private,
            Place::ThisComputer => self.this_computer,
            Place::Nowhere => false,
        }
    }

    /// The challenge of a server, unless it names another one. The server's name may have had another address when it came.
    pub fn checked_challenge<'a>(&self, challenge: Option<&'a str>, base: &Url) -> Option<&'a str> {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | ',' | '=' | ';');
        let is_elsewhere = |word: &str| {
            let leads =
                word.starts_with(['/', '\\']) || word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"));
            // As the library reads it.
            leads && !Url::parse(word).or_else(|_| base.join(word)).is_ok_and(|url| url.origin() == base.origin())
        };
        challenge.filter(|challenge| {
            !self.is_by_name() || !challenge.contains(char::is_control) && !challenge.split(ends).any(is_elsewhere)
        })
    }

    /// The addresses of these that a connection to this host may use.
    fn usable(&self, host: &str, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if self.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(host)) {
            return addresses;
        }
        addresses.into_iter().filter(|address| self.allows(address.ip())).collect()
    }
}

/// No address of a name may be used.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` has no address that this sign-in may use: the server is not in your private network")]
struct NotAllowed(String);

/// Resolves names for a sign-in, and returns the addresses that it may use.
#[derive(Debug)]
pub(super) struct CheckedResolver<R = SystemResolver> {
    pub policy: Arc<AddressPolicy>,
    pub lookup: Arc<R>,
}

impl<R: Resolve> Resolve for CheckedResolver<R> {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, host) = (self.policy.clone(), name.as_str().trim_end_matches('.').to_ascii_lowercase());
        if let Some((own, addresses)) = &policy.own
            && own.trim_end_matches('.') == host
            && !addresses.is_empty()
        {
            let addresses = addresses.clone();
            return Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) });
        }
        let found = self.lookup.resolve(name);
        Box::pin(async move {
            let usable = policy.usable(&host, found.await?.collect());
            if usable.is_empty() {
                Err(NotAllowed(host).into())
            } else {
                Ok(Box::new(usable.into_iter()) as Addrs)
            }
        })
    }
}

/// The address in a URL without a name.
fn literal(url: &Url) -> Option<IpAddr> {
    // An IPv6 address stands in brackets there.
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// The hosts of the proxies in these variables.
fn proxies(variables: &Environment) -> Vec<String> {
    let host = |value: &str| {
        let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        Some(Url::parse(&url).ok()?.host_str()?.to_owned())
    };
    variables.iter().filter_map(|(_, value)| host(value)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_classified() {
        use Place::{Internet, Nowhere, PrivateNetwork, ThisComputer};
        for (address, place) in [
            ("8.8.8.8", Internet),
            ("2606:4700::1111", Internet),
            ("64:ff9b::8.8.8.8", Internet),
            ("10.0.0.9", PrivateNetwork),
            ("172.16.0.1", PrivateNetwork),
            ("192.168.1.2", PrivateNetwork),
            ("100.64.0.1", PrivateNetwork),
            ("fd00::1", PrivateNetwork),
            ("::ffff:10.0.0.1", PrivateNetwork),
            ("::10.0.0.1", PrivateNetwork),
            ("64:ff9b::10.0.0.9", PrivateNetwork),
            ("2002:a00:9::", PrivateNetwork),
            ("127.8.8.8", ThisComputer),
            ("::1", ThisComputer),
            ("::ffff:127.0.0.1", ThisComputer),
            ("169.254.169.254", Nowhere),
            ("::ffff:169.254.169.254", Nowhere),
            ("64:ff9b::a9fe:a9fe", Nowhere),
            ("64:ff9b:1::a00:9", Nowhere),
            ("2001:0:4136:e378::1", Nowhere),
            ("fe80::1", Nowhere),
            ("0.0.0.0", Nowhere),
            ("::", Nowhere),
            ("224.0.0.1", Nowhere),
            ("255.255.255.255", Nowhere),
        ] {
            assert_eq!(Place::of(address.parse().unwrap()), place, "{address}");
        }
    }

    #[tokio::test]
    async fn a_server_on_the_internet_leads_neither_to_this_computer_nor_into_a_private_network() {
        let checked = |policy: &AddressPolicy, to: &str| policy.check(&url(to)).is_ok();
        for (server, to, expected) in [
            ("https://8.8.8.8/mcp", "https://auth.example/register", true),
            ("https://8.8.8.8/mcp", "http://auth.example/register", false),
            ("https://8.8.8.8/mcp", "http://127.0.0.1:8080/register", false),
            ("https://8.8.8.8/mcp", "https://localhost/register", false),
            ("https://8.8.8.8/mcp", "https://10.0.0.9/register", false),
            ("https://8.8.8.8/mcp", "https://[::ffff:10.0.0.9]/register", false),
            ("https://8.8.8.8/mcp", "https://169.254.169.254/register", false),
            ("https://10.0.0.9/mcp", "https://10.0.0.8/register", true),
            ("http://10.0.0.9/mcp", "http://10.0.0.9/register", true),
            ("https://10.0.0.9/mcp", "http://127.0.0.1/register", false),
            ("https://10.0.0.9/mcp", "https://169.254.169.254/", false),
            ("http://127.0.0.1:1/mcp", "http://localhost:2/register", true),
            ("http://127.0.0.1:1/mcp", "https://10.0.0.9/register", true),
            ("http://127.0.0.1:1/mcp", "file:///etc/passwd", false),
        ] {
            let policy = AddressPolicy::of(&url(server)).await;
            assert_eq!(checked(&policy, to), expected, "{server} {to}");
        }
        assert!(!AddressPolicy::of(&url("https://name.invalid/mcp")).await.is_private());
        assert!(!AddressPolicy::of(&url("data:text/plain,x")).await.is_private());
    }

    /// Answers with these addresses, one after the other: a name that is rebound.
    #[derive(Debug)]
    struct Rebound(Mutex<Vec<&'static str>>);

    impl Resolve for Rebound {
        fn resolve(&self, _: Name) -> Resolving {
            let address: IpAddr = self.0.lock().unwrap().remove(0).parse().unwrap();
            Box::pin(async move { Ok(Box::new([SocketAddr::new(address, 0)].into_iter()) as Addrs) })
        }
    }

    async fn resolved(resolver: &impl Resolve, name: &str) -> Result<Vec<String>, String> {
        let found = resolver.resolve(name.parse().unwrap()).await;
        found.map(|found| found.map(|one| one.ip().to_string()).collect()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_name_that_is_rebound_is_checked_when_the_connection_is_made() {
        let resolver = |policy: AddressPolicy, answers: &[&'static str]| CheckedResolver {
            policy: Arc::new(policy),
            lookup: Arc::new(Rebound(Mutex::new(answers.to_vec()))),
        };
        let public = AddressPolicy::default();
        let rebound =
            resolver(public.clone(), &["8.8.8.8", "10.0.0.9", "127.0.0.1", "::ffff:10.0.0.9", "169.254.169.254"]);
        assert_eq!(resolved(&rebound, "evil.example").await.unwrap(), ["8.8.8.8"]);
        for _ in 0..4 {
            assert!(resolved(&rebound, "evil.example").await.unwrap_err().contains("private network"));
        }
        // One that was in a private network first is asked there only.
        let private = public.clone().at("evil.example".to_owned(), vec!["10.0.0.9:0".parse().unwrap()]);
        let pinned = resolver(private, &["10.0.0.8"]);
        assert_eq!(resolved(&pinned, "Evil.example").await.unwrap(), ["10.0.0.9"]);
        assert_eq!(resolved(&pinned, "sso.corp").await.unwrap(), ["10.0.0.8"]);
        let mixed = vec!["10.0.0.9:0".parse().unwrap(), "8.8.8.8:0".parse().unwrap()];
        assert!(!public.clone().at("evil.example".to_owned(), mixed).is_private());
        let proxied = AddressPolicy {
            proxies: vec!["proxy.corp".to_owned()],
            ..public
        };
        assert_eq!(resolved(&resolver(proxied, &["10.0.0.1"]), "proxy.corp").await.unwrap(), ["10.0.0.1"]);
    }

    #[test]
    fn a_challenge_of_a_private_server_does_not_lead_elsewhere() {
        let base = url("https://mcp.corp/mcp");
        let private = AddressPolicy::default().at("mcp.corp".to_owned(), vec!["10.0.0.9:0".parse().unwrap()]);
        let kept = |challenge: &str| private.checked_challenge(Some(challenge), &base).is_some();
        assert!(kept(r#"Bearer scope="mcp:tools", resource_metadata="https://mcp.corp/meta""#));
        assert!(kept(r#"Bearer resource_metadata="/meta""#));
        for elsewhere in [
            r#"Bearer resource_metadata="https://10.0.0.9/meta""#,
            "Bearer resource_metadata=HTTPS:10.0.0.9/meta",
            r#"Bearer resource_metadata="//10.0.0.9/meta""#,
            r#"Bearer resource_metadata="\\10.0.0.9/meta""#,
            "Bearer resource_metadata=\"ht\ttps://10.0.0.9/meta\"",
        ] {
            assert!(!kept(elsewhere), "{elsewhere}");
        }
        assert!(AddressPolicy::default().checked_challenge(Some("Bearer x=https://a.example/"), &base).is_some());
    }

    #[test]
    fn the_proxies_of_the_environment_are_known() {
        let variables = [
            ("HTTPS_PROXY", "http://u:p@Proxy.corp:3128"),
            ("ALL_PROXY", "10.0.0.1:80"),
            ("NO_PROXY", "*"),
        ];
        let found = proxies(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect());
        assert!(found.contains(&"proxy.corp".to_owned()) && found.contains(&"10.0.0.1".to_owned()), "{found:?}");
    }
}

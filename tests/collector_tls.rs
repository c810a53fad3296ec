//! `--tls` with a real certificate and a client that verifies it, and `clickhouses://` in front of a real ClickHouse.

#![cfg(all(feature = "collector", target_os = "linux"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should fail where it stands"
)]
#![allow(dead_code, reason = "each test uses a part of the support")]

#[path = "collector_support/service.rs"]
mod service;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpproxy::collector::report::Id;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use service::{ClickHouse, Collector, body, get, new_id, program, until};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned, crypto};

/// Files of a certificate authority and of its certificate for 127.0.0.1.
struct Certificates {
    authority: PathBuf,
    chain: PathBuf,
    key: PathBuf,
    /// A key that belongs to no certificate.
    other_key: PathBuf,
}

fn certificates(directory: &Path) -> Certificates {
    std::fs::create_dir_all(directory).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "Authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let file = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Certificates {
        authority: file("authority.pem", authority.pem()),
        chain: file("chain.pem", own.pem() + &authority.pem()),
        key: file("key.pem", key.serialize_pem()),
        other_key: file("other.pem", KeyPair::generate().unwrap().serialize_pem()),
    }
}

fn provider() -> Arc<crypto::CryptoProvider> {
    Arc::new(crypto::ring::default_provider())
}

/// Sends a request over TLS, trusting only the authority, and returns the answer.
fn over_tls(address: SocketAddr, authority: &Path, request: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn reports_arrive_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificates(directory.path());
    let (chain, key) = (files.chain.to_str().unwrap(), files.key.to_str().unwrap());
    let collector = Collector::start(&directory.path().join("data"), &["--tls", chain, key]);
    let text = body(&new_id(), |_| {});
    let request = format!(
        "POST /v1/heartbeat HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let answer = over_tls(collector.public, &files.authority, &request).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let page = over_tls(collector.public, &files.authority, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(page.unwrap().contains("MCPProxy usage"));
    // The operator's address is for this computer and stays without TLS.
    assert_eq!(collector.stats()["installs"], 1);
    // A client that does not trust the authority refuses the connection, and a client without TLS gets no answer.
    assert!(over_tls(collector.public, &certificates(&directory.path().join("other")).authority, &request).is_err());
    assert!(service::raw(collector.public, request.as_bytes()).is_none());
    assert_eq!(collector.stats()["installs"], 1);
    // Silent connections do not delay others.
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(collector.public).unwrap()).collect();
    assert_eq!(get(collector.admin, "/healthz").status, 200);
    drop(silent);
}

#[test]
fn a_certificate_that_cannot_be_used_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let files = certificates(directory.path());
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = directory.path().join("missing.pem");
    for (chain, key, cause) in [
        (&files.chain, &files.other_key, "does not belong to the first certificate"),
        (&files.key, &files.key, "contains no certificate"),
        (&empty, &files.key, "contains no certificate"),
        (&files.chain, &files.chain, "contains no private key"),
        (&missing, &files.key, "missing.pem`"),
        (&files.chain, &missing, "missing.pem`"),
    ] {
        let output = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(directory.path().join("data"))
            .arg("--tls")
            .args([chain, key])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{cause}");
        assert!(text.starts_with("error: could not use the certificate: ") && text.contains(cause), "{text}");
        assert!(text.contains("help: give --tls the certificate chain"), "{text}");
    }
}

/// Starts a TLS listener that forwards to ClickHouse, as ClickHouse's own port 8443 does. Returns its port.
fn tls_in_front_of(port: u16, files: &Certificates) -> u16 {
    let chain = CertificateDer::pem_file_iter(&files.chain).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await?;
                    let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut server).await
                });
            }
        });
    });
    told.recv().unwrap()
}

#[test]
fn clickhouse_is_reached_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = ClickHouse::start(&directory.path().join("clickhouse")) else {
        return;
    };
    let files = certificates(directory.path());
    let address = format!("clickhouses://127.0.0.1:{}/over_tls", tls_in_front_of(server.port, &files));
    let data = directory.path().join("data");
    let id = new_id();
    let mut trusting = program();
    trusting.env("SSL_CERT_FILE", &files.authority);
    let mut collector = Collector::start_with(trusting, &data, &["--store", &address]);
    assert_eq!(collector.report(&body(&id, |_| {})).status, 204);
    until(60, "the report is in ClickHouse", || collector.stats()["installs"] == 1);
    collector.stop();
    let ask = |address: &str, trust: Option<&Path>| {
        let mut command = program();
        if let Some(file) = trust {
            command.env("SSL_CERT_FILE", file);
        }
        command.arg("--data").arg(&data).args(["--store", address, "received", &id]).output().unwrap()
    };
    let output = ask(&address, Some(&files.authority));
    assert!(output.status.success(), "{output:?}");
    let stored: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(stored["anonymous_id"].as_str().and_then(Id::from_uuid), Id::from_uuid(&id));
    // The collector refuses a server whose authority it does not trust,
    let output = ask(&address, Some(&certificates(&directory.path().join("other")).authority));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(text.contains("certificate"), "{text}");
    // and a server without TLS.
    assert!(!ask(&server.address("over_tls").replace("clickhouse:", "clickhouses:"), None).status.success());
}

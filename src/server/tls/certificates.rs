//! Certificates for `tls.enabled`: a local certificate authority, and a certificate for `localhost` signed by it.
//!
//! The files have the same names as in the Go core, so that a computer that trusts its authority need not trust another
//! one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::os::files;

const DAY: i64 = 86_400;
/// A certificate is renewed if it expires within this time.
const RENEW_BEFORE: i64 = 30 * DAY;
const LEAF_DAYS: i64 = 365;
const AUTHORITY_DAYS: i64 = 10 * 365;
/// Maximum size of a certificate or key file; real ones are much smaller.
const LARGEST: u64 = 1 << 20;

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("could not {deed} `{}`: {source}", path.display())]
    Io {
        path: PathBuf,
        deed: &'static str,
        source: io::Error,
    },
    #[error("could not use `{}`: {problem}", path.display())]
    Unusable { path: PathBuf, problem: String },
    #[error("could not create a certificate: {0}")]
    Create(String),
}

/// The paths of the files in one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    pub authority: PathBuf,
    pub authority_key: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Paths {
    /// Returns the paths in a directory.
    pub fn new(directory: &Path) -> Paths {
        Paths {
            authority: directory.join("ca.pem"),
            authority_key: directory.join("ca.key"),
            certificate: directory.join("localhost.pem"),
            key: directory.join("localhost.key"),
        }
    }
}

/// The validity of a certificate, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: i64,
    pub until: i64,
}

/// Whether a certificate needs renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Keep,
    /// It is valid, but expires soon.
    Soon,
    /// It is not valid now.
    Now,
}

impl Validity {
    /// Decides whether to renew at `now`.
    pub fn renewal(self, now: i64) -> Renewal {
        if now < self.from || now >= self.until {
            Renewal::Now
        } else if self.until - now < RENEW_BEFORE {
            Renewal::Soon
        } else {
            Renewal::Keep
        }
    }
}

/// The certificate and key of a TLS server.
#[derive(Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub validity: Validity,
}

/// Returns the certificate in a directory. Creates it if it is missing, and renews it if it expires soon.
///
/// # Errors
/// [`CertificateError`]. Files that MCPProxy did not create are never overwritten.
pub fn ensure(directory: &Path, now: i64) -> Result<Identity, CertificateError> {
    let paths = Paths::new(directory);
    files::create_private_dir(directory).map_err(|source| failed(directory, "create", source))?;
    if !paths.authority.exists() && !paths.authority_key.exists() && !paths.certificate.exists() {
        create_authority(&paths, now)?;
    }
    let existing = match paths.certificate.exists() {
        true => Some(load(&paths)?),
        false => None,
    };
    match existing.map(|identity| (identity.validity.renewal(now), identity)) {
        Some((Renewal::Keep, identity)) => Ok(identity),
        Some((Renewal::Soon, identity)) => match renew(&paths, now) {
            Ok(renewed) => Ok(renewed),
            Err(error) => {
                tracing::warn!("could not renew the certificate, which expires soon: {error}");
                Ok(identity)
            }
        },
        Some((Renewal::Now, _)) | None => renew(&paths, now),
    }
}

/// Returns the path of the authority's certificate. Creates it if it is missing.
///
/// # Errors
/// [`CertificateError`]
pub fn authority(directory: &Path, now: i64) -> Result<PathBuf, CertificateError> {
    ensure(directory, now)?;
    let path = Paths::new(directory).authority;
    if path.exists() {
        Ok(path)
    } else {
        Err(unusable(&path, "there is no certificate authority in this directory"))
    }
}

fn create_authority(paths: &Paths, now: i64) -> Result<(), CertificateError> {
    let key = KeyPair::generate().map_err(|error| CertificateError::Create(error.to_string()))?;
    let mut params = params("MCPProxy local CA", now, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Limits the authority to names of this computer, so that a stolen key is useless for other sites.
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("localhost".to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0])),
            GeneralSubtree::IpAddress(CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), [255; 16])),
        ],
        excluded_subtrees: Vec::new(),
    });
    let certificate = params.self_signed(&key).map_err(|error| CertificateError::Create(error.to_string()))?;
    write(&paths.authority_key, &key.serialize_pem())?;
    write(&paths.authority, &certificate.pem())
}

/// Signs a new certificate with the authority in the directory.
fn renew(paths: &Paths, now: i64) -> Result<Identity, CertificateError> {
    let authority = read(&paths.authority)?;
    let der = certificate(&authority, &paths.authority)?;
    if validity(&der, &paths.authority)?.renewal(now) == Renewal::Now {
        let problem =
            "it has expired; remove `ca.pem` and `ca.key`, start MCPProxy again, then run `mcpproxy trust-cert`";
        return Err(unusable(&paths.authority, problem));
    }
    let key = signing_key(paths)?;
    let pem = String::from_utf8_lossy(&authority);
    let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(|error| unusable(&paths.authority, error))?;
    let key = KeyPair::generate().map_err(|error| CertificateError::Create(error.to_string()))?;
    let mut params = params("localhost", now, LEAF_DAYS);
    params.subject_alt_names = vec![
        SanType::DnsName(
            "localhost".try_into().map_err(|error: rcgen::Error| CertificateError::Create(error.to_string()))?,
        ),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key, &issuer).map_err(|error| CertificateError::Create(error.to_string()))?;
    write(&paths.key, &key.serialize_pem())?;
    write(&paths.certificate, &leaf.pem())?;
    load(paths)
}

fn params(name: &str, now: i64, days: i64) -> CertificateParams {
    let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    // Tolerates a clock that is slow by an hour.
    params.not_before = at(now - 3600);
    params.not_after = at(now + days * DAY);
    params
}

/// Reads the certificate and its key.
fn load(paths: &Paths) -> Result<Identity, CertificateError> {
    let pem = read(&paths.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| unusable(&paths.certificate, error))?;
    let leaf = chain.first().ok_or_else(|| unusable(&paths.certificate, "it contains no certificate"))?;
    let validity = validity(leaf, &paths.certificate)?;
    files::make_private(&paths.key).map_err(|source| failed(&paths.key, "restrict access to", source))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&paths.key)?).map_err(|error| unusable(&paths.key, error))?;
    Ok(Identity { chain, key, validity })
}

fn certificate(pem: &[u8], path: &Path) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(pem).map_err(|error| unusable(path, error))
}

fn validity(der: &CertificateDer<'_>, path: &Path) -> Result<Validity, CertificateError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(|error| unusable(path, error))?;
    Ok(Validity {
        from: parsed.validity().not_before.timestamp(),
        until: parsed.validity().not_after.timestamp(),
    })
}

/// Reads the authority's key. Converts the Go core's format (SEC 1), which the TLS library does not read.
fn signing_key(paths: &Paths) -> Result<KeyPair, CertificateError> {
    let path = &paths.authority_key;
    files::make_private(path).map_err(|source| failed(path, "restrict access to", source))?;
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| unusable(path, error))?;
    let pkcs8 = match key {
        PrivateKeyDer::Sec1(sec1) => PrivatePkcs8KeyDer::from(p256_as_pkcs8(sec1.secret_sec1_der())),
        PrivateKeyDer::Pkcs8(pkcs8) => pkcs8,
        _ => return Err(unusable(path, "expected an elliptic curve key")),
    };
    KeyPair::try_from(&pkcs8).map_err(|error| unusable(path, error))
}

/// Wraps a P-256 key in PKCS #8: version, algorithm and curve, then the key itself.
fn p256_as_pkcs8(sec1: &[u8]) -> Vec<u8> {
    const HEAD: [u8; 24] = [
        0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let mut inner = HEAD.to_vec();
    inner.extend(der(0x04, sec1));
    der(0x30, &inner)
}

fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    let length = contents.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => encoded.push(0),
        [short] if *short < 0x80 => encoded.push(*short),
        long => {
            encoded.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            encoded.extend(long);
        }
    }
    encoded.extend(contents);
    encoded
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    files::read_bounded(path, LARGEST).map_err(|source| failed(path, "read", source))
}

fn write(path: &Path, pem: &str) -> Result<(), CertificateError> {
    files::replace_private(path, pem.as_bytes()).map_err(|source| failed(path, "write", source))
}

fn failed(path: &Path, deed: &'static str, source: io::Error) -> CertificateError {
    CertificateError::Io {
        path: path.to_path_buf(),
        deed,
        source,
    }
}

fn unusable(path: &Path, problem: impl ToString) -> CertificateError {
    CertificateError::Unusable {
        path: path.to_path_buf(),
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_988_620;

    #[test]
    fn a_certificate_is_renewed_in_its_last_month() {
        let validity = Validity {
            from: 0,
            until: 100 * DAY,
        };
        assert_eq!(validity.renewal(70 * DAY), Renewal::Keep);
        assert_eq!(validity.renewal(70 * DAY + 1), Renewal::Soon);
        assert_eq!(validity.renewal(100 * DAY), Renewal::Now);
        assert_eq!(validity.renewal(-1), Renewal::Now);
    }

    #[test]
    fn a_directory_gets_an_authority_and_a_certificate_and_keeps_both() {
        let directory = tempfile::tempdir().unwrap();
        let certs = directory.path().join("certs");
        let identity = ensure(&certs, NOW).unwrap();
        assert_eq!(identity.validity.until - NOW, 365 * DAY);
        let paths = Paths::new(&certs);
        let files = |paths: &Paths| [&paths.authority, &paths.key].map(|path| std::fs::read(path).unwrap());
        let before = files(&paths);
        ensure(&certs, NOW + 300 * DAY).unwrap();
        assert_eq!(files(&paths), before);
        #[cfg(unix)]
        for key in [&paths.key, &paths.authority_key] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_expired_certificate_is_renewed_by_the_same_authority() {
        let directory = tempfile::tempdir().unwrap();
        ensure(directory.path(), NOW).unwrap();
        let authority = std::fs::read(directory.path().join("ca.pem")).unwrap();
        for later in [340 * DAY, 800 * DAY] {
            let renewed = ensure(directory.path(), NOW + later).unwrap();
            assert_eq!(renewed.validity.until, NOW + later + 365 * DAY);
        }
        assert_eq!(std::fs::read(directory.path().join("ca.pem")).unwrap(), authority);
    }

    #[test]
    fn an_expired_authority_is_left_alone_and_named() {
        let directory = tempfile::tempdir().unwrap();
        ensure(directory.path(), NOW).unwrap();
        let error = ensure(directory.path(), NOW + 11 * 365 * DAY).unwrap_err().to_string();
        assert!(error.contains("ca.pem") && error.contains("has expired"), "{error}");
    }

    #[test]
    fn a_foreign_certificate_is_served_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        ensure(directory.path(), NOW).unwrap();
        for file in ["ca.pem", "ca.key"] {
            std::fs::remove_file(directory.path().join(file)).unwrap();
        }
        assert!(ensure(directory.path(), NOW + 340 * DAY).is_ok(), "it is still valid");
        assert!(ensure(directory.path(), NOW + 366 * DAY).is_err());
        assert!(!directory.path().join("ca.pem").exists());
    }

    #[test]
    fn files_that_are_not_certificates_are_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("localhost.pem"), "nonsense").unwrap();
        let error = ensure(directory.path(), NOW).unwrap_err().to_string();
        assert!(error.contains("localhost.pem"), "{error}");
    }

    #[test]
    fn the_go_cores_authority_signs_new_certificates() {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/go-homes/certs");
        let directory = tempfile::tempdir().unwrap();
        for file in ["ca.pem", "ca.key"] {
            std::fs::copy(home.join(file), directory.path().join(file)).unwrap();
        }
        assert_eq!(ensure(directory.path(), NOW).unwrap().validity.until, NOW + 365 * DAY);
    }
}

//! The chain of published figures: each document is signed and contains the hash of the previous one.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::os::files;

/// Maximum size of a document in bytes.
pub const LONGEST: u64 = 16 << 20;

/// The path of a document.
pub fn document(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("stats-{number}.json"))
}

/// The path of a document's signature.
pub fn signature(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("stats-{number}.json.minisig"))
}

/// The hash of a document for its successor.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number of the newest document; 0 if there is none.
///
/// # Errors
/// The system's error.
pub fn newest(directory: &Path) -> io::Result<u32> {
    let mut newest = 0;
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("stats-")?.strip_suffix(".json")?.parse().ok());
        newest = newest.max(number.unwrap_or(0));
    }
    Ok(newest)
}

/// Signs and writes a document.
///
/// # Errors
/// The error of the system or of the key.
pub fn write(directory: &Path, number: u32, bytes: &[u8]) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let pair = keys(directory)?;
    let comment = format!("mcpproxy-collector stats {number}");
    let signed = minisign::sign(Some(&pair.pk), &pair.sk, io::Cursor::new(bytes), Some(&comment), Some(&comment))
        .map_err(|error| error.to_string())?;
    // Writes the signature first: a document never exists without one.
    files::replace_private(&signature(directory, number), signed.into_string().as_bytes()).map_err(text)?;
    files::replace_private(&document(directory, number), bytes).map_err(text)
}

/// The key pair of this collector, created on first use.
fn keys(directory: &Path) -> Result<minisign::KeyPair, String> {
    let (secret, public) = (directory.join("signing.key"), directory.join("key.pub"));
    let text = |error: minisign::PError| error.to_string();
    match files::read_bounded(&secret, 4096) {
        Ok(bytes) => {
            let boxed = minisign::SecretKeyBox::from_string(&String::from_utf8_lossy(&bytes)).map_err(text)?;
            let sk = boxed.into_unencrypted_secret_key().map_err(text)?;
            let pk = minisign::PublicKey::from_secret_key(&sk).map_err(text)?;
            Ok(minisign::KeyPair { pk, sk })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pair = minisign::KeyPair::generate_unencrypted_keypair().map_err(text)?;
            let secret_text = pair.sk.to_box(None).map_err(text)?.into_string();
            let public_text = pair.pk.to_box().map_err(text)?.into_string();
            files::replace_private(&public, public_text.as_bytes()).map_err(|error| error.to_string())?;
            files::replace_private(&secret, secret_text.as_bytes()).map_err(|error| error.to_string())?;
            Ok(pair)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The number of documents, and the number that are unsigned or do not match the previous one.
///
/// # Errors
/// The system's error.
pub fn verify(directory: &Path) -> io::Result<(u32, u32)> {
    if !directory.is_dir() {
        return Ok((0, 0));
    }
    let public = files::read_bounded(&directory.join("key.pub"), 4096)?;
    let key = minisign::PublicKeyBox::from_string(&String::from_utf8_lossy(&public))
        .and_then(minisign::PublicKeyBox::into_public_key)
        .map_err(io::Error::other)?;
    let (count, mut broken, mut before) = (newest(directory)?, 0, None);
    for number in 1..=count {
        let bytes = files::read_bounded(&document(directory, number), LONGEST)?;
        let signed = files::read_bounded(&signature(directory, number), 4096)?;
        let is_signed = minisign::SignatureBox::from_string(&String::from_utf8_lossy(&signed))
            .and_then(|signed| minisign::verify(&key, &signed, io::Cursor::new(&bytes), true, false, false))
            .is_ok();
        let parsed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let follows = parsed.get("previous_sha256") == Some(&json!(before));
        broken += u32::from(!is_signed || !follows);
        before = Some(hash(&bytes));
    }
    Ok((count, broken))
}

//! The mesh's identities: certificates with SPIFFE names, made for one run.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::Error;
use crate::envoy::Files;
use crate::topology::Identity;

/// How long they are good for: longer than any run, and their keys are gone with the run.
const VALID: Duration = Duration::from_hours(365 * 24);
/// Clocks differ between what signs and what checks, even on one machine in a virtual one.
const BEFORE: Duration = Duration::from_mins(5);

/// Makes an authority and signs one certificate for each identity. The authority's key is never
/// written; the others can be read by this user alone.
///
/// # Errors
/// When a file cannot be written.
pub fn make(files: &Files, identities: &[Identity]) -> Result<(), Error> {
    let key = KeyPair::generate()?;
    let authority = CertifiedIssuer::self_signed(authority(), key)?;
    write(&files.authority(), &authority.pem())?;
    for identity in identities {
        let key = KeyPair::generate()?;
        let certificate = leaf(identity)?.signed_by(&key, &authority)?;
        write(&files.certificate(identity), &certificate.pem())?;
        write(&files.key(identity), &key.serialize_pem())?;
    }
    Ok(())
}

fn valid() -> CertificateParams {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + VALID).into();
    params
}

fn authority() -> CertificateParams {
    let mut params = valid();
    params
        .distinguished_name
        .push(DnType::CommonName, "Faultline, one local run");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// As Istio's: the name is a URI, and there is no other.
fn leaf(identity: &Identity) -> Result<CertificateParams, Error> {
    let mut params = valid();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::at("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn every_identity_has_a_certificate_and_a_key_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files {
            module: "m".into(),
            listeners: "l".into(),
            certificates: folder.path().to_owned(),
            logs: "logs".into(),
        };
        let identities = ["custom-app", "istio-system/gateway"].map(Identity::of_account);
        make(&files, &identities).unwrap();
        for identity in &identities {
            let mode = std::fs::metadata(files.key(identity))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
            let pem = std::fs::read_to_string(files.certificate(identity)).unwrap();
            assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5);
    }
}

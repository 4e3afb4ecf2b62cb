//! A registry, by the OCI distribution specification.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::header::HeaderValue;

use crate::blob::Blob;
use crate::image::Image;
use crate::login::{self, Login};
use crate::options::{At, Scheme};

/// A registry, and who one is there.
pub(crate) struct Registry {
    client: Client,
    login: Login,
    /// `HOST[:PORT][/PATH]`
    place: String,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pushed,
    ThereAlready,
}

impl Registry {
    /// # Errors
    /// When the certificates cannot be read. Nothing is asked of the registry yet.
    pub(crate) fn open(at: &At) -> anyhow::Result<Self> {
        // Another one may be in place already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = ClientConfig {
            protocol: match at.scheme {
                Scheme::Http => ClientProtocol::Http,
                Scheme::Https => ClientProtocol::Https,
            },
            accept_invalid_certificates: at.any_certificate,
            // A registry may refuse pieces of a blob, and none needs them for a few megabytes.
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(60)),
            ..ClientConfig::default()
        };
        if let Some(file) = &at.ca {
            let data = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            config.extra_root_certificates = certificates(&data)
                .map(|data| Certificate {
                    encoding: CertificateEncoding::Pem,
                    data,
                })
                .collect();
        }
        Ok(Self {
            client: Client::try_from(config).context("setting TLS up")?,
            login: login::find(&login::files(), &at.registry),
            place: at.registry.clone(),
        })
    }

    fn host(&self) -> &str {
        self.place.split('/').next().unwrap_or_default()
    }

    fn reference(&self, name: &str, tag: &str) -> anyhow::Result<Reference> {
        let text = format!("{}/faultline/{name}:{tag}", self.place);
        text.parse()
            .with_context(|| format!("{text} is no reference of an image"))
    }

    /// # Errors
    /// When it does not answer, or refuses who one is.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let image = self.reference("custom-app", "check")?;
        let auth = &self.login.auth;
        let push = RegistryOperation::Push;
        self.client
            .auth(&image, auth, push)
            .await
            .map_err(|error| self.explain(error))?;
        // Whether the image is there is no matter; whether one may ask is.
        match self.client.fetch_manifest_digest(&image, auth).await {
            Err(error) if refuses(&error) => Err(self.explain(error)),
            _ => Ok(()),
        }
    }

    /// Pushes an image unless it is there. Without a tag it gets one made from its digest. Returns
    /// REPOSITORY@DIGEST.
    ///
    /// # Errors
    /// What the registry says, and what to do about it.
    pub(crate) async fn push(
        &self,
        name: &str,
        image: &Image,
        tag: Option<&str>,
    ) -> anyhow::Result<(String, Outcome)> {
        let digest = image.digest();
        let from_content = digest.chars().skip("sha256:".len()).take(16).collect();
        let tag = tag.map_or(from_content, str::to_owned);
        let at = self.reference(name, &tag)?;
        let pinned = format!("{}/faultline/{name}@{digest}", self.place);
        let there = self.client.fetch_manifest_digest(&at, &self.login.auth);
        if there.await.is_ok_and(|found| found == digest) {
            return Ok((pinned, Outcome::ThereAlready));
        }
        let pushed = self.put(name, image, &tag, &at).await;
        pushed
            .with_context(|| format!("the image {name} could not be pushed to {}", self.place))?;
        Ok((pinned, Outcome::Pushed))
    }

    /// A tag that was published stays what it is.
    ///
    /// # Errors
    /// When the tag names another image.
    pub(crate) async fn keep(&self, name: &str, image: &Image, tag: &str) -> anyhow::Result<()> {
        let at = self.reference(name, tag)?;
        let there = self.client.fetch_manifest_digest(&at, &self.login.auth);
        match there.await {
            Ok(found) if found != image.digest() => Err(anyhow!(
                "{at} is there already and is another image, {found}\n\
                 A release stays what it is: raise the version in Cargo.toml. Here is {}",
                image.digest()
            )),
            Ok(_) => Ok(()),
            // Some registries say no more of a repository that is not there yet. The push itself will tell.
            Err(error) if is_absent(&error) || refuses(&error) => Ok(()),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// Content before what names it, so that no manifest is ever there without all of its image.
    async fn put(
        &self,
        name: &str,
        image: &Image,
        tag: &str,
        at: &Reference,
    ) -> anyhow::Result<()> {
        let push = RegistryOperation::Push;
        let auth = self.client.auth(at, &self.login.auth, push).await;
        auth.map_err(|error| self.explain(error))?;
        for blob in &image.blobs {
            self.put_blob(at, blob).await?;
        }
        // Under a tag of its own: some registries remove what no tag names, index or not.
        for (architecture, manifest) in &image.parts {
            let tag = format!("{tag}-{}", architecture.as_str());
            self.put_manifest(&self.reference(name, &tag)?, manifest)
                .await?;
        }
        self.put_manifest(at, &image.root).await
    }

    async fn put_blob(&self, at: &Reference, blob: &Blob) -> anyhow::Result<()> {
        let there = self.client.blob_exists(at, blob.digest()).await;
        if there.unwrap_or(false) {
            return Ok(());
        }
        let content = blob.content.clone();
        let pushed = self.client.push_blob(at, content, blob.digest()).await;
        pushed.map(drop).map_err(|error| self.explain(error))
    }

    async fn put_manifest(&self, at: &Reference, manifest: &Blob) -> anyhow::Result<()> {
        let media_type = HeaderValue::from_static(manifest.media_type);
        let content = manifest.content.clone();
        let pushed = self.client.push_manifest_raw(at, content, media_type).await;
        pushed.map(drop).map_err(|error| self.explain(error))
    }

    /// Whether anybody may pull it.
    ///
    /// # Errors
    /// When the registry does not say.
    pub(crate) async fn is_open(&self, image: &str) -> anyhow::Result<bool> {
        let at: Reference = image
            .parse()
            .with_context(|| format!("{image} is no reference of an image"))?;
        let found = self
            .client
            .fetch_manifest_digest(&at, &RegistryAuth::Anonymous)
            .await;
        match found {
            Ok(_) => Ok(true),
            Err(error) if refuses(&error) => Ok(false),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// The error in words, and on a second line the way on.
    fn explain(&self, error: OciDistributionError) -> anyhow::Error {
        let host = self.host();
        if !refuses(&error) {
            return anyhow!(error).context(format!("{host} does not do as asked"));
        }
        let login =
            format!("docker login {host}, or podman's or buildah's, which are read as well");
        match (&self.login.auth, &self.login.trouble) {
            (RegistryAuth::Anonymous, None) => {
                anyhow!("{host} asks for a login, and nobody has logged in here\n{login}")
            }
            (RegistryAuth::Anonymous, Some(trouble)) => anyhow!(
                "{host} asks for a login, and none is found\n{login}. What was in the way: {trouble}"
            ),
            _ => anyhow!(
                "{host} refuses the login that is known here for {}\nAgain: {login}",
                self.place
            ),
        }
    }
}

/// Whether it is about who one is.
fn refuses(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_) => true,
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        OciDistributionError::RequestError(error) => error
            .status()
            .is_some_and(|status| matches!(status.as_u16(), 401 | 403)),
        OciDistributionError::RegistryError { envelope, .. } => {
            use oci_client::errors::OciErrorCode::{Denied, Unauthorized};
            envelope
                .errors
                .iter()
                .any(|error| error.code == Denied || error.code == Unauthorized)
        }
        _ => false,
    }
}

/// Whether it says that there is no such image.
fn is_absent(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            use oci_client::errors::OciErrorCode::{ManifestUnknown, NameUnknown, NotFound};
            envelope
                .errors
                .iter()
                .any(|error| matches!(error.code, ManifestUnknown | NameUnknown | NotFound))
        }
        _ => false,
    }
}

/// The certificates of a file in PEM, one by one.
fn certificates(pem: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(pem).into_owned();
    let parts: Vec<_> = text
        .split_inclusive(END)
        .filter(|part| part.contains("-----BEGIN CERTIFICATE-----"))
        .map(|part| part.as_bytes().to_vec())
        .collect();
    parts.into_iter()
}

//! The logins of docker, podman and buildah: `docker login` and the others' have one form, in files of their own.

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use oci_client::secrets::RegistryAuth;

/// What is known of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) auth: RegistryAuth,
    /// Why there is none, beyond that nobody has logged in.
    pub(crate) trouble: Option<String>,
}

/// Looks in each file for the most exact of the names. `registry` is `HOST[:PORT][/PATH]`.
pub(crate) fn find(files: &[PathBuf], registry: &str) -> Login {
    let mut trouble = None;
    for file in files {
        for name in names(registry) {
            match look(file, &name) {
                Ok(Some(auth)) => {
                    return Login {
                        auth,
                        trouble: None,
                    };
                }
                Ok(None) => {}
                Err(error) => trouble = trouble.or(Some(format!("{}: {error}", file.display()))),
            }
        }
    }
    Login {
        auth: RegistryAuth::Anonymous,
        trouble,
    }
}

fn look(file: &Path, name: &str) -> Result<Option<RegistryAuth>, CredentialRetrievalError> {
    let Ok(open) = File::open(file) else {
        return Ok(None);
    };
    match get_credential_from_reader(BufReader::new(open), name) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(RegistryAuth::Basic(user, password)))
        }
        // Azure's registry hands these out, and takes them as the password of this user.
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(RegistryAuth::Basic(
            "00000000-0000-0000-0000-000000000000".to_owned(),
            token,
        ))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // A helper that does not know the registry fails as one that is broken: which of the two, its words say.
        Err(error) => Err(error),
    }
}

/// Under which names a login may stand, the most exact first: podman's may be for a part of a registry.
fn names(registry: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = registry;
    loop {
        names.push(rest.to_owned());
        match rest.rsplit_once('/') {
            Some((shorter, _)) => rest = shorter,
            None => break,
        }
    }
    if rest == "docker.io" {
        names.extend(["https://index.docker.io/v1/", "index.docker.io"].map(str::to_owned));
    }
    names.push(format!("https://{rest}"));
    names
}

/// Where logins are kept, in the order in which podman and buildah look; docker's is the last.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = folder("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let home = |below: &str| folder("HOME").map(|home| PathBuf::from(home).join(below));
    let user = rustix::process::getuid().as_raw();
    let runtime = folder("XDG_RUNTIME_DIR").map_or_else(
        || format!("/run/containers/{user}/auth.json").into(),
        |runtime| PathBuf::from(runtime).join("containers/auth.json"),
    );
    let config = folder("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| home(".config"));
    let docker = folder("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| home(".docker"));
    [
        Some(runtime),
        config.map(|config| config.join("containers/auth.json")),
        docker.map(|docker| docker.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;
    use std::fs;

    fn entry(login: &str) -> serde_json::Value {
        json!({"auth": BASE64_STANDARD.encode(login)})
    }

    fn basic(user: &str, password: &str) -> RegistryAuth {
        RegistryAuth::Basic(user.to_owned(), password.to_owned())
    }

    #[test]
    fn the_most_exact_login_of_the_first_file_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (podman, docker) = (folder.path().join("auth"), folder.path().join("config"));
        let files = [folder.path().join("none"), podman.clone(), docker.clone()];
        let auths = json!({"auths": {
            "r.test:5000": entry("host:of:podman"),
            "r.test:5000/team": entry("team:secret"),
        }});
        fs::write(&podman, auths.to_string()).unwrap();
        let auths = json!({"auths": {
            "r.test:5000": entry("host:of-docker"),
            "https://index.docker.io/v1/": entry("hub:h"),
            "azure.test": {"auth": BASE64_STANDARD.encode("u:"), "identitytoken": "t"},
        }});
        fs::write(&docker, auths.to_string()).unwrap();
        for (registry, auth) in [
            ("r.test:5000/team/app", basic("team", "secret")),
            ("r.test:5000/teams", basic("host", "of:podman")),
            ("r.test:5000", basic("host", "of:podman")),
            ("docker.io/somebody", basic("hub", "h")),
            (
                "azure.test",
                basic("00000000-0000-0000-0000-000000000000", "t"),
            ),
            ("r.test", RegistryAuth::Anonymous),
        ] {
            assert_eq!(
                find(&files, registry),
                Login {
                    auth,
                    trouble: None
                },
                "{registry}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_as_logins_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, "{").unwrap();
        let found = find(&[file], "r.test");
        assert_eq!(found.auth, RegistryAuth::Anonymous);
        assert!(found.trouble.unwrap().contains("config.json"));
    }
}

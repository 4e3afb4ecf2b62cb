//! Tests only: the mesh's resources and the services' manifests, rendered by kustomize as
//! `deploy.sh` applies them, and the script's refusals. What a resource says stands in its own
//! file; here stands what several of them must say together.

#[cfg(test)]
mod architectures;
#[cfg(test)]
mod boundary;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod choice;
#[cfg(test)]
mod components;
#[cfg(test)]
mod console;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod installation;
#[cfg(test)]
mod lock;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod manifest;
#[cfg(test)]
mod mesh;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod overlay;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod portable;
#[cfg(test)]
mod pull_secret;
#[cfg(test)]
mod push_filter;
#[cfg(test)]
mod release;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod standin;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod users;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod workloads;

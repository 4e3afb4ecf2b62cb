//! Ports: those asked for, or the next free ones.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use crate::Error;
use crate::topology::{INNER_PORTS, Topology};

/// The first ports that are tried where none is asked for.
const GATEWAY: u16 = 8080;
const ADMIN: u16 = 9901;
/// How many are tried.
const TRIES: u16 = 100;

/// Which ports are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// For the gateway: this one, or the next free one from 8080.
    pub gateway: Option<u16>,
    /// For Envoy's administration: this one, or the next free one from 9901.
    pub admin: Option<u16>,
    /// For everything inside the mesh: the next free ones from here.
    pub inner: u16,
}

/// Finds a free port for everything. They stay free only as long as nobody else takes them; runs of
/// this program keep each other out until their parts listen.
///
/// # Errors
/// One that was asked for is taken, or none is free. `holder` says who holds a port, and what frees it.
pub fn choose(wanted: Wanted, holder: impl Fn(u16) -> String) -> Result<Topology, Error> {
    // Held until all are found, so that none is found twice.
    let mut held = Vec::new();
    let mut one = |asked: Option<u16>, first, flag| match asked {
        Some(port) => match claim(port) {
            Ok(listener) => keep(listener, &mut held),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Error::PortTaken {
                port,
                holder: holder(port),
                flag,
            }),
            Err(error) => Err(Error::io(format!("listen on port {port} ({flag})"))(error)),
        },
        None => next(first, flag, &mut held),
    };
    let gateway = one(wanted.gateway, GATEWAY, "--port")?;
    let admin = one(wanted.admin, ADMIN, "--admin-port")?;
    let mut inner = [0; INNER_PORTS];
    for port in &mut inner {
        *port = one(None, wanted.inner, "--inner-ports")?;
    }
    Ok(Topology::new(gateway, admin, inner))
}

fn next(first: u16, flag: &'static str, held: &mut Vec<TcpListener>) -> Result<u16, Error> {
    let last = first.saturating_add(TRIES);
    let free = (first..=last).find_map(|port| claim(port).ok());
    match free {
        Some(listener) => keep(listener, held),
        None => Err(Error::NoPort { first, last, flag }),
    }
}

fn claim(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn keep(listener: TcpListener, held: &mut Vec<TcpListener>) -> Result<u16, Error> {
    let address = listener
        .local_addr()
        .map_err(Error::io("read a socket's address"))?;
    held.push(listener);
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn wanted(inner: u16) -> Wanted {
        Wanted {
            inner,
            ..Wanted::default()
        }
    }

    #[test]
    fn every_port_is_another() {
        let topology = choose(wanted(21_000), |_| String::new()).unwrap();
        let mut ports = BTreeSet::from([topology.gateway, topology.admin]);
        for instance in &topology.instances {
            ports.extend([instance.app, instance.inbound]);
            ports.extend(instance.outbound);
        }
        ports.extend(topology.callers.iter().map(|caller| caller.port));
        assert_eq!(ports.len(), 2 + INNER_PORTS);
    }

    #[test]
    fn a_taken_port_is_passed_over_or_named() {
        let taken = claim(0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let asked = Wanted {
            gateway: Some(port),
            ..wanted(21_200)
        };
        let told = choose(asked, |port| format!("somebody (free {port})"))
            .unwrap_err()
            .to_string();
        let expected = format!(
            "port {port} is taken by somebody (free {port}), or choose another with --port"
        );
        assert_eq!(told, expected);

        let mut held = Vec::new();
        assert_ne!(next(port, "--x", &mut held).unwrap(), port);
    }
}

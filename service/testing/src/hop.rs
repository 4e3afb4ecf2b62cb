//! A network hop in front of a service: it keeps its port while the service behind it is killed
//! and started again, and it can be made to fail where a network would.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::DEADLINE;

/// What the hop does with connections; a change cuts those that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody is there.
    Down,
    /// Hands everything on.
    Pass(SocketAddr),
    /// Hands questions on, and answers after a while.
    Delay(SocketAddr, Duration),
    /// Hands questions on and keeps the answers to itself.
    Swallow(SocketAddr),
}

/// The hop. Its port is closed when this is dropped.
#[derive(Debug)]
pub struct Hop {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    swallowed: watch::Receiver<usize>,
}

impl Hop {
    /// A hop on a port of its own.
    pub async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (mode, current) = watch::channel(mode);
        let (swallow, swallowed) = watch::channel(0);
        tokio::spawn(accept(listener, current, swallow));
        Self {
            address,
            mode,
            swallowed,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it does this; open connections are cut.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Waits until an answer has been swallowed.
    pub async fn swallowed(&mut self) {
        let swallowed = self.swallowed.wait_for(|count| *count > 0);
        let swallowed = tokio::time::timeout(DEADLINE, swallowed).await;
        swallowed
            .expect("no answer came")
            .expect("the hop is there");
    }
}

async fn accept(
    listener: TcpListener,
    mut mode: watch::Receiver<Mode>,
    swallow: watch::Sender<usize>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        if mode.has_changed().is_err() {
            return;
        }
        let now = *mode.borrow_and_update();
        let (mut cut, swallow) = (mode.clone(), swallow.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connect(client, now, swallow) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn connect(client: TcpStream, mode: Mode, swallow: watch::Sender<usize>) {
    let (service, delay) = match mode {
        Mode::Down => return,
        Mode::Pass(service) | Mode::Swallow(service) => (service, Duration::ZERO),
        Mode::Delay(service, delay) => (service, delay),
    };
    let Ok(service) = TcpStream::connect(service).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_service, mut to_service) = service.into_split();
    let questions = tokio::io::copy(&mut from_client, &mut to_service);
    let answers = async {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_service.read(&mut bytes).await {
            if matches!(mode, Mode::Swallow(_)) {
                swallow.send_modify(|answers| *answers += 1);
                continue;
            }
            tokio::time::sleep(delay).await;
            if to_client
                .write_all(bytes.get(..count).unwrap_or_default())
                .await
                .is_err()
            {
                break;
            }
        }
    };
    tokio::select! {
        _ = questions => {}
        () = answers => {}
    }
}

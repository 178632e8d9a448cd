//! A TCP proxy that pauses, splits and cuts connections to the hub.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::link_fault::{LinkFault, LinkFaults};
use crate::random::Random;

/// Size of one read.
const READ_BYTES: usize = 16 << 10;
/// After one direction has ended, how long the other may still transfer.
const LINGER: Duration = Duration::from_secs(2);

/// Number of connections and of injected connection faults, by kind.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NetworkCounts {
    pub(crate) connections: u64,
    pub(crate) split_writes: u64,
    pub(crate) pauses: u64,
    pub(crate) cuts: u64,
    pub(crate) refused: u64,
}

/// State that all proxies share: where the hub is and which faults are active.
#[derive(Debug)]
pub(crate) struct Network {
    /// Address of the hub, once it has listened.
    pub(crate) hub: Cell<Option<SocketAddr>>,
    /// Whether new connections are refused.
    pub(crate) refusing: Cell<bool>,
    /// Whether faults of single connections are injected.
    pub(crate) faulty: Cell<bool>,
    /// Whether no connection transfers anything.
    pub(crate) frozen: watch::Sender<bool>,
    pub(crate) counts: RefCell<NetworkCounts>,
}

impl Network {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            hub: Cell::new(None),
            refusing: Cell::new(false),
            faulty: Cell::new(true),
            frozen: watch::Sender::new(false),
            counts: RefCell::new(NetworkCounts::default()),
        })
    }

    fn count(&self, add: impl FnOnce(&mut NetworkCounts)) {
        add(&mut self.counts.borrow_mut());
    }
}

/// Mean distance between the faults of a connection, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultSpacing {
    /// In the direction to the hub.
    pub(crate) up: u64,
    /// In the direction from the hub.
    pub(crate) down: u64,
}

/// A listening proxy to the hub. Its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    network: Rc<Network>,
    seed: u64,
    spacing: FaultSpacing,
    opened: Cell<u64>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Listens on a free port of the loopback interface, whose address is returned.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub(crate) async fn start(
        network: &Rc<Network>,
        seed: u64,
        spacing: FaultSpacing,
    ) -> io::Result<(Rc<Self>, SocketAddr)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let proxy = Rc::new(Self {
            network: Rc::clone(network),
            seed,
            spacing,
            opened: Cell::new(0),
            cut: watch::Sender::new(0),
        });
        spawn_local(Rc::clone(&proxy).listen(listener));
        Ok((proxy, address))
    }

    /// Cuts all connections.
    pub(crate) fn cut_all(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    async fn listen(self: Rc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let Some(hub) = self.network.hub.get().filter(|_| !self.network.refusing.get()) else {
                self.network.count(|counts| counts.refused += 1);
                continue;
            };
            let number = self.opened.get();
            self.opened.set(number + 1);
            spawn_local(Rc::clone(&self).connection(client, hub, number));
        }
    }

    async fn connection(self: Rc<Self>, client: TcpStream, hub: SocketAddr, number: u64) {
        let Ok(upstream) = TcpStream::connect(hub).await else { return };
        if client.set_nodelay(true).and_then(|()| upstream.set_nodelay(true)).is_err() {
            return;
        }
        self.network.count(|counts| counts.connections += 1);
        let (from_client, to_client) = client.into_split();
        let (from_hub, to_hub) = upstream.into_split();
        let faults = |spacing, direction| {
            let random = Random::new(self.seed, 2 * number + direction);
            LinkFaults::new(random, spacing)
        };
        let up = self.pump(from_client, to_hub, faults(self.spacing.up, 0));
        let down = self.pump(from_hub, to_client, faults(self.spacing.down, 1));
        let mut up = Box::pin(up);
        let mut down = Box::pin(down);
        let mut cut = self.cut.subscribe();
        tokio::select! {
            _ = cut.changed() => {}
            flow = &mut up => if flow == Flow::Ended {
                let _late = timeout(LINGER, down).await;
            },
            flow = &mut down => if flow == Flow::Ended {
                let _late = timeout(LINGER, up).await;
            },
        }
    }

    /// Transfers bytes in one direction and injects faults, until the connection ends.
    async fn pump(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        mut faults: LinkFaults,
    ) -> Flow {
        let mut buffer = vec![0; READ_BYTES];
        let (mut clean_bytes, mut fault) = faults.next();
        let mut frozen = self.network.frozen.subscribe();
        loop {
            let read = match from.read(&mut buffer).await {
                Ok(read) if read > 0 => read,
                _ => break,
            };
            if frozen.wait_for(|frozen| !frozen).await.is_err() {
                break;
            }
            let mut rest = &buffer[..read];
            while let Some(undisturbed) = self.bytes_before_fault(clean_bytes, rest.len()) {
                let (now, later) = rest.split_at(undisturbed);
                rest = later;
                if to.write_all(now).await.is_err() {
                    return Flow::Ended;
                }
                match self.inject(fault, &mut rest, &mut to).await {
                    Ok(Flow::Continues) => (clean_bytes, fault) = faults.next(),
                    Ok(other) => return other,
                    Err(_gone) => return Flow::Ended,
                }
            }
            clean_bytes = clean_bytes.saturating_sub(rest.len() as u64);
            if to.write_all(rest).await.is_err() {
                return Flow::Ended;
            }
        }
        let _gone = to.shutdown().await;
        Flow::Ended
    }

    /// Returns how many of the bytes at hand precede the next fault, if it lies among them.
    fn bytes_before_fault(&self, clean_bytes: u64, at_hand: usize) -> Option<usize> {
        let clean_bytes = usize::try_from(clean_bytes).ok()?;
        (self.network.faulty.get() && clean_bytes < at_hand).then_some(clean_bytes)
    }

    /// Injects a fault into the bytes that follow.
    async fn inject(
        &self,
        fault: LinkFault,
        rest: &mut &[u8],
        to: &mut OwnedWriteHalf,
    ) -> io::Result<Flow> {
        match fault {
            LinkFault::Cut => {
                self.network.count(|counts| counts.cuts += 1);
                return Ok(Flow::Cut);
            }
            LinkFault::Pause(length) => {
                self.network.count(|counts| counts.pauses += 1);
                sleep(length).await;
            }
            LinkFault::SplitWrites(bytes) => {
                self.network.count(|counts| counts.split_writes += 1);
                let len = usize::try_from(bytes).map_or(rest.len(), |bytes| bytes.min(rest.len()));
                let (single, later) = rest.split_at(len);
                *rest = later;
                for byte in single {
                    to.write_all(std::slice::from_ref(byte)).await?;
                }
            }
        }
        Ok(Flow::Continues)
    }
}

/// State of one direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continues,
    /// One side has ended the connection.
    Ended,
    /// The proxy has cut the connection.
    Cut,
}

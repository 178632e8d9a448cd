//! A TCP proxy that delays, chops, stalls and cuts.

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

use crate::random::Random;
use crate::trouble::{Trouble, Troubles};

/// One read.
const READ_BYTES: usize = 16 << 10;
/// When one side has ended, how long the other may take.
const LINGER: Duration = Duration::from_secs(2);

/// Troubles that came, by kind.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) connections: u64,
    pub(crate) chops: u64,
    pub(crate) pauses: u64,
    pub(crate) cuts: u64,
    pub(crate) refused: u64,
}

/// What all proxies do together, and where they lead.
#[derive(Debug)]
pub(crate) struct Network {
    /// The hub, while it listens.
    pub(crate) hub: Cell<Option<SocketAddr>>,
    /// Nobody gets a connection.
    pub(crate) dark: Cell<bool>,
    /// Connections have troubles of their own.
    pub(crate) troubled: Cell<bool>,
    /// No byte moves.
    pub(crate) frozen: watch::Sender<bool>,
    pub(crate) tally: RefCell<Tally>,
}

impl Network {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            hub: Cell::new(None),
            dark: Cell::new(false),
            troubled: Cell::new(true),
            frozen: watch::Sender::new(false),
            tally: RefCell::new(Tally::default()),
        })
    }

    fn count(&self, add: impl FnOnce(&mut Tally)) {
        add(&mut self.tally.borrow_mut());
    }
}

/// How far apart troubles are, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apart {
    /// Towards the hub.
    pub(crate) up: u64,
    /// From the hub.
    pub(crate) down: u64,
}

/// A way to the hub. Connections live as long as it.
#[derive(Debug)]
pub(crate) struct Proxy {
    network: Rc<Network>,
    seed: u64,
    apart: Apart,
    opened: Cell<u64>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Begins to listen; the address.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) async fn start(
        network: &Rc<Network>,
        seed: u64,
        apart: Apart,
    ) -> io::Result<(Rc<Self>, SocketAddr)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (network, opened) = (Rc::clone(network), Cell::new(0));
        let proxy = Rc::new(Self { network, seed, apart, opened, cut: watch::Sender::new(0) });
        spawn_local(Rc::clone(&proxy).listen(listener));
        Ok((proxy, address))
    }

    /// Cuts all connections.
    pub(crate) fn cut_all(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    async fn listen(self: Rc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let Some(hub) = self.network.hub.get().filter(|_| !self.network.dark.get()) else {
                self.network.count(|tally| tally.refused += 1);
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
        self.network.count(|tally| tally.connections += 1);
        let (from_client, to_client) = client.into_split();
        let (from_hub, to_hub) = upstream.into_split();
        let troubles = |apart, way| {
            let random = Random::new(self.seed, 2 * number + way);
            Troubles::new(random, apart)
        };
        let up = self.pump(from_client, to_hub, troubles(self.apart.up, 0));
        let down = self.pump(from_hub, to_client, troubles(self.apart.down, 1));
        let (mut up, mut down) = (Box::pin(up), Box::pin(down));
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

    /// Moves bytes one way, with troubles, until the end.
    async fn pump(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        mut troubles: Troubles,
    ) -> Flow {
        let mut buffer = vec![0; READ_BYTES];
        let (mut well, mut trouble) = troubles.next();
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
            while let Some(smooth) = self.before(well, rest.len()) {
                let (now, later) = rest.split_at(smooth);
                rest = later;
                if to.write_all(now).await.is_err() {
                    return Flow::Ended;
                }
                match self.strike(trouble, &mut rest, &mut to).await {
                    Ok(Flow::Goes) => (well, trouble) = troubles.next(),
                    Ok(other) => return other,
                    Err(_gone) => return Flow::Ended,
                }
            }
            well = well.saturating_sub(rest.len() as u64);
            if to.write_all(rest).await.is_err() {
                return Flow::Ended;
            }
        }
        let _gone = to.shutdown().await;
        Flow::Ended
    }

    /// How many of the bytes at hand go before the trouble, if it comes among them.
    fn before(&self, well: u64, at_hand: usize) -> Option<usize> {
        let well = usize::try_from(well).ok()?;
        (self.network.troubled.get() && well < at_hand).then_some(well)
    }

    /// Lets a trouble happen to the bytes that follow.
    async fn strike(
        &self,
        trouble: Trouble,
        rest: &mut &[u8],
        to: &mut OwnedWriteHalf,
    ) -> io::Result<Flow> {
        match trouble {
            Trouble::Cut => {
                self.network.count(|tally| tally.cuts += 1);
                return Ok(Flow::Cut);
            }
            Trouble::Pause(length) => {
                self.network.count(|tally| tally.pauses += 1);
                sleep(length).await;
            }
            Trouble::Chop(bytes) => {
                self.network.count(|tally| tally.chops += 1);
                let len = usize::try_from(bytes).map_or(rest.len(), |bytes| bytes.min(rest.len()));
                let (chopped, later) = rest.split_at(len);
                *rest = later;
                for byte in chopped {
                    to.write_all(std::slice::from_ref(byte)).await?;
                }
            }
        }
        Ok(Flow::Goes)
    }
}

/// What becomes of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Goes,
    /// One side has ended it.
    Ended,
    /// The proxy has.
    Cut,
}

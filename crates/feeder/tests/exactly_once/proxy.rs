//! A TCP proxy that cuts connections: each forwards a random number of bytes in each direction, in
//! pieces, and is then cut. The random generator is seeded, so a seed determines the offsets of the
//! cuts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rand::rngs::Xoshiro256PlusPlus as Random;
use rand::{Rng, RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Largest size of a piece in bytes.
const PIECE_BYTES_MAX: usize = 8 * 1024;

/// Dropping it ends the proxy.
pub(crate) struct CuttingProxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Shared {
    cuts: AtomicU64,
    calm: AtomicBool,
}

impl CuttingProxy {
    /// Starts a proxy that forwards connections to `target`.
    pub(crate) async fn start(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = tokio::spawn(accept(listener, target, shared.clone(), seed));
        Self { address, shared, accepting: accepting.abort_handle() }
    }

    /// Returns the number of connections cut so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Relaxed)
    }

    /// Stops cutting new connections.
    pub(crate) fn calm(&self) {
        self.shared.calm.store(true, Relaxed);
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, shared: Arc<Shared>, seed: u64) {
    let mut random = Random::seed_from_u64(seed);
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let seed = random.next_u64();
        connections.spawn(serve(near, target, shared.clone(), seed));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(near: TcpStream, target: SocketAddr, shared: Arc<Shared>, seed: u64) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    // Pieces are to leave at once.
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let mut random = Random::seed_from_u64(seed);
    let calm = shared.calm.load(Relaxed);
    let mut budget = || if calm { u64::MAX } else { budget(&mut random) };
    let there = budget();
    let back = budget();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let cut = tokio::select! {
        cut = pass(near_read, far_write, there, Random::from_rng(&mut random.clone())) => cut,
        cut = pass(far_read, near_write, back, Random::from_rng(&mut random)) => cut,
    };
    // Both halves of both connections are dropped here, with whatever lies in their buffers.
    shared.cuts.fetch_add(u64::from(cut), Relaxed);
}

/// Chooses the bytes until the cut, log-uniformly from a few (within the handshake) to 32 KiB.
fn budget(random: &mut Random) -> u64 {
    let magnitude = random.random_range(0..15);
    random.random_range(0..(1_u64 << magnitude) * 2)
}

/// Returns whether the connection was cut, as opposed to ended by a side.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut budget: u64,
    mut random: Random,
) -> bool {
    let mut buffer = [0; PIECE_BYTES_MAX];
    while budget > 0 {
        let piece = random.random_range(1..=PIECE_BYTES_MAX as u64).min(budget);
        let piece = &mut buffer[..usize::try_from(piece).unwrap()];
        let Ok(read @ 1..) = from.read(piece).await else { return false };
        if to.write_all(&piece[..read]).await.is_err() {
            return false;
        }
        budget -= read as u64;
    }
    true
}
